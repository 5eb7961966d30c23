"""One folder with every file: `predict`, `batch` and the window take the same ones and give the same reasons."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from typer.testing import CliRunner

from napari_leafseg.cli import app
from napari_leafseg.inference.search import PlantDetections
from napari_leafseg.io import read_labels
from napari_leafseg.widgets.images.channels_dialog import ChannelsDialog
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.state.session import image_data
from tests.files.cases import READ, REFUSED, case_file
from tests.widgets.conftest import *  # noqa: F403

pytestmark = [pytest.mark.slow, pytest.mark.gui]
NO_IMAGES = {"._ref.png", "array.npy", "coco_leaf_and_pot.json", "labelme_ai_mask.json"}
TAKEN = sorted(set(READ) - set(REFUSED))
NAMED = sorted(set(REFUSED) - NO_IMAGES)


@pytest.fixture
def folder(tmp_path):
    """A folder with a copy of every file."""
    folder = tmp_path / "all"
    (tmp_path / "made").mkdir()
    folder.mkdir()
    for name in sorted(set(READ) | set(REFUSED)):
        shutil.copy(case_file(name, tmp_path / "made"), folder / name)
    return folder


@pytest.fixture
def no_search(monkeypatch):
    """The whole image is segmented at the scale that is given: which plants are in it does not matter here."""
    found = [(1, 1, PlantDetections())]
    monkeypatch.setattr("napari_leafseg.inference.predictor.find_plants", lambda *_: iter(found))


def _run(checkpoint, *arguments):
    result = CliRunner().invoke(app, [*map(str, arguments), "--model", str(checkpoint), "--device", "cpu"])
    return result.exit_code, " ".join(result.output.split())


def _shape(name):
    array = READ[name].array
    return array.shape[:3] if array.ndim == 4 else array.shape[:2]


def _check_said(output):
    assert "Not taken: array.npy (arrays" in output
    for name in NAMED:
        assert name in output
        assert REFUSED[name] in output, name
    for name in TAKEN:
        assert f"{name} is" not in output


def test_predict_takes_all(tiny_checkpoint, no_search, folder, tmp_path):
    out = tmp_path / "out"
    code, output = _run(tiny_checkpoint, "predict", folder, "--output", out, "--scale", "0.2")
    assert code == 2
    _check_said(output)
    written = {}
    for record in out.glob("*_label.json"):
        image = json.loads(record.read_text())["image"]
        written[Path(image["path"]).name] = read_labels(record.with_suffix(".tif"), series=True)
    assert sorted(written) == TAKEN
    for name, labels in written.items():
        assert labels.shape == _shape(name), name
    same = [name for name in TAKEN if np.array_equal(READ[name].array, READ["ref.png"].array) and not READ[name].off]
    assert len(same) > 20
    for name in same:
        assert np.array_equal(written[name], written["ref.png"]), name


def test_a_batch_takes_all(tiny_checkpoint, no_search, folder, tmp_path):
    out = tmp_path / "out"
    code, output = _run(tiny_checkpoint, "batch", folder, "--output", out, "--scale", "0.2", "--workers", "0")
    assert code == 2
    _check_said(output)
    assert f"{len(TAKEN)} images done, {len(NAMED)} not" in output


def test_the_window_takes_all(viewer, qtbot, folder, monkeypatch):
    monkeypatch.setattr(ChannelsDialog, "exec", lambda self: ChannelsDialog.DialogCode.Rejected)
    widget = ImagesWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Images")
    widget.add([folder])
    shown = {}
    assert sorted(entry.path.name for entry in widget.session.images) == sorted([*TAKEN, *NAMED])
    for entry in list(widget.session.images):
        notification_manager.records.clear()
        widget.go_to(entry)
        qtbot.waitUntil(lambda entry=entry: bool(entry.error) or widget.session.layer_of(entry) is not None)
        qtbot.waitUntil(lambda: not widget.loader.running)
        name, layer = entry.path.name, widget.session.layer_of(entry)
        if name in REFUSED:
            assert REFUSED[name] in entry.error
            assert layer is None
            continue
        shown[name], series = image_data(layer)
        case = READ[name]
        assert series == (case.array.ndim == 4), name
        expected = case.array.reshape(shown[name].shape)
        assert np.abs(shown[name].astype(float) - expected)[np.isfinite(expected)].mean() <= case.off, name
        said = " ".join(record.message for record in notification_manager.records)
        assert case.say in said, name
    assert sorted(shown) == TAKEN
