"""*Run all*, the rows that it fills, the contact sheet and the list's menu, with real clicks and keys."""

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QMessageBox

from napari_leafseg.errors import InputFileError
from napari_leafseg.io import write_image
from napari_leafseg.pipelines.run_list import FoundLeaves, file_state
from napari_leafseg.pipelines.step import Step
from napari_leafseg.project import Project
from napari_leafseg.widgets.common import background_run
from napari_leafseg.widgets.common.run_all import RunAllButton
from napari_leafseg.widgets.images.rows import RowState, row_state
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.image_record import ReviewState
from napari_leafseg.widgets.state.project_controller import recoverable_projects

SHAPE = (60, 80)


class FakePrediction:
    """What a model said: labels that are given."""

    def __init__(self, labels, path):
        self.labels_now, self.path, self.seconds = labels, path, 0.1
        self.key = "fake"
        self.model = SimpleNamespace(name="leaf", version="1", calibration=None)
        self.frames, self.tunables, self.layers, self.notes, self.scale = (self,), (), (), [], 1.0
        self.overlapping, self.shape, self.regions = False, labels.shape, ()
        self.key, self.family = f"{path}", SimpleNamespace(prediction=None)

    def planes(self, labels):
        return labels.reshape(-1, *SHAPE)

    def defaults(self):
        return {}

    def record(self, **values):
        return {
            "model": {"name": "leaf", "version": "1"},
            "parameters": values,
            "image": {"file": file_state(self.path)},
        }


@dataclass
class Model:
    """What is found in each image, and when."""

    leaves: dict = field(default_factory=dict)
    seen: list = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)

    def find(self, _settings, _options, path):
        self.seen.append(path.stem)
        yield Step(0.5, "Segmenting")
        while not self.go.wait(0.01):
            yield Step(0.5, "Segmenting")
        boxes = self.leaves.get(path.stem, 2)
        if isinstance(boxes, Exception):
            raise boxes
        labels = np.zeros(SHAPE, np.uint16)
        for number in range(boxes):
            labels[10:20, 5 + 15 * number : 15 + 15 * number] = number + 1
        confidence = [{number + 1: 0.9 - 0.1 * number for number in range(boxes)}]
        prediction = FakePrediction(labels, path)
        return FoundLeaves(prediction, np.full((*SHAPE, 3), 90, np.uint8) + labels[..., None].astype(np.uint8), labels,
                           {"angle": 45.0}, confidence)  # fmt: skip


@pytest.fixture
def model(monkeypatch):
    model = Model()
    monkeypatch.setattr(background_run, "find_leaves", model.find)
    monkeypatch.setattr(background_run, "is_current", lambda record, path, _settings: (
        record["image"]["file"] == file_state(path)))  # fmt: skip
    monkeypatch.setattr("napari_leafseg.pipelines.run_list.leaf_confidences", lambda _prediction, labels: [
        {int(leaf): 0.5 for leaf in np.unique(labels) if leaf}])  # fmt: skip
    return model


@pytest.fixture
def desk(viewer, qtbot, tmp_path, model):
    """The list with four images, and the button."""
    rng = np.random.default_rng(0)
    for name in "abcd":
        write_image(tmp_path / "images" / f"{name}.png", rng.integers(0, 255, (*SHAPE, 3)).astype(np.uint8))
    images = ImagesWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    images.add([tmp_path / "images"])
    button = RunAllButton(images.session, lambda: None)
    qtbot.addWidget(button)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1)
    yield images, button
    model.go.set()
    qtbot.waitUntil(lambda: not button.run.running)
    images.controller.close()
    images.close()


def press(qtbot, button):
    qtbot.mouseClick(button.button, Qt.MouseButton.LeftButton)


def run_all(qtbot, button):
    press(qtbot, button)
    qtbot.waitUntil(lambda: not button.run.running)


def stored(images, name):
    project = images.controller.project
    project.writer.flush()
    return project.read_labels(next(ref for ref in project.images if ref.id == name))


def words(images):
    return [images.list.text(row).split("\n")[1] for row in range(images.list.count())]


