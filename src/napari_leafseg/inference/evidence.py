"""Tell from the maps of a distance + embedding model how much a leaf looks like one."""

from __future__ import annotations

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.inference.dense_output import DISTANCE_ONE

_ROUND = 1 / 12  # variance of a coordinate within its pixel


def leaf_evidence(labels: np.ndarray, distance: np.ndarray, foreground: np.ndarray) -> dict[str, np.ndarray]:
    """Measure the leaves of a region at the working scale, where plants are of about one size.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (H, W), 1 … N without gaps, 0 = background.
    distance, foreground : numpy.ndarray
        uint8 (H, W), as `napari_leafseg.inference.dense_output.DenseOutput` has them.

    Returns
    -------
    dict of str to numpy.ndarray
        float (N,) each: ``log_share``, the area as a share of the largest leaf's; ``height``, the highest value of the
        distance map, about 0 to 1; ``plateau``, its mean as a share of the highest; ``foreground``, its mean
        probability; ``compactness``, the area as a share of the ellipse of the same moments; ``elongation``, the
        logarithm of the ratio of this ellipse's squared axes; ``passes``, the mean of the distance map along borders to
        other leaves as a share of the highest; ``outline``, its pixels over the root of the area.
    """
    count = int(labels.max(initial=0))
    places = np.flatnonzero(labels)
    leaf = labels.ravel()[places]
    smooth = cv2.GaussianBlur(distance.astype(np.float32), (0, 0), 1.0)
    level = smooth.ravel()[places] / DISTANCE_ONE

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(leaf, values, count + 1)[1:] / area

    area = np.maximum(np.bincount(leaf, minlength=count + 1)[1:], 1)
    rows, columns = np.divmod(places.astype(np.float32), np.float32(labels.shape[1]))
    y, x = mean(rows), mean(columns)
    dy, dx = rows - y[leaf - 1], columns - x[leaf - 1]
    first, second, both = mean(dy * dy) + _ROUND, mean(dx * dx) + _ROUND, mean(dy * dx)
    spread = np.maximum(first * second - both**2, 1e-3)  # the product of the squared axes
    half = (first + second) / 2
    longer = half + np.sqrt(np.maximum(half**2 - spread, 0))
    height = np.zeros(count + 1)
    np.maximum.at(height, leaf, level)
    height = np.maximum(height[1:], 1e-3)
    inner, outer, lower = _borders(labels, smooth, count)
    return {
        "log_share": np.log(area / area.max(initial=1)),
        "height": height,
        "plateau": mean(level) / height,
        "foreground": mean(foreground.ravel()[places] / 255),
        "compactness": area / (4 * np.pi * np.sqrt(spread)),
        "elongation": np.log(longer / np.maximum(spread / longer, 1e-2)),
        "passes": lower / DISTANCE_ONE / np.maximum(inner, 1) / height,
        "outline": (inner + outer) / np.sqrt(area),
    }


def _borders(labels: np.ndarray, smooth: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each leaf the sides of pixels at other leaves and at the ground, and the sum of the map's lower side there."""
    inner, outer, lower = np.zeros(count + 1), np.zeros(count + 1), np.zeros(count + 1)
    for here, beyond in (
        ((slice(1, None),), (slice(None, -1),)),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        meet = np.nonzero(labels[here] != labels[beyond])
        first, second = labels[here][meet], labels[beyond][meet]
        low = np.minimum(smooth[here][meet], smooth[beyond][meet])
        for own, other in ((first, second), (second, first)):
            beside = other > 0
            inner += np.bincount(own[beside], minlength=count + 1)
            outer += np.bincount(own[~beside], minlength=count + 1)
            lower += np.bincount(own[beside], low[beside], count + 1)
    return inner[1:], outer[1:], lower[1:]
