"""The Segment widget: running, tuning while the slider moves, saving."""

import json
import time

import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtWidgets import QFileDialog, QStyle, QStyleOptionSlider

from napari_leafseg.io import read_labels, write_image
from napari_leafseg.pipelines.run_list import leaf_confidences
from napari_leafseg.project.background import read_facts
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.segment.widget import SegmentWidget
from napari_leafseg.widgets.state.look import Look
from napari_leafseg.widgets.state.refresh import changed_box, show_region


@pytest.fixture
def widget(viewer, plant_image):
    viewer.add_image(plant_image, name="plant", rgb=True)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment")
    return widget


def run(widget, qtbot):
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running and not widget.live.busy, timeout=60000)


def settle(widget, qtbot):
    qtbot.waitUntil(lambda: not widget.live.busy, timeout=20000)


def group_by_seeds(widget, qtbot):
    """Have every move of the angle change the labels, as with the best-seed grouping."""
    widget.panel.rows["grouping"].set(0.0)
    settle(widget, qtbot)
    qtbot.waitUntil(lambda: not widget.session.focused_binding().unfinished)


def shown(widget):
    return np.asarray(widget.session.labels_layer(widget.image).data)


def test_before_anything_is_open_it_says_what_to_do(viewer):
    widget = SegmentWidget(viewer)
    assert not widget.run_button.isEnabled()
    assert "File ▸ Open" in widget.message.text()
    assert widget.image is None
    widget.close()


def test_run_shows_leaves_sliders_and_count(widget, viewer, qtbot):
    run(widget, qtbot)
    layer = viewer.layers["plant leaves"]
    assert isinstance(layer, Labels)
    assert layer.data.max() > 0
    assert widget.count_label.text().startswith(f"<b>{layer.data.max()} ")
    assert set(widget.panel.rows) == {"seed_threshold", "angle", "grouping", "min_confidence", "min_area"}
    assert widget.scale_box.value() == pytest.approx(100 * widget.session.record(widget.image).prediction.scale, abs=1)
    assert widget.save_button.isEnabled()


def test_the_published_grouping_is_chosen_and_shown_at_once(widget, qtbot):
    run(widget, qtbot)
    row, ours = widget.panel.rows["grouping"], shown(widget).copy()
    prediction = widget.session.record(widget.image).prediction
    assert not row.reset.isEnabled()
    qtbot.keyClick(row.box, Qt.Key.Key_Up)
    settle(widget, qtbot)
    assert row.box.currentText() == "published"
    wanted = prediction.labels(grouping=1.0)
    assert not np.array_equal(wanted, ours)
    np.testing.assert_array_equal(shown(widget) > 0, wanted > 0)
    assert widget.panel.values()["grouping"] == 1
    qtbot.mouseClick(row.reset, Qt.MouseButton.LeftButton)
    settle(widget, qtbot)
    assert row.box.currentText() == "watershed"
    np.testing.assert_array_equal(shown(widget) > 0, ours > 0)


def test_a_second_run_makes_no_second_layer(widget, viewer, qtbot):
    run(widget, qtbot)
    names = [layer.name for layer in viewer.layers]
    run(widget, qtbot)
    assert [layer.name for layer in viewer.layers] == names == ["plant", "plant leaves"]


def test_keys_on_the_slider_change_the_labels(widget, qtbot):
    run(widget, qtbot)
    group_by_seeds(widget, qtbot)
    slider = widget.panel.rows["angle"].slider
    before = shown(widget).copy()
    for _ in range(25):
        qtbot.keyClick(slider, Qt.Key.Key_Left)
    settle(widget, qtbot)
    prediction = widget.session.record(widget.image).prediction
    values = widget.panel.values()
    assert values["angle"] == widget.panel.rows["angle"].tunable.default - 25
    assert np.array_equal(shown(widget), prediction.labels(**values))
    assert np.count_nonzero(shown(widget)) < np.count_nonzero(before)


