"""Seeds: the middles of leaves in a distance map."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from skimage.segmentation import watershed

from napari_leafseg._opencv import cv2


class Seeds(NamedTuple):
    """Seeds in use: points int (N, 2) as (y, x), heights float32 (N,), 0 to 1."""

    points: np.ndarray
    heights: np.ndarray


def find_peaks(
    distance: np.ndarray, foreground: np.ndarray, lowest: float = 0.1, spacing: int = 2, sigma: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the local maxima of a distance map, the highest first.

    Parameters
    ----------
    distance : numpy.ndarray
        (H, W), any float or uint8; higher is more central.
    foreground : numpy.ndarray
        bool (H, W); peaks outside are dropped.
    lowest : float
        Peaks under this share of the map's maximum are dropped.
    spacing : int
        A peak is the highest within this many pixels.
    sigma : float
        Gaussian smoothing before the search, pixels; little, so that young leaves keep their own peak.

    Returns
    -------
    points : numpy.ndarray
        int (N, 2), y and x.
    heights : numpy.ndarray
        float32 (N,), as shares of the map's maximum, 0 to 1, falling.
    """
    smooth = cv2.GaussianBlur(distance.astype(np.float32), (0, 0), sigma)
    top = float(smooth.max())
    if top <= 0:
        return np.zeros((0, 2), int), np.zeros(0, np.float32)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * spacing + 1, 2 * spacing + 1))
    peaks = (smooth >= cv2.dilate(smooth, kernel)) & (smooth >= lowest * top) & foreground
    points = np.argwhere(peaks)
    heights = smooth[peaks] / top
    order = np.lexsort((points[:, 1], points[:, 0], -heights))
    return points[order], heights[order].astype(np.float32)


def find_basins(
    distance: np.ndarray, foreground: np.ndarray, points: np.ndarray, sigma: float = 1.0
) -> tuple[np.ndarray, dict[tuple[int, int], float]]:
    """Part the foreground into the basins of a distance map, and find the saddles between them.

    Parameters
    ----------
    distance, foreground : numpy.ndarray
        (H, W), as for `find_peaks`.
    points : numpy.ndarray
        int (N, 2), the peaks.
    sigma : float
        As for `find_peaks`.

    Returns
    -------
    basins : numpy.ndarray
        uint16 (H, W); basin k + 1 belongs to peak k, 0 outside.
    saddles : dict
        For pairs of basins that touch (smaller number first) the height of the highest way over, as a share of the
        map's maximum.
    """
    smooth = smooth_share(distance, sigma)
    markers = np.zeros(distance.shape, np.int32)
    markers[tuple(points.T)] = np.arange(1, len(points) + 1)
    if not len(points):
        return markers.astype(np.uint16), {}
    basins = watershed(-(smooth * 1000).astype(np.int16), markers, mask=foreground).astype(np.int32)
    return basins.astype(np.uint16), find_saddles(basins, smooth)


def smooth_share(distance: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    """Smooth a distance map a little, and give it as a share of its maximum, float32."""
    smooth = cv2.GaussianBlur(distance.astype(np.float32), (0, 0), sigma)
    smooth /= max(float(smooth.max()), 1e-6)
    return smooth


def find_saddles(basins: np.ndarray, smooth: np.ndarray) -> dict[tuple[int, int], float]:
    """Find the height of the highest way between parts that touch.

    Parameters
    ----------
    basins : numpy.ndarray
        int32 (H, W), 0 outside.
    smooth : numpy.ndarray
        (H, W), from `smooth_share`.

    Returns
    -------
    dict
        See `find_basins`.
    """
    count = int(basins.max(initial=0)) + 1
    keys, heights = [], []
    for first, second, a, b in (
        (basins[:, :-1], basins[:, 1:], smooth[:, :-1], smooth[:, 1:]),
        (basins[:-1], basins[1:], smooth[:-1], smooth[1:]),
    ):
        meet = (first != second) & (first > 0) & (second > 0)
        low, high = np.minimum(first[meet], second[meet]), np.maximum(first[meet], second[meet])
        keys.append(low.astype(np.int64) * count + high)
        heights.append(np.minimum(a[meet], b[meet]))
    key, height = np.concatenate(keys), np.concatenate(heights)
    pairs, index = np.unique(key, return_inverse=True)
    highest = np.zeros(len(pairs), np.float32)
    np.maximum.at(highest, index, height)
    return {(int(k // count), int(k % count)): float(h) for k, h in zip(pairs, highest, strict=True)}
