"""Corrections of label images: pure functions from labels and a gesture to an `Edit`.

All take labels as integer (H, W), 0 = background, points as (y, x) with pixel centers at whole numbers, and return an
`Edit`, or None where there is nothing to do. What they are not asked to change stays as it is; leaves in `locked` lose
no pixel to another leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from napari_leafseg._opencv import cv2
from napari_leafseg.editing.edit import Box, Edit, difference, leaf_box, next_number
from napari_leafseg.editing.shapes import bounding_box, edge_strength, polygon_mask, snap_to_edge, stroke_mask

_CRUMB = 0.01  # pieces under this share of a leaf are no leaves when it is cut


def add_mask(
    labels: np.ndarray,
    mask: np.ndarray,
    box: Box,
    number: int,
    locked: Collection[int] = (),
    over: bool = False,
    tool: str = "add",
) -> Edit | None:
    """Give pixels to a leaf.

    Parameters
    ----------
    labels : numpy.ndarray
    mask : numpy.ndarray
        bool, of the box's shape.
    box : tuple of slice
    number : int
        New or existing.
    locked : collection of int
    over : bool
        Take pixels of other leaves, too; else of the background only.
    """
    window = labels[box]
    free = (window == 0) | (window == number)
    if over:
        free |= ~np.isin(window, list(locked)) if locked else True
    return difference(labels, box, np.where(mask & free, number, window), tool)


def draw_polygon(
    labels: np.ndarray, points: np.ndarray, number: int, locked: Collection[int] = (), over: bool = True
) -> Edit | None:
    """Give what a lasso or polygon encloses to a leaf."""
    box = bounding_box(points, labels.shape, 1)
    return add_mask(labels, polygon_mask(points, box), box, number, locked, over, "lasso")


def delete(labels: np.ndarray, leaf: int) -> Edit | None:
    """Make a leaf background."""
    box = leaf_box(labels, leaf) if leaf else None
    if box is None:
        return None
    return difference(labels, box, np.where(labels[box] == leaf, 0, labels[box]), "delete")


def merge(labels: np.ndarray, first: int, second: int) -> Edit | None:
    """Make two leaves one, with the first's number."""
    box = leaf_box(labels, second) if first and second and first != second else None
    if box is None:
        return None
    return difference(labels, box, np.where(labels[box] == second, first, labels[box]), "merge")


