"""Labels that are derived: brought to another size, and refined leaf by leaf."""

from __future__ import annotations

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.models.registry import ModelFamily

_SOFTENING = 0.6  # working pixels: rounds the stairs of an enlarged outline, keeps petioles one pixel wide


def enlarge_labels(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bring labels to another size with smooth outlines.

    Each leaf is softened a little and resized by itself with linear interpolation; a pixel goes to the leaf that
    covers it most, and to the background where all leaves together cover less than half of it.

    Parameters
    ----------
    labels : numpy.ndarray
        uint16 (h, w).
    shape : tuple of int
        Height and width wanted.

    Returns
    -------
    numpy.ndarray
        uint16 of that shape.
    """
    if labels.shape == tuple(shape):
        return labels
    from scipy import ndimage

    zoom_y, zoom_x = shape[0] / labels.shape[0], shape[1] / labels.shape[1]
    result = np.zeros(shape, np.uint16)
    best = np.zeros(shape, np.uint8)
    whole = cv2.GaussianBlur((labels > 0).astype(np.uint8) * 255, (5, 5), _SOFTENING)
    covered = cv2.resize(whole, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    for number, box in enumerate(ndimage.find_objects(labels.astype(np.int32)), start=1):
        if box is None:
            continue
        top, left = max(0, box[0].start - 2), max(0, box[1].start - 2)
        mask = (labels[top : box[0].stop + 2, left : box[1].stop + 2] == number).astype(np.uint8) * 255
        mask = cv2.GaussianBlur(mask, (5, 5), _SOFTENING)
        start = (int(top * zoom_y), int(left * zoom_x))
        stop = (
            min(shape[0], int(np.ceil((top + mask.shape[0]) * zoom_y))),
            min(shape[1], int(np.ceil((left + mask.shape[1]) * zoom_x))),
        )
        # centers of pixels: full = (working + 0.5) * zoom - 0.5
        matrix = np.array(
            [
                [zoom_x, 0, (left + 0.5) * zoom_x - 0.5 - start[1]],
                [0, zoom_y, (top + 0.5) * zoom_y - 0.5 - start[0]],
            ]
        )
        cover = cv2.warpAffine(
            mask,
            matrix,
            (stop[1] - start[1], stop[0] - start[0]),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        place = (slice(start[0], stop[0]), slice(start[1], stop[1]))
        better = cover > best[place]
        np.copyto(best[place], cover, where=better)
        result[place][better] = number
    result[covered < 128] = 0
    return result


def refine_mask(family: ModelFamily, mask: np.ndarray, values: dict[str, float], zoom: float = 1.0) -> np.ndarray:
    """Give what the parameters that have a step of their own leave of a leaf's mask, bool (h, w)."""
    for spec in family.parameters:
        if spec.refine is not None and mask.any():
            mask = mask & spec.refine(mask, values.get(spec.name, spec.default), zoom)
    return mask


def refine_labels(family: ModelFamily, labels: np.ndarray, values: dict[str, float], zoom: float = 1.0) -> np.ndarray:
    """Refine each leaf, see `refine_mask`; what stays is numbered 1 … N.

    Parameters
    ----------
    family : ModelFamily
    labels : numpy.ndarray
        uint16 (H, W).
    values : dict
    zoom : float
        Pixels of `labels` per pixel of the image.
    """
    if all(spec.refine is None for spec in family.parameters):
        return labels
    from scipy import ndimage

    result, count = np.zeros_like(labels), 0
    for number, box in enumerate(ndimage.find_objects(labels.astype(np.int32)), start=1):
        if box is None:
            continue
        mask = refine_mask(family, labels[box] == number, values, zoom)
        if mask.any():
            count += 1
            result[box][mask] = count
    return result
