"""A write of a project that waits, and that can be done in another project instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_leafseg.project.store import Project


class Job:
    """Something of an image, or of the whole project, that is to be written.

    Attributes
    ----------
    work : callable
        Writes it into a project.
    project : Project
    name : str
        The image's; "" for what is the project's.
    """

    def __init__(self, work: Callable[[Project], None], project: Project, name: str) -> None:
        self.work, self.project, self.name = work, project, name

    def __call__(self) -> None:
        """Write it, when the project is still there and ours, and its list names the image."""
        self.project.check()
        self.project.list_first(self.name)
        self.work(self.project)
