"""Long work of *Parameter search*, as a generator that runs in a worker thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from napari_leafseg.pipelines.predictors import get_predictor


def tune_job(
    model: str,
    device: str,
    tta: str,
    images: list[Any],
    current: dict[str, float] | None,
) -> Iterator[Any]:
    """Load the model where it is not loaded yet, then predict labeled images and search; yields `TuneEvent`."""
    from napari_leafseg.pipelines.tune import TuneEvent, tune

    yield TuneEvent(0, 1000, f"Loading the model “{model}”")
    yield from tune(get_predictor(model, device, tta), images, current)
