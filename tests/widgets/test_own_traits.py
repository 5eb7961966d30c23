"""Traits of one's own and the limits of colors in *Measure*: the window's tables have them, and so has the project."""

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_leafseg.project.measurement_settings import read_measurement_settings
from napari_leafseg.widgets.measure.own_traits import TraitsDialog
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session
from tests.conftest import discs
from tests.widgets.test_measure import settle, shown, viewer  # noqa: F401

MINE = '''
def red_spots(mask, image):
    """Number of red pixels."""
    return (image[mask][:, 0] > 150).sum()
'''


def answer(qtbot, action):
    """Do something in the dialog that opens next, then press its main button."""

    def act():
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, TraitsDialog)
        action(dialog)
        qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)

    QTimer.singleShot(100, act)


@pytest.fixture
def measured(viewer, qtbot, tmp_path):  # noqa: F811
    """A leaf that is half green, half of a hue of 50 degrees, in a project."""
    ProjectController.of(Session.of(viewer)).create(tmp_path / "project")
    labels = discs(centers=((40, 40),), radius=14).astype(np.uint16)
    image = np.zeros((*labels.shape, 3), np.uint8)
    image[:, :40], image[:, 40:] = (60, 160, 40), (200, 173, 40)
    return shown(viewer, qtbot, labels, image)


def test_limits_of_colors_and_own_traits_are_in_the_tables(measured, qtbot, tmp_path):
    leaf = measured.measured.leaves.iloc[0]
    assert leaf["yellow_area_px2"] > 0
    assert leaf["brown_area_px2"] == 0
    (tmp_path / "mine.py").write_text(MINE)

    def write(dialog):
        dialog.form.native("traits").setText(f"{tmp_path / 'mine.py'}:red_spots")
        dialog.form.native("yellow").setValue(55)

    answer(qtbot, write)
    qtbot.mouseClick(measured.traits_button, Qt.MouseButton.LeftButton)
    settle(measured, qtbot)
    after = measured.measured.leaves.iloc[0]
    assert after["yellow_area_px2"] == 0
    assert after["brown_area_px2"] == after["red_spots"] == leaf["yellow_area_px2"]
    measured.controller.project.writer.flush()
    kept = read_measurement_settings(tmp_path / "project")
    assert kept.traits == (f"{tmp_path / 'mine.py'}:red_spots",)
    assert kept.color_limits == (55, 65, 180, 0.15, 0.1)


def test_what_cannot_be_used_is_said(qtbot, tmp_path):
    from napari_leafseg.project.measurement_settings import MeasurementSettings

    dialog = TraitsDialog(MeasurementSettings())
    qtbot.addWidget(dialog)
    for text, said in ((f"{tmp_path}/gone.py:red", "There is no file"), ("red", "names no trait")):
        dialog.form.native("traits").setText(text)
        assert said in dialog.message.text()
        assert not dialog.accept_button.isEnabled()
    dialog.form.native("traits").setText("")
    dialog.form.native("yellow").setValue(70)
    assert "Hues rise" in dialog.message.text()
    dialog.form.native("yellow").setValue(40)
    assert dialog.accept_button.isEnabled()
