"""The Batch dock widget: an experiment in the background, and the session as a record."""

import json

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_leafseg.editing.edit import difference
from napari_leafseg.io import write_image
from napari_leafseg.pipelines.batch.rerun import read_records, rerun
from napari_leafseg.project import Project
from napari_leafseg.project.background import store_labels
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.widgets.batch import widget as module
from napari_leafseg.widgets.batch.widget import BatchWidget
from napari_leafseg.widgets.finetune.widget import FinetuneWidget
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.segment.widget import SegmentWidget
from napari_leafseg.widgets.state.image_record import ListedImage
from napari_leafseg.widgets.state.known_images import ExperimentStore
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.session import Session

SCENE = SceneConfig(size=(96, 112), diameter=(60, 85), border=0.0, blank=0.0)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "plants"
    for seed in range(3):
        write_image(place / f"plant{seed}.png", synthesize(400 + seed, SCENE).image)
    (place / "notes.png").write_text("no image")
    return place


@pytest.fixture
def widget(viewer, monkeypatch):
    """Works in this process, so that tests are quick; the cluster is tested without a window."""
    original = module.batch_job

    def here(patterns, output, options, _workers, *more):
        yield from original(patterns, output, options, 0, *more)

    monkeypatch.setattr(module, "batch_job", here)
    widget = BatchWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Batch")
    return widget


def test_a_folder_is_done_with_errors_listed_and_a_report(widget, qtbot, folder, tmp_path):
    preferences.keep_parameters("leaf", {"angle": 44.0})
    qtbot.keyClicks(widget.form.native("source"), str(folder))
    qtbot.keyClicks(widget.form.native("output"), str(tmp_path / "out"))
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running, timeout=60000)
    assert widget.message.text() == "3 images done, 1 not done."
    assert "not an image" in widget.errors.item(0).text()
    assert not widget.report_button.isHidden()
    assert widget.report.exists()
    assert len(pd.read_csv(tmp_path / "out" / "images.csv")) == 3
    record = json.loads((tmp_path / "out" / "labels" / "plant0_label.json").read_text())
    assert record["parameters"]["angle"] == 44
    preferences.keep_parameters("leaf", {"angle": None})


def test_what_was_skipped_is_counted_by_the_event_not_by_its_words(widget):
    from napari_leafseg.pipelines.batch.run import BatchEvent

    widget._progress(BatchEvent(1, 4, "done before lunch", {"name": "done before lunch"}))
    assert widget._skipped == 0
    widget._progress(BatchEvent(2, 4, "déjà fait", {"name": "a"}, skipped=True))
    assert widget._skipped == 1
    widget._progress(BatchEvent(3, 4, "It cannot be read.", {"name": "b", "error": "It cannot be read."}))
    assert (widget._skipped, widget._not_done) == (1, 1)


def test_stop_and_go_on(widget, qtbot, folder, tmp_path):
    widget.form.native("source").setText(str(folder))
    widget.form.native("output").setText(str(tmp_path / "out"))
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(widget.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running, timeout=60000)
    assert "goes on where it was" in widget.message.text()
    assert not (tmp_path / "out" / "report.html").exists()
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running, timeout=60000)
    assert (tmp_path / "out" / "report.html").exists()


def test_what_is_missing_is_said(widget, qtbot, errors):
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    assert "no images" in errors[-1]
    widget.form.native("source").setText("/nowhere")
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    assert "folder to write to" in errors[-1]


def test_settings_survive_a_restart(widget, qtbot, folder, tmp_path, viewer, errors):
    widget.form.native("source").setText(str(tmp_path / "gone"))
    widget.form.native("output").setText(str(tmp_path / "out"))
    widget.form.native("px_per_mm").setValue(3.5)
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running, timeout=60000)
    again = BatchWidget(viewer)
    assert again.form.native("source").text() == str(tmp_path / "gone")
    assert again.form.native("px_per_mm").value() == 3.5


def test_the_session_is_saved_and_replayed_without_a_window(widget, viewer, qtbot, folder, tmp_path, monkeypatch):
    (folder / "notes.png").unlink()
    images, segment = ImagesWidget(viewer), SegmentWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    viewer.window.add_dock_widget(segment, name="Segment")
    images.add([folder / "plant0.png"])
    qtbot.waitUntil(lambda: segment.image is not None, timeout=20000)
    qtbot.mouseClick(segment.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not segment.job.running and not segment.live.busy, timeout=60000)
    for _ in range(10):
        qtbot.keyClick(segment.panel.rows["angle"].slider, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: not segment.live.busy, timeout=20000)
    target = tmp_path / "session.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), ""))
    qtbot.mouseClick(widget.session_button, Qt.MouseButton.LeftButton)
    shown = segment.session.labels_layer(segment.image).data
    (record,) = read_records(target)
    again = rerun(record)
    assert (again.labels == shown).all()
    assert again.record["parameters"]["angle"] == segment.panel.values()["angle"]


