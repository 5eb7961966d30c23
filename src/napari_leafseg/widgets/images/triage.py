"""The contact sheet: all segmented plants with their outlines, what needs a look first."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QModelIndex, QSize, Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QListView, QVBoxLayout, QWidget

from napari_leafseg._counts import counted
from napari_leafseg.widgets.common.controls import burst_timer, listen
from napari_leafseg.widgets.common.elided import ElidedLabel
from napari_leafseg.widgets.images.list_view import ImageView
from napari_leafseg.widgets.images.paint import CELL, CellDelegate
from napari_leafseg.widgets.images.rows import ENTRY, ImageRows, warnings
from napari_leafseg.widgets.images.thumbnails import Thumbnails
from napari_leafseg.widgets.state.image_record import ListedImage, ReviewState
from napari_leafseg.widgets.state.session import Session

_SHOWN = {
    "all": "All segmented images",
    "open": "Not reviewed yet",
    "flagged": "Count jumps or touches the border",
}
_UNSURE = 0.3


class ContactSheet(QWidget):
    """Show plants, the least certain first; a click goes to the image.

    Parameters
    ----------
    session : Session
    thumbnails : Thumbnails
    theme : callable
        Gives the name of napari's theme.
    """

    def __init__(
        self, session: Session, thumbnails: Thumbnails, theme: Callable[[], str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("contact_sheet")
        self.session = session
        self.shown_box = QComboBox()
        self.shown_box.setObjectName("sheet_shown")
        for name, title in _SHOWN.items():
            self.shown_box.addItem(title, name)
        self.order_box = QComboBox()
        self.order_box.setObjectName("sheet_order")
        for name, title in (("confidence", "Least certain first"), ("name", "Name"), ("date", "Date")):
            self.order_box.addItem(title, name)
        self.words = ElidedLabel()
        self.words.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)  # type: ignore[arg-type]
        self.rows = ImageRows(session, "confidence", self._wanted, self)
        self.view = ImageView(self.rows, thumbnails)
        self.view.setObjectName("sheet")
        self.view.setViewMode(QListView.ViewMode.IconMode)
        self.view.setMovement(QListView.Movement.Static)
        self.view.setResizeMode(QListView.ResizeMode.Adjust)
        self.view.setItemDelegate(CellDelegate(thumbnails.image, theme, self.view))
        self.view.setGridSize(QSize(CELL + 6, CELL + 50))
        self.view.setMinimumHeight(90)
        row = QHBoxLayout()
        row.addWidget(self.shown_box)
        row.addWidget(self.order_box)
        row.addWidget(self.words, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 4)
        column.addLayout(row)
        column.addWidget(self.view, 1)
        self._soon = burst_timer(self, self.refresh)
        listen(session.images_changed, self._changed)
        self.shown_box.currentIndexChanged.connect(lambda _index: self.refresh())
        self.order_box.currentIndexChanged.connect(lambda _index: self.rows.sort_by(self.order_box.currentData()))
        self.view.clicked.connect(self._clicked)
        self.view.activated.connect(self._clicked)
        self.refresh()

    def sizeHint(self) -> QSize:
        """Return the size at which a row of cells is seen as a whole."""
        hint = super().sizeHint()
        around = hint.height() - self.view.sizeHint().height() + 2 * self.view.frameWidth()
        return QSize(hint.width(), around + self.view.gridSize().height())

    def _wanted(self, entry: ListedImage) -> bool:
        if not entry.has_leaves:
            return False
        shown = self.shown_box.currentData()
        if shown == "open":
            return entry.review is not ReviewState.DONE
        return shown == "all" or bool(warnings(entry))

    def _changed(self) -> None:
        self._soon.start()

    def refresh(self) -> None:
        """Show what changed."""
        self.rows.refresh()
        entries = self.rows.entries
        unsure = sum(entry.confidence is not None and entry.confidence < _UNSURE for entry in entries)
        flagged = sum(bool(warnings(entry)) for entry in entries)
        self.words.setText(f"{counted(len(entries), 'image')} · {unsure} uncertain · {flagged} flagged" if entries else
                           "Nothing to show yet: run the images first.")  # fmt: skip

    def _clicked(self, index: QModelIndex) -> None:
        entry = index.data(ENTRY)
        if entry is not None:
            self.session.image_wanted.emit(entry)
