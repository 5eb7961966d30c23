"""Buttons, labels and lists that shorten texts of any length to the room there is; the tool tip tells the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyleOptionButton,
    QStyleOptionComboBox,
    QStylePainter,
    QToolTip,
    QWidget,
)

_LEAST = 60  # pixels
_END = Qt.TextElideMode.ElideRight


if TYPE_CHECKING:

    class _Base(QWidget):
        def text(self) -> str:
            """Return the whole text, whatever is shown of it."""

else:
    _Base = object  # Qt's classes have one parent


class _Elided(_Base):
    """What all have in common; `text` stays whole."""

    def room(self) -> int:
        """Return how many pixels of width the text has."""
        return self.contentsRect().width()

    def shown_text(self) -> str:
        """Return what of the text is on the screen."""
        return str(self.fontMetrics().elidedText(self.text(), _END, self.room()))

    def minimumSizeHint(self) -> QSize:
        """Return a small size: the text is shortened."""
        hint = super().minimumSizeHint()
        return QSize(min(_LEAST, hint.width()), hint.height())

    def event(self, event: Any) -> bool:
        """Tell the whole text, and what the tool tip says anyway."""
        if event.type() == QEvent.Type.ToolTip and self.shown_text() != self.text():
            QToolTip.showText(event.globalPos(), "\n".join(filter(None, (self.text(), self.toolTip()))), self)
            return True
        return bool(super().event(event))


class ElidedButton(_Elided, QPushButton):
    """A button, from the left."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def room(self) -> int:
        """Return how many pixels of width the text has."""
        return self.width() - 16

    def paintEvent(self, _event: Any) -> None:
        """Draw as much of the text as there is room for."""
        option = QStyleOptionButton()
        self.initStyleOption(option)
        option.text = self.shown_text()
        QStylePainter(self).drawControl(QStyle.ControlElement.CE_PushButton, option)


class ElidedLabel(_Elided, QLabel):
    """A label of one line."""

    def paintEvent(self, _event: Any) -> None:
        """Draw as much of the text as there is room for."""
        QStylePainter(self).drawItemText(
            self.contentsRect(), int(self.alignment()), self.palette(), self.isEnabled(), self.shown_text(),
            self.foregroundRole(),
        )  # fmt: skip


class ElidedComboBox(_Elided, QComboBox):
    """A list of which one entry is chosen, as wide as there is room."""

    def __init__(self, name: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumContentsLength(12)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)

    def text(self) -> str:
        """Return the whole text of the chosen entry."""
        return str(self.currentText())

    def room(self) -> int:
        """Return how many pixels of width the text has."""
        option, field = self._option(), QStyle.SubControl.SC_ComboBoxEditField
        style = self.style()
        assert style is not None
        return style.subControlRect(QStyle.ComplexControl.CC_ComboBox, option, field, self).width()

    def _option(self) -> QStyleOptionComboBox:
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        return option

    def paintEvent(self, event: Any) -> None:
        """Draw as much of the text as there is room for."""
        if self.currentIndex() < 0:  # what is to be chosen
            super().paintEvent(event)
            return
        option, painter = self._option(), QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        option.currentText = self.shown_text()
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
