"""What napari does not promise and is used all the same; a failure here names what a release dropped."""

import ast

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QMainWindow

from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state import napari_private as private
from napari_leafseg.widgets.state.colors import PALETTE, leaf_colors
from napari_leafseg.widgets.state.refresh import show_region
from napari_leafseg.widgets.state.session import Session
from tests.conftest import REPOSITORY

WIDGETS = REPOSITORY / "src" / "napari_leafseg" / "widgets"


def private_uses(code: str) -> list[str]:
    """Private names of other objects, and imports of napari's private modules."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if owner not in {"self", "cls"}:
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"getattr", "hasattr", "setattr"}:
            owner, name = node.args[:2]
            if ast.unparse(owner) != "self" and isinstance(name, ast.Constant) and str(name.value).startswith("_"):
                found += [ast.unparse(node)] if not str(name.value).startswith("__") else []
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("napari."):
            found += [node.module] if any(part.startswith("_") for part in node.module.split(".")) else []
    return found


@pytest.mark.parametrize(
    "code", ["viewer.window._qt_window", "getattr(layer, '_x', None)", "from napari._qt import x", "a[0]._b"]
)
def test_the_search_finds(code):
    assert private_uses(code)


def test_nowhere_else_are_private_parts_used():
    found = {
        path.relative_to(WIDGETS).as_posix(): uses
        for path in WIDGETS.rglob("*.py")
        if (uses := private_uses(path.read_text(encoding="utf-8"))) and path.name != "napari_private.py"
    }
    assert not found, "move it to widgets/state/napari_private.py, with a test here"


def test_the_main_window(viewer):
    assert isinstance(private.main_window(viewer), QMainWindow), "viewer.window._qt_window"
    assert private.main_window(ViewerModel()) is None


def test_the_help_menu(viewer):
    assert viewer.window.help_menu.parent() is not None, "viewer.window.help_menu"


def test_the_canvas(viewer):
    assert hasattr(private.native_canvas(viewer), "makeCurrent"), "viewer.window._qt_viewer.canvas.native"
    assert private.native_canvas(ViewerModel()) is None


def test_the_canvas_size(viewer):
    canvas = private.native_canvas(viewer)
    canvas.resize(700, 300)
    assert private.canvas_size(viewer) == (300, 700)
    assert private.canvas_size(ViewerModel()) == (600, 800)


def test_a_stroke_that_is_under_way(viewer):
    layer = viewer.add_labels(np.zeros((20, 20), np.int32))
    assert hasattr(layer, "_staged_history"), "Labels._staged_history"
    assert not private.is_painting(layer)
    with layer.block_history():
        layer.paint((5, 5), 3)
        assert private.is_painting(layer)
    assert not private.is_painting(layer)


def test_where_a_stroke_changed_labels(viewer):
    layer = viewer.add_labels(np.zeros((20, 20), np.int32))
    atoms = []
    layer.events.paint.connect(lambda event: atoms.extend(event.value))
    layer.brush_size = 3
    layer.paint((5, 8), 3)
    assert atoms, "Labels.events.paint"
    box = private.atom_slices(atoms[0])
    if box is None:  # napari before 0.9
        indices = atoms[0][0]
        box = tuple(slice(axis.min(), axis.max() + 1) for axis in indices)
    assert [span.start <= place < span.stop for span, place in zip(box, (5, 8), strict=True)] == [True, True]


def test_a_box_of_labels_comes_to_the_screen(viewer):
    layer = viewer.add_labels(np.zeros((3, 40, 40), np.int32))
    assert private.can_redraw(layer), "Labels._partial_labels_refresh, _updated_slice or _slice_input"
    viewer.dims.set_point(0, 1)
    box = (slice(1, 2), slice(5, 9), slice(5, 9))
    assert private.is_displayed(layer, box)
    assert not private.is_displayed(layer, (slice(2, 3), *box[1:]))
    redrawn = []
    layer.events.labels_update.connect(lambda event: redrawn.append(event.data.shape))
    layer.data[box] = 4
    show_region(layer, box)
    assert redrawn == [(4, 4)], "Labels.events.labels_update: one box, not the whole layer"


def test_the_dock_of_the_layer_list_and_titles_of_docks(viewer):
    assert private.layer_controls_dock(viewer).widget() is not None
    assert private.layer_controls_dock(ViewerModel()) is None
    dock = private.layer_list_dock(viewer)
    assert private.main_window(viewer).dockWidgetArea(dock) is not None, "viewer.window._qt_viewer.dockLayerList"
    assert private.layer_list_dock(ViewerModel()) is None
    private.name_dock(dock, "Another")
    assert dock.windowTitle() == "Another"
    assert dock.title.title.text() == "Another", "QtViewerDockWidget.title.title"


def test_the_pyqt5_notice_is_spared(monkeypatch):
    from napari._qt import qt_main_window

    shown = getattr(qt_main_window, "SHOW_QT_WARNING", None)
    assert shown is not None, "qt_main_window.SHOW_QT_WARNING"
    monkeypatch.setattr(qt_main_window, "SHOW_QT_WARNING", True)
    private.spare_pyqt5_notice()
    assert qt_main_window.SHOW_QT_WARNING is False


def test_how_labels_are_drawn(viewer):
    layer = viewer.add_labels(np.ones((8, 8), np.uint16))
    node = private.label_node(viewer, layer)
    assert node is not None, "canvas.layer_to_visual[layer].node._interpolation_fun"
    assert private.label_node(ViewerModel(), layer) is None
    lookup = private.replace_lookup(node, "vec4 plain(vec2 place) { return texture2D($texture, place) * $width; }")
    lookup["width"] = 1.0
    private.redraw_node(node)
    viewer.screenshot(flash=False)
    assert lookup["texture"] is not None, "node._need_interpolation_update"
    assert private.label_maximum(layer) == 65535
    assert private.device_pixel_ratio(viewer) >= 1
    assert private.device_pixel_ratio(ViewerModel()) == 1


def test_colors_change_without_sending_pixels(viewer):
    layer, sent = viewer.add_labels(np.ones((8, 8), np.uint16)), []
    layer.events.set_data.connect(lambda _event: sent.append(1))
    private.recolor(layer, leaf_colors({1: 4}))
    assert np.allclose(layer.get_color(1)[:3], PALETTE[4])
    assert not sent, "layer._block_refresh"


def test_layers_of_an_image_leave_with_one_collection_of_garbage(viewer, monkeypatch):
    import gc

    session = Session.of(viewer)
    image = viewer.add_image(np.zeros((20, 20), np.uint8))
    layers.show_new_labels(session, image, np.ones((20, 20), np.uint16), "segment with test")
    collected, collect = [], gc.collect
    monkeypatch.setattr(gc, "collect", lambda *generation: collected.append(1) or collect(*generation))
    layers.remove_image(session, image)
    assert not viewer.layers
    assert len(collected) <= 1, "LayerList.batched_update"


def test_the_canvas_is_current_when_layers_that_went_together_are_deleted(viewer, monkeypatch):
    """Deleting textures in another context ends the application now and then."""
    images = [viewer.add_image(np.zeros((8, 8))) for _ in range(2)]
    canvas, told = viewer.window._qt_viewer.canvas, []
    delete = canvas._clean_and_update_scenegraph
    monkeypatch.setattr(canvas.native, "makeCurrent", lambda: told.append("current"))
    monkeypatch.setattr(canvas, "_clean_and_update_scenegraph", lambda: told.append("deleted") or delete())
    with private.changed_at_once(viewer):
        for image in images:
            viewer.layers.remove(image)
    assert told == ["current", "deleted"]
