"""Finding the plants of an image, the light in which they lie, and the scale at which the network sees them best.

The first U-Net looks at the image at a few sizes. On each, what it takes for leaf is gathered into plants. The
image is then worked on at the scale that gives a typical plant the diameter that the model was trained for, and only
around the plants: gravel, wire and paper far from any plant are never grouped into leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from napari_leafseg.inference.plants import (
    DARK,
    Plant,
    adjust_exposure,
    closer_scale,
    drop_small_plants,
    estimate_white_point,
    gather_plants,
    plant_regions,
    plant_statistics,
    region_size,
    typical_size,
)
from napari_leafseg.inference.tiling import DISTANCE_ONE, DenseOutput, TiledNetwork
from napari_leafseg.io.arrays import resize
from napari_leafseg.models.normalize import brightness_statistics

OVERVIEWS = (1024, 512, 256)
FINE_OVERVIEW = 2560
_ENLARGED = 4.0  # small images are looked at so many times larger at most
_LOOKS_AGAIN = 4
_SETTLED = 0.06  # octaves
_LARGE = 6_000_000  # pixels at the working scale: a second look would cost more than it brings
_POSSIBLE = (0.6, 1.7)  # by how much the leaf area may change between two looks
_POSSIBLE_EXPOSED = (0.6, 6.0)
_WHOLE = 0.7
_CLEAR = 0.28  # plants smaller than this share of the best size are seen as blobs
_UNCERTAIN = 0.8  # looks less certain than this share of the most certain one are not trusted
_COUNTS = 0.25  # that one must see this share of the leaf area that any look sees
_TINY = 0.36  # plants this small, as a share of the best size, are easily overlooked: look closer


@dataclass(frozen=True)
class PlantDetections:
    """What the search found.

    Attributes
    ----------
    plants : list of Plant
    white_point : float
        The brightness (of 255) that is to become white, see `napari_leafseg.inference.plants.adjust_exposure`.
    """

    plants: list[Plant] = field(default_factory=list)
    white_point: float = 255.0


def find_plants(
    network: TiledNetwork, image: np.ndarray, diameter: float, least_leaf: float = 0.0
) -> Iterator[tuple[int, int, PlantDetections | None]]:
    """Look at an image at several sizes and find its plants.

    The size at which a typical plant is nearest to `diameter` counts. From there the plants are looked at
    again at just that diameter, exposed for their leaves where these are dark, so that what is found does not depend on
    how much else there is in the image.

    Parameters
    ----------
    network : TiledNetwork
    image : numpy.ndarray
        uint8 (H, W, 3).
    diameter : float
        Diameter of a plant that the network sees best, pixels.
    least_leaf : float
        See `napari_leafseg.inference.plants.working_scale`.

    Yields
    ------
    tuple
        (looks done, looks in all, findings); the findings come last, without plants where no size shows any.
    """
    longest = max(image.shape[:2])
    sides = sorted({min(side, longest) for side in OVERVIEWS})
    total = len(sides) + 2
    looks = []
    for number, side in enumerate(sides, start=1):
        looks.append(_look(network, image, side / longest))
        yield number, total, None
    best = _best(looks, diameter)
    tiny = not best.plants or typical_size(best.plants) * best.scale < _TINY * diameter
    closer = _closer_overview(longest)
    if tiny and closer > max(look.scale for look in looks):
        looks.append(_look(network, image, closer))
        best = _best(looks, diameter)
    white_point = best.white_point if best.white_point < DARK else 255.0
    yield total - 1, total, None
    yield (
        total,
        total,
        PlantDetections(_look_again(network, image, best.plants, (diameter, least_leaf), white_point), white_point),
    )


def _closer_overview(longest: int) -> float:
    """Find the scale of one more overview for tiny plants: large images nearly as they are, small ones enlarged."""
    if longest > max(OVERVIEWS):
        return min(1.0, FINE_OVERVIEW / longest)
    return min(_ENLARGED, max(OVERVIEWS) / longest)


@dataclass(frozen=True)
class _Look:
    scale: float
    plants: list[Plant]
    white_point: float


def _look(network: TiledNetwork, image: np.ndarray, scale: float) -> _Look:
    """Plants of the whole image at one size, and the brightness to expose for."""
    small = resize(image, scale)
    maps = network.maps(small, brightness_statistics(small), embed=False)
    plants = gather_plants(maps, scale)
    return _Look(scale, plants, estimate_white_point(small, maps.foreground, plants, scale))


def _best(looks: list[_Look], diameter: float) -> _Look:
    """The look at which a typical plant is nearest to `diameter`, of those that see about as much leaf as any.

    Where a plant is much too large, the network sees but pieces of it: little leaf, and small "plants". Where it is
    very small, its area is a guess.
    """
    seen = _trusted([look for look in looks if look.plants])
    if not seen:
        return _Look(1.0, [], 255.0)
    clear = [look for look in seen if typical_size(look.plants) * look.scale >= _CLEAR * diameter]
    most = max(_area(look.plants) for look in clear or seen)
    whole = [look for look in clear or seen if _area(look.plants) >= _WHOLE * most]
    return min(whole, key=lambda look: abs(float(np.log2(typical_size(look.plants) * look.scale / diameter))))


def _trusted(looks: list[_Look]) -> list[_Look]:
    """Leave out looks that see nothing but what is far less certainly leaf than what another look sees: the rim
    of a pot where the seedling is too small to be seen."""
    most = max((_area(look.plants) for look in looks), default=0.0)
    best = max((_confidence(look) for look in looks if _area(look.plants) >= _COUNTS * most), default=0.0)
    return [look for look in looks if _confidence(look) >= _UNCERTAIN * best]


def _confidence(look: _Look) -> float:
    return max(plant.confidence for plant in look.plants)


def _look_again(
    network: TiledNetwork, image: np.ndarray, plants: list[Plant], best: tuple[float, float], white_point: float
) -> list[Plant]:
    """Find plants anew, exposed for their leaves, at the scale that they call for, until that scale stays."""
    possible = _POSSIBLE if white_point >= 255 else _POSSIBLE_EXPOSED
    for _ in range(_LOOKS_AGAIN if plants else 0):
        scale = closer_scale(plants, image.shape, *best)
        places = plant_regions(plants, image.shape)
        if sum(region_size(place) for place in places) * scale**2 > _LARGE:
            break
        found: list[Plant] = []
        for rows, columns in places:
            part = adjust_exposure(resize(image[rows, columns], scale), white_point)
            maps = network.maps(part, plant_statistics(image, plants, (rows, columns), white_point), embed=False)
            zoom = part.shape[0] / (rows.stop - rows.start)
            found += [plant.moved(rows.start, columns.start) for plant in gather_plants(maps, zoom)]
        found = drop_small_plants(found)
        still = [plant for plant in plants if any(_overlap(plant, other) for other in found)]
        if not still or not possible[0] < _area(found) / _area(still) < possible[1]:
            break  # seen closer, it looks quite different: keep to the overview
        settled = abs(float(np.log2(closer_scale(found, image.shape, *best) / scale))) < _SETTLED
        plants = found
        if settled:
            break
    return plants


def _overlap(first: Plant, second: Plant) -> bool:
    return (
        first.top < second.bottom
        and second.top < first.bottom
        and first.left < second.right
        and second.left < first.right
    )


def _area(plants: list[Plant]) -> float:
    return sum(plant.area for plant in plants)


def given_plants(image: np.ndarray, mask: np.ndarray) -> PlantDetections:
    """Return the plants of a given mask, and the light for their leaves.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (H, W, 3).
    mask : numpy.ndarray
        bool (H, W).
    """
    leaf = np.where(mask, 255, 0).astype(np.uint8)
    maps = DenseOutput(np.where(mask, DISTANCE_ONE, 0).astype(np.uint8), leaf, np.zeros((0, *mask.shape), np.int8))
    plants = gather_plants(maps, 1.0)
    if not plants:
        return PlantDetections()
    white_point = estimate_white_point(image, leaf, plants, 1.0)
    return PlantDetections(plants, white_point if white_point < DARK else 255.0)
