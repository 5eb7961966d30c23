"""Loaded models, kept for the next image: one cache for each process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from napari_leafseg.models.store.zoo import find_model

if TYPE_CHECKING:
    from napari_leafseg.inference.predictor import Predictor

_KEPT = 4
_LOADED: OrderedDict[tuple[object, ...], Predictor] = OrderedDict()  # by file, device, looks and threads
_LOCK = threading.Lock()


def get_predictor(
    model: str = "leaf",
    device: str = "auto",
    tta: str = "standard",
    threads: int | None = None,
    precision: str = "auto",
) -> Predictor:
    """Load a model, or give the one that was loaded before.

    Parameters
    ----------
    model, device : str
        See `napari_leafseg.load_model`.
    tta : str
        One of `napari_leafseg.inference.tta.TTA_PRESETS`.
    threads : int, optional
        Of the network and OpenCV in this process; as they are when None.
    precision : str
        See `napari_leafseg.load_model`.

    Raises
    ------
    UserError
        When there is no such model or device, or the file is no checkpoint.
    """
    from napari_leafseg import load_model
    from napari_leafseg._opencv import cv2
    from napari_leafseg.inference.tta import find_preset

    key = (*_file_state(find_model(model)), device, tta, threads, precision)
    with _LOCK:
        if key not in _LOADED:
            if threads is not None:
                import torch

                torch.set_num_threads(threads)
                cv2.setNumThreads(threads)
            _LOADED[key] = load_model(model, device, find_preset(tta), precision)
        _LOADED.move_to_end(key)
        while len(_LOADED) > _KEPT:
            _LOADED.popitem(last=False)
        return _LOADED[key]


def _file_state(path: Path) -> tuple[object, ...]:
    """Which file it is, and whether it is still the same: another model may get an old one's name."""
    status = path.stat() if path.exists() else None
    return (path, None, None) if status is None else (path, status.st_size, status.st_mtime_ns)


def forget_predictors() -> None:
    """Free all loaded models."""
    with _LOCK:
        _LOADED.clear()
