"""Test-time augmentation: how often, and at which sizes, the network looks at an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.inference.tiling import DenseOutput


@dataclass(frozen=True)
class TestTimeAugmentation:
    """How an image is looked at.

    Attributes
    ----------
    views : int or None
        Flipped and turned images of it: 1, 2, 4 or 8; as the model's card says when None. Each costs as much time.
    scales : tuple of float
        Sizes of it, as factors of the working scale, the first of which gives the maps' size. Each costs about its
        square in time.
    """

    views: int | None = None
    scales: tuple[float, ...] = (1.0,)


TTA_PRESETS: dict[str, TestTimeAugmentation] = {
    "standard": TestTimeAugmentation(),
    "fast": TestTimeAugmentation(views=1),
    "careful": TestTimeAugmentation(views=4),
    "thorough": TestTimeAugmentation(views=8, scales=(1.0, 0.8, 1.25)),
}
"""Choices by name; each takes about as many times the time as it makes views, times the squares of its scales."""


def merge_scales(maps: Sequence[DenseOutput]) -> DenseOutput:
    """Maps of one image at several sizes as one, at the first one's size.

    Distance and foreground are averaged. The embeddings are put side by side, so that the cosine of two pixels is the
    mean of their cosines at all sizes.
    """
    first = maps[0]
    if len(maps) == 1:
        return first
    height, width = first.distance.shape
    plain = [[_resized(plane, width, height) for plane in (item.distance, item.foreground)] for item in maps]
    embeddings = []
    for item in maps:
        vectors = np.stack([_resized(plane, width, height) for plane in item.embedding])
        length = np.linalg.norm(vectors, axis=0)
        embeddings.append(vectors * (127 / len(maps) ** 0.5 / np.maximum(length, 1e-6)))
    return DenseOutput(
        _mean([distance for distance, _ in plain]),
        _mean([foreground for _, foreground in plain]),
        np.round(np.concatenate(embeddings)).astype(np.int8),
    )


def _mean(planes: list[np.ndarray]) -> np.ndarray:
    mean: np.ndarray = np.stack(planes).mean(0).round()
    return mean.astype(np.uint8)


def _resized(plane: np.ndarray, width: int, height: int) -> np.ndarray:
    values = plane.astype(np.float32)
    return values if plane.shape == (height, width) else cv2.resize(values, (width, height))
