"""A tray laid over the image, markers found in it, a ruler whose ends are dragged: with the real mouse."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_leafseg.experiment.tray import Tray
from napari_leafseg.io import read_image, write_image
from napari_leafseg.project.document import Document
from napari_leafseg.project.positions_file import read_positions
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.measure.widget import MeasureWidget
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.camera_positions import PositionStore
from napari_leafseg.widgets.state.napari_private import canvas_size
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session
from tests.cards import LEAF, scene
from tests.conftest import discs
from tests.markers import Camera
from tests.widgets.test_correct import Hand
from tests.widgets.test_measure import settle

SHAPE = (200, 300)
POTS = [(row, column) for row in (50, 150) for column in (50, 150, 250)]


@pytest.fixture
def days(tmp_path):
    """A tray of 2 × 3 pots on two days; the fifth pot is empty, the sixth bare on the first day."""
    labels = []
    for day, planted in ((1, (0, 1, 2, 3)), (2, (0, 1, 2, 3, 5))):
        whole = np.zeros((300, 300), np.uint16)
        whole[:200] = discs(centers=[POTS[pot] for pot in planted], radius=20 + 3 * day, size=300)[:200]
        labels.append(whole[:200])
        image = np.where(labels[-1][..., None] > 0, (60, 140, 50), (90, 70, 60)).astype(np.uint8)
        write_image(tmp_path / f"tray_2024-05-0{day}.png", image)
    return tmp_path, labels


@pytest.fixture
def viewer(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    qtbot.wait(50)
    return viewer


@pytest.fixture
def desk(viewer, qtbot, days):
    """The two days in the list of a project, both labeled, and the widget."""
    folder, labels = days
    session = Session.of(viewer)
    ProjectController.of(session).create(folder / "project")
    images = ImagesWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images", area="left")
    images.add(sorted(folder.glob("*.png")))
    qtbot.waitUntil(lambda: bool(session.image_layers()), timeout=10000)
    for entry, plane in list(zip(session.images, labels, strict=True))[::-1]:
        if session.layer_of(entry) is None:
            session.image_wanted.emit(entry)
            qtbot.waitUntil(lambda entry=entry: session.layer_of(entry) is not None, timeout=10000)
        layers.show_new_labels(session, session.layer_of(entry), plane, "run")
    session.image_wanted.emit(session.images[0])
    widget = MeasureWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Measure")
    first = session.layer_of(session.images[0])
    qtbot.waitUntil(lambda: session.focus() is first, timeout=5000)
    viewer.reset_view()
    viewer.camera.zoom *= 0.8
    settle(widget, qtbot)
    return widget, Hand(viewer, qtbot), folder


def drag(hand, qtbot, start, stop):
    """Press at a place of the image, move and let go."""
    hand.stroke(start, stop)
    QApplication.processEvents()


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    QApplication.processEvents()


def lay(widget, hand, qtbot, rows=2, columns=3, mouse=False):
    """Open the panel and bring the corners of the grid to those of the image, with the mouse where that is tested."""
    click(qtbot, widget.tray_button)
    panel = widget.tray_panel
    panel.form.native("rows").setValue(rows)
    panel.form.native("columns").setValue(columns)
    if not mouse:
        panel.grid.show(replace(panel.grid.tray, corners=((0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0))))
        panel.grid.changed.emit()
        return panel
    corners = [(0, 0), (0, 299), (199, 299), (199, 0)]
    for number, corner in enumerate(corners):
        drag(hand, qtbot, tuple(panel.grid.handles.points[number]), corner)
    return panel


def test_corners_are_dragged_and_leaves_belong_to_the_pots_of_all_days(desk, qtbot, viewer):
    widget, hand, folder = desk
    center = tuple(viewer.camera.center)
    panel = lay(widget, hand, qtbot, mouse=True)
    assert tuple(viewer.camera.center) == pytest.approx(center), "the image moved with the corner"
    np.testing.assert_allclose(panel.grid.tray.corners, [(0, 0), (0, 1), (1, 1), (1, 0)], atol=0.01)
    assert panel.preview.text().startswith("A1, A2, A3, …, B3: 6 pots")
    hand.click(150, 150)
    assert panel.grid.tray.empty == {(1, 1)}
    assert "1 empty" in panel.preview.text()
    assert panel.everywhere.isChecked()
    click(qtbot, panel.use_button)
    assert not {"tray", "tray names", "tray handles"} & {layer.name for layer in viewer.layers}
    settle(widget, qtbot)
    assert widget.measured.plants["pot"].tolist() == ["A1", "A2", "A3", "B1", "B3"]
    assert widget.measured.plants["leaves"].tolist() == [1, 1, 1, 1, 0]
    widget.series_box.setChecked(True)
    settle(widget, qtbot)
    leaves = widget.measured.leaves
    assert leaves.groupby("pot")["track"].nunique().to_dict() == {"A1": 1, "A2": 1, "A3": 1, "B1": 1, "B3": 1}
    assert leaves.groupby("pot")["frame"].nunique().to_dict() == {"A1": 2, "A2": 2, "A3": 2, "B1": 2, "B3": 1}
    ProjectController.of(widget.session).project.writer.flush()
    (kept,) = read_positions(folder / "project").trays.values()
    assert kept.empty == {(1, 1)}


def test_all_corners_are_in_view_and_the_layer_is_chosen_again_afterwards(desk, qtbot, viewer):
    widget, _hand, _folder = desk
    viewer.camera.zoom *= 8  # a leaf fills the canvas
    before = viewer.layers.selection.active
    assert before is not None
    click(qtbot, widget.tray_button)
    shown = np.array(canvas_size(viewer)) / viewer.camera.zoom
    middle = np.array(viewer.camera.center[-2:])
    for corner in widget.tray_panel.grid.handles.points:
        assert (np.abs(corner - middle) < shown / 2).all()
    click(qtbot, widget.tray_panel.cancel_button)
    assert viewer.layers.selection.active is before


def test_nothing_counts_before_use_and_a_tray_can_be_removed(desk, qtbot, viewer):
    widget, hand, _ = desk
    store = PositionStore.of(widget.session)
    panel = lay(widget, hand, qtbot)
    hand.click(50, 50)
    click(qtbot, panel.cancel_button)
    assert not store.positions.trays
    assert widget.parts.isVisible()
    panel = lay(widget, hand, qtbot)
    click(qtbot, panel.use_button)
    settle(widget, qtbot)
    assert "pot" in widget.measured.leaves
    click(qtbot, widget.tray_button)
    click(qtbot, widget.tray_panel.remove_button)
    settle(widget, qtbot)
    assert "pot" not in widget.measured.leaves


def test_names_are_seen_while_the_pattern_is_typed_and_a_wrong_one_is_told(desk, qtbot):
    widget, hand, _ = desk
    panel = lay(widget, hand, qtbot)
    names = panel.form.native("names")
    names.selectAll()
    qtbot.keyClicks(names, "T{number:02}")
    qtbot.keyClick(names, Qt.Key.Key_Return)
    assert "T01, T02, T03, …, T06" in panel.preview.text()
    names.selectAll()
    qtbot.keyClicks(names, "{row}")
    qtbot.keyClick(names, Qt.Key.Key_Return)
    assert "several pots the name" in panel.message.text()
    assert not panel.use_button.isEnabled()


def test_a_corner_cannot_be_dragged_across_the_tray(desk, qtbot):
    widget, hand, _ = desk
    panel = lay(widget, hand, qtbot)
    before = panel.grid.tray.corners
    drag(hand, qtbot, (0, 0), (199, 299))
    assert panel.use_button.isEnabled()
    shown = (panel.grid.handles.points + 0.5) / SHAPE
    np.testing.assert_allclose(shown, panel.grid.tray.corners, atol=1e-6)
    assert Tray(2, 3, panel.grid.tray.corners)
    assert before != panel.grid.tray.corners


def test_pots_are_renamed_and_leaves_moved_to_pots(desk, qtbot):
    widget, hand, _ = desk
    click(qtbot, lay(widget, hand, qtbot).use_button)
    settle(widget, qtbot)
    widget.editor.name_plant(2, "wild type")
    settle(widget, qtbot)
    assert widget.measured.plants["name"].tolist()[:3] == ["A1", "wild type", "A3"]
    widget.leaves.selectRow(0)
    actions = {action.text(): action for action in widget.leaf_menu().actions()[0].menu().actions()}
    assert list(actions) == ["A1", "wild type", "A3", "B1", "B2", "B3"]
    actions["B2"].trigger()
    settle(widget, qtbot)
    assert widget.measured.leaves["pot"].tolist()[0] == "B2"


def test_a_tray_and_crops_are_saved(desk, qtbot, monkeypatch):
    widget, hand, folder = desk
    panel = lay(widget, hand, qtbot)
    hand.click(150, 150)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(folder / "tray.json"), ""))
    click(qtbot, panel.save_button)
    assert Tray.from_dict(json.loads((folder / "tray.json").read_text())) == panel.grid.tray
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder / "crops"))
    click(qtbot, panel.crops_button)
    qtbot.waitUntil(lambda: len(list((folder / "crops").rglob("*.png"))) == 10, timeout=10000)
    assert not (folder / "crops" / "B2").exists()
    crop = read_image(folder / "crops" / "A2" / "tray_2024-05-01.png").array
    assert crop.shape == pytest.approx((116, 131, 3), abs=3)


@pytest.fixture
def marked(viewer, qtbot):
    """An image with a marker of 20 mm at 4 px/mm, on the screen, with a leaf."""
    image = np.repeat(Camera(4.0).photograph([(-40, -20, 15, "DICT_4X4_50", 7)])[..., None], 3, -1)
    layer = viewer.add_image(image, name="bench", rgb=True)
    labels = np.zeros(image.shape[:2], np.uint16)
    labels[300:400, 400:500] = 1
    layers.add_labels(Session.of(viewer), layer, Document(labels))
    widget = MeasureWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Measure")
    settle(widget, qtbot)
    return widget


def test_a_marker_is_found_shown_and_counts_once_it_is_confirmed(marked, qtbot, viewer):
    widget, panel = marked, marked.scale_panel
    panel.box.setValue(20)
    click(qtbot, widget.marker_button)
    qtbot.waitUntil(panel.use_button.isEnabled, timeout=10000)
    assert "ArUco 4×4 no. 7, 20 mm" in panel.message.text()
    assert "slant" in panel.message.text()
    assert "markers" in viewer.layers
    assert "area_px2" in widget.measured.leaves
    click(qtbot, panel.use_button)
    assert "markers" not in viewer.layers
    settle(widget, qtbot)
    assert widget.measured.leaves["area_mm2"].iloc[0] == pytest.approx(10_000 / 16, rel=0.02)
    assert widget.scale_box.value() == pytest.approx(4.0, rel=0.01)
    assert "ArUco 4×4 no. 7" in widget.scale_source.text()
    panel.box.setValue(10)
    widget.scale_box.setValue(8)
    settle(widget, qtbot)
    assert widget.measured.leaves["area_mm2"].iloc[0] == pytest.approx(10_000 / 64)


def test_without_a_marker_it_says_what_is_missing(desk, qtbot):
    widget, _, _ = desk
    click(qtbot, widget.marker_button)
    qtbot.waitUntil(lambda: "No marker is found" in widget.scale_panel.message.text(), timeout=10000)
    assert not widget.scale_panel.use_button.isEnabled()
    click(qtbot, widget.scale_panel.cancel_button)
    assert widget.scale_panel.isHidden()


def test_the_window_waits_for_no_marker(marked, qtbot, monkeypatch):
    threads = []

    def slow(*_):
        threads.append(threading.current_thread())
        return []

    monkeypatch.setattr("napari_leafseg.widgets.measure.scale.find_in", slow)
    marked.scale.look_for_markers()
    qtbot.waitUntil(lambda: "No marker" in marked.scale_panel.message.text(), timeout=5000)
    assert threads
    assert threading.main_thread() not in threads


def test_the_ends_of_a_ruler_are_dragged_before_it_counts(desk, qtbot, viewer):
    widget, hand, _ = desk
    click(qtbot, widget.ruler_button)
    center = tuple(viewer.camera.center)
    drag(hand, qtbot, (20, 20), (20, 120))
    panel = widget.scale_panel
    assert panel.message.text().startswith(("99", "100", "101"))
    drag(hand, qtbot, (20, 120), (20, 220))
    assert tuple(viewer.camera.center) == pytest.approx(center)
    assert panel.message.text().startswith(("199", "200", "201"))
    assert widget.scale_box.value() == 0
    panel.box.setValue(50)
    assert "4 px/mm" in panel.message.text() or "3.9" in panel.message.text() or "4.0" in panel.message.text()
    click(qtbot, panel.use_button)
    assert widget.scale_box.value() == pytest.approx(4.0, rel=0.02)
    click(qtbot, widget.ruler_button)
    drag(hand, qtbot, (20, 20), (20, 120))
    hand.key(Qt.Key.Key_Escape)
    assert panel.isHidden()
    assert not [layer.name for layer in viewer.layers if layer.name.startswith("ruler")]
    assert widget.scale_box.value() == pytest.approx(4.0, rel=0.02)


def test_layers_that_somebody_deletes_end_what_was_begun(desk, qtbot, viewer):
    widget, hand, _ = desk
    panel = lay(widget, hand, qtbot)
    viewer.layers.remove("tray")
    QApplication.processEvents()
    assert panel.grid is None
    assert not {"tray", "tray names", "tray handles"} & {layer.name for layer in viewer.layers}
    click(qtbot, widget.ruler_button)
    viewer.layers.remove("ruler")
    QApplication.processEvents()
    assert widget.scale_panel.isHidden()
    assert viewer.camera.mouse_pan


def test_while_a_corner_of_a_large_tray_is_dragged_its_names_wait(desk, qtbot, monkeypatch):
    widget, hand, _ = desk
    grid = lay(widget, hand, qtbot, 10, 15).grid
    written, shown = [], []
    grid._names.events.data.connect(lambda *_: written.append(1))
    show = grid.handles.show
    monkeypatch.setattr(grid.handles, "show", lambda *of: shown.append(len(of[1])) or show(*of))
    for step in range(10):
        grid.handles.points[0] = step, step
        grid.handles.moved.emit()
    assert shown == [11 + 16] * 10  # lines, not pots
    assert not written
    grid.handles.rested.emit()
    assert written
    assert tuple(grid._names.data[0]) == pytest.approx(grid.tray.middle(grid.tray.pots[0], grid.shape))


def test_colors_are_corrected_by_a_card_that_was_confirmed(viewer, qtbot):
    image = scene()
    layer = viewer.add_image(image, name="bench", rgb=True)
    labels = np.zeros(image.shape[:2], np.uint16)
    labels[310:470, 460:640] = 1
    layers.add_labels(Session.of(viewer), layer, Document(labels))
    widget = MeasureWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Measure")
    settle(widget, qtbot)
    colors = ["mean_red", "mean_green", "mean_blue"]
    assert abs(widget.measured.leaves[colors].to_numpy()[0] - LEAF).max() > 15
    click(qtbot, widget.card_button)
    qtbot.waitUntil(widget.color_panel.use_button.isEnabled, timeout=10000)
    assert "after the correction" in widget.color_panel.message.text()
    assert "color card" in viewer.layers
    click(qtbot, widget.color_panel.use_button)
    settle(widget, qtbot)
    assert abs(widget.measured.leaves[colors].to_numpy()[0] - LEAF).max() < 4
    click(qtbot, widget.card_button)
    click(qtbot, widget.color_panel.remove_button)
    settle(widget, qtbot)
    assert abs(widget.measured.leaves[colors].to_numpy()[0] - LEAF).max() > 15
