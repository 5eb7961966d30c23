"""How many clicks and keys the main jobs take, counted on a real window. A menu's entry counts as one click."""

import itertools
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from napari._qt.dialogs.qt_notification import NapariQtNotification
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QDoubleSpinBox,
    QFileDialog,
    QLabel,
    QLineEdit,
    QPushButton,
)

from napari_leafseg.editing import tools
from napari_leafseg.editing.tools import TOOLS
from napari_leafseg.inference.predictor import PredictEvent
from napari_leafseg.io import write_image
from napari_leafseg.pipelines.run_list import FoundLeaves, file_state
from napari_leafseg.widgets.common import background_run
from napari_leafseg.widgets.correct.keys import RUN_FIRST, key_table
from napari_leafseg.widgets.correct.widget import CorrectWidget
from napari_leafseg.widgets.images import widget as images_widget
from napari_leafseg.widgets.images.jobs import load_job
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.main.panel import find_panel
from napari_leafseg.widgets.segment import widget as segment_widget
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.image_record import ReviewState
from napari_leafseg.widgets.state.napari_private import main_window, native_canvas
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session
from napari_leafseg.widgets.state.shortcuts import ACTIONS
from tests.widgets.test_correct import Hand

SHAPE = (120, 160)
PLACES = [(20 + 36 * row, 20 + 38 * column) for row in range(3) for column in range(4)][:11]
NONE = Qt.KeyboardModifier.NoModifier


def plant(leaves: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """An image of eleven green discs, and labels of so many of them."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    picture, labels = np.full((*SHAPE, 3), (110, 85, 60), np.uint8), np.zeros(SHAPE, np.uint16)
    for leaf, (cy, cx) in enumerate(PLACES, start=1):
        disc = np.hypot(y - cy, x - cx) < 13
        picture[disc] = (50, 150, 60)
        labels[disc] = leaf if leaf <= leaves else 0
    return picture, labels


class FakePrediction:
    """What a model said: the labels that are given."""

    def __init__(self, labels):
        self.shape, self.key, self.seconds, self.scale, self._labels = labels.shape, "fake", 0.1, 1.0, labels
        self.model = SimpleNamespace(name="leaf", version="1", calibration=None)
        self.family = SimpleNamespace(prediction=None)
        self.frames, self.regions, self.tunables, self.layers, self.notes = (self,), (), (), (), []
        self.overlapping = False

    def labels(self, **_values):
        return self._labels.copy()

    def planes(self, labels):
        return labels.reshape(-1, *self.shape)

    def defaults(self):
        return {"angle": 45.0}

    def record(self, **values):
        return {"model": {"name": "leaf", "version": "1"}, "parameters": values}


class CountingHand(Hand):
    """Mouse and keys that are counted."""

    def __init__(self, viewer, qtbot):
        super().__init__(viewer, qtbot)
        self.count, self.modifier = 0, NONE

    def _send(self, kind, where, button, buttons):
        from qtpy.QtCore import QPointF
        from qtpy.QtGui import QMouseEvent

        self.count += kind == QEvent.Type.MouseButtonPress
        there = QPointF(self.native.mapToGlobal(where))
        QApplication.sendEvent(self.native, QMouseEvent(kind, QPointF(where), there, button, buttons, self.modifier))
        QApplication.processEvents()

    def click(self, y, x, modifier=NONE):
        self.modifier = modifier
        super().click(y, x)
        self.modifier = NONE

    def key(self, key, modifier=NONE):
        self.count += 1
        super().key(key, modifier)

    def push(self, button):
        self.count += 1
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def menu(self, viewer, title):
        self.count += 1
        viewer.window.add_plugin_dock_widget("napari-leafseg", title)


@pytest.fixture
def hand(make_napari_viewer, qtbot):
    """A window on the screen, and the hand of who sits before it."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 760)
    QApplication.processEvents()
    yield CountingHand(viewer, qtbot)
    controller = ProjectController.of(Session.of(viewer))
    qtbot.waitUntil(lambda: not background_run.BackgroundRun.of(controller.session).running)
    controller.close()


def write_folder(folder, count):
    for number in range(count):
        write_image(folder / f"plant_{number:02}.png", plant()[0])
    return folder


def test_first_leaves_and_then_all_of_an_own_folder(hand, qtbot, tmp_path, monkeypatch):
    folder, viewer, found = write_folder(tmp_path / "images", 23), hand.viewer, FakePrediction(plant()[1])

    def predict(*_arguments):
        yield PredictEvent(100, 100, "done", found)

    def find(_settings, _options, path):
        found.record = lambda **values: {
            "model": {"name": "leaf", "version": "1"}, "parameters": values, "image": {"file": file_state(path)}
        }  # fmt: skip
        return FoundLeaves(found, plant()[0], plant()[1], {"angle": 45.0}, [dict.fromkeys(range(1, 12), 0.8)])
        yield

    monkeypatch.setattr(segment_widget, "predict_job", predict)
    monkeypatch.setattr(background_run, "find_leaves", find)
    monkeypatch.setattr(background_run, "is_current", lambda *_: False)
    monkeypatch.setattr(
        "napari_leafseg.pipelines.run_list.leaf_confidences", lambda _p, _l: [dict.fromkeys(range(1, 12), 0.8)]
    )
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))

    hand.menu(viewer, "Leaf segmentation")
    panel = find_panel(viewer)
    qtbot.waitUntil(lambda: main_window(viewer).findChild(ImagesWidget) is not None)
    images, session = main_window(viewer).findChild(ImagesWidget), Session.of(viewer)
    hand.push(images.add_folder)
    qtbot.waitUntil(lambda: session.focus() is not None and not images.loader.running)
    segment = panel.step("segment")
    said, show = [], layers.show_new_labels
    monkeypatch.setattr(layers, "show_new_labels", lambda *what: (said.append(segment.message.text()), show(*what))[1])
    hand.push(segment.run_button)
    qtbot.waitUntil(lambda: session.focused_binding() is not None and session.images[0].count == 11)
    assert said == ["Drawing the leaves …"]  # which takes a while for the first ones
    qtbot.waitUntil(lambda: segment.message.text() == "")
    assert hand.count <= 3
    assert main_window(viewer).focusWidget() is native_canvas(viewer)  # the keys work on the canvas again

    hand.count = 0
    hand.push(segment.run_all_button.button)
    run = background_run.BackgroundRun.of(session)
    qtbot.waitUntil(lambda: all(entry.count == 11 for entry in session.images) and not run.running)
    assert hand.count == 1
    assert len(session.images) == 23
    hand.key(Qt.Key.Key_PageDown)
    qtbot.waitUntil(lambda: session.focused_binding() is not None and session.focus().name == "plant_01")
    assert len(viewer.layers) <= 3


