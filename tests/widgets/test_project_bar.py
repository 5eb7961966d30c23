"""The project's line and menu above the images."""

import json
import os
import threading

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFileDialog, QInputDialog, QMessageBox, QPushButton

from napari_leafseg.io import write_image
from napari_leafseg.io.exchange.coco import read_coco
from napari_leafseg.project import Project, elsewhere
from napari_leafseg.project.background import read_facts, store_labels
from napari_leafseg.project.lock import Lock, Owner
from napari_leafseg.widgets.images.class_dialog import ClassDialog
from napari_leafseg.widgets.images.export_dialog import ExportDialog, ExportSettings
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.image_record import ReviewState
from napari_leafseg.widgets.state.project_controller import ProjectController
from tests.widgets.answers import Answer, name_folder, trust


@pytest.fixture
def desk(viewer, qtbot, tmp_path):
    """The list of images with one image in it, its labels, and a way to answer file dialogs."""
    rng = np.random.default_rng(0)
    write_image(tmp_path / "images" / "a.png", rng.integers(0, 255, (50, 60, 3)).astype(np.uint8))
    images = ImagesWidget(viewer)
    qtbot.addWidget(images)
    images.show()
    images.add([tmp_path / "images"])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=10000)
    labels = np.zeros((50, 60), np.uint16)
    labels[10:30, 10:40] = 1
    binding = layers.show_new_labels(images.session, viewer.layers[0], labels, "segment with test")
    yield images, binding
    ProjectController.of(images.session).close()
    images.close()


def choose(monkeypatch, folder):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))


def test_a_new_project_takes_what_is_open_and_shows_its_name(desk, tmp_path, monkeypatch, qtbot):
    images, binding = desk
    bar = images.project_bar
    binding.verify([1], True)
    assert bar.controller.is_scratch
    assert "not in a project" in bar.name.text()
    before = bar.controller.project.folder
    answer = name_folder(qtbot, tmp_path / "My trial")
    bar.actions_by_name["new"].trigger()
    answer.check()
    qtbot.waitUntil(lambda: "My trial" in bar.name.text())
    qtbot.waitUntil(lambda: not before.exists())  # it is all in the project now
    assert bar.controller.project.writer.flush()
    with pytest.raises(Exception, match="open already"):
        Project.open(tmp_path / "My trial")
    bar.actions_by_name["close"].trigger()
    qtbot.waitUntil(lambda: bar.controller.project is None and not Lock(tmp_path / "My trial").path.exists())
    with Project.open(tmp_path / "My trial") as project:
        document = project.open_document(project.images[0], (50, 60))
        assert document.locked() == {1}
        assert len(document.history.done) == 2


def test_a_new_project_beside_an_open_one_has_what_is_on_the_screen_and_the_list_says_so(desk, tmp_path, qtbot):
    images, _binding = desk
    controller = images.controller
    write_image(tmp_path / "more" / "b.png", np.zeros((50, 60, 3), np.uint8))
    controller.create(tmp_path / "p")
    images.add([tmp_path / "more"])
    ref = controller.project.find(tmp_path / "more" / "b.png")
    labels = np.zeros((50, 60), np.uint16)
    labels[5:20, 5:20] = 1
    assert controller.project.writer.flush()
    store_labels(controller.project, ref, labels, "segment with test", lambda _labels: {}, {})
    other = images.session.images[1]
    assert controller.project.writer.flush()
    other.learn(read_facts(controller.project, ref))
    other.review = ReviewState.DONE
    images.session.images_changed.emit()
    qtbot.waitUntil(lambda: images.list.text(1) == "b.png\n1 leaf · reviewed")
    images.list.setCurrentRow(0)
    qtbot.waitUntil(lambda: "a leaves" in images.viewer.layers)
    shown = images.session.binding(images.viewer.layers["a"])
    controller.set_state(shown, "done")
    controller.create(tmp_path / "q")
    qtbot.waitUntil(lambda: images.list.text(1) == "b.png\nnot segmented")
    assert images.list.text(0) == "a.png\n1 leaf · reviewed"
    assert controller.project.writer.flush()
    assert [ref.state for ref in controller.project.images] == ["done", "new"]
    assert np.array_equal(controller.project.read_labels(controller.project.images[0]), shown.document.labels)


