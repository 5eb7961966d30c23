"""Plants as boxes: gathering them from foreground, the regions around them, their light."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse.csgraph import connected_components

from napari_leafseg._opencv import cv2
from napari_leafseg.inference.dense_output import DISTANCE_ONE, DenseOutput
from napari_leafseg.models.normalize import brightness_statistics
from napari_leafseg.postprocessing.seeds import find_peaks

_LEAST_PEAK = 0.45 * DISTANCE_ONE
_LEAST_AREA = 60
_CLEAR_PEAK = 0.4
_AFFORDABLE = 2_000_000
_LESS_CERTAIN = 0.9
_LIKELY = 140
_HEADROOM = 1.25
DARK = 190  # leaves whose white is below this are exposed for
THICK = 2.0
CLOSER = 2.5  # at most so many times closer than the diameter asks for, where leaves are many
SPREAD = 1.75  # diameter of a rosette of area 1


@dataclass(frozen=True)
class Plant:
    """A plant's box in the image, pixels.

    Attributes
    ----------
    top, left, bottom, right : float
    area : float
        Pixels that are leaf.
    thickness : float
        Diameter of the largest disc of leaf in it: of a seedling's leaf, or of a dense rosette's middle.
    leaves : int
        About how many leaves it has: clear peaks of the distance map.
    confidence : float
        Mean foreground of its leaf pixels, 0 to 1.
    """

    top: float
    left: float
    bottom: float
    right: float
    area: float
    thickness: float = 0.0
    leaves: int = 0
    confidence: float = 1.0

    @property
    def diameter(self) -> float:
        """The longer side of the box."""
        return max(self.bottom - self.top, self.right - self.left)

    @property
    def size(self) -> float:
        """What the working scale goes by: the diameter, or more where a few large leaves make up the plant, halfway (in
        the logarithm) to what its area lets expect. Whether one leaf tip more is seen changes the area least."""
        extent = max(self.diameter, THICK * self.thickness)
        return float(np.sqrt(extent * SPREAD * np.sqrt(self.area)))

    def moved(self, down: float, right: float) -> Plant:
        """Return the same plant elsewhere."""
        return replace(
            self, top=self.top + down, left=self.left + right, bottom=self.bottom + down, right=self.right + right
        )


def gather_plants(maps: DenseOutput, scale: float, reach: float = 0.12) -> list[Plant]:
    """Group foreground into plants.

    Pieces closer than `reach` times a plant's size belong together. Pieces without the clear middle of a leaf in them
    are no plants.

    Parameters
    ----------
    maps : DenseOutput
        At the overview's scale.
    scale : float
        Overview pixels per image pixel.
    """
    leaf = (maps.foreground >= _LIKELY).astype(np.uint8)
    leaf = cv2.morphologyEx(leaf, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(leaf, connectivity=8)
    peak = np.zeros(count, np.uint8)
    np.maximum.at(peak, pieces.ravel(), maps.distance.ravel())
    kept = (peak >= _LEAST_PEAK) & (stats[:, cv2.CC_STAT_AREA] >= 0.3 * _LEAST_AREA)
    kept[0] = False
    if not kept.any():
        return []
    extent = stats[kept][:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max()
    radius = max(2, round(float(reach * extent)))
    solid = kept[pieces].astype(np.uint8)
    joined = cv2.dilate(solid, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))
    count, groups = cv2.connectedComponents(joined)
    groups[solid == 0] = 0
    depth = cv2.distanceTransform(np.pad(solid, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    peaks = _leaf_peaks(maps.distance, solid > 0)
    plants = []
    for number in range(1, count):
        rows, columns = np.nonzero(groups == number)
        if len(rows) >= _LEAST_AREA:
            edges = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]) / scale
            top, left, bottom, right = (float(edge) for edge in edges)
            thickness = 2 * float(depth[rows, columns].max()) / scale
            leaves = int(np.count_nonzero(groups[tuple(peaks.T)] == number))
            sure = float(maps.foreground[rows, columns].mean()) / 255
            plants.append(Plant(top, left, bottom, right, len(rows) / scale**2, thickness, leaves, sure))
    return drop_small_plants(drop_uncertain_plants(plants))


def _leaf_peaks(distance: np.ndarray, leaf: np.ndarray) -> np.ndarray:
    """Clear peaks of a distance map, int (N, 2)."""
    if not distance.any():
        return np.zeros((0, 2), int)
    return find_peaks(distance, leaf, lowest=_CLEAR_PEAK, spacing=3, sigma=1.5)[0]


def typical_size(plants: list[Plant]) -> float:
    """Return the area-weighted mean size, pixels: large plants decide."""
    return float(np.average([plant.size for plant in plants], weights=[plant.area for plant in plants]))


def working_scale(plants: list[Plant], diameter: float, least_leaf: float = 0.0, leaves: int | None = None) -> float:
    """Find the scale at which plants are seen best.

    Parameters
    ----------
    plants : list of Plant
        At least one.
    diameter : float
        Of a typical plant at that scale, pixels.
    least_leaf : float
        A typical leaf (the root of the mean area) is to have at least so many pixels: plants of many leaves, twigs and
        dense pots are seen closer, up to 2.5 times.
    leaves : int, optional
        How many leaves the plants have together; what they say themselves when None.

    Returns
    -------
    float
        Pixels that the network sees per pixel of the image.
    """
    scale = diameter / typical_size(plants)
    leaves = sum(plant.leaves for plant in plants) if leaves is None else leaves
    if not leaves or not least_leaf:
        return scale
    leaf = scale * float(np.sqrt(sum(plant.area for plant in plants) / leaves))
    return scale * float(np.clip(least_leaf / max(leaf, 1e-6), 1.0, CLOSER))


def closer_scale(plants: list[Plant], shape: tuple[int, ...], diameter: float, least_leaf: float = 0.0) -> float:
    """Find the scale at which plants of an image are seen best, as `working_scale`, within what it may cost.

    For the sake of small leaves it is raised only while the regions around the plants stay under two million pixels.
    """
    plain, wanted = working_scale(plants, diameter), working_scale(plants, diameter, least_leaf)
    area = sum(region_size(place) for place in plant_regions(plants, shape))
    return max(plain, min(wanted, float(np.sqrt(_AFFORDABLE / max(area, 1)))))


def drop_uncertain_plants(plants: list[Plant]) -> list[Plant]:
    """Leave out what is much less certainly leaf than the most certain plant: rims of pots, labels, algae.

    Compared are only plants of at least 1 % of the largest one's area, so that a certain crumb outweighs nothing.
    """
    largest = max((plant.area for plant in plants), default=0.0)
    best = max((plant.confidence for plant in plants if plant.area >= 0.01 * largest), default=0.0)
    return [plant for plant in plants if plant.confidence >= _LESS_CERTAIN * best]


def drop_small_plants(plants: list[Plant]) -> list[Plant]:
    """Return plants without those of less than 3 % of the largest one's leaf area."""
    largest = max((plant.area for plant in plants), default=0.0)
    return [plant for plant in plants if plant.area >= 0.03 * largest]


