"""Scenes: plants on a background, seen by a camera, with the exact label of every leaf."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from pydantic import ConfigDict, Field

from napari_leafseg._entries import Entries
from napari_leafseg._opencv import cv2
from napari_leafseg.synthetic.background import draw_background, draw_distractors, draw_pot
from napari_leafseg.synthetic.camera import light, photograph
from napari_leafseg.synthetic.canvas import Canvas, Shadows, draw_plant_on, tidy
from napari_leafseg.synthetic.kinds import Arrangement, Kind, arrange
from napari_leafseg.synthetic.looks import add_glare, draw_moss, fluoresce
from napari_leafseg.synthetic.plant import Habit, PlantSpec, draw_plant, draw_species


class SceneConfig(Entries):
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
    kind : str, optional
        One of `napari_leafseg.synthetic.kinds.KINDS` instead of single plants from above: "seedlings" of two to five
        leaves, "petioles" as long as blades, "pinnate" leaves of many leaflets, "strap" and "needles" from above,
        "strap-side", a "stand" of many small plants (their number follows from `diameter`, not from `plants`), a
        "shrub", "twig". Their diameters are drawn evenly over the logarithm of `diameter`.
    moss, foliage, glare, fluorescence : float
        Chances of a carpet of moss or algae, of other plants behind, out of focus and without labels, of shining
        leaves, of the look of chlorophyll fluorescence.
    grain : float
        Chance that the ground, what lies on it and moss have a size of their own, a third to eight times that which the
        plants' size lets expect: seedlings on coarse mesh, rosettes on fine moss.
    smallest_leaf : int
        Leaves that show fewer pixels get no label of their own; nor do those that show less than 0.002 of the
        square of their plant's diameter: less than the smallest leaf that people outlined on real rosettes.
    """

    model_config = ConfigDict(frozen=True)

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
    kind: Kind | None = None
    moss: float = Field(0.0, ge=0, le=1)
    foliage: float = Field(0.0, ge=0, le=1)
    glare: float = Field(0.0, ge=0, le=1)
    fluorescence: float = Field(0.0, ge=0, le=1)
    grain: float = Field(0.0, ge=0, le=1)
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
    if config.kind is not None:
        return _synthesize_kind(np.random.default_rng([seed, 4]), config, config.kind)
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


def _synthesize_kind(rng: np.random.Generator, config: SceneConfig, kind: Kind) -> Scene:
    number = int(rng.integers(config.plants[0], config.plants[1] + 1))
    diameters = np.exp(rng.uniform(*np.log(config.diameter))) * rng.uniform(0.75, 1.0, max(1, number))
    centers = _place(rng, config, diameters[:number])
    arrangement = arrange(rng, kind, config.size, diameters[: len(centers)], centers) if number else Arrangement()
    return _compose(rng, config, [], centers, diameters, arrangement=arrangement)


