"""The published region growing, written plainly from its description, to measure ours against.

Gaussian blur (sigma 3) of the distance map; seeds are local maxima at least 10 pixels apart and 0.7 of the maximum
high, numbered from the top; the embedding is smoothed with a disc of radius 3 and made unit length again; leaves grow
by 3 x 3 dilations while a frontier pixel's cosine to the one neighboring seed that it is compared with, the
higher-numbered one, exceeds 0.7: also where the pixel belonged to a lower-numbered leaf already. What is small or faint
is dropped, and what was cut off is a leaf of its own.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.measure import label
from skimage.morphology import disk


def grow(distance: np.ndarray, embedding: np.ndarray, seed_threshold: float = 0.7, cosine: float = 0.7) -> np.ndarray:
    """Group float arrays (H, W) and (E, H, W) into labels, int32 (H, W)."""
    smooth = ndimage.gaussian_filter(distance.astype(np.float64), 3)
    peaks = sorted(map(tuple, peak_local_max(smooth, min_distance=10, threshold_abs=seed_threshold * smooth.max())))
    kernel = disk(3).astype(np.float64)
    vectors = np.stack([ndimage.convolve(plane, kernel / kernel.sum()) for plane in embedding.astype(np.float64)], -1)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    labels = np.zeros(distance.shape, np.int32)
    directions = [np.zeros(vectors.shape[-1])]
    for number, (y, x) in enumerate(peaks, start=1):
        labels[y, x] = number
        directions.append(vectors[y, x])
    directions_array = np.array(directions)
    while True:
        grown = ndimage.grey_dilation(labels, size=(3, 3))
        frontier = labels != grown
        ys, xs = np.nonzero(frontier)
        near = np.einsum("ij,ij->i", vectors[ys, xs], directions_array[grown[ys, xs]]) > cosine
        if not near.any():
            break
        labels[ys[near], xs[near]] = grown[ys[near], xs[near]]
    for number in range(1, len(peaks) + 1):
        inside = labels == number
        if inside.sum() < 10 or distance[inside].mean() < 0.1 * distance.max():
            labels[inside] = 0
    return label(labels)
