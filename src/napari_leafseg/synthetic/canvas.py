"""Leaves are laid on a canvas one over the other: colors, shadows and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.synthetic.leaf import LeafPaint, LeafShape, outline, paint_blade, polygon_alpha
from napari_leafseg.synthetic.plant import PlantSpec


@dataclass
class Canvas:
    """An image that is being drawn, float32 (H, W, 3), with the labels and plants of its pixels."""

    image: np.ndarray
    labels: np.ndarray
    plants: np.ndarray
    leaves: int = 0
    owner_area: list[float] = field(default_factory=lambda: [0.0])  # square of the diameter of each leaf's plant
    identities: list[int] = field(default_factory=lambda: [0])

    def lay(
        self, color: np.ndarray, alpha: np.ndarray, origin: tuple[int, int], plant: int, identity: int, extent: float
    ) -> None:
        """Lay a leaf on top of what is there.

        Parameters
        ----------
        color, alpha : numpy.ndarray
            Colors (h, w, 3) and cover (h, w), 0 to 1, of a box.
        origin : tuple of int
            The box's top-left (y, x).
        plant : int
            Number of its plant, from 1 on; 0 for a stem, which is no leaf.
        identity : int
            Which of its plant's leaves it is.
        extent : float
            Diameter of its plant.
        """
        window = (slice(origin[0], origin[0] + alpha.shape[0]), slice(origin[1], origin[1] + alpha.shape[1]))
        self.image[window] += alpha[..., None] * (color - self.image[window])
        covered = alpha >= 0.5
        self.plants[window][covered] = plant
        if not plant:
            self.labels[window][covered] = 0
            return
        self.leaves += 1
        self.owner_area.append(extent**2)
        self.identities.append(identity)
        self.labels[window][covered] = self.leaves


@dataclass(frozen=True)
class Shadows:
    """Depth (0 to 1), reach and blur (pixels) of the shadows of a plant, and the direction (x, y) that they fall."""

    sun: tuple[float, float]
    depth: float
    reach: float
    blur: float


@dataclass(frozen=True)
class PlacedLeaf:
    """A leaf where it lies in the image; lengths in pixels, `base` as (y, x), `height` for the drawing order."""

    base: tuple[float, float]
    azimuth: float
    length: float
    flat: float
    shape: LeafShape
    paint: LeafPaint
    height: float
    extent: float
    plant: int = 1
    identity: int = 1
    brightness: float = 1.0

    def draw(self, rng: np.random.Generator, canvas: Canvas, shadows: Shadows) -> None:
        """Draw the leaf on a canvas, its shadow first."""
        base = np.array(self.base)
        corners = outline(self.shape, int(np.clip(self.length / 2, 16, 160))) * self.length
        corners[:, 0] *= self.flat
        cos, sin = np.cos(self.azimuth), np.sin(self.azimuth)
        polygon = base + np.stack(
            [corners[:, 0] * sin + corners[:, 1] * cos, corners[:, 0] * cos - corners[:, 1] * sin], 1
        )
        drawn = polygon_alpha(polygon, canvas.labels.shape)
        if drawn is None:
            return
        alpha, origin = drawn
        cast_shadow(canvas.image, alpha, origin, shadows)
        color = paint_blade(
            rng, alpha.shape, origin, base, self.azimuth, self.length, self.flat, self.shape, self.paint, shadows.sun
        )
        if self.brightness != 1:
            color = color * np.float32(self.brightness)
        canvas.lay(color, alpha, origin, self.plant, self.identity, self.extent)


@dataclass(frozen=True)
class Stem:
    """A stem, twig or rachis: no leaf; `points` as (y, x), pixels."""

    points: tuple[tuple[float, float], ...]
    width: float
    color: tuple[float, float, float]
    height: float

    def draw(self, rng: np.random.Generator, canvas: Canvas, shadows: Shadows) -> None:
        """Draw the stem on a canvas, its shadow first; leaves under it lose those pixels."""
        mask = np.zeros(canvas.labels.shape, np.uint8)
        corners = np.round(np.array(self.points)[:, ::-1] * 16).astype(np.int32)
        cv2.polylines(mask, [corners], False, 255, max(1, round(self.width)), cv2.LINE_AA, 4)
        left, top, width, height = cv2.boundingRect(mask)
        if not width:
            return
        alpha = mask[top : top + height, left : left + width].astype(np.float32) / 255
        cast_shadow(canvas.image, alpha, (top, left), shadows)
        edge = cv2.GaussianBlur(alpha, (0, 0), max(0.6, self.width / 4))
        tone = np.asarray(self.color, np.float32) * rng.uniform(0.9, 1.1)
        canvas.lay(tone * (0.6 + 0.45 * edge[..., None]), alpha, (top, left), 0, 0, 0.0)


def draw_plant_on(
    rng: np.random.Generator,
    canvas: Canvas,
    plant: PlantSpec,
    day: float,
    center: np.ndarray,
    diameter: float,
    sun: tuple[float, float],
    number: int,
) -> None:
    """Draw a plant on a day around a center (y, x), `diameter` pixels across."""
    shadows = Shadows(
        sun,
        depth=rng.uniform(0.1, 0.65),
        reach=diameter * rng.uniform(0.005, 0.04),
        blur=max(0.6, diameter * rng.uniform(0.004, 0.02)),
    )
    for leaf in place_plant(plant, day, center, diameter, number):
        leaf.draw(rng, canvas, shadows)


def place_plant(plant: PlantSpec, day: float, center: np.ndarray, diameter: float, number: int) -> Sequence[PlacedLeaf]:
    """List the leaves of a plant where they lie, the lowest first."""
    scale = 0.5 * diameter / plant.reach(day)
    placed = []
    for leaf in plant.visible(day):
        length = leaf.length(day) * scale
        if length < 3:
            continue
        base = center + leaf.base(day) * scale
        placed.append(
            PlacedLeaf(
                base=(float(base[0]), float(base[1])),
                azimuth=leaf.azimuth,
                length=length,
                flat=leaf.foreshortening(day),
                shape=leaf.shape,
                paint=leaf.paint,
                height=leaf.height,
                extent=float(diameter),
                plant=number,
                identity=plant.leaves.index(leaf) + 1,
            )
        )
    return placed


def cast_shadow(
    image: np.ndarray,
    alpha: np.ndarray,
    origin: tuple[int, int],
    shadows: Shadows,
) -> None:
    """Darken what lies under a leaf: its own outline, moved away from the sun and blurred."""
    sun, reach, blur = shadows.sun, shadows.reach, shadows.blur
    pad = int(np.ceil(reach + 3 * blur)) + 1
    soft = cv2.GaussianBlur(np.pad(alpha, pad), (0, 0), blur)
    top, left = origin[0] - pad + round(sun[1] * reach), origin[1] - pad + round(sun[0] * reach)
    low_y, low_x = max(0, top), max(0, left)
    high_y, high_x = min(image.shape[0], top + soft.shape[0]), min(image.shape[1], left + soft.shape[1])
    if high_y > low_y and high_x > low_x:
        part = soft[low_y - top : high_y - top, low_x - left : high_x - left]
        image[low_y:high_y, low_x:high_x] *= 1 - shadows.depth * part[..., None]


def tidy(canvas: Canvas, smallest: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the leaves 1 … N; give slivers (what is left of hidden leaves) to the leaf that they touch."""
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