def test_what_is_known_of_the_list_is_in_the_tables(widget, qtbot, viewer, folder, tmp_path):
    session = Session.of(viewer)
    paths = [folder / f"plant{seed}.png" for seed in range(2)]
    session.images[:] = [ListedImage(path) for path in paths]
    store = ExperimentStore.of(session)
    experiment = store.experiment.copy()
    for day, path in enumerate(paths):
        experiment.hand[path] = {"plant": "oak", "day": str(day)}
    store.replace(experiment)
    qtbot.keyClicks(widget.form.native("output"), str(tmp_path / "out"))
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running and widget.report is not None)
    images = pd.read_csv(tmp_path / "out" / "images.csv")
    assert images["plant_id"].tolist() == ["oak", "oak"]
    assert images["day"].tolist() == [0, 1]


@pytest.fixture
def measured(widget, qtbot, folder, tmp_path, monkeypatch):
    """Three images that the window has measured, and a widget whose further jobs work in this process."""
    original = module.update_job

    def here(*given):
        yield from original(*given, 0)

    monkeypatch.setattr(module, "update_job", here)
    (folder / "notes.png").unlink()
    widget.form.native("source").setText(str(folder))
    widget.form.native("output").setText(str(tmp_path / "out"))
    widget.form.native("model").setCurrentIndex(widget.form.native("model").findData("leaf-small"))
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running)
    return tmp_path / "out"


def test_an_experiment_is_corrected_in_the_window_and_measured_again(widget, viewer, qtbot, measured):
    images = ImagesWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    assert not widget.correct_button.isHidden()
    assert widget.update_button.isHidden()
    qtbot.mouseClick(widget.correct_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.controller.project is not None and not widget.job.running)
    assert widget.controller.project.folder == measured / "project"
    qtbot.waitUntil(lambda: not widget.update_button.isHidden())
    assert widget.correct_button.isHidden()
    session = Session.of(viewer)
    assert [entry.path.name for entry in session.images] == ["plant0.png", "plant1.png", "plant2.png"]
    before = pd.read_csv(measured / "leaves.csv")
    session.image_wanted.emit(session.images[1])
    second = session.images[1]
    qtbot.waitUntil(
        lambda: session.focused_binding() in session.bindings() and session.focus() is session.layer_of(second)
    )
    document = session.focused_binding().document
    leaf = document.leaves()[0]
    document.commit(difference(document.labels, None, np.where(document.labels == leaf, 0, document.labels), "remove"))
    widget.controller.set_state(session.focused_binding(), "in progress")
    qtbot.mouseClick(widget.update_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running)
    assert widget.message.text() == "3 images done."
    after = pd.read_csv(measured / "leaves.csv")
    assert len(after) == len(before) - 1
    assert not ((after["image"] == "plant1") & (after["leaf"] == leaf)).any()
    assert not widget.report_button.isHidden()


def test_an_experiment_that_is_gone_is_told(widget, viewer, qtbot, measured, monkeypatch):
    said = []
    monkeypatch.setattr(module, "show_error", said.append)
    qtbot.mouseClick(widget.correct_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.update_button.isHidden() and not widget.job.running)
    (measured / "batch.json").unlink()
    qtbot.mouseClick(widget.update_button, Qt.MouseButton.LeftButton)
    assert said == [f"There is no experiment in {measured} any more. Open it where it is now."]


def test_a_batch_of_the_list_has_what_was_corrected(widget, viewer, qtbot, folder, tmp_path, measured):
    with Project.create(tmp_path / "own") as project:
        ref = project.add_known(folder / "plant2.png")
        labels = np.zeros((96, 112), np.uint16)
        labels[20:40, 20:40] = 7
        store_labels(project, ref, labels, "draw", lambda _after: {})
        ref.state = "in progress"
        project.save_list()
    widget.controller.switch(tmp_path / "own")
    qtbot.waitUntil(lambda: widget.controller.project is not None)
    widget.form.native("source").setText("")
    widget.form.native("output").setText(str(tmp_path / "list"))
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running)
    leaves = pd.read_csv(tmp_path / "list" / "leaves.csv")
    assert leaves[["image", "leaf", "area_px2"]].to_numpy().tolist() == [["plant2", 7, 400]]
    assert widget.errors.item(0).text() == f"1 image measured as corrected or reviewed in {tmp_path / 'own'}."


def test_opening_what_a_batch_wrote_opens_its_project(widget, viewer, qtbot, measured):
    images = ImagesWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    images.project_bar.open(measured)
    qtbot.waitUntil(lambda: widget.controller.project is not None)
    assert widget.controller.project.folder == measured / "project"
    assert len(Session.of(viewer).images) == 3


@pytest.mark.parametrize("follower", ["batch", "finetune"])
def test_the_model_that_is_chosen_in_segment_is_chosen_here_too(viewer, qtbot, follower):
    segment, widget = SegmentWidget(viewer), BatchWidget(viewer) if follower == "batch" else FinetuneWidget(viewer)
    box = widget.model_box if isinstance(widget, BatchWidget) else widget.base_box
    segment.choose_model("leaf")
    segment.choose_model("leaf-small")
    assert box.currentData() == "leaf-small"
    box.setCurrentIndex(box.findData("leaf"))
    Session.of(viewer).models_changed.emit()  # listed again
    assert box.currentData() == "leaf"
    segment.choose_model("solov2")
    assert box.currentData() == "solov2"
    box.setEnabled(False)  # a job runs
    segment.choose_model("leaf")
    assert box.currentData() == "solov2"