def test_rows_fill_from_the_shown_image_on_and_all_is_kept(desk, qtbot, model, viewer):
    images, button = desk
    model.leaves = {"a": 1, "d": 3}
    images.list.setCurrentRow(2)
    qtbot.waitUntil(lambda: [layer.name for layer in viewer.layers if layer.visible] == ["c"])
    assert button.button.text() == "Run all (4)"
    press(qtbot, button)
    qtbot.waitUntil(lambda: model.seen == ["c"])
    assert button.button.text() == "Stop all"
    qtbot.waitUntil(lambda: row_state(images.session.images[2]) is RowState.RUNNING)
    assert [row_state(entry) for entry in images.session.images[:2]] == [RowState.WAITING] * 2
    images.list.setCurrentRow(0)  # anything can be opened meanwhile
    qtbot.waitUntil(lambda: "a" in [layer.name for layer in viewer.layers if layer.visible])
    model.go.set()
    qtbot.waitUntil(lambda: not button.run.running)
    assert model.seen == ["c", "d", "a", "b"]
    assert button.button.text() == "Run all"
    assert button.button.isEnabled()
    assert words(images) == ["1 leaf", "2 leaves", "2 leaves", "3 leaves"]
    assert [int(stored(images, name).max()) for name in "abcd"] == [1, 2, 2, 3]
    assert images.session.images[3].confidence == pytest.approx(0.7)
    qtbot.waitUntil(lambda: "a leaves" in viewer.layers)  # shown on the image that is open
    folder = images.controller.project.folder
    images.controller.close()
    assert recoverable_projects() == [folder]


def test_only_what_is_missing_or_out_of_date_is_run_again(desk, qtbot, model, tmp_path):
    _images, button = desk
    model.go.set()
    run_all(qtbot, button)
    model.seen.clear()
    run_all(qtbot, button)
    assert model.seen == []
    assert button.run.sentence() == "4 up to date"
    write_image(tmp_path / "images" / "b.png", np.random.default_rng(5).integers(0, 255, (*SHAPE, 3)).astype(np.uint8))
    run_all(qtbot, button)
    assert model.seen == ["b"]
    button.everything.trigger()
    qtbot.waitUntil(lambda: not button.run.running)
    assert sorted(model.seen) == ["a", "b", "b", "c", "d"]


def test_how_a_run_ended_is_not_told_of_the_next_project(desk, qtbot, model):
    images, button = desk
    model.go.set()
    run_all(qtbot, button)
    assert button.run.sentence() == "4 images run"
    images.controller.close()
    assert button.run.sentence() == ""


def test_it_stops_and_goes_on(desk, qtbot, model):
    images, button = desk
    press(qtbot, button)
    qtbot.waitUntil(lambda: model.seen == ["a"])
    press(qtbot, button)
    qtbot.waitUntil(lambda: not button.run.running)
    assert words(images) == ["not segmented"] * 4
    assert button.run.sentence() == "4 left"
    model.go.set()
    run_all(qtbot, button)
    assert words(images) == ["2 leaves"] * 4


def test_the_error_of_one_image_is_in_its_row(desk, qtbot, model):
    images, button = desk
    model.leaves = {"b": InputFileError("b.png is damaged. Export it again."), "c": TypeError("odd")}
    model.go.set()
    run_all(qtbot, button)
    assert words(images) == ["2 leaves", "failed", "failed", "2 leaves"]
    tips = [images.list.model().index(row).data(Qt.ItemDataRole.ToolTipRole) for row in (1, 2)]
    assert tips[0] == "b.png is damaged. Export it again."
    assert "c.png could not be done: odd." in tips[1]
    assert "2 failed" in button.run.sentence()


def test_verified_leaves_and_reviewed_images_stay(desk, qtbot, model, viewer):
    images, button = desk
    model.go.set()
    run_all(qtbot, button)
    qtbot.waitUntil(lambda: "a leaves" in viewer.layers)
    entry = images.session.images[0]
    entry.binding.verify([1], True)
    mine = entry.binding.layer.data == 1
    images.list.setCurrentRow(1)
    images.actions_of_rows.mark_reviewed([images.session.images[3]])
    qtbot.waitUntil(lambda: images.session.images[3].review is ReviewState.DONE)
    model.leaves = dict.fromkeys("abcd", 4)
    model.seen.clear()
    button.everything.trigger()
    qtbot.waitUntil(lambda: not button.run.running)
    assert "d" not in model.seen
    images.list.setCurrentRow(0)
    qtbot.waitUntil(lambda: entry.binding is not None)
    assert np.array_equal(entry.binding.layer.data == 1, mine)
    assert entry.binding.document.locked() == {1}
    assert len(entry.binding.document.leaves()) == 4
    assert int(stored(images, "d").max()) == 2
    entry.binding.undo()  # one step
    assert len(entry.binding.document.leaves()) == 2


