"""What lies on a scene as a whole: moss under the plants, glare on leaves, the look of chlorophyll fluorescence."""

from __future__ import annotations

import colorsys

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.synthetic._noise import fractal_noise, smooth_noise


def draw_moss(rng: np.random.Generator, image: np.ndarray, unit: float) -> None:
    """Grow moss, algae or liverwort over a background, in place.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : numpy.ndarray
        float32 (H, W, 3).
    unit : float
        A plant's size in pixels, for the grain.
    """
    shape = image.shape[:2]
    for _ in range(int(rng.integers(1, 3))):
        hue, saturation = rng.uniform(60, 125) / 360, rng.uniform(0.3, 0.85)
        value = rng.uniform(0.15, 0.6)
        tone = np.asarray(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)
        other = np.asarray(
            colorsys.hsv_to_rgb(hue + rng.normal(0, 0.03), saturation * 0.8, value * rng.uniform(0.5, 1.4)), np.float32
        )
        field = fractal_noise(rng, shape, unit * rng.uniform(0.15, 1.2), 5, 0.7)
        cover = np.clip((field + rng.uniform(-0.35, 0.5)) * rng.uniform(2, 9), 0, rng.uniform(0.6, 1.0))
        lumps = _cushions(rng, shape, max(2.5, unit * rng.uniform(0.01, 0.08)))
        share = np.clip(0.5 + 0.5 * smooth_noise(rng, shape, max(3.0, unit * 0.2)), 0, 1)[..., None]
        grain = 1 + rng.uniform(0.1, 0.45) * smooth_noise(rng, shape, 1.6)
        texture = (tone * share + other * (1 - share)) * (lumps * grain)[..., None]
        image += cover[..., None] * (texture - image)


def _cushions(rng: np.random.Generator, shape: tuple[int, int], size: float) -> np.ndarray:
    """Rounded lumps with dark gaps, about 0.4 to 1.2."""
    seeds = np.full(shape, 255, np.uint8)
    count = int(min(40_000, shape[0] * shape[1] / (size * size)))
    seeds[rng.integers(0, shape[0], count), rng.integers(0, shape[1], count)] = 0
    distance = cv2.distanceTransform(seeds, cv2.DIST_L2, 3)
    return np.float32(1.2) - np.float32(0.8) * np.clip(distance / np.float32(0.9 * size), 0, 1)


def add_glare(rng: np.random.Generator, image: np.ndarray, labels: np.ndarray) -> None:
    """Let leaves shine: bright, nearly white, soft-edged patches with a grain, some leaves more than others; in place.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : numpy.ndarray
        float32 (H, W, 3).
    labels : numpy.ndarray
        Integer (H, W).
    """
    count = int(labels.max())
    if not count:
        return
    gains = np.where(rng.random(count + 1) < rng.uniform(0.3, 1.0), rng.uniform(0.2, 1.0, count + 1), 0)
    gains[0] = 0
    shifts = rng.normal(0, 0.2, count + 1)
    size = max(4.0, np.sqrt(np.count_nonzero(labels) / count))
    shape = labels.shape
    field = smooth_noise(rng, shape, size * rng.uniform(0.3, 1.0)) + 0.25 * smooth_noise(
        rng, shape, max(1.5, size / 12)
    )
    spots = np.clip((field + shifts[labels] - rng.uniform(0.0, 0.3)) * rng.uniform(0.8, 3.0), 0, 1) ** 1.5
    shine = cv2.GaussianBlur((spots * gains[labels]).astype(np.float32), (0, 0), max(0.7, size * 0.03))
    shine *= (labels > 0) * np.float32(rng.uniform(0.3, 0.9))
    tint = np.array([1.0, 1.0, rng.uniform(0.9, 1.1)], np.float32) * np.float32(rng.uniform(0.75, 1.1))
    image += shine[..., None] * (tint - image)


def fluoresce(rng: np.random.Generator, image: np.ndarray, labels: np.ndarray, plants: np.ndarray) -> np.ndarray:
    """Show a scene as chlorophyll fluorescence: gray, bright leaves on a nearly black ground, halo and grain.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : numpy.ndarray
        float32 (H, W, 3).
    labels, plants : numpy.ndarray
        Integer (H, W).

    Returns
    -------
    numpy.ndarray
        uint8 (H, W, 3), all channels the same.
    """
    shape, count = labels.shape, int(labels.max())
    level = image.mean(2)
    on = (plants > 0).astype(np.float32)
    means = np.bincount(labels.ravel(), level.ravel(), count + 1) / np.maximum(np.bincount(labels.ravel()), 1)
    relief = np.clip(level / np.maximum(means[labels], 0.02), 0.3, 1.8).astype(np.float32)
    relief = (1 + (relief - 1) * np.float32(_relief_share(rng))) * on
    gains = rng.uniform(0.35, 0.9) * (1 + rng.normal(0, rng.uniform(0.03, 0.15), count + 1))
    glow = relief * np.clip(gains, 0.15, 1.0)[labels].astype(np.float32)
    glow *= 1 - rng.uniform(0.15, 0.6) * _seams(labels, float(rng.uniform(0.7, 0.004 * max(shape) + 0.8)))
    glow *= 1 + 0.12 * smooth_noise(rng, shape, max(shape) * rng.uniform(0.03, 0.15))
    ground = rng.uniform(0.0, 0.06) + rng.uniform(0.0, 0.03) * smooth_noise(rng, shape, max(shape) * 0.3)
    glow = glow + np.maximum(ground, 0) * (1 - on)
    halo = cv2.GaussianBlur(cv2.resize(glow, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), (0, 0), 5.0)
    glow = glow + rng.uniform(0.0, 0.25) * cv2.resize(halo, shape[::-1])
    if rng.random() < 0.4:  # few pixels, enlarged
        factor = rng.uniform(0.35, 0.9)
        small = cv2.resize(glow, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        glow = cv2.resize(_grain(rng, small), shape[::-1], interpolation=cv2.INTER_CUBIC)
    else:
        glow = _grain(rng, cv2.GaussianBlur(glow, (0, 0), float(rng.uniform(0.4, 1.4))))
    gray = np.round(np.clip(glow, 0, 1) ** rng.uniform(0.7, 1.4) * 255).astype(np.uint8)
    return np.repeat(gray[..., None], 3, 2)


def _relief_share(rng: np.random.Generator) -> float:
    """How much of the light and dark of a leaf shows; negative where veins are dark instead of light."""
    return float(rng.uniform(-0.5, -0.2) if rng.random() < 0.2 else rng.uniform(0.35, 1.1))


def _seams(labels: np.ndarray, width: float) -> np.ndarray:
    """Where leaves meet, and their outlines: 1 on the seam, soft to both sides."""
    numbers = labels.astype(np.float32)
    seam = (cv2.dilate(numbers, np.ones((3, 3), np.uint8)) != numbers).astype(np.float32)
    soft = cv2.GaussianBlur(seam, (0, 0), width)
    return np.clip(soft * np.float32(1.6 * width), 0, 1)


def _grain(rng: np.random.Generator, glow: np.ndarray) -> np.ndarray:
    """Add the noise of few photons."""
    noise = rng.standard_normal(glow.shape, dtype=np.float32)
    if rng.random() < 0.5:
        noise = cv2.GaussianBlur(noise, (0, 0), 0.6) * np.float32(1.5)
    glow = np.clip(glow, 0, None)
    return glow + noise * (rng.uniform(0.01, 0.12) * np.sqrt(glow) + rng.uniform(0.0, 0.015))
