"""From labelled pictures to better parameters: gather, predict, sweep; for the window and the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_leafseg.errors import UserError
from napari_leafseg.inference.parameter_search import ParameterSearch, search_parameters
from napari_leafseg.inference.prediction import Prediction, StackPrediction
from napari_leafseg.io import find_pairs, read_image, read_labels
from napari_leafseg.project import Project

if TYPE_CHECKING:
    from napari_leafseg.inference.predictor import Predictor

NOTHING = (
    "There are no labelled leaves to compare with. Correct a picture in the Correct widget and mark it as reviewed, or "
    "give a folder of pictures that have label images (plant.png with plant_label.png)."
)


@dataclass
class LabelledPicture:
    """A picture whose leaves are all known.

    Attributes
    ----------
    name : str
    picture, labels : callable
        Read the picture, (H, W), (H, W, C) or (T, H, W, C), and its labels, (H, W) or (T, H, W).
    prediction : Prediction or StackPrediction or None
        Where the model has seen it already; else filled in by `tune`.
    """

    name: str
    picture: Callable[[], np.ndarray]
    labels: Callable[[], np.ndarray]
    prediction: Prediction | StackPrediction | None = None


@dataclass(frozen=True)
class TuneEvent:
    """Progress; the last event holds the sweep."""

    done: int
    total: int
    message: str
    search: ParameterSearch | None = None


def reviewed_pictures(project: Project) -> list[LabelledPicture]:
    """The pictures of a project that were reviewed as a whole."""
    return [
        LabelledPicture(ref.id, partial(_read, project.path_of(ref)), partial(project.read_labels, ref))
        for ref in project.images
        if ref.state == "done"
    ]


def labelled_files(folder: Path, truth: Path | None = None) -> list[LabelledPicture]:
    """Pictures of a folder with label images beside them, in ``labels/`` or in another folder.

    Raises
    ------
    UserError
        When a folder is missing.
    """
    for place in (folder, truth or folder):
        if not place.is_dir():
            raise UserError(f"There is no folder {place}.")
    pairs = find_pairs(folder) if truth is None else find_pairs(folder, truth)
    return [LabelledPicture(image.name, partial(_read, image), partial(read_labels, label)) for image, label in pairs]


def _read(path: Path) -> np.ndarray:
    return read_image(path).array


def tune(
    predictor: Predictor, pictures: Sequence[LabelledPicture], current: dict[str, float] | None = None
) -> Iterator[TuneEvent]:
    """Predict labelled pictures where that was not done yet, then sweep the tunables; may be stopped after any event.

    Parameters
    ----------
    predictor : Predictor
    pictures : sequence of LabelledPicture
        Their predictions are kept in them.
    current : dict, optional
        See `napari_leafseg.inference.parameter_search.search_parameters`.

    Raises
    ------
    UserError
        When there is no labelled leaf, or a file cannot be read.
    """
    if not pictures:
        raise UserError(NOTHING)
    predictions: list[Prediction] = []
    truths: list[np.ndarray] = []
    share = 800 // len(pictures)
    for number, picture in enumerate(pictures):
        message = f"{picture.name} ({number + 1} of {len(pictures)})"
        if picture.prediction is None:
            for event in predictor.run_any(picture.picture(), None, picture.name, {"name": picture.name}):
                picture.prediction = event.prediction
                yield TuneEvent(number * share + share * event.done // event.total, 1000, f"{message}: {event.message}")
        labels, prediction = picture.labels(), picture.prediction
        assert prediction is not None
        if isinstance(prediction, StackPrediction):
            predictions += prediction.frames
            truths += list(labels)
        else:
            predictions.append(prediction)
            truths.append(labels)
    for item in search_parameters(predictions, truths, current):
        yield TuneEvent(800 + 200 * item.done // item.total, 1000, "Comparing parameters", item.search)
