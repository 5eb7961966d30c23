"""The dialog that exports labels, and that every dialog can be used by keyboard alone; real mouse and key events."""

import threading

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QListWidget, QMessageBox

from napari_leafseg.io import ReadOptions, read_labels, write_image
from napari_leafseg.io.exchange.coco import read_coco
from napari_leafseg.project import export
from napari_leafseg.project.export import Exportable, export_images
from napari_leafseg.widgets.images.channels_dialog import ChannelsDialog
from napari_leafseg.widgets.images.class_dialog import ClassDialog
from napari_leafseg.widgets.images.export_dialog import ExportDialog, ExportSettings
from napari_leafseg.widgets.images.project_dialogs import NewFolder, NewFolderDialog, ask_new_folder, ask_verified
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.project_controller import ProjectController
from tests.widgets.answers import Answer


@pytest.fixture
def images(viewer, qtbot, tmp_path):
    """Three images without a project; the first two have leaves."""
    for name in "abc":
        pixels = np.random.default_rng(ord(name)).integers(0, 255, (50, 60, 3)).astype(np.uint8)
        write_image(tmp_path / "plants" / f"{name}.png", pixels)
    widget = ImagesWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Images")
    widget.add([tmp_path / "plants"])
    for row, name in enumerate("abc"):
        widget.list.setCurrentRow(row)
        qtbot.waitUntil(lambda name=name: name in viewer.layers)
        if name != "c":
            labels = np.zeros((50, 60), np.uint16)
            labels[10:30, 10 : 40 + row] = 1
            layers.show_new_labels(widget.session, viewer.layers[name], labels, "segment with test")
    yield widget
    ProjectController.of(widget.session).close()


def show(images, qtbot, row):
    images.list.setCurrentRow(row)
    qtbot.waitUntil(lambda: images.session.images[row].binding is not None)


def open_export(images, qtbot):
    qtbot.mouseClick(images.export_button, Qt.MouseButton.LeftButton)
    dialog = images.findChildren(ExportDialog)[-1]
    qtbot.waitUntil(dialog.isVisible)
    return dialog


def test_one_dialog_is_open_however_often_it_is_asked_for(images, qtbot):
    dialog = open_export(images, qtbot)
    qtbot.mouseClick(images.export_button, Qt.MouseButton.LeftButton)
    open_ones = [item for item in images.project_bar.findChildren(ExportDialog) if item.isVisible()]
    assert open_ones == [dialog]
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not images.project_bar.findChildren(ExportDialog))
    assert open_export(images, qtbot).isVisible()


def tick(dialog, qtbot, name):
    box = next(box for box in dialog.form.findChildren(QAbstractButton) if box.objectName() == name)
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton)


def test_two_formats_take_four_clicks_and_no_project(images, qtbot, tmp_path, monkeypatch):
    told, clicks = [], []
    monkeypatch.setattr("napari_leafseg.widgets.images.export_dialog.show_info", told.append)
    click = qtbot.mouseClick
    monkeypatch.setattr(qtbot, "mouseClick", lambda *a, **k: clicks.append(a[0]) or click(*a, **k))
    assert images.controller.is_scratch
    dialog = open_export(images, qtbot)
    tick(dialog, qtbot, "coco")
    assert dialog.form.settings().formats == ("coco", "tiff")
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(told))
    assert len(clicks) <= 4
    out = tmp_path / "plants leaves"  # beside the images, made by us
    assert sorted(read_coco(out / "coco" / "leaves.json")) == ["a.png", "b.png"]
    assert (read_labels(out / "tiff" / "b_label.tif") > 0).sum() == 20 * 31
    assert told == [f"Labels of 2 images written to {out}.\nLeft out: 1 image without leaves."]
    again = ExportDialog(images.session, images)
    assert again.form.settings() == ExportSettings(("coco", "tiff"), "all", str(out))


def test_reviewed_images_or_the_shown_one_alone(images, qtbot, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("napari_leafseg.widgets.images.export_dialog.show_info", told.append)
    show(images, qtbot, 0)
    images.controller.set_state(images.session.images[0].binding, "done")
    dialog = open_export(images, qtbot)
    dialog.form.show_settings(ExportSettings(("tiff",), "reviewed", str(tmp_path / "new" / "deep")))
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(told))
    assert [path.name for path in (tmp_path / "new" / "deep").iterdir()] == ["a_label.tif"]
    assert "Left out: 1 image without leaves; 1 image not reviewed yet." in told[0]
    images.list.setCurrentRow(2)
    qtbot.waitUntil(lambda: images.session.layer_of(images.session.images[2]) is not None)
    dialog = open_export(images, qtbot)
    dialog.form.show_settings(ExportSettings(("tiff",), "this", str(tmp_path / "one")))
    assert not dialog.accept_button.isEnabled()
    assert "no leaves yet" in dialog.message.text()
    show(images, qtbot, 1)
    dialog.refresh()
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(told) == 2)
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["b_label.tif"]


def test_what_fails_is_said_in_the_dialog_which_stays(images, qtbot, tmp_path):
    (tmp_path / "file").write_text("in the way")
    dialog = open_export(images, qtbot)
    dialog.form.show_settings(ExportSettings(("tiff",), "all", str(tmp_path / "file")))
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Cannot write" in dialog.message.text())
    assert dialog.isVisible()
    assert dialog.accept_button.isEnabled()
    dialog.form.show_settings(ExportSettings((), "all", str(tmp_path / "file")))
    assert dialog.message.text() == "Tick a format."
    assert not dialog.accept_button.isEnabled()
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()


