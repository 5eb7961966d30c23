"""Finding the plants of a picture, and the scale at which the network sees them best.

The first U-Net looks at the picture at a few sizes. On each, what it takes for leaf is gathered into plants. The
picture is then worked on at the scale that gives a typical plant the diameter that the model was trained for, and only
around the plants: gravel, wire and paper far from any plant are never grouped into leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components

from napari_leafseg._opencv import cv2
from napari_leafseg.inference.tiling import DISTANCE_ONE, PixelMaps, TiledNetwork
from napari_leafseg.io.arrays import resize
from napari_leafseg.models.normalise import brightness_statistics

OVERVIEWS = (1024, 512, 256)
FINE_OVERVIEW = 2560
_LEAST_PEAK = 0.45 * DISTANCE_ONE
_LEAST_AREA = 60
_LIKELY = 140
_LOOKS_AGAIN = 3
_SETTLED = 0.12  # octaves
_POSSIBLE = (0.6, 1.7)  # by how much the leaf area may change between two looks
_LARGE = 6_000_000  # pixels at the working scale: a second look would cost more than it brings


@dataclass(frozen=True)
class Plant:
    """A plant's box in the picture, pixels, and how many of them are leaf."""

    top: float
    left: float
    bottom: float
    right: float
    area: float

    @property
    def diameter(self) -> float:
        """The longer side of the box."""
        return max(self.bottom - self.top, self.right - self.left)

    def moved(self, down: float, right: float) -> Plant:
        """The same plant elsewhere."""
        return Plant(self.top + down, self.left + right, self.bottom + down, self.right + right, self.area)


def gather_plants(maps: PixelMaps, scale: float, reach: float = 0.12) -> list[Plant]:
    """Group foreground into plants.

    Pieces closer than `reach` times a plant's size belong together. Pieces without the clear middle of a leaf in them
    are no plants.

    Parameters
    ----------
    maps : PixelMaps
        At the overview's scale.
    scale : float
        Overview pixels per picture pixel.
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
    plants = []
    for number in range(1, count):
        rows, columns = np.nonzero(groups == number)
        if len(rows) >= _LEAST_AREA:
            edges = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]) / scale
            top, left, bottom, right = (float(edge) for edge in edges)
            plants.append(Plant(top, left, bottom, right, len(rows) / scale**2))
    return _without_crumbs(plants)


def typical_diameter(plants: list[Plant]) -> float:
    """Area-weighted mean diameter, pixels: large plants decide."""
    areas = np.array([plant.area for plant in plants])
    return float(np.average([plant.diameter for plant in plants], weights=areas))


def find_plants(
    network: TiledNetwork, image: np.ndarray, diameter: float
) -> Iterator[tuple[int, int, list[Plant] | None]]:
    """Look at a picture at several sizes and find its plants.

    The size at which a typical plant is nearest to `diameter` counts; from there the plants are looked at again at
    just that diameter, so that what is found does not depend on how much else there is in the picture.

    Parameters
    ----------
    network : TiledNetwork
    image : numpy.ndarray
        uint8 (H, W, 3).
    diameter : float
        Diameter of a plant that the network sees best, pixels.

    Yields
    ------
    tuple
        (looks done, looks in all, plants); the plants come last. The list is empty where no size shows any.
    """
    longest = max(image.shape[:2])
    sides = sorted({min(side, longest) for side in OVERVIEWS})
    total = len(sides) + 2
    found: list[list[Plant]] = []
    for number, side in enumerate(sides, start=1):
        found.append(_look(network, image, side / longest))
        yield number, total, None
    if not any(found) and longest > OVERVIEWS[0]:
        found.append(_look(network, image, min(1.0, FINE_OVERVIEW / longest)))
        sides.append(min(FINE_OVERVIEW, longest))
    offsets = [
        (abs(float(np.log2(typical_diameter(plants) * side / longest / diameter))), number)
        for number, (plants, side) in enumerate(zip(found, sides, strict=True))
        if plants
    ]
    plants = found[min(offsets)[1]] if offsets else []
    yield total - 1, total, None
    yield total, total, _look_again(network, image, plants, diameter)


def _look(network: TiledNetwork, image: np.ndarray, scale: float) -> list[Plant]:
    """Plants of the whole picture at one size."""
    small = resize(image, scale)
    return gather_plants(network.maps(small, brightness_statistics(small), embed=False), scale)


def _look_again(network: TiledNetwork, image: np.ndarray, plants: list[Plant], diameter: float) -> list[Plant]:
    """Find plants anew at the scale that they call for, until that scale stays."""
    for _ in range(_LOOKS_AGAIN if plants else 0):
        scale = diameter / typical_diameter(plants)
        places = plant_regions(plants, image.shape)
        if sum(region_size(place) for place in places) * scale**2 > _LARGE:
            break
        found: list[Plant] = []
        for rows, columns in places:
            part = resize(image[rows, columns], scale)
            maps = network.maps(part, plant_statistics(image, plants, (rows, columns)), embed=False)
            zoom = part.shape[0] / (rows.stop - rows.start)
            found += [plant.moved(rows.start, columns.start) for plant in gather_plants(maps, zoom)]
        if not found:
            break
        found = _without_crumbs(found)
        if not _POSSIBLE[0] < sum(p.area for p in found) / sum(p.area for p in plants) < _POSSIBLE[1]:
            break  # seen closer, it looks quite different: keep to the overview
        settled = abs(float(np.log2(typical_diameter(found) / typical_diameter(plants)))) < _SETTLED
        plants = found
        if settled:
            break
    return plants


def _without_crumbs(plants: list[Plant]) -> list[Plant]:
    largest = max((plant.area for plant in plants), default=0.0)
    return [plant for plant in plants if plant.area >= 0.03 * largest]


def region_size(place: tuple[slice, slice]) -> int:
    """Pixels of a box."""
    return (place[0].stop - place[0].start) * (place[1].stop - place[1].start)


def plant_statistics(image: np.ndarray, plants: list[Plant], place: tuple[slice, slice]) -> tuple[float, float]:
    """Brightness statistics of the plants in a box: of what lies close around them, not of all that surrounds them."""
    rows, columns = place
    parts = []
    for plant in plants:
        pad = 0.08 * plant.diameter
        top, bottom = max(rows.start, int(plant.top - pad)), min(rows.stop, int(plant.bottom + pad))
        left, right = max(columns.start, int(plant.left - pad)), min(columns.stop, int(plant.right + pad))
        if bottom > top and right > left:
            step = max(1, int(np.sqrt((bottom - top) * (right - left) / 250_000)))
            parts.append(image[top:bottom:step, left:right:step].reshape(-1, 3))
    if not parts:
        return brightness_statistics(image[rows, columns])
    return brightness_statistics(np.concatenate(parts)[None])


def plant_regions(plants: list[Plant], shape: tuple[int, ...], margin: float = 0.3) -> list[tuple[slice, slice]]:
    """Boxes around plants with a margin (a share of the diameter); boxes that overlap become one.

    Returns
    -------
    list of tuple of slice
        Rows and columns in the picture.
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
