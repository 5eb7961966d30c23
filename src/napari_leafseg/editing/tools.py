"""The correction tools as gestures: what a click or a stroke does, with all that is known of the image.

Nothing here knows the window: the dock widget hands over clicks and strokes, and so does the simulated annotator.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

from napari_leafseg.editing import operations as ops
from napari_leafseg.editing.edit import Box, Edit, difference, leaf_at, leaf_box, next_number
from napari_leafseg.editing.grow import ColorGrowth, Growth, nearer_to
from napari_leafseg.editing.shapes import bounding_box, polygon_mask

_NEAR, _LEAST_BOX = 6, 3  # pixels by which a click may miss a leaf, and of a box
_LARGER, _SHARE = 4, 0.005  # times the largest leaf, of the image: what grew by color and is larger is no leaf
_NO_LEAF = "What grew here is too large for a leaf. Make it narrower (Shift + wheel), or draw the leaf with Lasso (Q)."
_GROUND = "This looks like the ground around the plant. Draw the leaf with Lasso (Q) or Box (Shift+A)."
_THERE, _REDRAWN = 0.15, 0.3  # of a box, of a lasso: a leaf that fills less is not the one it was drawn around


class Model(Protocol):
    """What a kept prediction knows of a place; see `napari_leafseg.inference.prompts`."""

    def growth(self, points: np.ndarray, away: np.ndarray) -> Growth | None:
        """Return a leaf to be grown from points and away from others, None where the prediction knows nothing."""

    def growth_in(self, box: Box, angle: float) -> Growth | None:
        """Return the leaf that fills a box best, None where the prediction knows nothing."""

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
    points, away : numpy.ndarray
        (N, 2) of (y, x) that are in the leaf, and that are not.
    within : tuple of slice or None
        The box that somebody drew around it.
    anew : bool
        Whether the leaf was there before, and is drawn anew.
    refused : str
        Why what grew at the angle asked for last is not taken; "" where it is.
    """

    number: int
    growth: Growth | None
    edit: Edit | None
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    away: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    within: Box | None = None
    anew: bool = False
    refused: str = ""

    def at(self, scene: Scene, angle: float) -> Edit | None:
        """Return the edit at another angle; `scene` holds the labels without the leaf."""
        if self.growth is None:
            return self.edit
        grown = self.growth.mask(angle)
        self.edit, self.refused = None, ""
        if grown is not None and self.within is None and isinstance(self.growth, ColorGrowth):
            self.refused = _refusal(self.growth, grown[0], scene)
        if grown is not None and not self.refused:
            mask, box = _clipped(grown, scene)
            if self.within is not None:
                mask, box = _cut(mask, box, self.within)
            if len(self.away) and mask.any():
                mask = _without(mask, box, self.points, self.away, scene)
            self.edit = self._give(scene, mask, box)
        return self.edit

    def _give(self, scene: Scene, mask: np.ndarray, box: Box) -> Edit | None:
        tool = "add" if self.within is None else "box"
        if not self.anew:
            return ops.add_mask(scene.labels, mask, box, self.number, tool=tool)
        others = np.unique(scene.labels[box])
        return _redraw(scene.labels, self.number, mask, box, others[~np.isin(others, (0, self.number))].tolist(), tool)


def _refusal(growth: ColorGrowth, mask: np.ndarray, scene: Scene) -> str:
    """Why what grew by color is no leaf: it goes on, is larger than any leaf there, or looks like the ground."""
    size, large = mask.sum(), growth.spills(mask)
    if not large and size > _SHARE * scene.labels.size:  # else told without counting all labels
        sizes = np.bincount(scene.labels.ravel(), minlength=2)[1:]
        large = bool(sizes.any() and size > _LARGER * sizes.max())
    return _NO_LEAF if large else _GROUND if growth.on_ground else ""


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


def _cut(mask: np.ndarray, box: Box, within: Box) -> tuple[np.ndarray, Box]:
    """The piece of a mask in another box."""
    rows, columns = (
        slice(max(one.start, other.start), max(one.start, other.start, min(one.stop, other.stop)))
        for one, other in zip(box, within, strict=True)
    )
    part = mask[
        rows.start - box[0].start : rows.stop - box[0].start,
        columns.start - box[1].start : columns.stop - box[1].start,
    ]
    return part, (rows, columns)


def _without(mask: np.ndarray, box: Box, points: np.ndarray, away: np.ndarray, scene: Scene) -> np.ndarray:
    """A mask without what belongs to clicks that are not in the leaf: parted where the model sees leaves meet."""
    corner = np.array([box[0].start, box[1].start])
    off, on = _inside(away - corner, mask), _inside(points - corner, mask)
    if not len(off):
        return mask
    if not len(on):
        on = np.round(_other(mask, box, away[-1], scene) - corner).astype(int)[None]
    height = ops.ridges(mask, box, scene.model.elevation if scene.model else None, scene.image)
    nearer = nearer_to(off, on, mask, height)
    nearer[tuple(off.T)] = True
    return mask & ~nearer


