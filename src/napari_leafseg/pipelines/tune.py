"""From labeled images to better parameters: gather, predict, sweep; for the window and the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_leafseg.errors import InputFileError
from napari_leafseg.inference.parameter_search import ParameterSearch, search_parameters
from napari_leafseg.inference.prediction import Prediction, StackPrediction
from napari_leafseg.io import ReadOptions, find_pairs, read_image, read_labels
from napari_leafseg.project import Project

if TYPE_CHECKING:
    from napari_leafseg.inference.predictor import Predictor

NOTHING = (
    "There are no labeled leaves to compare with. Correct an image in the Correct widget and mark it as reviewed, or "
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
    prediction : Prediction or StackPrediction or None
        Where the model has seen it already; else filled in by `tune`.
    """

    name: str
    image: Callable[[], np.ndarray]
    labels: Callable[[], np.ndarray]
    prediction: Prediction | StackPrediction | None = None


@dataclass(frozen=True)
class TuneEvent:
    """Progress; the last event holds the sweep."""

    done: int
    total: int
    message: str
    search: ParameterSearch | None = None


def reviewed_images(project: Project) -> list[LabeledImage]:
    """The images of a project that were reviewed as a whole."""
    return [
        LabeledImage(
            ref.id, partial(_read, project.path_of(ref), project.read_options), partial(project.read_labels, ref)
        )
        for ref in project.images
        if ref.state == "done"
    ]


def labeled_files(folder: Path, truth: Path | None = None) -> list[LabeledImage]:
    """Images of a folder with label images beside them, in ``labels/`` or in another folder.

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
    """Predict labeled images where that was not done yet, then sweep the tunables; may be stopped after any event.

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
    predictions: list[Prediction] = []
    truths: list[np.ndarray] = []
    share = 800 // len(images)
    for number, image in enumerate(images):
        message = f"{image.name} ({number + 1} of {len(images)})"
        if image.prediction is None:
            for event in predictor.run_any(image.image(), None, image.name, {"name": image.name}):
                image.prediction = event.prediction
                yield TuneEvent(number * share + share * event.done // event.total, 1000, f"{message}: {event.message}")
        labels, prediction = image.labels(), image.prediction
        assert prediction is not None
        if isinstance(prediction, StackPrediction):
            predictions += prediction.frames
            truths += list(labels)
        else:
            predictions.append(prediction)
            truths.append(labels)
    for item in search_parameters(predictions, truths, current):
        yield TuneEvent(800 + 200 * item.done // item.total, 1000, "Comparing parameters", item.search)