def test_an_image_that_is_corrected_meanwhile_is_left_alone(desk, qtbot, model, viewer):
    images, button = desk
    labels = np.zeros(SHAPE, np.uint16)
    labels[30:50, 30:50] = 1
    binding = layers.show_new_labels(images.session, viewer.layers[0], labels, "segment with test")
    images.controller.track(binding)
    button.everything.trigger()
    qtbot.waitUntil(lambda: row_state(images.session.images[0]) is RowState.RUNNING)
    binding.verify([1], True)
    model.go.set()
    qtbot.waitUntil(lambda: not button.run.running)
    assert np.array_equal(binding.layer.data, labels)
    assert "corrected the image meanwhile" in images.session.images[0].trouble
    assert words(images)[1:] == ["2 leaves"] * 3


def test_states_are_right_at_once_in_a_project_that_nobody_visited(desk, qtbot, model, tmp_path):
    images, button = desk
    images.controller.create(tmp_path / "project")
    model.leaves = {"a": 1, "b": 2, "c": 3, "d": 4}
    model.go.set()
    run_all(qtbot, button)
    images.actions_of_rows.mark_reviewed([images.session.images[2]])
    qtbot.waitUntil(lambda: images.session.images[2].review is ReviewState.DONE)
    images.controller.close()
    images.controller.open(tmp_path / "project")
    qtbot.waitUntil(lambda: words(images) == ["1 leaf", "2 leaves", "3 leaves · reviewed", "4 leaves"])
    assert [entry.binding for entry in images.session.images[1:]] == [None] * 3
    project = images.controller.project
    assert project.images[2].state == "done"


def test_the_list_is_sorted_filtered_and_keeps_its_image(desk, qtbot, model, viewer):
    images, button = desk
    model.leaves = {"a": 1, "b": 4, "c": 2, "d": 3}
    model.go.set()
    run_all(qtbot, button)
    images.list.setCurrentRow(3)
    images.order_box.setCurrentIndex(images.order_box.findData("confidence"))
    names = [images.list.text(row)[0] for row in range(4)]
    assert names == ["b", "d", "c", "a"]
    assert images.list.entry() is images.session.images[3]
    assert images.position.text() == "2 of 4"
    qtbot.keyClicks(images.filter_box, "4 leaves")
    assert images.list.count() == 1
    assert images.list.text(0) == "b.png\n4 leaves"
    images.session.image_wanted.emit(images.session.images[0])  # hidden by the filter
    assert images.filter_box.text() == ""
    assert images.list.entry() is images.session.images[0]


