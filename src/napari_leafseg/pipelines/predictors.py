"""Loaded models, kept for the next image: one cache for each process."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Generator, Iterator
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_leafseg.inference.tta import TestTimeAugmentation, find_preset
from napari_leafseg.models.store.model_card import card_path
from napari_leafseg.models.store.zoo import find_model
from napari_leafseg.pipelines.batch.config import file_hash
from napari_leafseg.pipelines.step import Step

if TYPE_CHECKING:
    from napari_leafseg.inference.prediction import Prediction
    from napari_leafseg.inference.predictor import Predictor

_KEPT = 4
_LOADED: OrderedDict[tuple[object, ...], Predictor] = OrderedDict()  # by file and what `get_predictor` takes
_LOCK = threading.Lock()
_THREADS: ContextVar[int | None] = ContextVar("threads", default=None)


def get_predictor(
    model: str = "leaf",
    device: str = "auto",
    tta: str | TestTimeAugmentation = "standard",
    threads: int | None = None,
    precision: str = "auto",
) -> Predictor:
    """Load a model, or give the one that was loaded before.

    Parameters
    ----------
    model, device : str
        See `napari_leafseg.load_model`. In a worker of a machine with several graphics cards, "auto" is its own.
    tta : str or TestTimeAugmentation
        One of `napari_leafseg.inference.tta.TTA_PRESETS`, or another one.
    threads : int, optional
        Of the network and OpenCV in this process; those of `threads_of`, or as they are, when None.
    precision : str
        See `napari_leafseg.load_model`.

    Raises
    ------
    UserError
        When there is no such model or device, or the file is no checkpoint.
    """
    from napari_leafseg import load_model
    from napari_leafseg._opencv import cv2

    chosen = find_preset(tta) if isinstance(tta, str) else tta
    device, threads = _own_device(device), threads or _THREADS.get()
    key = (*_file_state(find_model(model)), device, chosen, threads, precision)
    with _LOCK:
        if key not in _LOADED:
            if threads is not None:
                import torch

                torch.set_num_threads(threads)
                cv2.setNumThreads(threads)
            _LOADED[key] = load_model(model, device, chosen, precision)
        _LOADED.move_to_end(key)
        while len(_LOADED) > _KEPT:
            _LOADED.popitem(last=False)
        return _LOADED[key]


def predict_steps(
    predictor: Predictor,
    image: np.ndarray,
    scale: float | None = None,
    name: str = "The image",
    source: dict[str, Any] | None = None,
    mask: np.ndarray | None = None,
) -> Generator[Step, None, Prediction]:
    """Predict an image or series with progress; returns the prediction. See `Predictor.run`."""
    result = None
    for event in predictor.run(image, scale, name, source, mask):
        result = event.prediction
        yield Step(event.done / event.total, event.message)
    assert result is not None
    return result


class Turn:
    """Let one prediction at a time use a process's models; who is urgent comes before those in the background."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._busy, self._urgent = False, 0

    @contextlib.contextmanager
    def take(self, urgent: bool) -> Iterator[None]:
        """Wait until nobody else predicts, and nobody more urgent waits."""
        with self._condition:
            self._urgent += urgent
            try:
                self._condition.wait_for(lambda: not self._busy and (urgent or not self._urgent))
            finally:
                self._urgent -= urgent
            self._busy = True
        try:
            yield
        finally:
            with self._condition:
                self._busy = False
                self._condition.notify_all()


turn = Turn()


@contextlib.contextmanager
def threads_of(count: int) -> Iterator[None]:
    """Give predictors so many threads where none are asked for."""
    token = _THREADS.set(count)
    try:
        yield
    finally:
        _THREADS.reset(token)


def _own_device(device: str) -> str:
    """One graphics card for each worker of a machine that has several."""
    worker = os.environ.get("NAPARI_LEAFSEG_WORKER", "")
    if not worker or device not in {"auto", "cuda"}:
        return device
    import torch

    count = torch.cuda.device_count()
    return f"cuda:{int(worker) % count}" if count > 1 else device


def _file_state(path: Path) -> tuple[object, ...]:
    """Which file it is, and whether it is still the same: another model may get an old one's name."""
    found = [file.stat() for file in (path, card_path(path)) if file.exists()]
    return (path, *((status.st_size, status.st_mtime_ns) for status in found))


def name_weights(prediction: Prediction, model: str) -> None:
    """Write into a prediction, for its record, which weights made it: weights may be replaced under the same name."""
    weights = file_hash(find_model(model))
    for frame in (prediction, *prediction.frames):
        frame.model = replace(frame.model, sha256=weights)
