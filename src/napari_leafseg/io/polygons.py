"""Leaves as polygons along pixel edges, and back; exact both ways.

Coordinates are (x, y) with (0, 0) the upper left corner of the upper left pixel: those of COCO, LabelMe, ImageJ and
QuPath.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import ndimage
from shapely import MultiPolygon, Polygon, box, union_all
from shapely.geometry.base import BaseGeometry
from skimage import draw


def leaf_polygons(labels: np.ndarray) -> dict[int, MultiPolygon]:
    """Return the exact outline of each leaf, holes and pieces included.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (H, W), 0 = background.
    """
    found = {}
    for leaf, place in enumerate(ndimage.find_objects(labels.astype(np.int32)), start=1):
        if place is not None:
            found[leaf] = _outline(labels[place] == leaf, place[0].start, place[1].start)
    return found


def _outline(mask: np.ndarray, top: int, left: int) -> MultiPolygon:
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


def draw_polygons(labels: np.ndarray, leaf: int, rings: Iterable[Sequence[Sequence[float]] | np.ndarray]) -> None:
    """Give the pixels whose center lies in any of some polygons to a leaf, in place."""
    for ring in rings:
        points = np.asarray(ring, float).reshape(-1, 2)
        rows, columns = draw.polygon(points[:, 1] - 0.5, points[:, 0] - 0.5, labels.shape)
        labels[rows, columns] = leaf


def draw_shape(labels: np.ndarray, leaf: int, shape: BaseGeometry) -> None:
    """Give the pixels of a polygon with holes to a leaf, in place."""
    for polygon in _polygons_of(shape).geoms:
        mask = np.zeros(labels.shape, np.uint8)
        draw_polygons(mask, 1, [np.array(polygon.exterior.coords)])
        for hole in polygon.interiors:
            draw_polygons(mask, 0, [np.array(hole.coords)])
        labels[mask > 0] = leaf
