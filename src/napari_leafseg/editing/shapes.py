"""Masks made of strokes and polygons."""

from __future__ import annotations

import numpy as np
from skimage.graph import route_through_array

from napari_leafseg._opencv import cv2
from napari_leafseg.editing.edit import Box

_SHIFT = 4


def bounding_box(points: np.ndarray, shape: tuple[int, ...], margin: int) -> Box:
    """Return the box around points (N, 2) as (y, x), within an image of `shape`; at least one pixel."""
    low = np.floor(points.min(0)).astype(int) - margin
    high = np.ceil(points.max(0)).astype(int) + margin + 1
    low = np.clip(low, 0, np.array(shape[:2]) - 1)
    high = np.clip(high, low + 1, shape[:2])
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def polygon_mask(points: np.ndarray, box: Box) -> np.ndarray:
    """Return pixels of a box whose center lies in a closed polygon (N, 2) of (y, x), pixel centers at whole numbers."""
    mask = np.zeros((box[0].stop - box[0].start, box[1].stop - box[1].start), np.uint8)
    if len(points) >= 3:
        cv2.fillPoly(mask, [_corners(points, box)], 1, shift=_SHIFT)
    return mask.astype(bool)


def stroke_mask(points: np.ndarray, box: Box, width: int = 1) -> np.ndarray:
    """Return pixels of a box that a stroke along (N, 2) of (y, x) covers; 4-connected for width 1."""
    mask = np.zeros((box[0].stop - box[0].start, box[1].stop - box[1].start), np.uint8)
    corners = _corners(points, box)
    if len(points) == 1:
        corners = np.repeat(corners, 2, 0)
    connected = 4 if width == 1 else 8
    cv2.polylines(mask, [corners], False, 1, width, connected, _SHIFT)
    return mask.astype(bool)


def _corners(points: np.ndarray, box: Box) -> np.ndarray:
    local = np.asarray(points, float) - (box[0].start, box[1].start)
    return np.round(local[:, ::-1] * (1 << _SHIFT)).astype(np.int32)


def edge_strength(image: np.ndarray) -> np.ndarray:
    """Tell how much color changes at each pixel.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (h, w, 3) or (h, w).

    Returns
    -------
    numpy.ndarray
        float32 (h, w), 0 and more.
    """
    planes = image[..., None] if image.ndim == 2 else image[..., :3]
    total = np.zeros(image.shape[:2], np.float32)
    for channel in range(planes.shape[2]):
        plane = cv2.GaussianBlur(np.ascontiguousarray(planes[..., channel]).astype(np.float32), (0, 0), 1.0)
        total += cv2.Sobel(plane, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(plane, cv2.CV_32F, 0, 1) ** 2
    return np.sqrt(total)


def snap_to_edge(stroke: np.ndarray, image: np.ndarray, reach: int = 4) -> np.ndarray:
    """Move a stroke to the strongest edge nearby: the cheapest path between its ends in a band around it.

    Parameters
    ----------
    stroke : numpy.ndarray
        (N, 2) of (y, x).
    image : numpy.ndarray
        uint8 (H, W, 3) or (H, W).
    reach : int
        Half the band's width, pixels.

    Returns
    -------
    numpy.ndarray
        (M, 2) of (y, x).
    """
    box = bounding_box(stroke, image.shape, reach + 3)
    band = stroke_mask(stroke, box, 2 * reach + 1)
    if not band.any():  # beside the image
        return stroke
    edges = edge_strength(image[box])
    strong = max(float(np.percentile(edges[band], 95)), 1e-6)
    cost = np.where(band, 1 / (0.06 + np.clip(edges / strong, 0, 1)), 1e4)
    low = np.array([box[0].start, box[1].start])
    last = np.array(cost.shape) - 1
    start, stop = (np.clip(np.round(point - low).astype(int), 0, last) for point in (stroke[0], stroke[-1]))
    path, _ = route_through_array(cost, start, stop, fully_connected=True, geometric=True)
    return np.array(path, float) + low
