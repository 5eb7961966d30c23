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
Box = tuple[slice, slice]


class EmbeddingGrowth:
    """A leaf grown from a click or scribble by the embedding that the prediction kept.

    Parameters
    ----------
    region : PixelRegion
    points : numpy.ndarray
        (N, 2) of (y, x) in the image.
    """

    def __init__(self, region: PixelRegion, points: np.ndarray) -> None:
        self._region = region
        seeds = region.to_working(np.asarray(points))
        low = np.maximum(seeds.min(0) - _REACH, 0)
        high = np.minimum(seeds.max(0) + _REACH + 1, region.maps.distance.shape)
        self._window = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
        self._seeds = seeds - low
        embedding = region.maps.embedding[(slice(None), *self._window)]
        around = np.zeros(embedding.shape[1:], np.uint8)
        around[tuple(self._seeds.T)] = 1
        around = cv2.dilate(around, np.ones((3, 3), np.uint8)) > 0
        inside = around & region.foreground(self._window)
        mean = embedding[:, inside if inside.any() else around].astype(np.float32).mean(1)
        mean /= max(float(np.linalg.norm(mean)), 1e-6)
        self._cosine = np.tensordot(mean / 127, embedding.astype(np.float32), 1)

    def mask(self, angle: float) -> tuple[np.ndarray, Box] | None:
        """See `napari_leafseg.editing.grow.Growth`."""
        near = self._cosine >= np.cos(np.deg2rad(angle))
        near &= self._region.foreground(self._window)
        near[tuple(self._seeds.T)] = True
        _, pieces = cv2.connectedComponents(near.astype(np.uint8), connectivity=8)
        part = np.isin(pieces, np.unique(pieces[tuple(self._seeds.T)]))
        working = np.zeros(self._region.maps.distance.shape, np.uint16)
        contours, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        filled = np.zeros(part.shape, np.uint8)
        cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
        working[self._window] = filled
        return self._enlarged(working)

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
    def at(cls, region: MaskRegion, points: np.ndarray) -> MaskGrowth | None:
        """Return the best mask that covers most of the points (N, 2) of (y, x); None where none covers any."""
        small = region.to_working(np.asarray(points)) // region.stride
        best, chosen = 0.0, None
        for mask in region.masks:
            local = small - (mask.top, mask.left)
            inside = ((local >= 0) & (local < mask.values.shape)).all(1)
            covered = float((mask.values[tuple(local[inside].T)] >= SURE).sum()) / len(points)
            if covered * mask.score > best:
                best, chosen = covered * mask.score, mask
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