def _inside(points: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The points, as whole pixels, that lie in a mask."""
    whole = np.round(points).astype(int).reshape(-1, 2)
    whole = whole[((whole >= 0) & (whole < mask.shape)).all(1)]
    return whole[mask[tuple(whole.T)]]


def _other(mask: np.ndarray, box: Box, point: np.ndarray, scene: Scene) -> np.ndarray:
    """The middle of a mask apart from a point in it."""
    return scene.model.other_seed(mask, box, point) if scene.model else _far_middle(mask, box, point)


def _redraw(
    labels: np.ndarray, number: int, mask: np.ndarray, box: Box, held: Collection[int], tool: str
) -> Edit | None:
    """Give a leaf another shape; other leaves in `held` keep their pixels."""
    old = leaf_box(labels, number)
    assert old is not None
    rows, columns = (
        slice(min(one.start, other.start), max(one.stop, other.stop)) for one, other in zip(box, old, strict=True)
    )
    before = labels[rows, columns]
    inside = np.zeros(before.shape, bool)
    top, left = box[0].start - rows.start, box[1].start - columns.start
    inside[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    free = ~np.isin(before, list(held))
    after = np.where(inside & free, number, np.where(before == number, 0, before))
    return difference(labels, (rows, columns), after, tool)


def _drawn_around(
    labels: np.ndarray, box: Box, inside: np.ndarray, least: float, apart: Collection[int] = ()
) -> int:  # fmt: skip
    """The largest leaf of which most lies in a mask, and that fills `least` of it; 0 where there is none."""
    within = np.bincount(labels[box][inside], minlength=1)
    filling = [leaf for leaf in np.flatnonzero(within > least * inside.sum()) if leaf and leaf not in apart]
    there = [leaf for leaf in filling if within[leaf] > 0.5 * np.count_nonzero(labels == leaf)]
    return int(max(there, key=lambda leaf: within[leaf], default=0))


def add_in_box(scene: Scene, corners: np.ndarray, angle: float) -> Adding:
    """Add the leaf that fills a box best; one that is there already and nobody verified is drawn anew.

    Parameters
    ----------
    scene : Scene
    corners : numpy.ndarray
        (2, 2) of (y, x), opposite corners.
    angle : float
    """
    low = np.clip(np.round(np.min(corners, 0)).astype(int), 0, scene.labels.shape)
    high = np.clip(np.round(np.max(corners, 0)).astype(int) + 1, 0, scene.labels.shape)
    number = next_number(scene.labels, scene.largest)
    if (high - low).min(initial=9) < _LEAST_BOX:
        return Adding(number, None, None)
    within = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
    there = _drawn_around(scene.labels, within, np.ones(high - low, bool), _THERE, scene.locked)
    growth = scene.model.growth_in(within, angle) if scene.model else None
    middle = (low + high - 1) / 2
    growth = growth or ColorGrowth(scene.image, middle[None])
    grown = Adding(there or number, growth, None, within=within, anew=bool(there))
    grown.at(scene, angle)
    return grown


def take_off(scene: Scene, adding: Adding, point: np.ndarray, angle: float) -> Adding:
    """Grow a leaf that was just added again, without what a click belongs to; `scene` holds labels without the leaf."""
    away = np.concatenate([adding.away, np.asarray(point, float).reshape(1, 2)])
    growth = adding.growth
    if scene.model is not None and adding.within is None:
        growth = scene.model.growth(adding.points, away) or growth
    again = replace(adding, growth=growth, away=away)
    again.at(scene, angle)
    return again


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
        other = _other(mask, box, points[0], scene)
        elevation = scene.model.elevation if scene.model else None
        edit = ops.split_by_points(
            scene.labels, on, np.stack([other, points[0]]), elevation, scene.image, scene.largest
        )
        return Adding(number, None, edit)
    growth = scene.model.growth(points, np.zeros((0, 2))) if scene.model else None
    adding = Adding(number, growth or ColorGrowth(scene.image, points), None, points)
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
    around = bounding_box(points, labels.shape, 1)
    inside = polygon_mask(points, around)
    number = _drawn_around(labels, around, inside, _REDRAWN)
    if not number:
        return ops.draw_polygon(labels, points, next_number(labels, scene.largest), scene.locked)
    return _redraw(labels, number, inside, around, scene.locked - {number}, "lasso")


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
        "click" (a click or a scribble), "box", "stroke", "cut" (a stroke, or clicks), or "loop".
    make : callable or None
        What a stroke or loop does; None for a click, which `add` does, and for a box, which `add_in_box` does.
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
    Tool("add", "Add leaf", "A", "click",
         "Click a missing leaf, or scribble on it. Shift + click: not that part. Shift + wheel: wider or narrower."),
    Tool("box", "Box", "Shift-A", "box",
         "Draw a box around a leaf. Shift + click: not that part. Shift + wheel: wider or narrower."),
    Tool("split", "Split", "K", "cut", "Draw across the leaf, or click once in each part and choose the tool again.",
         split, shapes_all=True),
    Tool("merge", "Merge", "G", "stroke", "Drag from leaf to leaf: they become one.", merge),
    Tool("border", "Move border", "W", "stroke", "Draw along the leaf's true edge: its outline snaps there.", border),
    Tool("lasso", "Lasso", "Q", "loop", "Draw around a leaf: a new one, or the one that is there anew.", lasso),
    Tool("front", "Bring to front", "T", "stroke", "Drag from the leaf in front to the leaf behind it.", front,
         shapes_all=True),
)  # fmt: skip
