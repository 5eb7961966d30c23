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


def experiment_project(folder: Path) -> Path | None:
    """Return where the project of an experiment lies, or is to lie; None where a folder holds none, or is a project."""
    from napari_leafseg.pipelines.batch.correcting import is_experiment
    from napari_leafseg.pipelines.batch.places import own_project

    return own_project(folder) if is_experiment(folder) and not (folder / "project.json").exists() else None


def experiment_job(folder: Path) -> Iterator[tuple[TransferEvent, str]]:
    """Make the project in which an experiment is corrected."""
    from napari_leafseg.pipelines.batch.correcting import make_project

    yield from transfer_job(make_project(folder), "images of the experiment are in its project")


def import_labels_job(
    folder: Path, paths: list[Path], verified: bool, classes: set[str] | None, replace: bool, image: str
) -> Iterator[tuple[TransferEvent, str]]:
    """Take labels from files into a project that nobody has open; it is closed again however this ends."""
    with Project.open(folder) as project:
        events = import_labels(project, paths, verified, classes, replace, image)
        yield from transfer_job(events, "files of labels taken in")
