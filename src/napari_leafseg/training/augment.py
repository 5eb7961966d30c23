"""Random crops and changes of colour for training."""

from __future__ import annotations

import numpy as np

from napari_leafseg._opencv import cv2


def random_crop(
    rng: np.random.Generator, image: np.ndarray, labels: np.ndarray, size: int, zoom: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a zoomed, turned and mirrored square that usually holds part of a plant.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : numpy.ndarray
        uint8 (H, W, 3).
    labels : numpy.ndarray
        Integer (H, W).
    size : int
        Side of the result, pixels.
    zoom : tuple of float
        Range of the magnification.

    Returns
    -------
    tuple of numpy.ndarray
        uint8 (size, size, 3) and int32 (size, size).
    """
    factor = np.exp(rng.uniform(np.log(zoom[0]), np.log(zoom[1])))
    height, width = labels.shape
    window = int(np.clip(round(size / factor), 16, min(height, width)))
    top, left = int(rng.integers(0, height - window + 1)), int(rng.integers(0, width - window + 1))
    if labels.any() and rng.random() < 0.85:
        inside = np.flatnonzero(labels)
        y, x = divmod(int(inside[rng.integers(len(inside))]), width)
        jitter = rng.integers(-window // 4, window // 4 + 1, 2)
        top = int(np.clip(y - window // 2 + jitter[0], 0, height - window))
        left = int(np.clip(x - window // 2 + jitter[1], 0, width - window))
    piece = image[top : top + window, left : left + window]
    truth = labels[top : top + window, left : left + window].astype(np.int32)
    turns, mirror = int(rng.integers(4)), rng.random() < 0.5
    piece, truth = np.rot90(piece, turns), np.rot90(truth, turns)
    if mirror:
        piece, truth = piece[:, ::-1], truth[:, ::-1]
    how = cv2.INTER_AREA if window > size else cv2.INTER_LINEAR
    piece = cv2.resize(np.ascontiguousarray(piece), (size, size), interpolation=how)
    truth = cv2.resize(np.ascontiguousarray(truth).astype(np.float32), (size, size), interpolation=cv2.INTER_NEAREST)
    return piece, truth.astype(np.int32)


def change_colours(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Random gains, gamma, channel mixing and greying; uint8 in, float32 (0 to 255) out."""
    values = image.astype(np.float32)
    if rng.random() < 0.04:
        grey = values @ np.array([0.299, 0.587, 0.114], np.float32)
        return np.repeat(grey[..., None], 3, 2)
    if rng.random() < 0.6:
        mean = values.mean(2, keepdims=True)
        values = mean + (values - mean) * np.float32(rng.uniform(0.7, 1.35))
        values = values * (1 + rng.normal(0, 0.06, 3)).astype(np.float32)
        values = np.clip(values, 0, 255)
        values = 255 * (values / 255) ** np.float32(rng.uniform(0.75, 1.3))
    return values
