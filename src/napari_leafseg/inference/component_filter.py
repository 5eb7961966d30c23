"""Pieces of foreground that are no plant: algae, labels, stains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_leafseg._opencv import cv2

_SMALL = 0.3


def uncertain_components(foregrounds: Sequence[np.ndarray], least: int, confidence: float) -> list[np.ndarray]:
    """Find pieces that are small beside the image's largest one (under 0.3 of its area) and less certain.

    A small plant beside a large one is about as certain as that.

    Parameters
    ----------
    foregrounds : sequence of numpy.ndarray
        uint8 (H, W) of each region of an image, at one scale; 255 = certainly leaf.
    least : int
        From this value on a pixel is foreground.
    confidence : float
        A piece's mean foreground as a share of the largest piece's, 0 to 1; uncertain are those below it.

    Returns
    -------
    list of numpy.ndarray
        bool (H, W) for each region.
    """
    found = [_pieces(foreground, least) for foreground in foregrounds]
    areas = np.concatenate([areas for _, areas, _ in found])
    most = int(areas.argmax())
    certain = float(np.concatenate([means for *_, means in found])[most])
    return [
        ((areas_here < _SMALL * areas[most]) & (means < confidence * certain))[pieces] & (pieces > 0)
        for pieces, areas_here, means in found
    ]


def _pieces(foreground: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbered pieces (H, W), and of each (0 = the rest, of no area): area, mean foreground."""
    count, pieces = cv2.connectedComponents((foreground >= least).astype(np.uint8), connectivity=8)
    areas = np.bincount(pieces.ravel(), minlength=count)
    areas[0] = 0
    return pieces, areas, np.bincount(pieces.ravel(), foreground.ravel(), count) / areas.clip(1)
