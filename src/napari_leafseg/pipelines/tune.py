"""Search parameters for labeled images: gather, predict, score; for the window and the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_leafseg.errors import InputFileError
from napari_leafseg.inference.parameter_search import ParameterSearch, search_parameters
from napari_leafseg.inference.prediction import Prediction
from napari_leafseg.io import ReadOptions, find_pairs, read_image, read_labels
from napari_leafseg.pipelines.engine import run_over
from napari_leafseg.pipelines.predictors import predict_steps
from napari_leafseg.pipelines.step import Step
from napari_leafseg.project import Project

if TYPE_CHECKING:
    from napari_leafseg.inference.predictor import Predictor

NOTHING = (
    "There are no labeled leaves to compare with. Correct an image in the Correct tab and mark it as reviewed, or "
    "give a folder of images that have label images (plant.png with plant_label.png)."
)


@dataclass
class LabeledImage:
    """An image whose leaves are all known.

    Attributes
    ----------
    name : str
    image, labels : callable
        Read the image, (H, W), (H, W, C) or (T, H, W, C), and its labels, (H, W) or (T, H, W).
    prediction : Prediction or None
        Where the model has seen it already; else filled in by `tune`.
    """

    name: str
    image: Callable[[], np.ndarray]
    labels: Callable[[], np.ndarray]
    prediction: Prediction | None = None


@dataclass(frozen=True)
class TuneEvent:
    """Progress; the last event holds the search."""

    done: int
    total: int
    message: str
    search: ParameterSearch | None = None


def reviewed_images(project: Project) -> list[LabeledImage]:
    """Return the images of a project that were reviewed as a whole."""
    return [
        LabeledImage(
            ref.id, partial(_read, project.path_of(ref), project.read_options), partial(project.read_labels, ref)
        )
        for ref in project.images
        if ref.state == "done"
    ]


def labeled_files(folder: Path, truth: Path | None = None) -> list[LabeledImage]:
    """Return images of a folder with label images beside them, in ``labels/`` or in another folder.

    Raises
    ------
    InputFileError
        When a folder is missing.
    """
    for place in (folder, truth or folder):
        if not place.is_dir():
            raise InputFileError(f"There is no folder {place}.")
    pairs = find_pairs(folder) if truth is None else find_pairs(folder, truth)
    return [LabeledImage(image.name, partial(_read, image), partial(read_labels, label)) for image, label in pairs]


def _read(path: Path, options: ReadOptions | None = None) -> np.ndarray:
    return read_image(path, options).array


def tune(
    predictor: Predictor, images: Sequence[LabeledImage], current: dict[str, float] | None = None
) -> Iterator[TuneEvent]:
    """Predict labeled images where that was not done yet, then search the tunables; may be stopped after any event.

    Parameters
    ----------
    predictor : Predictor
    images : sequence of LabeledImage
        Their predictions are kept in them.
    current : dict, optional
        See `napari_leafseg.inference.parameter_search.search_parameters`.

    Raises
    ------
    InputFileError
        When there is no labeled leaf, or a file cannot be read.
    """
    if not images:
        raise InputFileError(NOTHING)
    events = run_over(
        images, partial(_predict, predictor), name=lambda image: image.name, cached=lambda image: image.prediction
    )
    with contextlib.closing(events):
        for event in events:
            yield TuneEvent(int(800 * event.done / event.total), 1000, event.message)
    predictions: list[Prediction] = []
    truths: list[np.ndarray] = []
    for image in images:
        labels, prediction = image.labels(), image.prediction
        assert prediction is not None
        predictions += prediction.frames
        truths += list(labels.reshape(-1, *labels.shape[-2:]))
    for item in search_parameters(predictions, truths, current):
        yield TuneEvent(800 + 200 * item.done // item.total, 1000, "Comparing parameters", item.search)


def _predict(predictor: Predictor, image: LabeledImage) -> Generator[Step, None, Prediction]:
    found = yield from predict_steps(predictor, image.image(), None, image.name, {"name": image.name})
    image.prediction = found
    return found
