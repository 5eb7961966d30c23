"""The Measure dock widget: tables linked with the canvas, scale, plants, tracks, saving; real mouse and key events."""

import json
import threading

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog, QScrollArea

from napari_leafseg.io import write_image
from napari_leafseg.pipelines import measure as pipeline
from napari_leafseg.pipelines.measure import Frame, MeasureCache, measure_job
from napari_leafseg.project import Project
from napari_leafseg.project.document import Document
from napari_leafseg.project.measurement_settings import ImageMeasurementSettings, read_measurement_settings
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.traits import measure
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.measure.growth_plots import describe_point
from napari_leafseg.widgets.measure.widget import MeasureWidget
from napari_leafseg.widgets.segment.widget import SegmentWidget
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.look import Look
from napari_leafseg.widgets.state.napari_private import canvas_size
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session
from tests.conftest import discs
from tests.widgets.test_correct import Hand

SPOTS = ((30, 30), (30, 62), (90, 100))


@pytest.fixture
def labels():
    """Three leaves: two of one plant, one of another."""
    return discs(centers=SPOTS, radius=14).astype(np.uint16)


@pytest.fixture
def viewer(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1100, 760)
    qtbot.wait(50)
    return viewer


def shown(viewer, qtbot, labels, plant_image=None):
    """Labels on the screen and the widget beside them."""
    plant_image = np.repeat(labels[..., None] * 40, 3, -1).astype(np.uint8) if plant_image is None else plant_image
    image = viewer.add_image(plant_image, name="plant", rgb=True)
    layers.add_labels(Session.of(viewer), image, Document(labels.copy()))
    widget = MeasureWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Measure")
    settle(widget, qtbot)
    return widget


def settle(widget, qtbot):
    qtbot.wait(300)
    qtbot.waitUntil(lambda: not widget.job.running and not widget._soon.isActive(), timeout=20000)


def cell(view, row, column):
    index = view.proxy.index(row, list(view.table.columns).index(column))
    view.scrollTo(index)
    return view.visualRect(index).center()


def test_without_labels_it_says_what_to_do(viewer, qtbot):
    widget = MeasureWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Measure")
    settle(widget, qtbot)
    assert "press Run in Segment" in widget.hint.text()
    assert widget.parts.isHidden()
    assert not widget.copy_button.isEnabled()


def test_it_says_what_it_is_doing_until_there_is_a_table(viewer, qtbot, labels, monkeypatch):
    gate, real = threading.Event(), measure_job

    def held(*arguments):
        gate.wait(60)
        yield from real(*arguments)

    monkeypatch.setattr("napari_leafseg.widgets.measure.widget.measure_job", held)
    widget, session = MeasureWidget(viewer), Session.of(viewer)
    viewer.window.add_dock_widget(widget, name="Measure")
    settle(widget, qtbot)
    image = viewer.add_image(np.repeat(labels[..., None] * 40, 3, -1).astype(np.uint8), name="plant", rgb=True)
    session.record(image).busy = True  # a model looks at it
    session.layer_state_changed(image)
    settle(widget, qtbot)
    assert widget.hint.text() == "The leaves of this image are still being found …"
    layers.add_labels(session, image, Document(labels.copy()))
    session.record(image).busy = False
    qtbot.waitUntil(lambda: widget.job.running)
    assert widget.hint.isVisible()
    assert widget.hint.text() == "The leaves are being measured …"
    gate.set()
    qtbot.waitUntil(lambda: widget.measured is not None)
    assert widget.hint.isHidden()
    assert not widget.parts.isHidden()


def test_tables_hold_what_traits_say_and_follow_corrections(viewer, qtbot, labels):
    widget = shown(viewer, qtbot, labels)
    expected = measure(labels, confidence=None, verified=set())
    pd.testing.assert_frame_equal(widget.measured.leaves[["leaf", "area_px2"]], expected.leaves[["leaf", "area_px2"]])
    assert widget.measured.plants["leaves"].tolist() == [2, 1]
    assert widget.summary.text().startswith("<b>3 leaves</b>, 2 plants")
    layer = viewer.layers["plant leaves"]
    layer.data_setitem(np.nonzero(labels == 3), 0)
    settle(widget, qtbot)
    assert widget.measured.leaves["leaf"].tolist() == [1, 2]


