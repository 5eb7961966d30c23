"""Layers that explain a prediction: their check boxes, and how their data is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from napari_leafseg.widgets.segment.live import seed_points


class Overlay(NamedTuple):
    """A layer that explains a prediction: its check box and how its data is computed."""

    label: str
    help: str
    compute: Callable[[Any, dict[str, float]], Any]


def _frames(name: str) -> Callable[[Any, dict[str, float]], Any]:
    def compute(prediction: Any, _values: dict[str, float]) -> Any:
        return prediction.stack([getattr(frame, name)() for frame in prediction.frames])

    return compute


OVERLAYS = {
    "distance": Overlay(
        "Distance map", "How far inside a leaf a pixel lies: 0 at its border, 1 in its middle.", _frames("distance_map")
    ),
    "embedding": Overlay(
        "Embedding",
        "The embedding's three principal components as color: one leaf, one color.",
        _frames("embedding_rgb"),
    ),
    "confidence": Overlay(
        "Confidence", "The model's confidence that a pixel belongs to any leaf: 0 to 1.", _frames("confidence")
    ),
    "seeds": Overlay(
        "Seeds",
        "The points that leaves grow from. Select their layer, then drag, add or delete them: the leaves follow.",
        lambda prediction, values: seed_points(prediction, values),
    ),
}