def test_what_needs_a_project_says_so(desk, tmp_path):
    images, _binding = desk
    bar = images.project_bar
    needing = [bar.actions_by_name[name] for name in ("import", "labels", "relink", "close")]
    assert not any(action.isEnabled() for action in needing)
    assert all("make or open one first" in action.toolTip() for action in needing)
    bar.controller.create(tmp_path / "p")
    bar.refresh()
    assert all(action.isEnabled() and "first" not in action.toolTip() for action in needing)


def test_export_and_import_from_the_menu(desk, tmp_path, monkeypatch, qtbot):
    images, binding = desk
    bar = images.project_bar
    bar.controller.create(tmp_path / "p")
    bar.actions_by_name["export"].trigger()
    dialog = bar.findChild(ExportDialog)
    dialog.form.show_settings(ExportSettings(("coco",), "all", str(tmp_path / "out")))
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: (tmp_path / "out" / "leaves.json").exists(), timeout=10000)
    assert np.array_equal(read_coco(tmp_path / "out" / "leaves.json")["a.png"], binding.layer.data)
    masks = tmp_path / "masks"
    write_image(masks / "b.png", np.random.default_rng(1).integers(0, 255, (50, 60, 3)).astype(np.uint8))
    write_image(masks / "b_label.png", binding.layer.data)
    answer = trust(qtbot, "Verified")
    choose(monkeypatch, masks)
    bar.actions_by_name["import"].trigger()
    answer.check()
    qtbot.waitUntil(lambda: images.list.count() == 2, timeout=10000)
    qtbot.waitUntil(lambda: "a leaves" in images.viewer.layers, timeout=10000)
    images.list.setCurrentRow(1)
    qtbot.waitUntil(lambda: "b leaves" in images.viewer.layers, timeout=10000)
    assert len(images.viewer.layers["b leaves"].data.nonzero()[0]) == 600


def test_labels_from_files_replace_what_was_there_and_undo_brings_it_back(desk, tmp_path, monkeypatch, qtbot):
    images, binding = desk
    bar = images.project_bar
    bar.controller.create(tmp_path / "p")
    old = binding.layer.data.copy()
    new = np.zeros_like(old)
    new[2:9, 3:33] = 5
    write_image(tmp_path / "a_label.png", new)
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(tmp_path / "a_label.png")], ""))
    answer = trust(qtbot, "Draft")
    bar.actions_by_name["labels"].trigger()
    answer.check()

    def shown():
        layer = images.session.labels_layer(images.session.focus()) if images.session.focus() else None
        return layer is not None and layer.data.max() == 5

    qtbot.waitUntil(shown, timeout=10000)
    restored = images.session.binding(images.session.focus())
    assert np.array_equal(restored.layer.data, new)
    restored.undo()
    assert np.array_equal(restored.layer.data, old)


def test_what_an_application_left_behind_is_offered(desk, qtbot):
    images, binding = desk
    bar = images.project_bar
    binding.verify([1], True)
    folder = bar.controller.project.folder
    bar.controller.project.close()
    bar.controller.project = None
    bar.refresh()
    assert bar.recover.isVisible()
    assert "Go on with the work" in bar.recover.text()
    qtbot.mouseClick(bar.recover, Qt.MouseButton.LeftButton)
    assert bar.controller.project.folder == folder
    qtbot.waitUntil(lambda: "a leaves" in images.viewer.layers, timeout=10000)
    restored = images.session.binding(images.viewer.layers["a"])
    assert restored.document.locked() == {1}


def test_a_project_that_another_computer_has_open_needs_a_yes(desk, tmp_path, monkeypatch, qtbot):
    images, _correction = desk
    bar = images.project_bar
    Project.create(tmp_path / "p").close()
    elsewhere = Owner("ann", "another-computer", 7, "2026-01-01T00:00:00Z")
    Lock(tmp_path / "p").path.write_text(json.dumps(elsewhere.__dict__))
    asked = []
    monkeypatch.setattr(QMessageBox, "question", lambda *a: asked.append(a[2]) or QMessageBox.StandardButton.No)
    bar.open(tmp_path / "p")
    assert "ann on another-computer" in asked[0]
    assert bar.controller.is_scratch
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    bar.open(tmp_path / "p")
    qtbot.waitUntil(lambda: bar.controller.project is not None and bar.controller.project.folder == tmp_path / "p")


