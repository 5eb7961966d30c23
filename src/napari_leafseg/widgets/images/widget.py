"""The *Images* dock widget: the images of an experiment as a list with thumbnails and states."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_error, show_info, show_warning
from napari.viewer import ViewerModel
from qtpy.QtCore import QPoint, QSize, Qt
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QStackedWidget,
    QWidget,
)

from napari_leafseg.errors import UserError
from napari_leafseg.io import IMAGE_ENDINGS, ChannelsNeeded, LoadedImage, find_images
from napari_leafseg.widgets.common.base import LeafsegWidget
from napari_leafseg.widgets.common.controls import present
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.images.channels_dialog import ChannelsDialog
from napari_leafseg.widgets.images.jobs import load_job, thumbnail_job
from napari_leafseg.widgets.images.project_bar import ProjectBar
from napari_leafseg.widgets.state.image_record import ListedImage, describe
from napari_leafseg.widgets.state.layers import displayed
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.session import KEY

THUMBNAIL = 56
NEXT_KEY, PREVIOUS_KEY = "PageDown", "PageUp"


class ImagesWidget(LeafsegWidget):
    """Adds files and folders, shows one image at a time.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari fills it in by this name.
    """

    object_name = "napari-leafseg-images"
    minimum_width = 260

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self._items: dict[Path, QListWidgetItem] = {}
        self._wanted: ListedImage | None = None
        self._loading: ListedImage | None = None
        self._choices: dict[Path, tuple[tuple[str, ...], int]] = {}  # channels and planes to choose from
        self._ask_about: ListedImage | None = None
        self.loader = JobRunner(self)
        self.loader.result.connect(self._loaded)
        self.loader.failed.connect(self._load_failed)
        self.loader.finished.connect(self._load_ended)
        self._without_thumbnail: list[Path] = []
        self.thumbnails = JobRunner(self)
        self.thumbnails.progress.connect(self._show_thumbnail)
        self.thumbnails.failed.connect(self._report)
        self.thumbnails.finished.connect(self._make_thumbnails)
        self._build()
        self.setAcceptDrops(True)
        self.listen(self.session.images_changed, self._refresh)
        self.listen(self.session.image_wanted, self._choose)
        self.controller.opened.connect(self._project_opened)
        self.bind_key(NEXT_KEY, lambda: self.step(1))
        self.bind_key(PREVIOUS_KEY, lambda: self.step(-1))
        self._refresh()

    def _build(self) -> None:
        column = self.column()
        self.project_bar = ProjectBar(self.session)
        column.addWidget(self.project_bar)
        self.add_files = QPushButton("Add files …")
        self.add_files.setObjectName("add_files")
        self.add_folder = QPushButton("Add folder …")
        self.add_folder.setObjectName("add_folder")
        self.add_files.clicked.connect(self._ask_files)
        self.add_folder.clicked.connect(self._ask_folder)
        row = QHBoxLayout()
        row.addWidget(self.add_files)
        row.addWidget(self.add_folder)
        column.addLayout(row)
        self.list = QListWidget()
        self.list.setObjectName("image_list")
        self.list.setIconSize(QSize(THUMBNAIL, THUMBNAIL))
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setUniformItemSizes(True)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.currentRowChanged.connect(self._row_chosen)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._menu)
        self.empty = QLabel("No images yet.\n\nAdd files or a folder,\nor drop them here.")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.list)
        column.addWidget(self.stack, 1)
        self.previous_button = QPushButton("◀ Previous")
        self.previous_button.setObjectName("previous")
        self.previous_button.setToolTip(f"Previous image ({PREVIOUS_KEY})")
        self.next_button = QPushButton("Next ▶")
        self.next_button.setObjectName("next")
        self.next_button.setToolTip(f"Next image ({NEXT_KEY})")
        self.previous_button.clicked.connect(lambda: self.step(-1))
        self.next_button.clicked.connect(lambda: self.step(1))
        self.position = QLabel()
        self.position.setAlignment(Qt.AlignmentFlag.AlignCenter)
        row = QHBoxLayout()
        row.addWidget(self.previous_button)
        row.addWidget(self.position, 1)
        row.addWidget(self.next_button)
        column.addLayout(row)

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
        """Add files and folders; those that are in the list already are not added twice."""
        try:
            images = find_images(paths)
        except UserError as error:
            show_error(str(error))
            return
        if images.left_out:
            show_warning(images.sentence())
        found = images.paths
        known = {entry.path for entry in self.session.images}
        new = [path for path in found if path not in known]
        if not new:
            return
        first = not self.session.images
        self.session.images.extend(ListedImage(path) for path in new)
        self.controller.add_images()
        preferences.images_folder = str(new[0].parent)
        self._without_thumbnail += new
        self._make_thumbnails()
        self.session.images_changed.emit()
        if first:
            self.list.setCurrentRow(0)

    def dragEnterEvent(self, event: Any) -> None:
        """Accept files."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Add dropped files and folders."""
        self.add([url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()])

    # -- showing -----------------------------------------------------------------------------------------------------

    def _project_opened(self) -> None:
        """List the images of a project that was opened."""
        self._items.clear()
        self.list.clear()
        self._refresh()
        self._without_thumbnail = [entry.path for entry in self.session.images]
        self.thumbnails.stop()  # those of the project before
        self._make_thumbnails()
        if self.session.images:
            self.list.setCurrentRow(0)

    def _refresh(self) -> None:
        self.stack.setCurrentWidget(self.list if self.session.images else self.empty)
        for entry in self.session.images:
            item = self._items.get(entry.path)
            if item is None:
                item = self._items[entry.path] = QListWidgetItem(self._blank(), "")
                item.setSizeHint(QSize(0, THUMBNAIL + 8))
                item.setToolTip(str(entry.path))
                self.list.addItem(item)
            item.setText(f"{entry.path.name}\n{describe(entry)}")
        self._show_position()

    @staticmethod
    def _blank() -> QIcon:
        pixmap = QPixmap(THUMBNAIL, THUMBNAIL)
        pixmap.fill(Qt.GlobalColor.transparent)
        return QIcon(pixmap)

    def _make_thumbnails(self) -> None:
        """Read what has no thumbnail yet; what is added meanwhile comes next."""
        if self._without_thumbnail and not self.thumbnails.running:
            paths, self._without_thumbnail = self._without_thumbnail, []
            self.thumbnails.start(thumbnail_job, paths, THUMBNAIL, self.session.read_options)

    def _show_thumbnail(self, result: tuple[Path, np.ndarray | str]) -> None:
        path, thumbnail = result
        if path not in self._items:
            return  # another project was opened meanwhile
        if isinstance(thumbnail, str):
            self._fail(path, thumbnail)
            return
        height, width = thumbnail.shape[:2]
        image = QImage(thumbnail.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()
        square = QPixmap(THUMBNAIL, THUMBNAIL)
        square.fill(Qt.GlobalColor.transparent)
        from qtpy.QtGui import QPainter

        painter = QPainter(square)
        painter.drawImage((THUMBNAIL - width) // 2, (THUMBNAIL - height) // 2, image)
        painter.end()
        self._items[path].setIcon(QIcon(square))

    def _fail(self, path: Path, message: str) -> None:
        entry = self.session.entry_at(path)
        if entry is not None:
            entry.error = message
            self._items[path].setToolTip(message)
        self.session.images_changed.emit()

    def _show_position(self) -> None:
        total, row = len(self.session.images), self.list.currentRow()
        self.position.setText(f"{row + 1} of {total}" if total and row >= 0 else "")
        self.previous_button.setEnabled(row > 0)
        self.next_button.setEnabled(row < total - 1)

    # -- choosing ----------------------------------------------------------------------------------------------------

    def step(self, by: int) -> None:
        """Go to the next or previous image."""
        row = self.list.currentRow() + by
        if 0 <= row < self.list.count():
            self.list.setCurrentRow(row)

    def _choose(self, entry: ListedImage) -> None:
        self.list.setCurrentRow(self.session.images.index(entry))

    def _row_chosen(self, row: int) -> None:
        self._show_position()
        if not 0 <= row < len(self.session.images):
            return
        entry = self.session.images[row]
        self._wanted = entry
        layer = self.session.layer_of(entry)
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
        array, rgb = displayed(image.array)
        self._choices[entry.path] = (image.channels, image.planes)
        for note in image.notes:
            show_info(f"{entry.path.name}: {note}")
        layer = Image(array, name=entry.path.stem, rgb=rgb)
        self.session.bind(layer, entry)
        self.viewer.add_layer(layer)
        self.session.image_loaded.emit(layer)
        if entry is self._wanted:
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
        self._fail(entry.path, str(error))

    def _menu(self, place: QPoint) -> None:
        """Offer to choose channels and plane of an image that has several."""
        row = self.list.row(self.list.itemAt(place))
        if not 0 <= row < len(self.session.images):
            return
        entry = self.session.images[row]
        names, planes = self._choices.get(entry.path, ((), 0))
        menu = QMenu(self)
        action = present(menu.addAction("Channels and planes …", lambda: self._ask_channels(entry)))
        action.setEnabled(bool(names) or planes > 0)
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
            for other in [
                other for other in self.viewer.layers if other is layer or self.session.belongs(other, layer)
            ]:
                self.viewer.layers.remove(other)
        self._wanted = entry
        if not self.loader.running:
            self._load(entry)
        self._without_thumbnail.append(entry.path)
        self._make_thumbnails()
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
            self._fail(asked.path, asked.error)
        wanted = self._wanted
        if wanted is not None and not wanted.error and self.session.layer_of(wanted) is None:
            self._load(wanted)

    def _show_only(self, layer: Image) -> None:
        """Show one image with what belongs to it; hide the list's other images and drop those without results."""
        for other in list(self.session.image_layers()):
            if other is layer or self.session.entry_of(other) is None:
                continue
            if self.session.labels_layer(other) is None:
                self.viewer.layers.remove(other)
        for other in self.viewer.layers:
            if other is layer or self.session.belongs(other, layer):
                other.visible = True
            elif KEY in other.metadata or self.session.entry_of(other) is not None:
                other.visible = False
        self.viewer.layers.selection.active = layer
        self.viewer.reset_view()

    def closeEvent(self, event: Any) -> None:
        """Stop what runs when the widget is closed."""
        self._without_thumbnail, self._wanted = [], None
        self.thumbnails.stop()
        self.loader.stop()
        super().closeEvent(event)
