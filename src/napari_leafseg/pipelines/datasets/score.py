"""How good a model is on the images of a converted data set that are held out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_leafseg._files import write_atomically
from napari_leafseg.metrics import score
from napari_leafseg.pipelines.datasets.convert import LabeledFile, labeled_files
from napari_leafseg.pipelines.engine import run_over
from napari_leafseg.pipelines.evaluate import as_row, mean_scores
from napari_leafseg.pipelines.predictors import predict_steps
from napari_leafseg.pipelines.step import Step

if TYPE_CHECKING:
    from napari_leafseg.inference.predictor import Predictor


@dataclass(frozen=True)
class ScoreEvent:
    """Progress; `table` comes at the end: mean scores by group, and "mean"; and what could not be scored."""

    done: float
    total: float
    message: str
    table: dict[str, dict[str, float]] = field(default_factory=dict)
    failed: tuple[str, ...] = ()


def score_data(predictor: Predictor, folder: Path, target: Path) -> Iterator[ScoreEvent]:
    """Predict the images of a converted folder that are held out, and score them; writes the scores as JSON.

    Parameters
    ----------
    predictor : Predictor
    folder : pathlib.Path
        Made by `convert_data`.
    target : pathlib.Path
        A JSON file.

    Raises
    ------
    UserError
    """
    files = labeled_files(folder, held_out=True)
    groups: dict[str, list[dict[str, float]]] = defaultdict(list)
    images, failed = {}, []
    for event in run_over(files, partial(_score, predictor), name=lambda file: file.stem):
        if event.item is not None and event.result is not None:
            groups[event.item.group].append(event.result)
            images[event.item.stem] = event.result
        elif event.error is not None:
            failed.append(str(event.error))
        yield ScoreEvent(event.done, event.total, f"Scoring {event.message}")
    every = list(images.values())
    named = sorted((name, rows) for name, rows in groups.items() if name)
    table = {name: _mean(rows) for name, rows in [*named, ("mean", every)] if rows}
    content = {"model": predictor.card.name, "data": str(folder), "table": table, "images": images, "failed": failed}
    write_atomically(target, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    yield ScoreEvent(1, 1, "Scored", table, tuple(failed))


def _score(predictor: Predictor, file: LabeledFile) -> Generator[Step, None, dict[str, float]]:
    image, truth, _ = file.read()
    prediction = yield from predict_steps(predictor, image, None, file.stem)
    return {name: float(value) for name, value in as_row(score(prediction.labels(), truth)).items()}


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {"images": float(len(rows))} | mean_scores(rows)