def test_a_full_disk_is_shown_and_the_work_can_go_elsewhere(desk, tmp_path, monkeypatch, qtbot):
    monkeypatch.setattr("napari_leafseg.project.writer.RETRY", 0.05)
    images, binding = desk
    bar = images.project_bar
    bar.controller.create(tmp_path / "p")
    assert bar.controller.project.writer.flush()
    real = os.fsync

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    binding.verify([1], True)
    qtbot.waitUntil(lambda: "cannot be written" in bar.name.text(), timeout=5000)
    assert "No space left" in bar.name.toolTip()
    monkeypatch.setattr(os, "fsync", real)
    answer = name_folder(qtbot, tmp_path / "stick")
    bar.actions_by_name["elsewhere"].trigger()
    answer.check()
    qtbot.waitUntil(lambda: bar.controller.project.folder == tmp_path / "stick")
    binding.verify([1], False)
    bar.controller.close()
    with Project.open(tmp_path / "stick") as project:
        assert project.open_document(project.images[0], (50, 60)).locked() == frozenset()


def test_the_name_that_is_proposed_is_free(desk, tmp_path, qtbot):
    images, _binding = desk
    bar = images.project_bar
    seen = []

    def look(dialog):
        seen.append(dialog.form.settings().folder)
        qtbot.keyClick(dialog, Qt.Key.Key_Return)

    answer = Answer("new_folder_dialog", look)
    bar.actions_by_name["new"].trigger()
    answer.check()
    qtbot.waitUntil(lambda: bar.controller.project is not None and bar.controller.project.folder == seen[0])
    answer = Answer("new_folder_dialog", look)
    bar.actions_by_name["elsewhere"].trigger()
    answer.check()
    qtbot.waitUntil(lambda: bar.controller.project.folder == seen[1])
    assert seen[1].name == f"{seen[0].name} 2"


def test_the_work_goes_elsewhere_also_when_the_old_disk_is_gone(desk, tmp_path, monkeypatch, qtbot):
    images, _binding = desk
    bar = images.project_bar
    bar.controller.create(tmp_path / "p")
    old = bar.controller.project

    def gone(lock):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Lock, "release", gone)
        answer = name_folder(qtbot, tmp_path / "stick")
        bar.actions_by_name["elsewhere"].trigger()
        answer.check()
        qtbot.waitUntil(lambda: bar.controller.project is not old)
    assert bar.controller.project.folder == tmp_path / "stick"


def with_classes(path, name="a.png"):
    """A COCO file with a leaf of 20 × 20 pixels and a pot behind it."""
    square = [10, 10, 30, 10, 30, 30, 10, 30]
    path.write_text(
        json.dumps({
            "images": [{"id": 1, "file_name": name, "height": 50, "width": 60}],
            "categories": [{"id": 1, "name": "blade"}, {"id": 2, "name": "holder"}],
            "annotations": [
                {"image_id": 1, "category_id": 1, "segmentation": [square]},
                {"image_id": 1, "category_id": 2, "segmentation": [[0, 0, 60, 0, 60, 50, 0, 50]]},
            ],
        })
    )  # fmt: skip
    return path


def test_the_user_chooses_which_classes_are_leaves(desk, tmp_path, monkeypatch, qtbot):
    images, _binding = desk
    bar = images.project_bar
    bar.controller.create(tmp_path / "p")
    path = with_classes(tmp_path / "c.json")
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(path)], ""))
    answer = trust(qtbot, "Draft")
    told = []
    monkeypatch.setattr("napari_leafseg.widgets.images.project_bar.show_info", told.append)

    def untick(dialog):
        row = next(row for row in range(dialog.list.count()) if "holder" in dialog.list.item(row).text())
        item = dialog.list.item(row)
        place = dialog.list.visualItemRect(item)
        dialog.show()
        qtbot.mouseClick(
            dialog.list.viewport(), Qt.MouseButton.LeftButton, pos=place.topLeft() + QPoint(8, place.height() // 2)
        )
        assert dialog.classes() == {"blade"}
        return True

    monkeypatch.setattr(ClassDialog, "exec", untick)
    bar.actions_by_name["labels"].trigger()
    answer.check()
    qtbot.waitUntil(lambda: bool(told), timeout=10000)
    assert "1 × “holder”" in told[0]

    def shown():
        image = images.session.focus()
        layer = images.session.labels_layer(image) if image else None
        return layer is not None and (layer.data > 0).sum() == 400

    qtbot.waitUntil(shown, timeout=10000)


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_fewer_leaves_than_before_need_a_yes(desk, tmp_path, monkeypatch, qtbot, answer):
    images, binding = desk
    bar = images.project_bar
    more = binding.layer.data.copy()
    more[35:45, 5:50] = 2
    binding.replace(more, "segment with test")
    bar.controller.create(tmp_path / "p")
    write_image(tmp_path / "a_label.png", np.uint16(more == 1))
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(tmp_path / "a_label.png")], ""))
    asked = []

    def reply(_parent, _title, text):
        asked.append(text)
        return getattr(QMessageBox.StandardButton, answer)

    monkeypatch.setattr(QMessageBox, "question", reply)
    draft = trust(qtbot, "Draft")
    bar.actions_by_name["labels"].trigger()
    draft.check()
    qtbot.waitUntil(lambda: len(asked) == 1, timeout=10000)
    assert "has 2 leaves, the file 1" in asked[0]
    expected = 1 if answer == "Yes" else 2

    def shown():
        image = images.session.focus()
        layer = images.session.labels_layer(image) if image else None
        return layer is not None and layer.data.max() == expected

    qtbot.waitUntil(shown, timeout=10000)