def test_a_row_goes_to_the_leaf_and_a_click_on_a_leaf_to_its_row(viewer, qtbot, labels):
    widget = shown(viewer, qtbot, labels)
    qtbot.mouseClick(widget.leaves.viewport(), Qt.MouseButton.LeftButton, pos=cell(widget.leaves, 2, "leaf"))
    assert viewer.camera.center[-2:] == pytest.approx((90, 100), abs=1)
    look = Look.of(widget.session).of_binding(widget.binding)
    assert look.outlines.reviewed == 3
    viewer.layers.selection.active = viewer.layers["plant leaves"]
    viewer.camera.center = (50, 60)
    hand = Hand(viewer, qtbot)
    qtbot.mouseClick(hand.native, Qt.MouseButton.LeftButton, pos=hand.place(*SPOTS[1]))
    QApplication.processEvents()
    assert widget.leaves.chosen_rows() == [1]


def test_table_plot_and_scale_are_seen_whole_on_a_small_screen(viewer, qtbot, labels):
    widget = shown(viewer, qtbot, labels)
    viewer.window.resize(1366, 768)
    area = widget.findChild(QScrollArea)
    qtbot.waitUntil(lambda: not area.verticalScrollBar().isVisible())
    assert widget.plot.height() >= 150
    box = widget.scale_box
    box.setValue(123.456)
    assert box.lineEdit().width() >= box.fontMetrics().horizontalAdvance(box.text())


def test_the_filter_shows_an_example_that_can_be_read(viewer, qtbot, labels):
    widget = shown(viewer, qtbot, labels)
    for unit, scale in (("px2", 0), ("mm2", 12.5)):
        widget.scale_box.setValue(scale)
        qtbot.waitUntil(lambda unit=unit: f"area_{unit} >" in widget.filter_box.placeholderText())
        settle(widget, qtbot)
        assert widget.leaves.filter(widget.filter_box.placeholderText().removeprefix("Filter: ")) == ""
        assert len(widget.leaves.shown())  # with these units, too


def test_sorting_and_filtering(viewer, qtbot, labels):
    labels[28:33, 28:33] = 0
    widget = shown(viewer, qtbot, labels)
    header = widget.leaves.horizontalHeader()
    column = list(widget.leaves.table.columns).index("area_px2")
    at = header.sectionViewportPosition(column) + 10
    for order in (True, False):
        qtbot.mouseClick(
            header.viewport(), Qt.MouseButton.LeftButton, pos=header.viewport().rect().topLeft() + _point(at)
        )
        assert widget.leaves.shown()["area_px2"].is_monotonic_increasing == order
    qtbot.keyClicks(widget.filter_box, "plant == 2")
    assert widget.leaves.shown()["leaf"].tolist() == [3]
    widget.filter_box.selectAll()
    qtbot.keyClicks(widget.filter_box, "area > 100")
    assert "There is no column area. Columns: area_px2" in widget.filter_hint.text()
    widget.filter_box.selectAll()
    qtbot.keyClicks(widget.filter_box, "color >")
    assert "Cannot read" in widget.filter_hint.text()
    assert len(widget.leaves.shown()) == 3


def _point(x):
    from qtpy.QtCore import QPoint

    return QPoint(x, 5)


def test_scale_typed_and_from_a_ruler(viewer, qtbot, labels):
    widget = shown(viewer, qtbot, labels)
    widget.scale_box.setFocus()
    widget.scale_box.selectAll()
    qtbot.keyClicks(widget.scale_box, "2")
    qtbot.keyClick(widget.scale_box, Qt.Key.Key_Return)
    settle(widget, qtbot)
    area = np.count_nonzero(labels == 1)
    assert widget.measured.leaves["area_mm2"].iloc[0] == pytest.approx(area / 4)
    assert "area_mm2" in widget.measured.plants
    qtbot.mouseClick(widget.ruler_button, Qt.MouseButton.LeftButton)
    hand = Hand(viewer, qtbot)
    start, stop = hand.place(10, 10), hand.place(10, 60)
    qtbot.mousePress(hand.native, Qt.MouseButton.LeftButton, pos=start)
    for share in (0.3, 0.7, 1.0):
        qtbot.mouseMove(hand.native, start + (stop - start) * share)
        hand._send(_move(), start + (stop - start) * share, Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton)
    qtbot.mouseRelease(hand.native, Qt.MouseButton.LeftButton, pos=stop)
    panel = widget.scale_panel
    assert panel.message.text().startswith(("49", "50", "51"))
    panel.box.setFocus()
    panel.box.selectAll()
    qtbot.keyClicks(panel.box, "12.5")
    qtbot.mouseClick(panel.use_button, Qt.MouseButton.LeftButton)
    assert "ruler" not in viewer.layers
    assert panel.isHidden()
    settle(widget, qtbot)
    assert widget.scale_box.value() == pytest.approx(50 / 12.5, rel=0.05)
    qtbot.mouseClick(widget.ruler_button, Qt.MouseButton.LeftButton)
    assert "ruler" in viewer.layers
    qtbot.keyClick(hand.native, Qt.Key.Key_Escape)
    assert "ruler" not in viewer.layers
    assert widget.scale_box.value() == pytest.approx(50 / 12.5, rel=0.05)


