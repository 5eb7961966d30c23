"""The keys of *Correct*: what they do, now and in all, on the canvas itself."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QChildEvent, QEvent, QObject, QRect, QSize, Qt
from qtpy.QtWidgets import QAbstractSpinBox, QDialog, QLabel, QLineEdit, QPlainTextEdit, QTextEdit, QWidget

from napari_leafseg.editing.tools import TOOLS
from napari_leafseg.widgets.correct.form import LEAF_ACTIONS
from napari_leafseg.widgets.correct.quick import ACTIONS
from napari_leafseg.widgets.state.shortcuts import shown_keys

RUN_FIRST = "Run in Segment finds the leaves"
ACCEPT_KEY, NEXT_KEY = "Enter", "Space"
_STYLE = "background: rgba(20, 22, 26, 205); color: #e8e8e8; padding: 3px 8px; border-radius: 4px;"
_MARGIN, _WIDEST = 6, 640  # pixels
_SMALLEST_FONT = 5.5  # points
_MOVED = {QEvent.Type.Show, QEvent.Type.Hide, QEvent.Type.Move, QEvent.Type.Resize}
_BETWEEN, _ALL = "  ·  ", "? all keys"


def key_table() -> list[tuple[str, str]]:
    """List all keys and clicks with what they do."""
    rows = [
        (ACCEPT_KEY, "accept all leaves of the image as they are, and go to the next image"),
        (", ".join(filter(None, (NEXT_KEY, shown_keys("review_next")))), "next leaf, the least certain first"),
        (shown_keys("review_previous"), "previous leaf"),
        (shown_keys("review_accept"), "accept the leaf under review, and go on"),
        (shown_keys("review_discard"), "delete the leaf under review, and go on"),
        *ACTIONS.values(),
        ("Shift+wheel", "the leaf that was just added: wider or narrower"),
        ("Shift+click", "with Add leaf or Box: take the part under the mouse off the leaf that was just added"),
        *((shown_keys(f"tool_{tool.name}"), f"{tool.label}: {tool.help}") for tool in TOOLS),
        *((shown_keys(f"leaf_{name}"), f"{label}: {text}") for name, label, text in LEAF_ACTIONS),
        (shown_keys("fill"), "outlines or filled"),
        ("Ctrl+Z, Ctrl+Shift+Z", "undo, redo"),
        ("Page down, Page up", "next and previous image"),
        (shown_keys("save"), "export the labels"),
        ("?", "show or hide this list; other keys are chosen in napari's Preferences ▸ Shortcuts"),
    ]
    return [(key, what) for key, what in rows if key]


class KeyBar(QLabel):
    """Say in one line at the bottom of the canvas what the keys do now; ``?`` shows them all.

    Parameters
    ----------
    canvas : QWidget
        The canvas, which keeps the mouse and the keys.
    """

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._canvas, self._words = canvas, list[str]()
        self.all = QLabel(canvas)
        self.list_keys()
        self.all.setWordWrap(True)
        self.all.setObjectName("all_keys")
        self.setObjectName("key_bar")
        for label in (self, self.all):
            label.setStyleSheet(_STYLE)
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            font = label.font()
            font.setPointSizeF(font.pointSizeF() * 0.85)
            label.setFont(font)
            label.hide()
        canvas.installEventFilter(self)

    def list_keys(self) -> None:
        """Write the list of all keys, as they are."""
        rows = "".join(
            f"<tr><td align='right' style='white-space: nowrap'><b>{escape(key)}</b></td>"
            f"<td>&nbsp;&nbsp;{escape(what)}</td></tr>"
            for key, what in key_table()
        )
        self.all.setText(f"<table cellspacing='1'>{rows}</table>")

    def say(self, words: list[str]) -> None:
        """Show a line of these words, as many as there is room for; none hides the bar."""
        self._words = words
        self.setVisible(bool(words))
        self._place()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the bar at the bottom of the canvas, and hear the keys of the list, as napari cannot bind ``?``."""
        if event is not None and isinstance(watched, QDialog):  # a notification of napari's came, moved or went
            if event.type() in _MOVED:
                self._place()
        elif isinstance(event, QChildEvent) and event.type() == QEvent.Type.ChildPolished:
            child = event.child()
            if isinstance(child, QDialog):
                child.installEventFilter(self)
                self._place()
        elif event is not None and watched is self._canvas:
            if event.type() == QEvent.Type.Resize:
                self._place()
            elif event.type() == QEvent.Type.KeyPress and self._asked(event):
                self.all.setVisible(not self.all.isVisible())
                self._place()
                return True
        return False

    def _asked(self, event: QEvent) -> bool:
        escape = getattr(event, "key", int)() == Qt.Key.Key_Escape
        return getattr(event, "text", str)() == "?" or (escape and self.all.isVisible())

    def _place(self) -> None:
        width, height = self._canvas.width() - 2 * _MARGIN, self._canvas.height()
        words, room = list(self._words), width - 20
        while len(words) > 1 and self.fontMetrics().horizontalAdvance(_BETWEEN.join([*words, _ALL])) > room:
            words.pop()
        text = _BETWEEN.join([*words, _ALL])
        wraps = self.fontMetrics().horizontalAdvance(text) > room
        self.setWordWrap(wraps)
        self.setText(text)
        self.resize(QSize(width, self.heightForWidth(width)) if wraps else self.sizeHint())
        self.move(_MARGIN, self._above_notifications(height - self.height() - _MARGIN))
        if self.all.isVisible():
            self._place_all(width, height)

    def _above_notifications(self, top: int) -> int:
        """Where the bar begins, so that no notification of napari's, at the canvas' bottom right, covers it."""
        own = QRect(_MARGIN, top, self.width(), self.height())
        found = self._canvas.findChildren(QDialog, options=Qt.FindChildOption.FindDirectChildrenOnly)
        over = [note.y() for note in found if note.isVisible() and note.geometry().intersects(own)]
        return max(0, min([top, *(y - self.height() - _MARGIN for y in over)]))

    def _place_all(self, width: int, height: int) -> None:
        """Write the list of all keys in the middle, as large as it fits into the height."""
        self.all.setFixedWidth(min(_WIDEST, width))
        font = self.all.font()
        for size in np.arange(self.font().pointSizeF(), _SMALLEST_FONT - 0.1, -0.5):
            font.setPointSizeF(float(size))
            self.all.setFont(font)
            self.all.adjustSize()
            if self.all.height() <= height - 2 * _MARGIN:
                break
        self.all.move(max(0, (width - self.all.width()) // 2), max(0, (height - self.all.height()) // 2))
        self.all.raise_()

    def close_both(self) -> None:
        """Go off the canvas."""
        self._canvas.removeEventFilter(self)
        for label in (self.all, self):
            label.hide()
            label.deleteLater()


def words_for(leaves: int, reviewed: int, adding: bool, tool: str = "") -> list[str]:
    """Tell what the keys do now, the most important first.

    Parameters
    ----------
    leaves : int
        Of the image; 0 for none.
    reviewed : int
        The leaf under review.
    adding : bool
        Whether the wheel changes a leaf that was just added.
    tool : str
        How the tool in hand is used.
    """
    words = [tool] if tool else []
    words += ["Shift+wheel wider, narrower"] if adding else []
    if reviewed:
        judged = (("right", shown_keys("review_accept")), ("wrong", shown_keys("review_discard")))
        words += [f"{key} {what}" for what, key in judged if key]
    words += [f"{NEXT_KEY} next leaf", f"{ACCEPT_KEY} all right, next image"] if leaves else []
    if not leaves and not tool:
        return [*words, RUN_FIRST]
    words += [] if tool else [f"{ACTIONS['Control'][0]} add"]
    words += [f"{ACTIONS['Alt'][0]} remove"] if leaves and not tool else []
    return words


class TypingWatch(QObject):
    """Know whether a key was pressed in a field of the window: *Enter* ends what is typed there, and nothing else.

    A field lets *Enter* through to the window, and napari's own fields give up the focus before it gets there; so it is
    seen on its way, before any of that.

    Parameters
    ----------
    window : QWidget
        The viewer's main window; None for a viewer without one.
    parent : QObject
        Goes together with it.
    """

    def __init__(self, window: QWidget | None, parent: QObject) -> None:
        super().__init__(parent)
        self.typing = False
        if window is not None:
            window.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """See who has the keys when one is pressed."""
        if event is not None and event.type() == QEvent.Type.ShortcutOverride and isinstance(watched, QWidget):
            field = watched.focusWidget()
            self.typing = isinstance(field, QLineEdit | QAbstractSpinBox | QTextEdit | QPlainTextEdit)
        return False


def bind_to_layer(layer: Labels, key: str, action: Callable[[], Any]) -> None:
    """Do something when a key is pressed that napari needs itself while a polygon is being drawn."""

    def follow(_event: Any = None) -> None:
        polygon = str(layer.mode) == "polygon"
        layer.bind_key(key, None if polygon else lambda _layer: action(), overwrite=True)

    layer.events.mode.connect(follow)
    layer.bind_key(key, lambda _layer: action(), overwrite=True)
