"""No text is cut, nothing is out of the window, and main buttons are in view, on small and large screens."""

import os
import subprocess
import sys

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtGui import QHelpEvent
from qtpy.QtWidgets import QApplication, QLabel, QPushButton, QToolTip, QVBoxLayout, QWidget

from napari_leafseg.widgets.common.base import LeafsegWidget
from napari_leafseg.widgets.common.controls import allow, push_button, set_tip
from napari_leafseg.widgets.common.elided import ElidedButton, ElidedComboBox, ElidedLabel
from tests.conftest import REPOSITORY
from tests.widgets.layout_check import check, troubles


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1600, 1000)])
@pytest.mark.timeout(600)
def test_everything_can_be_read_and_reached(width, height, make_napari_viewer, tmp_path):
    found = check(make_napari_viewer(show=True), width, height, tmp_path)
    assert not found, "\n".join(found)


@pytest.mark.timeout(600)
def test_at_twice_the_scale_as_well(tmp_path):
    path = os.pathsep.join([str(REPOSITORY), *(entry for entry in sys.path if entry)])
    environment = {
        **os.environ, "PYTHONPATH": path, "QT_SCALE_FACTOR": "2", "XDG_CONFIG_HOME": str(tmp_path),
        "NAPARI_CONFIG": str(tmp_path / "napari.yaml"), "XDG_DATA_HOME": str(tmp_path / "data"),
    }  # fmt: skip
    command = [sys.executable, "-m", "tests.widgets.layout_check", "1920", "1080", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "Checked." in done.stdout


def test_the_check_finds_what_is_cut_and_what_is_outside(qtbot):
    root = QWidget()
    qtbot.addWidget(root)
    column = QVBoxLayout(root)
    cut, outside = QLabel("A long text that has no room"), QPushButton("Outside", root)
    cut.setFixedWidth(30)
    column.addWidget(cut)
    root.resize(120, 80)
    outside.move(100, 60)
    gray, told = QPushButton("Gray", root), QPushButton("Told", root)
    gray.setEnabled(False)
    allow(told, "Choose something first.")
    root.show()
    found = troubles(root, "here")
    assert any("A long text" in line and "needs" in line for line in found)
    assert [line for line in found if "say why" in line] == ["here: QPushButton  “Gray” is gray and does not say why"]
    assert any("Outside" in line and "outside of the window" in line for line in found)


def test_a_gray_button_says_why_and_has_its_tip_again(qtbot):
    button = push_button("delete", "Delete", None, "Out of the list")
    qtbot.addWidget(button)
    allow(button, "Choose a model first.")
    allow(button, "Only your own models are deleted.")
    assert not button.isEnabled()
    assert button.toolTip() == "Only your own models are deleted."
    set_tip(button, "Out of the list, for now")
    assert button.toolTip() == "Only your own models are deleted."
    allow(button)
    assert button.isEnabled()
    assert button.toolTip() == "Out of the list, for now"
    set_tip(button, "Out of the list")
    allow(button)
    assert button.toolTip() == "Out of the list"


@pytest.mark.parametrize("kind", [ElidedButton, ElidedLabel, ElidedComboBox])
def test_a_long_text_is_shortened_and_its_tool_tip_tells_the_whole(kind, qtbot):
    words = "a name of an image that is longer than what there is room for"
    widget = kind()
    qtbot.addWidget(widget)
    if kind is ElidedComboBox:
        widget.addItem(words)
    else:
        widget.setText(words)
    widget.setToolTip("What it is for")
    widget.setFixedWidth(120)
    widget.show()
    qtbot.waitExposed(widget)
    assert widget.shown_text().endswith("…")
    assert widget.text() == words
    assert widget.fontMetrics().horizontalAdvance(widget.shown_text()) <= 120
    assert widget.minimumSizeHint().width() <= 60
    place = widget.rect().center()
    QApplication.sendEvent(widget, QHelpEvent(QEvent.Type.ToolTip, place, widget.mapToGlobal(place)))
    assert QToolTip.text() == f"{words}\nWhat it is for"
    short = widget.grab().toImage()
    widget.setFixedWidth(widget.fontMetrics().horizontalAdvance(words) + 80)
    assert widget.shown_text() == words
    assert widget.grab().toImage() != short


def test_a_form_is_as_wide_as_what_is_scrolled_in_it(viewer):
    widget, wide = LeafsegWidget(viewer), QPushButton("a text that is wider than a form is at first " * 3)
    widget.column(scrolled=True).addWidget(wide)
    assert wide.minimumSizeHint().width() > widget.minimum_width
    assert widget.minimumSizeHint().width() > wide.minimumSizeHint().width()