def test_delete_removes_the_selected_images_and_adding_brings_their_leaves_back(
    desk, qtbot, model, tmp_path, monkeypatch
):
    images, button = desk
    model.go.set()
    run_all(qtbot, button)
    asked = []
    monkeypatch.setattr(QMessageBox, "question", lambda *what: asked.append(what[2]) or QMessageBox.StandardButton.Yes)
    images.list.setCurrentRow(1)
    qtbot.keyClick(images.list, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert [entry.path.stem for entry in images.list.chosen()] == ["b", "c"]
    qtbot.waitUntil(lambda: not images.loader.running)
    qtbot.keyClick(images.list, Qt.Key.Key_Delete)
    assert "with leaves: 2 of 2" in asked[0]
    assert [entry.path.stem for entry in images.session.images] == ["a", "d"]
    assert images.list.entry() is not None
    qtbot.waitUntil(lambda: [ref.id for ref in images.controller.project.images] == ["a", "d"])
    assert (tmp_path / "images" / "b.png").exists()
    button.run.start(images.session.images, everything=True)
    qtbot.waitUntil(lambda: not button.run.running)
    images.add([tmp_path / "images" / "b.png"])
    images.controller.project.add_all([(images.session.images[-1].path, "")])
    assert int(stored(images, "b").max()) == 2


def test_the_menu_offers_what_can_be_done(desk, qtbot, model):
    images, button = desk
    entries = images.session.images[1:3]

    def enabled():
        menu = images.actions_of_rows.menu(entries, None)
        return {action.text().split("\t")[0]: action.isEnabled() for action in menu.actions() if action.text()}

    assert enabled() == {
        "Run (2)": True, "Same parameters as …": False, "Mark reviewed (2)": False, "Channels and planes …": False,
        "Show in folder": True, "Remove from the list (2)": True,
    }  # fmt: skip
    model.go.set()
    menu = images.actions_of_rows.menu(entries, None)
    menu.actions()[0].trigger()
    qtbot.waitUntil(lambda: not button.run.running)
    assert model.seen == ["b", "c"]
    assert enabled()["Mark reviewed (2)"]
    assert not enabled()["Same parameters as …"] or images.actions_of_rows.sources(entries)


def test_a_click_on_the_contact_sheet_goes_to_the_image(desk, qtbot, model, viewer):
    images, button = desk
    model.leaves = {"a": 1, "b": 4, "c": 2, "d": 2}
    model.go.set()
    run_all(qtbot, button)
    qtbot.mouseClick(images.sheet_button, Qt.MouseButton.LeftButton)
    sheet = images.sheet
    assert [entry.path.stem for entry in sheet.rows.entries] == ["b", "c", "d", "a"]
    place = sheet.view.visualRect(sheet.rows.index(0)).center()
    assert sheet.view.viewport().rect().contains(sheet.view.visualRect(sheet.rows.index(0)))  # its words, too
    qtbot.mouseClick(sheet.view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(place))
    qtbot.waitUntil(lambda: "b" in [layer.name for layer in viewer.layers if layer.visible])
    assert images.list.entry() is images.session.images[1]
    sheet.shown_box.setCurrentIndex(sheet.shown_box.findData("flagged"))
    assert {entry.path.stem for entry in sheet.rows.entries} == {
        entry.path.stem for entry in images.session.images if entry.jumped is not None
    }


def test_only_thumbnails_in_view_are_made(viewer, qtbot, tmp_path, monkeypatch):
    made = []

    def job(requests, _options):
        for request in requests:
            made.append(request.path)
            yield request, np.zeros((20, 20, 3), np.uint8)

    monkeypatch.setattr("napari_leafseg.widgets.images.thumbnails.thumbnail_job", job)
    monkeypatch.setattr("napari_leafseg.widgets.images.widget.find_images", lambda _paths: SimpleNamespace(
        paths=[tmp_path / f"{number:05d}.png" for number in range(10_000)], left_out=[]))  # fmt: skip
    monkeypatch.setattr("napari_leafseg.widgets.images.widget.load_job", lambda *_: None)
    monkeypatch.setattr(ImagesWidget, "_loaded", lambda *_: None)
    monkeypatch.setattr(ImagesWidget, "_load_ended", lambda *_: None)
    images = ImagesWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    images.add([tmp_path])
    qtbot.waitUntil(lambda: bool(made) and not images.thumbnails.running)
    assert len(made) < 60
    made.clear()
    images.list.verticalScrollBar().setValue(images.list.verticalScrollBar().maximum())
    qtbot.waitUntil(lambda: tmp_path / "09999.png" in made)
    qtbot.waitUntil(lambda: not images.thumbnails.running)
    assert len(made) < 60
    images.survey.stop()
    images.close()


def test_an_empty_list_offers_the_sample_recent_work_and_what_was_kept(viewer, qtbot, tmp_path, monkeypatch):
    write_image(tmp_path / "images" / "a.png", np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8))
    kept = Project.create(tmp_path / "unsaved" / "2020-01-02 03.04.05")
    (ref,) = kept.add_all([(tmp_path / "images" / "a.png", "")])
    document = kept.open_document(ref, SHAPE)
    document.labels[5:9, 5:9] = 1
    document.set_verified([(0, 1)], True)
    kept.save(ref, document)
    kept.close()
    images = ImagesWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    images.show()
    qtbot.waitUntil(lambda: bool(images.empty.buttons("continue")))
    (button,) = images.empty.buttons("continue")
    assert button.text() == "2020-01-02 03:04: 1 image, 1 segmented"
    assert images.empty.try_button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "a leaves" in viewer.layers)
    assert images.controller.is_scratch
    images.controller.close()
    images.close()


def test_the_button_says_how_many_images_have_no_leaves_yet(desk, qtbot, model):
    _images, button = desk
    assert button.button.text() == "Run all (4)"
    model.go.set()
    run_all(qtbot, button)
    qtbot.waitUntil(lambda: button.button.text() == "Run all")
    assert button.button.isEnabled()  # what is out of date is found then


def test_a_closed_project_leaves_nothing_to_run(desk, qtbot, tmp_path):
    images, button = desk
    images.controller.create(tmp_path / "p")
    qtbot.waitUntil(lambda: not images.project_bar.job.running and images.controller.project is not None)
    assert button.button.isEnabled()
    images.project_bar.actions_by_name["close"].trigger()
    qtbot.waitUntil(lambda: not images.session.images)
    assert not button.button.isEnabled()
    assert button.button.text() == "Run all"
