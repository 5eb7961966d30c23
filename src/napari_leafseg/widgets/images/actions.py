"""What can be done with the selected images of the list: its context menu and keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QInputDialog, QMenu, QMessageBox, QWidget

from napari_leafseg.errors import UserError
from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.pipelines.run_list import RunSettings
from napari_leafseg.project import Project
from napari_leafseg.project.background import mark_reviewed
from napari_leafseg.project.files import ImageRef
from napari_leafseg.project.removal import put_aside
from napari_leafseg.widgets.common.background_run import BackgroundRun, chosen_settings
from napari_leafseg.widgets.common.controls import present
from napari_leafseg.widgets.state.image_record import ListedImage, ReviewState
from napari_leafseg.widgets.state.layers import remove_image
from napari_leafseg.widgets.state.napari_private import changed_at_once
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session
from napari_leafseg.widgets.state.workers import start_worker


class RowActions(QObject):
    """Do something with images of the list.

    Parameters
    ----------
    session : Session
    parent : QWidget
        Of menus and questions.
    """

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self.session, self._window = session, parent
        self.controller, self.run = ProjectController.of(session), BackgroundRun.of(session)

    def menu(self, entries: list[ListedImage], ask_channels: Callable[[], Any] | None) -> QMenu:
        """Return the menu for images; `ask_channels` where the one image has channels or planes to choose from."""
        menu, many = QMenu(self._window), f" ({len(entries)})" if len(entries) > 1 else ""
        usable = [entry for entry in entries if not entry.error and not entry.missing]
        idle = not self.run.running

        def offer(words: str, action: Callable[[], Any], possible: bool) -> None:
            present(menu.addAction(words, action)).setEnabled(possible)

        can_run = idle and any(entry.review is not ReviewState.DONE for entry in usable)
        offer(f"Run{many}", partial(self.run_them, usable), can_run)
        offer("Same parameters as …", partial(self.run_like, usable), can_run and bool(self.sources(usable)))
        menu.addSeparator()
        unreviewed = any(entry.has_leaves and entry.review is not ReviewState.DONE for entry in usable)
        offer(f"Mark reviewed{many}", partial(self.mark_reviewed, usable), unreviewed)
        offer("Channels and planes …", ask_channels or (lambda: None), ask_channels is not None)
        menu.addSeparator()
        offer("Show in folder", partial(self.show_in_folder, entries), bool(entries))
        offer(f"Remove from the list{many}\tDel", partial(self.remove, entries), bool(entries) and idle)
        return menu

    # -- running -----------------------------------------------------------------------------------------------------

    def run_them(self, entries: list[ListedImage]) -> None:
        """Find the leaves of images as *Segment* says."""
        try:
            self.run.start(entries, chosen_settings(), True)
        except UserError as error:
            show_error(str(error))

    def sources(self, entries: list[ListedImage]) -> dict[str, dict[str, Any]]:
        """Return the records of other images whose leaves a model made, by name, the shown image first."""
        shown = self.session.focus()
        first = None if shown is None else self.session.entry_of(shown)
        others = [first, *(entry for entry in self.session.images if entry is not first)]
        found = {}
        for entry in others:
            record = {} if entry is None else _record(entry)
            if entry is not None and record.get("parameters") and (len(entries) != 1 or entry is not entries[0]):
                found[entry.path.name] = record
        return found

    def run_like(self, entries: list[ListedImage]) -> None:
        """Find the leaves of images with the model and parameters of another one."""
        found = self.sources(entries)
        name, chosen = QInputDialog.getItem(
            self._window, "Same parameters", "Find the leaves with the model and parameters of", list(found), 0, False
        )
        if not chosen:
            return
        record = found[name]
        model = str(record["model"]["name"])
        try:
            settable = {spec.name: spec for spec in describe_model(model).family.settable}
            values = {key: value for key, value in record["parameters"].items() if not settable[key].per_image}
            self.run.start(
                entries, RunSettings(model, chosen_settings().device, chosen_settings().tta, None, values), True
            )
        except UserError as error:
            show_error(str(error))

    # -- reviewing ---------------------------------------------------------------------------------------------------

    def mark_reviewed(self, entries: list[ListedImage]) -> None:
        """Lock all leaves of images, and mark these as reviewed."""
        closed = []
        for entry in entries:
            if entry.binding is not None:
                entry.binding.verify_all()
                self.controller.track(entry.binding)
                self.controller.set_state(entry.binding, "done")
            elif entry.facts is not None:
                closed.append(entry)
        project = self.controller.project
        if closed and project is not None:
            refs = [ref for ref in (project.find(entry.path) for entry in closed) if ref is not None]
            start_worker(
                _mark_job, project, refs, on_result=partial(self._marked, closed),
                on_error=lambda error: show_error(str(error)), owner=self,
            )  # fmt: skip
        self.session.images_changed.emit()

    def _marked(self, entries: list[ListedImage], opened: list[str]) -> None:
        for entry in entries:
            project = self.controller.project
            ref = None if project is None else project.find(entry.path)
            if ref is not None and ref.state == "done":
                entry.review, entry.version = ReviewState.DONE, entry.version + 1
        if opened:
            show_info(f"Not marked, as just being opened: {', '.join(opened)}. Mark them again.")
        self.session.images_changed.emit()

    # -- files -------------------------------------------------------------------------------------------------------

    @staticmethod
    def show_in_folder(entries: list[ListedImage]) -> None:
        """Open the folders of images in the system's file manager."""
        for folder in {entry.path.parent: None for entry in entries}:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    def remove(self, entries: list[ListedImage]) -> None:
        """Take images from the list; their files stay, and their leaves are put aside."""
        if not entries or self.run.running:
            return
        with_leaves = sum(entry.has_leaves for entry in entries)
        if with_leaves:
            question = (
                f"Images with leaves: {with_leaves} of {len(entries)}. The images' files stay where they are; the "
                "leaves are put aside, and come back when the image is added again. Remove them from the list?"
            )
            if QMessageBox.question(self._window, "Remove images", question) != QMessageBox.StandardButton.Yes:
                return
        shown = [layer for layer in map(self.session.layer_of, entries) if layer is not None]
        if shown:
            with changed_at_once(self.session.viewer):
                for layer in shown:
                    remove_image(self.session, layer)
        project = self.controller.project
        refs = [] if project is None else [ref for ref in map(project.find, (e.path for e in entries)) if ref]
        gone = set(entries)
        self.session.images[:] = [entry for entry in self.session.images if entry not in gone]
        self.session.images_changed.emit()
        if project is None or not refs:
            return
        start_worker(
            put_aside, project, refs, on_result=lambda _moved: project.forget(refs),
            on_error=lambda error: show_error(str(error)), owner=self,
        )  # fmt: skip


def _record(entry: ListedImage) -> dict[str, Any]:
    if entry.prediction is not None and entry.parameters:
        return entry.prediction.record(**entry.parameters)
    return {} if entry.facts is None else entry.facts.record


def _mark_job(project: Project, refs: list[ImageRef]) -> list[str]:
    """Mark images as reviewed; returns the names of those that somebody has open."""
    return [ref.id for ref in refs if not mark_reviewed(project, ref)]