@pytest.fixture
def desk(hand, qtbot, tmp_path):
    """Two images, the first with ten of its eleven leaves: (hand, widget, binding)."""
    viewer = hand.viewer
    images, widget = ImagesWidget(viewer), CorrectWidget(viewer)
    for part in (images, widget):
        viewer.window.add_dock_widget(part, name=part.objectName())
    images.add([write_folder(tmp_path / "images", 2)])
    qtbot.waitUntil(lambda: widget.session.focus() is not None and not images.loader.running)
    binding = layers.show_new_labels(widget.session, widget.session.focus(), plant(10)[1], "segment with test")
    widget.session.record(binding.image).count = 10
    viewer.reset_view()
    QApplication.processEvents()
    yield hand, widget, binding
    widget.close()
    images.close()


def test_a_missing_leaf_takes_one_click_and_the_wheel_widens_it(desk):
    hand, widget, binding = desk
    y, x = PLACES[10]
    hand.click(y, x, Qt.KeyboardModifier.ControlModifier)
    assert hand.count == 1
    truth = plant()[1] == 11
    added = binding.plane == 11
    assert (added & truth).sum() / (added | truth).sum() > 0.85
    assert binding.locked == {11}
    assert "Shift+wheel" in widget.key_bar.text()
    zoom, angle = hand.viewer.camera.zoom, widget.angle_box.value()
    hand.wheel(y, x, 1, Qt.KeyboardModifier.ShiftModifier)
    assert widget.angle_box.value() > angle
    assert hand.viewer.camera.zoom == zoom
    assert [step.tool for step in binding.document.history.done][-1] == "add"
    hand.click(y, x, Qt.KeyboardModifier.AltModifier)
    assert not (binding.plane == 11).any()
    hand.click(y, x, Qt.KeyboardModifier.AltModifier)
    assert len(binding.document.leaves()) == 10
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert (binding.plane == 11).any()


def test_bare_ground_is_no_leaf_and_a_leaf_is_not_widened_into_it(desk, monkeypatch):
    hand, widget, binding = desk
    said = []
    monkeypatch.setattr("napari_leafseg.widgets.correct.tool_controller.show_info", said.append)
    hand.click(112, 150, Qt.KeyboardModifier.ControlModifier)
    assert len(binding.document.leaves()) == 10
    assert binding.locked == set()
    assert "Lasso" in said[-1]
    assert widget.hint.text() == said[-1]
    y, x = PLACES[10]
    hand.click(y, x, Qt.KeyboardModifier.ControlModifier)
    assert len(said) == 1
    before = binding.plane == 11
    monkeypatch.setattr(tools, "_LARGER", 0.01)  # whatever grows now is too large
    monkeypatch.setattr(tools, "_SHARE", 0)
    hand.wheel(y, x, 1, Qt.KeyboardModifier.ShiftModifier)
    assert len(said) == 2
    assert np.array_equal(binding.plane == 11, before)  # the leaf stays as it was


