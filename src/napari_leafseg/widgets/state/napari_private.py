"""All that is used of napari and is not promised by it, so that a new release is checked in one place.

Without it the program goes on, slower or plainer; `tests/widgets/test_napari_private.py` says what a release dropped.
"""

from __future__ import annotations

from typing import Any

from napari.layers import Labels

_SIZE = (600, 800)


def main_window(viewer: Any) -> Any:
    """The `QMainWindow` of a viewer; None for a viewer without a window."""
    return getattr(getattr(viewer, "window", None), "_qt_window", None)


def native_canvas(viewer: Any) -> Any:
    """The OpenGL widget of a viewer's canvas; None for a viewer without a window."""
    window = getattr(viewer, "window", None)
    return getattr(getattr(getattr(window, "_qt_viewer", None), "canvas", None), "native", None)


def canvas_size(viewer: Any) -> tuple[int, int]:
    """Height and width of a viewer's canvas, in the pixels that the camera's zoom counts."""
    native = native_canvas(viewer)
    return _SIZE if native is None else (native.height(), native.width())


def is_painting(layer: Labels) -> bool:
    """Whether a stroke of napari's brush is under way."""
    return bool(getattr(layer, "_staged_history", None))


def end_stroke(layer: Labels) -> None:
    """Make what was painted of a stroke so far a stroke of its own; what follows is another one."""
    commit = getattr(layer, "_commit_staged_history", None)
    if commit is not None:
        commit()


def atom_slices(atom: Any) -> tuple[slice, ...] | None:
    """Where an atom of a layer's history changed labels; None where napari still keeps indices."""
    return getattr(atom, "slice_key", None)


def can_redraw(layer: Labels) -> bool:
    """Whether part of a layer can be brought to the screen by itself."""
    return all(hasattr(layer, name) for name in ("_partial_labels_refresh", "_updated_slice", "_slice_input"))


def is_displayed(layer: Labels, box: tuple[slice, ...]) -> bool:
    """Whether a box of a layer's labels lies in the slice on the screen."""
    shown = layer._slice_input
    return all(
        axis in shown.displayed or span.start <= round(shown.world_slice.point[axis]) < span.stop
        for axis, span in enumerate(box)
    )


def redraw(layer: Labels, box: tuple[slice, ...]) -> None:
    """Bring a box of a layer's labels to the screen."""
    layer._updated_slice = box
    layer._partial_labels_refresh()
