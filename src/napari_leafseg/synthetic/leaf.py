"""One leaf: its outline, and how it is painted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.synthetic._noise import smooth_noise

_SHIFT = 4  # fixed-point bits of polygon corners: 1/16 px, so that rounding is the same on every machine


@dataclass(frozen=True)
class LeafShape:
    """Shape of a leaf, lengths as fractions of the whole leaf's length.

    Attributes
    ----------
    width : float
        Largest width of the blade.
    petiole : float
        Share of the length that is petiole, 0 to 0.7.
    petiole_width : float
        Width of the petiole.
    base, tip : float
        Exponents of the outline ``t**base * (1 - t)**tip``: small is blunt, large is pointed.
    bend : float
        Turn of the midrib from base to tip, radians.
    asymmetry : float
        Difference of the two halves, -0.5 to 0.5 (a folded leaf shows one half narrower).
    teeth, tooth_depth : int, float
        Number of teeth a side and their depth as a share of the width.
    lobes, lobe_depth : int, float
        Number of lobes a side and their depth.
    """

    width: float = 0.5
    petiole: float = 0.3
    petiole_width: float = 0.05
    base: float = 0.6
    tip: float = 0.5
    bend: float = 0.0
    asymmetry: float = 0.0
    teeth: int = 0
    tooth_depth: float = 0.0
    lobes: int = 0
    lobe_depth: float = 0.0


@dataclass(frozen=True)
class LeafPaint:
    """How a leaf is painted; colors are RGB in 0 to 1."""

    color: tuple[float, float, float]
    vein: float = 0.1
    vein_count: int = 6
    relief: float = 0.1
    mottle: float = 0.08
    rim: float = 0.1
    tip_shift: float = 0.0
    petiole_color: tuple[float, float, float] | None = None
    gloss: float = 0.0


def half_widths(shape: LeafShape, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the half widths of the left and right side at positions `t` (0 base, 1 tip), in leaf lengths."""
    blade = np.clip((t - shape.petiole) / (1 - shape.petiole), 0, 1)
    profile = blade**shape.base * (1 - blade) ** shape.tip
    peak_at = shape.base / (shape.base + shape.tip)
    profile = profile / (peak_at**shape.base * (1 - peak_at) ** shape.tip)
    if shape.lobes:
        profile = profile * (1 - shape.lobe_depth * (0.5 + 0.5 * np.cos(2 * np.pi * shape.lobes * blade + np.pi)))
    if shape.teeth:
        profile = profile * (1 + shape.tooth_depth * (1 - 2 * np.mod(shape.teeth * blade, 1)))
    half = 0.5 * shape.width * profile
    stalk = 0.5 * shape.petiole_width * (t < shape.petiole + 0.08)
    left = np.maximum(half * (1 + shape.asymmetry), stalk)
    right = np.maximum(half * (1 - shape.asymmetry), stalk)
    return left, right


def midrib(shape: LeafShape, t: np.ndarray) -> np.ndarray:
    """Return midrib points (N, 2) as (along, across), in leaf lengths, of a leaf that points along the first axis."""
    if abs(shape.bend) < 1e-6:
        return np.stack([t, np.zeros_like(t)], 1)
    turn = shape.bend * t
    return np.stack([np.sin(turn) / shape.bend, (1 - np.cos(turn)) / shape.bend], 1)


def outline(shape: LeafShape, points: int = 40) -> np.ndarray:
    """Return the closed outline (2 * points, 2) as (along, across), in leaf lengths."""
    t = np.linspace(0, 1, points)
    t = np.sort(np.concatenate([t, [shape.petiole]]))
    center = midrib(shape, t)
    turn = shape.bend * t
    normal = np.stack([-np.sin(turn), np.cos(turn)], 1)
    left, right = half_widths(shape, t)
    return np.concatenate([center + normal * left[:, None], (center - normal * right[:, None])[::-1]])


def polygon_alpha(polygon: np.ndarray, canvas: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Return the antialiased coverage of a polygon.

    Parameters
    ----------
    polygon : numpy.ndarray
        (N, 2) corners as (y, x), pixels.
    canvas : tuple of int
        Height and width.

    Returns
    -------
    tuple or None
        Coverage (float32, 0 to 1) of the bounding box and the box's top-left (y, x); None when off the canvas.
    """
    low = np.floor(polygon.min(0)).astype(int) - 1
    high = np.ceil(polygon.max(0)).astype(int) + 2
    low = np.maximum(low, 0)
    high = np.minimum(high, canvas)
    if np.any(high - low < 1):
        return None
    mask = np.zeros(tuple(high - low), np.uint8)
    corners = np.round((polygon - low)[:, ::-1] * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255, lineType=cv2.LINE_AA, shift=_SHIFT)
    return mask.astype(np.float32) / 255, (int(low[0]), int(low[1]))


def paint_blade(
    rng: np.random.Generator,
    box: tuple[int, int],
    origin: tuple[int, int],
    base_yx: np.ndarray,
    azimuth: float,
    length: float,
    foreshortening: float,
    shape: LeafShape,
    paint: LeafPaint,
    light: tuple[float, float],
) -> np.ndarray:
    """Return colors of the pixels of a leaf's bounding box; float32 (h, w, 3), not yet clipped to 0 … 1.

    Pixels get leaf coordinates (along and across the bent midrib, in leaf lengths) from which midrib, side veins,
    relief and gradients are painted.
    """
    height, width = box
    yy = np.arange(height, dtype=np.float32)[:, None] + np.float32(origin[0] - base_yx[0])
    xx = np.arange(width, dtype=np.float32)[None, :] + np.float32(origin[1] - base_yx[1])
    cos, sin = np.float32(np.cos(azimuth)), np.float32(np.sin(azimuth))
    along = (xx * cos + yy * sin) / (length * foreshortening)
    across = (-xx * sin + yy * cos) / length - 0.5 * shape.bend * np.clip(along, 0, 1) ** 2
    half = 0.5 * shape.width
    v = np.clip(across / half, -1.3, 1.3)
    color = np.asarray(paint.color, np.float32)

    slope = light[0] * -sin + light[1] * cos  # which half of the blade faces the light
    value = 1 + paint.relief * slope * np.sin(np.clip(v, -1, 1) * np.pi / 2) + paint.tip_shift * (along - 0.6)
    value = value - paint.rim * v * v
    value = value + paint.mottle * smooth_noise(rng, box, max(3.0, length * 0.08))
    if length > 25:
        value = value + 0.7 * paint.mottle * smooth_noise(rng, box, max(1.5, length * 0.02))
    vein_width = max(0.018, 0.7 / length)
    vein = np.exp(-((across / vein_width) ** 2)) * np.clip(1.3 - along, 0, 1)
    if paint.vein_count and length > 30:
        phase = (along - 0.9 * np.abs(across)) * paint.vein_count / (1 - shape.petiole)
        side = np.exp(-(((np.mod(phase, 1) - 0.5) / 0.12) ** 2)) * np.clip(1 - np.abs(v), 0, 1)
        vein = vein + 0.45 * side
    value = value + paint.vein * vein
    pixels = color * value[..., None]
    if paint.gloss > 0:
        spot = np.exp(-(((along - 0.65) / 0.2) ** 2 + ((v - 0.4 * np.sign(slope)) / 0.35) ** 2))
        pixels = pixels + paint.gloss * spot[..., None]
    if paint.petiole_color is not None:
        share = np.clip((shape.petiole + 0.05 - along) / 0.08, 0, 1)[..., None]
        pixels = pixels * (1 - share) + np.asarray(paint.petiole_color, np.float32) * share
    return pixels.astype(np.float32)
