"""The parameter search widget: what it compares with, its map, and what it applies."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_leafseg.io import write_image, write_labels
from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.widgets.correct.widget import CorrectWidget
from napari_leafseg.widgets.main.dialogs import open_dialog
from napari_leafseg.widgets.parameter_search.widget import ParameterSearchWidget
from napari_leafseg.widgets.segment.widget import SegmentWidget


@pytest.fixture
def scene():
    return synthesize(108, SceneConfig(size=(160, 160), diameter=(110, 140), border=0.0, blank=0.0))


@pytest.fixture
def folder(tmp_path, scene):
    place = tmp_path / "labeled"
    place.mkdir()
    write_image(place / "plant.png", scene.image)
    write_labels(place / "plant_label.tif", scene.labels)
    return place


@pytest.fixture
def widget(viewer):
    widget = ParameterSearchWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Parameter search")
    return widget


def compare(widget, qtbot):
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    assert widget.job.running
    qtbot.waitUntil(lambda: not widget.job.running, timeout=60000)


def choose(widget, qtbot, folder, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    qtbot.mouseClick(widget.folder_button, Qt.MouseButton.LeftButton)


def test_without_anything_to_compare_with_it_says_what_to_do(widget):
    assert "Correct an image and mark it as reviewed" in widget.truth_label.text()
    assert not widget.run_button.isEnabled()
    assert widget.map.isHidden()
    assert widget.apply_button.isHidden()


def test_a_folder_with_labels_is_compared_and_a_click_on_the_map_picks(widget, qtbot, folder, monkeypatch):
    choose(widget, qtbot, folder, monkeypatch)
    assert "labeled" in widget.truth_label.text()
    compare(widget, qtbot)
    assert not widget.map.isHidden()
    assert "1 image" in widget.verdict.text()
    assert widget.smallest_box.count() == 5
    widget.map.resize(380, 300)
    widget.map.show()
    qtbot.wait(50)
    cell = widget.map.place_of(3, 7).toPoint()
    qtbot.mouseClick(widget.map.viewport(), Qt.MouseButton.LeftButton, pos=cell)
    search = widget.search
    assert f"threshold {search.rows[3]:.2f}, clustering angle {search.columns[7]:.0f}°" in widget.verdict.text()
    assert f"SBD about {search.sbd[3, 7, widget.smallest_box.currentIndex()]:.2f}," in widget.verdict.text()
    assert widget.map._bar.axis.labelText == "SBD (estimate)"
    suggested = []
    widget.session.parameters_suggested.connect(lambda model, values: suggested.append((model, values)))
    qtbot.mouseClick(widget.apply_button, Qt.MouseButton.LeftButton)
    ((model, values),) = suggested
    assert widget.message.isVisibleTo(widget)
    assert widget.message.text().startswith("These values are used from now on")
    assert model == "leaf"
    assert (values["seed_threshold"], values["angle"]) == (search.rows[3], search.columns[7])
    qtbot.wait(600)  # not a double click
    qtbot.mouseClick(widget.map.viewport(), Qt.MouseButton.LeftButton, pos=cell)
    assert "Picked" not in widget.verdict.text()


def test_the_verdict_and_its_button_are_seen_in_the_dialog_without_scrolling(viewer, qtbot, folder, monkeypatch):
    dialog = open_dialog(viewer, "parameter_search")
    search = dialog.inner
    choose(search, qtbot, folder, monkeypatch)
    compare(search, qtbot)
    for part in (search.verdict, search.apply_button, search.map):
        qtbot.waitUntil(lambda part=part: part.visibleRegion().boundingRect() == part.rect())
    dialog.close()


def test_a_reviewed_image_on_the_screen_is_compared_by_its_corrected_leaves(viewer, qtbot, scene):
    viewer.add_image(scene.image, name="plant", rgb=True)
    segment, correct, searching = SegmentWidget(viewer), CorrectWidget(viewer), ParameterSearchWidget(viewer)
    for name, part in (("Segment", segment), ("Correct", correct), ("Parameter search", searching)):
        viewer.window.add_dock_widget(part, name=name)
    qtbot.mouseClick(segment.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not segment.job.running and not segment.live.busy, timeout=60000)
    for _ in range(20):
        qtbot.keyClick(segment.panel.rows["angle"].slider, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: not segment.live.busy, timeout=20000)
    binding = segment.session.binding(segment.image)
    binding.layer.data_setitem(np.nonzero(scene.labels >= 0), scene.labels.ravel())
    searching.controller.track(binding)
    searching.controller.set_state(binding, "done")
    qtbot.waitUntil(lambda: searching.truth_label.text() == "Known leaves: 1 reviewed image.", timeout=5000)
    prediction = segment.session.record(segment.image).prediction
    compare(searching, qtbot)
    assert searching.search.leaves == len(np.unique(scene.labels)) - 1
    assert searching.search.current["angle"] == segment.panel.values()["angle"] == 40
    if searching.apply_button.isEnabled():
        best = searching.search.best
        qtbot.mouseClick(searching.apply_button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not segment.live.busy, timeout=20000)
        assert segment.panel.values()["angle"] == best["angle"]
        assert segment.kept_values(prediction)["min_area"] == round(best["min_area_working"] / prediction.scale**2)


def test_suggested_values_hold_for_the_next_image_and_reset_brings_the_defaults(viewer, qtbot, scene):
    segment = SegmentWidget(viewer)
    viewer.window.add_dock_widget(segment, name="Segment")
    segment.session.parameters_suggested.emit("leaf", {"seed_threshold": 0.29, "angle": 50.0, "min_area_working": 32.0})
    viewer.add_image(scene.image, name="plant", rgb=True)
    qtbot.mouseClick(segment.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not segment.job.running and not segment.live.busy, timeout=60000)
    prediction = segment.session.record(segment.image).prediction
    smallest = float(round(32 / prediction.scale**2))
    least = describe_model("leaf").defaults["min_confidence"]
    expected = {"seed_threshold": 0.29, "angle": 50.0, "grouping": 2.0, "min_confidence": least, "min_area": smallest}
    assert segment.panel.values() == expected
    qtbot.mouseClick(segment.panel.rows["angle"].reset, Qt.MouseButton.LeftButton)
    assert segment.panel.values()["angle"] == prediction.defaults()["angle"]
    qtbot.waitUntil(lambda: not segment.live.busy, timeout=20000)


def test_stop_ends_the_comparison_and_leaves_no_half_result(widget, qtbot, folder, monkeypatch):
    choose(widget, qtbot, folder, monkeypatch)
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(widget.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running, timeout=60000)
    assert widget.search is None
    assert widget.run_button.isEnabled()


def test_segment_opens_it(viewer, qtbot, monkeypatch):
    segment = SegmentWidget(viewer)
    viewer.window.add_dock_widget(segment, name="Segment")
    opened = []

    monkeypatch.setattr(viewer.window, "add_plugin_dock_widget", lambda *names: opened.append(names))
    assert segment.parameter_search_button.isHidden()
    segment.panel.setVisible(True)
    segment.parameter_search_button.setVisible(True)
    qtbot.mouseClick(segment.parameter_search_button, Qt.MouseButton.LeftButton)
    assert opened == [("napari-leafseg", "Parameter search")]
