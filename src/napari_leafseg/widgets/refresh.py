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


def update_labels(layer: Labels, labels: np.ndarray, box: Box | None) -> None:
    """Put new labels into a layer; only `box` differs from what it shows.

    The region goes to the screen as a brush stroke of napari's does, but stays out of the undo history: a slider's
    way is no list of edits.
    """
    if box is None:
        return
    layer.data[box] = labels[box]
    partial = getattr(layer, "_partial_labels_refresh", None)
    if partial is None or not hasattr(layer, "_updated_slice"):
        layer.refresh()
        return
    if layer.contour:
        box = tuple(
            slice(max(0, span.start - layer.contour), min(size, span.stop + layer.contour))
            for span, size in zip(box, layer.data.shape, strict=True)
        )
    layer._updated_slice = box
    partial()
