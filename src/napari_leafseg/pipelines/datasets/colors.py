"""Label images in which a leaf is a color: numbers that stay with the leaf through all images of its plant."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_leafseg.errors import InputFileError, plain_reason
from napari_leafseg.io import read_image, read_labels

_LOG = logging.getLogger(__name__)
_MOST = 500  # colors of a label image; one that was compressed like a photograph has more
Color = tuple[int, int, int]


def _values(path: Path) -> np.ndarray:
    """A label image's colors as one number each (H, W), black = 0; or the numbers that it holds."""
    try:
        array = read_image(path).array
    except InputFileError as error:
        _LOG.debug("%s is read as numbers: %s", path, error)
        return read_labels(path)
    if array.ndim == 2 or array.shape[-1] not in (3, 4):
        return read_labels(path)
    if array.dtype != np.uint8:
        raise InputFileError(f"{path} is no image of leaves in colors: its values are {array.dtype}. Get it again.")
    red, green, blue = (array[..., channel].astype(np.int32) for channel in range(3))
    packed = (red << 16) | (green << 8) | blue
    if array.shape[-1] == 4:
        packed[array[..., 3] == 0] = 0
    return packed


def _kinds(values: np.ndarray, path: Path) -> np.ndarray:
    found = np.unique(values)
    found = found[found != 0]
    if len(found) > _MOST:
        raise InputFileError(
            f"{path} has {len(found):,} colors, so it is no image of leaves in colors, or it was compressed like a "
            "photograph. Get the original."
        )
    return found


class PlantColors:
    """Numbers the leaves of one plant by their colors, in all of its images alike.

    Parameters
    ----------
    files : sequence of pathlib.Path
        Label images of the plant, in order of time.
    palette : mapping
        Numbers of colors that the data set names; others follow in the order in which they appear.
    """

    def __init__(self, files: Sequence[Path], palette: Mapping[Color, int] | None = None) -> None:
        self.files = files
        self.palette = {(r << 16) | (g << 8) | b: number for (r, g, b), number in (palette or {}).items()}
        self._numbers: dict[int, int] | None = None
        self._lock = threading.Lock()

    @property
    def numbers(self) -> dict[int, int]:
        """The number of each color; reads all label images of the plant once."""
        with self._lock:
            if self._numbers is None:
                self._numbers = self._read()
            return self._numbers

    def _read(self) -> dict[int, int]:
        numbers: dict[int, int] = {}
        following = max(self.palette.values(), default=0) + 1
        for path in self.files:
            try:
                kinds = _kinds(_values(path), path)
            except InputFileError as error:  # it is told when this image's own labels are read
                _LOG.debug("%s numbers no leaves: %s", path, error)
                continue
            for kind in map(int, kinds):
                if kind in numbers:
                    continue
                if kind in self.palette:
                    numbers[kind] = self.palette[kind]
                else:
                    numbers[kind] = following
                    following += 1
        return numbers

    def labels(self, path: Path) -> np.ndarray:
        """Return the labels (H, W) of one image.

        Raises
        ------
        InputFileError
            When it cannot be read, or is no image of leaves in colors.
        """
        values = _values(path)
        kinds = _kinds(values, path)
        numbers = self.numbers
        order = np.concatenate([[0], kinds]).astype(np.int64)
        named = np.array([0, *(numbers[int(kind)] for kind in kinds)], np.int32)
        place = np.argsort(order)
        return named[place][np.searchsorted(order[place], values)]


def read_palette(path: Path) -> dict[Color, int]:
    """Read a table of colors: a row a leaf, its color as three numbers, ``#f4400e`` or ``(244, 64, 14)``.

    Raises
    ------
    InputFileError
        When it is no table or names no colors.
    """
    try:
        frame = pd.read_excel(path, header=None, dtype=object)
    except Exception as error:  # openpyxl raises anything on damaged files
        raise InputFileError(
            f"{path} cannot be read as a table of colors ({plain_reason(error, path)}). Get it again."
        ) from error
    found: dict[Color, int] = {}
    for row in frame.itertuples(index=False, name=None):
        color = _color_of(row)
        if color is not None and color != (0, 0, 0) and color not in found:
            found[color] = len(found) + 1
    if not found:
        raise InputFileError(f"{path} names no colors. Get it again.")
    return found


def _color_of(row: Sequence[Any]) -> Color | None:
    """The color that a row names: text is believed first, else its last three whole numbers."""
    for cell in row:
        if isinstance(cell, str):
            if match := re.search(r"#([0-9a-fA-F]{6})\b", cell):
                return tuple(bytes.fromhex(match[1]))  # type: ignore[return-value]
            if match := re.fullmatch(r"\D*(\d{1,3})\D+(\d{1,3})\D+(\d{1,3})\D*", cell.strip()):
                color = int(match[1]), int(match[2]), int(match[3])
                return color if max(color) < 256 else None
    numbers = [int(cell) for cell in row if isinstance(cell, int | float | np.number) and cell == cell]
    last = numbers[-3:]
    return (last[0], last[1], last[2]) if len(last) == 3 and all(0 <= value < 256 for value in last) else None
