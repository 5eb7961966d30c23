"""Reads mutated label files into a project, in a process of its own: ``FORM FOLDER FIRST COUNT``; prints a report."""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from roifile import ImagejRoi

from napari_leafseg.errors import UserError
from napari_leafseg.io import write_image
from napari_leafseg.io.exchange.formats import FORMATS, Labeled, write_format
from napari_leafseg.project import Project
from napari_leafseg.project.transfer import import_labels
from tests.fuzz.mutations import mutate

SHAPE = (40, 56)
LONGEST = 10  # seconds


def plant() -> np.ndarray:
    """A few leaves, one with a hole, one in pieces."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:15, 2:20] = 3
    labels[5:11, 6:14] = 0
    labels[20:25, 5:9] = labels[28:30, 20:40] = 40
    labels[30, 40] = 7
    return labels


def valid_files(form: str, folder: Path) -> list[Path]:
    """Files of a format as they are right, by our own writer or another program's."""
    labels = plant()
    if form == "cellpose":
        np.save(folder / "a_seg.npy", {"masks": labels, "outlines": labels > 0, "est_diam": 3.0}, allow_pickle=True)
    elif form == "roi":
        outline = np.array([[2, 3], [20, 4], [18, 22], [3, 20]])
        (folder / "a.roi").write_bytes(ImagejRoi.frompoints(outline).tobytes())
        (folder / "a_rois.roi").write_bytes(ImagejRoi.frompoints(outline + 0.5).tobytes())
    elif form == "tiff":
        tifffile.imwrite(folder / "a_label.tif", labels)  # without compression, so that its fields are hit
        tifffile.imwrite(folder / "a_masks.tif", labels.astype(np.float32), compression="zlib")
    else:
        list(write_format(folder, [Labeled("a", "a.png", lambda: labels)], form))
    return sorted(path for path in folder.rglob("*") if path.is_file())


def outside(folder: Path) -> set[tuple[str, int]]:
    """All files but the project's, with their sizes."""
    files = [path for path in folder.rglob("*") if "project" not in path.relative_to(folder).parts[:1]]
    return {(str(path), path.stat().st_size) for path in files if path.is_file()}


def run(form: str, folder: Path, first: int, count: int) -> dict[str, Any]:
    """Read `count` mutations; returns what went wrong, and how long the slowest took."""
    report: dict[str, Any] = {"read": 0, "refused": 0, "failures": [], "slowest": 0.0}
    write_image(folder / "images" / "a.png", np.arange(SHAPE[0] * SHAPE[1], dtype=np.uint8).reshape(SHAPE))
    (folder / "files").mkdir()
    originals = {path: path.read_bytes() for path in valid_files(form, folder / "files")}
    with Project.create(folder / "project") as project:
        project.add_images([folder / "images" / "a.png"])
        list(import_labels(project, list(originals)))
        for number in range(first, first + count):
            path = list(originals)[number % len(originals)]
            path.write_bytes(mutate(originals[path], number))
            before = outside(folder)
            began = time.perf_counter()
            signal.alarm(LONGEST)
            try:
                list(import_labels(project, [path], replace=True))
                report["read"] += 1
            except UserError as error:
                report["refused"] += 1
                if "a" not in str(error) or len(str(error)) > 3000:
                    report["failures"].append((number, f"no sentence: {str(error)[:200]}"))
            except BaseException as error:
                report["failures"].append((number, f"{type(error).__name__}: {str(error)[:200]}"))
            finally:
                signal.alarm(0)
            report["slowest"] = max(report["slowest"], time.perf_counter() - began)
            if outside(folder) != before:
                report["failures"].append((number, "something was written outside of the project"))
            path.write_bytes(originals[path])
    report["memory"] = peak_memory()
    return report


def peak_memory() -> float:
    """Return the most memory that this program held, in GB; Linux counts a parent's in ``ru_maxrss``."""
    status = Path("/proc/self/status")
    own = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")] if status.exists() else []
    kilobytes = int(own[0].split()[1]) if own else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / 2**20


def report(form: str, folder: str, first: int, count: int, answer: str) -> None:
    """Read `count` mutations; the file `answer` gets what `run` returns, or what went wrong."""
    try:
        said = json.dumps(run(form, Path(folder), first, count))
    except BaseException:
        Path(answer).write_text(traceback.format_exc())
        raise
    Path(answer).write_text(said)


if __name__ == "__main__":
    assert set(FORMATS) | {"cellpose", "roi"} >= {sys.argv[1]}
    print(json.dumps(run(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
