"""Which images an experiment is of, and the name of each, which no other one has."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from glob import glob
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from napari_leafseg.errors import InputFileError, UserError
from napari_leafseg.io import FoundImages, find_images, unique_names
from napari_leafseg.project.corrections import Correction

_WRITTEN = {"labels", "overlays", "parts", "exports", "project"}  # folders of an experiment's output
_FILES = {
    "batch.json",
    "report.html",
    "images.csv",
    "leaves.csv",
    "plants.csv",
    "growth.csv",
    "groups.csv",
    "tracks.csv",
    "errors.csv",
}


class Task(NamedTuple):
    """An image to be done.

    Attributes
    ----------
    path : str
    name : str
        Of everything that is written of it.
    setup : str
        Which tray and scale hold, see `napari_leafseg.pipelines.batch.setups`.
    correction : Correction, optional
        What people made of its labels.
    decided : str
        What people decided about the plants and pots of its leaves, as JSON, see
        `napari_leafseg.pipelines.batch.decisions`.
    """

    path: str
    name: str
    setup: str = ""
    correction: Correction | None = None
    decided: str = ""

    def digest(self, settings: str) -> str:
        """Return the hash of all that changes its result, from that of the settings."""
        told = " ".join(filter(None, (self.setup, self.decided)))
        return settings if not told else hashlib.sha256(f"{settings} {told}".encode()).hexdigest()[:16]


class FoundTasks(NamedTuple):
    """What there is to do.

    Attributes
    ----------
    tasks : list of Task
    errors : list of dict
        ``name``, ``path`` and ``error`` of what is not there.
    left_out : str
        Which files of folders were not taken for images, and why; empty where all were.
    """

    tasks: list[Task]
    errors: list[dict[str, Any]]
    left_out: str = ""


def find_tasks(
    patterns: Iterable[str | Path], output: Path | None = None, without: Sequence[Path] | None = None
) -> FoundTasks:
    """Find the images of files, folders and patterns (``plants/**/*.jpg``), and what is not there.

    Parameters
    ----------
    patterns : iterable of str or path
        What is there under just this name is taken as it is; all else is read as a pattern.
    output : path, optional
        What an experiment wrote, into this folder or another one, is no image of its own; nor is what a pattern
        finds in this folder, unless the pattern looks there alone.
    without : sequence of path, optional
        Folders in folders that nothing is said of: where results are written; `output` when None.

    Raises
    ------
    UserError
        When there is no image at all.
    """
    taken, errors = FoundImages(), []
    without = without if without is not None else [] if output is None else [output]
    for pattern in patterns:
        text = str(pattern)
        literal = os.path.lexists(text) or not set(text) & set("*?[")
        found: list[str | Path] = [pattern] if literal else _matches(text, output)
        if not found:
            errors.append({"name": text, "path": text, "error": f"No file has a name like {text}."})
        for item in found:
            try:
                listed = find_images([item], without)
            except UserError as error:
                place = Path(item).absolute()
                if literal or not (_is_experiment(place, output) or _is_output(place / "x", output)):
                    errors.append({"name": str(item), "path": str(item), "error": str(error)})
                continue
            named = literal and listed.paths == [Path(item)]
            listed.paths = [path for path in listed.paths if named or not _is_output(path, output)]
            taken.extend(listed)
    if not taken.paths:
        sentences = [error["error"] for error in errors]
        raise InputFileError("\n".join(sentences) or "There are no images. Give files, folders or patterns.")
    tasks = [Task(str(path), name) for path, name in unique_names(taken.paths).items()]
    return FoundTasks(tasks, errors, taken.sentence())


def _matches(pattern: str, output: Path | None) -> list[str | Path]:
    """Files and folders of a pattern, by name, but for those in the output's folder, unless it looks there alone."""
    found: list[str | Path] = sorted(glob(pattern, recursive=True))
    if output is None:
        return found
    results = output.resolve()
    fixed = Path(*takewhile(lambda part: not set(part) & set("*?["), Path(pattern).parts))
    if fixed.resolve().is_relative_to(results):
        return found
    return [item for item in found if not Path(item).resolve().is_relative_to(results)]


def _is_output(path: Path, output: Path | None) -> bool:
    """Whether a file is what an experiment wrote."""
    path = path.absolute()
    if path.name in _FILES and _is_experiment(path.parent, output):
        return True
    return any(folder.name in _WRITTEN and _is_experiment(folder.parent, output) for folder in path.parents)


@lru_cache(maxsize=10_000)
def _is_experiment(folder: Path, output: Path | None) -> bool:
    return (folder / "batch.json").exists() or (output is not None and folder == output.absolute())
