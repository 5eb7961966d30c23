"""Long work of the widgets, as generators that run in a worker thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg.errors import UserError
from napari_leafseg.io import LoadedImage, label_path, read_image, resize, to_rgb8, write_labels


def predict_job(
    predictors: dict[tuple[str, ...], Any],
    model: str,
    device: str,
    data: Any,
    stack: bool,
    scale: float | None,
    name: str,
    source: dict[str, Any],
    looks: str = "standard",
) -> Iterator[Any]:
    """Load the model where it is not loaded yet, then predict; yields `PredictEvent`. The last holds the result."""
    from napari_leafseg.inference.predictor import PredictEvent

    yield PredictEvent(0, 100, f"Loading the model “{model}”")
    predictor = _predictor(predictors, model, device, looks)
    array = data if stack else np.asarray(data)
    events = predictor.run_stack(array, scale, name) if stack else predictor.run(array, scale, name, source)
    yield from events


def _predictor(predictors: dict[tuple[str, ...], Any], model: str, device: str, looks: str) -> Any:
    """The loaded model, loaded now where it is not yet."""
    from napari_leafseg import load_model
    from napari_leafseg.inference.looks import LOOKS

    key = (model, device, looks)
    if key not in predictors:
        predictors[key] = load_model(model, device, LOOKS[looks])
    return predictors[key]


def load_job(path: Path) -> LoadedImage:
    """Read one picture."""
    image = read_image(path)
    if image.array.ndim > 4:
        raise UserError(
            f"{path} has {image.array.ndim} axes. Save it as a picture or as time × height × width × colours."
        )
    return image


def thumbnail_job(paths: list[Path], size: int) -> Iterator[tuple[Path, np.ndarray | str]]:
    """Small RGB pictures, (size, size, 3) at most; a sentence instead where a file cannot be read."""
    for path in paths:
        try:
            array = read_image(path).array
            if array.ndim == 4 or (array.ndim == 3 and array.shape[-1] not in (1, 3, 4)):
                array = array[0]
            step = max(1, max(array.shape[:2]) // (4 * size))
            picture = to_rgb8(np.ascontiguousarray(array[::step, ::step]), str(path))
            yield path, resize(picture, min(1.0, size / max(picture.shape[:2])))
        except UserError as error:
            yield path, str(error)


def save_job(folder: Path, stem: str, labels: np.ndarray, record: dict[str, Any]) -> Path:
    """Write labels and their record; returns the labels' file."""
    target = label_path(folder, stem)
    write_labels(target, labels, record)
    return target


def save_masks_job(folder: Path, stem: str, prediction: Any, values: dict[str, float]) -> Path:
    """Write the overlapping masks of a prediction, or of each frame of a series; returns the (first) file."""
    from napari_leafseg.io.exchange.coco import masks_path, save_coco

    frames = getattr(prediction, "frames", None)
    targets = []
    for number, frame in enumerate(frames or [prediction]):
        targets.append(masks_path(label_path(folder, f"{stem}_{number:03d}" if frames else stem)))
        save_coco(targets[-1], frame.coco(**values))
    return targets[0]


def tune_job(
    predictors: dict[tuple[str, ...], Any],
    model: str,
    device: str,
    looks: str,
    pictures: list[Any],
    current: dict[str, float] | None,
) -> Iterator[Any]:
    """Load the model where it is not loaded yet, then predict labelled pictures and sweep; yields `TuneEvent`."""
    from napari_leafseg.tuning import TuneEvent, tune

    yield TuneEvent(0, 1000, f"Loading the model “{model}”")
    yield from tune(_predictor(predictors, model, device, looks), pictures, current)
