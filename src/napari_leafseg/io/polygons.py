"""Leaves as polygons along pixel edges, and back; exact both ways.

Coordinates are (x, y) with (0, 0) the upper left corner of the upper left pixel: those of COCO, LabelMe, ImageJ and
QuPath.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import ndimage
from shapely import MultiPolygon, Polygon, box, union_all
from shapely.geometry.base import BaseGeometry

from napari_leafseg.errors import InputFileError

Box = tuple[slice, slice]
MOST_CROSSINGS = 5_000_000  # of an outline with the rows of an image
_FAR = 1e7  # pixels


def leaf_polygons(labels: np.ndarray) -> dict[int, MultiPolygon]:
    """Return the exact outline of each leaf, holes and pieces included.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (H, W), 0 = background.
    """
    return {leaf: outline(labels[place] == leaf, place[0].start, place[1].start) for leaf, place in leaf_boxes(labels)}


def leaf_boxes(labels: np.ndarray) -> Iterator[tuple[int, Box]]:
    """Find the place of each leaf, by number; numbers may be large and have gaps."""
    numbers = np.unique(labels)
    numbers = numbers[numbers != 0]
    dense = labels
    if numbers.max(initial=0) > 2 * len(numbers) + 1000:
        dense, numbers = np.searchsorted(numbers, labels) + (labels != 0), numbers
        places = ndimage.find_objects(dense)
    else:
        places = ndimage.find_objects(labels.astype(np.int32))
        places = [places[number - 1] for number in numbers]
    yield from zip(map(int, numbers), places, strict=True)


def outline(mask: np.ndarray, top: int, left: int) -> MultiPolygon:
    """Trace the exact outline of a bool mask whose upper left corner lies at a place of the image."""
    if mask.all():
        return MultiPolygon([box(left, top, left + mask.shape[1], top + mask.shape[0])])
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, stops = np.nonzero(steps == -1)
    runs = box(starts + left, rows + top, stops + left, rows + top + 1)
    return _polygons_of(union_all(runs).simplify(0))


def _polygons_of(geometry: BaseGeometry) -> MultiPolygon:
    if isinstance(geometry, Polygon):
        return MultiPolygon([geometry])
    parts = getattr(geometry, "geoms", ())
    return MultiPolygon([part for part in parts if isinstance(part, Polygon) and not part.is_empty])


def without_holes(shape: MultiPolygon) -> list[np.ndarray]:
    """Return the same area as polygons without holes, (N, 2) of (x, y): those with a hole are cut through it.

    For formats that know no holes.
    """
    done: list[np.ndarray] = []
    waiting = list(shape.geoms)
    while waiting:
        polygon = waiting.pop()
        if not polygon.interiors:
            done.append(np.array(polygon.exterior.coords)[:-1])
            continue
        left, top, right, bottom = polygon.bounds
        _, hole_top, _, hole_bottom = polygon.interiors[0].bounds
        cut = float(np.floor((hole_top + hole_bottom) / 2))
        cut = cut if cut > hole_top else hole_top + 1  # through the hole, along pixel edges
        if cut >= hole_bottom:  # a hole one pixel high: cut along its upper edge
            cut = hole_top
        for half in (box(left, top, right, cut), box(left, cut, right, bottom)):
            waiting += list(_polygons_of(polygon.intersection(half)).geoms)
    return done


def fill_rings(rings: Sequence[np.ndarray], shape: tuple[int, int]) -> tuple[Box, np.ndarray] | None:
    """Find the pixels whose center an odd number of rings encloses: outlines with holes, also where they cross.

    Parameters
    ----------
    rings : sequence of numpy.ndarray
        (N, 2) of (x, y), closed by themselves; the second of two rings that lie in each other is a hole.
    shape : tuple of int
        Height and width of the image.

    Returns
    -------
    (tuple of slice, numpy.ndarray) or None
        A place in the image and a bool mask there; None where nothing lies in the image.

    Raises
    ------
    InputFileError
        For an outline that runs to and fro through the image so often that filling it would take minutes.
    """
    tails = np.concatenate([np.asarray(ring, float) for ring in rings]).clip(-_FAR, _FAR)
    heads = np.concatenate([np.roll(np.asarray(ring, float), -1, 0) for ring in rings]).clip(-_FAR, _FAR)
    upper, lower = np.minimum(tails[:, 1], heads[:, 1]), np.maximum(tails[:, 1], heads[:, 1])
    first = np.ceil(upper - 0.5).clip(0, shape[0]).astype(np.int64)
    stop = np.ceil(lower - 0.5).clip(0, shape[0]).astype(np.int64)
    crossing = stop > first
    first, stop, tails, heads = first[crossing], stop[crossing], tails[crossing], heads[crossing]
    if not len(first):
        return None
    spans = stop - first
    if spans.sum() > MOST_CROSSINGS:
        raise InputFileError(
            f"an outline of {len(tails):,} points crosses the image’s rows {spans.sum():,} times; simplify it"
        )
    edge = np.repeat(np.arange(len(first)), spans)
    rows = np.arange(len(edge)) - np.repeat(np.cumsum(spans) - spans, spans) + first[edge]
    slope = (heads[:, 0] - tails[:, 0]) / (heads[:, 1] - tails[:, 1])
    columns = tails[edge, 0] + (rows + 0.5 - tails[edge, 1]) * slope[edge]
    columns = np.ceil(columns - 0.5).clip(0, shape[1]).astype(np.int64)
    top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max()
    if right <= left:
        return None
    toggles = np.zeros((bottom - top, right - left + 1), np.uint8)
    np.bitwise_xor.at(toggles, (rows - top, columns - left), 1)
    inside = np.bitwise_xor.accumulate(toggles, axis=1, out=toggles)[:, :-1].view(bool)
    return (slice(int(top), int(bottom)), slice(int(left), int(right))), inside


def ellipse(x: float, y: float, across: float, down: float) -> np.ndarray:
    """Draw the outline of an ellipse around (x, y) with half axes `across` and `down`, (N, 2) of (x, y)."""
    angle = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    return np.column_stack([x + across * np.cos(angle), y + down * np.sin(angle)])
