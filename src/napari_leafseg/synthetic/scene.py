"""Scenes: plants on a background, seen by a camera, with the exact label of every leaf."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_leafseg._opencv import cv2
from napari_leafseg.synthetic.background import draw_background, draw_distractors, draw_pot
from napari_leafseg.synthetic.camera import light, photograph
from napari_leafseg.synthetic.leaf import outline, paint_blade, polygon_alpha
from napari_leafseg.synthetic.plant import Habit, PlantSpec, draw_plant, draw_species


class SceneConfig(BaseModel):
    """What `synthesize` may draw.

    Attributes
    ----------
    size : tuple of int
        Height and width, pixels.
    diameter : tuple of float
        Smallest and largest diameter of a plant, pixels.
    plants : tuple of int
        Smallest and largest number of plants.
    background : str, optional
        One of `napari_leafseg.synthetic.background.KINDS`; drawn for each scene when None.
    habit : str, optional
        "rosette", "opposite" or "compound"; drawn for each plant when None.
    camera : bool
        Uneven light, blur, noise and JPEG.
    border : float
        Chance that a plant is placed so that the image's border may cut it.
    blank : float
        Chance that the image is a crop laid into a black field.
    same_species : float
        Chance that all plants of a scene are of one species.
    pots : float
        Chance that a plant stands in a pot.
    distractors : bool
        Algae, labels, sticks.
    smallest_leaf : int
        Leaves that show fewer pixels get no label of their own; nor do those that show less than 0.002 of the
        square of their plant's diameter: less than the smallest leaf that people outlined on real rosettes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: tuple[Annotated[int, Field(ge=16)], Annotated[int, Field(ge=16)]] = (288, 288)
    diameter: tuple[float, float] = (100.0, 280.0)
    plants: tuple[int, int] = (1, 1)
    background: Literal["soil", "mesh", "gravel", "paper", "wire", "felt", "plain", "planks"] | None = None
    habit: Habit | None = None
    camera: bool = True
    border: float = 0.15
    blank: float = 0.1
    same_species: float = 0.75
    pots: float = 0.28
    distractors: bool = True
    smallest_leaf: int = 20


@dataclass(frozen=True)
class Scene:
    """A synthetic image and its truth.

    Attributes
    ----------
    image : numpy.ndarray
        uint8 (H, W, 3), RGB.
    labels : numpy.ndarray
        uint16 (H, W), leaves 1 … N without gaps, 0 = background.
    plants : numpy.ndarray
        uint16 (H, W), the plant that a pixel belongs to, 0 = background.
    identities : numpy.ndarray
        int (N + 1,), which of its plant's leaves a label is, in the order of birth from 1 on: the same leaf has the
        same number in every image of a growth series. 0 for the background.
    """

    image: np.ndarray
    labels: np.ndarray
    plants: np.ndarray
    identities: np.ndarray = field(default_factory=lambda: np.zeros(1, int))


@dataclass
class _Canvas:
    image: np.ndarray
    labels: np.ndarray
    plants: np.ndarray
    leaves: int = 0
    owner_area: list[float] = field(default_factory=lambda: [0.0])  # square of the diameter of each leaf's plant
    identities: list[int] = field(default_factory=lambda: [0])


def synthesize(seed: int, config: SceneConfig | None = None) -> Scene:
    """Draw one scene from one seed number.

    Parameters
    ----------
    seed : int
        The same seed and configuration give the same labels, and the same image, on every machine.
    config : SceneConfig, optional

    Returns
    -------
    Scene

    Examples
    --------
    >>> scene = synthesize(1, SceneConfig(size=(128, 128), diameter=(60, 110)))
    >>> scene.image.shape, scene.labels.dtype.name
    ((128, 128, 3), 'uint16')
    """
    config = config or SceneConfig()
    rng = np.random.default_rng([seed, 0])
    number = int(rng.integers(config.plants[0], config.plants[1] + 1))
    diameters = rng.uniform(*config.diameter) * rng.uniform(0.75, 1.0, max(1, number))
    drawn: list[tuple[PlantSpec, float]] = []
    shared = draw_species(rng, config.habit) if rng.random() < config.same_species else None
    for _ in range(number):
        plant = draw_plant(rng, config.habit, species=shared)
        last = max(leaf.born for leaf in plant.leaves)
        drawn.append((plant, float(rng.uniform(0.3, 1.0) * last + rng.uniform(2, 9))))
    centers = _place(rng, config, diameters[:number])
    return _compose(rng, config, drawn, centers, diameters)


