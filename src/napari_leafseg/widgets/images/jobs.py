"""Long work of *Images*, as functions and generators that run in a worker thread."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_leafseg.errors import UserError
from napari_leafseg.io import ChannelsNeeded, LoadedImage, ReadOptions, read_image, resize, to_rgb8
from napari_leafseg.project import Project
from napari_leafseg.project.transfer import TransferEvent, import_labels

_LOG = logging.getLogger(__name__)


def load_job(path: Path, options: ReadOptions) -> LoadedImage:
    """Read one image."""
    return read_image(path, options)


def thumbnail_job(
    paths: list[Path], size: int, options: ReadOptions
) -> Iterator[tuple[Path, np.ndarray | str]]:  # fmt: skip
    """Small RGB images, (size, size, 3) at most; a sentence instead where a file cannot be read, and nothing where
    somebody has to say what its channels are."""
    for path in paths:
        try:
            array = read_image(path, options).array
            if array.ndim == 4:
                array = np.asarray(array[0])
            step = max(1, max(array.shape[:2]) // (4 * size))
            image = to_rgb8(np.ascontiguousarray(array[::step, ::step]), str(path))
            yield path, resize(image, min(1.0, size / max(image.shape[:2])))
        except ChannelsNeeded:
            _LOG.debug("%s has no thumbnail yet.", path, exc_info=True)
            continue
        except UserError as error:
            yield path, str(error)


def transfer_job(events: Iterator[TransferEvent], what: str) -> Iterator[tuple[TransferEvent, str]]:
    """Import or export, with the words for what is done; yields both."""
    for event in events:
        yield event, what


def import_labels_job(
    folder: Path, paths: list[Path], verified: bool, classes: set[str] | None, replace: bool, image: str
) -> Iterator[tuple[TransferEvent, str]]:
    """Take labels from files into a project that nobody has open; it is closed again however this ends."""
    with Project.open(folder) as project:
        events = import_labels(project, paths, verified, classes, replace, image)
        yield from transfer_job(events, "files of labels taken in")
