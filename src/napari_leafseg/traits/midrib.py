"""Length and width of a leaf along its midrib, and where its petiole ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_leafseg._opencv import cv2

_SLICES = 32
_PETIOLE = 0.3  # share of the largest width under which a slice is petiole
_PARTS = np.array([-0.375, -0.125, 0.125, 0.375])
_VISIBLE = 0.1  # a petiole shorter than this share of the leaf is none


@dataclass(frozen=True)
class Midrib:
    """A leaf's middle line.

    Attributes
    ----------
    length, width : float
        Along the line from base to tip, petiole included, and across it at the widest place; pixels.
    points : numpy.ndarray
        float (N, 2), y and x from base to tip.
    widths, steps : numpy.ndarray
        float (M,), width and thickness of each slice from base to tip, pixels.
    """

    length: float
    width: float
    points: np.ndarray
    widths: np.ndarray
    steps: np.ndarray

    @property
    def base(self) -> np.ndarray:
        """Where the leaf begins, (y, x)."""
        return self.points[0]

    @property
    def tip(self) -> np.ndarray:
        """Where it ends, (y, x)."""
        return self.points[-1]

    @property
    def petiole(self) -> float:
        """Length of the narrow part at the base, 0 where none can be seen; pixels."""
        wide = np.flatnonzero(self.widths > _PETIOLE * self.widths.max())
        length = float(self.steps[: wide[0]].sum()) if len(wide) else 0.0
        return length if length >= _VISIBLE * self.length else 0.0

    @property
    def blade_base(self) -> np.ndarray:
        """Where the petiole ends and the blade begins, (y, x); the base where no petiole can be seen."""
        gone = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(self.points, axis=0).T))])
        share = self.petiole / max(self.length, 1e-9) * gone[-1]
        return np.array([np.interp(share, gone, self.points[:, axis]) for axis in (0, 1)])

    @property
    def bend(self) -> float:
        """How far the line turns from base to tip, left and right counted alike, degrees."""
        steps = np.diff(self.points, axis=0)
        steps = steps[np.hypot(*steps.T) > 1e-9]
        turns = np.diff(np.unwrap(np.arctan2(steps[:, 0], steps[:, 1])))
        return float(np.rad2deg(np.abs(turns).sum()))

    def turned(self) -> Midrib:
        """Return the same line from the other end."""
        return Midrib(self.length, self.width, self.points[::-1], self.widths[::-1], self.steps[::-1])

    def from_center(self, center: tuple[float, float]) -> Midrib:
        """Return the same line with its base at the end nearer to the middle of the rosette (y, x)."""
        far, near = (float(np.hypot(*(end - center))) for end in (self.tip, self.base))
        return self.turned() if far < near else self


def trace_midrib(mask: np.ndarray) -> Midrib:
    """Trace the middle line of a leaf; its narrower end is taken for its base.

    The two points that lie farthest apart are its ends. Between them the leaf is cut into slices; a cubic through
    the slices' middles is the midrib. The width of a slice is its area over its thickness, measured across the
    midrib; the leaf's width is the largest, over three slices.

    Parameters
    ----------
    mask : numpy.ndarray
        bool (H, W), not empty.

    Returns
    -------
    Midrib
    """
    rows, columns = np.nonzero(mask)
    points = np.stack([rows, columns], 1).astype(float)
    first, second = _farthest(points)
    axis = second - first
    reach = float(np.hypot(*axis))
    if reach < 2:
        side = np.sqrt([len(points)])
        return Midrib(float(side[0]), float(side[0]), np.stack([first, second]), side, side)
    axis /= reach
    across = np.array([-axis[1], axis[0]])
    along = (points - first) @ axis + 0.5  # a pixel's ends lie half a pixel beyond its middle
    aside = (points - first) @ across
    length = reach + 1
    count = int(np.clip(round(length / 2), 3, _SLICES))
    step = length / count
    spread = (along[:, None] + _PARTS).ravel()  # a pixel is nearly as long as a slice is thick: split it
    index = np.clip((spread / step).astype(int), 0, count - 1)
    areas = np.bincount(index, minlength=count) / len(_PARTS)
    middles = np.bincount(index, np.repeat(aside, len(_PARTS)), count) / len(_PARTS) / np.maximum(areas, 0.1)
    at = (np.arange(count) + 0.5) * step
    line = np.polynomial.Polynomial.fit(at, middles, min(3, count - 1), w=np.sqrt(areas))
    stretch = np.sqrt(1 + line.deriv()(at) ** 2)
    widths = areas / step / stretch
    smooth = np.convolve(np.pad(widths, 1, mode="edge"), np.ones(3) / 3, "valid") if count > 4 else widths
    edges = np.concatenate([[0.0], at, [length]])
    drawn = first + np.outer(edges - 0.5, axis) + np.outer(line(edges), across)
    found = Midrib(float((stretch * step).sum()), float(smooth.max()), drawn, widths, stretch * step)
    quarter = max(1, count // 4)
    return found.turned() if widths[-quarter:].mean() < widths[:quarter].mean() else found


def _farthest(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two points with the largest distance; they lie on the convex hull."""
    hull = cv2.convexHull(points[:, ::-1].astype(np.int32))[:, 0, ::-1].astype(float)
    gaps = ((hull[:, None] - hull[None]) ** 2).sum(2)
    first, second = divmod(int(gaps.argmax()), len(hull))
    return hull[first], hull[second]