def test_typing_and_resetting_a_value(widget, qtbot):
    run(widget, qtbot)
    row = widget.panel.rows["seed_threshold"]
    row.box.selectAll()
    decimal = row.box.locale().decimalPoint()
    qtbot.keyClicks(row.box, f"0{decimal}8")
    qtbot.keyClick(row.box, Qt.Key.Key_Return)
    assert row.value == pytest.approx(0.8)
    assert row.slider.value() == 70
    assert row.reset.isEnabled()
    qtbot.mouseClick(row.reset, Qt.MouseButton.LeftButton)
    assert row.value == row.tunable.default
    assert not row.reset.isEnabled()
    settle(widget, qtbot)


def handle_position(slider):
    option = QStyleOptionSlider()
    slider.initStyleOption(option)
    control = QStyle.ComplexControl.CC_Slider
    return slider.style().subControlRect(control, option, QStyle.SubControl.SC_SliderHandle, slider).center()


def test_a_drag_that_rests_on_its_way_is_one_step(widget, viewer, qtbot):
    viewer.window._qt_window.show()
    run(widget, qtbot)
    group_by_seeds(widget, qtbot)
    slider, binding = widget.panel.rows["angle"].slider, widget.session.focused_binding()
    slider.setFixedWidth(200)
    qtbot.waitUntil(lambda: slider.width() == 200 and not widget.live.busy)
    qtbot.wait(100)
    before, steps = slider.value(), len(binding.document.history)
    start = handle_position(slider)
    qtbot.mousePress(slider, Qt.MouseButton.LeftButton, pos=start)
    for x in (start.x() - 40, start.x() - 80):
        qtbot.mouseMove(slider, QPoint(x, start.y()))
        qtbot.wait(700)
    qtbot.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=QPoint(x, start.y()))
    qtbot.waitUntil(lambda: len(binding.document.history) > steps)
    assert len(binding.document.history) == steps + 1
    binding.undo()
    assert slider.value() == before


def test_a_drag_of_60_events_in_2_seconds_ends_with_the_last_value(widget, viewer, qtbot):
    """Real mouse moves on the slider; the labels are those of the last value and nothing queues up."""
    viewer.window._qt_window.show()
    run(widget, qtbot)
    slider = widget.panel.rows["angle"].slider
    slider.setFixedWidth(200)
    qtbot.waitUntil(lambda: slider.width() == 200 and not widget.live.busy)
    qtbot.wait(100)
    computed = []
    widget.live.ready.connect(lambda result: computed.append(result.values["angle"]))
    start = handle_position(slider)
    qtbot.mousePress(slider, Qt.MouseButton.LeftButton, pos=start)
    begin = time.perf_counter()
    for event in range(60):
        x = int(100 + 80 * np.sin(event / 7))
        qtbot.mouseMove(slider, QPoint(x, start.y()))
        qtbot.wait(max(1, int(1000 * (begin + (event + 1) / 30 - time.perf_counter()))))
    qtbot.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=QPoint(x, start.y()))
    settle(widget, qtbot)
    values = widget.panel.values()
    assert computed[-1] == values["angle"]
    assert 3 <= len(computed) <= 61
    prediction = widget.session.record(widget.image).prediction
    assert np.array_equal(shown(widget), prediction.labels(**values))


def test_the_gui_thread_never_computes(widget, qtbot, monkeypatch):
    """However long the labels take, the event loop goes on and the newest value wins."""
    run(widget, qtbot)
    prediction = widget.session.record(widget.image).prediction
    real, asked = prediction.labels, []

    def slow(**values):
        asked.append(values["angle"])
        time.sleep(0.3)
        return real(**values)

    monkeypatch.setattr(prediction, "labels", slow)
    ticks = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start(5)
    for value in range(10, 40):
        widget.panel.rows["angle"].slider.setValue(value)
        qtbot.wait(5)
    on_the_way = len(asked)
    settle(widget, qtbot)
    timer.stop()
    assert len(asked) <= on_the_way + 1  # nothing queued up: the newest value alone is left
    assert on_the_way < 30
    assert asked[-1] == widget.panel.values()["angle"]
    assert len(ticks) > 40


