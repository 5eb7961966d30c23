"""Finding the plants of a picture, and the scale at which the network sees them best.

The first U-Net looks at the picture at a few sizes. On each, what it takes for leaf is gathered into plants. The
picture is then worked on at the scale that gives a typical plant the diameter that the model was trained for, and only
around the plants: gravel, wire and paper far from any plant are never grouped into leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.inference.tiling import DISTANCE_ONE, PixelMaps, TiledNetwork
from napari_leafseg.io.arrays import resize
from napari_leafseg.models.normalise import brightness_statistics

OVERVIEWS = (1024, 512, 256)
FINE_OVERVIEW = 2560
_LEAST_PEAK = 0.45 * DISTANCE_ONE
_LEAST_AREA = 60
_LIKELY = 140


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
    largest = max((plant.area for plant in plants), default=0.0)
    return [plant for plant in plants if plant.area >= 0.02 * largest]


def typical_diameter(plants: list[Plant]) -> float:
    """Area-weighted mean diameter, pixels: large plants decide."""
    areas = np.array([plant.area for plant in plants])
    return float(np.average([plant.diameter for plant in plants], weights=areas))


def find_plants(
    network: TiledNetwork, image: np.ndarray, diameter: float
) -> Iterator[tuple[int, int, list[Plant] | None]]:
    """Look at a picture at several sizes and find its plants.

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
    sides = sorted({min(side, longest) for side in OVERVIEWS} | {min(longest, 1024)})
    found: list[tuple[float, list[Plant]]] = []
    for number, side in enumerate(sides, start=1):
        found.extend(_look(network, image, side / longest, diameter))
        yield number, len(sides) + 1, None
    if not found and longest > OVERVIEWS[0]:
        found.extend(_look(network, image, min(1.0, FINE_OVERVIEW / longest), diameter))
    best = min(found, key=lambda item: item[0], default=(0.0, []))
    yield len(sides) + 1, len(sides) + 1, best[1]


def _look(network: TiledNetwork, image: np.ndarray, scale: float, diameter: float) -> list[tuple[float, list[Plant]]]:
    """Plants at one size, with how far (in octaves) they are from the size that is seen best."""
    small = resize(image, scale)
    maps = network.maps(small, brightness_statistics(small), embed=False)
    plants = gather_plants(maps, scale)
    if not plants:
        return []
    return [(abs(float(np.log2(typical_diameter(plants) * scale / diameter))), plants)]


def plant_regions(plants: list[Plant], shape: tuple[int, ...], margin: float = 0.3) -> list[tuple[slice, slice]]:
    """Boxes around plants with a margin (a share of the diameter); boxes that overlap become one.

    Returns
    -------
    list of tuple of slice
        Rows and columns in the picture.
    """
    boxes = []
    for plant in plants:
        pad = margin * plant.diameter + 4
        boxes.append(
            [
                max(0, int(plant.top - pad)),
                max(0, int(plant.left - pad)),
                min(shape[0], int(np.ceil(plant.bottom + pad))),
                min(shape[1], int(np.ceil(plant.right + pad))),
            ]
        )
    merged = True
    while merged:
        merged = False
        for i in range(len(boxes)):
            for j in range(i + 1, len(boxes)):
                a, b = boxes[i], boxes[j]
                if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]:
                    boxes[i] = [min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])]
                    del boxes[j]
                    merged = True
                    break
            if merged:
                break
    return [(slice(box[0], box[2]), slice(box[1], box[3])) for box in sorted(boxes)]
