"""Labels that people corrected or reviewed in a project, for whoever measures its images without opening it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from napari_leafseg._files import read_regular
from napari_leafseg.errors import ProjectError
from napari_leafseg.project.document import Document
from napari_leafseg.project.files import ImageRef, read_project_file
from napari_leafseg.project.journal import last_number, read_journal
from napari_leafseg.project.labels_file import read_labels_file, read_record_file


class Correction(NamedTuple):
    """An image of a project whose labels people corrected or reviewed; may be sent to another process.

    Attributes
    ----------
    folder : str
        The project's.
    id : str
        The image's name in it.
    reviewed : bool
        Whether somebody said that all of it is right.
    digest : str
        Another one where the labels, or what is known of them, changed.
    """

    folder: str
    id: str
    reviewed: bool
    digest: str

    def file(self, kind: str, ending: str) -> Path:
        """Return a file of the image, see `napari_leafseg.project.store`."""
        return Path(self.folder) / kind / f"{self.id}{ending}"


class ListedImages(NamedTuple):
    """What a project's list says, for whoever only reads it: others may have the project open."""

    folder: Path
    images: list[ImageRef]

    def path_of(self, ref: ImageRef) -> Path:
        """Return where an image is, or was."""
        return Path(os.path.normpath(self.folder / ref.path))


class Corrected(NamedTuple):
    """Labels that people corrected.

    Attributes
    ----------
    labels : numpy.ndarray
        uint16 (H, W) or (T, H, W).
    verified : set of (frame, leaf)
    record : dict
        Which model and parameters they began with; empty where they were drawn.
    """

    labels: np.ndarray
    verified: set[tuple[int, int]]
    record: dict[str, Any]


def read_list(folder: str | Path) -> ListedImages:
    """Read the list of a project's images.

    Raises
    ------
    ProjectError
        When it is no project, or damaged.
    """
    folder = Path(folder).absolute()
    return ListedImages(folder, read_project_file(folder)[0].images)


def find_corrections(folder: str | Path) -> dict[str, Correction]:
    """Find the images of a project whose labels people corrected or reviewed, by `place_of` their files.

    Somebody may have the project open: what is on the disk counts.

    Raises
    ------
    ProjectError
        When it is no project, or damaged.
    """
    listed, found = read_list(folder), dict[str, Correction]()
    for ref in listed.images:
        if ref.state == "new":
            continue
        one = Correction(str(listed.folder), ref.id, ref.state == "done", "")
        labels, journal = one.file("labels", ".tif"), one.file("journal", ".journal")
        if not labels.exists() and not journal.exists():
            continue
        content = read_regular(labels) if labels.exists() else b""
        digest = hashlib.sha256(content + f"{last_number(journal)} {ref.state}".encode()).hexdigest()[:16]
        found[place_of(listed.path_of(ref))] = one._replace(digest=digest)
    return found


def place_of(path: str | Path) -> str:
    """Return where a file really lies, by which images are found however they are named."""
    return os.path.realpath(path)


def correction_of(found: Mapping[str, Correction], path: str | Path) -> Correction | None:
    """Return the correction of an image's file, None where nobody corrected it."""
    return found.get(place_of(path)) if found else None


def read_correction(correction: Correction, shape: tuple[int, ...]) -> Corrected:
    """Read labels as they were at the last step.

    Parameters
    ----------
    correction : Correction
    shape : tuple of int
        (H, W) or (T, H, W) of the image.

    Raises
    ------
    ProjectError
        When they are damaged, of another size, or of a newer version.
    """
    path = correction.file("labels", ".tif")
    labels, number, verified = np.zeros(shape, np.uint16), 0, list[tuple[int, int]]()
    if path.exists():
        labels, description = read_labels_file(path, shape=shape)
        number, verified = description.number, description.verified
    record = read_record_file(correction.file("records", ".json"))
    document = Document(labels, record, verified, number)
    document.replay(read_journal(correction.file("journal", ".journal"), tuple(shape)))
    if not len(document.history) and not path.exists():
        raise ProjectError(f"The labels of “{correction.id}” in {correction.folder} are gone. Restore {path}.")
    told = {key: value for key, value in document.info.items() if key not in _OWN}
    return Corrected(document.labels, set(document.verified), told)


_OWN = {"id", "annotator", "saved", "journal_number", "verified", "history", "origin", "px_per_mm", "batch"}
"""What a project's record says of its own."""
