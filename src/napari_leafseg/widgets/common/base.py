"""What dock widgets have in common: their viewer, what they listen to, and one long job with its buttons."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from napari.utils.notifications import show_error
from napari.viewer import ViewerModel
from qtpy.compat import isalive
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_leafseg.widgets.common.controls import burst_timer, list_again, listen, models_box, present
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.state.napari_private import main_window, native_canvas
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session
from napari_leafseg.widgets.state.shortcuts import Keys, with_keys

_GIVES_BACK = "gives_keys_back"


class LeafsegWidget(QWidget):
    """Belong to a viewer; once the widget is gone, nothing of the viewer reaches it.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari fills it in by this name.
    """

    object_name = ""
    minimum_width = 400
    most_minimum_height = 280  # what does not fit is scrolled to

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(self.object_name)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.session = Session.of(napari_viewer)
        self.viewer = self.session.viewer
        self._key_actions: dict[str, Callable[[], Any]] = {}
        self._model_boxes: list[QComboBox] = []
        self._following: QComboBox | None = None
        self._area: QScrollArea | None = None
        self._named_keys: list[tuple[Callable[[str], Any], str, str]] = []
        self.listen(self.session.models_changed, self._list_models_again)
        self.listen(Keys.of(self.session).changed, self._name_keys_again)

    @property
    def controller(self) -> ProjectController:
        """The viewer's project."""
        return ProjectController.of(self.session)

    def column(self, scrolled: bool = False) -> QVBoxLayout:
        """Return the column of the widget's parts; `scrolled` where they are more than a screen is high."""
        if not scrolled:
            return _spaced(QVBoxLayout(self))
        pinned, column = self.columns()
        pinned.setContentsMargins(0, 0, 0, 0)
        return column

    def columns(self) -> tuple[QVBoxLayout, QVBoxLayout]:
        """Return a column that is always in view, and below it one that is scrolled where it does not fit."""
        inside, area, outer, pinned = QWidget(), QScrollArea(), QVBoxLayout(self), _spaced(QVBoxLayout())
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        outer.addLayout(pinned)
        outer.addWidget(area, 1)
        self._outer, self._area = outer, area
        return pinned, _spaced(QVBoxLayout(inside))

    def pin_below(self, row: QHBoxLayout) -> None:
        """Add a row that is always in view below what is scrolled."""
        row.setContentsMargins(8, 4, 8, 8)
        self._outer.addLayout(row)

    def minimumSizeHint(self) -> QSize:
        """Return a height for which any window has room, and a width that cuts no text, in what is scrolled neither."""
        hint, width = super().minimumSizeHint(), self.minimum_width
        if self._area is not None:
            inside, bar = present(self._area.widget()), present(self._area.verticalScrollBar())
            width = max(width, inside.minimumSizeHint().width() + bar.sizeHint().width())
        return QSize(max(hint.width(), width), min(hint.height(), self.most_minimum_height))

    def showEvent(self, event: Any) -> None:
        """Give the keys back to the canvas after a click on any button."""
        super().showEvent(event)
        for button in self.findChildren(QAbstractButton):
            if not button.property(_GIVES_BACK):
                button.setProperty(_GIVES_BACK, True)
                if button.focusPolicy() != Qt.FocusPolicy.NoFocus:
                    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
                button.clicked.connect(partial(_give_keys_back, self.viewer, button))

    def models_box(self, name: str, chosen: str = "") -> QComboBox:
        """Return a list of all models that stays up to date; see `controls.models_box`."""
        return self.follow_models(models_box(name, chosen))

    def follow_models(self, box: QComboBox) -> QComboBox:
        """Keep a list of all models up to date; returns it."""
        self._model_boxes.append(box)
        return box

    def follow_segment(self, box: QComboBox) -> QComboBox:
        """Choose in a list of models what is chosen in *Segment* from now on, while it may be changed; returns it."""
        self._following = box
        self.listen(self.session.model_chosen, self._follow_segment)
        return box

    def _follow_segment(self, name: str) -> None:
        box = self._following
        if box is not None and box.isEnabled() and box.findData(name) >= 0:
            box.setCurrentIndex(box.findData(name))

    def _list_models_again(self) -> None:
        for box in self._model_boxes:
            list_again(box)

    def listen(self, emitter: Any, method: Callable[..., Any]) -> None:
        """Connect a method of the widget to an event of napari or of the session; see `controls.listen`."""
        listen(emitter, method)

    def name_key(self, write: Callable[[str], Any], text: str, name: str) -> None:
        """Write a text with an action's keys, and again when somebody chooses others.

        Parameters
        ----------
        write : callable
            Such as a button's `setText`.
        text : str
        name : str
            One of `shortcuts.ACTIONS`.
        """
        write(with_keys(text, name))
        self._named_keys.append((write, text, name))

    def _name_keys_again(self) -> None:
        for write, text, name in self._named_keys:
            write(with_keys(text, name))

    def bind_key(self, name: str, action: Callable[[], Any]) -> None:
        """Say what one of `shortcuts.ACTIONS` does when its key is pressed on the canvas."""
        self._key_actions[name] = action
        Keys.of(self.session).bind(name, self._press)

    def _press(self, name: str) -> None:
        if isalive(self):
            self._key_actions[name]()


def _give_keys_back(viewer: ViewerModel, button: QAbstractButton, _on: bool = False) -> None:
    """Let the canvas have the keys, unless the button was reached by the keyboard."""
    canvas, window = native_canvas(viewer), main_window(viewer)
    if canvas is None or not isalive(button) or button.window() is not window:
        return
    if window is not None and window.focusWidget() is not button:
        canvas.setFocus()


def _spaced(column: QVBoxLayout) -> QVBoxLayout:
    column.setContentsMargins(8, 8, 8, 8)
    column.setSpacing(8)
    return column


class JobWidget(LeafsegWidget):
    """Run one long job at a time, tell how it goes, and stop it when the widget is closed.

    Attributes
    ----------
    job : JobRunner
        `_progress`, `_failed` and `_ended` are told what it does.
    message : QLabel
        Where it says so; made by the subclass.
    """

    message: QLabel

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.job = JobRunner(self)
        self.job.progress.connect(self._progress)
        self.job.failed.connect(self._failed)
        self.job.finished.connect(self._ended)

    def _progress(self, event: Any) -> None:
        """Show what the job told."""
        raise NotImplementedError

    def _ended(self) -> None:
        """Show that nothing runs any more."""
        raise NotImplementedError

    def _failed(self, error: Exception) -> None:
        """Say why the job ended, in a notification, which passes and is short, and where its progress stood."""
        self.message.setText(str(error))
        show_error(str(error))

    def stop(self) -> None:
        """Stop after what is being computed."""
        if self.job.running:
            self.job.stop()
            self.message.setText("Stopping …")

    def refresh_on(self, action: Callable[[], None], *signals: Any) -> None:
        """Call a method once a burst of these signals of the session, or of projects, has come to rest."""
        self._soon = burst_timer(self, action)
        self.controller.changed.connect(self._start_soon)
        for signal in signals:
            self.listen(signal, self._start_soon)

    def _start_soon(self, *_what: Any) -> None:
        self._soon.start()

    def closeEvent(self, event: Any) -> None:
        """Stop what runs when the widget is closed."""
        self.stop()
        super().closeEvent(event)
