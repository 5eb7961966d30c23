"""Labels that people corrected or reviewed in a project, for whoever measures its images without opening it."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from napari_leafseg._files import read_regular
from napari_leafseg.errors import ProjectError, UserError
from napari_leafseg.io import image_hash
from napari_leafseg.project.files import ImageRef, folded, image_place, read_project_file
from napari_leafseg.project.journal import last_number, read_journal
from napari_leafseg.project.labels_file import read_document_files

_LOG = logging.getLogger(__name__)


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
    sha256 : str
        Of the image's file; empty where it is not known.
    """

    folder: str
    id: str
    reviewed: bool
    digest: str
    sha256: str = ""

    def file(self, kind: str, ending: str) -> Path:
        """Return a file of the image, see `napari_leafseg.project.store`."""
        return Path(self.folder) / kind / f"{self.id}{ending}"


class ListedImages(NamedTuple):
    """What a project's list says, for whoever only reads it: others may have the project open."""

    folder: Path
    images: list[ImageRef]
    moved: Mapping[str, Path] = {}

    def path_of(self, ref: ImageRef) -> Path:
        """Return where an image is, or was."""
        return self.moved.get(ref.id) or image_place(self.folder, ref)


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


def read_list(folder: str | Path, files: Iterable[str | Path] = ()) -> ListedImages:
    """Read the list of a project's images.

    Parameters
    ----------
    folder : path
    files : iterable of path
        Where images may be that are not where the project says: told by their name and hash, as in `Project.relink`.

    Raises
    ------
    ProjectError
        When it is no project, or damaged.
    """
    folder = Path(folder).absolute()
    listed = ListedImages(folder, read_project_file(folder)[0].images)
    return listed._replace(moved=_moved(listed, files))


def _moved(listed: ListedImages, files: Iterable[str | Path]) -> dict[str, Path]:
    """Which of the files are images that are not where the list says, by the images' names."""
    strangers = {place_of(path): Path(path) for path in files}
    missing = [ref for ref in listed.images if strangers.pop(place_of(listed.path_of(ref)), None) is None]
    named: dict[str, list[Path]] = {}
    for path in strangers.values():
        named.setdefault(folded(path.name), []).append(path)
    found = dict[str, Path]()
    for ref in missing:
        for path in named.get(folded(Path(ref.path).name), []):
            if ref.sha256 and not listed.path_of(ref).exists() and content_of(path) == ref.sha256:
                found[ref.id] = path
                break
    return found


def content_of(path: Path) -> str:
    """Return the hash of an image's file; empty where it cannot be read."""
    try:
        return image_hash(path)
    except UserError as error:  # told where the image is done
        _LOG.debug("%s has no hash: %s", path, error)
        return ""


def find_corrections(folder: str | Path, files: Iterable[str | Path] = ()) -> dict[str, Correction]:
    """Find the images of a project whose labels people corrected or reviewed, by `place_of` their files.

    Somebody may have the project open: what is on the disk counts. For `files`, see `read_list`.

    Raises
    ------
    ProjectError
        When it is no project, or damaged.
    """
    listed, found = read_list(folder, files), dict[str, Correction]()
    for ref in listed.images:
        if ref.state == "new":
            continue
        one = Correction(str(listed.folder), ref.id, ref.state == "done", "", ref.sha256)
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
    steps = partial(read_journal, correction.file("journal", ".journal"), tuple(shape))
    document = read_document_files(path, correction.file("records", ".json"), shape, steps)
    if not len(document.history) and not path.exists():
        raise ProjectError(f"The labels of “{correction.id}” in {correction.folder} are gone. Restore {path}.")
    told = {key: value for key, value in document.info.items() if key not in _OWN}
    return Corrected(document.labels, set(document.verified), told)


_OWN = {"origin", "px_per_mm", "batch"}
"""What a project's record says of its own."""
