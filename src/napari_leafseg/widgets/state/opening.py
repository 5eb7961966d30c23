"""Opening a project for the window, in any thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_leafseg.project import Project
from napari_leafseg.project.files import ImageRef
from napari_leafseg.widgets.state.image_record import ListedImage, ReviewState


def open_project(
    folder: Path, force: bool, failed: Callable[[str], None], noticed: Callable[[str], None]
) -> tuple[Project, list[ListedImage]]:
    """Open a project, and look which of its images are there; for the parameters see `Project.open`."""
    project = Project.open(folder, force, failed, noticed)
    return project, [_new_record(project, ref) for ref in project.images]


def _new_record(project: Project, ref: ImageRef) -> ListedImage:
    """Make the record of an image of a project that was just opened."""
    path = project.path_of(ref)
    return ListedImage(path, ref.sha256, ReviewState(ref.state), missing=not path.exists())
