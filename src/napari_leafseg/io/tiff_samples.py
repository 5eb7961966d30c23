"""Samples of TIFF pages to brightnesses and colors: palettes, inverted gray, transparency, pixels without data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_leafseg.io.axes import with_alpha
from napari_leafseg.io.color import without_premultiplied

ALPHA = (1, 2)  # kinds of extra samples that are transparency


def without_nodata(array: np.ndarray, value: float, sampled: bool) -> np.ndarray:
    """Set pixels without data to NaN, or to the darkest value."""
    if array.dtype.kind == "f":
        hole = array == array.dtype.type(value)
        return np.where(hole, array.dtype.type(np.nan), array) if hole.any() else array
    empty = array == value
    if sampled:
        empty = np.broadcast_to(empty.all(-1, keepdims=True), array.shape)
    if value == 0 or not empty.any() or empty.all():
        return array
    return np.where(empty, array.dtype.type(min(0, int(array[~empty].min()))), array)


def without_lowest(array: np.ndarray) -> np.ndarray:
    """Set to NaN the pixels that map programs fill with the lowest number there is, mostly without saying so."""
    if array.dtype.kind != "f" or array.dtype.itemsize < 4:
        return array
    hole = array < -3e38
    return np.where(hole, array.dtype.type(np.nan), array) if hole.any() else array


def look_up(array: np.ndarray, palette: np.ndarray, extras: tuple[int, ...] | None) -> np.ndarray:
    """Look up colors of a palette; where the array has samples, its first are indices, `extras` says of the rest."""
    colors = (palette >> 8 if palette.max(initial=0) > 255 else palette).T.astype(np.uint8)
    if extras is None:
        return colors[array]
    opacity = [array[..., [at]] for at, kind in enumerate(extras, start=1) if kind in ALPHA]
    return np.concatenate([colors[array[..., 0]], *opacity[:1]], -1).astype(np.uint8)


def inverted(array: np.ndarray, bits: int, samples: list[int] | None = None) -> np.ndarray:
    """Turn white-is-zero to black-is-zero; of `samples` only, the rest is transparency."""
    if samples is not None:
        result = array.copy()
        result[..., samples] = inverted(array[..., samples], bits)
        return result
    if array.dtype.kind == "b":
        return ~array
    if array.dtype.kind == "u":
        return array.dtype.type(2**bits - 1) - array
    if array.dtype.kind == "i":
        return ~array
    return np.nanmax(array) - array


def stretched(array: np.ndarray, bits: int) -> np.ndarray:
    """Convert values of 2 to 7 bits to 8 bits."""
    return (array.astype(np.uint16) * 255 // (2**bits - 1)).astype(np.uint8)


def picked(array: np.ndarray, spectral: list[int], alpha: int | None, multiplied: bool, inks: bool) -> np.ndarray:
    """Choose some of the samples; transparency becomes the last, or black where there are more channels."""
    colors = array[..., spectral]
    if alpha is None:
        return colors
    opacity = array[..., [alpha]]
    if multiplied:
        colors = without_premultiplied(colors, opacity)
    if inks or len(spectral) in (1, 3):
        both = np.concatenate([colors, opacity], -1)
        return with_alpha(both) if len(spectral) == 1 else both
    return np.where(opacity > 0, colors, colors.dtype.type(0))


def colored(array: np.ndarray, convert: Callable[[np.ndarray], np.ndarray], base: int) -> np.ndarray:
    """Convert colors to RGB; what follows them, transparency, stays."""
    rgb = convert(array[..., :base])
    return rgb if array.shape[-1] == base else np.concatenate([rgb, array[..., base:].astype(rgb.dtype)], -1)
