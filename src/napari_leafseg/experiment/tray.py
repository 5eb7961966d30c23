"""A tray of pots: a grid over the image, laid by four corners, and the names of its pots."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.errors import ParameterError, plain_reason

Pot = tuple[int, int]
"""The row and column of a pot, from 0 at the first corner."""
Point = tuple[float, float]

DEFAULT_NAMES = "{row:A}{column}"
MOST = 100  # rows or columns
_WHOLE: tuple[Point, ...] = ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0))
_FIELD = re.compile(r"\{(\w+)(?::(\w*))?\}")
_FIELDS = ("row", "column", "number", "snake", "down")


@dataclass(frozen=True)
class Tray:
    """Rows and columns of pots, seen in any perspective.

    Attributes
    ----------
    rows, columns : int
    corners : tuple
        Of the outer edge of the pots: that of the first pot, then the last of the first row, of the last row, and the
        first of the last row; each y and x as a share of the image's height and width.
    names : str
        Pattern of the pots' names, see `pot_names`.
    empty : frozenset
        Pots that hold no plant.
    width_mm : float, optional
        Of the first row, from its outer edge to that at the other end: gives the scale.
    renamed : mapping
        Names that somebody typed for single pots.
    """

    rows: int
    columns: int
    corners: tuple[Point, ...] = _WHOLE
    names: str = DEFAULT_NAMES
    empty: frozenset[Pot] = field(default_factory=frozenset)
    width_mm: float | None = None
    renamed: Mapping[Pot, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not (1 <= self.rows <= MOST and 1 <= self.columns <= MOST):
            raise ParameterError(f"A tray has 1 to {MOST} rows and columns, not {self.rows} × {self.columns}.")
        if self.width_mm is not None and not (np.isfinite(self.width_mm) and self.width_mm > 0):
            raise ParameterError(f"The width of a tray is a number of millimeters over 0, not {self.width_mm}.")
        _check_corners(self.corners)
        names, pots = list(self.name_of.values()), set(self.pots)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ParameterError(f"Two pots are called “{twice}”. Give each a name of its own.")
        object.__setattr__(self, "empty", frozenset(self.empty & pots))  # of a tray that was larger
        object.__setattr__(self, "renamed", {pot: name for pot, name in self.renamed.items() if pot in pots})

    # -- names -------------------------------------------------------------------------------------------------------

    @cached_property
    def name_of(self) -> dict[Pot, str]:
        """The name of each pot."""
        return {pot: self.renamed.get(pot, name)
                for pot, name in pot_names(self.names, self.rows, self.columns).items()}  # fmt: skip

    def number_of(self, pot: Pot) -> int:
        """Return the number of a pot, 1 … N, row by row: its plant's number in tables, the same in all images."""
        return pot[0] * self.columns + pot[1] + 1

    def pot_of_number(self, number: int) -> Pot:
        """Return the pot that has a number."""
        return divmod(number - 1, self.columns)

    @property
    def pots(self) -> list[Pot]:
        """All pots, row by row."""
        return [(row, column) for row in range(self.rows) for column in range(self.columns)]

    def with_empty(self, pot: Pot, empty: bool) -> Tray:
        """Return the tray with a pot marked as empty, or not."""
        return replace(self, empty=self.empty | {pot} if empty else self.empty - {pot})

    def with_name(self, pot: Pot, name: str) -> Tray:
        """Return the tray with another name for a pot; that of the pattern where the text is empty.

        Raises
        ------
        ParameterError
            When another pot has that name.
        """
        others = {other: text for other, text in self.renamed.items() if other != pot}
        return replace(self, renamed={**others, pot: name.strip()} if name.strip() else others)

    # -- places in the image -----------------------------------------------------------------------------------------

    def to_image(self, points: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return where points of the grid (row and column, with fractions) lie in an image: (N, 2), y and x."""
        return _through(self._homography(shape), points)

    def to_grid(self, points: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return rows and columns (with fractions) of points (y, x) of an image: (N, 2); outside of the tray, too."""
        return _through(np.linalg.inv(self._homography(shape)), points)

    def _homography(self, shape: tuple[int, ...]) -> np.ndarray:
        """From rows and columns to pixels; an edge of the image is half a pixel outside of its last pixel's middle."""
        height, width = shape[:2]
        grid = np.array([(0, 0), (0, self.columns), (self.rows, self.columns), (self.rows, 0)], np.float32)
        corners = np.array([(y * height - 0.5, x * width - 0.5) for y, x in self.corners], np.float32)
        found: np.ndarray = cv2.getPerspectiveTransform(grid, corners)
        return found

    def outline(self, pot: Pot, shape: tuple[int, ...]) -> np.ndarray:
        """Return the corners of a pot in an image: (4, 2), y and x."""
        row, column = pot
        corners = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column)]
        return self.to_image(corners, shape)

    def middle(self, pot: Pot, shape: tuple[int, ...]) -> Point:
        """Return the middle of a pot in an image, y and x."""
        (y, x), *_ = self.to_image([(pot[0] + 0.5, pot[1] + 0.5)], shape)
        return float(y), float(x)

    def pot_at(self, y: float, x: float, shape: tuple[int, ...]) -> Pot | None:
        """Return the pot at a point of an image; None outside of the tray."""
        row, column = np.floor(self.to_grid([(y, x)], shape)[0])
        if 0 <= row < self.rows and 0 <= column < self.columns:
            return int(row), int(column)
        return None

    def box(self, pot: Pot, shape: tuple[int, ...], margin: float = 0.15) -> tuple[slice, slice]:
        """Return the upright box around a pot, wider by a share of its size at each side, within the image."""
        outline = self.outline(pot, shape)
        low, high = outline.min(0), outline.max(0)
        room = margin * (high - low)
        first = np.clip(np.floor(low - room), 0, None).astype(int)
        last = np.minimum(np.ceil(high + room).astype(int) + 1, shape[:2])
        return slice(first[0], max(last[0], first[0])), slice(first[1], max(last[1], first[1]))

    def px_per_mm(self, shape: tuple[int, ...]) -> float | None:
        """Return pixels a millimeter along the middle of the tray; None where its width is not known."""
        if self.width_mm is None:
            return None
        ends = self.to_image([(self.rows / 2, 0), (self.rows / 2, self.columns)], shape)
        return float(np.hypot(*(ends[1] - ends[0]))) / self.width_mm

    # -- as it is kept -----------------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """Return what a JSON file keeps."""
        content: dict[str, Any] = {
            "rows": self.rows, "columns": self.columns, "corners": [list(corner) for corner in self.corners],
            "names": self.names, "empty": [list(pot) for pot in sorted(self.empty)],
        }  # fmt: skip
        if self.width_mm is not None:
            content["width_mm"] = self.width_mm
        if self.renamed:
            content["renamed"] = [[*pot, name] for pot, name in sorted(self.renamed.items())]
        return content

    @classmethod
    def from_dict(cls, content: Any) -> Tray:
        """Read what a JSON file keeps.

        Raises
        ------
        ParameterError
            When it is no tray, in words.
        """
        try:
            corners = tuple((float(y), float(x)) for y, x in content.get("corners", _WHOLE))
            empty = frozenset((int(row), int(column)) for row, column in content.get("empty", ()))
            width = content.get("width_mm")
            renamed = {(int(row), int(column)): str(name) for row, column, name in content.get("renamed", ())}
            return cls(int(content["rows"]), int(content["columns"]), corners, str(content.get("names", DEFAULT_NAMES)),
                       empty, None if width is None else float(width), renamed)  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ParameterError(
                f"A tray has rows, columns and four corners; this has not ({plain_reason(error)})."
            ) from error