def _move():
    from qtpy.QtCore import QEvent

    return QEvent.Type.MouseMove


def test_leaves_are_moved_to_another_plant_and_plants_are_named(viewer, qtbot, labels, tmp_path):
    controller = ProjectController.of(Session.of(viewer))
    controller.create(tmp_path / "project")
    widget = shown(viewer, qtbot, labels)
    widget.leaves.selectRow(1)
    titles = {action.text(): action for action in widget.leaf_menu().actions()[0].menu().actions()}
    assert list(titles) == ["1", "2", "3 (new)"]
    titles["2"].trigger()
    settle(widget, qtbot)
    assert widget.measured.leaves["plant"].tolist() == [1, 2, 2]
    assert widget.measured.plants["name"].tolist() == ["1", "2"]
    widget.tabs.setCurrentWidget(widget.plants)
    index = widget.plants.proxy.index(0, 1)
    widget.plants.edit(index)
    editor = widget.plants.findChild(type(widget.filter_box))
    editor.selectAll()
    qtbot.keyClicks(editor, "wild type")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    settle(widget, qtbot)
    assert widget.measured.plants["name"].tolist() == ["wild type", "2"]
    assert widget.measured.leaves["name"].tolist() == ["wild type", "2", "2"]
    controller.project.writer.flush()
    notes = read_measurement_settings(tmp_path / "project").of("plant")
    assert notes.plants == {0: {2: 2}}
    assert notes.names[1] == "wild type"


@pytest.fixture
def frames():
    """Three days of three leaves that stay one plant."""
    return np.stack(
        [discs(centers=((40, 40), (40, 66), (64, 52)), radius=10 + day, size=110).astype(np.uint16) for day in range(3)]
    )


def test_a_series_is_followed_shown_and_corrected(viewer, qtbot, frames):
    plant_image = np.repeat(frames[..., None] * 40, 3, -1).astype(np.uint8)
    widget = shown(viewer, qtbot, frames, plant_image)
    assert widget.measured.leaves["track"].nunique() == 3
    assert "plant tracks" in viewer.layers
    assert len(viewer.layers["plant tracks"].data) == 9
    assert widget.tabs.isTabVisible(2)
    assert widget.plot.kind == "curves"
    for kind in ("curves", "rates", "over time", "multiples"):
        widget.plot_box.setCurrentIndex(widget.plot_box.findData(kind))
        bottom = (widget.multiples.panels[0] if kind == "multiples" else widget.plot).getAxis("bottom")
        ticks = np.concatenate([values for _, values in bottom.tickValues(-0.1, 2.1, 300)])
        assert set(ticks) == {0, 1, 2}  # images are whole, and so are their numbers
    widget.leaves.selectRow(3)
    actions = {action.text(): action for action in widget.leaf_menu().actions()}
    actions["Cut its track before here"].trigger()
    settle(widget, qtbot)
    assert widget.measured.leaves["track"].nunique() == 4
    widget.leaves.selectRow(0)
    widget.leaves.setSelectionMode(widget.leaves.SelectionMode.MultiSelection)
    widget.leaves.selectRow(3)
    actions = {action.text(): action for action in widget.leaf_menu().actions()}
    actions["These are one leaf"].trigger()
    settle(widget, qtbot)
    assert widget.measured.leaves["track"].nunique() == 3


def listed(viewer, qtbot, frames, folder):
    """Days as images of a project, which is open, and the widget."""
    with Project.create(folder / "project") as project:
        for day, labels in enumerate(frames):
            path = folder / "days" / f"day{day}.png"
            write_image(path, np.repeat(labels[..., None] * 40, 3, -1).astype(np.uint8))
            (ref,) = project.add_images([path])
            project.save(ref, Document(labels))
        project.writer.flush()
    images = ImagesWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    widget = MeasureWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Measure")
    widget.controller.open(folder / "project")
    qtbot.waitUntil(lambda: widget.series_box.isVisible(), timeout=10000)
    return widget


