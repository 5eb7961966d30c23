"""A plant as numbers: which leaves it has, where they point, and how they grow."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from napari_leafseg.synthetic.leaf import LeafPaint, LeafShape

Habit = Literal["rosette", "opposite", "compound"]
HABITS: tuple[Habit, ...] = ("rosette", "opposite", "compound")
GOLDEN_ANGLE = np.deg2rad(137.508)


@dataclass(frozen=True)
class LeafSpec:
    """One leaf of a plant, ages in days.

    Attributes
    ----------
    born : float
        Day on which the leaf appears.
    azimuth : float
        Direction from the plant's center, radians.
    full_length : float
        Length when grown, in units of the plant's longest leaf.
    start : tuple of float
        Base of the grown leaf relative to the center, in the same units (leaflets sit on their rachis).
    """

    born: float
    azimuth: float
    full_length: float
    shape: LeafShape
    paint: LeafPaint
    height: float
    start: tuple[float, float] = (0.0, 0.0)
    grown_foreshortening: float = 1.0

    def length(self, day: float) -> float:
        """Return the length at `day`, in units of the longest leaf; logistic growth, 0 before the leaf appears."""
        age = day - self.born
        if age <= 0:
            return 0.0
        return float(self.full_length / (1 + np.exp(-(age - 6.0) / 2.1)))

    def base(self, day: float) -> np.ndarray:
        """Return the leaf's base relative to the center at `day`, (y, x); a leaflet's moves out as its rachis grows."""
        return np.array(self.start) * (self.length(day) / self.full_length) * self.foreshortening(day)

    def foreshortening(self, day: float) -> float:
        """Return the visible share of the length: young leaves stand upright, grown ones lie flat."""
        age = max(0.0, day - self.born)
        return float(self.grown_foreshortening * (0.62 + 0.38 * min(1.0, age / 8)))


@dataclass(frozen=True)
class PlantSpec:
    """A plant: all the leaves that it will ever have, drawn on a day by `napari_leafseg.synthetic.scene`."""

    habit: Habit
    leaves: tuple[LeafSpec, ...]

    def visible(self, day: float) -> list[LeafSpec]:
        """Return leaves that can be seen at `day`, the lowest first."""
        grown = [leaf for leaf in self.leaves if leaf.length(day) > 0.03]
        return sorted(grown, key=lambda leaf: leaf.height)

    def reach(self, day: float) -> float:
        """Return the largest distance of a leaf tip from the center, in units of the longest leaf."""
        tips = [np.hypot(*leaf.base(day)) + leaf.length(day) * leaf.foreshortening(day) for leaf in self.visible(day)]
        return float(max(tips, default=0.1))


_FAMILIES: dict[str, dict[str, tuple[float, float]]] = {
    # width, petiole, base, tip: ranges of the uniform draw
    "round": {"width": (0.5, 0.7), "petiole": (0.25, 0.5), "base": (0.35, 0.6), "tip": (0.3, 0.5)},
    "ovate": {"width": (0.4, 0.62), "petiole": (0.15, 0.4), "base": (0.4, 0.65), "tip": (0.55, 0.95)},
    "elliptic": {"width": (0.3, 0.5), "petiole": (0.15, 0.4), "base": (0.5, 0.8), "tip": (0.45, 0.75)},
    "broad": {"width": (0.6, 0.85), "petiole": (0.1, 0.35), "base": (0.35, 0.55), "tip": (0.45, 0.75)},
    "spatulate": {"width": (0.3, 0.5), "petiole": (0.1, 0.35), "base": (0.9, 1.5), "tip": (0.4, 0.6)},
    "lanceolate": {"width": (0.14, 0.28), "petiole": (0.05, 0.3), "base": (0.6, 1.0), "tip": (0.7, 1.2)},
}


def _draw_shape(rng: np.random.Generator) -> LeafShape:
    """Draw the shape that all leaves of a plant vary around."""
    family = rng.choice(list(_FAMILIES), p=[0.26, 0.21, 0.2, 0.1, 0.16, 0.07])
    ranges = _FAMILIES[str(family)]
    teeth = int(rng.integers(3, 10)) if rng.random() < 0.3 else 0
    lobes = int(rng.integers(2, 6)) if rng.random() < 0.12 else 0
    width = float(rng.uniform(*ranges["width"]))
    return LeafShape(
        width=width,
        petiole=float(rng.uniform(*ranges["petiole"])),
        petiole_width=float(rng.uniform(0.03, 0.075)),
        base=float(rng.uniform(*ranges["base"])),
        tip=float(rng.uniform(*ranges["tip"])),
        teeth=teeth,
        tooth_depth=float(rng.uniform(0.03, 0.12)) if teeth else 0.0,
        lobes=lobes,
        lobe_depth=float(rng.uniform(0.1, 0.45)) if lobes else 0.0,
    )


def _vary_shape(rng: np.random.Generator, shape: LeafShape, age_rank: float) -> LeafShape:
    """One leaf's shape; `age_rank` 0 (oldest) to 1 (youngest): young leaves have hardly a petiole and are narrower."""
    folded = rng.random() < 0.12
    petiole = shape.petiole * rng.uniform(0.75, 1.2) * (1 - 0.65 * age_rank)
    return replace(
        shape,
        width=float(shape.width * rng.uniform(0.85, 1.15) * (0.6 if folded else 1.0)),
        petiole=float(np.clip(petiole, 0.02, 0.6)),
        base=float(shape.base * rng.uniform(0.9, 1.1)),
        tip=float(shape.tip * rng.uniform(0.9, 1.1)),
        bend=float(rng.normal(0, 0.28)),
        asymmetry=float(rng.uniform(-0.6, 0.6) if folded else rng.normal(0, 0.07)),
    )


