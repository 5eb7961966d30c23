"""Label images as other programs write them, to plain integer labels."""

from __future__ import annotations

import numpy as np

from napari_leafseg.errors import InputFileError


def as_labels(array: np.ndarray, name: str, series: bool = False) -> np.ndarray:
    """Make integer labels, 0 = background, of what a file holds.

    Whole numbers may be stored as floats (NaN is background); axes of length one are dropped; three equal channels
    are one; −1 is background where no pixel is 0. Numbers beyond 2,147,483,647 are replaced by 1, 2, …

    Parameters
    ----------
    array : numpy.ndarray
    name : str
        The file, for messages.
    series : bool
        Whether (T, H, W) is right as well.

    Returns
    -------
    numpy.ndarray
        int32 (H, W) or (T, H, W).

    Raises
    ------
    InputFileError
        For colors, fractions, more axes, or other values than numbers.
    """
    if array.dtype.kind not in "buif" or array.size == 0:
        raise InputFileError(f"{name} is no label image: it holds {array.dtype} values of shape {array.shape}.")
    array = _one_channel(array, name)
    if array.ndim > 2:
        array = array.reshape([side for side in array.shape if side > 1] or [1])
    if array.ndim == 3 and not series and array.shape[-1] not in (3, 4):
        raise InputFileError(
            f"{name} holds labels of a time series of {len(array)} images, and those of one image are needed. Save "
            "each image and its labels as files of their own."
        )
    if array.ndim != 2 and not (series and array.ndim == 3):
        raise InputFileError(
            f"{name} is no label image: labels are one channel of whole numbers, "
            f"this is {array.shape} of {array.dtype}."
        )
    if array.dtype.kind == "f":
        array = _whole(array, name)
    return _numbered(array, name)


def _one_channel(array: np.ndarray, name: str) -> np.ndarray:
    """Of RGB or RGBA gray, the gray."""
    if array.ndim < 3 or array.shape[-1] not in (3, 4) or min(array.shape[-3:-1]) < 2:
        return array
    colors = array[..., :3]
    if (colors == colors[..., :1]).all():
        return array[..., 0]
    if array.ndim > 3 or array.dtype == np.uint8:
        raise InputFileError(
            f"{name} is no label image but one in color: a leaf’s number is not to be told from its color. "
            "Export the labels as one channel."
        )
    return array


def _whole(array: np.ndarray, name: str) -> np.ndarray:
    array = np.where(np.isnan(array), 0, array)
    if not np.isfinite(array).all() or np.abs(array).max() > 2**53 or (array != np.round(array)).any():
        raise InputFileError(f"{name} is no label image: it holds fractions, and leaves are numbered 1, 2, 3 …")
    return array.astype(np.int64)


def _numbered(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind == "i" and array.min() < 0:
        if array.min() < -1 or (array == 0).any():
            raise InputFileError(
                f"{name} holds numbers below 0 beside 0: which of them is background is not clear. "
                "Export it with background 0."
            )
        array = np.where(array < 0, 0, array)
    if array.max() > np.iinfo(np.int32).max:
        numbers = np.unique(array)
        array = np.searchsorted(numbers, array) + int(numbers[0] != 0)
    return array.astype(np.int32)


def renumbered(labels: np.ndarray) -> np.ndarray:
    """Number leaves 1, 2, … in the order of their numbers; uint32."""
    numbers = np.unique(labels)
    dense = np.searchsorted(numbers, labels) + int(len(numbers) > 0 and numbers[0] != 0)
    return dense.astype(np.uint32)
