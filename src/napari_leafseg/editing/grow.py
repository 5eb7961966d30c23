"""Growing a leaf from a click or a scribble by color and edges, where there is no prediction."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
from scipy import ndimage
from skimage.graph import MCP_Geometric

from napari_leafseg._opencv import cv2
from napari_leafseg.editing.edit import Box
from napari_leafseg.editing.shapes import bounding_box, edge_strength

_SIDE = 160  # pixels of the window that costs are computed on
_SPILLED = 0.6  # of the window's sides: what reaches them has no edge there, as no leaf has
_FRAME = 0.06  # of the image's shorter side: where the ground is looked for
_GROUND = 0.25  # of that: what looks like so much of it is ground, not a leaf
_UNIT = 45.0  # the angle at which a leaf of even color just fills


class Growth(Protocol):
    """A seed that can be grown to any angle, again and again."""

    def mask(self, angle: float) -> tuple[np.ndarray, Box] | None:
        """Return the leaf at an angle in degrees: bool mask and the box that it fills; None where nothing grows."""


class ColorGrowth:
    """Grows where the color stays like the seed's and no edge is in the way.

    The way from the seed to a pixel costs what the color differs along it; a wider angle pays for more.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (H, W, 3).
    points : numpy.ndarray
        (N, 2) of (y, x) within the image: a click, or a scribble.
    reach : int
        How far from the seed a leaf may go, pixels.
    """

    def __init__(self, image: np.ndarray, points: np.ndarray, reach: int = 0) -> None:
        reach = reach or max(40, min(image.shape[:2]) // 4)
        self.box = bounding_box(points, image.shape, reach)
        self._image, self._points = image, np.asarray(points)
        window = image[self.box]
        self.shape = window.shape[:2]
        corner = self.box[0].start, self.box[1].start
        small, colors, seeds = _reduced(window, self._points - corner)
        away = _difference(colors, seeds)
        edges = edge_strength(small)
        edges = edges / max(float(np.percentile(edges, 97)), 1e-6)
        cost = 0.004 + 0.25 * np.clip(away - 0.6, 0, 4) ** 2 + 0.15 * np.clip(edges - 0.25, 0, 1) ** 2
        spent, _ = MCP_Geometric(cost).find_costs(seeds.tolist())
        self._spent = np.asarray(spent, np.float32)

    def mask(self, angle: float) -> tuple[np.ndarray, Box] | None:
        """See `Growth`; 45° is a good start."""
        budget = 0.25 * np.tan(np.deg2rad(min(angle, 85))) / np.tan(np.deg2rad(_UNIT))
        inside = ndimage.binary_fill_holes(ndimage.binary_opening(self._spent <= budget))
        if not inside.any():
            inside = self._spent <= budget
        if not inside.any():
            return None
        soft = cv2.resize(inside.astype(np.float32), self.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return soft >= 0.5, self.box

    def spills(self, mask: np.ndarray) -> bool:
        """Tell whether a mask that was grown goes on along most of where the window ends, and the image does not."""
        rows, columns = self.box
        height, width = self._image.shape[:2]
        sides = (
            (rows.start > 0, mask[0]), (rows.stop < height, mask[-1]),
            (columns.start > 0, mask[:, 0]), (columns.stop < width, mask[:, -1]),
        )  # fmt: skip
        inner = [side for within, side in sides if within]
        return bool(inner and np.concatenate(inner).mean() > _SPILLED)

    @cached_property
    def on_ground(self) -> bool:
        """Whether the seed looks like what lies along the borders of the image, as the ground around a plant does."""
        _, colors, seeds = _reduced(self._image, self._points)
        away = _difference(colors, seeds)
        width = max(1, round(_FRAME * min(away.shape)))
        frame = np.concatenate(
            [away[:width].ravel(), away[-width:].ravel(), away[:, :width].ravel(), away[:, -width:].ravel()]
        )
        return bool((frame < 1).mean() > _GROUND)


def _reduced(image: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image as small as costs are computed on, its colors in CIELAB without grain, and points as pixels of it."""
    step = max(1.0, max(image.shape[:2]) / _SIDE)
    rows, columns = (max(4, round(size / step)) for size in image.shape[:2])
    small = cv2.resize(np.ascontiguousarray(image), (columns, rows), interpolation=cv2.INTER_AREA)
    colors = cv2.cvtColor(cv2.bilateralFilter(small, 5, 25, 3), cv2.COLOR_RGB2LAB).astype(np.float32)
    scale = np.array(small.shape[:2]) / image.shape[:2]
    seeds = np.floor((points + 0.5) * scale).astype(int)
    return small, colors, np.unique(np.clip(seeds, 0, np.array(small.shape[:2]) - 1), axis=0)


def _difference(colors: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """How far CIELAB colors are from those around some of them; lightness counts less than hue."""
    around = np.zeros(colors.shape[:2], np.uint8)
    around[tuple(seeds.T)] = 1
    like = np.median(colors[cv2.dilate(around, np.ones((3, 3), np.uint8)) > 0], axis=0)
    return np.asarray(np.sqrt((((colors - like) / (28.0, 12.0, 12.0)) ** 2).sum(2)))


def nearer_to(first: np.ndarray, second: np.ndarray, mask: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Tell which pixels of a mask are nearer to some points than to others, along ways that shun what is high.

    Parameters
    ----------
    first, second : numpy.ndarray
        (N, 2) of (y, x), whole pixels in the mask.
    mask : numpy.ndarray
        bool (H, W).
    height : numpy.ndarray
        float (H, W): high where leaves meet.

    Returns
    -------
    numpy.ndarray
        bool (H, W), true where the first points are nearer.
    """
    step = max(1.0, max(mask.shape) / _SIDE)
    size = max(1, round(mask.shape[1] / step)), max(1, round(mask.shape[0] / step))
    small = cv2.resize(height.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    cost = np.where(inside, 0.05 + (small - small[inside].min()) ** 2, np.inf)
    scale = np.array(small.shape) / mask.shape
    spent = []
    for points in (first, second):
        places = np.clip(np.floor((points + 0.5) * scale).astype(int), 0, np.array(small.shape) - 1)
        spent.append(MCP_Geometric(cost).find_costs(places.tolist())[0])
    nearer = (np.asarray(spent[0]) < np.asarray(spent[1])).astype(np.float32)
    return np.asarray(cv2.resize(nearer, mask.shape[::-1], interpolation=cv2.INTER_LINEAR) >= 0.5)
