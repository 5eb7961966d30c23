"""Keeps what models find and people correct: in the open project, or in one that is made by itself."""

from __future__ import annotations

import datetime
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import platformdirs
from napari.layers import Image
from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QCoreApplication, Signal

from napari_leafseg._counts import counted
from napari_leafseg._log import log_error
from napari_leafseg.errors import UserError
from napari_leafseg.io import ReadOptions
from napari_leafseg.project import Project
from napari_leafseg.project.document import Document
from napari_leafseg.project.elsewhere import CopyEvent, copy_elsewhere
from napari_leafseg.project.lock import Lock
from napari_leafseg.project.rescue import close_or_keep, kept_from
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.closing_guard import ClosingGuard
from napari_leafseg.widgets.state.gl_guard import guard_canvas
from napari_leafseg.widgets.state.image_record import ListedImage
from napari_leafseg.widgets.state.opening import open_project
from napari_leafseg.widgets.state.project_labels import ProjectLabels
from napari_leafseg.widgets.state.session import Session
from napari_leafseg.widgets.state.workers import answer_or_start, start_worker

_UNSAVED = "unsaved"
_CONTROLLERS: weakref.WeakKeyDictionary[Session, ProjectController] = weakref.WeakKeyDictionary()


def unsaved_folder() -> Path:
    """Return the folder of corrections that were made outside of any project."""
    return Path(platformdirs.user_data_dir("napari-leafseg", appauthor=False)) / _UNSAVED


def recoverable_projects() -> list[Path]:
    """List such corrections of applications that no longer run, the newest first."""
    found = [path.parent for path in unsaved_folder().glob("*/project.json")]
    free = []
    for folder in found:
        try:
            owner = Lock(folder).owner()
        except OSError as error:
            log_error(error)
            continue
        if (owner is None or not owner.alive) and (any(folder.glob("journal/*")) or kept_from(folder)):
            free.append(folder)
    return sorted(free, reverse=True)