def growth_series(seed: int, days: int = 6, config: SceneConfig | None = None) -> list[Scene]:
    """One plant photographed from the same place on `days` days of its growth.

    Noise and sharpness change from day to day; plant, pot, soil and light stay.

    Parameters
    ----------
    seed : int
    days : int
        Number of images.
    config : SceneConfig, optional
        The largest diameter is the plant's on the last day.

    Returns
    -------
    list of Scene
    """
    config = config or SceneConfig()
    plant = draw_plant(np.random.default_rng([seed, 1]), config.habit or "rosette", leaves=13)
    last = max(leaf.born for leaf in plant.leaves) + 8
    first = plant.leaves[2].born + 4.5
    center = np.array(config.size, float)[None] / 2
    scenes = []
    for index in range(days):
        day = first + (last - first) * index / max(1, days - 1)
        diameter = config.diameter[1] * plant.reach(day) / plant.reach(last)
        rng = np.random.default_rng([seed, 2])
        scenes.append(
            _compose(
                rng,
                config,
                [(plant, day)],
                center,
                np.array([diameter]),
                unit=config.diameter[1],
                camera_rng=np.random.default_rng([seed, 3, index]),
            )
        )
    return scenes


def _place(rng: np.random.Generator, config: SceneConfig, diameters: np.ndarray) -> np.ndarray:
    """Plant centers (y, x): apart from each other where there is room, within the image but for border crops."""
    size = np.array(config.size, float)
    centers: list[np.ndarray] = []
    for diameter in diameters:
        margin = np.minimum(diameter * 0.5, size * 0.48)
        if rng.random() < config.border:
            margin = np.minimum(diameter * 0.15, size * 0.3)
        best, best_gap = size / 2, -np.inf
        for _ in range(12):
            trial = rng.uniform(margin, size - margin)
            gap = min((np.hypot(*(trial - other)) for other in centers), default=np.inf)
            if gap > best_gap:
                best, best_gap = trial, gap
            if gap > diameter * 0.95:
                break
        centers.append(best)
    return np.array(centers).reshape(-1, 2)


def _compose(
    rng: np.random.Generator,
    config: SceneConfig,
    plants: list[tuple[PlantSpec, float]],
    centers: np.ndarray,
    diameters: np.ndarray,
    unit: float | None = None,
    camera_rng: np.random.Generator | None = None,
) -> Scene:
    unit = unit or float(np.mean(diameters))
    seeds = rng.integers(0, 2**31, 4 + len(plants))
    scenery, lamp = np.random.default_rng(seeds[0]), np.random.default_rng(seeds[1])
    image = np.ascontiguousarray(draw_background(scenery, config.size, unit, config.background))
    canvas = _Canvas(image, np.zeros(config.size, np.uint16), np.zeros(config.size, np.uint16))
    pot_chance = min(1.0, 2 * config.pots) if scenery.random() < max(0.5, config.pots) else 0.0
    for center, diameter in zip(centers, diameters, strict=False):
        if scenery.random() < pot_chance:
            draw_pot(scenery, image, center, max(diameter, 0.8 * unit) * scenery.uniform(0.7, 1.5))
    if config.distractors:
        draw_distractors(scenery, image, unit)
    angle = lamp.uniform(0, 2 * np.pi)
    for index, ((plant, day), center, diameter) in enumerate(zip(plants, centers, diameters, strict=False)):
        painter = np.random.default_rng(seeds[4 + index])
        _draw_one(painter, canvas, plant, day, center, diameter, (np.cos(angle), np.sin(angle)), index + 1)
    labels, owners, identities = _tidy(canvas, config.smallest_leaf)
    eye = np.random.default_rng(seeds[2])
    image = canvas.image
    if config.camera:
        image = light(eye, image)
        eye = camera_rng or eye
        if eye.random() < config.blank:
            labels, owners, image = _crop_in_black(eye, labels, owners, image)
        result = photograph(eye, image)
    else:
        result = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return Scene(result, labels, owners, identities)


