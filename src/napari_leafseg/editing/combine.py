"""New labels beside verified ones: what nobody verified follows the model, the rest stays."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from scipy.optimize import linear_sum_assignment

from napari_leafseg.editing.edit import LARGEST_NUMBER

_MOSTLY = 0.5  # a leaf of which this share lies under verified leaves is one of them, seen again


def keep_locked(proposed: np.ndarray, shown: np.ndarray, locked: Collection[int], largest: int = 0) -> np.ndarray:
    """Put a model's labels around verified leaves; leaves that were shown before keep their numbers.

    Parameters
    ----------
    proposed : numpy.ndarray
        Integer (H, W), 1 … N.
    shown : numpy.ndarray
        uint16 (H, W), the labels until now.
    locked : collection of int
        Verified leaves of `shown`: they keep every pixel, and get none.
    largest : int
        Largest number that was ever given.

    Returns
    -------
    numpy.ndarray
        uint16 (H, W).
    """
    count, old = int(proposed.max(initial=0)), int(shown.max(initial=0))
    pairs = np.bincount(
        (proposed.astype(np.int64) * (old + 1) + shown).ravel(), minlength=(count + 1) * (old + 1)
    ).reshape(count + 1, old + 1)
    is_locked = np.zeros(old + 1, bool)
    is_locked[[leaf for leaf in locked if 0 < leaf <= old]] = True
    areas = pairs.sum(1)
    seen_again = pairs[:, is_locked].sum(1) > _MOSTLY * areas
    pairs[seen_again] = 0
    numbers = _numbers(pairs, is_locked, max(largest, old))
    numbers[0] = 0
    return np.where(is_locked[shown], shown, numbers[proposed]).astype(np.uint16)


def keep_verified(
    proposed: np.ndarray, shown: np.ndarray, verified: Collection[tuple[int, int]], largest: int = 0
) -> np.ndarray:
    """Put a model's labels around verified leaves, frame by frame; see `keep_locked`.

    Parameters
    ----------
    proposed, shown : numpy.ndarray
        (H, W) or (T, H, W).
    verified : collection of (frame, leaf)
    largest : int
    """
    if not verified:
        return proposed
    planes, before = (array.reshape(-1, *array.shape[-2:]) for array in (proposed, shown))
    result = []
    for frame, plane in enumerate(planes):
        locked = {leaf for at, leaf in verified if at == frame}
        result.append(keep_locked(plane, before[frame], locked, largest) if locked else plane)
    return np.stack(result).reshape(proposed.shape)


def _numbers(pairs: np.ndarray, is_locked: np.ndarray, largest: int) -> np.ndarray:
    """For each proposed leaf, the number of the leaf that it covers most of; a new one where there is none."""
    overlap = pairs.copy()
    overlap[0], overlap[:, 0], overlap[:, is_locked] = 0, 0, 0
    rows, columns = linear_sum_assignment(-overlap)
    numbers = np.zeros(len(pairs), np.int64)
    matched = overlap[rows, columns] > 0
    numbers[rows[matched]] = columns[matched]
    missing = np.flatnonzero((numbers == 0) & (np.arange(len(pairs)) > 0) & (pairs.sum(1) > 0))
    fresh = np.arange(largest + 1, largest + 1 + len(missing))
    if len(fresh) and fresh[-1] > LARGEST_NUMBER:  # numbers used up: take any that are free
        fresh = np.setdiff1d(np.arange(1, LARGEST_NUMBER + 1), np.union1d(numbers, np.flatnonzero(is_locked)))[
            : len(missing)
        ]
    numbers[missing] = fresh
    return numbers
