"""Labels into a project and out of it: a folder of masks, and other programs' formats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from napari_leafseg.editing.edit import LARGEST_NUMBER, difference
from napari_leafseg.errors import InputFileError, ProjectError
from napari_leafseg.io import find_pairs, read_image, read_labels
from napari_leafseg.io.exchange.formats import FORMATS, Labeled, find_format, read_format, write_format
from napari_leafseg.project.files import ImageRef
from napari_leafseg.project.store import Project

__all__ = ["FORMATS", "TransferEvent", "export_labels", "import_labels", "import_masks"]


@dataclass(frozen=True)
class TransferEvent:
    """Progress: images done, images in all, and the one at hand."""

    done: int
    total: int
    name: str


def import_masks(project: Project, folder: str | Path, verified: bool = False) -> Iterator[TransferEvent]:
    """Take images with label images (``plant.png`` and ``plant_label.png``) into a project.

    Parameters
    ----------
    project : Project
    folder : path
        Label images lie beside the images, or in ``labels/`` beside their folder.
    verified : bool
        Whether these leaves are right and are not to be changed by any model.

    Raises
    ------
    UserError
        When there is no such pair, or labels do not fit their image; what was taken in before stays.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputFileError(f"{folder} is no folder. Choose the folder that holds the images.")
    pairs = list(find_pairs(folder))
    if not pairs:
        raise InputFileError(
            f"{folder} holds no image with a label image (plant.png with plant_label.png beside it or in ../labels)."
        )
    for number, (path, mask) in enumerate(pairs):
        yield TransferEvent(number, len(pairs), path.name)
        image, labels = read_image(path), read_labels(mask)
        if labels.shape != image.array.shape[:2]:
            raise InputFileError(f"{mask} is {labels.shape}, but its image {path} is {image.array.shape[:2]}.")
        _check_numbers(labels, mask)
        _take_in(project, project.add_known(path, image.sha256), labels, verified)
    yield TransferEvent(len(pairs), len(pairs), "")


def import_labels(project: Project, paths: list[Path], verified: bool = False) -> Iterator[TransferEvent]:
    """Take labels of images that are in the project already, from any format that it writes.

    A COCO or LabelMe file names its images; any other file belongs to the image whose name it begins with
    (``plant_label.tif``, ``plant_rois.zip``, ``plant.geojson``). What was there before can be had back by undo.

    Parameters
    ----------
    project : Project
    paths : list of path
    verified : bool
        See `import_masks`.

    Raises
    ------
    UserError
        For a file of another kind, or of an image that the project does not have; files before it stay taken in.
    """
    for number, path in enumerate(paths):
        yield TransferEvent(number, len(paths), path.name)
        for ref, labels in _read_any(project, Path(path)):
            _check_numbers(labels, path)
            _take_in(project, ref, labels, verified)
    yield TransferEvent(len(paths), len(paths), "")


def _check_numbers(labels: np.ndarray, path: Path) -> None:
    if labels.max(initial=0) > LARGEST_NUMBER or labels.min(initial=0) < 0:
        raise InputFileError(f"{path} holds leaf numbers outside 0 to {LARGEST_NUMBER}. Number its leaves anew.")


def _take_in(project: Project, ref: ImageRef, labels: np.ndarray, verified: bool) -> None:
    """Make these the labels of an image, as one step; a second one says that they are right."""
    document = project.open_document(ref, labels.shape)
    document.commit(difference(document.labels, None, labels.astype(np.uint16), "import"), verify=False)
    if verified:
        document.set_verified([(0, leaf) for leaf in document.leaves()], True)
    project.save(ref, document)


def _read_any(project: Project, path: Path) -> list[tuple[ImageRef, np.ndarray]]:
    """Read a file of labels; returns the images that they belong to, with their labels."""

    def size(name: str) -> tuple[int, int]:
        height, width = read_image(project.path_of(_named(project, name, path))).array.shape[:2]
        return height, width

    return [(_named(project, name, path), labels) for name, labels in read_format(path, size).items()]


def _named(project: Project, name: str, path: Path) -> ImageRef:
    for ref in project.images:
        if name in (ref.id, Path(ref.path).name) or Path(name).stem == Path(ref.path).stem:
            return ref
    raise ProjectError(f"{path} is of an image “{name}”, which the project does not have. Add the image first.")


def export_labels(project: Project, folder: str | Path, fmt: str) -> Iterator[TransferEvent]:
    """Write the labels of all images that have some.

    Parameters
    ----------
    project : Project
        What waits to be written is written first.
    folder : path
    fmt : str
        One of `FORMATS`.

    Raises
    ------
    UserError
        For an unknown format, a series (export its frames as TIFF), or a folder that cannot be written.
    """
    find_format(fmt)
    project.catch_up()
    refs = [ref for ref in project.images if project.labels_path(ref).exists()]
    if not refs:
        raise ProjectError(f"The project {project.folder} has no labels to export yet.")
    items = [Labeled(ref.id, Path(ref.path).name, partial(project.read_labels, ref)) for ref in refs]
    for number, name in enumerate(write_format(Path(folder), items, fmt)):
        yield TransferEvent(number, len(refs), name)
    yield TransferEvent(len(refs), len(refs), "")
