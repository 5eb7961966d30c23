"""The log in the window: Help ▸ Leaf segmentation log, and what lands in it."""

import logging
import sys

import pytest
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import Qt
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QApplication, QWidget

from napari_leafseg._log import current_log, log_file, read_log
from napari_leafseg.errors import ModelError
from napari_leafseg.versions import __version__
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.state.log_window import TITLE, LogWindow
from napari_leafseg.widgets.state.napari_private import main_window
from napari_leafseg.widgets.state.session import Session


@pytest.fixture(autouse=True)
def _fresh_log(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(logging.getLogger("napari_leafseg"), "handlers", [])


def logged():
    return "\n".join(read_log(10_000))


def open_log(viewer, qtbot):
    """Open the log as a person does: by the Help menu's entry."""
    Session.of(viewer)
    menu = viewer.window.help_menu
    action = next(action for action in menu.actions() if action.text() == TITLE)
    menu.popup(main_window(viewer).mapToGlobal(main_window(viewer).rect().center()))
    qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=menu.actionGeometry(action).center())
    window = main_window(viewer).findChild(LogWindow)
    assert window is not None
    assert window.isVisible()
    return window


def test_the_help_menu_opens_the_log_once(viewer, qtbot):
    window = open_log(viewer, qtbot)
    assert window.path_label.text() == str(log_file())
    qtbot.waitUntil(lambda: f"napari-leafseg {__version__}" in window.text.toPlainText())
    logging.getLogger("napari_leafseg").warning("said later")
    qtbot.mouseClick(window.refresh_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.text.toPlainText().endswith("said later"))
    assert window.text.isReadOnly()
    window.close()
    assert open_log(viewer, qtbot) is window
    assert [action.text() for action in viewer.window.help_menu.actions()].count(TITLE) == 1


def test_a_bug_report_is_copied(viewer, qtbot):
    window = open_log(viewer, qtbot)
    logging.getLogger("napari_leafseg").warning("the last line")
    QApplication.clipboard().clear()
    qtbot.mouseClick(window.copy_button, Qt.MouseButton.LeftButton)
    assert not window.copy_button.isEnabled()
    qtbot.waitUntil(lambda: QApplication.clipboard().text() != "")
    text = QApplication.clipboard().text()
    for part in (f"napari-leafseg: {__version__}", "torch: ", "devices: ", f"log: {log_file()}", "widgets.ini"):
        assert part in text
    assert text.endswith("the last line")
    qtbot.waitUntil(window.copy_button.isEnabled)
    assert "Copied" in window.message.text()


def test_the_folder_is_opened(viewer, qtbot, monkeypatch):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    window = open_log(viewer, qtbot)
    qtbot.mouseClick(window.folder_button, Qt.MouseButton.LeftButton)
    assert opened == [str(log_file().parent)]


def test_a_log_that_cannot_be_written_is_said(viewer, qtbot, tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    window = open_log(viewer, qtbot)
    qtbot.waitUntil(lambda: "cannot be written" in window.text.toPlainText())
    assert "cannot be read" in window.text.toPlainText()


def test_what_napari_shows_is_logged(viewer):
    Session.of(viewer)
    show_error("The image a.png cannot be read.\nCopy it again.")
    show_info("Saved b.csv")
    assert "ERROR [window" in logged()
    assert "The image a.png cannot be read. Copy it again." in logged()
    assert "Saved b.csv" in logged()


def test_an_uncaught_error_is_logged_once(viewer):
    Session.of(viewer)
    try:
        [][1]
    except IndexError:
        kind, error, traceback = sys.exc_info()
    from napari.utils.notifications import notification_manager

    with notification_manager:  # as while napari runs: its hook is on top of ours
        if not notification_manager.catch_error:
            pytest.skip("napari is told to let errors through")
        sys.excepthook(kind, error, traceback)
    assert logged().count("Traceback") == 1
    assert "[][1]" in logged()


def steps_that_fail():
    """Fail as torch does."""
    yield 1
    raise RuntimeError("CUDA error: an illegal memory access")


def call_that_fails():
    """Fail as a missing case does."""
    raise KeyError("leaf")


def mistake():
    """Fail as users make jobs fail."""
    raise ModelError("There is no model x.")


@pytest.mark.parametrize(
    ("job", "words", "traceback"),
    [
        (steps_that_fail, "RuntimeError: CUDA error: an illegal memory access", True),
        (call_that_fails, "KeyError: 'leaf'", True),
        (mistake, "ModelError: There is no model x.", False),
    ],
)
def test_a_job_that_fails_ends_and_is_logged(job, words, traceback, viewer, qtbot):
    Session.of(viewer)
    parent = QWidget()
    qtbot.addWidget(parent)
    runner = JobRunner(parent)
    with qtbot.capture_exceptions() as raised:
        runner.start(job)
        qtbot.waitUntil(lambda: not runner.running)
    assert words in logged()
    assert ("Traceback" in logged()) == traceback
    assert logged().count(f"in {job.__name__}") == traceback
    assert bool(raised) == traceback  # napari shows it
    assert current_log().trouble == ""
