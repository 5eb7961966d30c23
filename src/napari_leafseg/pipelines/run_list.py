"""What *Run all* does with each image of the list, and which of them need it."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg.inference.tta import find_preset
from napari_leafseg.io import ReadOptions, read_image
from napari_leafseg.models.parameters import MIN_AREA, MIN_AREA_WORKING, ParameterSpec
from napari_leafseg.models.store.zoo import describe_model, find_model
from napari_leafseg.pipelines.batch.config import file_hash
from napari_leafseg.pipelines.predictors import get_predictor, name_weights, predict_steps, turn
from napari_leafseg.pipelines.step import Step

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSettings:
    """How leaves are found.

    Attributes
    ----------
    model, device, tta : str
    scale : float, optional
        Working scale; found by itself when None.
    values : dict
        Parameters that somebody chose for the model; the others have their defaults.
    """

    model: str
    device: str = "auto"
    tta: str = "standard"
    scale: float | None = None
    values: dict[str, float] = field(default_factory=dict)


@dataclass
class FoundLeaves:
    """What a model found in an image.

    Attributes
    ----------
    prediction : Prediction
    image, labels : numpy.ndarray
    values : dict
        All parameters that made the labels.
    confidence : list of dict
        Of each leaf, frame by frame.
    sha256 : str
    """

    prediction: Any
    image: Any
    labels: np.ndarray
    values: dict[str, float]
    confidence: list[dict[int, float]]
    sha256: str = ""

    @property
    def origin(self) -> dict[str, Any]:
        """Which prediction and which parameters, for the step that stores the labels."""
        return {"run": self.prediction.key, "parameters": self.values}

    def record_of(self, labels: np.ndarray) -> dict[str, Any]:
        """Return the record of these labels, or of others that came of them, with the confidence of their leaves."""
        sure = self.confidence if labels is self.labels else leaf_confidences(self.prediction, labels)
        told = [{str(leaf): value for leaf, value in frame.items()} for frame in sure]
        return {**self.prediction.record(**self.values), "confidence": told if labels.ndim == 3 else told[0]}


def leaf_confidences(prediction: Any, labels: np.ndarray) -> list[dict[int, float]]:
    """Return the confidence of each leaf, frame by frame."""
    from napari_leafseg.inference.confidence import leaf_confidence

    planes = prediction.planes(labels)
    return [leaf_confidence(frame, plane) for frame, plane in zip(prediction.frames, planes, strict=True)]


def find_leaves(settings: RunSettings, options: ReadOptions, path: Path) -> Generator[Step, None, FoundLeaves]:
    """Find the leaves of an image file, with progress.

    Raises
    ------
    UserError
        When the image cannot be done.
    """
    yield Step(0.0, "Reading the image")
    state = file_state(path)
    image = read_image(path, options)
    source = {"name": path.name, "sha256": image.sha256, "file": state, **image.options}
    yield Step(0.05, "Loading the model")
    predictor = get_predictor(settings.model, settings.device, settings.tta)
    with turn.take(urgent=False):
        prediction = yield from predict_steps(predictor, image.array, settings.scale, str(path), source)
    name_weights(prediction, settings.model)
    yield Step(0.9, "Grouping leaves")
    chosen = fitting_values(settings.values, prediction.tunables, prediction.scale)
    values = prediction.complete(chosen)
    labels = prediction.labels(**values)
    return FoundLeaves(prediction, image.array, labels, values, leaf_confidences(prediction, labels), image.sha256)


def fitting_values(kept: dict[str, float], tunables: Iterable[ParameterSpec], scale: float) -> dict[str, float]:
    """Return the kept parameters that an image can take; the smallest leaf in its own pixels."""
    found = {}
    smallest = kept.get(MIN_AREA_WORKING.name)
    if smallest is not None:
        found[MIN_AREA.name] = float(round(smallest / scale**2))
    for tunable in tunables:
        value = kept.get(tunable.name)
        if value is not None and tunable.minimum <= value <= tunable.maximum:
            found[tunable.name] = value
    return found


def file_state(path: Path) -> list[int]:
    """Return size and time of a file: others mean that it changed; empty where it is not there."""
    try:
        status = path.stat()
    except OSError as error:
        _LOG.debug("%s has no state: %s", path, error)
        return []
    return [status.st_size, status.st_mtime_ns]


def is_current(record: dict[str, Any], path: Path, settings: RunSettings) -> bool:
    """Tell whether labels are what these settings would give: the same model, parameters and file.

    Parameters
    ----------
    record : dict
        Of the labels, see `Prediction.record`.
    path : pathlib.Path
        The image's file.
    settings : RunSettings

    Raises
    ------
    UserError
        When there is no such model.
    """
    card = describe_model(settings.model)
    preset = find_preset(settings.tta)
    scale = record.get("scale")
    if isinstance(scale, list):  # of a series: its tunables are those of the frame in the middle
        frames, scale = scale, scale[len(scale) // 2] if scale else None
    else:
        frames = [scale]
    model = record.get("model") or {}
    if scale is None or (model.get("name"), model.get("version")) != (card.name, card.version):
        return False
    if model.get("sha256") not in (None, file_hash(find_model(settings.model))):
        return False
    looks = {"views": preset.views or card.tta_views, "scales": list(preset.scales)}
    if record.get("tta") not in (None, looks) or bool(record.get("scale_found")) is not (settings.scale is None):
        return False
    if settings.scale is not None and not all(math.isclose(each, settings.scale) for each in frames):
        return False
    if record.get("image", {}).get("file") not in (None, [], file_state(path)):
        return False
    tunables = card.family.tunables(card.defaults, scale)
    wanted = {each.name: each.default for each in tunables} | fitting_values(settings.values, tunables, scale)
    kept = record.get("parameters", {})
    return all(name in kept and math.isclose(kept[name], value, abs_tol=1e-6) for name, value in wanted.items())
