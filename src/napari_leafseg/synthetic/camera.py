"""What light and camera do to a scene."""

from __future__ import annotations

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.synthetic._noise import smooth_noise


def light(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Apply uneven light, lamp color and exposure; float32 in and out."""
    shape = image.shape[:2]
    if rng.random() < 0.6:
        field = smooth_noise(rng, shape, max(shape) * rng.uniform(0.4, 1.2))
        image = image * (1 + rng.uniform(0.05, 0.3) * field[..., None])
    gains = 1 + rng.normal(0, 0.04, 3)
    if rng.random() < 0.14:  # sodium or other warm lamps
        warm = rng.uniform(0.3, 1.0)
        gains = gains * np.array([1 + 0.35 * warm, 1 - 0.05 * warm, 1 - 0.6 * warm])
    elif rng.random() < 0.015:  # pink LED light
        gains = gains * np.array([1.2, 0.7, 1.1])
    image = np.clip(image * gains.astype(np.float32), 0, None)
    exposure = rng.uniform(0.5, 1.35)
    gamma = rng.uniform(0.75, 1.3)
    return np.clip(image * np.float32(exposure), 0, 1) ** np.float32(gamma)


def photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Blur, loss of resolution, sensor noise, sharpening, JPEG; float32 in 0 to 1 in, uint8 out."""
    height, width = image.shape[:2]
    if rng.random() < 0.35 and min(height, width) > 64:  # a small image, enlarged
        factor = rng.uniform(0.4, 0.9)
        small = cv2.resize(
            image, (max(8, int(width * factor)), max(8, int(height * factor))), interpolation=cv2.INTER_AREA
        )
        image = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    elif rng.random() < 0.7:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.3)))
    if rng.random() < 0.2:
        image = image + rng.uniform(0.3, 1.0) * (image - cv2.GaussianBlur(image, (0, 0), 1.2))
    if rng.random() < 0.7:
        sigma = rng.uniform(0.003, 0.035)
        noise = rng.standard_normal((height, width, 3), dtype=np.float32)
        if rng.random() < 0.5:
            noise = cv2.GaussianBlur(noise, (0, 0), 0.7) * np.float32(1.8)
        image = image + np.float32(sigma) * noise
    result = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = int(rng.integers(45, 96))
        _, coded = cv2.imencode(".jpg", result[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        result = np.ascontiguousarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1])
    return result
