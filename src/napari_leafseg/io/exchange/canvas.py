"""Shapes of an image on their way to labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from napari_leafseg.errors import InputFileError
from napari_leafseg.io.exchange.reading import Reading
from napari_leafseg.io.polygons import Box, fill_rings

LARGEST_NUMBER = 2**31 - 1
_WORK = 1_000_000_000  # pixels that all shapes of an image may enclose together, or 8 for each pixel of it
_BEYOND = 0.1  # of the image's sides: outlines that leave it by more may be of another image


def leaf_of(name: Hashable) -> Hashable:
    """Return what tells a leaf from others: its name, else a new one; a truth value, which equals a number, is none."""
    return object() if name is None or isinstance(name, bool) else name


class Canvas:
    """The shapes of an image on their way to labels; where two overlap, the smaller leaf lies in front.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image.
    reading : Reading
    """

    def __init__(self, shape: tuple[int, int], reading: Reading) -> None:
        self.shape, self.reading = shape, reading
        self._pieces: list[tuple[Hashable, Any]] = []
        self._areas: defaultdict[Hashable, float] = defaultdict(float)
        self._work = 0
        self._most = max(_WORK, 8 * shape[0] * shape[1])

    def polygon(self, leaf: Hashable, rings: Sequence[Any]) -> None:
        """Add an outline, with its holes.

        Parameters
        ----------
        leaf : hashable
            A leaf's number; any other value names shapes that belong together; None = a leaf of its own.
        rings : sequence
            Points (x, y) each.
        """
        points = [np.asarray(ring, float).reshape(-1, 2) for ring in rings]
        points = [ring for ring in points if len(ring) > 2]
        if not points or not all(np.isfinite(ring).all() for ring in points):
            self.reading.leave_out("outline of less than three points" if not points else "outline without end")
            return
        sides = np.array([self.shape[1], self.shape[0]])
        corners = np.concatenate(points)
        if (np.abs(corners - sides / 2) > (0.5 + _BEYOND) * sides).any():
            self.reading.leave_out("outline that reaches far beyond the image, where it was cut")
        corners = corners.clip(0, sides)
        (left, top), (right, bottom) = corners.min(0), corners.max(0)
        area = abs(sum(_area(ring) * (1 if number == 0 else -1) for number, ring in enumerate(points)))
        self._add(leaf, area, (right - left + 1) * (bottom - top + 1), points)

    def mask(self, leaf: Hashable, place: Box, mask: np.ndarray) -> None:
        """Add a bool mask at a place of the image."""
        area = float(np.count_nonzero(mask))
        self._add(leaf, area, mask.size, (place, np.packbits(mask), mask.shape))

    def _add(self, leaf: Hashable, area: float, work: float, what: Any) -> None:
        self._work += int(work)
        if self._work > self._most:
            raise InputFileError("its shapes lie upon one another so often that drawing them would take minutes")
        leaf = leaf_of(leaf)
        self._areas[leaf] += area
        self._pieces.append((leaf, what))

    def labels(self) -> np.ndarray:
        """Draw all; uint16, or uint32 where numbers are larger.

        Raises
        ------
        InputFileError
            For an outline that would take minutes.
        """
        numbers = self._numbers()
        largest = max(numbers.values(), default=0)
        labels = np.zeros(self.shape, np.uint16 if largest < 2**16 else np.uint32)
        pieces = sorted(self._pieces, key=lambda piece: -self._areas[piece[0]])
        overlapping: set[int] = set()
        for leaf, what in pieces:
            drawn = fill_rings(what, self.shape) if isinstance(what, list) else _unpack(what)
            if drawn is None:
                continue
            place, mask = drawn
            window, number = labels[place], numbers[leaf]
            below = window[mask]
            if ((below != 0) & (below != number)).any():
                overlapping.add(number)
            window[mask] = number
        self.reading.leave_out("overlap with another leaf: the smaller one lies in front", len(overlapping))
        shown = np.unique(labels)
        gone = len(numbers) - len(shown) + int(0 in shown)
        self.reading.leave_out("leaf without a pixel of its own in the image", gone)
        return labels

    def _numbers(self) -> dict[Hashable, int]:
        """A number for each leaf: its own, else counted on from the largest."""
        leaves = dict.fromkeys(leaf for leaf, _ in self._pieces)
        own = {leaf for leaf in leaves if isinstance(leaf, int) and 0 < leaf <= LARGEST_NUMBER}
        largest = max(own, default=0)
        if largest + len(leaves) > LARGEST_NUMBER:
            own, largest = set(), 0
        rest = (leaf for leaf in leaves if leaf not in own)
        return {leaf: leaf for leaf in own} | {leaf: number for number, leaf in enumerate(rest, largest + 1)}


def _area(ring: np.ndarray) -> float:
    x, y = ring.clip(-1e7, 1e7).T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _unpack(packed: tuple[Box, np.ndarray, tuple[int, int]]) -> tuple[Box, np.ndarray]:
    place, bits, shape = packed
    return place, np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).view(bool)
