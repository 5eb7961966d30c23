"""All tables saved at once, in the form that somebody chooses."""

import json

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog

from napari_leafseg.project import Document
from napari_leafseg.widgets.measure.save_tables import TablesDialog
from napari_leafseg.widgets.measure.widget import MeasureWidget
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.session import Session
from tests.conftest import discs


@pytest.fixture
def widget(make_napari_viewer, qtbot):
    """Three leaves, measured: that begins when the window is seen."""
    viewer = make_napari_viewer(show=True)
    labels = discs().astype(np.uint16)
    image = viewer.add_image(np.repeat(labels[..., None] * 40, 3, -1).astype(np.uint8), rgb=True)
    layers.add_labels(Session.of(viewer), image, Document(labels))
    widget = MeasureWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Measure")
    qtbot.waitUntil(lambda: widget.measured is not None and len(widget.measured.leaves) == 3)
    return widget


@pytest.fixture
def dialog(widget, qtbot, monkeypatch):
    """The dialog, as the menu of *Save …* opens it."""
    opened = []
    monkeypatch.setattr(TablesDialog, "exec", lambda self: opened.append(self) or QDialog.DialogCode.Accepted)
    widget.save_tables.trigger()
    qtbot.addWidget(opened[0])
    return opened[0]


def choose(dialog, name, data):
    box = dialog.form.native(name)
    box.setCurrentIndex(box.findData(data) if box.findData(data) >= 0 else box.findText(data))


def test_all_tables_are_saved_with_a_dictionary(widget, dialog, qtbot, tmp_path):
    folder = tmp_path / "made" / "here"
    assert not dialog.accept_button.isEnabled()
    assert dialog.message.text() == "Choose a folder."
    dialog.form.native("folder").setText(str(folder))
    assert dialog.message.text() == "leaves.csv, plants.csv, data_dictionary.csv."
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil((folder / "tables.json").exists)
    assert pd.read_csv(folder / "leaves.csv")["leaf"].tolist() == [1, 2, 3]
    assert set(pd.read_csv(folder / "data_dictionary.csv")["table"]) == {"leaves", "plants"}
    assert "napari-leafseg" in json.loads((folder / "tables.json").read_text())["software"]


def test_long_with_decimal_commas(dialog, qtbot, tmp_path):
    choose(dialog, "form", "Long")
    choose(dialog, "decimal", "Comma: 1,5")
    dialog.form.native("folder").setText(str(tmp_path))
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil((tmp_path / "tables.json").exists)
    leaves = pd.read_csv(tmp_path / "leaves.csv", sep=";", decimal=",")
    assert list(leaves.columns[-3:]) == ["trait", "value", "unit"]
    assert leaves["value"].dtype == float


def test_what_does_not_go_together_is_said(dialog, tmp_path):
    dialog.form.native("folder").setText(str(tmp_path))
    choose(dialog, "ending", "Parquet")
    choose(dialog, "units", "In a row")
    assert not dialog.accept_button.isEnabled()
    assert "Parquet has no row for units" in dialog.message.text()
    choose(dialog, "ending", "Excel")
    assert dialog.accept_button.isEnabled()
    assert dialog.message.text().startswith("tables.xlsx, with a sheet each: leaves, plants")
