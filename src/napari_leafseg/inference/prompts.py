"""What a kept prediction says about a click: the leaf that grows from it, and where leaves meet."""

from __future__ import annotations

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.editing.grow import Growth
from napari_leafseg.inference.prediction import Prediction, Region

Box = tuple[slice, slice]
_NONE = np.zeros((0, 2))


def region_at(prediction: Prediction, y: float, x: float) -> Region | None:
    """Return the region of a prediction that holds a point of the image."""
    for region in prediction.regions:
        if region.rows.start <= y < region.rows.stop and region.columns.start <= x < region.columns.stop:
            return region
    return None


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
    low, high = region.to_working(np.array([[box[0].start, box[1].start], [box[0].stop, box[1].stop]]))
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

    def growth(self, points: np.ndarray, away: np.ndarray = _NONE) -> Growth | None:
        """Return a leaf to be grown from points and away from others; None where the prediction sees no leaf."""
        region = region_at(self.prediction, *points[0])
        return None if region is None else region.growth(points, away)

    def growth_in(self, box: Box, angle: float) -> Growth | None:
        """Return the leaf that fills a box best at an angle; None where the prediction sees none."""
        region = region_at(self.prediction, *((span.start + span.stop - 1) / 2 for span in box))
        return None if region is None else region.growth_in(box, angle)

    def elevation(self, box: Box) -> np.ndarray | None:
        """See `elevation`."""
        return elevation(self.prediction, box)

    def other_seed(self, mask: np.ndarray, box: Box, point: np.ndarray) -> np.ndarray:
        """See `other_seed`."""
        return other_seed(self.prediction, mask, box, point)
