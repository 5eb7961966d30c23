"""The Segment widget with a query-based model: its sliders, its layers, its overlapping masks."""

import json

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QScrollArea

from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.widgets.segment.model_list import PURPOSE
from napari_leafseg.widgets.segment.widget import SegmentWidget


@pytest.fixture
def widget(viewer, plant_image, tmp_path):
    viewer.add_image(plant_image, name="plant", rgb=True)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment")
    widget.choose_model("solov2")
    widget.saver.folder = tmp_path
    return widget


def run(widget, qtbot):
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.job.running and not widget.live.busy, timeout=60000)


def shown(widget):
    return np.asarray(widget.session.labels_layer(widget.image).data)


def test_all_models_are_listed_with_a_line_each(viewer):
    widget = SegmentWidget(viewer)
    lines = {widget.model_box.itemData(at): widget.model_box.itemText(at) for at in range(widget.model_box.count() - 1)}
    for name in ("leaf", "leaf-small", "leaf-fluorescence", "condinst", "solov2", "sotr", "mask2former"):
        share = describe_model(name).metrics["sbd_real"]
        found = describe_model(name).metrics.get("found_synthetic")
        score = (
            f"outlines {f'{share:.2f}'[2:]} % right"  # as Models … says it
            if found is None
            else f"finds {min(9, round(10 * found))} of 10 leaves"
        )
        assert lines[name] == f"{name}  ·  {score}"
        assert widget.model_box.itemData(widget.model_box.findData(name), PURPOSE) == describe_model(name).description
        widget.choose_model(name)
        text = widget.model_text.text()
        assert "BSD-3-Clause" in text
        assert " MB" in text
        assert "SBD, symmetric best Dice, says" in text
        assert "SBD" in widget.model_box.toolTip()
        assert len(text) > 60
    widget.close()


def test_the_opened_list_says_what_a_model_is_for_under_its_name(widget, qtbot):
    qtbot.mouseClick(widget.model_box, Qt.MouseButton.LeftButton)
    view = widget.model_box.view()
    qtbot.waitUntil(view.isVisible)
    line = view.fontMetrics().lineSpacing()
    heights = [view.visualRect(view.model().index(row, 0)).height() for row in range(widget.model_box.count())]
    assert min(heights[:-1]) >= 2 * line
    assert line <= heights[-1] < 2 * line  # “Other file …”
    assert view.sizeHintForColumn(0) < view.width()
    qtbot.keyClick(view, Qt.Key.Key_Escape)


def test_a_gray_image_is_told_of_a_better_model_than_one_for_color(viewer, qtbot):
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment")
    widget.choose_model("leaf-small")
    color = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    viewer.add_image(color, rgb=True)
    assert widget.fit_label.text() == ""
    for gray in (color[..., 0], np.repeat(color[..., :1], 3, -1)):
        viewer.add_image(gray, rgb=gray.ndim == 3)
        assert "This image is gray" in widget.fit_label.text()
        assert "Use leaf</a>" in widget.fit_label.text()
    widget.fit_label.linkActivated.emit("leaf")
    assert widget.model_name == "leaf"
    assert widget.fit_label.text() == ""


def test_its_own_sliders_change_the_leaves(widget, qtbot):
    run(widget, qtbot)
    assert set(widget.panel.rows) == {"score_threshold", "mask_threshold", "overlap", "min_area"}
    assert shown(widget).max() > 3
    inside, scrolled = widget.findChild(QScrollArea).widget(), widget.findChild(QScrollArea).viewport()
    qtbot.waitUntil(lambda: inside.minimumSizeHint().width() <= scrolled.width())  # nothing is cut at its right
    before = shown(widget).copy()
    slider = widget.panel.rows["score_threshold"].slider
    slider.setFocus()
    for _ in range(12):
        qtbot.keyClick(slider, Qt.Key.Key_PageUp)
    qtbot.waitUntil(lambda: not widget.live.busy, timeout=20000)
    assert widget.panel.values()["score_threshold"] > 0.6
    assert len(np.unique(shown(widget))) < len(np.unique(before))


def test_it_offers_the_layers_that_it_knows(widget, viewer, qtbot):
    run(widget, qtbot)
    offered = {kind for kind, box in widget.overlays.items() if not box.isHidden()}
    assert offered == {"confidence"}
    box = widget.overlays["confidence"]
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))  # on its mark
    qtbot.waitUntil(lambda: widget.session.find_layer(widget.image, "confidence") is not None, timeout=20000)
    data = np.asarray(widget.session.find_layer(widget.image, "confidence").data)
    assert 0 <= data.min() < 0.1 < 0.3 < data.max() <= 1
    widget.choose_model("leaf")
    run(widget, qtbot)
    offered = {kind for kind, box in widget.overlays.items() if not box.isHidden()}
    assert offered == {"seeds", "distance", "embedding"}
    assert set(widget.panel.rows) == {"seed_threshold", "angle", "grouping", "min_confidence", "min_area"}
    assert widget.masks_button.isHidden()
    assert not widget.overlays["confidence"].isChecked()
    assert widget.session.find_layer(widget.image, "confidence") is None
    seeds = widget.overlays["seeds"]
    qtbot.mouseClick(seeds, Qt.MouseButton.LeftButton, pos=QPoint(8, seeds.height() // 2))
    qtbot.waitUntil(lambda: widget.session.find_layer(widget.image, "seeds") is not None, timeout=20000)
    widget.choose_model("solov2")
    run(widget, qtbot)
    assert widget.session.find_layer(widget.image, "seeds") is None
    for _ in range(3):  # the sliders know no seeds any more
        qtbot.keyClick(widget.panel.rows["score_threshold"].slider, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: not widget.live.busy, timeout=20000)


def test_full_masks_are_saved_at_a_click(widget, qtbot, tmp_path):
    run(widget, qtbot)
    assert not widget.masks_button.isHidden()
    qtbot.mouseClick(widget.masks_button, Qt.MouseButton.LeftButton)
    target = tmp_path / "plant_masks.json"
    qtbot.waitUntil(target.exists, timeout=20000)
    content = json.loads(target.read_text())
    assert len(content["annotations"]) >= len(np.unique(shown(widget))) - 1
    assert all(0 < item["score"] <= 1 for item in content["annotations"])
    qtbot.waitUntil(lambda: "plant_masks.json" in widget.message.text(), timeout=5000)


def test_how_long_it_takes_here_is_remembered(widget, qtbot):
    run(widget, qtbot)
    widget.choose_model("leaf")
    widget.choose_model("solov2")
    assert " s an image here" in widget.model_text.text()
