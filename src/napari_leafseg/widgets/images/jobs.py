"""Long work of *Images*, as functions and generators that run in a worker thread."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from napari_leafseg.io import LoadedImage, ReadOptions, read_image
from napari_leafseg.project import Project
from napari_leafseg.project.transfer import TransferEvent, import_labels

_LOG = logging.getLogger(__name__)


def load_job(path: Path, options: ReadOptions) -> LoadedImage:
    """Read one image."""
    return read_image(path, options)


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