def test_stop_ends_a_run_without_leaving_anything(widget, viewer, qtbot, monkeypatch):
    from napari_leafseg.inference.predictor import PredictEvent

    def endless(*_args):
        for step in range(10_000):
            time.sleep(0.01)
            yield PredictEvent(step, 10_000, "Working")

    monkeypatch.setattr("napari_leafseg.widgets.segment.widget.predict_job", endless)
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.progress.value() > 3, timeout=5000)
    assert not widget.run_button.isEnabled()
    assert widget.message.text() == "Working"
    qtbot.mouseClick(widget.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running, timeout=5000)
    assert widget.run_button.isEnabled()
    assert [layer.name for layer in viewer.layers] == ["plant"]


def test_explaining_layers_come_and_go(widget, viewer, qtbot):
    widget.choose_model("leaf-small")  # of whose seeds some go
    run(widget, qtbot)
    for kind, name in (("distance", "distance map"), ("embedding", "embedding"), ("seeds", "seeds")):
        widget.overlays[kind].click()
        qtbot.waitUntil(lambda name=name: f"plant {name}" in [x.name for x in viewer.layers], timeout=10000)
    seeds = len(viewer.layers["plant seeds"].data)
    widget.panel.rows["seed_threshold"].slider.setValue(80)
    settle(widget, qtbot)
    assert len(viewer.layers["plant seeds"].data) < seeds
    assert viewer.layers.selection.active is viewer.layers["plant leaves"]
    assert widget.session.image_layers() == [viewer.layers["plant"]]  # none of them is taken for an image
    for kind in ("distance", "embedding", "seeds"):
        widget.overlays[kind].click()
    assert [layer.name for layer in viewer.layers] == ["plant", "plant leaves"]


def test_painted_leaves_are_never_tuned_away_nor_segmented_again(widget, viewer, qtbot):
    run(widget, qtbot)
    layer = viewer.layers["plant leaves"]
    layer.selected_label, layer.brush_size = 99, 20
    layer.paint((20, 20), 99)
    assert "verified" in widget.count_label.text()
    painted = layer.data == 99
    for value in (3, 40):
        widget.panel.rows["angle"].slider.setValue(value)
        settle(widget, qtbot)
        assert np.array_equal(layer.data == 99, painted)
    run(widget, qtbot)
    assert [other.name for other in viewer.layers] == ["plant", "plant leaves"]
    assert np.array_equal(viewer.layers["plant leaves"].data == 99, painted)


def test_new_layers_do_not_touch_the_sliders(widget, viewer, qtbot):
    run(widget, qtbot)
    slider = widget.panel.rows["angle"].slider
    widget.panel.rows["angle"].set(30)
    viewer.add_points([[5, 5]])
    viewer.layers.remove(viewer.layers[-1])
    assert widget.panel.rows["angle"].slider is slider
    settle(widget, qtbot)
    assert widget.session.record(widget.image).parameters["angle"] == 30


def test_leaving_an_image_while_it_is_segmented_loses_nothing(widget, viewer, plant_image, qtbot):
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    viewer.add_image(plant_image[::-1], name="other", rgb=True)
    assert widget.image.name == "other"
    qtbot.waitUntil(lambda: not widget.job.running and not widget.live.busy, timeout=60000)
    assert widget.image.name == "other"
    assert widget.panel.rows == {}
    viewer.layers.selection.active = viewer.layers["plant"]
    settle(widget, qtbot)
    assert viewer.layers["plant leaves"].data.max() > 0
    assert set(widget.panel.rows) == {"seed_threshold", "angle", "grouping", "min_confidence", "min_area"}


def test_the_right_image_is_chosen(widget, viewer, plant_image, qtbot):
    viewer.add_labels(np.zeros((256, 256), int), name="mine")
    other = viewer.add_image(plant_image[::-1], name="other", rgb=True)
    assert widget.image is other
    viewer.layers.selection.active = viewer.layers["plant"]
    assert widget.image.name == "plant"
    run(widget, qtbot)
    assert "plant leaves" in viewer.layers
    assert widget.image.name == "plant"
    viewer.layers.remove("plant")
    assert widget.image is other
    assert [widget.image_box.itemText(i) for i in range(widget.image_box.count())] == ["other"]


