"""Angular clustering: from a distance map and an embedding to leaves, fast enough for a slider.

What depends on what decides the cost of a change:

* peaks and, for each, the angle of every pixel around it: computed once for a prediction;
* the best seed of each pixel: once for each set of seeds (a seed-threshold change);
* which pixels are near enough to their best seed: one comparison, plus a connectedness check within each leaf's own
  box (an angle change).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
from scipy import ndimage

from napari_leafseg._opencv import cv2
from napari_leafseg.postprocessing.seeds import Seeds, find_basins, find_peaks

_UNIT = 127  # length of a stored embedding: int8
_FAR = np.int16(-32768)

Box = tuple[slice, slice]


def quantize(embedding: np.ndarray) -> np.ndarray:
    """Store unit embeddings (E, H, W) as int8; the error of an angle is under half a degree."""
    return np.round(embedding * _UNIT).astype(np.int8)


@dataclass(frozen=True)
class GroupingOptions:
    """What is fixed for a model, other than the tunables.

    Attributes
    ----------
    merge_angle : float
        A peak is no leaf of its own when it lies next to a higher seed's basin and within this angle of it, degrees.
        The deeper the valley between them, the smaller the angle must be.
    valley : float
        At a valley this deep (pass over peak) two peaks are two leaves, whatever their directions; above it the angle
        allowed rises to `merge_angle`.
    home : float
        Bonus, as a cosine, of the seed on whose basin a pixel lies.
    widest_angle : float
        Largest clustering angle that can be asked for, degrees.
    border : int
        Foreground pixels this near to a leaf, but outside its angle, join it.
    """

    merge_angle: float = 60.0
    valley: float = 0.6
    home: float = 0.3
    widest_angle: float = 75.0
    border: int = 2


@dataclass(eq=False)
class _Candidate:
    point: tuple[int, int]
    height: float
    direction: np.ndarray  # int16 (E,), length 127
    box: Box
    score: np.ndarray  # int16 cosine * 127² within the box, _FAR where not connected
    basins: list[int]  # the basins of the distance map that this seed stands for


class AngularGrouping:
    """Groups pixels into leaves; keeps what does not depend on the tunables.

    Unlike the published growing (one neighboring seed at a time, in an order), every pixel goes to the best of all
    seeds that it is connected to, and seeds whose directions agree are one, unless a valley of the distance map parts
    them. Between seeds of nearly one direction a pixel prefers the one on whose basin of the distance map it lies.

    Parameters
    ----------
    distance : numpy.ndarray
        (H, W) float or uint8.
    foreground : numpy.ndarray
        bool (H, W).
    embedding : numpy.ndarray
        int8 (E, H, W) from `quantize`.
    options : GroupingOptions
    """

    def __init__(
        self,
        distance: np.ndarray,
        foreground: np.ndarray,
        embedding: np.ndarray,
        options: GroupingOptions | None = None,
    ) -> None:
        self.foreground = foreground
        self.embedding = embedding
        self.options = options or GroupingOptions()
        self.shape = foreground.shape
        self._candidates: list[_Candidate] = []
        points, heights = find_peaks(distance, foreground)
        self._basins, saddles = find_basins(distance, foreground, points)
        self._accept(points, heights, saddles)
        self._lock = Lock()  # what is kept between two calls is no business of two threads at a time
        self._used = -1
        self._seed_of: np.ndarray = np.zeros((0, 0), np.uint16)
        self._score: np.ndarray = np.zeros((0, 0), np.int16)
        self._boxes: list[Box | None] = []

    def _accept(self, points: np.ndarray, heights: np.ndarray, saddles: dict[tuple[int, int], float]) -> None:
        """Keep each peak that no higher peak explains, with the scores of the pixels that it may win."""
        thin = self._thinned()
        neighbors: dict[int, list[tuple[int, float]]] = {}
        for (a, b), height in saddles.items():
            neighbors.setdefault(a, []).append((b, height))
            neighbors.setdefault(b, []).append((a, height))
        owner: dict[int, _Candidate] = {}
        for basin, ((y, x), height) in enumerate(zip(points.tolist(), heights.tolist(), strict=True), start=1):
            direction = self._direction(y, x)
            known = [(owner[other], saddle) for other, saddle in neighbors.get(basin, ()) if other in owner]
            explaining = self._explaining(known, direction, height)
            if explaining:
                owner[basin] = explaining[0]
                explaining[0].basins.append(basin)
                self._join(explaining, owner)
                continue
            candidate = self._grown((y, x), height, direction, basin, thin)
            if candidate is not None:
                self._candidates.append(candidate)
                owner[basin] = candidate

    def _thinned(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Thin embedding and foreground out to about 512 pixels; also returns the step."""
        step = max(1, -(-max(self.shape) // 512))
        return (
            np.ascontiguousarray(self.embedding[:, ::step, ::step]),
            np.ascontiguousarray(self.foreground[::step, ::step]),
            step,
        )

    def _grown(
        self, point: tuple[int, int], height: float, direction: np.ndarray, basin: int,
        thin: tuple[np.ndarray, np.ndarray, int],
    ) -> _Candidate | None:  # fmt: skip
        """A seed with the scores of the pixels that it may win; None outside of the foreground."""
        box = self._reach(*thin, direction, point)
        score = _scores(self.embedding[(slice(None), *box)], direction)
        near = (score >= _cosine(self.options.widest_angle)) & self.foreground[box]
        part = _component(near, (point[0] - box[0].start, point[1] - box[1].start))
        if part is None:
            return None
        score[~part] = _FAR
        return _Candidate(point, height, direction, box, score, [basin])

    def _explaining(
        self, known: list[tuple[_Candidate, float]], direction: np.ndarray, height: float
    ) -> list[_Candidate]:
        """The seeds next door that a peak belongs to, the highest first: of about its direction, no valley between."""
        valley, found = self.options.valley, []
        for candidate, saddle in known:
            depth = (saddle / max(height, 1e-6) - valley) / (1 - valley)
            allowed = self.options.merge_angle * min(depth, 1.0)
            if allowed > 0 and _dot(direction, candidate.direction) >= _cosine(allowed) and candidate not in found:
                found.append(candidate)
        return sorted(found, key=lambda candidate: -candidate.height)

    def _join(self, together: list[_Candidate], owner: dict[int, _Candidate]) -> None:
        """Make seeds that a lower basin connects one, where their directions agree."""
        first = together[0]
        for other in together[1:]:
            if _dot(first.direction, other.direction) >= _cosine(self.options.merge_angle):
                first.basins.extend(other.basins)
                owner.update(dict.fromkeys(other.basins, first))
                self._candidates.remove(other)

    def _direction(self, y: int, x: int) -> np.ndarray:
        """Mean embedding around a peak, int16 (E,) of length 127."""
        around = self.embedding[:, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        inside = self.foreground[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        mean = around[:, inside].astype(np.float32).mean(1)
        return np.round(mean * (_UNIT / max(float(np.linalg.norm(mean)), 1e-6))).astype(np.int16)

    def _reach(
        self, embedding: np.ndarray, foreground: np.ndarray, step: int, direction: np.ndarray, point: tuple[int, int]
    ) -> Box:
        """Box around everything that a seed may win, found on every `step`-th pixel."""
        near = (_scores(embedding, direction) >= _cosine(self.options.widest_angle)) & foreground
        y, x = point[0] // step, point[1] // step
        near[y, x] = True
        part = _component(near, (y, x))
        assert part is not None
        rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
        margin = 3 * step if step > 1 else 0
        top, bottom = int(rows[0]) * step - margin, (int(rows[-1]) + 1) * step + margin
        left, right = int(columns[0]) * step - margin, (int(columns[-1]) + 1) * step + margin
        return slice(max(0, top), min(self.shape[0], bottom)), slice(max(0, left), min(self.shape[1], right))

    def seeds(self, seed_threshold: float, angle: float = 45.0) -> Seeds:
        """Return the seeds at a threshold, the highest first; the angle changes none."""
        chosen = self._candidates[: self._count(seed_threshold)]
        points = np.array([item.point for item in chosen], int).reshape(-1, 2)
        return Seeds(points, np.array([item.height for item in chosen], np.float32))

    def _count(self, seed_threshold: float) -> int:
        return sum(item.height >= seed_threshold for item in self._candidates)

    def _assign(self, count: int) -> None:
        """Give every pixel to the best of the first `count` seeds."""
        if count != self._used:
            self._compete(self._candidates[:count])
            self._used = count

    def _compete(self, candidates: list[_Candidate], apart: bool = False) -> None:
        """Give every pixel to the best of these seeds; `apart` also prefers the nearer one."""
        seed_of = np.zeros(self.shape, np.uint16)
        best = np.full(self.shape, _FAR, np.int16)
        rank = np.full(self.shape, _FAR, np.int16)
        for number, candidate in enumerate(candidates, start=1):
            window = rank[candidate.box]
            mine = self._rank(candidate) - (self._farness(candidate) if apart else 0)
            better = (mine > window) & (candidate.score != _FAR)
            np.copyto(window, mine, where=better)
            np.copyto(best[candidate.box], candidate.score, where=better)
            seed_of[candidate.box][better] = number
        self._seed_of, self._score, self._used = seed_of, best, -1
        self._boxes = list(ndimage.find_objects(seed_of.astype(np.int32), max_label=len(candidates)))

    def _farness(self, candidate: _Candidate) -> np.ndarray:
        """How far pixels are from a seed, as much as `home` counts at the far end of its box."""
        rows, columns = (
            np.arange(span.start, span.stop) - place for span, place in zip(candidate.box, candidate.point, strict=True)
        )
        far = np.hypot(rows[:, None], columns[None]) / np.hypot(len(rows), len(columns))
        return np.where(candidate.score == _FAR, 0, far * self.options.home * _UNIT * _UNIT).astype(np.int16)

    def _rank(self, candidate: _Candidate) -> np.ndarray:
        """Scores with the bonus for pixels on the candidate's own basins."""
        home = np.isin(self._basins[candidate.box], np.array(candidate.basins, np.uint16)) & (candidate.score != _FAR)
        return candidate.score + home * np.int16(round(self.options.home * _UNIT * _UNIT))

    def labels(self, seed_threshold: float = 0.45, angle: float = 45.0, smallest: float = 0) -> np.ndarray:
        """Return leaves for these values of the tunables.

        Parameters
        ----------
        seed_threshold : float
            Seeds are peaks of at least this share of the distance map's maximum, 0.1 to 1.
        angle : float
            Pixels within this angle of their seed belong to its leaf, degrees, up to the widest.
        smallest : float
            Leaves of fewer pixels are dropped.

        Returns
        -------
        numpy.ndarray
            uint16 (H, W), numbered 1 … N without gaps, 0 = background. The same leaf keeps its number while only the
            angle changes and no leaf disappears.
        """
        with self._lock:
            self._assign(self._count(seed_threshold))
            return self._labels(self._candidates, angle, smallest)

    def labels_of(self, points: np.ndarray, angle: float = 45.0, smallest: float = 0) -> np.ndarray:
        """Return leaves that grow from given seeds, whose pixels go to the best of these.

        Parameters
        ----------
        points : numpy.ndarray
            Integer (N, 2) of (y, x); those that lie in no leaf are left out.
        angle, smallest : float
            As for `labels`.

        Returns
        -------
        numpy.ndarray
            uint16 (H, W).
        """
        with self._lock:
            candidates = self._given(points)
            self._compete(candidates, apart=True)
            return self._labels(candidates, angle, smallest)

    def _given(self, points: np.ndarray) -> list[_Candidate]:
        """Seeds at given places; each has the basin that it lies in to itself."""
        known, thin, found = {item.point: item for item in self._candidates}, self._thinned(), []
        for y, x in dict.fromkeys(map(tuple, np.asarray(points, int).tolist())):
            candidate = known.get((y, x))
            if candidate is None and self.foreground[y, x]:
                candidate = self._grown((y, x), 1.0, self._direction(y, x), int(self._basins[y, x]), thin)
            if candidate is not None:
                found.append(candidate)
        own = [int(self._basins[item.point]) for item in found]
        return [
            replace(item, basins=[mine, *(basin for basin in item.basins if basin not in own)])
            for item, mine in zip(found, own, strict=True)
        ]

    def _labels(self, candidates: list[_Candidate], angle: float, smallest: float) -> np.ndarray:
        result = np.zeros(self.shape, np.uint16)
        limit = _cosine(min(angle, self.options.widest_angle))
        parts: list[tuple[Box, np.ndarray]] = []
        for number, (box, candidate) in enumerate(zip(self._boxes, candidates, strict=False), start=1):
            if box is None:
                continue
            mine = (self._seed_of[box] == number) & (self._score[box] >= limit)
            here = (candidate.point[0] - box[0].start, candidate.point[1] - box[1].start)
            part = _component(mine, here)
            if part is None or np.count_nonzero(part) < smallest:
                continue
            parts.append((box, part))
            result[box][part] = len(parts)
        for number, (box, part) in enumerate(parts, start=1):
            window = result[box]
            window[_filled(part) & (window == 0)] = number
        return self._close_borders(result)

    def _close_borders(self, labels: np.ndarray) -> np.ndarray:
        kernel = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        for _ in range(self.options.border):
            grown = cv2.dilate(labels, kernel)
            np.copyto(labels, grown, where=(labels == 0) & self.foreground)
        return labels


def _dot(first: np.ndarray, second: np.ndarray) -> int:
    return int(first.astype(np.int32) @ second.astype(np.int32))


def _cosine(angle: float) -> int:
    return round(np.cos(np.deg2rad(angle)) * _UNIT * _UNIT)


def _scores(embedding: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Cosine * 127² of every pixel to a direction, int16; cannot overflow, as both have length 127."""
    total = np.zeros(embedding.shape[1:], np.int16)
    for plane, weight in zip(embedding, direction, strict=True):
        total += np.multiply(plane, weight, dtype=np.int16)
    return total


def _component(mask: np.ndarray, point: tuple[int, int]) -> np.ndarray | None:
    """The 8-connected part of a mask that holds a point; None when the point is outside."""
    y, x = point
    if not (0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x]):
        return None
    _, numbers = cv2.connectedComponents(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return numbers == numbers[point]


def _filled(mask: np.ndarray) -> np.ndarray:
    """The mask with its holes."""
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    full = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(full, contours, -1, 1, cv2.FILLED)
    return full.astype(bool)
