"""What lies under and around plants: soil, meshes, trays, pots, gravel, paper, algae, sticks."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.synthetic._noise import fractal_noise, ramp, smooth_noise

KINDS = ("soil", "mesh", "gravel", "paper", "wire", "felt", "plain", "planks")
_PROBABILITIES = (0.36, 0.18, 0.1, 0.08, 0.1, 0.08, 0.06, 0.04)


def _color(
    rng: np.random.Generator, hue: tuple[float, float], sat: tuple[float, float], val: tuple[float, float]
) -> np.ndarray:
    return np.asarray(colorsys.hsv_to_rgb(rng.uniform(*hue) % 1, rng.uniform(*sat), rng.uniform(*val)), np.float32)


def _specks(
    rng: np.random.Generator, image: np.ndarray, count: int, radius: tuple[float, float], color: Sequence[float]
) -> None:
    """Scatter small irregular blobs of about one color (perlite, grit, crumbs)."""
    height, width = image.shape[:2]
    for _ in range(count):
        center = (float(rng.uniform(0, width)), float(rng.uniform(0, height)))
        axes = (float(rng.uniform(*radius)) * 2 + 0.5, float(rng.uniform(*radius)) * 2 + 0.5)
        shade = (np.asarray(color) * rng.uniform(0.7, 1.2)).tolist()
        cv2.ellipse(image, (center, axes, float(rng.uniform(0, 180))), shade, -1, cv2.LINE_AA)


def soil(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> np.ndarray:
    """Draw potting soil: dark crumbs, perlite, bark; `unit` is a plant's size in pixels, for the grain."""
    dark = _color(rng, (0.0, 0.13), (0.05, 0.4), (0.03, 0.2))
    light = _color(rng, (0.02, 0.13), (0.05, 0.4), (0.2, 0.55))
    field = fractal_noise(rng, shape, unit * rng.uniform(0.04, 0.3), 5, rng.uniform(0.6, 0.95))
    image = ramp(1.6 * field - rng.uniform(0, 0.4), dark, light)
    if rng.random() < 0.6:
        tone = (rng.uniform(0.6, 0.95) * np.array([1, rng.uniform(0.85, 1), rng.uniform(0.6, 1)])).tolist()
        density = rng.uniform(5, 70) * shape[0] * shape[1] / (unit * unit * 4)
        _specks(rng, image, int(min(300, density)), (0.003 * unit, rng.uniform(0.01, 0.05) * unit), tone)
    if rng.random() < 0.35:
        bark = _color(rng, (0.04, 0.1), (0.3, 0.6), (0.2, 0.5))
        _specks(rng, image, int(rng.integers(2, 25)), (0.008 * unit, 0.04 * unit), bark.tolist())
    return image


