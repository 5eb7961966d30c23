"""Small images for the report: the plants of an image, close by, with every leaf outlined."""

from __future__ import annotations

from colorsys import hsv_to_rgb
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from skimage.segmentation import find_boundaries

from napari_leafseg._files import write_atomically
from napari_leafseg._opencv import cv2
from napari_leafseg.io import resize

OVERLAYS = "overlays"
SIZES = {"": 320, "closer": 1024}
"""Longer sides of what is written of an image, in pixels, by folder within that of the overlays."""
_MARGIN = 0.08  # of the plants' larger side
_LEAST_MARGIN = 6  # pixels
_QUALITY = 82
_GOLDEN = 0.618034  # of the circle of hues: leaves whose numbers are near each other differ
_COLORS = np.array(
    [[255 * part for part in hsv_to_rgb(_GOLDEN * number % 1, 0.7, 1)] for number in range(256)], np.uint8
)

Box = tuple[int, int, int, int]
"""Top, left, bottom, right."""


def view_path(place: Path, name: str, kind: str = "") -> Path:
    """Return the file of an image's overlay: of its small form, or of the "closer" one."""
    return place / OVERLAYS / kind / f"{name}.jpg"


def plant_box(labels: np.ndarray) -> Box:
    """Return the part of an image that all plants are in, with a margin; the whole of it where there is no leaf."""
    height, width = labels.shape
    rows, columns = np.flatnonzero(labels.any(axis=1)), np.flatnonzero(labels.any(axis=0))
    if not len(rows):
        return 0, 0, height, width
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    margin = max(_LEAST_MARGIN, round(_MARGIN * max(bottom - top, right - left)))
    return max(0, top - margin), max(0, left - margin), min(height, bottom + margin), min(width, right + margin)


def draw_view(image: np.ndarray, labels: np.ndarray, longest: int) -> np.ndarray:
    """Return the plants of an image with every leaf outlined in a color of its own, uint8 (h, w, 3).

    Parameters
    ----------
    image : numpy.ndarray
        RGB, uint8 (H, W, 3).
    labels : numpy.ndarray
        Integer (H, W).
    longest : int
        The longer side of what is returned; smaller plants are not enlarged.
    """
    top, left, bottom, right = plant_box(labels)
    part, numbers = image[top:bottom, left:right], labels[top:bottom, left:right]
    small = resize(part, min(1.0, longest / max(numbers.shape))).copy()
    shape = (small.shape[1], small.shape[0])
    numbers = cv2.resize(numbers.astype(np.float32), shape, interpolation=cv2.INTER_NEAREST).astype(np.int32)
    edge = find_boundaries(numbers, mode="inner")
    small[edge] = _COLORS[numbers[edge] % len(_COLORS)]
    return small


def write_views(place: Path, name: str, image: np.ndarray, labels: np.ndarray) -> None:
    """Write the overlays of an image, the small and the closer one, each whole or not at all."""
    for kind, longest in SIZES.items():
        content = imageio.imwrite("<bytes>", draw_view(image, labels, longest), extension=".jpg", quality=_QUALITY)
        write_atomically(view_path(place, name, kind), content)