def test_it_runs_beside_the_window_and_stops(images, qtbot, tmp_path, monkeypatch):
    begun, go_on, real = threading.Event(), threading.Event(), export.write_format

    def slow(*arguments):
        for name in real(*arguments):
            begun.set()
            go_on.wait(60)
            yield name

    monkeypatch.setattr(export, "write_format", slow)
    dialog = open_export(images, qtbot)
    dialog.form.show_settings(ExportSettings(("tiff",), "all", str(tmp_path / "out")))
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(begun.is_set)  # the window's own thread is free
    assert dialog.progress.isVisible()
    assert dialog.cancel_button.text() == "Stop"
    qtbot.mouseClick(dialog.cancel_button, Qt.MouseButton.LeftButton)
    go_on.set()
    qtbot.waitUntil(lambda: not dialog.job.running)
    assert dialog.message.text().startswith("Stopped.")
    assert len(list((tmp_path / "out").glob("*"))) < 2
    dialog.reject()


def test_an_image_that_cannot_be_exported_is_left_out_and_named(tmp_path):
    def broken():
        return np.zeros((2, 9, 9), np.uint16)

    good = Exportable("a", tmp_path / "a.png", lambda: np.eye(9, dtype=np.uint16))
    series = Exportable("s", tmp_path / "s.png", broken)
    *_, last = export_images([good, series], tmp_path / "out", ("coco", "tiff", "png"), False, ReadOptions())
    assert (last.done, last.total, last.written) == (6, 6, 2)
    assert len(last.left_out) == 2
    assert all("“s” as" in reason and "time series" in reason for reason in last.left_out)
    assert (tmp_path / "out" / "tiff" / "s_label.tif").exists()
    assert list(read_coco(tmp_path / "out" / "coco" / "leaves.json")) == ["a.png"]


def reached_by_tab(dialog, qtbot):
    """The controls that Tab comes to, one after the other."""
    found = []
    for _ in range(60):
        control = dialog.focusWidget()
        if control in found:
            break
        found.append(control)
        qtbot.keyClick(control or dialog, Qt.Key.Key_Tab)
    return found


def dialogs(images):
    yield ExportDialog(images.session, images)
    yield NewFolderDialog("New project", NewFolder("a", "/b"), "Create", images)
    yield ClassDialog({"leaf": 3, "pot": 1}, images)
    yield ChannelsDialog("a.tif", 4, (), 3, ReadOptions(), images)


def test_every_dialog_is_operable_by_keyboard_alone(images, qtbot):
    for dialog in dialogs(images):
        dialog.show()
        qtbot.waitUntil(dialog.isVisible)
        reached = reached_by_tab(dialog, qtbot)
        for control in dialog.findChildren((QAbstractButton, QLineEdit, QComboBox, QListWidget)):
            if control.isVisible() and control.isEnabled() and control.focusPolicy() & Qt.FocusPolicy.TabFocus:
                group = control.isChecked() if control.inherits("QRadioButton") else True  # arrows go on from there
                near = {control, control.parentWidget()} & set(reached)  # a number box is reached for its line
                assert near or not group, f"{type(dialog).__name__}: {control.objectName()}"
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)
        assert not dialog.isVisible()


def test_a_new_folder_is_named_by_keyboard_and_odd_names_are_refused(images, qtbot, tmp_path):
    said = []

    def name_it(dialog):
        qtbot.keyClicks(dialog.focusWidget(), "a/b")  # the name is chosen when the dialog opens
        said.append((dialog.accept_button.isEnabled(), dialog.message.text()))
        dialog.focusWidget().selectAll()
        qtbot.keyClicks(dialog.focusWidget(), "Trial 3")
        said.append((dialog.accept_button.isEnabled(), dialog.message.text()))
        qtbot.keyClick(dialog.focusWidget(), Qt.Key.Key_Return)

    answer = Answer("new_folder_dialog", name_it)
    assert ask_new_folder(images, "New project", "Create", tmp_path, "x") == tmp_path / "Trial 3"
    answer.check()
    assert said[0][0] is False
    assert "cannot be called" in said[0][1]
    assert said[1] == (True, str(tmp_path / "Trial 3"))
    images.project_bar.controller.create(tmp_path / "Trial 3")
    assert (tmp_path / "Trial 3" / "project.json").exists()


@pytest.mark.parametrize(("wanted", "said"), [("Verified (ground truth)", True), ("Draft", False), ("", None)])
def test_labels_are_taken_as_ground_truth_or_draft_by_these_words(images, qtbot, wanted, said):
    def press(dialog):
        assert isinstance(dialog, QMessageBox)
        assert {"Verified (ground truth)", "Draft"} < {button.text() for button in dialog.buttons()}
        for _ in range(4):
            focused = dialog.focusWidget()
            if focused.text() == wanted:
                qtbot.keyClick(focused, Qt.Key.Key_Space)
                return
            qtbot.keyClick(focused, Qt.Key.Key_Tab)
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)

    answer = Answer("verified_dialog", press)
    assert ask_verified(images, "Labels") is said
    answer.check()
