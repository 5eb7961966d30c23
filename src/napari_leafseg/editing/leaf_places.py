"""Where leaves lie, so that one is found again when its number has become another one's."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

_REACH = 1.5  # spreads of a leaf's pixels: half of a leaf that was split is 1 away, a leaf beside it 3 to 4
_LEAST, _MOST = 0.4, 2.5  # of its area
_SAME = 0.5  # of its distance counts where the number is still the same


class LeafPlace(NamedTuple):
    """Where a leaf lies, and how large it is; pixels.

    Attributes
    ----------
    y, x : float
        Its middle.
    area : float
    long_y, long_x : float
        From its base to its tip; 0 where that is not known: it counts as round.
    """

    y: float
    x: float
    area: float
    long_y: float = 0.0
    long_x: float = 0.0

    def fits(self, area: float) -> bool:
        """Tell whether an area, in pixels, may be this leaf's: it is not of quite another size."""
        return _LEAST <= area / max(self.area, 1e-9) <= _MOST

    def distance(self, other: LeafPlace) -> float:
        """Return how far another middle lies, in spreads of this leaf's pixels; infinite where the areas do not fit."""
        if not self.fits(other.area):
            return math.inf
        y, x, length = other.y - self.y, other.x - self.x, math.hypot(self.long_y, self.long_x)
        round_one = 2 * math.sqrt(self.area / math.pi)
        if length < round_one:
            return math.hypot(y, x) / (round_one / 4)
        along, across = (y * self.long_y + x * self.long_x) / length, (y * self.long_x - x * self.long_y) / length
        return math.hypot(
            along / (length / 4), across / (self.area / (math.pi * length))
        )  # an ellipse's halves of axes


def places_of_labels(labels: np.ndarray) -> dict[int, LeafPlace]:
    """Return the middles and areas of the leaves of an (H, W) label image."""
    rows, columns = np.nonzero(labels)
    leaves = labels[rows, columns]
    areas = np.bincount(leaves)
    down, right = np.bincount(leaves, rows), np.bincount(leaves, columns)
    return {
        int(leaf): LeafPlace(float(down[leaf] / areas[leaf]), float(right[leaf] / areas[leaf]), float(areas[leaf]))
        for leaf in np.flatnonzero(areas)
    }


def find_again(known: Mapping[int, LeafPlace], now: Mapping[int, LeafPlace]) -> dict[int, int]:
    """Find leaves by where they lay.

    The nearest pair is one first, and no leaf is found twice; what is too far, or of quite another size, is not found.

    Parameters
    ----------
    known : mapping
        From the leaves' numbers to where they were.
    now : mapping
        From the numbers of today's leaves to where these are.

    Returns
    -------
    dict
        From the number that a leaf had to that which it has.
    """
    pairs = []
    for (old, place), (new, other) in itertools.product(known.items(), now.items()):
        away = place.distance(other)
        if away <= _REACH:
            pairs.append((away * (_SAME if old == new else 1.0), old, new))
    found: dict[int, int] = {}
    for _, old, new in sorted(pairs):
        if old not in found and new not in found.values():
            found[old] = new
    return found
