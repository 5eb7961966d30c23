"""The window with a model of a family from outside the package."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_leafseg.models import registry
from napari_leafseg.models.build import build_network
from napari_leafseg.models.store.checkpoint import save_checkpoint
from napari_leafseg.models.store.model_card import ModelCard
from napari_leafseg.models.store.zoo import user_folder
from napari_leafseg.widgets.batch.widget import BatchWidget
from napari_leafseg.widgets.segment.widget import SegmentWidget
from napari_leafseg.widgets.state.preferences import preferences
from tests.toy_family import STAR, StarConfig


@pytest.fixture
def star():
    """The toy family with a model of the user's."""
    registry.register_family(STAR)
    path = user_folder() / "star.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, build_network(StarConfig()), ModelCard("star", "1", StarConfig()))
    yield path
    path.unlink()
    registry.unregister_family("star")


def test_its_sliders_appear_and_change_the_labels(viewer, star, plant_image, qtbot):
    viewer.add_image(plant_image, name="plant", rgb=True)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment")
    widget.choose_model("star")
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running and not widget.live.busy, timeout=60000)
    assert list(widget.panel.rows) == ["probability", "nms", "min_area"]
    labels = widget.session.labels_layer(widget.image)
    before = len(np.unique(labels.data))
    slider = widget.panel.rows["probability"].slider
    slider.setValue(0)
    assert widget.panel.values()["probability"] == pytest.approx(0.05)
    qtbot.waitUntil(lambda: len(np.unique(labels.data)) > before, timeout=20000)


def test_batch_takes_over_all_sliders(viewer, star):
    widget = BatchWidget(viewer)
    preferences.keep_parameters("star", {"probability": 0.7, "min_area_working": 25})
    preferences.keep_parameters("star", {"nms": 30})  # out of range: of another version, say
    assert widget._values("star") == {"probability": 0.7, "min_area_working": 25.0}
    widget.close()
