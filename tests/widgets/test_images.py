"""The Images widget, with real clicks and keys."""

import threading

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_leafseg.io import find_images, write_image
from napari_leafseg.pipelines.thumbnails import SIZE
from napari_leafseg.project import Project
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.session import Session


@pytest.fixture
def folder(tmp_path, plant_image):
    """Three images, one of which is a text file."""
    for name in ("a", "b", "d"):
        write_image(tmp_path / "plants" / f"{name}.png", plant_image[:, :: 1 if name == "a" else -1])
    (tmp_path / "plants" / "c.png").write_text("no image")
    return tmp_path / "plants"


@pytest.fixture
def widget(viewer, qtbot, folder):
    widget = ImagesWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Images")
    widget.add([folder])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1 and not widget.thumbnails.running, timeout=20000)
    return widget


def test_a_folder_is_listed_with_thumbnails_and_states(widget):
    texts = [widget.list.text(row) for row in range(4)]
    assert texts[0] == "a.png\nnot segmented"
    assert texts[2] == "c.png\ncannot be used"
    image = widget.thumbnails.image(widget.session.images[0])
    assert image.width() == image.height() == SIZE
    assert len({image.pixel(x, 96) for x in range(0, SIZE, 8)}) > 5
    assert widget.list.model().index(2).data(Qt.ItemDataRole.ToolTipRole).endswith("file.")


def test_an_empty_list_says_what_to_do(viewer):
    widget = ImagesWidget(viewer)
    assert widget.stack.currentWidget() is widget.empty
    assert "drop them here" in widget.empty.words.text()
    assert not widget.next_button.isEnabled()
    assert not widget.export_button.isEnabled()
    assert widget.export_button.toolTip() == "Add images first."
    assert not widget.project_bar.actions_by_name["export"].isEnabled()
    widget.close()


def test_what_is_exported_is_found_first(widget, viewer, qtbot, plant_image):
    assert not widget.export_button.isEnabled()
    assert "press Run" in widget.export_button.toolTip()
    image = widget.session.focus()
    layers.show_new_labels(widget.session, image, np.ones(plant_image.shape[:2], np.uint16), "segment with test")
    qtbot.waitUntil(widget.export_button.isEnabled)
    assert "other programs" in widget.export_button.toolTip()
    assert widget.project_bar.actions_by_name["export"].isEnabled()


def test_a_row_says_what_its_bar_is(widget):
    entry = widget.session.images[0]
    entry.count, entry.confidence, entry.exported = 3, 0.45, True
    assert "Bar: how certain the model is of the least certain leaf, 0.45 (green from 0.6" in widget.rows.tip(entry)


def test_next_and_previous_show_one_image_at_a_time(widget, viewer, qtbot):
    assert viewer.layers[0].name == "a"
    assert not widget.previous_button.isEnabled()
    qtbot.mouseClick(widget.next_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: [layer.name for layer in viewer.layers] == ["b"], timeout=10000)
    assert widget.position.text() == "2 of 4"
    qtbot.mouseClick(widget.previous_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: [layer.name for layer in viewer.layers] == ["a"], timeout=10000)


def test_an_unreadable_image_is_reported_and_the_next_one_opens(widget, viewer, qtbot, monkeypatch):
    shown = []
    monkeypatch.setattr("napari_leafseg.widgets.images.widget.show_error", shown.append)
    widget.list.setCurrentRow(2)
    qtbot.waitUntil(lambda: bool(shown), timeout=10000)
    assert "c.png" in shown[0]
    widget.list.setFocus()
    qtbot.keyClick(widget.list, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: "d" in [layer.name for layer in viewer.layers], timeout=10000)


def test_fast_stepping_ends_at_the_last_wanted(widget, viewer, qtbot):
    for row in (1, 0, 1, 3):
        widget.list.setCurrentRow(row)
    qtbot.waitUntil(lambda: not widget.loader.running and "d" in [x.name for x in viewer.layers], timeout=10000)
    assert [layer.name for layer in viewer.layers if layer.visible] == ["d"]


def test_the_same_files_are_not_added_twice(widget, folder):
    widget.add([folder, folder / "a.png"])
    assert widget.list.count() == 4


def test_dropped_files_are_added(viewer, qtbot, folder):
    widget = ImagesWidget(viewer)
    viewer.window.add_dock_widget(widget)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder / "a.png"))])
    where = QPointF(5, 5) if hasattr(QDropEvent, "position") else QPoint(5, 5)
    buttons = (Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    try:
        event = QDropEvent(where, Qt.DropAction.CopyAction, data, *buttons)
    except TypeError:
        event = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, *buttons)
    widget.dropEvent(event)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1 and not widget.thumbnails.running, timeout=20000)