def _draw_one(
    rng: np.random.Generator,
    canvas: _Canvas,
    plant: PlantSpec,
    day: float,
    center: np.ndarray,
    diameter: float,
    sun: tuple[float, float],
    number: int,
) -> None:
    scale = 0.5 * diameter / plant.reach(day)
    shadow_depth = rng.uniform(0.1, 0.65)
    shadow_reach = diameter * rng.uniform(0.005, 0.04)
    shadow_blur = max(0.6, diameter * rng.uniform(0.004, 0.02))
    for leaf in plant.visible(day):
        length, flat = leaf.length(day) * scale, leaf.foreshortening(day)
        if length < 3:
            continue
        base = center + leaf.base(day) * scale
        corners = outline(leaf.shape, int(np.clip(length / 2, 16, 160))) * length
        corners[:, 0] *= flat
        cos, sin = np.cos(leaf.azimuth), np.sin(leaf.azimuth)
        polygon = base + np.stack(
            [corners[:, 0] * sin + corners[:, 1] * cos, corners[:, 0] * cos - corners[:, 1] * sin], 1
        )
        drawn = polygon_alpha(polygon, canvas.labels.shape)
        if drawn is None:
            continue
        alpha, origin = drawn
        _cast_shadow(canvas.image, alpha, origin, sun, shadow_depth, shadow_reach, shadow_blur)
        color = paint_blade(rng, alpha.shape, origin, base, leaf.azimuth, length, flat, leaf.shape, leaf.paint, sun)
        window = (slice(origin[0], origin[0] + alpha.shape[0]), slice(origin[1], origin[1] + alpha.shape[1]))
        canvas.image[window] += alpha[..., None] * (color - canvas.image[window])
        canvas.leaves += 1
        canvas.owner_area.append(diameter**2)
        canvas.identities.append(plant.leaves.index(leaf) + 1)
        covered = alpha >= 0.5
        canvas.labels[window][covered] = canvas.leaves
        canvas.plants[window][covered] = number


def _cast_shadow(
    image: np.ndarray,
    alpha: np.ndarray,
    origin: tuple[int, int],
    sun: tuple[float, float],
    depth: float,
    reach: float,
    blur: float,
) -> None:
    """Darken what lies under a leaf: its own outline, moved away from the sun and blurred."""
    pad = int(np.ceil(reach + 3 * blur)) + 1
    soft = cv2.GaussianBlur(np.pad(alpha, pad), (0, 0), blur)
    top, left = origin[0] - pad + round(sun[1] * reach), origin[1] - pad + round(sun[0] * reach)
    low_y, low_x = max(0, top), max(0, left)
    high_y, high_x = min(image.shape[0], top + soft.shape[0]), min(image.shape[1], left + soft.shape[1])
    if high_y > low_y and high_x > low_x:
        part = soft[low_y - top : high_y - top, low_x - left : high_x - left]
        image[low_y:high_y, low_x:high_x] *= 1 - depth * part[..., None]


def _crop_in_black(
    rng: np.random.Generator, labels: np.ndarray, owners: np.ndarray, image: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blacken everything outside a box around the plants, as cropped series are often stored."""
    ys, xs = np.nonzero(labels)
    if not len(ys):
        return labels, owners, image
    margin = rng.integers(0, 20, 4)
    inside = np.zeros(labels.shape, bool)
    inside[
        max(0, ys.min() - margin[0]) : ys.max() + 1 + margin[1], max(0, xs.min() - margin[2]) : xs.max() + 1 + margin[3]
    ] = True
    return labels, owners, image * inside[..., None]


def _tidy(canvas: _Canvas, smallest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the leaves 1 … N; give slivers (hidden leaves' crumbs) to the leaf that they touch."""
    labels, owners = canvas.labels, canvas.plants
    areas = np.bincount(labels.ravel(), minlength=canvas.leaves + 1)
    least = np.maximum(smallest, 0.002 * np.array(canvas.owner_area))
    small = np.flatnonzero((areas > 0) & (areas < least))
    for label in small[small > 0]:
        piece = labels == label
        ring = cv2.dilate(piece.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~piece
        around = labels[ring]
        around = around[around > 0]
        winner = np.bincount(around).argmax() if around.size else 0
        labels[piece] = winner
        if not winner:
            owners[piece] = 0
    present = np.unique(labels)
    present = present[present > 0]
    lookup = np.zeros(canvas.leaves + 1, np.uint16)
    lookup[present] = np.arange(1, len(present) + 1)
    return lookup[labels], owners, np.array(canvas.identities)[np.concatenate([[0], present]).astype(int)]
