"""All that is used of napari and is not promised by it, so that a new release is checked in one place.

Without it the program goes on, slower or plainer; `tests/widgets/test_napari_private.py` says what a release dropped.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.compat import isalive
from qtpy.QtCore import Qt

_SIZE = (600, 800)
_CHANGING: weakref.WeakSet[Any] = weakref.WeakSet()


def main_window(viewer: Any) -> Any:
    """Return the `QMainWindow` of a viewer; None for a viewer without a window."""
    return getattr(getattr(viewer, "window", None), "_qt_window", None)


def native_canvas(viewer: Any) -> Any:
    """Return the OpenGL widget of a viewer's canvas; None for a viewer without a window, or whose window is gone."""
    window = getattr(viewer, "window", None)
    native = getattr(getattr(getattr(window, "_qt_viewer", None), "canvas", None), "native", None)
    return native if native is not None and isalive(native) else None


def make_canvas_current(viewer: Any) -> None:
    """Make a canvas's OpenGL context the current one: what is deleted in another's ends the application."""
    native = native_canvas(viewer)
    if native is not None and hasattr(native, "makeCurrent"):
        native.makeCurrent()


def canvas_size(viewer: Any) -> tuple[int, int]:
    """Measure height and width of a viewer's canvas, in the pixels that the camera's zoom counts."""
    native = native_canvas(viewer)
    return _SIZE if native is None else (native.height(), native.width())


def is_painting(layer: Labels) -> bool:
    """Tell whether a stroke of napari's brush is under way."""
    return bool(getattr(layer, "_staged_history", None))


def end_stroke(layer: Labels) -> None:
    """Make what was painted of a stroke so far a stroke of its own; what follows is another one."""
    commit = getattr(layer, "_commit_staged_history", None)
    if commit is not None:
        commit()


def forget_strokes(layer: Labels) -> None:
    """Leave napari nothing to undo by itself: ours is the only history."""
    for name in ("_undo_history", "_redo_history"):
        strokes = getattr(layer, name, None)
        if strokes is not None:
            strokes.clear()


def atom_slices(atom: Any) -> tuple[slice, ...] | None:
    """Return where an atom of a layer's history changed labels; None where napari still keeps indices."""
    return getattr(atom, "slice_key", None)


def set_features(layer: Labels, table: Any) -> None:
    """Give leaves their features; of the background, which has none, napari's status bar says nothing then."""
    layer.features = table
    rows = getattr(layer, "_label_index", None)
    if isinstance(rows, dict):
        rows.setdefault(0, sys.maxsize)  # beyond the table: nothing to say, instead of “[No Properties]”


def can_redraw(layer: Labels) -> bool:
    """Tell whether part of a layer can be brought to the screen by itself."""
    return all(hasattr(layer, name) for name in ("_partial_labels_refresh", "_updated_slice", "_slice_input"))


def is_displayed(layer: Labels, box: tuple[slice, ...]) -> bool:
    """Tell whether a box of a layer's labels lies in the slice on the screen."""
    shown = layer._slice_input
    return all(
        axis in shown.displayed or span.start <= round(shown.world_slice.point[axis]) < span.stop
        for axis, span in enumerate(box)
    )


def redraw(layer: Labels, box: tuple[slice, ...]) -> None:
    """Bring a box of a layer's labels to the screen."""
    layer._updated_slice = box
    layer._partial_labels_refresh()


def layer_list_dock(viewer: Any) -> Any:
    """Return the dock of napari's list of layers; None for a viewer without a window."""
    return getattr(getattr(getattr(viewer, "window", None), "_qt_viewer", None), "dockLayerList", None)


def layer_controls_dock(viewer: Any) -> Any:
    """Return the dock of napari's controls of the selected layer; None for a viewer without a window."""
    return getattr(getattr(getattr(viewer, "window", None), "_qt_viewer", None), "dockLayerControls", None)


@contextmanager
def changed_at_once(viewer: Any) -> Iterator[None]:
    """Let the canvas follow several layers that come and go once, at the end: each time takes it a quarter second."""
    batched = getattr(viewer.layers, "batched_update", None)
    if batched is None or viewer in _CHANGING:  # the outermost counts
        yield
        return
    _CHANGING.add(viewer)
    try:
        with batched():
            yield
            make_canvas_current(viewer)  # napari deletes textures of layers that went at the end
    finally:
        _CHANGING.discard(viewer)


def leave_sides_to_docks(viewer: Any) -> None:
    """Lay docks at the bottom below the canvas alone, so that those at its sides keep their height."""
    window = main_window(viewer)
    if window is not None:
        window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
        window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)


def name_dock(dock: Any, title: str) -> None:
    """Give a dock another title than the name that it was added by."""
    dock.setWindowTitle(title)
    label = getattr(getattr(dock, "title", None), "title", None)
    if label is not None:
        label.setText(title)


def spare_pyqt5_notice() -> None:
    """Keep napari from telling, at the first window, that it will drop PyQt5: it offers no setting for it."""
    from napari._qt import qt_main_window

    if hasattr(qt_main_window, "SHOW_QT_WARNING"):
        qt_main_window.SHOW_QT_WARNING = False


def label_node(viewer: Any, layer: Labels) -> Any:
    """Find what draws a labels layer on the canvas in two dimensions; None for a viewer without a window."""
    canvas = getattr(getattr(getattr(viewer, "window", None), "_qt_viewer", None), "canvas", None)
    node = getattr(getattr(canvas, "layer_to_visual", {}).get(layer), "node", None)
    return node if "nearest" in getattr(node, "_interpolation_fun", {}) else None


def replace_lookup(node: Any, code: str) -> Any:
    """Replace the GLSL function by which a node takes its pixels; what is returned takes its template variables."""
    from vispy.visuals.shaders import Function

    lookup = Function(code)
    node._interpolation_fun["nearest"] = lookup
    node._need_interpolation_update = True
    return lookup


def redraw_node(node: Any) -> None:
    """Draw the canvas again."""
    node.update()


def label_maximum(layer: Labels) -> int:
    """Return the label that is 1 where a layer's labels are drawn."""
    return int(np.iinfo(layer._slice.image.view.dtype).max)


def device_pixel_ratio(viewer: Any) -> float:
    """Return the pixels of the screen for one of the window's."""
    native = native_canvas(viewer)
    return 1.0 if native is None else float(native.devicePixelRatioF())


def recolor(layer: Labels, colormap: Any) -> None:
    """Give a layer other colors; its pixels stay on the graphics card."""
    block = getattr(layer, "_block_refresh", None)
    if block is None:
        layer.colormap = colormap
        return
    with block():
        layer.colormap = colormap
