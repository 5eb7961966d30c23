"""What the *Correct* widget looks like; no steering here."""

from __future__ import annotations

from functools import partial

from napari.viewer import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_leafseg.editing.tools import TOOLS
from napari_leafseg.widgets.common.base import LeafsegWidget
from napari_leafseg.widgets.common.controls import set_tip
from napari_leafseg.widgets.common.elided import ElidedLabel

LEAF_ACTIONS = (
    ("delete", "Delete", "Delete the leaf under the mouse."),
    ("verify", "Verify / unlock", "Mark the leaf under the mouse as right, or unlock it again."),
    ("fill", "Fill holes", "Fill the holes of the leaf under the mouse."),
    ("smooth", "Smooth", "Round the outline of the leaf under the mouse."),
    ("largest", "Largest piece", "Keep only the largest piece of the leaf under the mouse."),
)
_REVIEW = (("previous", "◀"), ("accept", "✓ Accept"), ("discard", "✕ Delete"), ("next", "▶"))


class CorrectForm(LeafsegWidget):
    """Tools, undo, the review, and actions on one leaf, from top to bottom."""

    object_name = "napari-leafseg-correct"
    minimum_width = 320

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        column = self.column(scrolled=True)
        self.image_label = ElidedLabel()
        self.image_label.setObjectName("correct_image")
        self.image_label.setStyleSheet("font-weight: bold")
        column.addWidget(self.image_label)
        column.addWidget(self._tools())
        column.addLayout(self._history())
        self.room = QVBoxLayout()  # for what is offered after a correction
        column.addLayout(self.room)
        column.addWidget(self._review())
        column.addWidget(self._actions())
        self.legend = QLabel("◆ verified: sliders, new runs and other models leave it as it is.")
        self.legend.setWordWrap(True)
        column.addWidget(self.legend)
        column.addStretch(1)

    def _tools(self) -> QGroupBox:
        group = QGroupBox("Tools")
        column = QVBoxLayout(group)
        grid = QGridLayout()
        self.tool_buttons: dict[str, QPushButton] = {}
        for number, tool in enumerate(TOOLS):
            button = QPushButton()
            button.setObjectName(f"tool_{tool.name}")
            button.setCheckable(True)
            self.name_key(button.setText, tool.label, f"tool_{tool.name}")
            button.setToolTip(f"{tool.help} Choose it again to put it away.")
            grid.addWidget(button, number // 2, number % 2)
            self.tool_buttons[tool.name] = button
        column.addLayout(grid)
        row = QHBoxLayout()
        self.angle_label = QLabel("Growing angle")
        self.angle_slider = QSlider(Qt.Orientation.Horizontal)
        self.angle_slider.setObjectName("grow_angle_slider")
        self.angle_slider.setRange(5, 75)
        self.angle_box = QDoubleSpinBox()
        self.angle_box.setObjectName("grow_angle")
        self.angle_box.setDecimals(0)
        self.angle_box.setRange(5, 75)
        self.angle_box.setSuffix("°")
        self.angle_box.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.angle_box.setMinimumWidth(96)
        for widget in (self.angle_label, self.angle_slider, self.angle_box):
            widget.setToolTip("How far a leaf grows from a click; it follows while you turn the wheel with Shift held.")
        row.addWidget(self.angle_label)
        row.addWidget(self.angle_slider, 1)
        row.addWidget(self.angle_box)
        column.addLayout(row)
        self.hint = QLabel()
        self.hint.setObjectName("tool_hint")
        self.hint.setWordWrap(True)
        self.hint.setMinimumHeight(2 * self.hint.fontMetrics().height() + 4)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignTop)
        column.addWidget(self.hint)
        return group

    def _actions(self) -> QGroupBox:
        group = QGroupBox("Leaf under the mouse")
        grid = QGridLayout(group)
        self.action_buttons: dict[str, QPushButton] = {}
        for row, (name, label, help_text) in enumerate(LEAF_ACTIONS):
            text = QLabel()
            self.name_key(text.setText, label, f"leaf_{name}")
            text.setToolTip(help_text)
            grid.addWidget(text, row, 0)
            if name == "delete":
                continue
            button = QPushButton("Verify all" if name == "verify" else "All leaves")
            button.setObjectName(f"all_{name}")
            button.setToolTip(
                "Mark all leaves of this image as right."
                if name == "verify"
                else f"{label}: all leaves that are not verified."
            )
            grid.addWidget(button, row, 1)
            self.action_buttons[name] = button
        grid.setColumnStretch(0, 1)
        return group

    def _history(self) -> QHBoxLayout:
        self.undo_button, self.redo_button = QPushButton("↶ Undo"), QPushButton("↷ Redo")
        self.undo_button.setObjectName("undo")
        self.redo_button.setObjectName("redo")
        self.undo_button.setToolTip("Ctrl+Z")
        self.redo_button.setToolTip("Ctrl+Shift+Z")
        row = QHBoxLayout()
        row.addWidget(self.undo_button)
        row.addWidget(self.redo_button)
        return row

    def _review(self) -> QGroupBox:
        group = QGroupBox("Review, least certain first")
        column = QVBoxLayout(group)
        self.progress_label = QLabel()
        self.progress_label.setObjectName("review_progress")
        self.progress_label.setWordWrap(True)
        column.addWidget(self.progress_label)
        row = QHBoxLayout()
        row.addWidget(QLabel("Show"))
        self.filter_box = QComboBox()
        self.filter_box.setObjectName("review_filter")
        for label, value in (("not verified", "unverified"), ("verified", "verified"), ("all", "all")):
            self.filter_box.addItem(label, value)
        row.addWidget(self.filter_box, 1)
        column.addLayout(row)
        row = QHBoxLayout()
        self.review_buttons: dict[str, QToolButton | QPushButton] = {}
        for name, label in _REVIEW:
            button = QToolButton() if len(label) == 1 else QPushButton()
            button.setObjectName(f"review_{name}")
            if isinstance(button, QToolButton):
                button.setText(label)
            else:
                self.name_key(button.setText, label, f"review_{name}")
            self.name_key(partial(set_tip, button), f"{name.capitalize()} leaf", f"review_{name}")
            row.addWidget(button, 0 if len(label) == 1 else 1)
            self.review_buttons[name] = button
        column.addLayout(row)
        self.leaf_label = QLabel()
        self.leaf_label.setObjectName("review_leaf")
        column.addWidget(self.leaf_label)
        row = QHBoxLayout()
        self.region_button = QPushButton("View is done")
        self.region_button.setObjectName("view_done")
        self.region_button.setToolTip(
            "Only the part of the image that is in view was reviewed: its leaves are right and none is missing there."
        )
        self.done_button = QPushButton("Image is done")
        self.done_button.setObjectName("image_done")
        self.done_button.setCheckable(True)
        self.done_button.setToolTip("All leaves of this image are right and none is missing. Training may count on it.")
        row.addWidget(self.region_button)
        row.addWidget(self.done_button)
        column.addLayout(row)
        self.least_button = QPushButton("Go to the least certain image")
        self.least_button.setObjectName("least_certain_image")
        column.addWidget(self.least_button)
        return group
