"""Which images a model is least sure of: what to correct next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from napari_leafseg.inference.confidence import leaf_confidence
from napari_leafseg.inference.predictor import Predictor
from napari_leafseg.io import ReadOptions, read_image
from napari_leafseg.pipelines.engine import run_over

_FRAMES = 3  # of a time series: the first, the middle one and the last


@dataclass(frozen=True)
class Ranked:
    """A model's confidence in an image.

    Attributes
    ----------
    path : pathlib.Path
    confidence : float
        Confidence of its least certain leaf, 0 to 1; 0 where no leaf was found.
    leaves : int
    done, total : int
        Images looked at so far, and of all.
    trouble : str
        Why an image could not be used; "" where it could.
    """

    path: Path
    confidence: float
    leaves: int
    done: int
    total: int
    trouble: str = ""


def rank_images(predictor: Predictor, paths: Sequence[Path], options: ReadOptions | None = None) -> Iterator[Ranked]:
    """Look at images one by one; a file that cannot be used is told and passed over.

    Parameters
    ----------
    predictor : Predictor
    paths : sequence of pathlib.Path
    options : ReadOptions, optional
        Which channels and which plane of the images are read.

    Yields
    ------
    Ranked
        In the order of `paths`; sort them by ``confidence``.
    """
    for event in run_over(paths, partial(_look, predictor, options), name=lambda path: path.name, collect=True):
        if event.item is None:
            continue
        done = int(event.done)
        if event.error is not None:
            yield Ranked(event.item, 1.0, 0, done, event.total, str(event.error))
        elif event.result is not None:
            confidence, leaves = event.result
            yield Ranked(event.item, confidence, leaves, done, event.total)


def _look(predictor: Predictor, options: ReadOptions | None, path: Path) -> tuple[float, int]:
    """The confidence of an image's least certain leaf, and how many leaves it has."""
    found = [_confidences(predictor, frame, path) for frame in _frames(read_image(path, options).array)]
    return min(min(values, default=0.0) for values in found), sum(map(len, found))


def _frames(array: np.ndarray) -> list[np.ndarray]:
    if array.ndim < 4:
        return [np.asarray(array)]
    chosen = sorted({int(frame) for frame in np.linspace(0, len(array) - 1, _FRAMES)})
    return [np.asarray(array[frame]) for frame in chosen]


def _confidences(predictor: Predictor, image: np.ndarray, path: Path) -> list[float]:
    prediction = predictor.predict(image, name=path.name)
    return list(leaf_confidence(prediction, prediction.labels()).values())
