"""Arrays to measure on: what a good network says of a plant with 20 leaves."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.postprocessing import quantize
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.training.targets import distance_target


@lru_cache(maxsize=4)
def network_maps(size: int, leaves: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance (uint8), foreground (bool), embedding (int8, 8 dimensions, 2 views) with noise, for `leaves` leaves."""
    config = SceneConfig(size=(512, 512), diameter=(440, 480), habit="rosette", border=0.0, blank=0.0, camera=False)
    labels = next(scene for seed in range(10_000) if (scene := synthesize(seed, config).labels).max() == leaves)
    labels = cv2.resize(labels, (size, size), interpolation=cv2.INTER_NEAREST).astype(np.int32)
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(16, 16)))[0]
    table = np.concatenate([np.zeros((1, 16)), directions[np.arange(leaves) * 3 % 16]])
    embedding = table[labels].transpose(2, 0, 1) + 0.085 * rng.normal(size=(16, size, size))
    embedding /= np.linalg.norm(embedding, axis=0)
    blurred = cv2.GaussianBlur(distance_target(labels), (0, 0), size / 400)
    return (np.clip(blurred, 0, 1) * 200).astype(np.uint8), labels > 0, quantize(embedding.astype(np.float32))