def test_images_of_the_list_are_one_series(viewer, qtbot, frames, tmp_path):
    widget = listed(viewer, qtbot, frames, tmp_path)
    qtbot.mouseClick(
        widget.series_box, Qt.MouseButton.LeftButton, pos=widget.series_box.rect().center() * 0 + _point(8)
    )
    settle(widget, qtbot)
    assert widget.measured.series
    assert widget.measured.leaves["image"].unique().tolist() == ["day0.png", "day1.png", "day2.png"]
    assert widget.measured.growth.groupby("track").size().tolist() == [3, 3, 3]
    assert widget.measured.growth["time"].unique().tolist() == [0, 1, 2]
    assert widget.measured.leaves["day"].tolist() == [0.0] * 3 + [1.0] * 3 + [2.0] * 3
    widget.plot_box.setCurrentIndex(widget.plot_box.findData("over time"))
    assert widget.plot.kind == "over time"
    assert widget.plot._right.zValue() > widget.plot.getPlotItem().getViewBox().zValue()  # the line is over the bars
    for number in range(widget.tabs.count()):  # each table has an example of its own that some of its rows meet
        widget.tabs.setCurrentIndex(number)
        assert widget.view.filter(widget.filter_box.placeholderText().removeprefix("Filter: ")) == ""
        assert len(widget.view.shown()) or not len(widget.view.table)  # there are no groups here


def test_images_are_counted_from_1_on_the_screen(viewer, qtbot, frames):
    widget = shown(viewer, qtbot, frames, np.repeat(frames[..., None] * 40, 3, -1).astype(np.uint8))
    column = list(widget.leaves.table.columns).index("frame")
    model = widget.leaves.frame
    assert model.headerData(column, Qt.Orientation.Horizontal) == "image number"
    assert {model.data(model.index(row, column)) for row in range(model.rowCount())} == {"1", "2", "3"}
    assert widget.leaves.filter("image_number == 1") == ""
    assert set(widget.leaves.shown()["frame"]) == {0}
    assert "image_number" in widget.leaves.filter("image_no == 1")
    widget.plot_box.setCurrentIndex(widget.plot_box.findData("curves"))
    drawn = [item.getData()[0] for item in widget.plot.getPlotItem().listDataItems()]
    assert min(times.min() for times in drawn if times is not None and len(times)) == 1
    assert describe_point(widget.measured, 0, "area_px2").splitlines()[0].endswith("image 1")


def test_what_is_decided_of_one_image_holds_among_all_of_them(viewer, qtbot, frames, tmp_path):
    widget = listed(viewer, qtbot, frames, tmp_path)
    settle(widget, qtbot)
    qtbot.waitUntil(lambda: widget.measured is not None, timeout=20000)
    widget.leaves.selectRow(1)
    titles = {action.text(): action for action in widget.leaf_menu().actions()[0].menu().actions()}
    titles["2 (new)"].trigger()
    settle(widget, qtbot)
    assert widget.measured.leaves["plant"].tolist() == [1, 2, 1]
    widget.editor.name_plant(2, "odd one", True)
    settle(widget, qtbot)
    qtbot.mouseClick(widget.every_box, Qt.MouseButton.LeftButton, pos=_point(8))
    widget.scale_box.selectAll()
    qtbot.keyClicks(widget.scale_box, "2")
    qtbot.keyClick(widget.scale_box, Qt.Key.Key_Return)
    settle(widget, qtbot)
    qtbot.mouseClick(widget.series_box, Qt.MouseButton.LeftButton, pos=_point(8))
    settle(widget, qtbot)
    leaves = widget.measured.leaves
    own = leaves[leaves["image"] == "day0.png"]
    assert own["plant"].tolist() == [1, 2, 1]
    assert own["name"].tolist() == ["1", "odd one", "1"]
    assert leaves[leaves["image"] != "day0.png"]["plant"].unique().tolist() == [1]
    assert "In pixels, as no scale is known of 2 images: day1.png, day2.png." in widget.measured.notes
    widget.controller.project.writer.flush()
    notes = read_measurement_settings(tmp_path / "project")
    assert notes.images["day0.png"].px_per_mm == 2.0
    assert notes.images["*"].plants == {0: {2: 2}}
    qtbot.mouseClick(widget.series_box, Qt.MouseButton.LeftButton, pos=_point(8))
    settle(widget, qtbot)
    assert widget.measured.leaves["plant"].tolist() == [1, 2, 1]
    assert "area_mm2" in widget.measured.leaves


