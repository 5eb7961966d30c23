"""Kinds of scenes other than single plants from above: seedlings, straps, stands, shrubs, twigs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

from napari_leafseg.synthetic.canvas import PlacedLeaf, Stem, place_plant
from napari_leafseg.synthetic.plant import LeafSpec, PlantSpec, Species, draw_plant, draw_species
from napari_leafseg.synthetic.ribbon import Ribbon
from napari_leafseg.synthetic.straps import SidePot, needles, strap, strap_side

Kind = Literal["seedlings", "petioles", "pinnate", "strap", "strap-side", "needles", "stand", "shrub", "twig"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_LEAVES = 360  # of a stand, about
Item = PlacedLeaf | Ribbon | Stem


@dataclass
class Arrangement:
    """Leaves and stems where they lie, with the plants' centers (y, x) and diameters, pixels.

    `pots` tells whether pots may stand under the centers; `side_pots` are seen from the side.
    """

    items: list[Item] = field(default_factory=list)
    centers: list[np.ndarray] = field(default_factory=list)
    diameters: list[float] = field(default_factory=list)
    pots: bool = True
    side_pots: list[SidePot] = field(default_factory=list)

    def add(self, items: list[Item], center: np.ndarray, diameter: float) -> None:
        """Add a plant."""
        self.items.extend(items)
        self.centers.append(center)
        self.diameters.append(diameter)

    def ordered(self) -> list[Item]:
        """Return the items, the lowest first."""
        return sorted(self.items, key=lambda item: item.height)


def arrange(
    rng: np.random.Generator,
    kind: Kind,
    size: tuple[int, int],
    diameters: np.ndarray,
    centers: np.ndarray,
) -> Arrangement:
    """Arrange a scene of a kind.

    Parameters
    ----------
    rng : numpy.random.Generator
    kind : str
        One of `KINDS`.
    size : tuple of int
        Height and width of the image.
    diameters : numpy.ndarray
        (N,), the plants' diameters; of a stand, the first is that of all its plants.
    centers : numpy.ndarray
        (N, 2), the plants' centers as (y, x); a stand has its own.
    """
    if kind == "stand":
        return _stand(rng, size, float(diameters[0]) if len(diameters) else 0.3 * min(size))
    result = Arrangement(pots=kind not in ("strap-side", "twig"))
    species = draw_species(rng, _HABITS.get(kind)) if rng.random() < 0.8 else None
    for number, (center, diameter) in enumerate(zip(centers, diameters, strict=False), 1):
        if kind in ("strap", "needles"):
            leaves = (strap if kind == "strap" else needles)(rng, center, float(diameter), number)
            result.add(list(leaves), center, 0.5 * float(diameter))
        elif kind == "strap-side":
            ribbons, pot = strap_side(rng, size, center, float(diameter), number)
            result.add(list(ribbons), center, float(diameter))
            result.side_pots.append(pot)
        elif kind in ("shrub", "twig"):
            draw = _shrub if kind == "shrub" else _twig
            result.add(draw(rng, center, float(diameter), number, species), center, float(diameter))
        else:
            plant, day = _GROWN[kind](rng, species)
            items: list[Item] = [*place_plant(plant, day, center, float(diameter), number)]
            result.add(_stack(items, 100.0 * number), center, float(diameter))
    return result


def _stack(items: list[Item], height: float) -> list[Item]:
    return [replace(item, height=item.height + height) for item in items]


def _seedling(rng: np.random.Generator, species: Species | None) -> tuple[PlantSpec, float]:
    """Two to five leaves: two seed leaves opposite each other, then the first true ones."""
    habit: Literal["opposite", "rosette"] = "opposite" if rng.random() < 0.5 else "rosette"
    species = species or draw_species(rng, habit)
    count = int(rng.integers(2, 6))
    plant = draw_plant(rng, None, leaves=count, species=replace(species, habit=habit))
    petiole, width, blunt = rng.uniform(0.1, 0.6), rng.uniform(0.35, 0.75), rng.uniform(0.3, 0.5)
    start, leaves = rng.uniform(0, 2 * np.pi), list(plant.leaves)
    for index in range(2):
        shape = replace(
            leaves[index].shape, width=width, petiole=petiole, base=blunt, tip=blunt, teeth=0, lobes=0, bend=0.0
        )
        leaves[index] = replace(
            leaves[index],
            shape=shape,
            born=0.0,
            azimuth=float(start + np.pi * index + rng.normal(0, 0.15)),
            full_length=float(rng.uniform(0.5, 1.0)),
        )
    last = max(leaf.born for leaf in leaves)
    return PlantSpec(plant.habit, tuple(leaves)), float(last + rng.uniform(4, 10))


def _long_petioles(rng: np.random.Generator, species: Species | None) -> tuple[PlantSpec, float]:
    """A rosette whose petioles are as long as its blades."""
    plant = draw_plant(rng, "rosette", leaves=int(rng.integers(4, 16)), species=species)
    low, width = rng.uniform(0.4, 0.55), rng.uniform(0.02, 0.05)
    leaves: list[LeafSpec] = []
    for index, leaf in enumerate(plant.leaves):
        young = index > 0.75 * len(plant.leaves)
        petiole = rng.uniform(0.1, 0.4) if young else low + rng.uniform(0, 0.12)
        shape = replace(
            leaf.shape,
            petiole=float(petiole),
            petiole_width=float(width),
            width=float(max(0.25, leaf.shape.width * rng.uniform(0.6, 0.95))),
            bend=float(rng.normal(0, 0.4)),
        )
        leaves.append(replace(leaf, shape=shape))
    last = max(leaf.born for leaf in leaves)
    return PlantSpec(plant.habit, tuple(leaves)), float(rng.uniform(0.5, 1.0) * last + rng.uniform(4, 9))


def _pinnate(rng: np.random.Generator, species: Species | None) -> tuple[PlantSpec, float]:
    """Compound leaves of three to eight pairs of leaflets along a rachis."""
    plant = draw_plant(rng, "rosette", leaves=int(rng.integers(2, 8)), species=species)
    pairs, narrow = int(rng.integers(2, 8)), rng.uniform(0.3, 0.6)
    spread, share = rng.uniform(0.9, 1.4), rng.uniform(1.0, 1.7)
    leaves: list[LeafSpec] = []
    for leaf in plant.leaves:
        count = int(np.clip(pairs + rng.integers(-1, 2), 1, 8))
        first = rng.uniform(0.15, 0.35)
        places = np.linspace(first, 0.86, count)
        pitch = (0.86 - first) / max(1, count - 1) if count > 1 else 0.3
        end = replace(leaf.shape, petiole=0.62, width=narrow * 0.38, bend=0.0, petiole_width=0.018, lobes=0)
        leaves.append(replace(leaf, shape=end, full_length=leaf.full_length))
        for at in places:
            for side in (-1, 1):
                azimuth = leaf.azimuth + side * spread * rng.uniform(0.85, 1.1)
                reach = float(at * leaf.full_length * rng.uniform(0.97, 1.03))
                small = replace(leaf.shape, petiole=0.08, width=narrow, lobes=0, bend=float(rng.normal(0, 0.2)))
                length = float(np.clip(pitch * share, 0.1, 0.42) * leaf.full_length * rng.uniform(0.85, 1.1))
                start = (reach * float(np.sin(leaf.azimuth)), reach * float(np.cos(leaf.azimuth)))
                up = leaf.height + float(rng.normal(0, 0.3))
                leaves.append(
                    replace(leaf, azimuth=float(azimuth), full_length=length, shape=small, start=start, height=up)
                )
    last = max(leaf.born for leaf in plant.leaves)
    return PlantSpec("compound", tuple(leaves)), float(rng.uniform(0.6, 1.0) * last + rng.uniform(5, 9))


_HABITS: dict[str, Literal["rosette", "opposite", "compound"]] = {"petioles": "rosette", "pinnate": "rosette"}
_GROWN: dict[str, Callable[[np.random.Generator, Species | None], tuple[PlantSpec, float]]] = {
    "seedlings": _seedling,
    "petioles": _long_petioles,
    "pinnate": _pinnate,
}


def _broad(rng: np.random.Generator, species: Species) -> Species:
    """Give a species the broad, pointed leaves of beans, poplars and hazels in about half the draws."""
    shape = replace(species.shape, lobes=0, petiole=float(rng.uniform(0.12, 0.3)))
    if rng.random() < 0.6:
        width, base, tip = rng.uniform(0.55, 0.95), rng.uniform(0.25, 0.45), rng.uniform(0.6, 1.0)
        shape = replace(shape, width=float(width), base=float(base), tip=float(tip))
    return replace(species, shape=shape)


def _stand(rng: np.random.Generator, size: tuple[int, int], diameter: float) -> Arrangement:
    """Many small plants whose leaves close to a canopy; it fills the image or a part of it."""
    species = _broad(rng, draw_species(rng, "compound" if rng.random() < 0.35 else None))
    pitch = max(diameter * rng.uniform(0.3, 0.7), 0.055 * max(size)) * (1.5 if species.habit == "compound" else 1.0)
    middle, reach = np.array(size) / 2.0, np.array(size) * (0.55 if rng.random() < 0.5 else rng.uniform(0.25, 0.45))
    middle = middle + rng.normal(0, 0.05, 2) * size
    square, turn = rng.random() < 0.5, rng.uniform(0, np.pi)
    count = int(np.ceil(float(np.hypot(*size)) / pitch / 2)) + 1
    cells = np.stack(np.meshgrid(*(np.arange(-count, count + 1),) * 2), -1).reshape(-1, 2) * pitch
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centers = cells @ spin + rng.normal(0, 0.22 * pitch, cells.shape)
    away = np.abs(centers) / reach
    centers = middle + centers[(away.max(1) if square else np.hypot(*away.T)) < 1]
    result, leaves = Arrangement(pots=False), int(rng.integers(2, 8))
    for number, center in enumerate(rng.permutation(centers)[:120], 1):
        if len(result.items) > MOST_LEAVES:
            break
        plant = draw_plant(rng, species.habit, leaves=max(2, leaves + int(rng.integers(-1, 2))), species=species)
        last = max(leaf.born for leaf in plant.leaves)
        across = diameter * rng.uniform(0.75, 1.15)
        placed = place_plant(plant, float(last + rng.uniform(3, 9)), center, across, number)
        high = float(rng.normal(0, 0.5 * leaves))
        result.add(_stack([*placed], high), center, across)
    result.items = _dim(rng, result.ordered())
    return result


def _dim(rng: np.random.Generator, items: list[Item], darkest: tuple[float, float] = (0.35, 0.95)) -> list[Item]:
    """Let less light reach the lower layers; `items` from the lowest up."""
    low, lit = rng.uniform(*darkest), []
    for index, item in enumerate(items):
        share = low + (1 - low) * (index + 1) / len(items)
        lit.append(item if isinstance(item, Stem) else replace(item, brightness=float(share * rng.uniform(0.9, 1.1))))
    return lit


def _shrub(
    rng: np.random.Generator, center: np.ndarray, diameter: float, number: int, species: Species | None
) -> list[Item]:
    """Twenty to forty leaves of about one size in several layers, from above or obliquely."""
    species = _broad(rng, species or draw_species(rng))
    count = int(rng.integers(16, 44))
    length = diameter * float(rng.uniform(1.1, 1.9)) / np.sqrt(count)
    squash, wood = rng.uniform(0.55, 1.0), (0.25 * rng.uniform(0.6, 1.6), 0.2, 0.12)
    sagging = rng.uniform(0, 0.8) if squash < 0.85 else 0.0
    items: list[Item] = []
    for index in range(count):
        radius = (0.5 * diameter - 0.4 * length) * np.sqrt((index + 0.3) / count)
        angle = index * 2.39996 + rng.normal(0, 0.4)
        offset = radius * np.array([np.sin(angle) * squash, np.cos(angle)]) * rng.uniform(0.8, 1.15)
        heading = np.array([np.sin(angle), np.cos(angle)]) + rng.normal(0, 0.45, 2) + np.array([sagging, 0])
        shape = replace(
            species.shape,
            width=float(species.shape.width * rng.uniform(0.85, 1.1)),
            bend=float(rng.normal(0, 0.25)),
            asymmetry=float(np.clip(rng.normal(0, 0.15), -0.5, 0.5)),
        )
        base = center + offset - rng.uniform(0.3, 0.6) * length * heading / max(float(np.hypot(*heading)), 0.1)
        height = float(-2.2 * radius / diameter + rng.normal(0, 0.35))
        size = float(length * np.clip(rng.normal(1, 0.15), 0.55, 1.4) * (0.7 if height > 0.5 else 1))
        items.append(
            PlacedLeaf(
                base=(float(base[0]), float(base[1])),
                azimuth=float(np.arctan2(heading[0], heading[1])),
                length=size,
                flat=float(rng.uniform(0.5, 1.0)),
                shape=shape,
                paint=species.painter.draw(rng, float(rng.random())),
                height=height,
                extent=float(2.5 * length),
                plant=number,
                identity=index + 1,
            )
        )
        if rng.random() < 0.6:
            middle = center + offset * 0.5 + rng.normal(0, 0.03, 2) * diameter
            points = tuple((float(y), float(x)) for y, x in (center, middle, base))
            items.append(Stem(points, max(1.0, 0.012 * diameter), wood, height - 0.3))
    return _dim(rng, sorted(items, key=lambda item: item.height), (0.3, 0.8))


def _twig(
    rng: np.random.Generator, center: np.ndarray, diameter: float, number: int, species: Species | None
) -> list[Item]:
    """One to three twigs with alternate leaves on short stalks."""
    species = _broad(rng, species or draw_species(rng))
    items: list[Item] = []
    heading, count = rng.uniform(0, 2 * np.pi), int(rng.integers(1, 4))
    wood = (0.35 * rng.uniform(0.5, 1.3), 0.3 * rng.uniform(0.6, 1.3), 0.16)
    size = diameter * rng.uniform(0.14, 0.34)
    root = center - 0.5 * diameter * np.array([np.sin(heading), np.cos(heading)])
    for twig in range(count):
        course = heading + (rng.normal(0, 0.45) if twig else 0.0)
        nodes = int(rng.integers(6, 18))
        t = np.linspace(0, 1, nodes + 1)
        turn = course + rng.normal(0, 0.5) * t
        steps = np.stack([np.sin(turn), np.cos(turn)], 1) * (diameter * rng.uniform(0.85, 1.1) / nodes)
        path = root + np.concatenate([np.zeros((1, 2)), np.cumsum(steps[:-1], 0)])
        points = tuple((float(y), float(x)) for y, x in path)
        level = 10.0 * twig
        items.append(Stem(points, max(1.2, 0.012 * diameter), wood, level))
        for node in range(1, nodes + 1):
            side = 1 if node % 2 else -1
            away = rng.uniform(0.5, 1.4) * side if node < nodes else rng.normal(0, 0.2)
            young = node / nodes
            length = float(size * rng.uniform(0.8, 1.15) * (1 - 0.55 * max(0.0, young - 0.5)))
            shape = replace(species.shape, bend=float(rng.normal(0, 0.3)), petiole=float(rng.uniform(0.12, 0.35)))
            items.append(
                PlacedLeaf(
                    base=points[node],
                    azimuth=float(turn[node] + away),
                    length=length,
                    flat=float(rng.uniform(0.4, 1.0)),
                    shape=shape,
                    paint=species.painter.draw(rng, float(young)),
                    height=level + float(rng.normal(0, 1.0)),
                    extent=2.5 * size,
                    plant=number,
                    identity=len(items),
                    brightness=float(rng.uniform(0.65, 1.1)),
                )
            )
    return items
