"""How sure a prediction is of each leaf: what the review begins with."""

from __future__ import annotations

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.inference.prediction import Prediction, Region
from napari_leafseg.inference.tiling import DISTANCE_ONE

_WIDE = np.cos(np.deg2rad(75))


def leaf_confidence(prediction: Prediction, labels: np.ndarray) -> dict[int, float]:
    """Confidence of each leaf, 0 to 1.

    The product of three shares: how high its seed rises in the distance map, how tight its embedding lies around its
    mean, and how far the runner-up is: how deep the distance map dips towards the leaves that it touches.

    Parameters
    ----------
    prediction : Prediction
    labels : numpy.ndarray
        Integer (H, W), the prediction's own or corrected.

    Returns
    -------
    dict of int to float
        Leaves of which the prediction knows nothing have 0.
    """
    found: dict[int, float] = {int(leaf): 0.0 for leaf in np.flatnonzero(np.bincount(labels.ravel())) if leaf}
    for region in prediction.regions:
        for leaf, value in _of_region(region, labels[region.rows, region.columns]).items():
            found[leaf] = max(found.get(leaf, 0.0), value)
    return found


def _of_region(region: Region, window: np.ndarray) -> dict[int, float]:
    height, width = region.maps.distance.shape
    rows = np.minimum(((np.arange(height) + 0.5) / region.zoom[0]).astype(int), window.shape[0] - 1)
    columns = np.minimum(((np.arange(width) + 0.5) / region.zoom[1]).astype(int), window.shape[1] - 1)
    labels = window[rows[:, None], columns[None, :]].astype(np.int64)
    inside = labels > 0
    if not inside.any():
        return {}
    leaves, index = np.unique(labels[inside], return_inverse=True)
    sizes = np.bincount(index)
    distance = np.minimum(cv2.GaussianBlur(region.maps.distance, (0, 0), 1.0).astype(float) / DISTANCE_ONE, 1)
    peak = np.zeros(len(leaves))
    np.maximum.at(peak, index, distance[inside])
    vectors = region.maps.embedding[:, inside].astype(np.float32) / 127
    sums = np.stack([np.bincount(index, plane, len(leaves)) for plane in vectors])
    means = sums / np.maximum(np.linalg.norm(sums, axis=0), 1e-6)
    cosine = np.einsum("ej,ej->j", vectors, means[:, index])
    tight = np.bincount(index, np.clip((cosine - _WIDE) / (1 - _WIDE), 0, 1), len(leaves)) / sizes
    contact = _contacts(labels)[inside]
    passes = np.minimum(1, distance[inside] / np.maximum(peak[index], 1e-6))
    touching = np.bincount(index, contact, len(leaves))
    level = np.bincount(index, contact * passes, len(leaves)) / np.maximum(touching, 1)
    confidence = peak * tight * (1 - 0.7 * level)
    return {int(leaf): round(float(value), 3) for leaf, value in zip(leaves, confidence, strict=True)}


def _contacts(labels: np.ndarray) -> np.ndarray:
    """Pixels of a leaf next to another leaf."""
    found = np.zeros(labels.shape, bool)
    for first, second in (
        ((slice(1, None),), (slice(None, -1),)),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        a, b = labels[first], labels[second]
        meet = (a != b) & (a > 0) & (b > 0)
        found[first] |= meet
        found[second] |= meet
    return found
