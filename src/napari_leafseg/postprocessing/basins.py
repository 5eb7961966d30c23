"""Watershed grouping: the basins of the distance map, joined where the embedding is alike across their border.

The distance map parts leaves that touch; a long or lobed leaf has several peaks in it, though, and falls apart. Both
maps tell whether two basins are one leaf: how deep the distance map dips between them, and how far the embedding turns
from one side of their border to the other. The turn is looked for at the border alone: along a long leaf the embedding
may come round by any angle, but only little by little.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from threading import Lock

import numpy as np

from napari_leafseg.postprocessing.seeds import Seeds, find_basins, find_peaks, find_saddles, smooth_share

ASIDE = 2  # pixels from a border to where the embedding is read on either side
UNKNOWN = 45.0  # degrees, of a border beside which no embedding can be read
STEEPNESS = 60.0  # degrees less for a dip of the whole height of the distance map
_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


@dataclass
class _Border:
    """What lies between two parts.

    Attributes
    ----------
    saddle : float
        Height of the highest way over, as a share of the distance map's maximum.
    turn : float
        Angles between the embeddings on both sides, degrees, summed over its length.
    length : int
        Pixels of the border beside which the embedding could be read.
    """

    saddle: float
    turn: float
    length: int

    def extend(self, other: _Border) -> None:
        """Take another border between the same parts."""
        self.saddle = max(self.saddle, other.saddle)
        self.turn, self.length = self.turn + other.turn, self.length + other.length

    def cost(self, height: float) -> float:
        """Return the clustering angle from which on both sides are one leaf, degrees; `height` of the lower peak."""
        turn = self.turn / self.length if self.length else UNKNOWN
        return turn + STEEPNESS * (height - self.saddle)


class WatershedGrouping:
    """Group pixels by the basins of the distance map that the embedding joins; keeps what no tunable changes.

    Two parts are one leaf where the clustering angle exceeds the mean angle between the embeddings on both sides of
    their border, `ASIDE` pixels from it, plus `STEEPNESS` times the dip between them (the lower peak over the pass).
    The nearest two are joined first, and what lies between the joined part and others is looked at anew.

    Parameters
    ----------
    distance : numpy.ndarray
        (H, W) float or uint8.
    foreground : numpy.ndarray
        bool (H, W).
    embedding : numpy.ndarray
        int8 (E, H, W) from `napari_leafseg.postprocessing.quantize`.
    """

    def __init__(self, distance: np.ndarray, foreground: np.ndarray, embedding: np.ndarray) -> None:
        self._smooth, self._embedding = smooth_share(distance), embedding
        self._points, self._heights = find_peaks(distance, foreground)
        self._basins, saddles = find_basins(distance, foreground, self._points)
        self._borders = self._look(self._basins, saddles)
        self._merges = join(self._heights, self._borders)
        self._lock = Lock()  # what is kept between two calls is no business of two threads at a time
        self._kept: tuple[float, np.ndarray] | None = None

    def _look(self, basins: np.ndarray, saddles: dict[tuple[int, int], float]) -> dict[tuple[int, int], _Border]:
        """What lies between basins that touch."""
        turns = border_turns(basins, self._embedding)
        return {pair: _Border(saddle, *turns.get(pair, (0.0, 0))) for pair, saddle in saddles.items()}

    def _roots(self, angle: float) -> np.ndarray:
        """For each basin, and 0, the basin with the highest peak of the part that it belongs to at this angle."""
        with self._lock:
            if self._kept is None or self._kept[0] != angle:
                self._kept = angle, _joined(len(self._points), self._merges, angle)
            return self._kept[1]

    def seeds(self, seed_threshold: float, angle: float = 45.0) -> Seeds:
        """Return the highest peaks of the leaves at these values, the highest first."""
        roots = np.unique(self._roots(angle))[1:] - 1
        chosen = roots[self._heights[roots] >= seed_threshold]
        return Seeds(self._points[chosen], self._heights[chosen])

    def labels(self, seed_threshold: float = 0.45, angle: float = 45.0, smallest: float = 0) -> np.ndarray:
        """Return leaves for these values of the tunables.

        Parameters
        ----------
        seed_threshold : float
            A leaf's distance map reaches this share of the maximum, 0.1 to 1.
        angle : float
            Clustering angle, degrees: the wider, the more is joined.
        smallest : float
            Leaves of fewer pixels are dropped.

        Returns
        -------
        numpy.ndarray
            uint16 (H, W), numbered 1 … N without gaps by the height of the peaks, 0 = background.
        """
        roots = self._roots(angle)
        high = np.flatnonzero(np.concatenate([[False], self._heights >= seed_threshold]))
        return _numbered(self._basins, roots, np.intersect1d(high, roots), smallest)

    def labels_of(self, points: np.ndarray, angle: float = 45.0, smallest: float = 0) -> np.ndarray:
        """Return leaves of given seeds: no two of them are joined, and parts without one are left out.

        Parameters
        ----------
        points : numpy.ndarray
            Integer (N, 2) of (y, x); those that lie in no basin are left out.
        angle, smallest : float
            As for `labels`.

        Returns
        -------
        numpy.ndarray
            uint16 (H, W).
        """
        basins, owned = self._parted(np.asarray(points, int).reshape(-1, 2))
        count = int(basins.max(initial=0))
        heights = np.concatenate([self._heights, np.ones(max(0, count - len(self._heights)), np.float32)])
        borders = self._borders
        if count > len(self._heights):
            borders = self._look(basins, find_saddles(basins.astype(np.int32), self._smooth))
        roots = _joined(count, join(heights, borders, set(owned)), angle)
        return _numbered(basins, roots, np.unique(roots[owned]), smallest)

    def _parted(self, points: np.ndarray) -> tuple[np.ndarray, list[int]]:
        """The basins, those of several seeds parted between these, and which basin each seed has."""
        basins, owned = self._basins.copy(), []
        found: dict[int, list[np.ndarray]] = {}
        for point in dict.fromkeys(map(tuple, points.tolist())):
            basin = int(self._basins[point]) if all(0 <= p < n for p, n in zip(point, basins.shape, strict=True)) else 0
            if basin:
                found.setdefault(basin, []).append(np.array(point))
        last = len(self._points)
        for basin, inside in found.items():
            numbers = [basin, *range(last + 1, last + len(inside))]
            last += len(inside) - 1
            owned += numbers
            if len(inside) > 1:
                places = np.argwhere(self._basins == basin)
                far = ((places[:, None] - np.array(inside)[None]) ** 2).sum(2)
                basins[tuple(places.T)] = np.array(numbers, basins.dtype)[far.argmin(1)]
        return basins, owned


def border_turns(basins: np.ndarray, embedding: np.ndarray) -> dict[tuple[int, int], tuple[float, int]]:
    """Measure how far the embedding turns across the borders between parts.

    Parameters
    ----------
    basins : numpy.ndarray
        Integer (H, W), 0 outside.
    embedding : numpy.ndarray
        int8 (E, H, W), of length 127.

    Returns
    -------
    dict
        For pairs of parts (smaller number first) the angle times the length of their border, and this length: in
        pixels, as far as `ASIDE` pixels from it the embedding still is of the two.
    """
    height, width = basins.shape
    count = int(basins.max(initial=0)) + 1
    keys, cosines = [], []
    for down, right in _STEPS:
        top, bottom = slice(0, height - down), slice(down, height)
        left = slice(max(0, -right), width - max(0, right))
        across = slice(max(0, right), width - max(0, -right))
        first, second = basins[top, left], basins[bottom, across]
        rows, columns = np.nonzero((first != second) & (first > 0) & (second > 0))
        a, b = first[rows, columns].astype(np.int64), second[rows, columns].astype(np.int64)
        columns = columns + left.start
        beside = np.stack([rows - down * ASIDE, columns - right * ASIDE])  # on the first one's side
        beyond = np.stack([rows + down * (ASIDE + 1), columns + right * (ASIDE + 1)])
        limits = np.array([[height], [width]])
        known = ((beside >= 0) & (beside < limits) & (beyond >= 0) & (beyond < limits)).all(0)
        beside, beyond, a, b = beside[:, known], beyond[:, known], a[known], b[known]
        same = (basins[tuple(beside)] == a) & (basins[tuple(beyond)] == b)
        beside, beyond = beside[:, same], beyond[:, same]
        keys.append(np.minimum(a, b)[same] * count + np.maximum(a, b)[same])
        first_ones, second_ones = (embedding[(slice(None), *place)].astype(np.int32) for place in (beside, beyond))
        dots = np.einsum("ep,ep->p", first_ones, second_ones)
        cosines.append(dots / 127.0**2)
    pairs, index, lengths = np.unique(np.concatenate(keys), return_inverse=True, return_counts=True)
    mean = np.bincount(index, np.concatenate(cosines), len(pairs)) / np.maximum(lengths, 1)
    turns = np.degrees(np.arccos(np.clip(mean, -1, 1))) * lengths
    return {
        (int(key // count), int(key % count)): (float(turn), int(length))
        for key, turn, length in zip(pairs, turns, lengths, strict=True)
    }


def join(
    heights: np.ndarray, borders: dict[tuple[int, int], _Border], apart: set[int] | None = None
) -> list[tuple[float, int, int]]:
    """Join parts two by two, those that cost least first, until none are left that touch.

    Parameters
    ----------
    heights : numpy.ndarray
        (N,) of the peaks of parts 1 … N.
    borders : dict
        By pairs of parts, the smaller number first.
    apart : set of int, optional
        Parts of which no two are joined.

    Returns
    -------
    list of (float, int, int)
        Cost (the clustering angle that it takes, degrees), the part that stays, the part that joins it; in order.
    """
    top = {part: float(height) for part, height in enumerate(heights, start=1)}
    held = set(apart or ())
    beside: dict[int, dict[int, _Border]] = {part: {} for part in top}
    for (a, b), border in borders.items():
        beside[a][b] = beside[b][a] = _Border(border.saddle, border.turn, border.length)
    waiting = [(border.cost(min(top[a], top[b])), a, b) for (a, b), border in borders.items()]
    heapq.heapify(waiting)
    merges = []
    while waiting:
        cost, a, b = heapq.heappop(waiting)
        between_them = beside.get(a, {}).get(b)
        if between_them is None or between_them.cost(min(top[a], top[b])) != cost:  # joined, or it waits anew
            continue
        if a in held and b in held:
            continue
        stays, goes = (a, b) if (a in held, top[a], -a) >= (b in held, top[b], -b) else (b, a)
        merges.append((cost, stays, goes))
        top[stays] = max(top[stays], top[goes])
        for other, between in beside.pop(goes).items():
            del beside[other][goes]
            if other == stays:
                continue
            if other in beside[stays]:
                beside[stays][other].extend(between)
            else:
                beside[stays][other] = beside[other][stays] = between
            low, high = min(stays, other), max(stays, other)
            heapq.heappush(waiting, (beside[stays][other].cost(min(top[stays], top[other])), low, high))
    return merges


def _joined(count: int, merges: list[tuple[float, int, int]], angle: float) -> np.ndarray:
    """For parts 0 … `count` the one that each is joined to: merges are made in order, up to the first beyond."""
    roots = np.arange(count + 1)
    for cost, stays, goes in merges:
        if cost >= angle:
            break
        roots[goes] = stays
    while True:  # chains of merges
        further = roots[roots]
        if np.array_equal(further, roots):
            return roots
        roots = further


def _numbered(basins: np.ndarray, roots: np.ndarray, wanted: np.ndarray, smallest: float) -> np.ndarray:
    """The wanted parts, numbered in the order of their basins, without those that are too small."""
    sizes = np.bincount(roots[basins].ravel(), minlength=len(roots))
    wanted = wanted[sizes[wanted] >= max(1.0, smallest)]
    numbers = np.zeros(len(roots), np.uint16)
    numbers[wanted] = np.arange(1, len(wanted) + 1)
    labels: np.ndarray = numbers[roots][basins]
    return labels
