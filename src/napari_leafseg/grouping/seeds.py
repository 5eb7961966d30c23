"""Seeds: the middles of leaves in a distance map."""

from __future__ import annotations

import numpy as np

from napari_leafseg._opencv import cv2


def find_peaks(
    distance: np.ndarray, foreground: np.ndarray, lowest: float = 0.1, spacing: int = 2, sigma: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Local maxima of a distance map, the highest first.

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
