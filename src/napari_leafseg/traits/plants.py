"""Leaves gathered into plants, and measurements of whole plants."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from napari_leafseg._opencv import cv2
from napari_leafseg.traits.midrib import Midrib

_NEAR = 0.04  # of the root of the plant's area: a line that misses the center by this counts half
_ROUNDS = 8


def gather_leaves(
    labels: np.ndarray, gap: float | None = None, plant_overrides: Mapping[int, int] | None = None
) -> dict[int, int]:
    """Tell which plant each leaf belongs to.

    Leaves closer than `gap` are of one plant, and so are those that others connect. Plants are numbered as one reads:
    rows from the top, each from the left.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (H, W), 0 = background.
    gap : float, optional
        Pixels; the side of a square of the median leaf's area when None.
    plant_overrides : mapping, optional
        From leaf to plant, as somebody decided; these leaves, too, get these numbers, and the others keep theirs.

    Returns
    -------
    dict of int to int
        From leaf to plant, 1 … N.
    """
    areas = np.bincount(labels.ravel())
    leaves = np.flatnonzero(areas[1:]) + 1
    if not len(leaves):
        return {}
    reach = float(np.sqrt(np.median(areas[leaves]))) if gap is None else gap
    distance = cv2.distanceTransform((labels == 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    _, pieces = cv2.connectedComponents((distance <= reach / 2).astype(np.uint8), connectivity=8)
    inside = labels > 0
    first = np.full(len(areas), -1)
    first[labels[inside]] = pieces[inside]
    groups = {int(leaf): int(first[leaf]) for leaf in leaves}
    order = _reading_order({piece: pieces == piece for piece in set(groups.values())})
    found = {leaf: order[piece] for leaf, piece in groups.items()}
    found.update({leaf: plant for leaf, plant in (plant_overrides or {}).items() if leaf in found})
    return found


def _reading_order(masks: Mapping[int, np.ndarray]) -> dict[int, int]:
    """Numbers 1 … N of pieces, row by row; a piece is in a row when its middle lies within the first one's height."""
    boxes = {}
    for piece, mask in masks.items():
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        boxes[piece] = (rows[0], rows[-1], (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2)
    order: dict[int, int] = {}
    rest = sorted(boxes, key=lambda piece: boxes[piece][2])
    while rest:
        top, bottom = boxes[rest[0]][:2]
        row = [piece for piece in rest if top <= boxes[piece][2] <= bottom]
        for piece in sorted(row, key=lambda item: boxes[item][3]):
            order[piece] = len(order) + 1
        rest = [piece for piece in rest if piece not in order]
    return order


def rosette_center(labels: np.ndarray, leaves: list[int], midribs: Mapping[int, Midrib]) -> tuple[float, float]:
    """Return the middle of a rosette: where its leaves point from.

    The point nearest to the straight lines along the lower halves of the leaves' midribs, found from the middle of the
    plant's convex hull by reweighted least squares: lines that pass far from it count less, long and slender leaves
    more. Where no leaf has a direction, it is the middle of the hull.

    Returns
    -------
    tuple of float
        y and x, pixels.
    """
    outline = _hull(labels, leaves)[:, ::-1].astype(np.float32)
    moments = cv2.moments(outline)
    middle = outline.mean(0)[::-1].astype(float)
    if moments["m00"] > 0:
        middle = np.array([moments["m01"], moments["m10"]]) / moments["m00"]
    slender = [midribs[leaf] for leaf in leaves if midribs[leaf].length >= max(4, 1.2 * midribs[leaf].width)]
    near = _NEAR * np.sqrt(np.count_nonzero(np.isin(labels, leaves)))
    point = middle
    for _ in range(_ROUNDS if slender else 0):
        normal, target = np.zeros((2, 2)), np.zeros(2)
        for midrib in slender:
            points = midrib.from_center((point[0], point[1])).points
            start = points[round(0.1 * (len(points) - 1))]
            axis = points[round(0.5 * (len(points) - 1))] - start
            axis = axis / max(float(np.hypot(*axis)), 1e-9)
            across = np.eye(2) - np.outer(axis, axis)
            miss = float(np.hypot(*(across @ (point - start))))
            weight = (midrib.length / midrib.width - 1) * midrib.length / (1 + (miss / near) ** 2)
            normal, target = normal + weight * across, target + weight * across @ start
        hold = 1e-3 * np.trace(normal)  # along one line only, the point stays where it is
        point = np.linalg.solve(normal + hold * np.eye(2), target + hold * point)
    inside = cv2.pointPolygonTest(outline, (float(point[1]), float(point[0])), False) >= 0
    middle = point if inside else middle
    return float(middle[0]), float(middle[1])


def _hull(labels: np.ndarray, leaves: list[int]) -> np.ndarray:
    """Convex hull of leaves, pixel corners included: float (N, 2), y and x."""
    rows, columns = np.nonzero(np.isin(labels, leaves))
    points = np.stack([columns, rows], 1).astype(np.int32)
    few = cv2.convexHull(points)[:, 0].astype(np.float32)
    corners = np.concatenate([few + shift for shift in ((-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5))])
    return cv2.convexHull(corners.astype(np.float32))[:, 0, ::-1].astype(float)


def measure_plants(
    labels: np.ndarray,
    plants: Mapping[int, int],
    centers: Mapping[int, tuple[float, float]],
    names: Mapping[int, str] | None = None,
) -> pd.DataFrame:
    """Measure each plant, in pixels.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (H, W).
    plants : mapping
        From leaf to plant.
    centers : mapping
        From plant to its middle (y, x).
    names : mapping, optional
        From plant to the name of its pot.

    Returns
    -------
    pandas.DataFrame
        A row a plant: ``plant``, ``name``, ``leaves`` (their count), ``area_px2`` (projected leaf area),
        ``hull_area_px2``, ``compactness`` (area / hull area), ``diameter_px`` (largest distance of two of its points),
        ``symmetry`` (1 minus the length of the mean of its leaves' directions, weighted by their areas),
        ``center_y_px``, ``center_x_px``.
    """
    areas = np.bincount(labels.ravel())
    middles = _middles(labels, len(areas))
    rows = []
    for plant in sorted(set(plants.values())):
        leaves = [leaf for leaf, owner in plants.items() if owner == plant]
        hull = _hull(labels, leaves)
        hull_area = float(cv2.contourArea(hull[:, ::-1].astype(np.float32)))
        area = float(areas[leaves].sum())
        gaps = np.hypot(*(hull[:, None] - hull[None]).transpose(2, 0, 1))
        rows.append(
            {
                "plant": plant,
                "name": (names or {}).get(plant, str(plant)),
                "leaves": len(leaves),
                "area_px2": area,
                "hull_area_px2": hull_area,
                "compactness": area / max(hull_area, 1e-9),
                "diameter_px": float(gaps.max()),
                "symmetry": _symmetry(middles[leaves] - np.array(centers[plant]), areas[leaves]),
                "center_y_px": centers[plant][0],
                "center_x_px": centers[plant][1],
            }
        )
    columns = ["plant", "name", "leaves", "area_px2", "hull_area_px2", "compactness", "diameter_px", "symmetry",
               "center_y_px", "center_x_px"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _middles(labels: np.ndarray, count: int) -> np.ndarray:
    """The mean (y, x) of each leaf's pixels, float (count, 2)."""
    rows, columns = np.nonzero(labels)
    leaves = labels[rows, columns]
    sizes = np.maximum(np.bincount(leaves, minlength=count), 1)
    return np.stack([np.bincount(leaves, places, count) / sizes for places in (rows, columns)], axis=1)


def _symmetry(reaches: np.ndarray, areas: np.ndarray) -> float:
    """1 where leaves point evenly to all sides, 0 where all point to one."""
    lengths = np.hypot(*reaches.T)
    directions = reaches / np.maximum(lengths, 1e-9)[:, None]
    return float(1 - np.hypot(*(directions * areas[:, None]).sum(0)) / max(areas.sum(), 1e-9))