def _plant_hsv(rng: np.random.Generator) -> tuple[float, float, float]:
    kind = rng.random()
    if kind < 0.76:  # fresh green
        return rng.uniform(72, 112) / 360, rng.uniform(0.35, 0.8), rng.uniform(0.4, 0.8)
    if kind < 0.97:  # dark or bluish green
        return rng.uniform(95, 155) / 360, rng.uniform(0.25, 0.65), rng.uniform(0.2, 0.5)
    if kind < 0.99:  # pale, yellowing
        return rng.uniform(52, 80) / 360, rng.uniform(0.25, 0.7), rng.uniform(0.5, 0.9)
    return rng.uniform(270, 360) / 360, rng.uniform(0.15, 0.5), rng.uniform(0.3, 0.6)  # anthocyanin


def _rgb(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(hue % 1, float(np.clip(saturation, 0, 1)), float(np.clip(value, 0, 1)))


class _Painter:
    """Draws the paint of single leaves around the plant's own color."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.hsv = _plant_hsv(rng)
        self.spread = rng.uniform(0.2, 1.0)
        self.young_value = rng.uniform(-0.08, 0.2)
        self.young_saturation = rng.uniform(-0.25, 0.1)
        self.vein = rng.uniform(-0.05, 0.25)
        self.relief = rng.uniform(0.02, 0.25)
        self.mottle = rng.uniform(0.02, 0.16)
        self.gloss = rng.uniform(0.0, 0.25) if rng.random() < 0.3 else 0.0
        self.reddish_petiole = rng.random() < 0.25
        self.pale_petiole = rng.random() < 0.4

    def draw(self, rng: np.random.Generator, age_rank: float) -> LeafPaint:
        hue, saturation, value = self.hsv
        hue += self.spread * rng.normal(0, 6) / 360
        saturation += self.spread * rng.normal(0, 0.07) + self.young_saturation * age_rank
        value = value * (1 + self.spread * rng.normal(0, 0.13)) + self.young_value * age_rank
        petiole = None
        if self.pale_petiole:
            petiole = _rgb(hue - 0.02, saturation * 0.7, value * 1.15)
        if self.reddish_petiole:
            petiole = _rgb(rng.uniform(0.0, 0.1), saturation * 0.6, value * 0.9)
        return LeafPaint(
            color=_rgb(hue, saturation, value),
            vein=self.vein,
            vein_count=int(rng.integers(4, 10)),
            relief=self.relief * rng.uniform(0.5, 1.5),
            mottle=self.mottle,
            rim=rng.uniform(-0.05, 0.25),
            tip_shift=rng.normal(0, 0.12),
            petiole_color=petiole,
            gloss=self.gloss,
        )


@dataclass(frozen=True)
class Species:
    """What the plants of one tray have in common: habit, leaf shape and colors."""

    habit: Habit
    shape: LeafShape
    painter: _Painter


def draw_species(rng: np.random.Generator, habit: Habit | None = None) -> Species:
    """Draw a species; `habit` as in `draw_plant`."""
    if habit is None:
        habit = HABITS[int(rng.choice(3, p=[0.72, 0.15, 0.13]))]
    return Species(habit, _draw_shape(rng), _Painter(rng))


def draw_plant(
    rng: np.random.Generator,
    habit: Habit | None = None,
    leaves: int | None = None,
    species: Species | None = None,
) -> PlantSpec:
    """Draw a plant.

    Parameters
    ----------
    rng : numpy.random.Generator
    habit : {"rosette", "opposite", "compound"}, optional
        Golden-angle rosette, opposite (decussate) pairs, or compound leaves whose leaflets count as leaves.
    leaves : int, optional
        Number of leaves that the plant will have when the last has appeared.
    species : Species, optional
        Drawn when None.

    Returns
    -------
    PlantSpec
    """
    species = species or draw_species(rng, habit)
    habit, shape, painter = species.habit, species.shape, species.painter
    if leaves is None:
        leaves = int(np.clip(np.round(rng.gamma(4.0, 2.3)), 2, 28))
    start_angle, handedness = rng.uniform(0, 2 * np.pi), rng.choice([-1.0, 1.0])
    spacing = rng.uniform(0.8, 1.8)  # days between two leaves
    jitter, shuffled = rng.uniform(0.03, 0.25), rng.uniform(0.2, 2.5)
    size_spread = rng.uniform(0.05, 0.2)
    cotyledons = 2 if leaves > 4 and habit == "rosette" and rng.random() < 0.6 else 0
    specs: list[LeafSpec] = []
    for index in range(leaves):
        rank = index / max(1, leaves - 1)
        azimuth = _azimuth(habit, index, start_angle, handedness) + rng.normal(0, jitter)
        length = float(np.clip(rng.normal(1 - 0.25 * (1 - rank) ** 2, size_spread), 0.45, 1.2))
        leaf_shape = _vary_shape(rng, shape, rank)
        born = spacing * index
        if index < cotyledons:
            length *= 0.45
            born = 0.0
            leaf_shape = replace(leaf_shape, width=0.5, petiole=0.45, base=0.45, tip=0.4, teeth=0, lobes=0)
        flat = float(np.clip(1 - abs(rng.normal(0, 0.16)), 0.5, 1.0))
        height = index + rng.normal(0, shuffled)
        common: dict[str, Any] = {"born": born, "height": float(height), "grown_foreshortening": flat}
        if habit == "compound":
            specs.extend(_leaflets(rng, azimuth, length, leaf_shape, painter, rank, common))
        else:
            specs.append(
                LeafSpec(
                    azimuth=float(azimuth),
                    full_length=length,
                    shape=leaf_shape,
                    paint=painter.draw(rng, rank),
                    **common,
                )
            )
    return PlantSpec(habit, tuple(specs))


def _azimuth(habit: Habit, index: int, start: float, handedness: float) -> float:
    if habit == "opposite":
        return start + (index // 2) * np.pi / 2 + (index % 2) * np.pi
    return start + handedness * index * GOLDEN_ANGLE


def _leaflets(
    rng: np.random.Generator,
    azimuth: float,
    length: float,
    shape: LeafShape,
    painter: _Painter,
    rank: float,
    common: dict[str, Any],
) -> list[LeafSpec]:
    """A terminal leaflet whose petiole is the rachis, and one or two pairs along it."""
    pairs = int(rng.integers(0, 3))
    end = replace(shape, petiole=float(np.clip(0.35 + 0.1 * pairs, 0, 0.6)), width=max(0.3, shape.width * 0.85))
    result = [LeafSpec(azimuth=float(azimuth), full_length=length, shape=end, paint=painter.draw(rng, rank), **common)]
    for pair in range(pairs):
        at = (0.55 - 0.25 * pair) * length * rng.uniform(0.9, 1.1)
        for side in (-1, 1):
            direction = azimuth + side * rng.uniform(0.8, 1.3)
            side_shape = replace(shape, petiole=0.12, width=max(0.35, shape.width))
            result.append(
                LeafSpec(
                    azimuth=float(direction),
                    full_length=float(length * rng.uniform(0.32, 0.55)),
                    shape=side_shape,
                    paint=painter.draw(rng, rank),
                    start=(float(at * np.sin(azimuth)), float(at * np.cos(azimuth))),
                    **{**common, "height": common["height"] + float(rng.normal(0, 0.4))},
                )
            )
    return result
