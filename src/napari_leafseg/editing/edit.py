"""A change of a label image as a value: what was, what is, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_leafseg.errors import UserError

LeafKey = tuple[int, int]  # frame (0 for a single image) and leaf
Box = tuple[slice, slice]
LARGEST_NUMBER = 65_535


@dataclass(frozen=True, eq=False)
class Edit:
    """One change, undoable bit for bit.

    Attributes
    ----------
    tool : str
        What made it.
    box : tuple of slice
        Rows and columns.
    before, after : numpy.ndarray
        Integer (h, w), the box's labels.
    frame : int or None
        The frame of a time series.
    """

    tool: str
    box: Box
    before: np.ndarray
    after: np.ndarray
    frame: int | None = None

    def apply(self, labels: np.ndarray) -> None:
        """Make the change in (H, W), or in the frame of (T, H, W)."""
        self._plane(labels)[self.box] = self.after

    def revert(self, labels: np.ndarray) -> None:
        """Take it back."""
        self._plane(labels)[self.box] = self.before

    def _plane(self, labels: np.ndarray) -> np.ndarray:
        return labels if self.frame is None else labels[self.frame]

    @property
    def leaves(self) -> tuple[int, ...]:
        """Leaves that gained or lost pixels, or appeared, or vanished."""
        changed = self.before != self.after
        touched = np.union1d(self.before[changed], self.after[changed])
        return tuple(int(leaf) for leaf in touched if leaf)

    @property
    def gained(self) -> tuple[int, ...]:
        """Leaves that got pixels which they did not have."""
        found = np.unique(self.after[self.before != self.after])
        return tuple(int(leaf) for leaf in found if leaf)


def difference(labels: np.ndarray, box: Box | None, after: np.ndarray, tool: str) -> Edit | None:
    """Return the edit that turns the box of a label image into `after`, trimmed to what changes.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (H, W).
    box : tuple of slice or None
        With starts and stops; None = the whole image.
    after : numpy.ndarray
        Integer, of the box's shape.
    tool : str

    Returns
    -------
    Edit or None
        None where nothing changes.
    """
    box = box or (slice(0, labels.shape[0]), slice(0, labels.shape[1]))
    before = labels[box]
    changed = before != after
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    if not len(rows):
        return None
    inner = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    outer = (
        slice(box[0].start + inner[0].start, box[0].start + inner[0].stop),
        slice(box[1].start + inner[1].start, box[1].start + inner[1].stop),
    )
    return Edit(tool, outer, before[inner].copy(), after[inner].astype(labels.dtype, copy=True))


def next_number(labels: np.ndarray, taken: int = 0) -> int:
    """Return a number that no leaf has.

    Parameters
    ----------
    labels : numpy.ndarray
    taken : int
        Largest number that was given before: a deleted leaf's number, and so its color, is not given again.

    Raises
    ------
    UserError
        When 16 bits are used up.
    """
    number = max(int(labels.max(initial=0)), taken) + 1
    if number > LARGEST_NUMBER:
        number = int(labels.max(initial=0)) + 1
    if number > LARGEST_NUMBER:
        raise UserError("There is no leaf number left below 65,536. Save, and number the leaves anew.")
    return number


def leaf_box(labels: np.ndarray, leaf: int, margin: int = 0) -> Box | None:
    """Return the box around a leaf with a margin, within the image; None when there is no such leaf."""
    mask = labels == leaf
    rows = np.flatnonzero(mask.any(1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(0))
    return (
        slice(max(0, int(rows[0]) - margin), min(labels.shape[0], int(rows[-1]) + 1 + margin)),
        slice(max(0, int(columns[0]) - margin), min(labels.shape[1], int(columns[-1]) + 1 + margin)),
    )


def leaf_at(labels: np.ndarray, y: float, x: float, reach: int = 0) -> int:
    """Return the leaf at a point, or the nearest within `reach` pixels; 0 where there is none."""
    row, column = round(y), round(x)
    if not (0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]):
        return 0
    if labels[row, column] or not reach:
        return int(labels[row, column])
    top, left = max(0, row - reach), max(0, column - reach)
    around = labels[top : row + reach + 1, left : column + reach + 1]
    ys, xs = np.nonzero(around)
    if not len(ys):
        return 0
    distance = (ys + top - row) ** 2 + (xs + left - column) ** 2
    nearest = int(distance.argmin())
    return int(around[ys[nearest], xs[nearest]]) if distance[nearest] <= reach * reach else 0
