"""Standardization of images before a network sees them; the same in training and prediction."""

from __future__ import annotations

import numpy as np


def brightness_statistics(image: np.ndarray) -> tuple[float, float]:
    """Return the mean and standard deviation over all channels of the pixels that are not exactly black.

    Crops are often stored in a black field; it must not change how the plant in it looks to the network.

    Parameters
    ----------
    image : numpy.ndarray
        (H, W, 3), any scale.
    """
    seen = image[image.max(2) > 0]
    if seen.size == 0:
        return 0.0, 1.0
    return float(seen.mean()), float(max(seen.std(), 1e-3 * max(1.0, abs(float(seen.mean())))))


def standardize(image: np.ndarray, statistics: tuple[float, float] | None = None) -> np.ndarray:
    """Shift and scale an image to mean 0 and deviation 1 (one value for all channels, so that color is kept).

    Parameters
    ----------
    image : numpy.ndarray
        (H, W, 3).
    statistics : tuple of float, optional
        Mean and standard deviation; the image's own when None. Tiles of one image share the image's.

    Returns
    -------
    numpy.ndarray
        float32 (H, W, 3), clipped to -5 to 5.
    """
    mean, deviation = brightness_statistics(image) if statistics is None else statistics
    return np.clip((image.astype(np.float32) - np.float32(mean)) / np.float32(deviation), -5, 5)
