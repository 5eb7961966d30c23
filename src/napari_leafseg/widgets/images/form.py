"""What the *Images* widget looks like."""

from __future__ import annotations

from napari.viewer import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QLineEdit, QStackedWidget, QWidget

from napari_leafseg.widgets.common.base import LeafsegWidget
from napari_leafseg.widgets.common.controls import allow, present, push_button
from napari_leafseg.widgets.common.run_all import RunStrip
from napari_leafseg.widgets.images.empty import EmptyPage
from napari_leafseg.widgets.images.list_view import ImageListView
from napari_leafseg.widgets.images.project_bar import ProjectBar
from napari_leafseg.widgets.images.rows import ORDERS, ImageRows
from napari_leafseg.widgets.images.thumbnails import Thumbnails
from napari_leafseg.widgets.state.preferences import preferences

_NO_LEAVES = "No image has leaves yet: press Run in Segment first."


class ImagesForm(LeafsegWidget):
    """Controls of the *Images* widget."""

    object_name = "napari-leafseg-images"
    minimum_width = 260

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.thumbnails = Thumbnails(self.session, self)
        column = self.column()
        self.project_bar = ProjectBar(self.session)
        column.addWidget(self.project_bar)
        self.add_files = push_button("add_files", "Add files …")
        self.add_folder = push_button("add_folder", "Add folder …")
        row = QHBoxLayout()
        row.addWidget(self.add_files)
        row.addWidget(self.add_folder)
        tip = "Labels of all images, those that are reviewed, or the one that is shown, in other programs' formats"
        self.export_button = push_button("export_labels", "Export …", self.project_bar.export, tip)
        row.addWidget(self.export_button)
        column.addLayout(row)
        self.searching = QWidget()
        self.searching.setLayout(self._search_row())
        column.addWidget(self.searching)
        self.rows = ImageRows(self.session, preferences.image_order, None, self)
        self.list = ImageListView(self.rows, self.thumbnails, lambda: str(self.viewer.theme))
        self.empty = EmptyPage()
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.list)
        column.addWidget(self.stack, 1)
        column.addWidget(RunStrip(self.session))
        column.addLayout(self._step_row())

    def _search_row(self) -> QHBoxLayout:
        self.filter_box = QLineEdit()
        self.filter_box.setObjectName("filter")
        self.filter_box.setPlaceholderText("Filter")
        self.filter_box.setToolTip("Words of the name or the state, such as “reviewed” or “failed”")
        self.filter_box.setClearButtonEnabled(True)
        self.order_box = QComboBox()
        self.order_box.setObjectName("order")
        self.order_box.setToolTip("What the list is sorted by")
        for name, title in ORDERS.items():
            self.order_box.addItem(title, name)
        self.order_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.order_box.setMinimumContentsLength(7)
        present(self.order_box.view()).setMinimumWidth(150)
        self.order_box.setCurrentIndex(max(0, self.order_box.findData(preferences.image_order)))
        tip = "Contact sheet: all plants with their outlines, the least certain first"
        self.sheet_button = push_button("contact_sheet_button", "▦", None, tip)
        self.sheet_button.setFixedWidth(34)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.filter_box, 1)
        row.addWidget(self.order_box)
        row.addWidget(self.sheet_button)
        return row

    def _step_row(self) -> QHBoxLayout:
        self.previous_button = push_button("previous", "◀ Previous", None, "Previous image (Page up)")
        self.next_button = push_button("next", "Next ▶", None, "Next image (Page down)")
        self.position = QLabel()
        self.position.setAlignment(Qt.AlignmentFlag.AlignCenter)
        row = QHBoxLayout()
        row.addWidget(self.previous_button)
        row.addWidget(self.position, 1)
        row.addWidget(self.next_button)
        return row

    def allow_export(self) -> None:
        """Switch exporting on where there is something to export."""
        there = any(entry.has_leaves for entry in self.session.images) or bool(list(self.session.bindings()))
        reason = "" if there else _NO_LEAVES if self.session.images else "Add images first."
        allow(self.export_button, reason)
        action = self.project_bar.actions_by_name["export"]
        action.setEnabled(there)
        action.setToolTip(reason)
