"""Random crops and changes of color for training."""

from __future__ import annotations

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.inference.dense_output import DISTANCE_ONE, DenseOutput
from napari_leafseg.inference.plants import (
    DARK,
    Plant,
    adjust_exposure,
    estimate_white_point,
    gather_plants,
    plant_statistics,
)
from napari_leafseg.training.targets import distance_target


def true_maps(labels: np.ndarray) -> DenseOutput:
    """Tell what a perfect network would say of an image with these leaves; without an embedding."""
    distance = np.round(distance_target(labels) * DISTANCE_ONE).astype(np.uint8)
    return DenseOutput(distance, _true_foreground(labels), np.zeros((0, *labels.shape), np.int8))


def _true_foreground(labels: np.ndarray) -> np.ndarray:
    return np.where(labels > 0, 255, 0).astype(np.uint8)


def true_plants(labels: np.ndarray) -> list[Plant]:
    """Return the plants that prediction would find in an image with these leaves."""
    return gather_plants(true_maps(labels), 1.0)


def random_crop(
    rng: np.random.Generator,
    image: np.ndarray,
    labels: np.ndarray,
    size: int,
    factor: float,
    center: tuple[int, int] | None = None,
    turn: bool = True,
    aspect: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a zoomed, turned and mirrored square that usually holds part of a plant.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : numpy.ndarray
        uint8 (H, W, 3).
    labels : numpy.ndarray
        Integer (H, W).
    size : int
        Side of the result, pixels.
    factor : float
        Magnification; more where the image is too small for it.
    center : tuple of int, optional
        About where (y, x) the middle is; else mostly on any pixel of a leaf.
    turn : bool
        Turn and mirror.
    aspect : float
        Standard deviation of the logarithm of the change of aspect.

    Returns
    -------
    tuple of numpy.ndarray
        uint8 (size, size, 3) and int32 (size, size).
    """
    height, width = labels.shape
    stretch = float(np.exp(rng.normal(0, aspect) / 2)) if aspect else 1.0
    limit = min(height, width)
    high, wide = (int(np.clip(round(size / factor * change), 16, limit)) for change in (stretch, 1 / stretch))
    top, left = int(rng.integers(0, height - high + 1)), int(rng.integers(0, width - wide + 1))
    if center is not None or (labels.max() > 0 and rng.random() < 0.85):
        y, x = _leaf_pixel(rng, labels) if center is None else center
        reach = min(high, wide) // (4 if center is None else 10)
        jitter = rng.integers(-reach, reach + 1, 2)
        top = int(np.clip(y - high // 2 + jitter[0], 0, height - high))
        left = int(np.clip(x - wide // 2 + jitter[1], 0, width - wide))
    piece = image[top : top + high, left : left + wide]
    truth = labels[top : top + high, left : left + wide].astype(np.int32)
    if turn:
        piece, truth = turn_and_mirror(rng, piece, truth)
    return resize_image(piece, (size, size)), resize_labels(truth, (size, size))


def turn_and_mirror(rng: np.random.Generator, image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return one of the eight ways to turn and mirror an image and its labels."""
    turns, mirror = int(rng.integers(4)), rng.random() < 0.5
    image, labels = np.rot90(image, turns), np.rot90(labels, turns)
    return (image[:, ::-1], labels[:, ::-1]) if mirror else (image, labels)


def resize_image(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize an image (H, W, C), without aliasing."""
    how = cv2.INTER_AREA if image.shape[0] > shape[0] else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(image), (shape[1], shape[0]), interpolation=how)


def resize_labels(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize labels (H, W), int32."""
    values = np.ascontiguousarray(labels).astype(np.float32)
    return cv2.resize(values, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST).astype(np.int32)


def _leaf_pixel(rng: np.random.Generator, labels: np.ndarray) -> tuple[int, int]:
    inside = np.flatnonzero(labels > 0)
    y, x = divmod(int(inside[rng.integers(len(inside))]), labels.shape[1])
    return y, x


def degrade(rng: np.random.Generator, image: np.ndarray, chance: float) -> np.ndarray:
    """Make a crop look like one of a small, noisy or compressed image; uint8 (H, W, 3) in and out.

    Each of coarse pixels, blur, noise and JPEG comes with half the chance.
    """
    height, width = image.shape[:2]
    if rng.random() < chance / 2:
        factor = float(rng.uniform(1.2, 3.2))
        small = cv2.resize(image, (round(width / factor), round(height / factor)), interpolation=cv2.INTER_AREA)
        how = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(2))]
        image = cv2.resize(small, (width, height), interpolation=how)
    elif rng.random() < chance / 2:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.6)))
    if rng.random() < chance / 2:
        noise = rng.normal(0, rng.uniform(2, 14), image.shape).astype(np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < chance / 2:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return image


def change_colors(rng: np.random.Generator, image: np.ndarray, grays: float = 0.04) -> np.ndarray:
    """Change gains, gamma, mixing of channels and, with a chance of `grays`, gray, at random; uint8 in and out."""
    if rng.random() < grays:
        return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() >= 0.6:
        return image.copy()
    saturation, gains, gamma = rng.uniform(0.7, 1.35), 1 + rng.normal(0, 0.06, 3), rng.uniform(0.75, 1.3)
    mixed = gains[:, None] * (saturation * np.eye(3) + (1 - saturation) / 3)
    curve = np.round(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return cv2.LUT(cv2.transform(image, mixed), curve)


def expose_for_plants(
    rng: np.random.Generator, image: np.ndarray, labels: np.ndarray, plants: list[Plant]
) -> tuple[np.ndarray, tuple[float, float]]:
    """Expose an image for its plants and measure their light, as prediction does, with the errors that it makes.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : numpy.ndarray
        uint8 (H, W, 3).
    labels : numpy.ndarray
        Integer (H, W).
    plants : list of Plant
        At least one; from `true_plants`.

    Returns
    -------
    image : numpy.ndarray
        uint8 (H, W, 3).
    statistics : tuple of float
        Mean and deviation to standardize any part of the image with.
    """
    white = estimate_white_point(image, _true_foreground(labels), plants, 1.0)
    white = min(255.0, white * rng.uniform(0.9, 1.15)) if white < DARK else 255.0
    everywhere = (slice(0, labels.shape[0]), slice(0, labels.shape[1]))
    mean, deviation = plant_statistics(image, plants, everywhere, white)
    statistics = mean + deviation * float(rng.normal(0, 0.08)), deviation * float(np.exp(rng.normal(0, 0.08)))
    return adjust_exposure(image, white), statistics
