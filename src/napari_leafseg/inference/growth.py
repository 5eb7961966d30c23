"""Leaves that grow from clicks and scribbles, by what a region keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.inference.label_shapes import enlarge_labels
from napari_leafseg.postprocessing.masks import SURE, SoftMask

if TYPE_CHECKING:
    from napari_leafseg.inference.leaf_prediction import PixelRegion
    from napari_leafseg.inference.query_prediction import MaskRegion

_REACH = 150  # working pixels around a seed that a leaf may fill
_TOLD_APART = float(np.cos(np.deg2rad(8)))  # directions of two leaves that the embedding tells apart
_TRIES = 6  # leaves of a box that are compared
_NONE = np.zeros((0, 2))
Box = tuple[slice, slice]


def _extent_overlap(part: np.ndarray, window: Box, box: Box) -> float:
    """Intersection over union of a mask's extent and a box; the mask lies in `window`."""
    rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
    if not len(rows):
        return 0.0
    ends = [(rows[0] + window[0].start, rows[-1] + window[0].start + 1)]
    ends.append((columns[0] + window[1].start, columns[-1] + window[1].start + 1))
    common, first, second = 1.0, 1.0, 1.0
    for (start, stop), span in zip(ends, box, strict=True):
        common *= max(0, min(stop, span.stop) - max(start, span.start))
        first, second = first * (stop - start), second * (span.stop - span.start)
    return common / (first + second - common)


def _common(part: np.ndarray, window: Box, box: Box) -> np.ndarray:
    """A mask that lies in `window`, as one of a box's shape."""
    found = np.zeros([span.stop - span.start for span in box], bool)
    to, of = [], []
    for outer, inner in zip(window, box, strict=True):
        start, stop = max(outer.start, inner.start), min(outer.stop, inner.stop)
        to.append(slice(start - inner.start, max(start, stop) - inner.start))
        of.append(slice(start - outer.start, max(start, stop) - outer.start))
    found[tuple(to)] = part[tuple(of)]
    return found


class EmbeddingGrowth:
    """A leaf grown from a click or scribble by the embedding that the prediction kept.

    Parameters
    ----------
    region : PixelRegion
    points, away : numpy.ndarray
        (N, 2) of (y, x) in the image: in the leaf, and not in it.
    """

    def __init__(self, region: PixelRegion, points: np.ndarray, away: np.ndarray = _NONE) -> None:
        self._region = region
        seeds = region.to_working(np.asarray(points))
        low = np.maximum(seeds.min(0) - _REACH, 0)
        high = np.minimum(seeds.max(0) + _REACH + 1, region.maps.distance.shape)
        self.window = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
        self._seeds = seeds - low
        embedding = region.maps.embedding[(slice(None), *self.window)]
        mean = self._mean(embedding, self._seeds)
        self._cosine = np.tensordot(mean / 127, embedding.astype(np.float32), 1)
        self._rival = np.full(self._cosine.shape, -2, np.float32)
        for point in region.to_working(np.asarray(away)) - low:
            if not ((point >= 0) & (point < self._rival.shape)).all():
                continue
            other = self._mean(embedding, point[None])
            if mean @ other < _TOLD_APART:  # else the leaf is parted where leaves meet
                np.maximum(self._rival, np.tensordot(other / 127, embedding.astype(np.float32), 1), out=self._rival)

    @classmethod
    def in_box(cls, region: PixelRegion, box: Box, angle: float) -> EmbeddingGrowth | None:
        """Return the leaf whose extent suits a box of the image best; None where the box holds no leaf."""
        low, high = region.to_working(np.array([[span.start for span in box], [span.stop - 1 for span in box]]))
        window = slice(int(low[0]), int(high[0]) + 1), slice(int(low[1]), int(high[1]) + 1)
        left = region.maps.distance[window] * region.foreground(window)
        best, chosen = 0.0, None
        for _ in range(_TRIES):
            if not left.any():
                break
            place = np.array(np.unravel_index(int(left.argmax()), left.shape))
            growth = cls(
                region, ((place + low + 0.5) / region.zoom - 0.5 + (region.rows.start, region.columns.start))[None]
            )
            part = growth.part(angle)
            suits = _extent_overlap(part, growth.window, window)
            if suits > best:
                best, chosen = suits, growth
            left[_common(part, growth.window, window)] = 0
            left[tuple(place)] = 0
        return chosen

    def _mean(self, embedding: np.ndarray, points: np.ndarray) -> np.ndarray:
        """The direction of the embedding around points."""
        around = np.zeros(embedding.shape[1:], np.uint8)
        around[tuple(points.T)] = 1
        around = cv2.dilate(around, np.ones((3, 3), np.uint8)) > 0
        inside = around & self._region.foreground(self.window)
        mean = embedding[:, inside if inside.any() else around].astype(np.float32).mean(1)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-6))

    def mask(self, angle: float) -> tuple[np.ndarray, Box] | None:
        """See `napari_leafseg.editing.grow.Growth`."""
        part = self.part(angle)
        working = np.zeros(self._region.maps.distance.shape, np.uint16)
        contours, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        filled = np.zeros(part.shape, np.uint8)
        cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
        working[self.window] = filled
        return self._enlarged(working)

    def part(self, angle: float) -> np.ndarray:
        """Return what of `window` belongs to the leaf at an angle, bool."""
        near = self._cosine >= np.cos(np.deg2rad(angle))
        near &= self._region.foreground(self.window) & (self._cosine > self._rival)
        near[tuple(self._seeds.T)] = True
        _, pieces = cv2.connectedComponents(near.astype(np.uint8), connectivity=8)
        return np.isin(pieces, np.unique(pieces[tuple(self._seeds.T)]))

    def _enlarged(self, working: np.ndarray) -> tuple[np.ndarray, Box] | None:
        """Only the leaf's own box is brought to the image's size."""
        rows, columns = np.flatnonzero(working.any(1)), np.flatnonzero(working.any(0))
        if not len(rows):
            return None
        region, zoom = self._region, self._region.zoom
        spans, cut = [], []
        for first, last, size, factor in (
            (rows[0], rows[-1], region.shape[0], zoom[0]), (columns[0], columns[-1], region.shape[1], zoom[1]),
        ):  # fmt: skip
            start, stop = max(0, int((first - 3) / factor)), min(size, int(np.ceil((last + 4) / factor)))
            spans.append(slice(start, stop))
            cut.append(slice(max(0, int(start * factor)), int(np.ceil(stop * factor))))
        part = working[cut[0], cut[1]]
        # whole working pixels make the box's corners; what that adds is cut off again
        outer = [
            (round(piece.start / factor), round(min(piece.stop, size) / factor))
            for piece, factor, size in zip(cut, zoom, working.shape, strict=True)
        ]
        mask = enlarge_labels(part, (outer[0][1] - outer[0][0], outer[1][1] - outer[1][0])) > 0
        box = (
            slice(region.rows.start + outer[0][0], region.rows.start + outer[0][1]),
            slice(region.columns.start + outer[1][0], region.columns.start + outer[1][1]),
        )
        return mask, box


