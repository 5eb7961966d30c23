"""What is on the screen is on the disk, in a real window."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_leafseg.io import write_image
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.project_controller import recoverable_projects
from tests.widgets.conftest import _own_settings, qtbot  # noqa: F401
from tests.widgets.test_correct import Hand

from .kept import on_disk, same

pytestmark = pytest.mark.gui
SHAPE = (120, 160)


@pytest.fixture
def desk(make_napari_viewer, qtbot, tmp_path):  # noqa: F811
    """The list of images with one image, in a window that gets mouse events."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1000, 700)
    write_image(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8))
    images = ImagesWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    yield images
    images.controller.close()
    images.close()


def show(images, qtbot, tmp_path):  # noqa: F811
    images.add([tmp_path / "a.png"])
    qtbot.waitUntil(lambda: len(images.viewer.layers) == 1)
    images.viewer.reset_view()
    qtbot.wait(50)
    return images.viewer.layers[0], Hand(images.viewer, qtbot)


def run(images, image, leaves=(1, 2)):
    labels = np.zeros(SHAPE, np.uint16)
    for at, leaf in enumerate(leaves):
        labels[20:50, 10 + 40 * at : 40 + 40 * at] = leaf
    return layers.show_new_labels(images.session, image, labels, "segment with test")


def brush(binding, hand, y, x, leaf):
    """Paint with napari's own brush."""
    binding.layer.mode, binding.layer.brush_size, binding.layer.selected_label = "paint", 9, leaf
    hand.stroke((y, x), (y + 6, x + 6))


def kept(images, binding):
    project = images.controller.project
    assert project.writer.flush()
    return same(on_disk(project.folder, shape=SHAPE), binding.document)


def undo(hand):
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)


def redo(hand):
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)


def test_run_after_the_labels_layer_was_deleted_loses_no_stroke(desk, qtbot, tmp_path):  # noqa: F811
    desk.controller.create(tmp_path / "project")
    image, hand = show(desk, qtbot, tmp_path)
    first = run(desk, image, ())
    for leaf in range(20, 24):
        brush(first, hand, 10 + 20 * (leaf - 20), 60, leaf)
    drawn = first.layer.data.copy()
    assert len(np.unique(drawn)) == 5
    desk.viewer.layers.remove(first.layer)
    second = run(desk, image)
    brush(second, hand, 100, 120, 40)
    brush(second, hand, 70, 60, 41)
    assert {40, 41} <= set(np.unique(second.layer.data))
    assert kept(desk, second)
    for _ in range(4):
        undo(hand)
    assert np.array_equal(second.layer.data, drawn)
    assert kept(desk, second)
    redo(hand)
    assert kept(desk, second)


def test_redo_after_new_project_is_kept(desk, qtbot, tmp_path):  # noqa: F811
    image, hand = show(desk, qtbot, tmp_path)
    binding = run(desk, image)
    brush(binding, hand, 80, 40, 5)
    brush(binding, hand, 80, 100, 6)
    undo(hand)
    desk.controller.create(tmp_path / "project")
    for move in (redo, undo, undo, redo, redo):
        move(hand)
        assert kept(desk, binding)
    assert {5, 6} <= set(np.unique(binding.layer.data))


def test_a_new_project_takes_corrections_of_images_whose_layers_are_gone(desk, qtbot, tmp_path):  # noqa: F811
    image, hand = show(desk, qtbot, tmp_path)
    binding = run(desk, image)
    brush(binding, hand, 80, 40, 5)
    wanted = binding.layer.data.copy()
    desk.viewer.layers.remove(binding.layer)
    desk.viewer.layers.remove(image)
    desk.controller.create(tmp_path / "project")
    assert desk.controller.project.writer.flush()
    assert np.array_equal(on_disk(tmp_path / "project", shape=SHAPE).labels, wanted)
    assert recoverable_projects() == []


def test_a_project_that_is_renamed_while_it_is_open_is_said_and_can_go_elsewhere(desk, qtbot, tmp_path):  # noqa: F811
    desk.controller.create(tmp_path / "project")
    image, hand = show(desk, qtbot, tmp_path)
    binding = run(desk, image)
    brush(binding, hand, 80, 100, 6)
    assert kept(desk, binding)
    (tmp_path / "project").rename(tmp_path / "renamed")
    brush(binding, hand, 80, 40, 5)
    qtbot.waitUntil(lambda: "cannot be written" in desk.project_bar.name.text())
    assert "no longer there" in desk.project_bar.name.toolTip()
    assert not (tmp_path / "project").exists()
    desk.controller.save_elsewhere(tmp_path / "stick")
    assert kept(desk, binding)
    assert desk.controller.project.folder == tmp_path / "stick"
