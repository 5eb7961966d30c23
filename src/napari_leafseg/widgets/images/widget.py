"""The *Images* dock widget: the images of an experiment as a list with thumbnails and states."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Image
from napari.utils.notifications import show_error, show_info, show_warning
from napari.viewer import ViewerModel
from qtpy.compat import isalive
from qtpy.QtCore import QModelIndex, QPoint
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_leafseg._counts import counted
from napari_leafseg._files import RealPlaces
from napari_leafseg.io import IMAGE_ENDINGS, ChannelsNeeded, FoundImages, LoadedImage, find_images
from napari_leafseg.widgets.common.background_run import BackgroundRun
from napari_leafseg.widgets.common.controls import allow, burst_timer, present
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.images.actions import RowActions
from napari_leafseg.widgets.images.channels_dialog import ChannelsDialog
from napari_leafseg.widgets.images.form import ImagesForm
from napari_leafseg.widgets.images.jobs import load_job
from napari_leafseg.widgets.images.survey import Survey
from napari_leafseg.widgets.images.triage import ContactSheet
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.image_record import ListedImage, ReviewState
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.napari_private import changed_at_once, leave_sides_to_docks
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.session import KEY
from napari_leafseg.widgets.state.view import camera_state, fit_plant
from napari_leafseg.widgets.state.workers import answer_or_start

_FOLDERS = 8  # remembered


class ImagesWidget(ImagesForm):
    """Adds files and folders, shows one image at a time.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari fills it in by this name.
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.session.wanted = None
        self._loading: ListedImage | None = None
        self._choices: dict[Path, tuple[tuple[str, ...], int]] = {}  # channels and planes to choose from
        self._ask_about: ListedImage | None = None
        self._camera: tuple[float, ...] = ()
        self._looking = 0  # how often somebody waits for a folder to be looked into
        self.loader = JobRunner(self)
        self.loader.result.connect(self._loaded)
        self.loader.failed.connect(self._load_failed)
        self.loader.finished.connect(self._load_ended)
        self.thumbnails.failed.connect(self._fail)
        self.survey = Survey(self.session, self)
        self.survey.learned.connect(self.session.images_changed.emit)
        self.actions_of_rows = RowActions(self.session, self)
        self.sheet: ContactSheet | None = None
        self._soon = burst_timer(self, self._refresh_rows)
        self._connect()
        self.setAcceptDrops(True)
        self.listen(self.session.images_changed, self._refresh)
        self.listen(self.session.image_wanted, self.go_to)
        self.listen(self.session.step_wanted, self._step_or_tell)
        self.listen(self.session.layer_state_changed, self._labels_changed)
        self.listen(self.session.labels_bound, self._labels_arrived)
        BackgroundRun.of(self.session).touched.connect(self.rows.show)
        self.controller.opened.connect(self._project_opened)
        self.controller.changed.connect(self._refresh_empty)
        for key, by in (("PageDown", 1), ("PageUp", -1)):  # napari's preferences cannot name these keys
            self.viewer.bind_key(key, lambda _viewer, by=by: self._step_by_key(by), overwrite=True)
        self._refresh_rows()
        self.survey.look(list(self.session.images))

    def _connect(self) -> None:
        self.add_files.clicked.connect(self._ask_files)
        self.add_folder.clicked.connect(self._ask_folder)
        self.filter_box.textChanged.connect(self._filter)
        self.order_box.currentIndexChanged.connect(lambda _index: self._sort())
        self.sheet_button.clicked.connect(self.show_sheet)
        self.previous_button.clicked.connect(lambda: self.step(-1))
        self.next_button.clicked.connect(lambda: self.step(1))
        self.list.customContextMenuRequested.connect(self._menu)
        self.list.removal_wanted.connect(lambda: self.actions_of_rows.remove(self.list.chosen()))
        present(self.list.selectionModel()).currentChanged.connect(self._current_changed)
        self.list.clicked.connect(lambda _index: self._row_chosen())  # also when its layer was deleted
        self.empty.folder_wanted.connect(lambda folder: self.add([folder]))
        self.empty.project_wanted.connect(self.project_bar.open)
        self.empty.kept_wanted.connect(self.project_bar.open_kept)

    # -- adding ------------------------------------------------------------------------------------------------------

    def _ask_files(self) -> None:
        endings = " ".join(f"*{ending} *{ending.upper()}" for ending in IMAGE_ENDINGS)
        files, _ = QFileDialog.getOpenFileNames(self, "Add images", preferences.images_folder, f"Images ({endings})")
        self.add(files)

    def _ask_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Add the images of a folder", preferences.images_folder)
        if folder:
            self.add([folder])

    def add(self, paths: Iterable[str | Path]) -> None:
        """Add files and folders, looked into in a thread; those that are in the list already are not added twice."""
        wanted = list(paths)
        if not wanted:
            return
        answer_or_start(
            find_images, wanted, on_result=self._take, owner=self, on_wait=self._wait_for_images,
            on_error=lambda error: show_error(str(error)),
        )  # fmt: skip

    def _wait_for_images(self, waits: bool) -> None:
        self._looking += 1 if waits else -1
        self._show_position()

    def _take(self, images: FoundImages) -> None:
        """List images that were found."""
        if images.left_out:
            show_warning(images.sentence())
        found = images.paths
        places = RealPlaces()
        known = {places.of(entry.path) for entry in self.session.images}
        new = list({places.of(path): path for path in found if places.of(path) not in known}.values())
        if not new:
            return
        added = [ListedImage(path) for path in new]
        self.session.images.extend(added)
        self.controller.add_images()
        self._remember_folder(new[0].parent)
        self.survey.look(added)
        self.session.images_changed.emit()
        self._refresh_rows()
        self.go_to(added[0])

    @staticmethod
    def _remember_folder(folder: Path) -> None:
        preferences.images_folder = str(folder)
        others = [other for other in preferences.recent_folders if other != str(folder)]
        preferences.recent_folders = [str(folder), *others][:_FOLDERS]

    def dragEnterEvent(self, event: Any) -> None:
        """Take files that are dragged here."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Add dropped files and folders."""
        self.add([url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()])

    # -- showing -----------------------------------------------------------------------------------------------------

    def _project_opened(self) -> None:
        """List the images of a project that was opened."""
        self.thumbnails.forget()
        self.session.wanted = None
        self._refresh_rows()
        self.survey.restart()
        if self.rows.entries:
            self.go_to(self.rows.entries[0])

    def _refresh(self) -> None:
        """Show new states soon; new or missing images at once."""
        if len(self.session.images) != len(self.rows.entries) and not self.rows.words:
            self._refresh_rows()
        else:
            self._soon.start()

    def _refresh_rows(self) -> None:
        self.survey.look_for_jumps()
        before = self.list.currentIndex()
        self.rows.refresh()
        if before.isValid() and not self.list.currentIndex().isValid() and self.rows.entries:
            self.list.setCurrentRow(min(before.row(), self.list.count() - 1))  # the current one was removed
        self.searching.setVisible(bool(self.session.images))
        self.stack.setCurrentWidget(self.list if self.session.images else self.empty)
        if not self.session.images:
            self._refresh_empty()
        self._show_position()

    def _refresh_empty(self) -> None:
        if not self.session.images:
            self.empty.refresh()

    def _labels_changed(self, layer: Image) -> None:
        """Labels on the screen are others now: draw the row's thumbnail again, once they have come to rest."""
        entry = self.session.entry_of(layer)
        if entry is not None:
            entry.version += 1
            self._soon.start()

    def _fail(self, entry: ListedImage, message: str) -> None:
        entry.error = message
        self.session.images_changed.emit()

    def _show_position(self) -> None:
        total, row = self.list.count(), self.list.currentRow()
        place = f"{row + 1} of {total}" if total and row >= 0 else ""
        if not total and self.session.images:
            place = f"None of {counted(len(self.session.images), 'image')} fits"
        self.position.setText("Looking for images …" if self._looking else place)
        self.allow_export()
        allow(self.previous_button, "" if row > 0 else "This is the first image." if total else "The list is empty.")
        allow(self.next_button, "" if row < total - 1 else "This is the last image." if total else "The list is empty.")

    def _sort(self) -> None:
        preferences.image_order = self.order_box.currentData()
        self.rows.sort_by(preferences.image_order)
        self._keep_in_view()

    def _filter(self, words: str) -> None:
        self.rows.filter_by(words)
        self._keep_in_view()

    def _keep_in_view(self) -> None:
        shown = self.session.wanted
        if shown is not None and self.rows.row_of(shown) >= 0:
            self.list.go_to(shown)
        self._show_position()

    def show_sheet(self) -> None:
        """Show the contact sheet below the canvas; hide it where it is there."""
        if self.sheet is None:
            self.sheet = ContactSheet(self.session, self.thumbnails, lambda: str(self.viewer.theme))
            leave_sides_to_docks(self.viewer)
            self.viewer.window.add_dock_widget(self.sheet, name="Contact sheet", area="bottom")
            return
        dock = present(self.sheet.parentWidget())
        dock.setVisible(not dock.isVisible())

    # -- choosing ----------------------------------------------------------------------------------------------------

    def step(self, by: int) -> None:
        """Go to the next or previous image."""
        row = self.list.currentRow() + by
        if 0 <= row < self.list.count():
            self.list.setCurrentRow(row)

    def _step_by_key(self, by: int) -> None:
        if isalive(self):
            self.step(by)

    def _step_or_tell(self, by: int) -> None:
        if not 0 <= self.list.currentRow() + by < self.list.count():
            left = sum(entry.review is not ReviewState.DONE for entry in self.session.images)
            more = f" {counted(left, 'image')} not reviewed yet." if left else ""
            show_info(f"That was the last image of the list.{more}")
        self.step(by)

    def go_to(self, entry: ListedImage) -> None:
        """Show an image; a filter that hides it is given up."""
        if not self.list.go_to(entry):
            self.filter_box.clear()
            self.rows.arrange()
            self.list.go_to(entry)
        self._row_chosen()

    def _current_changed(self, _now: QModelIndex, _before: QModelIndex) -> None:
        """A method: a function, which only Qt knows of, would keep this widget for ever."""
        self._row_chosen()

    def _row_chosen(self) -> None:
        self._show_position()
        entry, wanted = self.list.entry(), self.session.wanted
        layer = None if entry is None else self.session.layer_of(entry)
        if entry is None or (entry is wanted and (layer is not None or self.loader.running or entry.error)):
            return
        self.session.wanted = entry
        if layer is not None:
            self._show_only(layer)
        elif not self.loader.running:
            self._load(entry)

    def _load(self, entry: ListedImage) -> None:
        self._loading = entry
        self.loader.start(load_job, entry.path, self.session.read_options)

    def _loaded(self, image: LoadedImage) -> None:
        entry = self._loading
        if entry is None or entry not in self.session.images:
            return  # another project was opened meanwhile
        entry.sha256, entry.reading, entry.error, entry.missing = image.sha256, image.options, "", False
        array, rgb = layers.displayed(image.array)
        self._choices[entry.path] = (image.channels, image.planes)
        for note in image.notes:
            show_info(f"{entry.path.name}: {note}")
        layer = Image(array, name=entry.path.stem, rgb=rgb)
        self.session.bind(layer, entry)
        wanted = entry is self.session.wanted
        with changed_at_once(self.viewer):
            self.viewer.add_layer(layer)
            self.session.image_loaded.emit(layer)
            if wanted:
                self._leave_others(layer)
        if wanted:
            self._show_only(layer)

    def _load_failed(self, error: Exception) -> None:
        entry = self._loading
        assert entry is not None
        if isinstance(error, ChannelsNeeded):
            names = error.names or tuple(str(number) for number in range(1, error.count + 1))
            self._choices[entry.path] = (names, 0)
            entry.error = str(error)  # until somebody answered
            self._ask_about = entry
            return
        self._report(error)
        self._fail(entry, str(error))

    def _menu(self, place: QPoint) -> None:
        """Offer what can be done with the selected images."""
        entries = self.list.chosen()
        names, planes = self._choices.get(entries[0].path, ((), 0)) if len(entries) == 1 else ((), 0)
        ask = partial(self._ask_channels, entries[0]) if names or planes > 0 else None
        menu = self.actions_of_rows.menu(entries, ask)
        menu.exec(present(self.list.viewport()).mapToGlobal(place))

    def _ask_channels(self, entry: ListedImage) -> bool:
        """Ask how images like this one are read, and read them again; False where nobody answered."""
        names, planes = self._choices[entry.path]
        plain = tuple(str(number) for number in range(1, len(names) + 1))
        dialog = ChannelsDialog(
            entry.path.name, len(names), () if names == plain else names, planes, self.session.read_options, self
        )
        if dialog.exec() != ChannelsDialog.DialogCode.Accepted:
            return False
        self.session.choose_read_options(dialog.chosen())
        entry.error = ""
        layer = self.session.layer_of(entry)
        if layer is not None:
            layers.remove_image(self.session, layer)
        self.session.wanted = entry
        if not self.loader.running:
            self._load(entry)
        self.thumbnails.forget(entry)
        self._soon.start()
        return True

    @staticmethod
    def _report(error: Exception) -> None:
        show_error(str(error))

    def _load_ended(self) -> None:
        self._loading = None
        asked, self._ask_about = self._ask_about, None
        if asked is not None:
            if self._ask_channels(asked):
                return  # it is being read again
            show_error(asked.error)
            self._fail(asked, asked.error)
        wanted = self.session.wanted
        if wanted is not None and not wanted.error and self.session.layer_of(wanted) is None:
            self._load(wanted)

    def _show_only(self, layer: Image) -> None:
        """Show one image with what belongs to it; the list's other images leave the screen, kept by the project."""
        self._leave_others(layer)
        for other in self.viewer.layers:
            if other is layer or self.session.belongs(other, layer):
                other.visible = True
            elif KEY in other.metadata or self.session.entry_of(other) is not None:
                other.visible = False
        self.viewer.layers.selection.active = layer
        self._fit(layer)

    def _leave_others(self, layer: Image) -> None:
        known = [other for other in self.session.image_layers() if self.session.entry_of(other) is not None]
        left = [other for other in known if other is not layer and self.controller.can_leave(other)]
        if left:
            with changed_at_once(self.viewer):
                for other in left:
                    layers.remove_image(self.session, other)

    def _fit(self, layer: Image) -> None:
        """Bring the plant into view."""
        fit_plant(self.session, layer)
        self._camera = camera_state(self.viewer)

    def _labels_arrived(self, binding: LabelsBinding) -> None:
        """Bring the plant into view once its leaves are known, where nobody moved the view meanwhile."""
        if binding.image.visible and self._camera == camera_state(self.viewer):
            self._fit(binding.image)

    def closeEvent(self, event: Any) -> None:
        """Stop what runs when the widget is closed."""
        self.session.wanted = None
        self.survey.stop()
        self.thumbnails.stop()
        self.loader.stop()
        super().closeEvent(event)
