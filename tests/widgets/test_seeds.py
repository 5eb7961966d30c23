"""Seeds in their layer: dragging, adding and deleting one regroups the leaves."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_leafseg.inference.dense_output import DISTANCE_ONE, DenseOutput
from napari_leafseg.inference.leaf_prediction import LeafPrediction, PixelRegion
from napari_leafseg.inference.prediction import ModelInfo
from napari_leafseg.inference.predictor import PredictEvent
from napari_leafseg.widgets.segment import widget as segment_widget
from napari_leafseg.widgets.segment.widget import SegmentWidget
from napari_leafseg.widgets.state.project_controller import ProjectController


def make_prediction() -> LeafPrediction:
    """Two touching leaves whose embeddings are 90 degrees apart, and a third one."""
    y, x = np.mgrid[:60, :120].astype(float)
    distance, embedding = np.zeros((60, 120)), np.zeros((2, 60, 120), np.int8)
    embedding[0], taken = 127, np.zeros((60, 120), bool)
    for cx, direction in ((20, (127, 0)), (46, (0, 127)), (95, (127, 0))):
        mask = (np.hypot(y - 30, x - cx) < 14) & ~taken
        distance[mask] = np.clip(1 - np.hypot(y - 30, x - cx) / 15, 0, 1)[mask]
        embedding[:, mask] = np.array(direction, np.int8)[:, None]
        taken |= mask
    maps = DenseOutput(
        distance=np.round(distance * DISTANCE_ONE).astype(np.uint8),
        foreground=(taken * 255).astype(np.uint8),
        embedding=embedding,
    )
    region = PixelRegion(slice(0, 60), slice(0, 120), maps)
    return LeafPrediction((60, 120), 1.0, [region], ModelInfo("leaf", "1", kind="distance_embedding"))


@pytest.fixture
def desk(viewer, qtbot, monkeypatch):
    """A segmented image whose seeds are shown: (widget, labels, seeds layer)."""
    found = make_prediction()

    def predict(*_arguments):
        yield PredictEvent(100, 100, "done", found)

    monkeypatch.setattr(segment_widget, "predict_job", predict)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment")
    image = viewer.add_image(np.zeros((60, 120, 3), np.uint8), rgb=True, name="plant")
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.session.binding(image) is not None and not widget.live.busy)
    qtbot.waitUntil(lambda: not widget.job.running)
    widget.overlays["seeds"].setChecked(True)
    qtbot.waitUntil(lambda: widget.session.find_layer(image, "seeds") is not None)
    yield widget, widget.session.binding(image), widget.session.find_layer(image, "seeds")
    ProjectController.of(widget.session).close()


def test_seeds_that_are_deleted_added_and_dragged_regroup_the_leaves(desk, qtbot):
    widget, binding, seeds = desk
    labels = binding.layer.data
    assert len(seeds.data) == 3
    assert len(binding.document.leaves()) == 3
    own = labels.copy()
    seeds.selected_data = {int(np.argmin(np.abs(seeds.data[:, 1] - 46)))}
    seeds.remove_selected()
    qtbot.waitUntil(lambda: not widget.live.busy and not labels[30, 54])
    assert labels[30, 20] > 0
    seeds.add([[30.0, 46.0]])
    qtbot.waitUntil(lambda: not widget.live.busy and len(binding.document.leaves()) == 3)
    assert labels[30, 54] != labels[30, 20] > 0
    seeds.add([[30.0, 104.0]])
    qtbot.waitUntil(lambda: not widget.live.busy and len(binding.document.leaves()) == 4)
    last = len(seeds.data) - 1
    seeds.data = np.where(np.arange(last + 1)[:, None] == last, [2.0, 2.0], seeds.data)  # onto the soil
    qtbot.waitUntil(lambda: not widget.live.busy and len(binding.document.leaves()) == 3)
    widget.panel.rows["seed_threshold"].set(0.3)  # the model's seeds count again
    qtbot.waitUntil(lambda: not widget.live.busy and len(seeds.data) == 3)
    assert ((labels > 0) == (own > 0)).mean() > 0.99


def test_the_seeds_are_those_of_the_leaves_that_the_least_confidence_leaves(desk, qtbot):
    widget, binding, seeds = desk
    labels, least = binding.layer.data, widget.panel.rows["min_confidence"]
    least.set(0.9)  # of two leaves that touch, each is less sure
    qtbot.waitUntil(lambda: not widget.live.busy and len(binding.document.leaves()) == 1)
    assert seeds.data.round().tolist() == [[30, 95]]
    seeds.add([[30.0, 20.0]])
    qtbot.waitUntil(lambda: not widget.live.busy and len(binding.document.leaves()) == 2)
    assert labels[30, 20]
    assert not labels[30, 56], "what was left out comes back with a seed of another leaf"
    least.set(0.0)  # the model's seeds count again
    qtbot.waitUntil(lambda: not widget.live.busy and len(seeds.data) == 3)
    qtbot.waitUntil(lambda: len(binding.document.leaves()) == 3)


def test_undo_to_values_of_a_version_without_a_parameter_shows_its_default(desk, qtbot):
    widget, binding, _seeds = desk
    least = widget.panel.rows["min_confidence"]
    record = widget.session.record(binding.image)
    record.parameters = {name: value for name, value in record.parameters.items() if name != "min_confidence"}
    least.set(0.9)
    qtbot.waitUntil(lambda: not widget.live.busy and len(binding.document.leaves()) == 1)
    widget._end_tuning()
    binding.undo()
    qtbot.waitUntil(lambda: len(binding.document.leaves()) == 3)
    assert widget.panel.values()["min_confidence"] == 0
