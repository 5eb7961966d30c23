"""Test-time augmentation: how often, and at which sizes, the network looks at an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_leafseg.errors import UserError

if TYPE_CHECKING:  # presets are listed without torch
    from napari_leafseg.inference.dense_output import DenseOutput


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
    label, help : str
        In the window.
    cost : float
        How many times the time of the standard it takes, as measured (docs/results.md).
    """

    __test__ = False  # no test, whatever its name says to pytest

    views: int | None = None
    scales: tuple[float, ...] = (1.0,)
    label: str = field(default="", compare=False)
    help: str = field(default="", compare=False)
    cost: float = field(default=1.0, compare=False)


TTA_PRESETS: dict[str, TestTimeAugmentation] = {
    "standard": TestTimeAugmentation(label="Standard", help="As the model's author chose"),
    "fast": TestTimeAugmentation(1, label="Fast", help="One view", cost=0.5),
    "careful": TestTimeAugmentation(4, label="Careful", help="Four views, turned and mirrored", cost=2.0),
    "thorough": TestTimeAugmentation(
        8, (1.0, 0.8, 1.25), label="Thorough", help="Eight views at three sizes", cost=6.5
    ),
}
"""Choices by name; their costs are measured, with the bundled model, whose standard is two views."""


def describe_cost(name: str) -> str:
    """Say what a preset costs: nothing of the standard, "6.5 × the time" of another."""
    cost = TTA_PRESETS[name].cost
    return "" if cost == 1 else f"{cost:g} × the time"


def describe_presets() -> str:
    """Name all presets in a line, with what they cost."""
    return ", ".join(f"{name} ({describe_cost(name)})" if describe_cost(name) else name for name in TTA_PRESETS)


def find_preset(name: str) -> TestTimeAugmentation:
    """Find a preset.

    Raises
    ------
    UserError
        When there is none of this name.
    """
    if name not in TTA_PRESETS:
        raise UserError(f"There is no test-time augmentation “{name}”. Choose one of: {', '.join(TTA_PRESETS)}.")
    return TTA_PRESETS[name]


def merge_scales(maps: Sequence[DenseOutput]) -> DenseOutput:
    """Return maps of one image at several sizes as one, at the first one's size.

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
    return first._replace(
        distance=_mean([distance for distance, _ in plain]),
        foreground=_mean([foreground for _, foreground in plain]),
        embedding=np.round(np.concatenate(embeddings)).astype(np.int8),
    )


def _mean(planes: list[np.ndarray]) -> np.ndarray:
    mean: np.ndarray = np.stack(planes).mean(0).round()
    return mean.astype(np.uint8)


def _resized(plane: np.ndarray, width: int, height: int) -> np.ndarray:
    from napari_leafseg._opencv import cv2

    values = plane.astype(np.float32)
    return values if plane.shape == (height, width) else cv2.resize(values, (width, height))
