"""Training targets made from labels."""

from __future__ import annotations

import numpy as np

from napari_leafseg._opencv import cv2


def distance_target(labels: np.ndarray, smallest: int = 0) -> np.ndarray:
    """Return the normalized distance map of a label image.

    Touching leaves are parted by removing the label-boundary pixels on both sides of a border, so that the target of
    mirrored labels is the mirrored target; then each leaf's Euclidean distance to its border is
    divided by the leaf's own maximum (Wu et al. 2020, Sec. 3.1).

    Parameters
    ----------
    labels : numpy.ndarray
        (H, W) integer, 0 = background; negative (not annotated) counts as background here.
    smallest : int
        Leaves under this many pixels are left out.

    Returns
    -------
    numpy.ndarray
        float32 (H, W), 0 to 1.
    """
    labels = np.maximum(labels.astype(np.int32), 0)
    count = int(labels.max()) + 1
    if smallest:
        areas = np.bincount(labels.ravel(), minlength=count)
        labels = np.where(areas[labels] >= smallest, labels, 0)
    square, numbers = np.ones((3, 3), np.uint8), labels.astype(np.float32)
    boundary = cv2.erode(numbers, square) != cv2.dilate(numbers, square)
    inside = ((labels > 0) & ~boundary).astype(np.uint8)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    peak = np.zeros(count, np.float32)
    np.maximum.at(peak, labels.ravel(), distance.ravel())
    peak[0] = np.inf
    return np.where(inside > 0, distance / np.maximum(peak, 1e-6)[labels], 0).astype(np.float32)
