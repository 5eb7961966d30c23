"""The line above the images that says which project they belong to, with the project's menu."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QMenu,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_leafseg._counts import counted
from napari_leafseg.errors import UserError
from napari_leafseg.io.exchange.formats import list_classes, readable_suffixes
from napari_leafseg.project import Project
from napari_leafseg.project.lock import ProjectLocked
from napari_leafseg.project.recent_projects import last_project
from napari_leafseg.project.rescue import kept_from
from napari_leafseg.project.transfer import ImportIncomplete, TransferEvent, import_masks
from napari_leafseg.widgets.common.controls import listen
from napari_leafseg.widgets.common.elided import ElidedButton, ElidedLabel
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.images.class_dialog import ClassDialog
from napari_leafseg.widgets.images.elsewhere import ProjectCopier
from napari_leafseg.widgets.images.export_dialog import ExportDialog
from napari_leafseg.widgets.images.jobs import experiment_job, experiment_project, import_labels_job, transfer_job
from napari_leafseg.widgets.images.project_dialogs import ask_new_folder, ask_verified
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.project_controller import ProjectController, recoverable_projects, unsaved_folder
from napari_leafseg.widgets.state.session import Session
from napari_leafseg.widgets.state.workers import start_worker


class ProjectBar(QWidget):
    """Names the project, offers its menu, and what can be recovered of an application that was killed.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session, self.controller = session, ProjectController.of(session)
        self.job = JobRunner(self)
        self.job.progress.connect(self._progress)
        self.job.failed.connect(self._failed)
        self.job.finished.connect(self._ended)
        self._then: Callable[[], None] | None = None
        self._again: Callable[[Exception], None] | None = None
        self._error: Exception | None = None
        self._notes: list[str] = []
        self.copier = ProjectCopier(self)
        self.name = ElidedLabel()
        self.name.setObjectName("project_name")
        self.button = QPushButton("Project")
        self.button.setObjectName("project_menu")
        menu = QMenu(self.button)
        self.actions_by_name: dict[str, Any] = {}
        for name, label, job in (
            ("new", "New project …", self._new),
            ("open", "Open project …", self._open),
            ("", "", None),
            ("import", "Add images with label images …", self._import),
            ("labels", "Add labels from files …", self._import_labels),
            ("export", "Export labels …", self.export),
            ("", "", None),
            ("relink", "Find moved images …", self._relink),
            ("elsewhere", "Save elsewhere …", self._elsewhere),
            ("predictions", "Keep predictions for tuning after a restart", self._keep_predictions),
            ("close", "Close project", self._close),
        ):
            if job is None:
                menu.addSeparator()
            else:
                self.actions_by_name[name] = menu.addAction(label, self._guarded(job))
        keeping, most = self.actions_by_name["predictions"], preferences.predictions_limit
        keeping.setCheckable(True)
        keeping.setChecked(preferences.keep_predictions)
        keeping.setToolTip(f"At most {most} MiB in a project; the oldest are deleted first.")
        menu.setToolTipsVisible(True)
        self.button.setMenu(menu)
        self.recover = ElidedButton()
        self.recover.setObjectName("recover")
        self.recover.clicked.connect(self._recover)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.name, 1)
        row.addWidget(self.button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.recover)
        self.last: Path | None = None
        self.controller.changed.connect(self.refresh)
        start_worker(
            last_project, unsaved_folder(), on_result=self._offer, on_error=lambda error: show_error(str(error)),
            owner=self,
        )  # fmt: skip
        listen(session.project_changed, self.refresh)
        self.refresh()

    def _offer(self, last: Path | None) -> None:
        """Offer the project that was open last."""
        self.last = last
        self.refresh()

    def refresh(self) -> None:
        """Show how things stand."""
        project = self.controller.project
        if project is None:
            text, tip = "No project", "Corrections are kept by themselves; a project keeps them where you choose."
        elif self.controller.is_scratch:
            text, tip = "Kept, not in a project yet", f"In {project.folder}. Choose “New project …” to give it a place."
        else:
            text, tip = project.file.name, str(project.folder)
            self.last = project.folder
        if project is not None and project.writer.error:
            text, tip = f"⚠ {text} cannot be written", project.writer.error
        chosen = project is not None and not self.controller.is_scratch
        self.name.setText(text)
        self.name.setStyleSheet("font-weight: bold" if chosen else "")
        self.name.setToolTip(tip)
        self.button.setEnabled(not self.job.running)  # one change of the project at a time
        for name in ("import", "labels", "relink", "close"):
            self.actions_by_name[name].setEnabled(chosen)
            self.actions_by_name[name].setToolTip("" if chosen else "For a project: make or open one first.")
        self.actions_by_name["elsewhere"].setEnabled(project is not None)
        left = recoverable_projects() if project is None else []
        self.recover.setVisible(bool(left))
        if left:
            source, day = kept_from(left[0]), left[0].name[:16].replace(".", ":")
            self.recover.setText(f"Go on with {f'“{source.name}”' if source else 'the work'} of {day}")
            why = f"could not be written to {source}" if source else "was never put into a project"
            self.recover.setToolTip(f"It {why}, and is kept in {left[0]}.")
        elif project is None and self.last is not None:
            self.recover.setText(f"Open “{self.last.name}” again")
            self.recover.setToolTip(f"The project in {self.last}, which was open last.")
            self.recover.setVisible(True)

    def _guarded(self, job: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                job()
            except UserError as error:
                show_error(str(error))

        return run

    def _folder(self, title: str) -> Path | None:
        chosen = QFileDialog.getExistingDirectory(self, title, preferences.project_folder)
        if not chosen:
            return None
        preferences.project_folder = str(Path(chosen).parent)
        return Path(chosen)

    def _new_folder(self, title: str, action: str) -> Path | None:
        """Ask for a folder to be made, beside the images' one at first."""
        images = next((entry.path.parent for entry in self.session.images), None)
        inside = Path(preferences.project_folder) if images is None else images.parent
        name = "Leaves" if images is None or not images.name else f"{images.name} leaves project"
        free = (f"{name} {number}" for number in itertools.count(2))
        while (inside / name).exists():
            name = next(free)
        folder = ask_new_folder(self, title, action, inside, name)
        if folder is not None:
            preferences.project_folder = str(folder.parent)
        return folder

    def _new(self) -> None:
        folder = self._new_folder("New project", "Create")
        if folder is None:
            return
        if self.controller.is_scratch:
            events = self.controller.copy_elsewhere(folder, folder.name)
            self.copier.start(events, folder, self.controller.leave_scratch)
        else:
            self.controller.create(folder)

    def _open(self) -> None:
        folder = self._folder("The project's folder")
        if folder is not None:
            self.open(folder)

    def open(self, folder: Path) -> None:
        """Open a project; ask where another computer seems to have it open, tell why where it cannot be opened.

        What a batch wrote is opened as a project of its own.
        """
        place = experiment_project(folder)
        if place is not None:
            self._start(lambda: self._open_made(place), None, experiment_job, folder)
            return
        self.controller.switch(folder, refused=lambda error: self._refused(folder, error))

    def _open_made(self, place: Path) -> None:
        if self._error is None and (place / "project.json").exists():
            self.controller.switch(place)

    def _refused(self, folder: Path, error: Exception) -> None:
        if not isinstance(error, ProjectLocked) or error.owner.host == error.owner.me().host:
            show_error(str(error))
            return
        question = f"{error}\n\nIf you know that it is not open there any more, open it here?"
        if QMessageBox.question(self, "Open elsewhere", question) == QMessageBox.StandardButton.Yes:
            self.controller.switch(folder, force=True)

    def open_kept(self, folder: Path) -> None:
        """Open what an earlier session left in the safety folder."""
        self.controller.switch(folder, is_scratch=True)

    def _recover(self) -> None:
        left = recoverable_projects()
        if left:
            self.open_kept(left[0])
        elif self.last is not None:
            self.open(self.last)

    def _import(self) -> None:
        folder = self._folder("The folder of images with label images")
        if folder is None or self.controller.project is None:
            return
        verified = ask_verified(self, "Label images")
        if verified is not None:
            self._take_masks(folder, verified, False)

    def _take_masks(self, folder: Path, verified: bool, replace: bool) -> None:
        project = self.controller.project
        if project is None:
            return

        def again(error: Exception) -> None:
            if isinstance(error, ImportIncomplete) and error.fewer and self._may_replace(error):
                self._take_masks(folder, verified, True)

        events = import_masks(project, folder, verified, replace)
        self._start(self._imported, again, transfer_job, events, "images taken in")

    def _may_replace(self, error: ImportIncomplete) -> bool:
        question = "\n".join([*error.fewer[:10], "", "Replace what the project has all the same?"])
        answer = QMessageBox.question(self, "Fewer leaves than before", question)
        return answer == QMessageBox.StandardButton.Yes

    def _import_labels(self) -> None:
        files, _ = QFileDialog.getOpenFileNames(
            self,
            "Labels of images in this project",
            preferences.project_folder,
            f"Labels ({' '.join(f'*{suffix}' for suffix in readable_suffixes())})",
        )
        if not files or self.controller.project is None:
            return
        verified, paths = ask_verified(self, "Labels"), [Path(file) for file in files]
        if verified is None:
            return
        start_worker(
            list_classes, paths, owner=self,
            on_result=lambda counts: self._choose_classes(paths, verified, counts),
            on_error=lambda error: show_error(str(error)),
        )  # fmt: skip

    def _choose_classes(self, paths: list[Path], verified: bool, counts: Mapping[str, int]) -> None:
        """Ask which classes are leaves where there are several, then take the labels in."""
        classes: set[str] | None = None
        if len(counts) > 1:
            dialog = ClassDialog(counts, self)
            if not dialog.exec():
                return
            classes = dialog.classes()
        self._take_labels(paths, verified, classes, False)

    def _take_labels(
        self, paths: list[Path], verified: bool, classes: set[str] | None, replace: bool, image: str = ""
    ) -> None:
        project = self.controller.project
        if project is None:
            return

        def again(error: Exception) -> None:
            if not isinstance(error, ImportIncomplete):
                return
            if error.fewer and self._may_replace(error):
                self._take_labels(paths, verified, classes, True, image)
            elif error.unmatched == paths and len(paths) == 1 and not image:
                names = [ref.id for ref in project.images]
                title, question = "Labels of which image?", f"{paths[0].name} is named after none of the images."
                name, chosen = QInputDialog.getItem(self, title, question, names, 0, False)
                if chosen:
                    self._take_labels(paths, verified, classes, replace, name)

        reopen = self._reopening(project.folder)
        job = import_labels_job, project.folder, paths, verified, classes, replace, image
        # what is on the screen is written first, and read again afterwards
        self.controller.leave(lambda: self._start(reopen, again, *job))

    def _reopening(self, folder: Path) -> Callable[[], None]:
        """What opens a project again and shows the image that is shown now."""
        focus = self.session.focus()
        entry = None if focus is None else self.session.entry_of(focus)

        def show_again() -> None:
            again = None if entry is None else self.session.entry_at(entry.path)
            if again is not None:
                self.session.image_wanted.emit(again)

        return lambda: self.controller.switch(folder, then=show_again)

    def _imported(self) -> None:
        if self.controller.project is not None:
            self.controller.leave(self._reopening(self.controller.project.folder))

    def export(self) -> None:
        """Ask what to export, and do so; one dialog at a time."""
        dialog = next((one for one in self.findChildren(ExportDialog) if one.isVisible()), None)
        if dialog is None:
            dialog = ExportDialog(self.session, self)
            dialog.finished.connect(dialog.deleteLater)
            dialog.show()
        dialog.raise_()
        dialog.activateWindow()

    def _start(
        self, then: Callable[[], None] | None, again: Callable[[Exception], None] | None, job: Any, *values: Any
    ) -> None:
        """Run a job; `then` is called when it ended, however it did, `again` last, with its error."""
        self._then, self._again, self._error = then, again, None
        self._notes = []
        self.job.start(job, *values)

    def _progress(self, told: tuple[TransferEvent, str]) -> None:
        event, what = told
        self._notes.extend(event.notes)
        self.button.setEnabled(False)
        self.name.setText(f"{event.done} of {event.total}: {event.name}")
        if event.done == event.total:
            show_info("\n".join([f"{event.total} {what}.", *self._notes[:10]]))

    def _failed(self, error: Exception) -> None:
        show_error("\n".join([str(error), *self._notes[:10], *getattr(error, "notes", ())]))
        self._error = error

    def _ended(self) -> None:
        then, again, error = self._then, self._again, self._error
        self._then = self._again = None
        if then is not None:
            then()
        self._error = None
        self.refresh()
        if error is not None and again is not None:
            again(error)

    def _relink(self) -> None:
        folder = self._folder("The folder that the images were moved to")
        if folder is not None and self.controller.project is not None:
            project, reopen = self.controller.project, self._reopening(self.controller.project.folder)

            def told(counts: tuple[int, int]) -> None:
                show_info(f"{counted(counts[0], 'image')} found again, {counts[1]} still missing.")
                if project is self.controller.project:
                    self.controller.leave(reopen)

            start_worker(_relink, project, folder, on_result=told, on_error=lambda e: show_error(str(e)), owner=self)

    def _elsewhere(self) -> None:
        folder = self._new_folder("Save elsewhere", "Save")
        if folder is not None:
            self.copier.start(self.controller.copy_elsewhere(folder), folder, self.controller.go_on_in)

    def _keep_predictions(self) -> None:
        preferences.keep_predictions = self.actions_by_name["predictions"].isChecked()

    def _close(self) -> None:
        self.controller.leave()


def _relink(project: Project, folder: Path) -> tuple[int, int]:
    """Find moved images; count those that were found, and those still missing."""
    return len(project.relink(folder)), len(project.missing())
