"""The Correct dock widget, with real mouse and key events on the canvas."""

import itertools

import numpy as np
import pytest
import tifffile
from napari.layers import Image, Labels, Shapes
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_leafseg.io import write_image
from napari_leafseg.project import Project
from napari_leafseg.widgets.correct.widget import CorrectWidget
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.segment.widget import SegmentWidget
from napari_leafseg.widgets.state.image_record import ReviewState, describe
from napari_leafseg.widgets.state.project_controller import ProjectController, recoverable_projects
from napari_leafseg.widgets.state.session import Session
from napari_leafseg.widgets.state.shortcuts import ACTIONS


@pytest.fixture
def shown(make_napari_viewer, qtbot):
    """A viewer whose canvas gets events."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1000, 700)
    qtbot.wait(50)
    return viewer


@pytest.fixture
def plate():
    """An image of three discs of leaf green, 120 × 160; the third is not labeled."""
    y, x = np.mgrid[:120, :160]
    labels = np.zeros((120, 160), np.uint16)
    plant_image = np.full((120, 160, 3), (110, 85, 60), np.uint8)
    for leaf, (cy, cx) in enumerate(((40, 40), (40, 72), (85, 110)), start=1):
        disc = np.hypot(y - cy, x - cx) < 18
        plant_image[disc] = (40 + 8 * leaf, 150, 60)
        if leaf < 3:
            labels[disc & (labels == 0)] = leaf
    return plant_image, labels


class Hand:
    """Mouse and keys over the canvas, in the image's pixels."""

    held = Qt.KeyboardModifier.NoModifier

    def __init__(self, viewer, qtbot):
        self.viewer, self.qtbot = viewer, qtbot
        self.native = viewer.window._qt_viewer.canvas.native

    def place(self, y, x):
        size = self.native.size()
        center, zoom = np.array(self.viewer.camera.center)[-2:], self.viewer.camera.zoom
        down, right = (np.array([y, x]) - center) * zoom
        return QPoint(round(size.width() / 2 + right), round(size.height() / 2 + down))

    def _send(self, kind, where, button, buttons):
        event = QMouseEvent(
            kind,
            QPointF(where),
            QPointF(self.native.mapToGlobal(where)),
            button,
            buttons,
            self.held,
        )
        QApplication.sendEvent(self.native, event)
        QApplication.processEvents()

    def hover(self, y, x):
        self._send(QEvent.Type.MouseMove, self.place(y, x), Qt.MouseButton.NoButton, Qt.MouseButton.NoButton)

    def stroke(self, *points):
        left = Qt.MouseButton.LeftButton
        self.hover(*points[0])
        self._send(QEvent.Type.MouseButtonPress, self.place(*points[0]), left, left)
        for start, stop in itertools.pairwise(points):
            for share in np.linspace(0, 1, 8)[1:]:
                where = np.array(start) + share * (np.array(stop) - start)
                self._send(QEvent.Type.MouseMove, self.place(*where), Qt.MouseButton.NoButton, left)
        self._send(QEvent.Type.MouseButtonRelease, self.place(*points[-1]), left, Qt.MouseButton.NoButton)

    def click(self, y, x, modifier=Qt.KeyboardModifier.NoModifier):
        self.held = modifier
        self.stroke((y, x))
        self.held = Qt.KeyboardModifier.NoModifier

    def wheel(self, y, x, steps, modifier):
        where = self.place(y, x)
        event = QWheelEvent(
            QPointF(where), QPointF(self.native.mapToGlobal(where)), QPoint(0, 0), QPoint(0, 120 * steps),
            Qt.MouseButton.NoButton, modifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(self.native, event)
        QApplication.processEvents()

    def key(self, key, modifier=Qt.KeyboardModifier.NoModifier):
        self.qtbot.keyClick(self.native, key, modifier)
        QApplication.processEvents()


@pytest.fixture
def desk(shown, qtbot, plate, tmp_path):
    """An image with labels that a person is about to correct: (widget, labels layer, hand)."""
    plant_image, labels = plate
    write_image(tmp_path / "plate.png", plant_image)
    images = ImagesWidget(shown)
    widget = CorrectWidget(shown)
    shown.window.add_dock_widget(images, name="Images")
    shown.window.add_dock_widget(widget, name="Correct")
    images.add([tmp_path / "plate.png"])
    qtbot.waitUntil(lambda: len(shown.layers) == 1, timeout=10000)
    from napari_leafseg.widgets.state import layers

    session = Session.of(shown)
    layers.show_new_labels(session, shown.layers[0], labels.copy(), "segment with test")
    shown.reset_view()
    QApplication.processEvents()
    yield widget, session.labels_layer(shown.layers["plate"]), Hand(shown, qtbot)
    ProjectController.of(session).close()
    widget.close()
    images.close()


def test_add_by_click_and_the_wheel_with_shift_changes_it(desk, plate):
    widget, layer, hand = desk
    hand.key(Qt.Key.Key_A)
    assert widget.tool_buttons["add"].isChecked()
    hand.click(85, 110)
    truth = np.hypot(*(np.mgrid[:120, :160] - np.array([85, 110])[:, None, None])) < 18
    leaf = layer.data == 3
    assert (leaf & truth).sum() / (leaf | truth).sum() > 0.9
    assert widget.binding.document.verified == {(0, 3)}
    before, zoom = leaf.sum(), widget.viewer.camera.zoom
    for _ in range(12):
        hand.wheel(85, 110, -1, Qt.KeyboardModifier.ShiftModifier)
    assert widget.angle_box.value() < 15
    assert widget.viewer.camera.zoom == zoom
    assert 0 < (layer.data == 3).sum() <= before
    assert len(widget.binding.document.history.done) == 2  # one leaf, one step
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert 3 not in layer.data
    hand.key(Qt.Key.Key_A)
    assert widget.tools.tool is None
    assert not [x for x in widget.viewer.layers if isinstance(x, Shapes)]
    assert widget.viewer.camera.mouse_pan
    center = np.array(widget.viewer.camera.center)
    hand.stroke((60, 60), (80, 80))
    assert not np.array_equal(widget.viewer.camera.center, center)  # without a tool it does


def test_a_box_around_a_leaf_adds_it_and_shift_click_takes_a_part_off(desk):
    widget, layer, hand = desk
    truth = np.hypot(*(np.mgrid[:120, :160] - np.array([85, 110])[:, None, None])) < 18
    hand.key(Qt.Key.Key_A, Qt.KeyboardModifier.ShiftModifier)
    assert widget.tool_buttons["box"].isChecked()
    assert widget.angle_slider.isEnabled()
    center = np.array(widget.viewer.camera.center)
    hand.stroke((65, 90), (105, 130))
    leaf = layer.data == 3
    assert (leaf & truth).sum() / (leaf | truth).sum() > 0.85
    assert np.array_equal(widget.viewer.camera.center, center)
    assert widget.undo_button.text() == "↶ Undo box"
    assert widget.binding.document.verified == {(0, 3)}
    steps = len(widget.binding.document.history.done)
    hand.click(85, 122, Qt.KeyboardModifier.ShiftModifier)
    less = layer.data == 3
    assert not less[85, 122]
    assert less.any()
    assert less.sum() < leaf.sum()
    assert len(widget.binding.document.history.done) == steps  # one leaf, one step
    hand.wheel(85, 110, 1, Qt.KeyboardModifier.ShiftModifier)
    assert not layer.data[85, 122]  # what was taken off stays off
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert 3 not in layer.data
    hand.click(85, 122, Qt.KeyboardModifier.ShiftModifier)
    assert 3 not in layer.data
    assert "Add a leaf first" in widget.hint.text()


def test_merge_split_and_undo_by_strokes_and_keys(desk):
    _widget, layer, hand = desk
    start = layer.data.copy()
    hand.key(Qt.Key.Key_G)
    center = np.array(hand.viewer.camera.center)
    hand.stroke((40, 35), (40, 80))
    assert sorted(np.unique(layer.data)) == [0, 1]
    assert np.array_equal(hand.viewer.camera.center, center)  # the image does not move with the stroke
    hand.key(Qt.Key.Key_K)
    hand.stroke((15, 56), (65, 56))
    assert sorted(np.unique(layer.data)) == [0, 1, 3]  # 2 was given before: colors stay apart
    assert np.mean(layer.data[:, :54][start[:, :54] > 0] == layer.data[40, 30]) > 0.98
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    hand.click(40, 30)
    hand.click(40, 85)
    assert len(np.unique(layer.data)) == 3
    for _ in range(2):
        hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(layer.data, start)
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert 2 not in layer.data


def test_border_lasso_and_front(desk, plate):
    _widget, layer, hand = desk
    labels = layer.data
    hand.key(Qt.Key.Key_Q)
    hand.stroke((70, 95), (70, 125), (100, 125), (100, 95))
    assert (labels[75:95, 100:120] == 3).all()
    hand.key(Qt.Key.Key_W)
    hand.stroke((72, 96), (68, 110), (72, 124))  # the disc's upper edge
    truth = np.hypot(*(np.mgrid[:120, :160] - np.array([85, 110])[:, None, None])) < 18
    assert (labels[66:70] == 3).any()
    upper = truth[:80]
    assert ((labels[:80] == 3) & upper).sum() / upper.sum() > 0.9
    before = (labels == 1).sum()
    hand.key(Qt.Key.Key_T)
    hand.stroke((40, 70), (40, 45))
    assert (labels == 1).sum() <= before


def test_keys_act_on_the_leaf_under_the_mouse(desk):
    widget, layer, hand = desk
    layer.data[40, 40] = 0
    hand.hover(40, 35)
    hand.key(Qt.Key.Key_H)
    assert layer.data[40, 40] == 1
    hand.key(Qt.Key.Key_U)  # it counts as verified since it was touched: unlock
    assert widget.binding.locked == frozenset()
    hand.key(Qt.Key.Key_U)
    assert widget.binding.locked == {1}
    marks = widget.viewer.layers["plate verified"]
    assert len(marks.data) == 1
    assert layer.data[tuple(np.round(marks.data[0]).astype(int))] == 1
    hand.hover(40, 85)
    hand.key(Qt.Key.Key_D)
    assert 2 not in layer.data
    hand.hover(110, 10)
    hand.key(Qt.Key.Key_D)
    assert "no leaf" in widget.hint.text()


def test_naparis_brush_eraser_and_fill_are_recorded(desk, qtbot):
    widget, layer, hand = desk
    assert widget.undo_button.text() == "↶ Undo Run of “test”"
    layer.mode, layer.selected_label, layer.brush_size = "paint", 7, 8
    hand.stroke((100, 30), (100, 60))
    painted = layer.data.copy()
    assert (painted == 7).sum() > 150
    assert widget.undo_button.text() == "↶ Undo paint"
    layer.mode = "fill"
    layer.selected_label = 9
    hand.click(40, 35)
    assert (layer.data == 9).any()
    layer.mode = "erase"
    hand.stroke((100, 30), (100, 60))
    assert 7 not in layer.data
    tools = [step.tool for step in widget.binding.document.history.done]
    assert tools == ["segment with test", "paint", "paint", "paint"]
    for _ in range(2):
        hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(layer.data, painted)
    assert (0, 7) in widget.binding.document.verified


def test_the_brush_paints_a_leaf_of_its_own_until_another_one_is_chosen(desk):
    widget, layer, hand = desk
    before = layer.data.copy()
    layer.mode, layer.brush_size = "paint", 8
    hand.stroke((100, 30), (100, 60))
    assert widget.binding.document.leaves() == [1, 2, 3]
    assert np.array_equal(layer.data == 1, before == 1)
    layer.mode = "pan_zoom"
    hand.key(Qt.Key.Key_N)
    assert widget.review.reviewed == layer.selected_label == 1


def test_review_visits_accepts_and_deletes(desk):
    widget, _layer, hand = desk
    assert "0 of 2 leaves" in widget.progress_label.text()
    hand.key(Qt.Key.Key_N)
    assert widget.review.reviewed == 1
    assert np.allclose(np.array(widget.viewer.camera.center)[-2:], (40, 40), atol=2)
    hand.key(Qt.Key.Key_I)
    assert widget.binding.locked == {1}
    assert widget.review.reviewed == 2
    assert "1 of 2 leaves" in widget.progress_label.text()
    hand.key(Qt.Key.Key_Delete)
    assert widget.binding.document.leaves() == [1]
    assert widget.review.reviewed == 0
    widget.filter_box.setCurrentIndex(widget.filter_box.findData("verified"))
    hand.key(Qt.Key.Key_N)
    assert widget.review.reviewed == 1
    widget.done_button.click()
    assert "1 of 1 image" in widget.progress_label.text()
    assert Session.of(widget.viewer).images[0].review is ReviewState.DONE
    assert describe(Session.of(widget.viewer).images[0]) == "1 leaf · reviewed"


def test_a_part_of_a_image_can_be_done(desk):
    widget, _layer, _hand = desk
    widget.review.show_leaf(2)
    widget.region_button.click()
    (ref,) = widget.controller.project.images
    top, left, bottom, right = ref.region
    assert top < 30 < 50 < bottom
    assert left > 0 or right < 160
    assert ref.state == "in progress"
    assert 2 in widget.binding.locked
    widget.done_button.click()
    assert ref.region is None
    assert ref.state == "done"


@pytest.mark.parametrize("size", [(1300, 800), (600, 700)])
def test_the_part_that_is_done_is_what_the_canvas_shows(desk, size):
    widget, _layer, hand = desk
    widget.viewer.window.resize(*size)
    QApplication.processEvents()
    widget.viewer.camera.center = (60, 80)
    widget.viewer.camera.zoom = max(hand.native.height() / 60, hand.native.width() / 100)
    widget.region_button.click()
    top, left, bottom, right = widget.controller.project.images[0].region
    first, last = hand.place(top, left), hand.place(bottom, right)
    zoom = widget.viewer.camera.zoom
    assert max(abs(first.x()), abs(first.y())) <= 2 * zoom  # the canvas's corners, give or take two pixels of the image
    assert max(abs(last.x() - hand.native.width()), abs(last.y() - hand.native.height())) <= 2 * zoom


def test_the_least_certain_image_comes_first(desk):
    widget, _layer, _hand = desk
    session = widget.session
    from napari_leafseg.project.review import image_order

    assert image_order({"a": 0.9, "b": 0.2, "c": 0.5}) == ["b", "c", "a"]
    wanted = []
    session.image_wanted.connect(wanted.append)
    widget.least_button.click()
    assert wanted == []  # there is no prediction
    session.images[0].confidence = 0.3
    widget.least_button.click()
    assert wanted == [session.images[0]]


def test_all_leaves_at_once_leave_verified_ones_alone(desk):
    widget, layer, hand = desk
    layer.data[40, 40] = layer.data[40, 75] = 0
    hand.hover(35, 40)
    hand.key(Qt.Key.Key_U)
    widget.action_buttons["fill"].click()
    assert layer.data[40, 40] == 0
    assert layer.data[40, 75] == 2
    assert widget.binding.locked == {1}  # done to all is not looked at one by one


def test_our_keys_do_not_collide_with_naparis(shown):
    from napari.settings import get_settings

    taken = set()
    for action, bindings in get_settings().shortcuts.shortcuts.items():
        name = action.split(":")[1]
        elsewhere = ("points", "shape", "vertex", "activate_add", "activate_direct", "activate_select", "orient_plane",
                     "select_all", "select_append", "image", "surface", "tracks", "vectors", "contrast")  # fmt: skip
        if not any(word in name for word in elsewhere):
            taken |= {str(key).replace("+", "-") for key in bindings}
    for keymap in (Labels.class_keymap, Image.class_keymap):
        taken |= {str(key).replace("+", "-") for key in keymap}
    assert "B" in taken
    ours = [action.key for action in ACTIONS.values()]
    assert len(ours) == len(set(ours))
    assert taken.isdisjoint(ours)


def test_what_is_corrected_without_a_project_is_kept_and_offered_again(desk, tmp_path, qtbot, monkeypatch):
    widget, layer, hand = desk
    hand.hover(40, 35)
    hand.key(Qt.Key.Key_D)
    controller = widget.controller
    assert controller.is_scratch
    assert controller.project.writer.flush()
    folder = controller.project.folder
    controller.autosave()
    qtbot.waitUntil(lambda: controller.project.labels_path(controller.project.images[0]).exists(), timeout=5000)
    shown_labels = layer.data.copy()
    controller.project.close()  # as if the application had died: nothing more is written
    controller.project = None
    assert recoverable_projects() == [folder]
    with Project.open(folder) as project:
        document = project.open_document(project.images[0], layer.data.shape)
        assert np.array_equal(document.labels, shown_labels)
        assert document.undo().tool == "delete"


def test_a_project_keeps_labels_of_all_images_and_opens_again(desk, tmp_path, qtbot):
    widget, layer, hand = desk
    controller = widget.controller
    controller.create(tmp_path / "project")
    hand.hover(40, 35)
    hand.key(Qt.Key.Key_D)
    kept = layer.data.copy()
    controller.close()
    assert np.array_equal(tifffile.imread(tmp_path / "project" / "labels" / "plate.tif"), kept)
    controller.open(tmp_path / "project")
    viewer = widget.viewer
    qtbot.waitUntil(lambda: "plate leaves" in viewer.layers, timeout=10000)
    assert np.array_equal(viewer.layers["plate leaves"].data, kept)
    assert widget.undo_button.text() == "↶ Undo delete"
    widget.undo_button.click()
    assert 1 in viewer.layers["plate leaves"].data


def test_sliders_leave_corrected_leaves_alone_and_a_drag_is_one_step(shown, qtbot, plant_image):
    image = shown.add_image(plant_image, name="plant", rgb=True)
    segment, widget = SegmentWidget(shown), CorrectWidget(shown)
    segment.run()
    qtbot.waitUntil(lambda: not segment.job.running and "plant leaves" in shown.layers, timeout=60000)
    qtbot.waitUntil(lambda: not segment.live.busy, timeout=20000)
    layer = shown.layers["plant leaves"]
    binding = widget.session.binding(image)
    segment.panel.rows["grouping"].set(0.0)  # best-seed: every move of the angle changes the labels
    qtbot.waitUntil(lambda: not segment.live.busy)
    binding.end_tuning()
    begun = segment.panel.values()
    leaf = int(np.bincount(layer.data[layer.data > 0]).argmax())
    binding.verify([leaf], True)
    mask, steps = layer.data == leaf, len(binding.document.history)
    before = layer.data.copy()
    for value in (5, 12, 20, 60):
        segment.panel.rows["angle"].slider.setValue(value)
        qtbot.waitUntil(lambda: not segment.live.busy, timeout=20000)
    segment.panel.rows["seed_threshold"].slider.setValue(75)
    qtbot.waitUntil(lambda: not segment.live.busy, timeout=20000)
    assert np.array_equal(layer.data == leaf, mask)
    assert not np.array_equal(layer.data, before)
    tuned = segment.panel.values()
    qtbot.waitUntil(lambda: widget.undo_button.text() == "↶ Undo tune", timeout=20000)  # once the slider rests
    binding.end_tuning()
    assert len(binding.document.history) == steps + 1
    assert binding.undo().tool == "tune"
    assert np.array_equal(layer.data, before)
    assert segment.panel.values() == begun  # the sliders go back, too
    assert widget.redo_button.text() == "↷ Redo tune"
    binding.redo()
    assert segment.panel.values() == tuned
    binding.undo()
    segment.close()
    widget.close()
    ProjectController.of(widget.session).close()


def test_a_series_is_corrected_frame_by_frame(shown, qtbot, plate):
    plant_image, labels = plate
    shown.add_image(np.stack([plant_image] * 3), name="series", rgb=True)
    widget = CorrectWidget(shown)
    from napari_leafseg.widgets.state import layers

    layers.show_new_labels(widget.session, shown.layers[0], np.stack([labels] * 3), "segment with test")
    shown.reset_view()
    hand = Hand(shown, qtbot)
    shown.dims.set_current_step(0, 1)
    QApplication.processEvents()
    data = shown.layers["series leaves"].data
    hand.hover(40, 35)
    hand.key(Qt.Key.Key_D)
    assert [1 in frame for frame in data] == [True, False, True]
    hand.key(Qt.Key.Key_G)
    shown.dims.set_current_step(0, 2)
    QApplication.processEvents()
    hand.stroke((40, 35), (40, 80))
    assert [2 in frame for frame in data] == [True, True, False]
    assert widget.binding.document.verified == {(2, 1)}
    widget.undo()
    widget.undo()
    assert all(np.array_equal(frame, labels) for frame in data)
    widget.close()
    ProjectController.of(widget.session).close()
