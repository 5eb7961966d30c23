"""Long work of *Images*, as functions and generators that run in a worker thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_leafseg.errors import InputFileError, UserError
from napari_leafseg.io import LoadedImage, read_image, resize, to_rgb8
from napari_leafseg.project import Project
from napari_leafseg.project.transfer import TransferEvent, import_labels


def load_job(path: Path) -> LoadedImage:
    """Read one image."""
    image = read_image(path)
    if image.array.ndim > 4:
        raise InputFileError(
            f"{path} has {image.array.ndim} axes. Save it as an image or as time × height × width × colors."
        )
    return image


def thumbnail_job(paths: list[Path], size: int) -> Iterator[tuple[Path, np.ndarray | str]]:
    """Small RGB images, (size, size, 3) at most; a sentence instead where a file cannot be read."""
    for path in paths:
        try:
            array = read_image(path).array
            if array.ndim == 4 or (array.ndim == 3 and array.shape[-1] not in (1, 3, 4)):
                array = array[0]
            step = max(1, max(array.shape[:2]) // (4 * size))
            image = to_rgb8(np.ascontiguousarray(array[::step, ::step]), str(path))
            yield path, resize(image, min(1.0, size / max(image.shape[:2])))
        except UserError as error:
            yield path, str(error)


def transfer_job(events: Iterator[TransferEvent], what: str) -> Iterator[tuple[TransferEvent, str]]:
    """Import or export, with the words for what is done; yields both."""
    for event in events:
        yield event, what


def import_labels_job(folder: Path, paths: list[Path], verified: bool) -> Iterator[tuple[TransferEvent, str]]:
    """Take labels from files into a project that nobody has open; it is closed again however this ends."""
    with Project.open(folder) as project:
        yield from transfer_job(import_labels(project, paths, verified), "files of labels taken in")
