"""Long work of *Segment*, as functions and generators that run in a worker thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg.io import label_path, write_labels
from napari_leafseg.pipelines.predictors import get_predictor, name_weights, turn


def predict_job(
    model: str,
    device: str,
    data: Any,
    scale: float | None,
    name: str,
    source: dict[str, Any],
    tta: str = "standard",
) -> Iterator[Any]:
    """Load the model where it is not loaded yet, then predict; yields `PredictEvent`. The last holds the result."""
    from napari_leafseg.inference.predictor import PredictEvent

    yield PredictEvent(0, 100, f"Loading the model “{model}”")
    predictor = get_predictor(model, device, tta)
    with turn.take(urgent=True):
        for event in predictor.run(data, scale, name, source):
            if event.prediction is not None:
                name_weights(event.prediction, model)
            yield event


def save_job(folder: Path, stem: str, labels: np.ndarray, record: dict[str, Any]) -> Path:
    """Write labels and their record; returns the labels' file."""
    target = label_path(folder, stem)
    write_labels(target, labels, record)
    return target


def save_masks_job(folder: Path, stem: str, prediction: Any, values: dict[str, float]) -> Path:
    """Write the overlapping masks of a prediction, or of each frame of a series; returns the (first) file."""
    from napari_leafseg.pipelines.batch.image_task import write_masks

    return write_masks(label_path(folder, stem), prediction, values)
