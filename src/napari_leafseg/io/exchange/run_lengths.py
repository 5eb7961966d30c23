"""Masks as run lengths, read with every number checked before any memory is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as run_length

from napari_leafseg.errors import InputFileError
from napari_leafseg.io.polygons import Box


def write_run_lengths(mask: np.ndarray, place: Box, shape: tuple[int, int]) -> dict[str, Any]:
    """Encode a bool mask at a place of an image as COCO does: compressed, column by column."""
    rows, columns = place
    whole = np.zeros((shape[0], columns.stop - columns.start), bool)
    whole[rows] = mask
    edges = np.flatnonzero(np.diff(whole.T.ravel().astype(np.int8), prepend=0, append=0)) + columns.start * shape[0]
    counts = np.diff(edges, prepend=0, append=shape[0] * shape[1]).tolist()
    coded = run_length.frPyObjects({"size": list(shape), "counts": counts if counts[-1] else counts[:-1]}, *shape)
    return {"size": [int(side) for side in shape], "counts": coded["counts"].decode()}


def read_run_lengths(coded: Any, shape: tuple[int, int]) -> tuple[Box, np.ndarray]:
    """Decode COCO's run lengths, compressed or not.

    Parameters
    ----------
    coded : dict
        ``size`` and ``counts``.
    shape : tuple of int
        Height and width of the image.

    Returns
    -------
    (tuple of slice, numpy.ndarray)
        A place in the image and a bool mask there.

    Raises
    ------
    InputFileError
        When they are of another size than the image, or do not add up to it.
    """
    return decode_runs(_counts(coded, shape), shape)


def check_run_lengths(coded: Any, shape: tuple[int, int]) -> None:
    """Check COCO's run lengths without decoding them; see `read_run_lengths`."""
    check_runs(_counts(coded, shape), shape[0] * shape[1])


def _counts(coded: Any, shape: tuple[int, int]) -> np.ndarray:
    size = tuple(coded["size"])
    if size != tuple(shape):
        raise InputFileError(f"run lengths of a mask of {size}, but the image is {tuple(shape)}")
    counts = coded["counts"]
    return _uncompressed(counts.encode("latin-1")) if isinstance(counts, str) else _whole_numbers(counts)


def check_runs(counts: np.ndarray, total: int) -> None:
    """Check that run lengths add up to so many pixels.

    Raises
    ------
    InputFileError
    """
    if len(counts) and (counts.min() < 0 or counts.max() > total):
        raise InputFileError("run lengths below zero or beyond the image")
    if int(counts.sum()) != total:
        raise InputFileError(f"run lengths that add up to {int(counts.sum()):,} pixels, not to {total:,}")


def decode_runs(counts: np.ndarray, shape: tuple[int, int], by_row: bool = False) -> tuple[Box, np.ndarray]:
    """Turn run lengths, the first of background, into a place and a bool mask there.

    Parameters
    ----------
    counts : numpy.ndarray
        int64
    shape : tuple of int
        Height and width of what they describe.
    by_row : bool
        Whether they run along the rows, not the columns.

    Raises
    ------
    InputFileError
        When they do not add up to the shape.
    """
    lines, length = shape if by_row else shape[::-1]
    check_runs(counts, lines * length)
    edges = np.cumsum(counts)
    starts, stops = edges[0::2][: len(edges) // 2], edges[1::2]
    filled = stops > starts
    starts, stops = starts[filled], stops[filled]
    if not len(starts):
        return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), bool)
    first, last = int(starts[0] // length), int((stops[-1] - 1) // length) + 1
    toggles = np.zeros((last - first) * length + 1, np.uint8)
    toggles[starts - first * length] = 1
    np.bitwise_xor.at(toggles, stops - first * length, 1)
    inside = np.bitwise_xor.accumulate(toggles, out=toggles)[:-1].reshape(last - first, length).view(bool)
    if by_row:
        return (slice(first, last), slice(0, length)), inside
    return (slice(0, length), slice(first, last)), inside.T


def parse_counts(text: str) -> np.ndarray:
    """Read run lengths that are written as numbers between commas.

    Raises
    ------
    InputFileError
    """
    return _whole_numbers([int(item) for item in text.split(",") if item.strip()])


def _whole_numbers(counts: Any) -> np.ndarray:
    if isinstance(counts, list):
        counts = [int(count) if isinstance(count, float) and count.is_integer() else count for count in counts]
    if not isinstance(counts, list) or any(type(count) is not int or not -1 < count < 2**40 for count in counts):
        raise InputFileError("run lengths that are no whole numbers from 0 on")
    return np.array(counts, np.int64)


def _uncompressed(text: bytes) -> np.ndarray:
    """Decode COCO's text: five bits a character, the sixth says that more follow; from the fourth number on each is
    the difference to the last but one."""
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if not len(codes):
        return codes
    ends = (codes & 0x20) == 0
    if codes.min() < 0 or codes.max() > 63 or not ends[-1]:
        raise InputFileError("run lengths that are no text of COCO’s kind")
    starts = np.flatnonzero(np.concatenate([[True], ends[:-1]]))
    digit = np.arange(len(codes)) - np.repeat(starts, np.diff(starts, append=len(codes)))
    if digit.max() > 7:
        raise InputFileError("run lengths that are larger than any image")
    values = np.add.reduceat((codes & 0x1F) << (5 * digit), starts)
    last = np.flatnonzero(ends)
    values -= np.where(codes[last] & 0x10, np.int64(1) << (5 * (digit[last] + 1)), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
