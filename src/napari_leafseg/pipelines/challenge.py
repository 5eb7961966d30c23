"""The Leaf Segmentation Challenge from end to end: train, score by subset, write the file to hand in."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import UserError
from napari_leafseg.io import label_path, write_image, write_labels
from napari_leafseg.io.exchange.challenge import ChallengePicture, write_submission
from napari_leafseg.metrics import score

if TYPE_CHECKING:
    from napari_leafseg.inference.predictor import Predictor
    from napari_leafseg.training.config import TrainingConfig


@dataclass(frozen=True)
class ChallengeEvent:
    """Progress; `table` comes when all held-out pictures are scored: mean scores by subset, and "mean"."""

    done: float
    total: float
    message: str
    table: dict[str, dict[str, float]] = field(default_factory=dict)


def split(
    pictures: Sequence[ChallengePicture], share: float = 0.2
) -> tuple[list[ChallengePicture], list[ChallengePicture]]:
    """Hold out every n-th labelled picture of each subset; the same ones each time.

    Returns
    -------
    learned, held_out : list of ChallengePicture

    Raises
    ------
    UserError
        When no picture has labels.
    """
    labelled = [picture for picture in pictures if picture.has("label")]
    if not labelled:
        raise UserError("None of these pictures has labels to train on. Give the training data, with its truth.")
    every = max(2, round(1 / share)) if share else 0
    learned: list[ChallengePicture] = []
    held_out: list[ChallengePicture] = []
    numbers: dict[str, int] = defaultdict(int)
    for picture in labelled:
        numbers[picture.subset] += 1
        (held_out if every and numbers[picture.subset] % every == 0 else learned).append(picture)
    return learned, held_out


def train_on_challenge(
    pictures: Sequence[ChallengePicture], output: Path, config: TrainingConfig, device: str = "cpu",
    epochs: int | None = None,
) -> Iterator[ChallengeEvent]:  # fmt: skip
    """Train a configuration on labelled pictures of the challenge; goes on where it was.

    Parameters
    ----------
    pictures : sequence of ChallengePicture
    output : path
        Folder of the run; the pictures are copied into it.
    config : TrainingConfig
        Its folder of pictures is replaced by these.
    epochs : int, optional
        How often each picture is seen, in the mean, instead of the configuration's number of steps.
    """
    from napari_leafseg.training.loop import train

    folder = output / "pictures"
    for number, picture in enumerate(pictures):
        if not label_path(folder, picture.stem).exists():
            write_image(folder / f"{picture.stem}.png", picture.image())
            write_labels(label_path(folder, picture.stem), picture.labels())
        yield ChallengeEvent(number + 1, len(pictures), "Reading the pictures")
    stems = tuple(picture.stem for picture in pictures)
    steps = config.steps if epochs is None else max(1, round(epochs * len(pictures) / config.batch))
    data = config.data.model_copy(update={"folder": str(folder), "stems": stems})
    settings = config.model_copy(update={"data": data, "steps": steps})
    for event in train(settings, output, device):
        message = f"Training, loss {event.values['total']:.3f}" if event.kind == "step" else "Training"
        yield ChallengeEvent(event.step, event.total, message)


def score_challenge(
    predictor: Predictor, pictures: Sequence[ChallengePicture], given_foreground: bool, output: Path
) -> Iterator[ChallengeEvent]:
    """Predict labelled pictures and score them by subset, by the challenge's rules; writes ``scores.json``.

    Parameters
    ----------
    predictor : Predictor
    pictures : sequence of ChallengePicture
    given_foreground : bool
        Use the given plant masks where there are any, as the challenge allows.
    output : path
    """
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for number, picture in enumerate(pictures):
        result = score(_predict(predictor, picture, given_foreground), _numbered(picture.labels()), challenge=True)
        values = {"SBD": result.sbd, "BestDice": result.best_dice, "FBD": result.fbd, "DiC": float(result.dic)}
        rows[picture.subset].append(values | {"absDiC": float(result.abs_dic)})
        yield ChallengeEvent(number + 1, len(pictures), f"Scoring {picture.subset}/{picture.name}")
    every = [row for subset in rows.values() for row in subset]
    table = {name: _mean(items) for name, items in [*sorted(rows.items()), ("mean", every)] if items}
    content = {"given_foreground": given_foreground, "model": predictor.card.name, "table": table, "images": rows}
    write_atomically(output / "scores.json", (json.dumps(content, indent=1) + "\n").encode())
    yield ChallengeEvent(1, 1, "Scored", table)


def predict_submission(
    predictor: Predictor, pictures: Sequence[ChallengePicture], given_foreground: bool, path: Path
) -> Iterator[ChallengeEvent]:
    """Predict pictures and write the file to hand in."""
    labels = {}
    for number, picture in enumerate(pictures):
        labels[picture.subset, picture.name] = _predict(predictor, picture, given_foreground)
        yield ChallengeEvent(number + 1, len(pictures), f"Predicting {picture.subset}/{picture.name}")
    write_submission(path, labels)


def _predict(predictor: Predictor, picture: ChallengePicture, given_foreground: bool) -> np.ndarray:
    mask = picture.foreground() if given_foreground and picture.has("fg") else None
    name = f"{picture.subset}/{picture.name}"
    return predictor.predict(picture.image(), name=name, mask=mask).labels()


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Leaves numbered without gaps, as the challenge's truth is."""
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)


def _mean(rows: list[dict[str, float]]) -> dict[str, Any]:
    return {"images": len(rows)} | {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
