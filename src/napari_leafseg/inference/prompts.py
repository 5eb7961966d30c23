"""What a kept prediction says about a click: the leaf that grows from it, and where leaves meet."""

from __future__ import annotations

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.editing.grow import Growth
from napari_leafseg.inference.label_shapes import enlarge_labels
from napari_leafseg.inference.leaf_prediction import FOREGROUND, PixelRegion
from napari_leafseg.inference.prediction import Prediction, Region
from napari_leafseg.inference.query_prediction import MaskRegion
from napari_leafseg.postprocessing.masks import SURE, SoftMask

_REACH = 150  # working pixels around a seed that a leaf may fill
Box = tuple[slice, slice]


def region_at(prediction: Prediction, y: float, x: float) -> Region | None:
    """Return the region of a prediction that holds a point of the image."""
    for region in prediction.regions:
        if region.rows.start <= y < region.rows.stop and region.columns.start <= x < region.columns.stop:
            return region
    return None


def to_working(region: Region, points: np.ndarray) -> np.ndarray:
    """Return points (N, 2) of the image as whole working pixels of a region."""
    local = (np.asarray(points, float) - (region.rows.start, region.columns.start) + 0.5) * region.zoom - 0.5
    return np.clip(np.round(local).astype(int), 0, np.array(region.working) - 1)


class EmbeddingGrowth:
    """A leaf grown from a click or scribble by the embedding that the prediction kept.

    Parameters
    ----------
    prediction : Prediction
    points : numpy.ndarray
        (N, 2) of (y, x) in the image; those in the first point's region count.

    Raises
    ------
    LookupError
        When the prediction knows nothing of that place.
    """

    def __init__(self, prediction: Prediction, points: np.ndarray) -> None:
        region = region_at(prediction, *points[0])
        if not isinstance(region, PixelRegion):
            raise LookupError("no prediction at this point")
        self._region = region
        seeds = to_working(region, np.asarray(points))
        low = np.maximum(seeds.min(0) - _REACH, 0)
        high = np.minimum(seeds.max(0) + _REACH + 1, region.maps.distance.shape)
        self._window = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
        self._seeds = seeds - low
        embedding = region.maps.embedding[(slice(None), *self._window)]
        around = np.zeros(embedding.shape[1:], np.uint8)
        around[tuple(self._seeds.T)] = 1
        around = cv2.dilate(around, np.ones((3, 3), np.uint8)) > 0
        inside = around & (region.maps.foreground[self._window] >= FOREGROUND)
        mean = embedding[:, inside if inside.any() else around].astype(np.float32).mean(1)
        mean /= max(float(np.linalg.norm(mean)), 1e-6)
        self._cosine = np.tensordot(mean / 127, embedding.astype(np.float32), 1)

    def mask(self, angle: float) -> tuple[np.ndarray, Box] | None:
        """See `napari_leafseg.editing.grow.Growth`."""
        near = self._cosine >= np.cos(np.deg2rad(angle))
        near &= self._region.maps.foreground[self._window] >= FOREGROUND
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
        small = to_working(region, np.asarray(points)) // region.stride
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


def elevation(prediction: Prediction, box: Box) -> np.ndarray | None:
    """Tell where leaves meet: in the valleys of the distance map and where the embedding turns or masks compete.

    Parameters
    ----------
    prediction : Prediction
    box : tuple of slice
        Rows and columns of the image.

    Returns
    -------
    numpy.ndarray or None
        float32 of the box's shape, 0 to about 2; None where the prediction knows nothing of the box.
    """
    shape = box[0].stop - box[0].start, box[1].stop - box[1].start
    region = region_at(prediction, (box[0].start + box[0].stop - 1) / 2, (box[1].start + box[1].stop - 1) / 2)
    if region is None:
        return None
    low, high = to_working(region, np.array([[box[0].start, box[1].start], [box[0].stop, box[1].stop]]))
    window = slice(max(0, low[0] - 2), high[0] + 3), slice(max(0, low[1] - 2), high[1] + 3)
    both = region.ridges(window)
    # image pixel -> working pixel, centers to centers
    zoom = region.zoom
    matrix = np.array(
        [
            [zoom[1], 0, (box[1].start - region.columns.start + 0.5) * zoom[1] - 0.5 - window[1].start],
            [0, zoom[0], (box[0].start - region.rows.start + 0.5) * zoom[0] - 0.5 - window[0].start],
        ]
    )
    return cv2.warpAffine(
        both, matrix, shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )


def other_seed(prediction: Prediction | None, mask: np.ndarray, box: Box, point: np.ndarray) -> np.ndarray:
    """Return the middle of what a leaf is apart from a click in it: where the click's part is to be parted from.

    Parameters
    ----------
    prediction : Prediction or None
    mask : numpy.ndarray
        bool, the leaf within `box`.
    box : tuple of slice
    point : numpy.ndarray
        (y, x) of the click, in the image.

    Returns
    -------
    numpy.ndarray
        (y, x) in the image.
    """
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    height = depth / max(float(depth.max()), 1.0)
    valleys = None if prediction is None else elevation(prediction, box)
    if valleys is not None:
        height = height * np.clip(1.2 - valleys, 0.05, 1)
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    gap = np.hypot(rows + box[0].start - point[0], columns + box[1].start - point[1])
    height = height * np.minimum(1, gap / max(2.0, 0.5 * np.sqrt(mask.sum())))
    y, x = np.unravel_index(int(np.where(mask, height, -1).argmax()), mask.shape)
    return np.array([y + box[0].start, x + box[1].start], float)


class PredictionModel:
    """A kept prediction as the correction tools ask it; see `napari_leafseg.editing.tools.Model`.

    Parameters
    ----------
    prediction : Prediction
    """

    def __init__(self, prediction: Prediction) -> None:
        self.prediction = prediction

    def growth(self, points: np.ndarray) -> Growth | None:
        """Return a leaf to be grown from points; None where the prediction sees no leaf."""
        region = region_at(self.prediction, *points[0])
        if region is None:
            return None
        y, x = to_working(region, points[:1])[0]
        if isinstance(region, MaskRegion):
            return MaskGrowth.at(region, points)
        assert isinstance(region, PixelRegion)
        if region.maps.foreground[y, x] < FOREGROUND:
            return None
        return EmbeddingGrowth(self.prediction, points)

    def elevation(self, box: Box) -> np.ndarray | None:
        """See `elevation`."""
        return elevation(self.prediction, box)

    def other_seed(self, mask: np.ndarray, box: Box, point: np.ndarray) -> np.ndarray:
        """See `other_seed`."""
        return other_seed(self.prediction, mask, box, point)
