"""The Leaf Segmentation Challenge from end to end: train, score by subset, write the file to hand in."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_leafseg._extras import require
from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError
from napari_leafseg.io import label_path, write_image, write_labels
from napari_leafseg.io.exchange.challenge import ChallengeImage, write_submission
from napari_leafseg.metrics import score
from napari_leafseg.pipelines.engine import run_over
from napari_leafseg.pipelines.evaluate import as_row, mean_scores
from napari_leafseg.pipelines.predictors import predict_steps
from napari_leafseg.pipelines.step import Step

if TYPE_CHECKING:
    from napari_leafseg.inference.predictor import Predictor
    from napari_leafseg.training.config import TrainingConfig


@dataclass(frozen=True)
class ChallengeEvent:
    """Progress; `table` comes when all held-out images are scored: mean scores by subset, and "mean"."""

    done: float
    total: float
    message: str
    table: dict[str, dict[str, float]] = field(default_factory=dict)


def split(images: Sequence[ChallengeImage], share: float = 0.2) -> tuple[list[ChallengeImage], list[ChallengeImage]]:
    """Hold out every n-th labeled image of each subset; the same ones each time.

    Returns
    -------
    learned, held_out : list of ChallengeImage

    Raises
    ------
    InputFileError
        When no image has labels.
    """
    labeled = [image for image in images if image.has("label")]
    if not labeled:
        raise InputFileError("None of these images has labels to train on. Give the training data, with its truth.")
    every = max(2, round(1 / share)) if share else 0
    learned: list[ChallengeImage] = []
    held_out: list[ChallengeImage] = []
    numbers: dict[str, int] = defaultdict(int)
    for image in labeled:
        numbers[image.subset] += 1
        (held_out if every and numbers[image.subset] % every == 0 else learned).append(image)
    return learned, held_out


def train_on_challenge(
    images: Sequence[ChallengeImage], output: Path, config: TrainingConfig, device: str = "cpu",
    epochs: int | None = None,
) -> Iterator[ChallengeEvent]:  # fmt: skip
    """Train a configuration on labeled images of the challenge; goes on where it was.

    Parameters
    ----------
    images : sequence of ChallengeImage
    output : path
        Folder of the run; the images are copied into it.
    config : TrainingConfig
        Its folder of images is replaced by these.
    epochs : int, optional
        How often each image is seen, in the mean, instead of the configuration's number of steps.
    """
    from napari_leafseg.training.loop import train

    folder = output / "pictures"
    for number, image in enumerate(images):
        if not label_path(folder, image.stem).exists():
            write_image(folder / f"{image.stem}.png", image.image())
            write_labels(label_path(folder, image.stem), image.labels())
        yield ChallengeEvent(number + 1, len(images), "Reading the images")
    stems = tuple(image.stem for image in images)
    steps = config.steps if epochs is None else max(1, round(epochs * len(images) / config.batch))
    data = config.data.model_copy(update={"folder": str(folder), "stems": stems})
    settings = config.model_copy(update={"data": data, "steps": steps})
    for event in train(settings, output, device):
        message = f"Training, loss {event.values['total']:.3f}" if event.kind == "step" else "Training"
        yield ChallengeEvent(event.step, event.total, message)


def score_challenge(
    predictor: Predictor, images: Sequence[ChallengeImage], given_foreground: bool, output: Path
) -> Iterator[ChallengeEvent]:
    """Predict labeled images and score them by subset, by the challenge's rules; writes ``scores.json``.

    Parameters
    ----------
    predictor : Predictor
    images : sequence of ChallengeImage
    given_foreground : bool
        Use the given plant masks where there are any, as the challenge allows.
    output : path
    """
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for event in run_over(images, partial(_score, predictor, given_foreground), name=_name):
        if event.item is not None and event.result is not None:
            rows[event.item.subset].append(event.result)
        yield ChallengeEvent(event.done, event.total, f"Scoring {event.message}")
    every = [row for subset in rows.values() for row in subset]
    table = {name: _mean(items) for name, items in [*sorted(rows.items()), ("mean", every)] if items}
    content = {"given_foreground": given_foreground, "model": predictor.card.name, "table": table, "images": rows}
    write_atomically(output / "scores.json", (json.dumps(content, indent=1) + "\n").encode())
    yield ChallengeEvent(1, 1, "Scored", table)


def predict_submission(
    predictor: Predictor, images: Sequence[ChallengeImage], given_foreground: bool, path: Path
) -> Iterator[ChallengeEvent]:
    """Predict images and write the file to hand in.

    Raises
    ------
    InputFileError
        When the package is missing that writes it.
    """
    require("h5py", f"{path} is an HDF5 file, which", kind=InputFileError)
    labels = {}
    for event in run_over(images, partial(_predict, predictor, given_foreground), name=_name):
        if event.item is not None and event.result is not None:
            labels[event.item.subset, event.item.name] = event.result
        yield ChallengeEvent(event.done, event.total, f"Predicting {event.message}")
    write_submission(path, labels)


def _name(image: ChallengeImage) -> str:
    return f"{image.subset}/{image.name}"


def _predict(predictor: Predictor, given_foreground: bool, image: ChallengeImage) -> Generator[Step, None, np.ndarray]:
    mask = image.foreground() if given_foreground and image.has("fg") else None
    prediction = yield from predict_steps(predictor, image.image(), None, _name(image), None, mask)
    return prediction.labels()


def _score(
    predictor: Predictor, given_foreground: bool, image: ChallengeImage
) -> Generator[Step, None, dict[str, float]]:
    labels = yield from _predict(predictor, given_foreground, image)
    row = as_row(score(labels, _numbered(image.labels()), challenge=True))
    return {name: float(value) for name, value in row.items()}


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Leaves numbered without gaps, as the challenge's truth is."""
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)


def _mean(rows: list[dict[str, float]]) -> dict[str, Any]:
    return {"images": len(rows)} | mean_scores(rows)
