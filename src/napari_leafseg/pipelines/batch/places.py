"""Where the images of an experiment are, also once it or they were moved."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_leafseg._files import read_json
from napari_leafseg.errors import UserError
from napari_leafseg.io import label_path
from napari_leafseg.project.corrections import content_of, read_list

_LOG = logging.getLogger(__name__)


def own_project(place: Path) -> Path:
    """Return the folder of the project in which an experiment is corrected."""
    return place / "project"


def find_files(place: Path, about: Mapping[str, Any]) -> dict[str, Path]:
    """Find the images of an experiment, by name.

    One that is no longer where it was is looked for where it lies as seen from the experiment's folder, which may have
    been moved with it, and where the experiment's project says; told by its hash. One that is not found keeps its path.

    Parameters
    ----------
    place : pathlib.Path
        The experiment's folder.
    about : mapping
        What ``batch.json`` says.
    """
    files = {name: Path(path) for name, path in about.get("files", {}).items()}
    missing = {name: path for name, path in files.items() if not path.exists()}
    if not missing:
        return files
    listed = _listed(place)
    for name, path in missing.items():
        wanted = _hash_of(place, name)
        candidates = [*listed.get(wanted, [])] if wanted else []
        if "place" in about:
            candidates.append(Path(os.path.normpath(place / os.path.relpath(path, about["place"]))))
        files[name] = next((other for other in candidates if _is_it(other, wanted)), path)
    return files


def _listed(place: Path) -> dict[str, list[Path]]:
    """Where the experiment's project says that images are, by their hashes."""
    found: dict[str, list[Path]] = {}
    if (own_project(place) / "project.json").exists():
        images = read_list(own_project(place))
        for ref in images.images:
            found.setdefault(ref.sha256, []).append(images.path_of(ref))
    return found


def _hash_of(place: Path, name: str) -> str:
    """The hash of an image that was done; empty where it was not."""
    try:
        return str(read_json(label_path(place / "labels", name).with_suffix(".json"))["image"].get("sha256", ""))
    except (OSError, UserError, KeyError, TypeError, AttributeError) as error:
        _LOG.debug("No hash of %s is known: %s", name, error)
        return ""


def _is_it(path: Path, wanted: str) -> bool:
    return path.exists() and (not wanted or content_of(path) == wanted)
