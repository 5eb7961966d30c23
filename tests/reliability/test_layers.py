"""What programs, napari's menus and mistakes do to our layers: all that is on the screen is on the disk."""

import numpy as np
import pytest
from napari.layers import _layer_actions
from qtpy.QtCore import Qt

from napari_leafseg.widgets.state import labels_binding, layers
from tests.widgets.conftest import _own_settings, errors, qtbot  # noqa: F401

from .kept import on_disk, same
from .test_window import SHAPE, brush, desk, kept, run, show, undo  # noqa: F401

pytestmark = pytest.mark.gui


@pytest.fixture
def work(desk, qtbot, tmp_path):  # noqa: F811
    desk.controller.create(tmp_path / "p")
    image, hand = show(desk, qtbot, tmp_path)
    return desk, run(desk, image), hand


def test_an_array_that_a_program_puts_into_the_layer_is_a_step(work):
    desk, binding, hand = work  # noqa: F811
    before = binding.layer.data.copy()
    other = np.where(before == 2, 7, before).astype(np.int64)
    binding.layer.data = other
    assert np.array_equal(binding.document.labels, other)
    brush(binding, hand, 100, 120, 9)
    assert {1, 7, 9} <= set(np.unique(binding.layer.data))
    assert np.array_equal(binding.document.labels, binding.layer.data)
    assert kept(desk, binding)
    undo(hand)
    undo(hand)
    assert np.array_equal(binding.layer.data, before)
    assert kept(desk, binding)


def test_other_numbers_in_napari_s_menu_leave_undo_and_the_screen_together(work):
    desk, binding, hand = work  # noqa: F811
    before = binding.layer.data.copy()
    desk.viewer.layers.selection = {binding.layer}
    desk.viewer.layers.selection.active = binding.layer
    _layer_actions._convert_dtype(desk.viewer.layers, "int64")
    brush(binding, hand, 100, 120, 9)
    assert kept(desk, binding)
    undo(hand)
    assert np.array_equal(binding.layer.data, before)
    assert kept(desk, binding)


@pytest.mark.parametrize("array", [np.ones((20, 30), int), np.full(SHAPE, -3), np.full(SHAPE, 100_000)])
def test_an_array_that_is_no_labels_of_the_image_becomes_a_layer_of_its_own(work, array):
    desk, binding, hand = work  # noqa: F811
    before, number = binding.layer.data.copy(), len(desk.viewer.layers)
    binding.layer.data = array
    assert np.array_equal(binding.layer.data, before)
    assert np.array_equal(desk.viewer.layers[-1].data, array)
    assert len(desk.viewer.layers) == number + 1
    assert "not kept" in desk.viewer.layers[-1].name
    brush(binding, hand, 100, 120, 9)
    assert kept(desk, binding)


def test_napari_s_own_undo_finds_nothing_that_ours_would_not_know_of(work):
    desk, binding, hand = work  # noqa: F811
    brush(binding, hand, 100, 120, 9)
    binding.layer.undo()
    assert 9 in binding.layer.data
    assert kept(desk, binding)


def test_a_copy_of_the_labels_layer_is_left_alone(work, qtbot, tmp_path):  # noqa: F811
    desk, binding, hand = work  # noqa: F811
    desk.viewer.layers.selection = {binding.layer}
    _layer_actions._duplicate_layer(desk.viewer.layers)
    (copy,) = (layer for layer in desk.viewer.layers if "copy" in layer.name)
    assert desk.session.labels_layer(binding.image) is binding.layer
    desk.viewer.layers.selection = {binding.layer}
    brush(binding, hand, 100, 120, 9)
    assert kept(desk, binding)
    layers.remove_image(desk.session, binding.image)
    assert list(desk.viewer.layers) == [copy]


def test_a_brush_of_three_dimensions_is_recorded_in_every_frame(desk, qtbot, tmp_path):  # noqa: F811
    frames = np.random.default_rng(0).integers(0, 255, (5, *SHAPE, 3)).astype(np.uint8)
    image = desk.viewer.add_image(frames, rgb=True, name="series")
    binding = layers.show_new_labels(desk.session, image, np.zeros(frames.shape[:3], np.uint16), "segment with test")
    layer = binding.layer
    layer.n_edit_dimensions, layer.brush_size, layer.selected_label = 3, 9, 4
    layer.paint((2, 50, 60), 4)
    assert [bool(plane.any()) for plane in layer.data] == [True] * 5
    project = desk.controller.project
    assert project.writer.flush()
    assert same(on_disk(project.folder, shape=layer.data.shape), binding.document)
    binding.undo()
    assert not layer.data.any()


def test_a_step_is_kept_whoever_fails_to_hear_of_it(desk, qtbot, tmp_path):  # noqa: F811
    def fail(_binding):
        raise RuntimeError("a listener's mistake")

    image, _hand = show(desk, qtbot, tmp_path)
    desk.session.corrected.connect(fail)
    binding = layers.add_labels(desk.session, image, labels_binding.Document(np.zeros(SHAPE, np.uint16)))
    with pytest.raises(Exception, match="a listener's mistake"):
        binding.layer.paint((50, 60), 4)
    assert binding.ref is not None
    assert kept(desk, binding)
    assert 4 in binding.layer.data


def test_pixels_of_a_stroke_that_cannot_be_recorded_are_kept(work, monkeypatch, errors):  # noqa: F811
    desk, binding, _hand = work  # noqa: F811

    def fail(*_what):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(labels_binding, "edits_of_atoms", fail)
        binding.layer._begin_stroke()
        binding.layer.paint((100, 120), 9)
        binding.layer._commit_stroke()
    assert "cannot be undone" in errors[0]
    desk.controller.autosave()
    assert desk.controller.project.writer.flush()
    assert 9 in on_disk(desk.controller.project.folder, shape=SHAPE).labels


def test_a_click_on_its_row_brings_an_image_back_whose_layers_were_deleted(work, qtbot):  # noqa: F811
    desk, binding, hand = work  # noqa: F811
    brush(binding, hand, 100, 120, 9)
    wanted = binding.layer.data.copy()
    desk.viewer.layers.clear()
    place = desk.list.visualRect(desk.list.model().index(0, 0)).center()
    qtbot.mouseClick(desk.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: desk.session.focused_binding() is not None)
    assert np.array_equal(desk.session.focused_binding().layer.data, wanted)