def test_ctrl_click_takes_the_part_under_the_mouse_out(desk):
    hand, _widget, binding = desk
    labels = np.where(np.isin(binding.plane, (1, 2)), 1, binding.plane)
    labels[18:23, 20:58] = 1  # two leaves taken for one
    binding.replace(labels, "segment with test")
    hand.click(*PLACES[1], Qt.KeyboardModifier.ControlModifier)
    assert hand.count == 1
    assert len(binding.document.leaves()) == 10
    assert binding.plane[PLACES[0]] != binding.plane[PLACES[1]] > 0


def test_right_leaves_are_reviewed_with_one_key(desk, qtbot):
    hand, widget, binding = desk
    assert "Reviewed: 0 of 10 leaves here, 0 of 2 images" in widget.progress_label.text()
    first, second = widget.session.images
    hand.key(Qt.Key.Key_Return)
    assert hand.count == 1
    assert binding.locked == set(range(1, 11))
    assert first.review is ReviewState.DONE
    qtbot.waitUntil(lambda: widget.session.focus() is widget.session.layer_of(second) is not None)
    assert second.review is ReviewState.NEW
    qtbot.waitUntil(lambda: "1 of 2 images" in widget.progress_label.text())


def test_a_second_enter_waits_for_the_image_that_is_being_opened(hand, qtbot, tmp_path, monkeypatch):
    viewer, gate = hand.viewer, threading.Event()
    gate.set()
    monkeypatch.setattr(images_widget, "load_job", lambda *arguments: (gate.wait(60), load_job(*arguments))[1])
    images, widget = ImagesWidget(viewer), CorrectWidget(viewer)
    for part in (images, widget):
        viewer.window.add_dock_widget(part, name=part.objectName())
    images.add([write_folder(tmp_path / "images", 3)])
    session = widget.session
    qtbot.waitUntil(lambda: session.focus() is not None and not images.loader.running)
    layers.show_new_labels(session, session.focus(), plant(10)[1], "segment with test")
    session.record(session.focus()).count = 10
    gate.clear()
    said = []
    monkeypatch.setattr("napari_leafseg.widgets.correct.review.show_info", said.append)
    hand.key(Qt.Key.Key_Return)
    hand.key(Qt.Key.Key_Return)
    assert said == ["“plant_01” is still being opened. Press Enter once you have seen it."]
    gate.set()
    qtbot.waitUntil(lambda: session.focus() is not None and session.focus().name == "plant_01")
    qtbot.waitUntil(lambda: not images.loader.running)
    assert images.list.currentRow() == 1  # none was passed over
    assert [entry.review for entry in session.images] == [ReviewState.DONE, ReviewState.NEW, ReviewState.NEW]
    hand.key(Qt.Key.Key_Return)
    assert said[1:] == ["This image has no leaves to accept yet: press Run in Segment, or add them."]
    widget.close()
    images.close()


def test_enter_in_a_field_ends_what_is_typed_and_accepts_no_image(desk, qtbot):
    hand, widget, binding = desk
    window = main_window(widget.viewer)
    fields = [box for kind in (QLineEdit, QAbstractSpinBox) for box in window.findChildren(kind) if box.isEnabled()]
    assert any(box.window() is window and "napari" in type(box).__module__ for box in fields)  # napari's own, too
    for field, key in itertools.product(fields, (Qt.Key.Key_Return, Qt.Key.Key_Enter)):
        field.setFocus()
        if window.focusWidget() is field:  # not the part of a number box
            qtbot.keyClick(field, key)
    assert binding.locked == set()
    assert widget.session.images[0].review is ReviewState.NEW
    hand.native.setFocus()
    hand.key(Qt.Key.Key_Return)
    assert widget.session.images[0].review is ReviewState.DONE


def test_space_goes_from_leaf_to_leaf_and_holds_as_ever_with_a_brush(desk):
    hand, widget, binding = desk
    seen = []
    for _ in range(3):
        hand.key(Qt.Key.Key_Space)
        seen.append(widget.review.reviewed)
    assert seen == [1, 2, 3]
    assert hand.count == 3
    assert widget.key_bar.text().startswith("I right")
    binding.layer.mode = "paint"
    qtbot = hand.qtbot
    qtbot.keyPress(hand.native, Qt.Key.Key_Space)
    assert binding.layer.mode == "pan_zoom"
    qtbot.keyRelease(hand.native, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: binding.layer.mode == "paint")
    assert widget.review.reviewed == 3
    binding.layer.mode = "polygon"
    hand.key(Qt.Key.Key_Return)  # belongs to the polygon
    assert binding.locked == set()


