"""Choosing among overlapping masks: matrix NMS, and which leaf a pixel belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SURE = 128  # of 255: a pixel is in the mask, for overlaps


@dataclass(frozen=True)
class SoftMask:
    """A leaf's mask, cut to where it is not empty.

    Attributes
    ----------
    score : float
        0 to 1.
    top, left : int
        Where it lies, in pixels of the masks' grid.
    values : numpy.ndarray
        uint8 (h, w), 255 = certainly the leaf.
    category : int
        Class.
    """

    score: float
    top: int
    left: int
    values: np.ndarray
    category: int = 0

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Top, left, bottom, right."""
        height, width = self.values.shape
        return self.top, self.left, self.top + height, self.left + width


def cut_mask(score: float, values: np.ndarray, least: int = 26, category: int = 0) -> SoftMask | None:
    """Cut a whole mask to the pixels above `least` (of 255); None where there are none.

    Parameters
    ----------
    score : float
    values : numpy.ndarray
        uint8 (H, W).
    least : int
    category : int
        Class.
    """
    rows, columns = np.flatnonzero((values >= least).any(1)), np.flatnonzero((values >= least).any(0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return SoftMask(score, top, left, values[top : rows[-1] + 1, left : columns[-1] + 1].copy(), category)


def overlaps(masks: Sequence[SoftMask]) -> np.ndarray:
    """Return IoU of each pair of masks, cut at one half; float32 (Q, Q), 1 on the diagonal, 0 between classes."""
    count = len(masks)
    result = np.eye(count, dtype=np.float32)
    sure = [mask.values >= SURE for mask in masks]
    areas = np.array([plane.sum() for plane in sure], float)
    boxes = np.array([mask.box for mask in masks]).reshape(count, 4)
    kinds = np.array([mask.category for mask in masks])
    for first in range(count):
        top, left, bottom, right = boxes[first]
        near = (boxes[:, 0] < bottom) & (boxes[:, 2] > top) & (boxes[:, 1] < right) & (boxes[:, 3] > left)
        for second in np.flatnonzero(near[:first] & (kinds[:first] == kinds[first])):
            above, beside = np.maximum(boxes[first, :2], boxes[second, :2])
            below, beyond = np.minimum(boxes[first, 2:], boxes[second, 2:])
            parts = [
                sure[number][above - box[0] : below - box[0], beside - box[1] : beyond - box[1]]
                for number, box in ((first, boxes[first]), (second, boxes[second]))
            ]
            common = float(np.count_nonzero(parts[0] & parts[1]))
            result[first, second] = result[second, first] = common / max(areas[first] + areas[second] - common, 1)
    return result


def matrix_nms(scores: np.ndarray, iou: np.ndarray, strength: float) -> np.ndarray:
    """Return scores lowered where a better mask covers the same leaf (Wang et al. 2020, Sec. 3.4; Gaussian).

    A mask's score is multiplied by the smallest of exp(-s iou²) / exp(-s m²) over the better masks, where m is the
    better mask's own largest overlap with a still better one: a mask that is itself a double suppresses less.

    Parameters
    ----------
    scores : numpy.ndarray
        (Q,), best first.
    iou : numpy.ndarray
        (Q, Q).
    strength : float
        s, at least 0; the paper has 2.

    Returns
    -------
    numpy.ndarray
        (Q,).
    """
    if len(scores) == 0:
        return scores
    above = np.triu(iou, 1).astype(np.float64)  # row: the better mask, column: the worse one
    covered = above.max(0)
    factors = np.exp(-strength * (above**2 - (covered**2)[:, None]))
    factors[np.tril_indices(len(scores))] = 1.0
    return scores * np.minimum(factors.min(0), 1.0)
