"""The window's log: what napari shows goes into it, and a window shows its end."""

from __future__ import annotations

import logging
import weakref
from typing import Any

from napari.utils.notifications import Notification, NotificationSeverity, notification_manager, show_error
from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices, QFontDatabase
from qtpy.QtWidgets import QApplication, QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from napari_leafseg._log import SHOWN, current_log, log_error, log_file, one_line, read_log, start_log
from napari_leafseg._system import info_lines, system_info
from napari_leafseg.widgets.state.napari_private import main_window
from napari_leafseg.widgets.state.workers import start_worker

TITLE = "Leaf segmentation log"
_LINES = 400
_REPORTED = 100  # lines in a bug report
_LOG = logging.getLogger(__name__)
_LEVELS = {
    NotificationSeverity.ERROR: logging.ERROR,
    NotificationSeverity.WARNING: logging.WARNING,
    NotificationSeverity.INFO: logging.INFO,
}


def watch_window(viewer: Any, settings_file: str) -> None:
    """Log what happens in a viewer's window, and offer the log in its *Help* menu.

    Parameters
    ----------
    viewer : napari viewer
    settings_file : str
        Named in bug reports.
    """
    start_log("window")
    notification_manager.notification_ready.connect(_note)
    menu = getattr(getattr(viewer, "window", None), "help_menu", None)
    if menu is not None:
        window = weakref.ref(main_window(viewer))
        menu.addAction(TITLE).triggered.connect(lambda: show_log(window(), settings_file))


def _note(notification: Notification) -> None:
    """Log what napari shows."""
    error = getattr(notification, "exception", None)
    if error is not None:
        log_error(error)
    else:
        level = _LEVELS.get(notification.severity, logging.DEBUG)
        _LOG.log(level, "%s", one_line(str(notification.message)), extra=SHOWN)


def show_log(window: QWidget | None, settings_file: str) -> LogWindow:
    """Open the log of a main window, or bring it to the front."""
    found = window.findChild(LogWindow) if window is not None else None
    shown = found or LogWindow(settings_file, window)
    shown.refresh()
    shown.show()
    shown.raise_()
    return shown


class LogWindow(QWidget):
    """The end of the log, with what a bug report needs."""

    def __init__(self, settings_file: str, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self._settings_file = settings_file
        self.setWindowTitle(TITLE)
        self.resize(900, 500)
        self.path_label = QLabel(str(log_file()))
        self.path_label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.message = QLabel()
        self.refresh_button = QPushButton("Read again")
        self.copy_button = QPushButton("Copy for a bug report")
        self.folder_button = QPushButton("Open folder")
        self.refresh_button.clicked.connect(self.refresh)
        self.copy_button.clicked.connect(self.copy)
        self.folder_button.clicked.connect(self.open_folder)
        buttons = QHBoxLayout()
        buttons.addWidget(self.message, 1)
        for button in (self.refresh_button, self.copy_button, self.folder_button):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.path_label)
        layout.addWidget(self.text)
        layout.addLayout(buttons)

    def refresh(self) -> None:
        """Read the end of the log."""
        start_worker(_end_of_log, _LINES, on_result=self._show, on_error=_fail, owner=self)

    def _show(self, text: str) -> None:
        self.text.setPlainText(text)
        bar = self.text.verticalScrollBar()
        assert bar is not None
        bar.setValue(bar.maximum())

    def copy(self) -> None:
        """Put versions, devices, folders and the log's last lines on the clipboard."""
        self.copy_button.setEnabled(False)
        self.message.setText("Asking the devices …")
        start_worker(
            _report, self._settings_file,
            on_result=self._copied, on_error=_fail, on_end=lambda _worker: self.copy_button.setEnabled(True),
            owner=self,
        )  # fmt: skip

    def _copied(self, text: str) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(text)
        self.message.setText("Copied: paste it into the report. It names folders and images; take out what is private.")

    def open_folder(self) -> None:
        """Show the log's folder in the system's file manager."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_file().parent)))


def _end_of_log(lines: int) -> str:
    """The log's last lines, or why there are none."""
    log = current_log()
    trouble = [log.trouble] if log is not None and log.trouble else []
    try:
        return "\n".join([*read_log(lines), *trouble])
    except OSError as error:
        return "\n".join([f"The log cannot be read: {error}", *trouble])


def _report(settings_file: str) -> str:
    return "\n".join([*info_lines(system_info(settings_file)), "", f"The log's last {_REPORTED} lines:",
                      _end_of_log(_REPORTED)])  # fmt: skip


def _fail(error: Exception) -> None:
    show_error(str(error))
