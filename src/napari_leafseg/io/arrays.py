"""Arrays of any kind to what models see: RGB, uint8."""

from __future__ import annotations

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.errors import InputFileError

SMALLEST_SIDE = 16


def check_image(array: np.ndarray, name: str = "The image") -> None:
    """Refuse what no model can work on.

    Parameters
    ----------
    array : numpy.ndarray
        (H, W) or (H, W, C).
    name : str
        File or layer, for the message.

    Raises
    ------
    InputFileError
        For a wrong number of dimensions or channels, a side under 16 px, infinite values, NaN everywhere, an image of
        one color all over, or values that are no numbers.
    """
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        shape = " × ".join(map(str, array.shape))
        raise InputFileError(
            f"{name} is an array of {shape}, not one image (height × width, or height × width × 3 colors). "
            "For a stack, give it as time × height × width × 3 (set the layer to RGB), or choose a single frame."
        )
    height, width = array.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise InputFileError(
            f"{name} is {width} × {height} pixels, too small to hold a leaf. "
            f"Use an image of at least {SMALLEST_SIDE} × {SMALLEST_SIDE}."
        )
    if array.dtype.kind not in "buif":
        raise InputFileError(
            f"{name} holds values of type {array.dtype}, which are no brightnesses. Convert it to 8- or 16-bit."
        )
    colors = array[..., :3] if array.ndim == 3 else array
    if array.dtype.kind == "f":
        if np.isinf(colors).any():
            raise InputFileError(
                f"{name} holds values that are infinity, from a division by zero. Compute the image again without them."
            )
        if np.isnan(colors).all():
            raise InputFileError(f"{name} holds no values, only NaN (“not a number”). Choose another image.")
        low, high = np.nanmin(colors), np.nanmax(colors)
    else:
        low, high = colors.min(), colors.max()
    if low == high:
        what = "black" if not low else "one color"
        raise InputFileError(f"{name} is {what} all over: there is nothing to segment. Choose another image.")


def to_rgb8(array: np.ndarray, name: str = "The image") -> np.ndarray:
    """Convert an image to RGB uint8.

    uint8 is kept as it is. uint16 and other integers are scaled from 0 to their 99.9th percentile; float is taken as
    0 to 1 where it lies within that range, else scaled between its 0.1th and 99.9th percentiles. Gray is repeated,
    transparent pixels and NaN, which marks what was not measured, become black.

    Parameters
    ----------
    array : numpy.ndarray
        (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
    name : str
        File or layer, for messages.

    Returns
    -------
    numpy.ndarray
        uint8 (H, W, 3).

    Raises
    ------
    InputFileError
        See `check_image`.
    """
    check_image(array, name)
    alpha = None
    if array.ndim == 3 and array.shape[2] == 4:
        alpha, array = array[..., 3], array[..., :3]
    values = array if array.dtype == np.uint8 else _to_uint8(array)
    if values.ndim == 2:
        values = values[..., None]
    if values.shape[2] == 1:
        values = np.repeat(values, 3, 2)
    if alpha is not None:
        values = np.where((alpha > 0)[..., None], values, 0)
    return np.ascontiguousarray(values, dtype=np.uint8)


def _to_uint8(array: np.ndarray) -> np.ndarray:
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    empty = np.isnan(array) if array.dtype.kind == "f" else None
    if empty is not None and empty.any():
        known = array[~empty]
        sample = known[:: max(1, known.size // 1_000_000)]
    else:
        empty, known = None, array
        sample = array[:: max(1, array.shape[0] // 1000), :: max(1, array.shape[1] // 1000)]
    low, high = 0.0, float(np.percentile(sample, 99.9))
    if array.dtype.kind == "f":
        low = float(np.percentile(sample, 0.1))
        if float(known.min()) >= 0 and float(known.max()) <= 1:
            low, high = 0.0, 1.0
    elif float(array.min()) < 0:
        low = float(np.percentile(sample, 0.1))
    if high <= low:
        low, high = float(known.min()), float(known.max())
    scaled = (array.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    if empty is not None:
        scaled[empty] = 0
    return np.round(np.clip(scaled, 0, 255)).astype(np.uint8)


def resize(image: np.ndarray, scale: float) -> np.ndarray:
    """Resize by a factor, averaging when it shrinks; never under 16 pixels a side."""
    height, width = image.shape[:2]
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    if size == (width, height):
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
