"""Small controls that several widgets have."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from pathlib import Path
from types import MethodType
from typing import Any, TypeVar, cast

import pyqtgraph as pg
from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtGui import QPalette, QPen
from qtpy.QtWidgets import QComboBox, QLabel, QProgressBar, QPushButton, QWidget

from napari_leafseg.models.store.zoo import list_models

_Part = TypeVar("_Part")


def models_box(name: str, chosen: str = "") -> QComboBox:
    """Make a list of all models, by name.

    Parameters
    ----------
    name : str
        Of the control.
    chosen : str
        The model, or the checkpoint file, that is chosen at first; the first one where it is not there.
    """
    box = QComboBox()
    box.setObjectName(name)
    fill_models(box)
    _choose(box, chosen)
    return box


def fill_models(box: QComboBox, title: Callable[[str], str] = str, other: str = "") -> None:
    """Add all models to a list, under their titles; at its end, if wanted, an entry for another one, without a name."""
    for model in list_models():
        box.addItem(title(model), model)
    if other:
        box.addItem(other, None)


def _choose(box: QComboBox, chosen: str, other: str = "") -> None:
    if box.findData(chosen) < 0 and Path(chosen).is_file():
        box.insertItem(box.count() - bool(other), Path(chosen).stem, chosen)
    box.setCurrentIndex(max(0, box.findData(chosen)))


def list_again(box: QComboBox, title: Callable[[str], str] = str, other: str = "") -> None:
    """Bring a list of models up to date; what is chosen stays chosen where it is still there."""
    chosen = str(box.currentData())
    box.blockSignals(True)
    box.clear()
    fill_models(box, title, other)
    _choose(box, chosen, other)
    box.blockSignals(False)
    if str(box.currentData()) != chosen:
        box.currentIndexChanged.emit(box.currentIndex())


def push_button(name: str, text: str, action: Callable[[], Any] | None = None, tip: str = "") -> QPushButton:
    """Make a button by its name; it does something where an action is given."""
    button = QPushButton(text)
    button.setObjectName(name)
    button.setToolTip(tip)
    if action is not None:
        button.clicked.connect(lambda: action())
    return button


_REASON, _TIP = "reason", "usual tip"  # properties of a control


def allow(control: QWidget, reason: str = "") -> None:
    """Switch a control on, or off with the reason in its tip.

    Parameters
    ----------
    control : QWidget
    reason : str
        Why it does nothing now, and what would change that; empty enables it and brings its usual tip back.
    """
    if not control.property(_REASON):
        control.setProperty(_TIP, control.toolTip())
    control.setEnabled(not reason)
    control.setProperty(_REASON, reason)
    control.setToolTip(reason or control.property(_TIP) or "")


def set_tip(control: QWidget, tip: str) -> None:
    """Give a control another usual tip; one that is off goes on saying why (see `allow`)."""
    control.setProperty(_TIP, tip)
    control.setToolTip(control.property(_REASON) or tip)


def wrapped_label(name: str, text: str = "") -> QLabel:
    """Make a label by its name, of as many lines as it needs."""
    label = QLabel(text)
    label.setObjectName(name)
    label.setWordWrap(True)
    return label


def say_until_drawn(label: QLabel, words: str) -> None:
    """Say at once what is being drawn, until it is: the first time, the graphics card's programs are made for it."""
    label.setText(words)
    label.repaint()

    def end() -> None:
        if isalive(label) and label.text() == words:
            label.setText("")

    QTimer.singleShot(0, end)  # after the paint events that wait


def thin_progress() -> QProgressBar:
    """Make a progress bar without a text, as thin as a line."""
    bar = QProgressBar()
    bar.setTextVisible(False)
    bar.setFixedHeight(6)
    return bar


def listen(emitter: Any, method: Callable[..., Any]) -> None:
    """Connect a method of a Qt object to an event of napari or a signal of the session, for as long as Qt has it.

    Qt's own signals need no such care: Qt forgets methods of objects that are gone.
    """
    weak = weakref.WeakMethod(method)

    def tell(*what: Any) -> None:
        known = weak()
        if known is not None and isalive(cast(MethodType, known).__self__):
            known(*what)

    tell.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]  # says how much is to be told
    emitter.connect(tell)


def on_canvas(callbacks: list[Any], method: Callable[..., Any], first: bool = False) -> Callable[[], None]:
    """Connect a method to a viewer's list of mouse callbacks, for as long as its object lives.

    A widget whose dock is closed with its cross gets no other sign of that.

    Returns
    -------
    callable
        Ends it sooner.
    """

    def forget(_weak: Any = None) -> None:
        if call in callbacks:
            callbacks.remove(call)

    weak = weakref.WeakMethod(method, forget)

    def call(viewer: Any, event: Any) -> Any:
        known = weak()
        return None if known is None else known(viewer, event)

    callbacks.insert(0 if first else len(callbacks), call)
    return forget


def present(part: _Part | None) -> _Part:
    """Take a part that Qt's types call optional and that its owner always has."""
    assert part is not None
    return part


def burst_timer(owner: QWidget, action: Callable[[], None], milliseconds: int = 200) -> QTimer:
    """Make a timer that acts once a burst of starts has come to rest.

    Start it from a method of the widget: Qt forgets methods of a widget that is gone, but not closures.
    """
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(action)
    return timer


def color_axes(plot: pg.PlotWidget, *axes: pg.AxisItem) -> QPen:
    """Draw axes in the color of the window's text, with plain numbers; returns the pen."""
    pen = pg.mkPen(plot.palette().color(QPalette.ColorRole.WindowText))
    for axis in axes:
        axis.setPen(pen)
        axis.setTextPen(pen)
        axis.enableAutoSIPrefix(False)
    return pen