def region_size(place: tuple[slice, slice]) -> int:
    """Return pixels of a box."""
    return (place[0].stop - place[0].start) * (place[1].stop - place[1].start)


def plant_statistics(
    image: np.ndarray, plants: list[Plant], place: tuple[slice, slice], white_point: float = 255.0
) -> tuple[float, float]:
    """Return brightness statistics of the plants in a box and of what lies close around them.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (H, W, 3), not exposed.
    plants : list of Plant
    place : tuple of slice
    white_point : float
        See `adjust_exposure`.
    """
    rows, columns = place
    parts = []
    for plant in plants:
        pad = 0.08 * plant.diameter
        top, bottom = max(rows.start, int(plant.top - pad)), min(rows.stop, int(plant.bottom + pad))
        left, right = max(columns.start, int(plant.left - pad)), min(columns.stop, int(plant.right + pad))
        if bottom > top and right > left:
            step = max(1, int(np.sqrt((bottom - top) * (right - left) / 250_000)))
            parts.append(image[top:bottom:step, left:right:step].reshape(-1, 3))
    around = np.concatenate(parts)[None] if parts else image[rows, columns]
    return brightness_statistics(adjust_exposure(around, white_point))


def adjust_exposure(image: np.ndarray, white_point: float) -> np.ndarray:
    """Brighten an image so that `white_point` (of 255) becomes white: dark leaves get their contrast."""
    if white_point >= 255:
        return image
    table = np.clip(np.arange(256) * (255 / white_point), 0, 255).astype(np.uint8)
    return cv2.LUT(np.ascontiguousarray(image), table)


def estimate_white_point(image: np.ndarray, foreground: np.ndarray, plants: list[Plant], scale: float) -> float:
    """Return the brightness to expose for: a little above the brightest leaves.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (h, w, 3) at `scale`, not exposed.
    foreground : numpy.ndarray
        uint8 (h, w), 255 = certainly leaf.
    plants : list of Plant
        In pixels of the whole image.
    scale : float
    """
    leaf = np.zeros(image.shape[:2], bool)
    for plant in plants:
        box = tuple(
            slice(int(a * scale), int(np.ceil(b * scale)))
            for a, b in ((plant.top, plant.bottom), (plant.left, plant.right))
        )
        leaf[box] = foreground[box] >= _LIKELY
    if not leaf.any():
        return 255.0
    return float(np.clip(_HEADROOM * np.percentile(image[leaf].max(1), 95), 24, 255))


def plant_regions(plants: list[Plant], shape: tuple[int, ...], margin: float = 0.25) -> list[tuple[slice, slice]]:
    """Return boxes around plants with a margin (a share of the diameter); boxes that overlap become one.

    Returns
    -------
    list of tuple of slice
        Rows and columns in the image.
    """
    if not plants:
        return []
    edges = np.array([[plant.top, plant.left, plant.bottom, plant.right] for plant in plants])
    pads = np.array([margin * plant.diameter + 4 for plant in plants])[:, None]
    boxes = np.concatenate([np.floor(edges[:, :2] - pads), np.ceil(edges[:, 2:] + pads)], 1)
    boxes = np.clip(boxes, 0, [shape[0], shape[1], shape[0], shape[1]]).astype(int)
    while True:
        top, left, bottom, right = boxes.T
        overlap = (top[:, None] < bottom) & (top < bottom[:, None]) & (left[:, None] < right) & (left < right[:, None])
        count, group = connected_components(overlap, directed=False)
        merged = np.array(
            [[*boxes[group == k, :2].min(0), *boxes[group == k, 2:].max(0)] for k in range(count)], dtype=int
        )
        if count == len(boxes):
            break
        boxes = merged
    return [(slice(box[0], box[2]), slice(box[1], box[3])) for box in sorted(boxes.tolist())]
