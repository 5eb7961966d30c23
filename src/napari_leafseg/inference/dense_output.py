"""What a network says of each pixel, as it is kept; needs no torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

DISTANCE_ONE = 200


class DenseOutput(NamedTuple):
    """What a network said of each pixel, stored compactly.

    Attributes
    ----------
    distance : numpy.ndarray
        uint8 (H, W), 200 = 1.0.
    foreground : numpy.ndarray
        uint8 (H, W), 255 = certainly leaf.
    embedding : numpy.ndarray
        int8 (E, H, W); (0, H, W) where only the distance was asked for.
    """

    distance: np.ndarray
    foreground: np.ndarray
    embedding: np.ndarray