def _through(matrix: np.ndarray, points: Any) -> np.ndarray:
    """Points (N, 2) moved by a homography."""
    points = np.asarray(points, float).reshape(-1, 2)
    moved = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    found: np.ndarray = moved[:, :2] / moved[:, 2:]
    return found


def _check_corners(corners: tuple[Point, ...]) -> None:
    """Refuse corners that are not those of a quadrilateral without a dent."""
    points = np.array(corners, float)
    if points.shape != (4, 2) or not np.isfinite(points).all():
        raise ParameterError("A tray has four corners, each with y and x.")
    sides = np.roll(points, -1, 0) - points
    after = np.roll(sides, -1, 0)
    turns = sides[:, 1] * after[:, 0] - sides[:, 0] * after[:, 1]
    if not ((turns > 1e-6).all() or (turns < -1e-6).all()):
        raise ParameterError("The corners of the tray cross or lie on one line. Drag them to the tray's four corners.")


def pot_names(pattern: str, rows: int, columns: int) -> dict[Pot, str]:
    """Return the names of a tray's pots.

    Parameters
    ----------
    pattern : str
        ``{row}``, ``{column}`` and three numbers: ``{number}`` row by row, ``{down}`` column by column, ``{snake}`` row
        by row and back. With ``:A`` they are letters, with ``:03`` digits with zeros.
    rows, columns : int

    Raises
    ------
    ParameterError
        When the pattern cannot be read, or two pots get one name.
    """
    for name, form in _FIELD.findall(pattern):
        if name not in _FIELDS:
            known = ", ".join(f"{{{known}}}" for known in _FIELDS)
            raise ParameterError(f"“{{{name}}}” is no part of a pot's name. There are {known}.")
        if form and not re.fullmatch(r"[Aa]|0?[1-9]", form):
            raise ParameterError(f"“:{form}” says nothing of how “{name}” is written. There are :A and :02.")
    if set(_FIELD.sub("", pattern)) & set("{}") or re.search(r'[\\/:*?"<>|\x00-\x1f]', _FIELD.sub("", pattern)):
        raise ParameterError(f"“{pattern}” is no pattern of names. Write it like {DEFAULT_NAMES}.")
    names: dict[Pot, str] = {}
    seen: dict[str, Pot] = {}
    for row in range(rows):
        for column in range(columns):
            values = {
                "row": row + 1, "column": column + 1, "number": row * columns + column + 1,
                "down": column * rows + row + 1, "snake": row * columns + (columns - column if row % 2 else column + 1),
            }  # fmt: skip
            name = _FIELD.sub(partial(_filled, values), pattern).strip()
            if not name or name in seen:
                raise ParameterError(
                    f"“{pattern}” gives several pots the name “{name}”. Name row and column, or a number, like "
                    f"{DEFAULT_NAMES} or {{number}}."
                )
            names[row, column], seen[name] = name, (row, column)
    return names


def _filled(values: Mapping[str, int], part: re.Match[str]) -> str:
    return _written(values[part[1]], part[2] or "")


def _written(number: int, form: str) -> str:
    if form in ("A", "a"):
        return letters(number - 1) if form == "A" else letters(number - 1).lower()
    return f"{number:{form}d}" if form else str(number)


def letters(number: int) -> str:
    """Write a number from 0 as A … Z, AA, AB …"""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(65 + rest) + text
    return text


def pots_by_names(tray: Tray, names: Iterable[str]) -> frozenset[Pot]:
    """Return the pots that have these names.

    Raises
    ------
    ParameterError
        When one is the name of none.
    """
    known = {name: pot for pot, name in tray.name_of.items()}
    found = set[Pot]()
    for name in names:
        if name not in known:
            few = ", ".join(list(known)[:4])
            raise ParameterError(f"“{name}” is the name of no pot. The pots are {few} …")
        found.add(known[name])
    return frozenset(found)
