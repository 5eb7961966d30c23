"""What says that an image is done, believed only where all that it speaks of is there and whole."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari_leafseg._files import read_json, read_regular, write_atomically
from napari_leafseg.errors import UserError
from napari_leafseg.pipelines.batch.find import Task
from napari_leafseg.pipelines.report.views import view_path

_LOG = logging.getLogger(__name__)
_NEEDED: dict[str, Any] = {
    "name": str, "path": str, "count": int, "plants": int, "area": (int, float), "scale": (int, float),
    "seconds": (int, float), "notes": list,
}  # fmt: skip


def marker_path(output: Path, name: str) -> Path:
    """Return the file that says that an image is done; written last."""
    return output / "parts" / f"{name}.json"


def file_state(path: Path) -> list[int]:
    """Return the size and time of change: whether a file is still the one that was done."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def written_files(output: Path, name: str) -> list[Path]:
    """List what is written of an image that is done, beside its marker."""
    labels = output / "labels" / f"{name}_label.tif"
    parts = [output / "parts" / f"{name}.{kind}.parquet" for kind in ("leaves", "plants")]
    return [labels, labels.with_suffix(".json"), view_path(output, name), view_path(output, name, "closer"), *parts]


def write_marker(output: Path, name: str, result: dict[str, Any]) -> None:
    """Write that an image is done, with checksum, size and time of all that was written of it."""
    files = written_files(output, name)
    content = {**result, "written": _checksums(output, files), "states": _states(output, files)}
    write_atomically(marker_path(output, name), (json.dumps(content) + "\n").encode())


def cached_result(output: Path, task: Task, digest: str) -> dict[str, Any] | None:
    """Read what the marker says when the image was done with the same settings, did not change, and nothing is gone."""
    try:
        content = read_json(marker_path(output, task.name))
        there = Path(task.path).exists()  # one that is gone is as it was when it was done
        if content["digest"] != task.digest(digest) or (there and content["file"] != file_state(Path(task.path))):
            return None
        if content.get("correction", "") != ("" if task.correction is None else task.correction.digest):
            return None
        files = written_files(output, task.name)
        if closer_is_missing(output, task.name, content):
            files.remove(view_path(output, task.name, "closer"))
        if "states" in content and content["states"] == _states(output, files):
            whole = True
        elif "written" in content:
            whole = content["written"] == _checksums(output, files)
        else:  # of an earlier version
            whole = all(path.is_file() for path in files) and _readable(files[-2:])
        if whole and all(isinstance(content.get(key), kind) for key, kind in _NEEDED.items()):
            return dict(content)
        _LOG.info("%s is done again: something that was written of it is gone or changed.", task.name)
    except FileNotFoundError:
        _LOG.debug("%s was not done before, or not to its end.", task.name)
    except (OSError, UserError, KeyError, TypeError) as error:
        _LOG.info("%s is done again: its marker cannot be used (%s).", task.name, error)
    return None


def closer_is_missing(output: Path, name: str, content: dict[str, Any]) -> bool:
    """Tell whether an image was done by an earlier version, which wrote one overlay of it."""
    return view_path(output, name, "closer").relative_to(output).as_posix() not in content.get("written", {})


def _checksums(output: Path, files: Iterable[Path]) -> dict[str, str]:
    return {path.relative_to(output).as_posix(): hashlib.sha256(read_regular(path)).hexdigest() for path in files}


def _states(output: Path, files: Iterable[Path]) -> dict[str, list[int]]:
    return {path.relative_to(output).as_posix(): file_state(path) for path in files}


def _readable(tables: Iterable[Path]) -> bool:
    import pandas as pd

    try:
        for path in tables:
            pd.read_parquet(path)
    except Exception as error:  # of any kind, for a damaged file
        _LOG.info("A table cannot be read: %s", error)
        return False
    return True