def growth_series(seed: int, days: int = 6, config: SceneConfig | None = None, leaves: int = 13) -> list[Scene]:
    """Return one plant photographed from the same place on `days` days of its growth.

    Noise and sharpness change from day to day; plant, pot, soil and light stay.

    Parameters
    ----------
    seed : int
    days : int
        Number of images.
    config : SceneConfig, optional
        The largest diameter is the plant's on the last day.
    leaves : int
        Of the plant on the last day, those that others cover included.

    Returns
    -------
    list of Scene
    """
    config = config or SceneConfig()
    plant = draw_plant(np.random.default_rng([seed, 1]), config.habit or "rosette", leaves=leaves)
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
    arrangement: Arrangement | None = None,
) -> Scene:
    if arrangement is not None and arrangement.centers:
        centers, diameters = np.array(arrangement.centers), np.array(arrangement.diameters)
    unit = unit or float(np.mean(diameters))
    seeds = rng.integers(0, 2**31, 4 + len(plants))
    scenery, lamp = np.random.default_rng(seeds[0]), np.random.default_rng(seeds[1])
    ground = _size_of_ground(np.random.default_rng([int(seeds[3]), 1]), config, unit)
    image = np.ascontiguousarray(draw_background(scenery, config.size, ground, config.background))
    extra = np.random.default_rng(seeds[3])
    canvas = Canvas(image, np.zeros(config.size, np.uint16), np.zeros(config.size, np.uint16))
    if arrangement is not None and arrangement.side_pots:
        _draw_wall(extra, image, unit)
    pot_chance = min(1.0, 2 * config.pots) if scenery.random() < max(0.5, config.pots) else 0.0
    if arrangement is not None and not arrangement.pots:
        pot_chance = 0.0
    for center, diameter in zip(centers, diameters, strict=False):
        if scenery.random() < pot_chance:
            draw_pot(scenery, image, center, max(diameter, 0.8 * unit) * scenery.uniform(0.7, 1.5))
    if config.distractors:
        draw_distractors(scenery, image, ground)
    if extra.random() < config.moss:
        draw_moss(extra, image, ground)
    if extra.random() < config.foliage:
        _draw_foliage(extra, image, unit)
    angle = lamp.uniform(0, 2 * np.pi)
    for index, ((plant, day), center, diameter) in enumerate(zip(plants, centers, diameters, strict=False)):
        painter = np.random.default_rng(seeds[4 + index])
        draw_plant_on(painter, canvas, plant, day, center, diameter, (np.cos(angle), np.sin(angle)), index + 1)
    if arrangement is not None:
        _draw_arrangement(np.random.default_rng(seeds[1] + 1), canvas, arrangement, (np.cos(angle), np.sin(angle)))
    labels, owners, identities = tidy(canvas, config.smallest_leaf)
    if extra.random() < config.glare:
        add_glare(extra, canvas.image, labels)
    eye = np.random.default_rng(seeds[2])
    if extra.random() < config.fluorescence:
        return Scene(fluoresce(extra, canvas.image, labels, owners), labels, owners, identities)
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


def _size_of_ground(rng: np.random.Generator, config: SceneConfig, unit: float) -> float:
    """Return the size, pixels, that the ground is drawn for: the plants', or with the chance `config.grain` its own."""
    if rng.random() >= config.grain:
        return unit
    return float(np.clip(unit * np.exp(rng.uniform(np.log(1 / 3), np.log(8))), 24, 2 * max(config.size)))


def _draw_arrangement(
    rng: np.random.Generator, canvas: Canvas, arrangement: Arrangement, sun: tuple[float, float]
) -> None:
    """Draw pots, then leaves and stems from the lowest up."""
    for pot in arrangement.side_pots:
        pot.draw(rng, canvas.image)
    size = float(np.mean(arrangement.diameters)) if arrangement.diameters else 0.0
    shadows = Shadows(
        sun,
        depth=rng.uniform(0.1, 0.65),
        reach=size * rng.uniform(0.005, 0.05),
        blur=max(0.6, size * rng.uniform(0.003, 0.015)),
    )
    for item in arrangement.ordered():
        item.draw(rng, canvas, shadows)


def _draw_foliage(rng: np.random.Generator, image: np.ndarray, unit: float) -> None:
    """Draw other plants far behind, out of focus, in place."""
    shape = (max(16, image.shape[0] // 2), max(16, image.shape[1] // 2))
    small = cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA)
    canvas = Canvas(small, np.zeros(shape, np.uint16), np.zeros(shape, np.uint16))
    across = max(0.15 * min(shape), min(0.5 * unit * rng.uniform(0.3, 0.8), 0.6 * min(shape)))
    stand = arrange(rng, "stand", shape, np.array([across]), np.zeros((1, 2)))
    _draw_arrangement(rng, canvas, stand, (0.7, 0.7))
    blurred = cv2.GaussianBlur(canvas.image, (0, 0), float(shape[0] * rng.uniform(0.012, 0.04)))
    image[:] = cv2.resize(blurred, image.shape[1::-1]) * np.float32(rng.uniform(0.4, 1.1))


def _draw_wall(rng: np.random.Generator, image: np.ndarray, unit: float) -> None:
    """In half the views from the side: something else behind the ground, out of focus."""
    height = image.shape[0]
    if rng.random() < 0.5:
        return
    edge = int(height * rng.uniform(0.1, 0.6))
    behind = draw_background(rng, (edge, image.shape[1]), unit * rng.uniform(0.5, 2.0))
    image[:edge] = cv2.GaussianBlur(behind, (0, 0), float(rng.uniform(0.5, 4.0))) * np.float32(rng.uniform(0.6, 1.2))


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
