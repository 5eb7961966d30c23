"""Smooth random fields that textures, soils and lights are made of."""

from __future__ import annotations

import numpy as np

from napari_leafseg._opencv import cv2


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], period: float) -> np.ndarray:
    """Return a smooth random field.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        Height and width in pixels.
    period : float
        Typical size of a bump, in pixels.

    Returns
    -------
    numpy.ndarray
        float32, (H, W), about -1 to 1.
    """
    height, width = shape
    cells = (max(2, int(np.ceil(height / period)) + 2), max(2, int(np.ceil(width / period)) + 2))
    coarse = rng.uniform(-1, 1, cells).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], period: float, octaves: int = 4, persistence: float = 0.6
) -> np.ndarray:
    """Sum smooth fields, each of half the period and `persistence` times the weight; float32, about -1 to 1."""
    total = np.zeros(shape, np.float32)
    weight, weights = 1.0, 0.0
    for _ in range(octaves):
        total += weight * smooth_noise(rng, shape, max(period, 1.0))
        weights += weight
        weight *= persistence
        period /= 2
        if period < 1:
            break
    return total / weights


def ramp(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Mix two colors by a field in -1 … 1; returns float32 (H, W, 3)."""
    share = np.clip(values * 0.5 + 0.5, 0, 1)[..., None]
    return (low * (1 - share) + high * share).astype(np.float32)
