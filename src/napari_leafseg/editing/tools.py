"""The correction tools as gestures: what a click or a stroke does, with all that is known of the image.

Nothing here knows the window: the dock widget hands over clicks and strokes, and so does the simulated annotator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

from napari_leafseg.editing import operations as ops
from napari_leafseg.editing.edit import Box, Edit, difference, leaf_at, leaf_box, next_number
from napari_leafseg.editing.grow import ColorGrowth, Growth
from napari_leafseg.editing.shapes import bounding_box, polygon_mask

_NEAR = 6  # pixels by which a click may miss a leaf


class Model(Protocol):
    """What a kept prediction knows of a place; see `napari_leafseg.inference.prompts`."""

    def growth(self, points: np.ndarray) -> Growth | None:
        """Return a leaf to be grown from points, None where the prediction knows nothing."""

    def elevation(self, box: Box) -> np.ndarray | None:
        """Tell where leaves meet."""

    def other_seed(self, mask: np.ndarray, box: Box, point: np.ndarray) -> np.ndarray:
        """Return the middle of a leaf apart from a point in it."""


@dataclass
class Scene:
    """The plane on the screen.

    Attributes
    ----------
    labels : numpy.ndarray
        uint16 (H, W).
    image : numpy.ndarray
        uint8 (H, W, 3).
    model : Model or None
    locked : frozenset of int
        Verified leaves.
    largest : int
        Largest number that was ever given.
    """

    labels: np.ndarray
    image: np.ndarray
    model: Model | None = None
    locked: frozenset[int] = frozenset()
    largest: int = 0


@dataclass
class Adding:
    """A leaf that is being added: it follows the angle until the next gesture.

    Attributes
    ----------
    number : int
    growth : Growth or None
        None where the click parted a leaf: the angle means nothing there.
    edit : Edit or None
        At the angle asked for last.
    """

    number: int
    growth: Growth | None
    edit: Edit | None

    def at(self, scene: Scene, angle: float) -> Edit | None:
        """Return the edit at another angle; `scene` holds the labels without the leaf."""
        if self.growth is None:
            return self.edit
        grown = self.growth.mask(angle)
        self.edit = None if grown is None else ops.add_mask(scene.labels, *_clipped(grown, scene), self.number)
        return self.edit


def _clipped(grown: tuple[np.ndarray, Box], scene: Scene) -> tuple[np.ndarray, Box]:
    """The piece of a mask in the image."""
    mask, (rows, columns) = grown
    height, width = scene.labels.shape
    rows_in = slice(max(0, rows.start), min(height, rows.stop))
    columns_in = slice(max(0, columns.start), min(width, columns.stop))
    part = mask[
        rows_in.start - rows.start : rows_in.stop - rows.start,
        columns_in.start - columns.start : columns_in.stop - columns.start,
    ]
    return part, (rows_in, columns_in)


def add(scene: Scene, points: np.ndarray, angle: float) -> Adding:
    """Add a leaf at a click or along a scribble.

    On the background a leaf grows by the embedding, or by color where there is no prediction. On a leaf that nobody
    verified, the click's part of it becomes a leaf of its own; on a verified one nothing happens.
    """
    points = np.asarray(points, float)
    number = next_number(scene.labels, scene.largest)
    on = leaf_at(scene.labels, *points[0])
    if on in scene.locked:
        return Adding(number, None, None)
    if on:
        box = leaf_box(scene.labels, on)
        assert box is not None
        mask = scene.labels[box] == on
        other = scene.model.other_seed(mask, box, points[0]) if scene.model else _far_middle(mask, box, points[0])
        elevation = scene.model.elevation if scene.model else None
        edit = ops.split_by_points(
            scene.labels, on, np.stack([other, points[0]]), elevation, scene.image, scene.largest
        )
        return Adding(number, None, edit)
    growth = scene.model.growth(points) if scene.model else None
    adding = Adding(number, growth or ColorGrowth(scene.image, points), None)
    adding.at(scene, angle)
    return adding


def _far_middle(mask: np.ndarray, box: Box, point: np.ndarray) -> np.ndarray:
    ys, xs = np.nonzero(mask)
    farthest = int((np.hypot(ys + box[0].start - point[0], xs + box[1].start - point[1])).argmax())
    middle = np.array([ys.mean(), xs.mean()])
    between = (2 * middle + [ys[farthest], xs[farthest]]) / 3
    nearest = int(((ys - between[0]) ** 2 + (xs - between[1]) ** 2).argmin())
    return np.array([ys[nearest] + box[0].start, xs[nearest] + box[1].start], float)


def split(scene: Scene, stroke: np.ndarray) -> Edit | None:
    """Cut the leaf that a stroke runs through most."""
    leaf = leaf_under(scene.labels, stroke)
    return ops.split_by_stroke(scene.labels, leaf, stroke, scene.largest) if leaf else None


def split_points(scene: Scene, points: np.ndarray) -> Edit | None:
    """Part the leaf under the first point between all of them."""
    leaf = leaf_at(scene.labels, *points[0])
    elevation = scene.model.elevation if scene.model else None
    return ops.split_by_points(scene.labels, leaf, points, elevation, scene.image, scene.largest) if leaf else None


def merge(scene: Scene, stroke: np.ndarray) -> list[Edit]:
    """Make all leaves along a drag one, with the first's number; edits to be made one after the other."""
    labels, edits, first = scene.labels.copy(), [], 0
    for y, x in _dense(stroke):
        leaf = leaf_at(labels, y, x)
        if not leaf or leaf == first:
            continue
        if not first:
            first = leaf
            continue
        edit = ops.merge(labels, first, leaf)
        if edit is not None:
            edit.apply(labels)
            edits.append(edit)
    return edits


