"""Keeps a window from being closed while work in it can be kept nowhere, and gives its project up once it is closed."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_leafseg.errors import UserError
from napari_leafseg.widgets.state.garbage import look_at_all
from napari_leafseg.widgets.state.napari_private import main_window

if TYPE_CHECKING:
    from napari_leafseg.widgets.state.project_controller import ProjectController

_PATIENCE = 2.0  # seconds for what waits to be written


class ClosingGuard(QObject):
    """Watches a viewer's window; made by `of`.

    Parameters
    ----------
    controller : ProjectController
    window : QWidget
    """

    def __init__(self, controller: ProjectController, window: QWidget) -> None:
        super().__init__()
        self._controller, self._window = weakref.ref(controller), weakref.ref(window)
        window.installEventFilter(self)

    @classmethod
    def of(cls, viewer: Any, controller: ProjectController) -> ClosingGuard | None:
        """Make one for a viewer's window; None for a viewer without one."""
        window = main_window(viewer)
        return None if window is None else cls(controller, window)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """See whether the window may be closed, when it is about to be."""
        if watched is None or watched is not self._window() or event is None or event.type() != QEvent.Type.Close:
            return False
        if not self._may_close():
            event.ignore()
            return True
        controller = self._controller()
        look_at_all()
        if controller is not None:
            QTimer.singleShot(0, partial(_give_up, controller, self._window))
        return False

    def _may_close(self) -> bool:
        """Whether everything is written, or somebody agrees that it is kept elsewhere."""
        controller = self._controller()
        project = None if controller is None else controller.project
        if controller is None or project is None:
            return True
        controller.finish()
        if project.writer.flush(_PATIENCE):
            return True
        shown = bool(controller.session.image_layers())  # a program that closes a viewer took the layers out before
        if shown and not self._agreed(f"“{project.file.name}” cannot be written. {project.writer.error}"):
            return False
        try:
            controller.close()
        except UserError as error:
            if shown:
                QMessageBox.critical(self._window(), "Your work cannot be kept", f"{error} The window stays open.")
            return not shown
        return True

    def _agreed(self, problem: str) -> bool:
        """Ask whether to close all the same."""
        box = QMessageBox(
            QMessageBox.Icon.Warning, "Not everything is written",
            f"{problem}\n\nClose all the same? All of the project is kept in the safety folder then, and offered at "
            "the next start. Or stay, make room, or choose “Save elsewhere …” in the project's menu.",
            QMessageBox.StandardButton.NoButton, self._window(),
        )  # fmt: skip
        box.setObjectName("not_written")
        close = box.addButton("Close, and keep it", QMessageBox.ButtonRole.AcceptRole)
        stay = box.addButton("Stay", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.setEscapeButton(stay)
        box.exec()
        return box.clickedButton() is close


def _give_up(controller: ProjectController, window: Callable[[], QWidget | None]) -> None:
    """Give the project of a window up, unless somebody thought better of it and the window is still there."""
    closed = window()
    if closed is None or not (isalive(closed) and closed.isVisible()):
        controller.retire()
