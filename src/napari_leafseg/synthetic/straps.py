"""Plants with long narrow leaves from one base, from above and from the side."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.synthetic.ribbon import Color, Ribbon, RibbonPaint, flat_path, hanging_path, ribbon_widths


@dataclass(frozen=True)
class SidePot:
    """A pot seen from the side: middle of its upper rim (y, x), width and height, pixels."""

    rim: tuple[float, float]
    width: float
    height: float

    def draw(self, rng: np.random.Generator, image: np.ndarray) -> None:
        """Draw the pot with its rim and soil, in place."""
        tone = np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.4), rng.uniform(0.1, 0.95)), np.float32)
        y, x = self.rim
        flat = self.width * rng.uniform(0.12, 0.35)
        foot = self.width * rng.uniform(0.3, 0.42)
        low = y + self.height
        body = np.array([[x - self.width / 2, y], [x + self.width / 2, y], [x + foot, low], [x - foot, low]])
        cv2.fillPoly(image, [np.round(body).astype(np.int32)], (0.85 * tone).tolist(), cv2.LINE_AA)
        shadow = np.array([[x, y], [x + self.width / 2, y], [x + foot, low], [x + 0.2 * foot, low]])
        cv2.fillPoly(image, [np.round(shadow).astype(np.int32)], (0.7 * tone).tolist(), cv2.LINE_AA)
        for share, paint in ((1.0, tone), (0.9, np.array([0.12, 0.09, 0.07]) * rng.uniform(0.5, 2.0))):
            size = (float(share * self.width), float(share * 2 * flat))
            cv2.ellipse(image, ((float(x), float(y)), size, 0.0), paint.tolist(), -1, cv2.LINE_AA)


def _hsv(hue: float, saturation: float, value: float) -> Color:
    return colorsys.hsv_to_rgb(hue % 1, float(np.clip(saturation, 0, 1)), float(np.clip(value, 0, 1)))


def _draw_paint(rng: np.random.Generator) -> RibbonPaint:
    """Draw the paint of a plant: green, red or purple, sometimes striped."""
    kind = rng.random()
    if kind < 0.68:
        hsv = rng.uniform(65, 130) / 360, rng.uniform(0.2, 0.7), rng.uniform(0.25, 0.75)
    else:
        hsv = rng.uniform(-20, 25) / 360, rng.uniform(0.15, 0.55), rng.uniform(0.3, 0.7)
    margin = None
    if rng.random() < 0.35:
        margin = _hsv(rng.uniform(48, 75) / 360, rng.uniform(0.1, 0.5), rng.uniform(0.7, 1.0))
    pale = _hsv(rng.uniform(50, 90) / 360, rng.uniform(0.1, 0.4), rng.uniform(0.6, 0.95))
    return RibbonPaint(
        color=_hsv(*hsv),
        margin=margin,
        margin_share=float(rng.choice([0.34, 0.67, -0.4])),
        fold=float(rng.uniform(0.0, 0.35)),
        midrib=float(rng.uniform(-0.1, 0.2)),
        base_color=pale if rng.random() < 0.4 else None,
        streak=float(rng.uniform(0.0, 0.08)),
        gloss=float(rng.uniform(0.1, 0.5)) if rng.random() < 0.4 else 0.0,
    )


def _vary_paint(rng: np.random.Generator, paint: RibbonPaint) -> RibbonPaint:
    tones = np.clip(np.array(paint.color) * rng.normal(1, 0.12) * rng.normal(1, 0.03, 3), 0, 1)
    red, green, blue = (float(tone) for tone in tones)
    return replace(
        paint,
        color=(red, green, blue),
        tip_shift=float(rng.normal(0, 0.25)),
        gloss=paint.gloss * float(rng.random() < 0.5),
    )


def strap(
    rng: np.random.Generator, center: np.ndarray, diameter: float, number: int, needle: bool = False
) -> list[Ribbon]:
    """Arrange strap leaves from above: from one base, bending, the young ones on top.

    Parameters
    ----------
    rng : numpy.random.Generator
    center : numpy.ndarray
        (y, x), pixels.
    diameter : float
    number : int
        The plant's number.
    needle : bool
        More and narrower leaves.
    """
    count = int(rng.integers(12, 40)) if needle else int(rng.integers(5, 26))
    width = diameter * (rng.uniform(0.008, 0.02) if needle else rng.uniform(0.018, 0.07))
    paint, bend, fan = _draw_paint(rng), rng.uniform(0.05, 0.9), rng.random() < 0.2
    start, ribbons = rng.uniform(0, 2 * np.pi), []
    for index in range(count):
        turn = index * np.pi + rng.normal(0, 0.35) if fan else index * 2.39996 + rng.normal(0, 0.25)
        azimuth = start + turn
        length = 0.5 * diameter * (rng.uniform(0.7, 1.1) if index < 0.7 * count else rng.uniform(0.3, 0.8))
        base = center + rng.normal(0, 0.01, 2) * diameter
        path = flat_path(rng, base, azimuth, length, rng.normal(0, bend))
        ribbons.append(
            Ribbon(
                path=path,
                widths=ribbon_widths(rng, len(path), max(3.0, width * rng.uniform(0.75, 1.25))),
                paint=_vary_paint(rng, paint),
                height=100.0 * number + index + float(rng.normal(0, 2)),
                extent=float(0.5 * diameter),
                plant=number,
                identity=index + 1,
                brightness=float(rng.uniform(0.7, 1.1)),
            )
        )
    return ribbons


def needles(rng: np.random.Generator, center: np.ndarray, diameter: float, number: int) -> list[Ribbon]:
    """Arrange needle leaves from above; see `strap`."""
    return strap(rng, center, diameter, number, needle=True)


def strap_side(
    rng: np.random.Generator, size: tuple[int, int], center: np.ndarray, diameter: float, number: int
) -> tuple[list[Ribbon], SidePot]:
    """Arrange strap leaves from the side: they rise from a base low in the image and fall over.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : tuple of int
        Height and width of the image.
    center : numpy.ndarray
        (y, x), pixels; the base lies below it.
    diameter : float
    number : int
        The plant's number.

    Returns
    -------
    list of Ribbon
    SidePot
    """
    base = np.array([min(center[0] + diameter * rng.uniform(0.1, 0.45), 0.97 * size[0]), center[1]])
    count, width = int(rng.integers(5, 24)), diameter * rng.uniform(0.018, 0.065)
    paint, reach, hang = _draw_paint(rng), rng.uniform(0.7, 1.5), rng.uniform(0.1, 2.2)
    ribbons = []
    for index in range(count):
        lean = float(rng.uniform(-reach, reach))
        length = diameter * rng.uniform(0.45, 1.0) * (1 if hang < 1 else 1.15)
        foot = base + np.array([-rng.uniform(0, 0.06), rng.normal(0, 0.012)]) * diameter
        path = hanging_path(rng, foot, lean, length, rng.uniform(0.3, 1.1) * hang)
        ribbons.append(
            Ribbon(
                path=path,
                widths=ribbon_widths(rng, len(path), max(3.0, width * rng.uniform(0.7, 1.25))),
                paint=_vary_paint(rng, paint),
                height=100.0 * number + float(rng.random()),
                extent=float(0.5 * diameter),
                plant=number,
                identity=index + 1,
                brightness=float(rng.uniform(0.65, 1.1)),
            )
        )
    pot = float(diameter * rng.uniform(0.25, 0.45))
    return ribbons, SidePot((float(base[0]), float(base[1])), pot, pot * float(rng.uniform(0.8, 1.2)))