def border(scene: Scene, stroke: np.ndarray) -> Edit | None:
    """Move the border of the leaf that a stroke runs along; it snaps to the edge in the image."""
    leaf = leaf_beside(scene.labels, stroke)
    return ops.move_border(scene.labels, leaf, stroke, scene.image, scene.locked - {leaf}) if leaf else None


def lasso(scene: Scene, points: np.ndarray) -> Edit | None:
    """Draw a leaf. Around a leaf that is there already it draws that one anew; verified others keep their pixels."""
    labels = scene.labels
    box = bounding_box(points, labels.shape, 1)
    inside = polygon_mask(points, box)
    window = labels[box]
    within = np.bincount(window[inside], minlength=1)
    held = [leaf for leaf in np.flatnonzero(within) if leaf]
    whole = {leaf: int(np.count_nonzero(labels == leaf)) for leaf in held}
    redrawn = [leaf for leaf in held if within[leaf] > 0.5 * whole[leaf] and within[leaf] > 0.3 * inside.sum()]
    if not redrawn:
        return ops.draw_polygon(labels, points, next_number(labels, scene.largest), scene.locked)
    number = int(max(redrawn, key=lambda leaf: within[leaf]))
    old = leaf_box(labels, number)
    assert old is not None
    both = tuple(
        slice(min(one.start, other.start), max(one.stop, other.stop)) for one, other in zip(box, old, strict=True)
    )
    around: Box = (both[0], both[1])
    mask = polygon_mask(points, around)
    before = labels[around]
    free = ~np.isin(before, [leaf for leaf in scene.locked if leaf != number])
    after = np.where(mask & free, number, np.where(before == number, 0, before))
    return difference(labels, around, after, "lasso")


def front(scene: Scene, stroke: np.ndarray) -> Edit | None:
    """Bring the leaf where a drag begins in front of the leaf where it ends."""
    first, last = (leaf_at(scene.labels, stroke[end][0], stroke[end][1], _NEAR) for end in (0, -1))
    return ops.to_front(scene.labels, first, last) if first and last else None


def _dense(stroke: np.ndarray) -> np.ndarray:
    """Points along a stroke, at most a pixel apart."""
    stroke = np.asarray(stroke, float)
    if len(stroke) < 2:
        return stroke
    parts = [np.linspace(a, b, max(2, int(np.ceil(np.hypot(*(b - a)))) + 1)) for a, b in pairwise(stroke)]
    return np.concatenate(parts)


def leaf_under(labels: np.ndarray, stroke: np.ndarray) -> int:
    """Return the leaf that most of a stroke lies on; 0 where it lies on none."""
    under = [leaf_at(labels, y, x) for y, x in _dense(stroke)]
    counts = np.bincount(under, minlength=1)
    counts[0] = 0
    return int(counts.argmax()) if counts.any() else 0


def leaf_beside(labels: np.ndarray, stroke: np.ndarray) -> int:
    """Return the leaf whose border a stroke is meant for: the one at its ends, else the nearest along it."""
    ends = [leaf_at(labels, stroke[end][0], stroke[end][1], _NEAR) for end in (0, -1)]
    if ends[0] and ends[0] == ends[1]:
        return ends[0]
    near = [leaf_at(labels, y, x, reach=_NEAR) for y, x in _dense(stroke)[::2]]
    counts = np.bincount([*near, *(end for end in ends if end)], minlength=1)
    counts[0] = 0
    return int(counts.argmax()) if counts.any() else 0


class Tool(NamedTuple):
    """A tool as the window shows it.

    Attributes
    ----------
    name, label, key, help : str
    gesture : str
        "click" (a click or a scribble), "stroke", "cut" (a stroke, or clicks), or "loop".
    make : callable or None
        What a stroke or loop does; None for a click, which `add` does.
    shapes_all : bool
        Whether it decides the shape of every leaf that it changes, so that all of them are verified by it; else of
        those that gain pixels, or lose some to the background.
    """

    name: str
    label: str
    key: str
    gesture: str
    help: str
    make: Callable[[Scene, np.ndarray], Edit | list[Edit] | None] | None = None
    shapes_all: bool = False


TOOLS: tuple[Tool, ...] = (
    Tool("add", "Add leaf", "A", "click", "Click a missing leaf, or scribble on it. Shift + wheel: wider or narrower."),
    Tool("split", "Split", "K", "cut", "Draw across the leaf, or click once in each part and press K again.",
         split, shapes_all=True),
    Tool("merge", "Merge", "G", "stroke", "Drag from leaf to leaf: they become one.", merge),
    Tool("border", "Move border", "W", "stroke", "Draw along the leaf's true edge: its outline snaps there.", border),
    Tool("lasso", "Lasso", "Q", "loop", "Draw around a leaf: a new one, or the one that is there anew.", lasso),
    Tool("front", "Bring to front", "T", "stroke", "Drag from the leaf in front to the leaf behind it.", front,
         shapes_all=True),
)  # fmt: skip
