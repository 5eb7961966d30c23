"""Strap, sword and needle leaves: long, narrow, bending along any path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.synthetic._noise import smooth_noise
from napari_leafseg.synthetic.canvas import Canvas, Shadows, cast_shadow
from napari_leafseg.synthetic.leaf import polygon_alpha

Color = tuple[float, float, float]
_BANDS = 6  # strips along the leaf, each of its own color


@dataclass(frozen=True)
class RibbonPaint:
    """Colors of a ribbon leaf; RGB in 0 to 1.

    Attributes
    ----------
    color : tuple of float
    margin : tuple of float, optional
        Color of a stripe along both margins, `margin_share` of the half width wide; along the middle when that is
        negative.
    margin_share : float
    fold : float
        Difference of the light on both halves (a channeled leaf).
    midrib : float
        How much lighter the middle is.
    base_color : tuple of float, optional
        Color of the leaf's base.
    streak, tip_shift, gloss : float
        Strength of lengthwise streaks, of the change of light towards the tip, of a shining stretch.
    """

    color: Color
    margin: Color | None = None
    margin_share: float = 0.3
    fold: float = 0.1
    midrib: float = 0.05
    base_color: Color | None = None
    streak: float = 0.05
    tip_shift: float = 0.0
    gloss: float = 0.0


@dataclass(frozen=True)
class Ribbon:
    """A ribbon leaf where it lies: `path` (N, 2) as (y, x) from base to tip, `widths` (N,) full widths; pixels."""

    path: np.ndarray
    widths: np.ndarray
    paint: RibbonPaint
    height: float
    extent: float
    plant: int = 1
    identity: int = 1
    brightness: float = 1.0

    def draw(self, rng: np.random.Generator, canvas: Canvas, shadows: Shadows) -> None:
        """Draw the leaf on a canvas, its shadow first."""
        step = np.gradient(self.path, axis=0)
        step /= np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-6)[:, None]
        normal = np.stack([-step[:, 1], step[:, 0]], 1)
        side = normal * (0.5 * self.widths[:, None])
        drawn = polygon_alpha(np.concatenate([self.path + side, (self.path - side)[::-1]]), canvas.labels.shape)
        if drawn is None:
            return
        alpha, origin = drawn
        cast_shadow(canvas.image, alpha, origin, shadows)
        color = self._paint(rng, alpha.shape, origin, side + normal * 0.8, step, shadows.sun)
        canvas.lay(color, alpha, origin, self.plant, self.identity, self.extent)

    def _paint(
        self,
        rng: np.random.Generator,
        box: tuple[int, int],
        origin: tuple[int, int],
        side: np.ndarray,
        step: np.ndarray,
        sun: tuple[float, float],
    ) -> np.ndarray:
        """Colors of the bounding box: quadrilaterals along and across the leaf, then smoothed."""
        colors = self._colors(rng, step, sun)
        across = np.linspace(-1, 1, _BANDS + 1)
        grid = self.path[:, None] + across[None, :, None] * side[:, None] - np.array(origin)
        corners = np.round(grid[..., ::-1] * 16).astype(np.int32)
        quads = np.stack([corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]], 2)
        image = np.empty((*box, 3), np.float32)
        image[:] = colors.mean((0, 1))
        for index in np.ndindex(quads.shape[:2]):
            cv2.fillConvexPoly(image, quads[index], colors[index].tolist(), cv2.LINE_8, 4)
        image = cv2.GaussianBlur(image, (3, 3), 0.7)
        grain = 1 + 0.06 * smooth_noise(rng, box, max(2.0, 0.5 * float(self.widths.max())))
        return image * (grain[..., None] * np.float32(self.brightness))

    def _colors(self, rng: np.random.Generator, step: np.ndarray, sun: tuple[float, float]) -> np.ndarray:
        """Colors (segments, bands, 3) along and across the leaf."""
        paint, count = self.paint, len(self.path) - 1
        along = (np.arange(count) + 0.5) / count
        across = (np.arange(_BANDS) + 0.5) / _BANDS * 2 - 1
        stripe = np.zeros(_BANDS)
        if paint.margin is not None:
            share = paint.margin_share
            stripe = (
                (np.abs(across) > 1 - share).astype(float) if share > 0 else (np.abs(across) < -share).astype(float)
            )
        margin = np.asarray(paint.margin or paint.color)
        color = np.asarray(paint.color) * (1 - stripe[:, None]) + margin * stripe[:, None]
        colors = np.repeat(color[None], count, 0)
        if paint.base_color is not None:
            low = np.clip(1 - along / 0.15, 0, 1)[:, None, None]
            colors = colors * (1 - low) + np.asarray(paint.base_color) * low
        facing = step[:-1, 0] * sun[0] - step[:-1, 1] * sun[1]  # which half of the channel is lit
        value = 1 + paint.fold * np.sign(across)[None] * facing[:, None] + paint.tip_shift * (along[:, None] - 0.5)
        value = value + paint.midrib * np.exp(-((across / 0.25) ** 2))[None] + paint.streak * rng.normal(0, 1, _BANDS)
        bumps = np.interp(along, np.linspace(0, 1, 7), rng.normal(0, 0.05, 7))
        value = value + bumps[:, None]
        if paint.gloss:
            shine = np.exp(-(((along - rng.uniform(0.3, 0.8)) / 0.15) ** 2))
            colors = colors + paint.gloss * shine[:, None, None]
        return (colors * value[..., None]).astype(np.float32)


def ribbon_widths(rng: np.random.Generator, points: int, width: float) -> np.ndarray:
    """Return the full widths from base to tip: narrow at the base, even, then tapering, a little wavy (twists)."""
    t = np.linspace(0, 1, points)
    base = rng.uniform(0.4, 0.95)
    rise = base + (1 - base) * np.clip(t / rng.uniform(0.15, 0.5), 0, 1)
    taper = (1 - t ** rng.uniform(1.5, 5.0)) ** rng.uniform(0.6, 1.1)
    wave = np.interp(t, np.linspace(0, 1, 5), rng.uniform(0.8, 1.1, 5))
    return np.maximum(width * rise * taper * wave, 0.4)


def flat_path(
    rng: np.random.Generator, base: np.ndarray, azimuth: float, length: float, bend: float, points: int = 26
) -> np.ndarray:
    """Return a path seen from above: it bends to one side, and looks shorter towards a tip that hangs down."""
    t = np.linspace(0, 1, points)
    turn = azimuth + bend * t ** rng.uniform(1.0, 2.0)
    shorter = 1 - rng.uniform(0, 0.6) * t**2
    steps = np.stack([np.sin(turn), np.cos(turn)], 1) * (shorter * length / points)[:, None]
    return base + np.concatenate([np.zeros((1, 2)), np.cumsum(steps[:-1], 0)])


def hanging_path(
    rng: np.random.Generator, base: np.ndarray, lean: float, length: float, droop: float, points: int = 30
) -> np.ndarray:
    """Return a path seen from the side: it rises, leaning by `lean` radians, and falls over by `droop`."""
    t = np.linspace(0, 1, points)
    toward = 1.0 if lean >= 0 else -1.0
    tilt = lean + toward * droop * t ** rng.uniform(0.9, 2.0)
    squeeze = rng.uniform(0.45, 1.0)  # out of the image's plane
    steps = np.stack([-np.cos(tilt), squeeze * np.sin(tilt)], 1) * (length / points)
    return base + np.concatenate([np.zeros((1, 2)), np.cumsum(steps[:-1], 0)])