def mesh(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> np.ndarray:
    """Draw a grid of holes in a plastic or textile sheet over soil."""
    period = unit * rng.uniform(0.04, 0.16)
    angle = rng.uniform(0, np.pi / 2)
    yy, xx = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    u = (xx * np.cos(angle) + yy * np.sin(angle)) / max(period, 2.5)
    v = (-xx * np.sin(angle) + yy * np.cos(angle)) / max(period, 2.5)
    warp = 0.25 * smooth_noise(rng, shape, period * 3)
    if rng.random() < 0.5:
        u = u + 0.5 * (np.floor(v) % 2)
    field = np.cos(2 * np.pi * (u + warp)) + np.cos(2 * np.pi * (v + warp)) + 0.7 * smooth_noise(rng, shape, period)
    hole = np.clip((field - rng.uniform(-0.3, 0.9)) * 2, 0, 1)[..., None]
    sheet = _color(rng, (0.5, 0.8), (0.0, 0.25), (0.12, 0.55))
    sheet = sheet * (1 + 0.25 * fractal_noise(rng, shape, unit * 0.1)[..., None])
    return (sheet * (1 - hole) + soil(rng, shape, unit) * hole * rng.uniform(0.3, 1)).astype(np.float32)


def gravel(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> np.ndarray:
    """Draw stones or vermiculite: bright grains with dark gaps."""
    size = max(2.0, unit * rng.uniform(0.02, 0.12))
    field = smooth_noise(rng, shape, size) + 0.6 * smooth_noise(rng, shape, size / 2)
    grain = np.clip(np.abs(field) * 3, 0, 1)
    base = _color(rng, (0.03, 0.16), (0.05, 0.5), (0.3, 0.75))
    tint = 1 + 0.35 * smooth_noise(rng, shape, size * 2)
    return (base * (grain * tint)[..., None]).astype(np.float32)


def paper(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> np.ndarray:
    """Draw a white sheet, sometimes with a black frame, folds and soft shadows."""
    tone = _color(rng, (0.0, 1.0), (0.0, 0.12), (0.65, 1.0))
    image = np.ones((*shape, 3), np.float32) * tone
    image *= 1 + 0.08 * smooth_noise(rng, shape, unit * 1.5)[..., None]
    if rng.random() < 0.6:
        low = (rng.uniform(-0.2, 0.3, 2) * shape).astype(int)
        high = (rng.uniform(0.7, 1.2, 2) * shape).astype(int)
        thickness = int(max(1, unit * rng.uniform(0.02, 0.08)))
        cv2.rectangle(image, (int(low[1]), int(low[0])), (int(high[1]), int(high[0])), (0.05,) * 3, thickness)
    if rng.random() < 0.4:
        x = int(rng.integers(0, shape[1]))
        cv2.line(image, (x, 0), (x + int(rng.integers(-20, 20)), shape[0]), (0.75,) * 3, 1, cv2.LINE_AA)
    return image


def wire(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> np.ndarray:
    """Draw a wire mesh bench over gravel, planks or dark ground."""
    under = (gravel, soil, planks, plain)[int(rng.integers(0, 4))]
    image = under(rng, shape, unit).copy()
    angle = rng.uniform(-0.4, 0.4)
    spacing = unit * rng.uniform(0.12, 0.7)
    thickness = int(max(1, unit * rng.uniform(0.008, 0.04)))
    tone = _color(rng, (0.05, 0.7), (0.0, 0.3), (0.3, 0.9))
    reach = float(np.hypot(*shape))
    for turn, step in ((angle, spacing), (angle + np.pi / 2, spacing * rng.uniform(0.3, 1.5))):
        direction = np.array([np.cos(turn), np.sin(turn)])
        normal = np.array([-direction[1], direction[0]])
        for k in range(int(-reach / step), int(reach / step) + 1):
            middle = np.array(shape[::-1]) / 2 + normal * k * step
            a, b = middle - direction * reach, middle + direction * reach
            first, second = tuple(int(v) for v in a), tuple(int(v) for v in b)
            cv2.line(image, (first[0] + 2, first[1] + 2), (second[0] + 2, second[1] + 2), (0.05,) * 3, thickness)
            cv2.line(image, first, second, (tone * rng.uniform(0.8, 1.1)).tolist(), thickness, cv2.LINE_AA)
    return image


def felt(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> np.ndarray:
    """Draw colored cloth or plastic of one hue, seldom green."""
    hue = (0.25, 0.45) if rng.random() < 0.06 else (0.5, 1.1)
    tone = _color(rng, hue, (0.1, 0.7), (0.1, 0.8))
    field = fractal_noise(rng, shape, unit * 0.05, 3, 0.9)
    return (tone * (1 + 0.2 * field[..., None])).astype(np.float32)


def plain(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> np.ndarray:
    """Draw nearly even gray or black."""
    tone = _color(rng, (0.0, 1.0), (0.0, 0.15), (0.0, 0.7))
    return (np.ones((*shape, 3), np.float32) * tone + 0.03 * smooth_noise(rng, shape, unit)[..., None]).astype(
        np.float32
    )


def planks(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> np.ndarray:
    """Draw boards, slats or stone slabs: straight bands with dark joints."""
    tone = _color(rng, (0.03, 0.18), (0.1, 0.8), (0.3, 0.8))
    angle, period = rng.uniform(0, np.pi), unit * rng.uniform(0.2, 1.2)
    yy, xx = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    u = (xx * np.cos(angle) + yy * np.sin(angle)) / period
    joint = np.exp(-(((np.mod(u, 1) - 0.5) / rng.uniform(0.02, 0.1)) ** 2))
    grain = 1 + 0.15 * fractal_noise(rng, shape, unit * 0.2) + 0.15 * np.sin(7.0 * np.floor(u))
    return (tone * (grain * (1 - 0.85 * joint))[..., None]).astype(np.float32)


_DRAW = {
    "soil": soil,
    "mesh": mesh,
    "gravel": gravel,
    "paper": paper,
    "wire": wire,
    "felt": felt,
    "plain": plain,
    "planks": planks,
}


def draw_background(
    rng: np.random.Generator, shape: tuple[int, int], unit: float, kind: str | None = None
) -> np.ndarray:
    """Draw a background; float32 (H, W, 3) in about 0 to 1. `kind` is one of `KINDS`, drawn when None."""
    if kind is None:
        kind = KINDS[int(rng.choice(len(KINDS), p=_PROBABILITIES))]
    return _DRAW[kind](rng, shape, unit)


def draw_pot(rng: np.random.Generator, image: np.ndarray, center: np.ndarray, size: float) -> None:
    """Draw a pot or tray cell under a plant: rim, inner shadow and soil; `center` (y, x), `size` across in pixels."""
    shape = image.shape[:2]
    rim = _color(rng, (0.0, 1.0), (0.0, 0.25), (0.03, 0.35))
    if rng.random() < 0.2:
        rim = _color(rng, (0.45, 1.12), (0.2, 0.7), (0.2, 0.7))
    outer, inner = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    middle = (float(center[1]), float(center[0]))
    if rng.random() < 0.3:
        cv2.circle(outer, (int(middle[0]), int(middle[1])), int(size / 2), 255, -1, cv2.LINE_AA)
        cv2.circle(inner, (int(middle[0]), int(middle[1])), int(size * 0.455), 255, -1, cv2.LINE_AA)
    else:
        turn = float(rng.normal(0, 12))
        for mask, width in ((outer, size), (inner, size * rng.uniform(0.88, 0.94))):
            corners = cv2.boxPoints((middle, (width, width), turn))
            cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 255, cv2.LINE_AA)
    for mask, paint in ((outer, np.ones((*shape, 3), np.float32) * rim), (inner, soil(rng, shape, size * 0.8))):
        alpha = (mask.astype(np.float32) / 255)[..., None]
        image *= 1 - alpha
        image += alpha * paint


def draw_distractors(rng: np.random.Generator, image: np.ndarray, unit: float) -> None:
    """Draw green and other things that are no leaf: algae, moss, labels, pegs, threads, droplets."""
    shape = image.shape[:2]
    if rng.random() < 0.22:  # algae and moss: soft-edged green stains, no outline and no blade
        tone = _color(rng, (0.16, 0.42), (0.2, 0.7), (0.1, 0.5))
        field = fractal_noise(rng, shape, unit * rng.uniform(0.15, 0.8), 5, 0.75)
        alpha = np.clip((field - rng.uniform(0.05, 0.4)) * rng.uniform(1.5, 5), 0, rng.uniform(0.4, 0.9))[..., None]
        grain = 1 + 0.5 * smooth_noise(rng, shape, max(1.5, unit * 0.015))[..., None]
        image *= 1 - alpha
        image += alpha * tone * grain
    for _ in range(int(rng.poisson(0.35))):  # labels and pegs
        tone = _color(rng, (0.0, 1.0), (0.0, 0.8), (0.3, 1.0))
        middle = (float(rng.uniform(0, shape[1])), float(rng.uniform(0, shape[0])))
        size = (float(unit * rng.uniform(0.04, 0.15)), float(unit * rng.uniform(0.15, 0.7)))
        corners = np.round(cv2.boxPoints((middle, size, float(rng.uniform(0, 180))))).astype(np.int32)
        cv2.fillPoly(image, [corners], tone.tolist(), cv2.LINE_AA)
    for _ in range(int(rng.poisson(0.3))):  # threads, sticks, grass-like stalks
        tone = _color(rng, (0.05, 0.4), (0.1, 0.7), (0.2, 0.8)).tolist()
        start = rng.uniform(0, 1, 2) * shape[::-1]
        points = start + np.cumsum(rng.normal(0, unit * 0.08, (6, 2)) + rng.normal(0, unit * 0.08, 2), 0)
        cv2.polylines(
            image,
            [np.round(points).astype(np.int32)],
            False,
            tone,
            int(max(1, unit * rng.uniform(0.004, 0.02))),
            cv2.LINE_AA,
        )
