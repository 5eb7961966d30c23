"""What is asked before a scale counts: the length of a ruler's line, the side of a marker; in the widget, no dialog."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_leafseg.widgets.common.controls import allow, push_button, wrapped_label


class ScalePanel(QWidget):
    """Say what was found, ask how many millimeters it is, and wait for *Use* or *Cancel*.

    Signals
    -------
    changed(float)
        Other millimeters.
    used()
    removed()
    canceled()
    """

    changed = Signal(float)
    used = Signal()
    removed = Signal()
    canceled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.message = wrapped_label("scale_message")
        self.box = QDoubleSpinBox()
        self.box.setObjectName("millimeters")
        self.box.setRange(0.001, 1e6)
        self.box.setDecimals(3)
        self.box.setSuffix(" mm")
        self.box.valueChanged.connect(self.changed)
        self.use_button = push_button("use_scale", "Use", self.used.emit)
        self.remove_button = push_button("remove_scale", "Remove", self.removed.emit, "What holds until now")
        self.remove_button.hide()
        self.cancel_button = push_button("cancel_scale", "Cancel", self.canceled.emit)
        row = QHBoxLayout()
        row.addWidget(self.box, 1)
        row.addStretch(0)
        row.addWidget(self.use_button)
        row.addWidget(self.remove_button)
        row.addWidget(self.cancel_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.message)
        column.addLayout(row)
        self.hide()

    def ask(self, message: str, millimeters: float | None, tip: str = "") -> None:
        """Show the panel, without millimeters where these are None; *Use* waits until something was found."""
        self.box.setVisible(millimeters is not None)
        self.box.blockSignals(True)
        self.box.setValue(millimeters or 0)
        self.box.blockSignals(False)
        self.box.setToolTip(tip)
        self.tell(message, False)
        self.show()

    def tell(self, message: str, usable: bool) -> None:
        """Say what was found, and whether it can be used."""
        self.message.setText(message)
        allow(self.use_button, "" if usable else message)