def test_bad_images_are_reported_with_the_layers_name(widget, viewer, qtbot, errors):
    for name, data in (("dark", np.zeros((64, 64), np.uint8)), ("holes", np.full((64, 64), np.nan, np.float32))):
        viewer.add_image(data, name=name, contrast_limits=(0, 1))
        run(widget, qtbot)
        assert name in errors[-1]
    viewer.add_image(np.zeros((2, 2, 2, 64, 64), np.uint8), name="deep", contrast_limits=(0, 1))
    run(widget, qtbot)
    assert "5 axes" in errors[-1]
    assert len(errors) == 3
    assert widget.run_button.isEnabled()


def test_bad_weights_are_reported(widget, qtbot, errors, tmp_path, monkeypatch):
    path = tmp_path / "broken.safetensors"
    path.write_text("no weights")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(path), ""))
    widget.model_box.activated.emit(widget.model_box.count() - 1)
    assert widget.model_name == str(path)
    assert "broken.safetensors" in widget.model_text.text()
    run(widget, qtbot)
    assert "broken.safetensors" in errors[0]


def test_a_series_is_segmented_frame_by_frame(widget, viewer, qtbot, plant_image):
    small = plant_image[::2, ::2]
    viewer.add_image(np.stack([small, small[::-1]]), name="days", rgb=True)
    run(widget, qtbot)
    layer = viewer.layers["days leaves"]
    assert layer.data.shape == (2, 128, 128)
    widget.panel.rows["angle"].slider.setValue(5)
    settle(widget, qtbot)
    widget.overlays["seeds"].click()
    qtbot.waitUntil(lambda: "days seeds" in viewer.layers, timeout=10000)
    assert viewer.layers["days seeds"].data.shape[1] == 3


@pytest.fixture
def segmented(viewer, qtbot, tmp_path, plant_image):
    """The list of images with one that was run by itself: (images, segment)."""
    write_image(tmp_path / "plant.png", plant_image)
    images, widget = ImagesWidget(viewer), SegmentWidget(viewer)
    images.add([tmp_path / "plant.png"])
    qtbot.waitUntil(lambda: widget.image is not None)
    run(widget, qtbot)
    return images, widget


def test_after_a_run_the_list_knows_the_least_certain_leaf_after_a_restart_too(segmented, qtbot):
    images, widget = segmented
    (entry,) = images.session.images
    record = images.session.record(widget.image)
    sure = leaf_confidences(record.prediction, record.binding.document.labels)[0]
    qtbot.waitUntil(lambda: entry.confidence is not None)
    assert entry.confidence == min(sure.values()) < 1
    least = min(sure, key=sure.get)
    record.binding.verify([least], True)
    qtbot.waitUntil(lambda: entry.confidence > min(sure.values()))
    assert entry.confidence == min(value for leaf, value in sure.items() if leaf != least)
    project = widget.controller.project
    qtbot.waitUntil(lambda: widget.controller.autosave() or not record.binding.document.changed)
    assert project.writer.flush()
    facts = read_facts(project, project.images[0])
    assert facts.confidence == entry.confidence
    assert facts.record["confidence"] == {str(leaf): value for leaf, value in sure.items()}


def test_a_run_that_was_taken_back_leaves_the_image_as_it_was(segmented, viewer, qtbot):
    images, widget = segmented
    leaves = images.list.text(0)
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: images.list.text(0) == "plant.png\nnot segmented")
    assert widget.run_all_button.button.text() == "Run all (1)"
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: images.list.text(0) == leaves)
    binding = images.session.record(widget.image).binding
    binding.verify([1], True)
    qtbot.waitUntil(lambda: images.list.text(0).endswith("in progress"))
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: images.list.text(0) == leaves)