def test_copy_and_save(viewer, qtbot, labels, tmp_path, monkeypatch):
    widget = shown(viewer, qtbot, labels)
    qtbot.mouseClick(widget.copy_button, Qt.MouseButton.LeftButton)
    assert QApplication.clipboard().text().startswith("plant\tleaf\tarea_px2")
    for ending, reader in (
        (".csv", pd.read_csv), (".tsv", lambda path: pd.read_csv(path, sep="\t")), (".xlsx", pd.read_excel),
        (".parquet", pd.read_parquet),
    ):  # fmt: skip
        path = tmp_path / f"table{ending}"
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, path=path: (str(path), ""))
        widget.save_table.trigger()
        qtbot.waitUntil(path.exists, timeout=10000)
        qtbot.waitUntil(path.with_suffix(".json").exists, timeout=10000)
        assert reader(path)["leaf"].tolist() == [1, 2, 3]
        assert "napari-leafseg" in json.loads(path.with_suffix(".json").read_text())["software"]
    for ending, start in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        path = tmp_path / f"figure{ending}"
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, path=path: (str(path), ""))
        widget.save_figure.trigger()
        assert path.read_bytes().startswith(start)
    errors = []
    monkeypatch.setattr("napari_leafseg.widgets.measure.save_tables.show_error", errors.append)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "figure.gif"), ""))
    widget.save_figure.trigger()
    assert "saved as .png or .svg" in errors[0]
    assert not (tmp_path / "figure.gif").exists()


def test_every_plot_is_drawn(viewer, qtbot, frames):
    widget = shown(viewer, qtbot, frames, np.repeat(frames[..., None] * 40, 3, -1).astype(np.uint8))
    for kind in ("areas", "histogram", "shape", "over time", "curves"):
        widget.plot_box.setCurrentIndex(widget.plot_box.findData(kind))
        assert widget.plot.kind == kind
        assert widget.plot.getPlotItem().items


def test_any_trait_is_compared_in_plots_and_the_table_of_groups(viewer, qtbot, frames, tmp_path):
    widget = listed(viewer, qtbot, frames, tmp_path)
    qtbot.mouseClick(widget.series_box, Qt.MouseButton.LeftButton, pos=_point(8))
    settle(widget, qtbot)
    assert widget.trait_box.isHidden()
    widget.plot_box.setCurrentIndex(widget.plot_box.findData("groups"))
    assert widget.trait_box.isVisible()
    assert widget.trait_box.currentData() == "area_px2"
    widget.trait_box.setFocus()
    qtbot.keyClicks(widget.trait_box, "diameter")
    assert widget.plot.trait == "diameter_px"
    assert widget.plot.getAxis("left").labelText == "diameter (px)"
    groups = widget.groups.table
    own = groups[groups["trait"] == "diameter_px"]
    assert own["time"].tolist() == [0, 1, 2]
    assert own["mean"].tolist() == widget.measured.plants["diameter_px"].tolist()
    assert own["plants"].tolist() == [1, 1, 1]
    assert widget.tabs.tabText(4) == "Groups"
    assert widget.tabs.isTabVisible(4)
    settle(widget, qtbot)
    assert widget.trait_box.currentData() == "diameter_px"


def test_the_scale_that_a_file_states(viewer, qtbot, labels, tmp_path, monkeypatch):
    write_image(tmp_path / "plant.png", np.repeat(labels[..., None] * 40, 3, -1).astype(np.uint8))
    Image.open(tmp_path / "plant.png").save(tmp_path / "plant.png", dpi=(254, 254))
    images = ImagesWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    images.add([tmp_path / "plant.png"])
    session = Session.of(viewer)
    qtbot.waitUntil(lambda: bool(session.image_layers()), timeout=10000)
    layers.add_labels(session, session.image_layers()[0], Document(labels.copy()))
    widget = MeasureWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Measure")
    settle(widget, qtbot)
    qtbot.mouseClick(widget.file_button, Qt.MouseButton.LeftButton)
    settle(widget, qtbot)
    assert widget.scale_box.value() == pytest.approx(10)
    assert "area_mm2" in widget.measured.leaves
    said = []
    monkeypatch.setattr("napari_leafseg.widgets.measure.scale.show_info", said.append)
    Image.open(tmp_path / "plant.png").convert("RGB").save(tmp_path / "plant.png", dpi=(1, 1))
    qtbot.mouseClick(widget.file_button, Qt.MouseButton.LeftButton)
    assert "states no scale" in said[0]