class MaskGrowth:
    """The mask of a query-based model that suits a click or scribble best.

    Parameters
    ----------
    region : MaskRegion
    mask : SoftMask
    """

    def __init__(self, region: MaskRegion, mask: SoftMask) -> None:
        self._region, self._place = region, region.enlarge(mask)

    @classmethod
    def at(cls, region: MaskRegion, points: np.ndarray, away: np.ndarray = _NONE) -> MaskGrowth | None:
        """Return the best mask that covers most of the points and few of those it is to keep away from.

        Both are (N, 2) of (y, x); None where no mask covers any of the points.
        """
        best, chosen = 0.0, None
        for mask in region.masks:
            suits = _covered(region, mask, points) * mask.score
            suits *= 1 - 0.9 * _covered(region, mask, away)
            if suits > best:
                best, chosen = suits, mask
        return None if chosen is None else cls(region, chosen)

    @classmethod
    def in_box(cls, region: MaskRegion, box: Box) -> MaskGrowth | None:
        """Return the mask whose extent suits a box of the image best; None where no mask lies in it."""
        corner = region.rows.start, region.columns.start
        step = [region.stride / factor for factor in region.zoom]
        spans = [
            slice((span.start - first) / size, (span.stop - first) / size)
            for span, first, size in zip(box, corner, step, strict=True)
        ]
        within = spans[0], spans[1]
        best, chosen = 0.0, None
        for mask in region.masks:
            top, left, bottom, right = mask.box
            suits = _extent_overlap(mask.values >= SURE, (slice(top, bottom), slice(left, right)), within) * mask.score
            if suits > best:
                best, chosen = suits, mask
        return None if chosen is None else cls(region, chosen)

    def mask(self, angle: float) -> tuple[np.ndarray, Box] | None:
        """See `napari_leafseg.editing.grow.Growth`; the angle, 5 to 75, stands for a mask threshold of 0.9 to 0.1."""
        place, cover = self._place
        inside = cover >= 255 * float(np.clip(0.9 - 0.8 * (angle - 5) / 70, 0.1, 0.9))
        if not inside.any():
            return None
        rows, columns = self._region.rows.start, self._region.columns.start
        return inside, (
            slice(place[0].start + rows, place[0].start + rows + inside.shape[0]),
            slice(place[1].start + columns, place[1].start + columns + inside.shape[1]),
        )


def _covered(region: MaskRegion, mask: SoftMask, points: np.ndarray) -> float:
    """The share of points (N, 2) of (y, x) that a mask covers; 0 of none."""
    if not len(points):
        return 0.0
    local = region.to_working(np.asarray(points)) // region.stride - (mask.top, mask.left)
    inside = ((local >= 0) & (local < mask.values.shape)).all(1)
    return float((mask.values[tuple(local[inside].T)] >= SURE).sum()) / len(points)
