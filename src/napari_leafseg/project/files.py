"""What the files of a project's folder hold, and how they are read and written.

::

    project.json          format, name, the list of images
    lock.json             who has it open
    images/               images that were copied
    labels/ID.tif         16-bit labels; their description names the last journal record in them, and what is verified
    records/ID.json       what a person wants to know of them
    journal/ID.journal    every step
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import ProjectError
from napari_leafseg.project.document import Snapshot
from napari_leafseg.project.migrate import FORMAT, migrate

State = Literal["new", "in progress", "done"]


class ImageRef(BaseModel):
    """An image of a project.

    Attributes
    ----------
    id : str
        Name of its files in the project, unique.
    path : str
        Relative to the project where the image lies in it or beside it; else absolute.
    sha256 : str
    state : str
        "new", "in progress" or "done" (everything in it was reviewed).
    region : tuple of int, optional
        Top, left, bottom, right of what was reviewed of an image that is only partly corrected; None = go by leaves.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    path: str
    sha256: str = ""
    state: State = "new"
    region: tuple[int, int, int, int] | None = None


class ProjectFile(BaseModel):
    """What ``project.json`` holds."""

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    name: str
    created: str
    software: str = ""
    images: list[ImageRef] = []


def read_entries(folder: Path) -> dict[str, Any]:
    """Read ``project.json`` as it is.

    Raises
    ------
    ProjectError
        When there is none, or it cannot be read.
    """
    path = folder / "project.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ProjectError(f"{folder} holds no project (no project.json). Choose the project's own folder.") from error
    except (OSError, ValueError) as error:
        raise ProjectError(f"{path} cannot be read: {error}. Restore it from a backup.") from error


def check_entries(entries: dict[str, Any], folder: Path) -> tuple[ProjectFile, bool]:
    """Check what ``project.json`` holds, and whether it had to be brought to the present format.

    Raises
    ------
    ProjectError
        When an entry does not fit, or a newer version wrote it.
    """
    migrated = migrate(entries, folder)
    try:
        return ProjectFile.model_validate(migrated), migrated != entries
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ProjectError(
            f"{folder / 'project.json'} has an entry that does not fit: {where}: {first['msg']}."
        ) from error


def write_labels_file(path: Path, snapshot: Snapshot) -> None:
    """Write labels with the number of their last step and what is verified."""
    description = {"number": snapshot.number, "verified": snapshot.record["verified"]}
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, snapshot.labels, compression="zlib", photometric="minisblack", metadata=None,
        description=json.dumps(description),
    )  # fmt: skip
    write_atomically(path, buffer.getvalue())


def read_labels_file(path: Path, pixels: bool = True) -> tuple[np.ndarray, dict[str, Any]]:
    """Labels as they lie in a project, uint16 (empty without `pixels`), and the description that they carry.

    Raises
    ------
    ProjectError
        When the file is damaged or missing.
    """
    try:
        with tifffile.TiffFile(path) as file:
            labels = file.asarray() if pixels else np.zeros(0)
            description = json.loads(file.pages[0].description or "{}")  # type: ignore[union-attr]
    except Exception as error:  # tifffile raises anything at all for damaged files
        raise ProjectError(
            f"{path} is damaged ({error}). Take it away: the journal beside it holds every step."
        ) from error
    return labels.astype(np.uint16), {"number": 0, "verified": [], **description}