def test_a_series_that_is_not_in_memory(viewer, qtbot):
    config = SceneConfig(size=(72, 80), diameter=(50, 65), border=0.0, blank=0.0)
    whole = np.stack([synthesize(seed, config).image for seed in (0, 1)])
    read = []

    def frame(block_info=None):
        (number, _), *_ = block_info[None]["array-location"]
        read.append(number)
        return whole[number : number + 1]

    lazy = da.map_blocks(frame, chunks=((1, 1), 72, 80, 3), dtype=np.uint8)
    viewer.add_image(lazy, name="series", rgb=True, contrast_limits=(0, 255))
    segment, widget = SegmentWidget(viewer), MeasureWidget(viewer)
    viewer.window.add_dock_widget(segment, name="Segment")
    viewer.window.add_dock_widget(widget, name="Measure")
    qtbot.mouseClick(segment.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not segment.job.running and not segment.live.busy, timeout=60000)
    assert segment.session.labels_layer(segment.image).data.shape == (2, 72, 80)
    settle(widget, qtbot)
    assert widget.measured.series
    assert widget.measured.leaves["frame"].unique().tolist() == [0, 1]
    assert set(read) == {0, 1}


def highlights(session):
    looks = {binding: Look.of(session).of_binding(binding) for binding in session.bindings()}
    return [(binding.image.name, look.outlines.reviewed) for binding, look in looks.items() if look.outlines.reviewed]


def test_a_row_of_another_image_goes_there_and_only_what_changed_is_measured_again(
    viewer, qtbot, frames, tmp_path, monkeypatch
):
    with Project.create(tmp_path / "project") as project:
        for day, labels in enumerate(frames):
            path = tmp_path / "days" / f"day{day}.png"
            write_image(path, np.repeat(labels[..., None] * 40, 3, -1).astype(np.uint8))
            (ref,) = project.add_images([path])
            project.save(ref, Document(labels))
        project.writer.flush()
    measured = []
    monkeypatch.setattr(pipeline, "measure", lambda *what, **more: measured.append(1) or measure(*what, **more))
    viewer.window.add_dock_widget(ImagesWidget(viewer), name="Images")
    widget = MeasureWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Measure")
    widget.controller.open(tmp_path / "project")
    widget.series_box.setChecked(True)
    qtbot.waitUntil(lambda: widget.measured is not None and len(widget.measured.leaves) == 9)
    qtbot.waitUntil(lambda: "day0 leaves" in viewer.layers)
    settle(widget, qtbot)
    before = len(measured)
    assert before == 3
    for row, day in ((7, 2), (1, 0), (4, 1)):  # not yet on the screen, there already, not yet
        name, leaf = f"day{day}", widget.measured.leaves.iloc[row]
        place = cell(widget.leaves, row, "leaf")
        scrolled = widget.leaves.verticalScrollBar().value()
        qtbot.mouseClick(widget.leaves.viewport(), Qt.MouseButton.LeftButton, pos=place)
        qtbot.waitUntil(lambda name=name, leaf=leaf: highlights(widget.session) == [(name, leaf["leaf"])])
        assert viewer.camera.center[-2:] == pytest.approx((leaf["centroid_y_px"], leaf["centroid_x_px"]), abs=3)
        assert viewer.camera.zoom * 20 > 0.2 * min(canvas_size(viewer))  # the leaf fills a good part of it
        assert widget.session.focus().name == name
        settle(widget, qtbot)
        assert widget.leaves.chosen_rows() == [row]
        assert widget.leaves.verticalScrollBar().value() == scrolled
    assert len(measured) == before
    layer = viewer.layers["day1 leaves"]
    layer.data_setitem(np.nonzero(layer.data == 3), 0)
    qtbot.waitUntil(lambda: len(widget.measured.leaves) == 8)
    settle(widget, qtbot)
    assert len(measured) == before + 1
    assert widget.leaves.chosen_rows() == [4]


def test_what_is_remembered_says_the_same_as_what_is_measured(labels):
    cache, settings = MeasureCache(), ImageMeasurementSettings()

    def tables(verified):
        frame = Frame("a", lambda: labels, lambda: None, None, verified, "a")
        *_, last = measure_job([frame], settings, None, cache)
        return last.measured

    tables(set())
    expected = measure(labels, confidence=None, verified={2})
    pd.testing.assert_frame_equal(tables({2}).leaves, expected.leaves)
    pd.testing.assert_frame_equal(tables({2}).plants, expected.plants)
    settings.names[1] = "wild type"
    assert tables({2}).leaves["name"].iloc[0] == "wild type"
