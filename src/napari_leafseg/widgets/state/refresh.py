"""Showing new labels without redrawing what did not change."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels

from napari_leafseg.widgets.state.napari_private import can_redraw, is_displayed, redraw

Box = tuple[slice, ...]


def changed_box(before: np.ndarray, after: np.ndarray) -> Box | None:
    """Find the box that holds all differences of two arrays of one shape; None where there is none."""
    if before.shape != after.shape:
        return tuple(slice(0, size) for size in after.shape)
    different = before != after
    box = []
    for axis in range(different.ndim):
        others = tuple(other for other in range(different.ndim) if other != axis)
        along = np.flatnonzero(different.any(axis=others))
        if not len(along):
            return None
        box.append(slice(int(along[0]), int(along[-1]) + 1))
    return tuple(box)


def show_region(layer: Labels, box: Box) -> None:
    """Bring a region of a layer's labels, changed in place, to the screen, as a brush stroke of napari's does.

    The change stays out of napari's undo history: ours holds it.
    """
    whole = all(span.start == 0 and span.stop == size for span, size in zip(box, layer.data.shape, strict=True))
    if not can_redraw(layer) or (whole and layer.ndim > 2):
        layer.refresh()
        return
    if not is_displayed(layer, box):  # on another frame
        return
    if layer.contour:
        box = tuple(
            slice(max(0, span.start - layer.contour), min(size, span.stop + layer.contour))
            for span, size in zip(box, layer.data.shape, strict=True)
        )
    redraw(layer, box)
