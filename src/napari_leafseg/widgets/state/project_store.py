"""What people decided beside the labels: kept in a file of the open project, or with the session until there is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Generic, TypeVar

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Signal

from napari_leafseg._files import write_atomically
from napari_leafseg.project import Project
from napari_leafseg.project.kept_file import KeptFile
from napari_leafseg.project.write_job import Job
from napari_leafseg.widgets.state.project_controller import ProjectController

_Kept = TypeVar("_Kept")
_File = TypeVar("_File", bound=KeptFile)


class ProjectStore(QObject, Generic[_Kept]):
    """One file of the open project; what was decided before a project was opened goes with it.

    A subclass says what is empty, how the file is read, and how what is kept is written, and calls `_project_changed`
    once it is made.

    Signals
    -------
    changed()
        Something else was decided, or is read of another project.

    Attributes
    ----------
    file : str
        Its name in the project's folder.
    """

    changed = Signal()
    file = ""

    def __init__(self, controller: ProjectController) -> None:
        super().__init__(controller)
        self._controller = controller
        self._other = True  # whether the project is one of other images than those that were spoken of
        self._kept: _Kept = self._empty()
        controller.opened.connect(self._opened)
        controller.changed.connect(self._project_changed)

    def _empty(self) -> _Kept:
        """What is kept where nothing was decided."""
        raise NotImplementedError

    def _load(self, project: Project) -> _Kept:
        """Read the file of a project; tells what is wrong with it."""
        raise NotImplementedError

    def _job(self, project: Project) -> Job | None:
        """What writes the file as things are at this moment; None where it must stay as it is."""
        raise NotImplementedError

    def _forget(self) -> None:
        """Forget what follows from what is kept."""

    def _opened(self) -> None:
        """Other images are the list now, with what their project says of them."""
        self._other = True

    def _project_changed(self) -> None:
        project, other = self._controller.project, self._other
        if other:
            self._kept = self._empty() if project is None else self._load(project)
        self._other = False
        self._forget()
        if not other:  # a project of the same images, which what was decided goes with
            self.keep()
        self.changed.emit()

    def keep(self) -> None:
        """Give it to the project's writer."""
        project = self._controller.project
        if project is None or (self._kept == self._empty() and not (project.folder / self.file).exists()):
            return
        job = self._job(project)
        if job is not None:
            project.writer.put(job, key=self.file)


class FileStore(ProjectStore[_File]):
    """What a file says that may be damaged, or of a newer version.

    A subclass says what is empty, how the file is read, and its content.
    """

    def _read(self, project: Project) -> _File:
        """What the file of a project says."""
        raise NotImplementedError

    def _content(self, kept: _File, project: Project) -> bytes:
        """What the file of a project is to say of its images."""
        raise NotImplementedError

    def _load(self, project: Project) -> _File:
        kept = self._read(project)
        if kept.problem:
            show_error(kept.problem)
        return kept

    def _job(self, project: Project) -> Job | None:
        if not self._kept.writable:
            return None
        kept = replace(self._kept)  # what is in it is never changed, another one takes its place
        return Job(lambda other: write_atomically(other.folder / self.file, self._content(kept, other)), project, "")
