"""What is rarely needed, behind a line that opens it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QToolButton, QVBoxLayout, QWidget


class Fold(QWidget):
    """Shows or hides its content.

    Attributes
    ----------
    content : QWidget
        Takes a layout.
    """

    def __init__(self, title: str, tip: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self.content = QWidget()
        self.button = QToolButton()
        self.button.setObjectName(f"fold_{title.lower()}")
        self.button.setCheckable(True)
        self.button.setAutoRaise(True)
        self.button.setToolTip(tip)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.button.toggled.connect(self._toggle)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.button)
        column.addWidget(self.content)
        self._toggle(False)

    def _toggle(self, opened: bool) -> None:
        self.button.setText(f"{'▾' if opened else '▸'}  {self._title}")
        self.content.setVisible(opened)