def test_the_key_bar_is_at_the_bottom_and_shows_all_keys(desk):
    hand, widget, _binding = desk
    bar, native = widget.key_bar, hand.native
    assert bar.isVisible()
    assert native.height() - 12 <= bar.geometry().bottom() <= native.height()
    assert bar.width() <= native.width()
    assert bar.text().endswith("? all keys")
    assert bar.height() < 40
    hand.qtbot.keyClicks(native, "?")
    table = native.findChild(QLabel, "all_keys")
    assert table.isVisible()
    assert all(what.split("'")[0][:20] in table.text() for _key, what in key_table())
    main_window(widget.viewer).resize(1150, 640)
    hand.qtbot.waitUntil(lambda: table.geometry().bottom() < native.height())
    assert table.geometry().top() >= 0
    hand.qtbot.keyClicks(native, "?")
    assert not table.isVisible()
    hand.qtbot.keyClicks(native, "?")
    assert table.isVisible()
    hand.qtbot.keyClick(native, Qt.Key.Key_Escape)
    assert not table.isVisible()


def test_no_notification_covers_the_key_bar(desk, qtbot):
    hand, widget, _binding = desk
    bar, native = widget.key_bar, hand.native
    below = bar.geometry()
    note = NapariQtNotification("Saved.", "info", parent=native)
    note.resize(native.width() - 30, note.height())
    note.move_to_bottom_right()
    note.show()
    qtbot.waitUntil(lambda: note.isVisible() and note.geom_anim.state() == note.geom_anim.State.Stopped)
    assert note.geometry().intersects(below)
    assert not note.geometry().intersects(bar.geometry())
    assert bar.geometry().top() >= 0
    note.close()
    qtbot.waitUntil(lambda: bar.geometry() == below)


def test_before_the_first_run_the_key_bar_says_what_is_first(hand, qtbot):
    hand.viewer.add_image(plant()[0], rgb=True, name="plant")
    widget = CorrectWidget(hand.viewer)
    hand.viewer.window.add_dock_widget(widget, name="Correct")
    qtbot.waitUntil(lambda: widget.key_bar.isVisible())
    assert RUN_FIRST in widget.key_bar.text()
    assert "add" not in widget.key_bar.text()
    layers.show_new_labels(widget.session, widget.session.focus(), plant(10)[1], "segment with test")
    widget.session.record(widget.session.focus()).count = 10
    widget.session.layer_state_changed.emit(widget.session.focus())
    qtbot.waitUntil(lambda: "Ctrl+click add" in widget.key_bar.text())
    assert "No tool is chosen" in widget.hint.text()  # instead of a gap


def test_what_the_key_bar_says_of_a_tool_is_read_to_the_end(desk):
    hand, widget, _binding = desk
    bar, native = widget.key_bar, hand.native
    for name, button in widget.tool_buttons.items():
        hand.push(button)
        text = next(tool.help for tool in TOOLS if tool.name == name)
        assert bar.text().startswith(text)
        assert bar.geometry().right() < native.width()
        assert bar.geometry().bottom() < native.height()
        assert bar.height() >= (bar.heightForWidth(bar.width()) if bar.wordWrap() else bar.sizeHint().height())
        assert bar.wordWrap() or bar.width() >= bar.sizeHint().width()
        hand.push(button)


def test_buttons_leave_the_keys_with_the_canvas_unless_they_were_tabbed_to(desk, qtbot):
    hand, widget, _binding = desk
    window = main_window(hand.viewer)
    buttons = [x for x in widget.findChildren(QPushButton) if x.isVisible() and x.isEnabled() and "done" not in str(x)]
    assert len(buttons) > 8
    for button in itertools.islice(buttons, 4):
        widget.findChild(QDoubleSpinBox, "grow_angle").setFocus()
        hand.push(button)
        assert window.focusWidget() is hand.native
    buttons[0].setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyClick(buttons[0], Qt.Key.Key_Space)
    assert window.focusWidget() is buttons[0]
    assert all(
        x.focusPolicy() & Qt.FocusPolicy.TabFocus for x in (*buttons, *widget.findChildren(QCheckBox))
    )  # by keyboard alone


def test_no_key_of_ours_is_one_of_naparis(desk):
    """Except *Enter* and *Space*, which napari keeps while it needs them."""
    from napari.utils.shortcuts import default_shortcuts

    hand, _widget, binding = desk
    taken = {
        str(key)
        for name, keys in default_shortcuts.items()
        if any(word in name for word in ("labels", "label", "brush", "polygon", "plane", "contrast", "image", "hold"))
        for key in keys
    }
    ours = {str(key) for key in (*hand.viewer.keymap, *binding.layer.keymap)} | {x.key for x in ACTIONS.values()}
    assert len(ours) > 15
    assert ours & taken <= {"Enter", "Space"}