def test_a_wrong_folder_is_reported(viewer, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("napari_leafseg.widgets.images.widget.show_error", shown.append)
    widget = ImagesWidget(viewer)
    widget.add([tmp_path / "none"])
    assert "none" in shown[0]
    widget.close()


def test_images_with_results_stay_in_memory(widget, viewer, qtbot):
    session = Session.of(viewer)
    image = viewer.layers["a"]
    viewer.add_labels(np.ones((256, 256), int), name="a leaves", metadata=session.mark(image, "labels"))
    widget.list.setCurrentRow(1)
    qtbot.waitUntil(lambda: "b" in [layer.name for layer in viewer.layers], timeout=10000)
    assert {layer.name: layer.visible for layer in viewer.layers} == {"a": False, "a leaves": False, "b": True}
    widget.list.setCurrentRow(0)
    assert {layer.name: layer.visible for layer in viewer.layers} == {"a": True, "a leaves": True}


def test_a_project_that_is_opened_again_shows_its_first_image(widget, viewer, qtbot, tmp_path):
    widget.controller.create(tmp_path / "project")
    widget.controller.close()
    widget.controller.open(tmp_path / "project")
    assert widget.list.entry() is widget.session.images[0]
    qtbot.waitUntil(lambda: [layer.name for layer in viewer.layers] == ["a"], timeout=10000)
    assert widget.session.layer_of(widget.session.images[0]) is viewer.layers["a"]
    widget.controller.close()


@pytest.fixture
def slow(monkeypatch):
    """A disk that answers only when it is told to: (event that lets it answer, what to patch)."""
    answers = threading.Event()
    monkeypatch.setattr("napari_leafseg.widgets.state.workers.MOMENT", 0.01)

    def slowly(real):
        return lambda *arguments: answers.wait(60) and real(*arguments)

    yield answers, slowly
    answers.set()


def test_a_slow_folder_keeps_nobody_waiting(viewer, qtbot, tmp_path, monkeypatch, slow):
    answers, slowly = slow
    monkeypatch.setattr("napari_leafseg.widgets.images.widget.find_images", slowly(find_images))
    write_image(tmp_path / "a.png", np.zeros((40, 50, 3), np.uint8))
    widget = ImagesWidget(viewer)
    qtbot.addWidget(widget)
    widget.add([tmp_path])
    assert widget.position.text() == "Looking for images …"
    assert not widget.session.images
    answers.set()
    qtbot.waitUntil(lambda: len(viewer.layers) == 1)
    qtbot.waitUntil(lambda: widget.position.text() == "1 of 1")


def test_a_slow_folder_that_is_not_there_is_told(viewer, qtbot, tmp_path, monkeypatch, slow, errors):
    answers, slowly = slow
    monkeypatch.setattr("napari_leafseg.widgets.images.widget.find_images", slowly(find_images))
    widget = ImagesWidget(viewer)
    qtbot.addWidget(widget)
    widget.add([tmp_path / "none"])
    assert not errors
    answers.set()
    qtbot.waitUntil(lambda: bool(errors))
    assert "There is no file" in errors[0]
    qtbot.waitUntil(lambda: widget.position.text() == "")


def test_a_project_on_a_slow_disk_keeps_nobody_waiting(viewer, qtbot, tmp_path, monkeypatch, slow):
    answers, slowly = slow
    write_image(tmp_path / "a.png", np.zeros((40, 50, 3), np.uint8))
    with Project.create(tmp_path / "p") as project:
        project.add_images([tmp_path / "a.png"])
    monkeypatch.setattr(Project, "open", slowly(Project.open))
    widget = ImagesWidget(viewer)
    qtbot.addWidget(widget)
    widget.project_bar.open(tmp_path / "p")
    assert widget.controller.project is None
    answers.set()
    qtbot.waitUntil(lambda: len(viewer.layers) == 1)
    assert widget.controller.project.folder == tmp_path / "p"


def test_a_filter_that_fits_no_image_says_so(widget, qtbot):
    qtbot.keyClicks(widget.filter_box, "no such plant")
    assert widget.list.count() == 0
    assert widget.position.text() == "None of 4 images fits"
    widget.filter_box.clear()
    assert widget.position.text() == "1 of 4"