def split_by_stroke(labels: np.ndarray, leaf: int, stroke: np.ndarray, taken: int = 0) -> Edit | None:
    """Cut a leaf along a stroke, which is prolonged to the leaf's border.

    The largest piece keeps the number; pieces of under 1 % and the cut itself go to the nearest piece.
    """
    box = leaf_box(labels, leaf, 1) if leaf and len(stroke) >= 2 else None
    if box is None:
        return None
    mask = labels[box] == leaf
    cut = stroke_mask(_prolonged(stroke, mask, box), box)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats((mask & ~cut).astype(np.uint8), connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = [piece for piece in range(1, count) if areas[piece] >= max(2, _CRUMB * mask.sum())]
    if len(kept) < 2:
        return None
    kept.sort(key=lambda piece: -areas[piece])
    return _share_out(labels, box, leaf, mask, [pieces == piece for piece in kept], taken, "split")


def _prolonged(stroke: np.ndarray, mask: np.ndarray, box: Box) -> np.ndarray:
    """The stroke with straight ends as long as the box where they end inside the leaf."""
    stroke = np.asarray(stroke, float)
    length = float(np.hypot(*mask.shape))
    ends = []
    reach = min(len(stroke), max(2, len(stroke) // 4))
    for end, neighbor in ((stroke[0], stroke[reach - 1]), (stroke[-1], stroke[-reach])):
        y, x = np.round(end - (box[0].start, box[1].start)).astype(int)
        inside = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x]
        direction = end - neighbor
        norm = float(np.hypot(*direction))
        ends.append(end + direction * (length / norm) if inside and norm > 0 else end)
    return np.concatenate([ends[0][None], stroke, ends[1][None]])


def _share_out(
    labels: np.ndarray, box: Box, leaf: int, mask: np.ndarray, pieces: list[np.ndarray], taken: int, tool: str
) -> Edit | None:
    """Number the pieces of a leaf, the first with the leaf's own number; what is in none goes to the nearest."""
    number = next_number(labels, taken)
    numbers = np.zeros(mask.shape, labels.dtype)
    for index, piece in enumerate(pieces):
        numbers[piece] = leaf if index == 0 else number + index - 1
    if (mask & (numbers == 0)).any():
        nearest = ndimage.distance_transform_edt(numbers == 0, return_distances=False, return_indices=True)
        numbers = numbers[tuple(nearest)]
    return difference(labels, box, np.where(mask, numbers, labels[box]), tool)


def split_by_points(
    labels: np.ndarray,
    leaf: int,
    points: np.ndarray,
    elevation: Callable[[Box], np.ndarray | None] | None = None,
    image: np.ndarray | None = None,
    taken: int = 0,
) -> Edit | None:
    """Part a leaf between points, one in each part; the border follows the ridge between them.

    Parameters
    ----------
    labels : numpy.ndarray
    leaf : int
    points : numpy.ndarray
        (N, 2), at least two of them in the leaf.
    elevation : callable, optional
        Takes a box and gives float (h, w), high where leaves meet: from the model's distance map and embedding.
    image : numpy.ndarray, optional
        uint8 (H, W[, 3]); its edges are the ridges where there is no elevation, beside the leaf's own narrows.
    taken : int
        See `next_number`.
    """
    box = leaf_box(labels, leaf, 1) if leaf else None
    if box is None:
        return None
    mask = labels[box] == leaf
    local = np.round(np.asarray(points, float) - (box[0].start, box[1].start)).astype(int)
    markers = np.zeros(mask.shape, np.int32)
    found = 0
    for y, x in local:
        if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x] and not markers[y, x]:
            found += 1
            markers[y, x] = found
    if found < 2:
        return None
    parts = watershed(ridges(mask, box, elevation, image), markers, mask=mask)
    sizes = np.bincount(parts.ravel(), minlength=found + 1)
    order = sorted(range(1, found + 1), key=lambda part: -sizes[part])
    return _share_out(labels, box, leaf, mask, [parts == part for part in order], taken, "split")


def ridges(
    mask: np.ndarray,
    box: Box,
    elevation: Callable[[Box], np.ndarray | None] | None,
    image: np.ndarray | None,
) -> np.ndarray:
    """Tell where the parts of a leaf meet, float (h, w), high there; see `split_by_points`."""
    known = elevation(box) if elevation is not None else None
    if known is not None:
        return cv2.GaussianBlur(known.astype(np.float32), (0, 0), 0.8)
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    height = -depth / max(float(depth.max()), 1.0)
    if image is not None:
        edges = edge_strength(image[box])
        height = height + edges / max(float(np.percentile(edges[mask], 98)), 1e-6)
    return height


def move_border(
    labels: np.ndarray,
    leaf: int,
    stroke: np.ndarray,
    image: np.ndarray | None = None,
    locked: Collection[int] = (),
) -> Edit | None:
    """Replace the part of a leaf's outline that lies nearest to a stroke by the stroke.

    Parameters
    ----------
    labels : numpy.ndarray
    leaf : int
    stroke : numpy.ndarray
        (N, 2), along the true border, N ≥ 2.
    image : numpy.ndarray, optional
        uint8 (H, W[, 3]); the stroke snaps to its edges.
    locked : collection of int
    """
    box = leaf_box(labels, leaf, 1) if leaf and len(stroke) >= 2 else None
    if box is None:
        return None
    stroke = np.asarray(stroke, float)
    if image is not None:
        reach = int(np.clip(0.06 * np.sqrt(np.count_nonzero(labels[box] == leaf)), 1, 6))
        stroke = snap_to_edge(stroke, image, reach)
    mask = (labels[box] == leaf).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    longest = max(contours, key=len)
    contour = longest[:, 0, ::-1] + np.array([box[0].start, box[1].start], float)
    joints = [int(((contour - end) ** 2).sum(1).argmin()) for end in (stroke[0], stroke[-1])]
    first, second = _arcs(contour, *joints)
    replaced, kept = (first, second) if _closeness(first, stroke) <= _closeness(second, stroke) else (second, first)
    outline = np.concatenate([stroke, kept[::-1]])
    around = bounding_box(np.concatenate([outline, replaced]), labels.shape, 1)
    window = labels[around]
    inside = polygon_mask(outline, around) | stroke_mask(outline, around)
    near = _near_arc(replaced, stroke, around)
    gained = inside & near & ~np.isin(window, [value for value in locked if value != leaf])
    lost = (window == leaf) & ~inside & near
    return difference(labels, around, np.where(gained, leaf, np.where(lost, 0, window)), "border")


def _arcs(contour: np.ndarray, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Both ways along a closed contour, each from `start` to `stop`."""
    size = len(contour)
    forward = contour[(start + np.arange((stop - start) % size + 1)) % size]
    backward = contour[(start - np.arange((start - stop) % size + 1)) % size]
    return forward, backward


def _closeness(arc: np.ndarray, stroke: np.ndarray) -> float:
    """Mean distance of an arc's points to a stroke's, and back."""
    gaps = np.sqrt(((arc[:: max(1, len(arc) // 64), None] - stroke[None, :: max(1, len(stroke) // 64)]) ** 2).sum(2))
    return float(gaps.min(1).mean() + gaps.min(0).mean())


def _near_arc(arc: np.ndarray, stroke: np.ndarray, box: Box) -> np.ndarray:
    """What lies between the old border and the new one."""
    between = polygon_mask(np.concatenate([arc, stroke[::-1]]), box)
    return between | stroke_mask(arc, box) | stroke_mask(stroke, box)


def to_front(labels: np.ndarray, leaf: int, other: int) -> Edit | None:
    """Let a leaf own its overlap with another: the part of the other within the leaf's rounded-out shape.

    The shape is the leaf's convex hull; it takes nothing of a third leaf nor of the background.
    """
    box = leaf_box(labels, leaf, 1) if leaf and other and leaf != other else None
    if box is None:
        return None
    window = labels[box]
    points = np.argwhere(window == leaf)[:, ::-1].astype(np.int32)
    hull = np.zeros(window.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return difference(labels, box, np.where(hull.astype(bool) & (window == other), leaf, window), "front")


def fill_holes(labels: np.ndarray, leaf: int | None = None) -> Edit | None:
    """Fill the background that a leaf, or each leaf, encloses."""

    def filled(window: np.ndarray, number: int) -> np.ndarray:
        holes = ndimage.binary_fill_holes(window == number) & (window == 0)
        return np.where(holes, number, window)

    return _each(labels, leaf, filled, "fill holes")


def smooth(labels: np.ndarray, leaf: int | None = None, sigma: float = 2.0) -> Edit | None:
    """Round a leaf's outline, or each leaf's, into the background only.

    Parameters
    ----------
    labels : numpy.ndarray
    leaf : int, optional
        All when None.
    sigma : float
        Gaussian's width, pixels.
    """

    def smoothed(window: np.ndarray, number: int) -> np.ndarray:
        mask = window == number
        other = (window != number) & (window != 0)
        # next to another leaf the outline stays: count the neighbor as the leaf's own there
        soft = cv2.GaussianBlur((mask | other).astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        wanted = (soft >= 0.5) & (ndimage.binary_dilation(mask, iterations=2) | mask)
        if not (wanted & mask).any():
            return window
        return np.where(mask & ~wanted, 0, np.where(wanted & (window == 0), number, window))

    return _each(labels, leaf, smoothed, "smooth", margin=int(3 * sigma) + 1)


def keep_largest(labels: np.ndarray, leaf: int | None = None) -> Edit | None:
    """Remove all pieces of a leaf, or of each leaf, but the largest."""

    def largest(window: np.ndarray, number: int) -> np.ndarray:
        mask = window == number
        count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        if count <= 2:
            return window
        best = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        return np.where(mask & (pieces != best), 0, window)

    return _each(labels, leaf, largest, "keep largest piece")


def _each(labels: np.ndarray, leaf: int | None, change: object, tool: str, margin: int = 1) -> Edit | None:
    """Apply a change of (window, number) to one leaf or to all, as one edit."""
    assert callable(change)
    if leaf is not None:
        box = leaf_box(labels, leaf, margin) if leaf else None
        return None if box is None else difference(labels, box, change(labels[box], leaf), tool)
    after = labels.copy()
    for number, found in enumerate(ndimage.find_objects(labels.astype(np.int32)), start=1):
        if found is not None:
            box = (
                slice(max(0, found[0].start - margin), found[0].stop + margin),
                slice(max(0, found[1].start - margin), found[1].stop + margin),
            )
            after[box] = change(after[box], number)
    return difference(labels, None, after, tool)