def test_a_file_that_is_named_after_no_image_asks_for_one(desk, tmp_path, monkeypatch, qtbot):
    images, binding = desk
    bar = images.project_bar
    bar.controller.create(tmp_path / "p")
    new = binding.layer.data.copy()
    new[35:45, 5:50] = 9
    np.save(tmp_path / "RoiSet.npy", new)
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(tmp_path / "RoiSet.npy")], ""))
    draft = trust(qtbot, "Draft")
    asked = []
    monkeypatch.setattr(QInputDialog, "getItem", lambda *args: asked.append(args[2:4]) or ("a", True))
    bar.actions_by_name["labels"].trigger()
    draft.check()

    def shown():
        image = images.session.focus()
        layer = images.session.labels_layer(image) if image else None
        return layer is not None and layer.data.max() == 9

    qtbot.waitUntil(shown, timeout=10000)
    assert asked == [("RoiSet.npy is named after none of the images.", ["a"])]


def test_saving_elsewhere_goes_on_in_a_worker_and_can_be_stopped(desk, tmp_path, monkeypatch, qtbot):
    images, binding = desk
    bar = images.project_bar
    bar.controller.create(tmp_path / "p")
    begun, go_on = threading.Event(), threading.Event()
    real = elsewhere._copy_labels

    def slow(*arguments):
        begun.set()
        go_on.wait(60)
        return real(*arguments)

    monkeypatch.setattr(elsewhere, "_copy_labels", slow)
    write_image(tmp_path / "c.png", np.random.default_rng(2).integers(0, 255, (50, 60, 3)).astype(np.uint8))
    images.add([tmp_path / "c.png"])
    images.list.setCurrentRow(0)
    qtbot.waitUntil(lambda: images.session.images[0].binding is not None)
    binding = images.session.images[0].binding
    answer = name_folder(qtbot, tmp_path / "stick")
    bar.actions_by_name["elsewhere"].trigger()
    answer.check()
    dialog = bar.copier.dialog
    qtbot.waitUntil(begun.is_set)  # the window's own thread is free
    qtbot.waitUntil(dialog.isVisible)
    assert dialog.windowModality() == Qt.WindowModality.ApplicationModal
    qtbot.mouseClick(dialog.findChild(QPushButton), Qt.MouseButton.LeftButton)
    go_on.set()
    qtbot.waitUntil(lambda: not bar.copier.job.running)
    assert not dialog.isVisible()
    assert not (tmp_path / "stick").exists()
    assert bar.controller.project.folder == tmp_path / "p"
    assert images.session.bindings() == [binding]
    binding.verify([1], True)
    answer = name_folder(qtbot, tmp_path / "stick")
    bar.actions_by_name["elsewhere"].trigger()
    answer.check()
    qtbot.waitUntil(lambda: bar.controller.project.folder == tmp_path / "stick")
    assert images.session.bindings() == [binding]
    binding.verify([1], False)
    assert bar.controller.project.writer.flush()
    bar.controller.close()
    with Project.open(tmp_path / "stick") as project:
        assert project.open_document(project.images[0], (50, 60)).locked() == frozenset()
