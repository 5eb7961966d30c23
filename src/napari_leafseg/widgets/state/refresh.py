"""Showing new labels without redrawing what did not change."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels

Box = tuple[slice, ...]


def changed_box(before: np.ndarray, after: np.ndarray) -> Box | None:
    """The box that holds all differences of two arrays of one shape; None where there is none."""
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
    partial = getattr(layer, "_partial_labels_refresh", None)
    whole = all(span.start == 0 and span.stop == size for span, size in zip(box, layer.data.shape, strict=True))
    if partial is None or not hasattr(layer, "_updated_slice") or (whole and layer.ndim > 2):
        layer.refresh()
        return
    displayed = layer._slice_input.displayed
    for axis, span in enumerate(box):
        if axis not in displayed and not span.start <= round(layer._slice_input.world_slice.point[axis]) < span.stop:
            return  # on another frame
    if layer.contour:
        box = tuple(
            slice(max(0, span.start - layer.contour), min(size, span.stop + layer.contour))
            for span, size in zip(box, layer.data.shape, strict=True)
        )
    layer._updated_slice = box
    partial()