class ProjectController(ProjectLabels):
    """The project of a viewer.

    Signals
    -------
    changed()
        There is another project, or none.
    opened()
        A project was opened or closed: its images are the list now.
    trouble(str)
        Why writing fails; "" when it works again.
    noticed(str)
        A file of the project was found damaged.
    """

    changed = Signal()
    opened = Signal()
    trouble = Signal(str)
    noticed = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.trouble.connect(self._tell)
        self.noticed.connect(show_warning)
        session.image_loaded.connect(self.restore)
        session.labels_bound.connect(self.watch)
        session.read_options_chosen.connect(self._keep_read_options)
        session.labels_released.connect(self._released)
        guard_canvas(session.viewer)
        self._guard = ClosingGuard.of(session.viewer, self)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._quit)

    @classmethod
    def of(cls, session: Session) -> ProjectController:
        """Return the session's controller, made when it has none."""
        controller = _CONTROLLERS.get(session)
        if controller is None:
            controller = _CONTROLLERS[session] = cls(session)
        return controller

    # -- projects ----------------------------------------------------------------------------------------------------

    def create(self, folder: Path) -> None:
        """Make a project of the images in the list, and of all corrections so far."""
        before = self.project
        if before is not None and self.is_scratch:
            for event in self.copy_elsewhere(folder, folder.name):
                if event.project is not None:
                    self.leave_scratch(event.project)
            return
        self.finish()
        self._take(Project.create(folder, "", self.trouble.emit, self.noticed.emit), False)
        for binding in self.session.bindings():
            binding.ref = None
        if before is not None:
            _close_aside(before)
            for entry in self.session.images:  # the new project has of the old one's what is on the screen
                entry.leave_project()
        self._keep_all()
        self.session.images_changed.emit()

    def leave_scratch(self, new: Project) -> None:
        """Go on in a copy of the project that was made by itself, which is not needed any more."""
        self.go_on_in(new, remove=True)
        self._keep_all()

    def _keep_all(self) -> None:
        """Take in the images of the list, and all labels so far."""
        self.add_images()
        for binding in self.session.bindings():
            if len(binding.document.history):
                self.track(binding)
                self.set_state(binding, self.session.record(binding.image).review.value)
        self.changed.emit()

    def open(self, folder: Path, force: bool = False, is_scratch: bool = False) -> None:
        """Open a project: its images become the list. Waits for the disk, as a script does; a window switches."""
        project, records = open_project(folder, force, self.trouble.emit, self.noticed.emit)
        try:
            self.close()
        except UserError:
            project.close()
            raise
        self._show(project, records, is_scratch)

    def switch(
        self, folder: Path, force: bool = False, is_scratch: bool = False,
        refused: Callable[[Exception], None] | None = None, then: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """Open a project as soon as everything of the one that is open is on the disk; the window goes on meanwhile.

        Parameters
        ----------
        folder : pathlib.Path
        force : bool
            Open it although another computer has it open.
        is_scratch : bool
            Whether it was made by itself.
        refused : callable, optional
            Told why it cannot be opened; that is shown when None.
        then : callable, optional
            What comes next.
        """

        def opened(found: tuple[Project, list[ListedImage]]) -> None:
            self.leave(lambda: show(*found), lambda: _close_aside(found[0]))

        def show(project: Project, records: list[ListedImage]) -> None:
            self._show(project, records, is_scratch)
            if then is not None:
                then()

        said = self.trouble.emit, self.noticed.emit
        answer_or_start(
            open_project, folder, force, *said, on_result=opened, on_error=refused or self._tell_error, owner=self
        )

    @staticmethod
    def _tell_error(error: Exception) -> None:
        show_error(str(error))

    def _show(self, project: Project, records: list[ListedImage], is_scratch: bool) -> None:
        self.session.read_options = ReadOptions()
        self._take(project, is_scratch)
        self._list(list(self.session.image_layers()), records)
        self.changed.emit()
        missing = [record for record in records if record.missing]
        if missing:
            show_error(
                f"{len(missing)} of {counted(len(records), 'image')} are no longer where they were, for example "
                f"{missing[0].path}. Choose “Find moved images …” in the project's menu."
            )
        later = next((kept for kept in recoverable_projects() if kept_from(kept) == project.folder), None)
        if later is not None:
            show_warning(
                f"Later work on “{project.file.name}” could not be written here, and is kept in {later}. Close this "
                "project, and the list offers it under “Continue”."
            )

    def _list(self, shown: list[Image], records: list[ListedImage]) -> None:
        """Take images off the screen with all that belongs to them, and list others."""
        for image in shown:
            layers.remove_image(self.session, image)
        self.predictions.forget()
        self.session.images[:] = records
        self.opened.emit()
        self.session.images_changed.emit()

    def _take(self, project: Project, is_scratch: bool) -> None:
        self._unlisted = []
        self.project, self.is_scratch = project, is_scratch
        kept = project.read_options
        if kept == ReadOptions():
            self._keep_read_options(self.session.read_options)
        else:
            self.session.read_options = kept

    def _keep_read_options(self, options: ReadOptions) -> None:
        """Write into the project which channels and which plane are read."""
        if self.project is not None and options != self.project.read_options:
            self.project.read_options = options

    def _make_scratch(self) -> None:
        place, said = _new_place(), (self.trouble.emit, self.noticed.emit)
        self._take(Project.create(place, place.name[:16], *said), True)
        self.add_images()
        self.changed.emit()

    def close(self) -> Path | None:
        """Write everything and give the project up; waits for the disk, as at the end of the application.

        Returns
        -------
        pathlib.Path or None
            Where everything is kept instead, when the project could not be written; the next start offers it.

        Raises
        ------
        ProjectError
            When it can be kept nowhere; the project stays open.
        """
        project = self.project
        if project is None:
            return None
        kept = close_or_keep(project, self._hand_over(project), _new_place())
        self.project = None
        for binding in self._bindings():
            binding.ref = None
        if kept is not None:
            _tell_kept(project, kept)
        self.changed.emit()
        return kept

    def retire(self) -> None:
        """Give the project up, beside other windows: this one was closed."""
        project, self.project = self.project, None
        if project is None:
            return
        documents = self._hand_over(project)
        for binding in self._bindings():
            binding.ref = None
        _close_aside(project, documents)
        self.changed.emit()

    def _hand_over(self, project: Project) -> dict[str, Document]:
        """Have everything written that is on the screen; return its documents by the images' names."""
        self.finish()
        documents = {item.ref.id: (item.ref, item.document) for item in self._bindings() if item.ref is not None}
        for ref, document in documents.values():
            project.save(ref, document)  # also what a program changed in the array behind our back
        return {name: document for name, (_ref, document) in documents.items()}

    def _quit(self) -> None:
        """Give the project up as the application ends."""
        try:
            self.close()
        except UserError as error:
            log_error(error)

    def leave(self, then: Callable[[], None] | None = None, otherwise: Callable[[], None] | None = None) -> None:
        """Close the project and its images as soon as everything is on the disk; the window goes on meanwhile.

        Parameters
        ----------
        then : callable, optional
            What comes next; at once where no project is open.
        otherwise : callable, optional
            Called where the project cannot be written: it stays open, and that is said.
        """
        project = self.project
        if project is None:
            if then is not None:
                then()
            return
        self.finish()
        start_worker(
            _flush, project, on_result=lambda problem: self._leave_written(project, problem, then, otherwise),
            on_error=lambda error: show_error(str(error)), owner=self,
        )  # fmt: skip

    def _leave_written(
        self, project: Project, problem: str, then: Callable[[], None] | None, otherwise: Callable[[], None] | None
    ) -> None:
        if problem or project is not self.project:
            if problem:
                show_error(f"The project stays open: {problem}")
            if otherwise is not None:
                otherwise()
            return
        bindings = self.session.bindings()
        if project.writer.pending or any(item.unfinished or item.document.changed for item in bindings):
            self.leave(then, otherwise)  # somebody went on meanwhile
            return
        of_list = [x for x in self.session.image_layers() if self.session.entry_of(x) or self.session.record(x).ref]
        self._list(of_list, [])
        self.project = None
        self.changed.emit()
        start_worker(
            project.close, on_result=lambda _none: None if then is None else then(),
            on_error=lambda error: show_error(str(error)), owner=self,
        )  # fmt: skip

    # -- saving ------------------------------------------------------------------------------------------------------

    def _tell(self, problem: str) -> None:
        if problem:
            show_error(
                f"{problem} Your work stays in memory; make room, or choose “Save elsewhere …” in the project's menu."
            )
        else:
            show_info("Saving works again.")
        self.session.project_changed.emit()

    def save_elsewhere(self, folder: Path, name: str = "") -> None:
        """Write the project to another folder and go on there; it keeps its name where none is given."""
        for event in self.copy_elsewhere(folder, name):
            if event.project is not None:
                self.go_on_in(event.project)

    def copy_elsewhere(self, folder: Path, name: str = "") -> Iterator[CopyEvent]:
        """Return what copies the project, for a worker; see `napari_leafseg.project.elsewhere.copy_elsewhere`."""
        assert self.project is not None
        return copy_elsewhere(self.project, folder, self._hand_over(self.project), name)

    def go_on_in(self, new: Project, remove: bool = False) -> None:
        """Go on in a copy of the project; `remove` deletes the old one."""
        old = self.project
        assert old is not None
        new.writer.failed, new.noticed = self.trouble.emit, self.noticed.emit
        moved = {ref.id: ref for ref in new.images}
        for binding in self.session.bindings():
            binding.ref = None if binding.ref is None else moved.get(binding.ref.id)
        self._take(new, False)
        _close_aside(old, copied=True, remove=remove)
        self.changed.emit()


def _flush(project: Project) -> str:
    """Wait until everything is written; say why not where that does not work out."""
    if not project.writer.flush():
        return project.writer.error or f"Cannot write to {project.folder} in time."
    project.predictions.flush()
    return ""


def _close_aside(
    project: Project, documents: Mapping[str, Document] | None = None, copied: bool = False, remove: bool = False
) -> None:  # fmt: skip
    """Give up a project that is not needed any more, without waiting for its disk; `copied` means it is elsewhere."""
    project.writer.failed = project.noticed = None

    def close() -> None:
        try:
            if copied:
                project.close()
            elif (kept := close_or_keep(project, documents or {}, _new_place())) is not None:
                _tell_kept(project, kept)
        except (OSError, UserError) as error:
            log_error(error)
        if remove:
            shutil.rmtree(project.folder, ignore_errors=True)

    threading.Thread(target=close, name="napari-leafseg closing").start()  # which the interpreter waits for


def _new_place() -> Path:
    """Return a new place in the safety folder, named after this moment, also where a clock that went back had it."""
    moment = datetime.datetime.now()
    while (place := unsaved_folder() / f"{moment:%Y-%m-%d %H.%M.%S.%f}").exists():
        moment += datetime.timedelta(milliseconds=1)
    return place


def _tell_kept(project: Project, kept: Path) -> None:
    show_warning(
        f"“{project.file.name}” could not be written to {project.folder}. All of it is kept in {kept}, and offered at "
        "the next start."
    )
