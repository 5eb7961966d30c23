"""SBD, BestDice, FBD and DiC, as the Leaf Segmentation Challenge's scorer computes them.

Reference: Minervini, Fischbach, Scharr, Tsaftaris: *Finely-grained annotated datasets for image-based plant
phenotyping*, Pattern Recognition Letters 2016; Scharr et al., *Leaf segmentation in plant phenotyping: a collation
study*, 2016.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class LeafScore(NamedTuple):
    """Scores of one image.

    Attributes
    ----------
    sbd : float
        Symmetric best Dice, 0 to 1: the smaller of both directions.
    best_dice : float
        Best Dice of the prediction's leaves in the truth.
    fbd : float
        Dice of the foregrounds.
    dic : int
        Leaves predicted minus leaves in the truth.
    """

    sbd: float
    best_dice: float
    fbd: float
    dic: int

    @property
    def abs_dic(self) -> int:
        """Absolute difference in count."""
        return abs(self.dic)


def dice_table(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compute Dice of every leaf of `first` (rows) with every leaf of `second` (columns)."""
    _, a = np.unique(first, return_inverse=True)
    _, b = np.unique(second, return_inverse=True)
    # np.unique sorts: add a background pixel to each so that number 0 is always the background
    a, b = a.ravel() + int(first.min() > 0), b.ravel() + int(second.min() > 0)
    rows, columns = int(a.max(initial=0)) + 1, int(b.max(initial=0)) + 1
    both = np.bincount(a * columns + b, minlength=rows * columns).reshape(rows, columns)
    sizes = both.sum(1)[:, None] + both.sum(0)[None]
    return (2.0 * both / np.maximum(sizes, 1))[1:, 1:]


def best_dice(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean over `first`'s leaves of the best Dice with any of `second`; 0 when either has no leaf."""
    table = dice_table(first, second)
    return float(table.max(1).mean()) if table.size else 0.0


def foreground_dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return Dice of leaf against background; 0 when both are empty."""
    a, b = prediction > 0, truth > 0
    total = int(a.sum()) + int(b.sum())
    return float(2.0 * np.count_nonzero(a & b) / total) if total else 0.0


def count_found(prediction: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    """Count the leaves of `truth` that are found: one leaf of `prediction` shares more than half of what both cover.

    Returns
    -------
    found, all : int

    Examples
    --------
    >>> import numpy as np
    >>> count_found(np.array([[1, 1, 0, 2]]), np.array([[5, 5, 0, 0]]))
    (1, 1)
    """
    table = dice_table(truth, prediction)
    best = table.max(1) if table.size else np.zeros(len(table))
    return int(np.count_nonzero(best > 2 / 3)), _count(truth)


def score(prediction: np.ndarray, truth: np.ndarray, challenge: bool = False) -> LeafScore:
    """Score one image.

    Parameters
    ----------
    prediction, truth : numpy.ndarray
        Integer label images, 0 = background, any numbering.
    challenge : bool
        Follow the challenge's scorer in the corners: two empty images score 0 instead of 1; the lowest label is the
        background, and the count is the largest label above it (its input is to be numbered without gaps); images of
        different shapes score 0.

    Returns
    -------
    LeafScore

    Raises
    ------
    ValueError
        When the shapes differ (not with `challenge`).

    Examples
    --------
    >>> import numpy as np
    >>> score(np.array([[1, 1, 0, 2]]), np.array([[5, 5, 0, 0]]))
    LeafScore(sbd=0.5, best_dice=0.5, fbd=0.8, dic=1)
    """
    if challenge:
        prediction, truth = (labels.astype(np.int64) for labels in (prediction, truth))
        prediction, truth = (labels - labels.min(initial=2**31) for labels in (prediction, truth))
        dic = int(prediction.max(initial=0)) - int(truth.max(initial=0))
        if prediction.shape != truth.shape:
            return LeafScore(0.0, 0.0, 0.0, dic)
    elif prediction.shape != truth.shape:
        raise ValueError(f"the prediction is {prediction.shape} and the truth {truth.shape} pixels")
    else:
        dic = _count(prediction) - _count(truth)
        if not prediction.any() and not truth.any():
            return LeafScore(1.0, 1.0, 1.0, 0)
    table = dice_table(prediction, truth)
    forward = float(table.max(1).mean()) if table.size else 0.0
    backward = float(table.max(0).mean()) if table.size else 0.0
    return LeafScore(min(forward, backward), forward, foreground_dice(prediction, truth), dic)


def _count(labels: np.ndarray) -> int:
    return int(np.count_nonzero(np.unique(labels)))
