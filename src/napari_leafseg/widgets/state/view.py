"""The camera: brings a plant, or a whole image, into view."""

from __future__ import annotations

import numpy as np
from napari.layers import Image, Layer
from napari.viewer import ViewerModel

from napari_leafseg.widgets.state.napari_private import canvas_size
from napari_leafseg.widgets.state.session import Session, labels_shape

_FILL = 0.9  # of the canvas
_LEAST = 24  # pixels of the image that the shorter side of the canvas shows at least


def fit_plant(session: Session, image: Image) -> None:
    """Zoom on the leaves of an image, until they fill the canvas; the whole image where there are none."""
    binding = session.binding(image)
    low, high = np.zeros(2), np.array(labels_shape(image)[-2:], float)
    if binding is not None:
        plane = binding.plane
        step = max(1, max(plane.shape) // 1000)
        thin = plane[::step, ::step] > 0
        rows, columns = np.flatnonzero(thin.any(1)), np.flatnonzero(thin.any(0))
        if len(rows):
            low = np.array([rows[0], columns[0]]) * step - step
            high = np.minimum(np.array([rows[-1], columns[-1]]) * step + 2 * step, high)
    fit_box(session, image, low, high)


def fit_box(session: Session, layer: Layer, low: np.ndarray, high: np.ndarray) -> None:
    """Zoom on a box of a layer's last two axes of space, (y, x) in its pixels, until it fills the canvas."""
    ndim = layer.ndim
    corners = np.array(
        [
            layer.data_to_world((*[0] * (ndim - 2), y, x))[-2:]
            for y in (low[0] - 0.5, high[0] - 0.5)
            for x in (low[1] - 0.5, high[1] - 0.5)
        ]
    )
    first, last = corners.min(0), corners.max(0)
    size = np.maximum(last - first, 1e-9)
    camera, canvas = session.viewer.camera, np.array(canvas_size(session.viewer), float)
    pixel = float(np.abs(layer.scale[-2:]).max())
    camera.center = (0.0, *((first + last) / 2))
    camera.zoom = float(min(_FILL * (canvas / size).min(), canvas.min() / (_LEAST * pixel)))


def camera_state(viewer: ViewerModel) -> tuple[float, ...]:
    """Return where the camera is."""
    return (*viewer.camera.center, viewer.camera.zoom)
