"""Viewers and settings for the widget tests."""

from __future__ import annotations

import pytest
from napari.utils.notifications import NotificationSeverity, notification_manager
from qtpy.QtCore import QSettings

from napari_leafseg import _subprocess
from napari_leafseg.synthetic import SceneConfig, synthesize
from tests import programs

PATIENCE = 60_000  # milliseconds


@pytest.fixture(autouse=True)
def _own_settings(tmp_path, monkeypatch):
    """Settings and unsaved work of a test go into its own folder."""
    monkeypatch.setattr("napari_leafseg.widgets.state.project_controller.unsaved_folder", lambda: tmp_path / "unsaved")
    monkeypatch.setattr("napari_leafseg.pipelines.thumbnails._folder", lambda: tmp_path / "thumbnails")
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path / "settings"))


@pytest.fixture(autouse=True)
def _answers_at_once(monkeypatch):
    """What takes no time is answered at once, on a busy machine too."""
    monkeypatch.setattr("napari_leafseg.widgets.state.workers.MOMENT", PATIENCE / 1000)


@pytest.fixture(autouse=True)
def _background_at_once(monkeypatch):
    """What computes in the background begins at once: it is forked from where all is imported already."""
    if programs.FORKS:
        monkeypatch.setattr(_subprocess, "_start", lambda: programs.Forked(_subprocess._child_main))


@pytest.fixture
def qtbot(qtbot, monkeypatch):
    """Waits end with their condition; the time is that of a busy machine, and only failing tests take it."""
    wait = qtbot.waitUntil
    monkeypatch.setattr(qtbot, "waitUntil", lambda said, *, timeout=0: wait(said, timeout=max(timeout, PATIENCE)))
    return qtbot


@pytest.fixture
def viewer(make_napari_viewer):
    """A viewer without a window on the screen, with napari's checks for leaks."""
    return make_napari_viewer()


@pytest.fixture
def errors():
    """What napari is told to show as errors."""
    shown = []

    def hear(notification):
        if notification.severity == NotificationSeverity.ERROR:
            shown.append(notification.message)

    notification_manager.notification_ready.connect(hear)
    yield shown
    notification_manager.notification_ready.disconnect(hear)


@pytest.fixture
def plant_image():
    """One plant, 256 pixels."""
    return synthesize(108, SceneConfig(size=(256, 256), diameter=(190, 210), border=0.0, blank=0.0)).image