def test_looking_at_an_image_writes_nothing(segmented, qtbot):
    images, widget = segmented
    binding = images.session.record(widget.image).binding
    qtbot.waitUntil(lambda: "confidence" in binding.document.info)
    looks = Look.of(images.session)
    qtbot.waitUntil(lambda: looks.of_binding(binding).settled)
    binding.document.changed, binding.document.info["confidence"] = False, {"1": 0.5}
    looks.take(binding)  # as when an image is opened
    qtbot.waitUntil(lambda: binding.document.info["confidence"] != {"1": 0.5})
    assert not binding.document.changed


def test_the_s_key_saves_labels_with_a_record(viewer, qtbot, tmp_path, plant_image):
    write_image(tmp_path / "plant.png", plant_image)
    images = ImagesWidget(viewer)
    widget = SegmentWidget(viewer)
    for item in (images, widget):
        viewer.window.add_dock_widget(item)
    images.add([tmp_path / "plant.png"])
    qtbot.waitUntil(lambda: widget.image is not None, timeout=10000)
    run(widget, qtbot)
    assert images.list.text(0) == f"plant.png\n{shown(widget).max()} leaves"
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.keyClick(canvas, Qt.Key.Key_S)
    target = tmp_path / "leaves" / "plant_label.tif"
    qtbot.waitUntil(lambda: images.list.text(0).endswith(", exported"), timeout=10000)
    record = json.loads(target.with_suffix(".json").read_text())
    assert np.array_equal(read_labels(target), shown(widget))
    assert record["model"]["name"] == "leaf"
    assert record["parameters"] == pytest.approx(widget.panel.values())
    assert record["count"] == shown(widget).max()
    assert len(record["image"]["sha256"]) == 64


def test_saving_where_nothing_can_be_written_is_reported(widget, qtbot, errors, tmp_path):
    run(widget, qtbot)
    (tmp_path / "file").write_text("in the way")
    widget.saver.folder = tmp_path / "file"
    qtbot.mouseClick(widget.save_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(errors), timeout=10000)
    assert "Cannot write" in errors[0]


def test_choices_survive_a_restart(widget, viewer, qtbot):
    widget.choose_device("cpu")
    widget.scale_auto.setChecked(False)
    widget.scale_box.setValue(130)
    run(widget, qtbot)
    widget.panel.rows["angle"].set(33)
    settle(widget, qtbot)
    widget.close()
    again = SegmentWidget(viewer)
    assert again.device_name == "cpu"
    assert again.scale == pytest.approx(1.3)
    run(again, qtbot)
    assert again.panel.values()["angle"] == 33
    assert again.session.record(again.image).parameters["angle"] == 33  # the labels are those that the sliders show
    again.panel.rows["angle"].set(again.panel.rows["angle"].tunable.default)
    settle(again, qtbot)
    assert again.kept_values(again.session.record(again.image).prediction) == {}
    again.close()


def test_only_the_changed_region_is_redrawn(viewer):
    layer = viewer.add_labels(np.zeros((100, 120), np.uint16))
    drawn = []
    layer.events.labels_update.connect(lambda event: drawn.append(event.data.shape))
    new = np.zeros((100, 120), np.uint16)
    new[10:20, 30:50] = 4
    box = changed_box(layer.data, new)
    layer.data[box] = new[box]
    show_region(layer, box)
    assert drawn == [(10, 20)]
    assert np.array_equal(layer.data, new)
    assert changed_box(layer.data, new) is None
    layer.undo()
    assert np.array_equal(layer.data, new)  # a slider's way is not in the undo history


def test_samples_open_from_the_menu(viewer, qtbot):
    viewer.open_sample("napari-leafseg", "tray")
    assert isinstance(viewer.layers[0], Image)
    viewer.layers.clear()
    viewer.open_sample("napari-leafseg", "series")
    assert viewer.layers[0].data.ndim == 4


def test_looks_are_used_and_kept(widget, viewer, qtbot):
    widget.tta_box.setFocus()
    qtbot.keyClick(widget.tta_box, Qt.Key.Key_Down)
    assert widget.tta == "fast"
    run(widget, qtbot)
    prediction = widget.session.record(widget.image).prediction
    assert prediction.model.views == 1
    assert SegmentWidget(viewer).tta == "fast"
