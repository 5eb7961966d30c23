"""The list's view: its rows are few or ten thousand, and only those in view cost anything."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QModelIndex, QRect, Qt, QTimer, Signal
from qtpy.QtWidgets import QAbstractItemView, QListView, QWidget

from napari_leafseg.widgets.images.paint import RowDelegate
from napari_leafseg.widgets.images.rows import ENTRY, ImageRows
from napari_leafseg.widgets.images.thumbnails import Thumbnails
from napari_leafseg.widgets.state.image_record import ListedImage

_SOON = 30  # milliseconds until what came into view is asked for


class ImageView(QListView):
    """Show images as rows or cells, and ask for the thumbnails of those in view.

    Parameters
    ----------
    rows : ImageRows
    thumbnails : Thumbnails

    Signals
    -------
    in_view()
        Other images came into view.
    """

    in_view = Signal()

    def __init__(self, rows: ImageRows, thumbnails: Thumbnails, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows, self.thumbnails = rows, thumbnails
        self.setModel(rows)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SOON)
        self._soon.timeout.connect(self._ask)
        bar = self.verticalScrollBar()
        assert bar is not None
        bar.valueChanged.connect(self._scrolled)
        rows.layoutChanged.connect(self._soon.start)
        rows.dataChanged.connect(self._soon.start)
        thumbnails.made.connect(self._redraw)

    def _scrolled(self, _value: int) -> None:
        if not self._soon.isActive():  # while one scrolls on and on, too
            self._soon.start()

    def entries_in_view(self) -> list[ListedImage]:
        """List the images in view, and some below."""
        viewport = self.viewport()
        assert viewport is not None
        found = []
        for row in range(self._first_row(viewport.rect()), self.rows.rowCount()):
            index = self.rows.index(row)
            if self.visualRect(index).top() > viewport.height() + 200:
                break
            found.append(index.data(ENTRY))
        return found

    def _first_row(self, area: QRect) -> int:
        """Find the first row in view."""
        low, high = 0, self.rows.rowCount()
        while low < high:
            middle = (low + high) // 2
            if self.visualRect(self.rows.index(middle)).bottom() < area.top():
                low = middle + 1
            else:
                high = middle
        return low

    def _ask(self) -> None:
        self.thumbnails.want(self, self.entries_in_view() if self.rows.entries else [])
        self.in_view.emit()

    def _redraw(self, entry: ListedImage) -> None:
        row = self.rows.row_of(entry)
        if row >= 0:
            self.update(self.rows.index(row))

    # -- choosing ----------------------------------------------------------------------------------------------------

    def entry(self) -> ListedImage | None:
        """Return the current image."""
        index = self.currentIndex()
        return index.data(ENTRY) if index.isValid() else None

    def chosen(self) -> list[ListedImage]:
        """List the selected images, in order."""
        selection = self.selectionModel()
        assert selection is not None
        return [index.data(ENTRY) for index in sorted(selection.selectedIndexes(), key=QModelIndex.row)]

    def go_to(self, entry: ListedImage | None) -> bool:
        """Make an image the current one and bring it into view; False where it has no row."""
        row = self.rows.row_of(entry)
        if row < 0:
            return False
        if self.entry() is not entry:
            self.setCurrentIndex(self.rows.index(row))
        self.scrollTo(self.rows.index(row))
        return True

    def resizeEvent(self, event: Any) -> None:
        """Keep the current image in view."""
        super().resizeEvent(event)
        if self.currentIndex().isValid():
            self.scrollTo(self.currentIndex())
        self._soon.start()

    def showEvent(self, event: Any) -> None:
        """Ask for what is in view."""
        super().showEvent(event)
        self._soon.start()


class ImageListView(ImageView):
    """The list: one row for each image, several may be selected.

    Signals
    -------
    removal_wanted()
        *Delete* was pressed.
    """

    removal_wanted = Signal()

    def __init__(self, rows: ImageRows, thumbnails: Thumbnails, theme: Any, parent: QWidget | None = None) -> None:
        super().__init__(rows, thumbnails, parent)
        self.setObjectName("image_list")
        self.setItemDelegate(RowDelegate(thumbnails.image, theme, self))
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)

    def keyPressEvent(self, event: Any) -> None:
        """Remove the selected images with *Delete*."""
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.chosen():
            self.removal_wanted.emit()
            return
        super().keyPressEvent(event)

    def count(self) -> int:
        """Return how many rows there are."""
        return self.rows.rowCount()

    def currentRow(self) -> int:
        """Return the current row; -1 where there is none."""
        return self.currentIndex().row()

    def setCurrentRow(self, row: int) -> None:
        """Make a row the current one."""
        self.setCurrentIndex(self.rows.index(row))

    def text(self, row: int) -> str:
        """Return what a row says."""
        return str(self.rows.index(row).data())
