"""Tell from the maps of a distance + embedding model how much a leaf looks like one."""

from __future__ import annotations

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.inference.dense_output import DISTANCE_ONE
from napari_leafseg.postprocessing.seeds import smooth_share

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
    rows, columns = np.nonzero(labels)
    leaf = labels[rows, columns].astype(np.int64)
    smooth = smooth_share(distance)

    def sums(values: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(leaf, values, count + 1)[1:]

    area = np.maximum(sums(), 1)
    y, x = sums(rows) / area, sums(columns) / area
    dy, dx = rows - y[leaf - 1], columns - x[leaf - 1]
    first, second, both = sums(dy * dy) / area + _ROUND, sums(dx * dx) / area + _ROUND, sums(dy * dx) / area
    spread = np.maximum(first * second - both**2, 1e-3)  # the product of the squared axes
    half = (first + second) / 2
    longer = half + np.sqrt(np.maximum(half**2 - spread, 0))
    peak = np.zeros(count + 1)
    np.maximum.at(peak, leaf, smooth[rows, columns])
    peak = np.maximum(peak[1:], 1e-3)
    inner, outer, level = _borders(labels, smooth, count)
    return {
        "log_share": np.log(area / area.max(initial=1)),
        "height": peak * float(cv2.GaussianBlur(distance, (0, 0), 1.0).max(initial=0)) / DISTANCE_ONE,
        "plateau": sums(smooth[rows, columns]) / area / peak,
        "foreground": sums(foreground[rows, columns] / 255) / area,
        "compactness": area / (4 * np.pi * np.sqrt(spread)),
        "elongation": np.log(longer / np.maximum(spread / longer, 1e-2)),
        "passes": level / np.maximum(inner, 1) / peak,
        "outline": (inner + outer) / np.sqrt(area),
    }


def _borders(labels: np.ndarray, smooth: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each leaf the sides of pixels at other leaves and at the ground, and the sum of the map's lower side there."""
    inner, outer, level = np.zeros(count + 1), np.zeros(count + 1), np.zeros(count + 1)
    for first, second, low in (
        (labels[1:], labels[:-1], np.minimum(smooth[1:], smooth[:-1])),
        (labels[:, 1:], labels[:, :-1], np.minimum(smooth[:, 1:], smooth[:, :-1])),
    ):
        meet = first != second
        low = low[meet]
        for own, other in ((first[meet], second[meet]), (second[meet], first[meet])):
            own = own.astype(np.int64)
            beside = other > 0
            inner += np.bincount(own[beside], minlength=count + 1)
            outer += np.bincount(own[~beside], minlength=count + 1)
            level += np.bincount(own[beside], low[beside], count + 1)
    return inner[1:], outer[1:], level[1:]
