"""One image of an experiment: predict, measure, write; runs in any process of any machine."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import imageio.v3 as imageio
import numpy as np
import pandas as pd
from skimage.segmentation import find_boundaries

from napari_leafseg._files import write_atomically
from napari_leafseg._opencv import cv2
from napari_leafseg.errors import InputFileError, UserError
from napari_leafseg.inference.confidence import leaf_confidence
from napari_leafseg.inference.prediction import Prediction, StackPrediction
from napari_leafseg.io import label_path, read_image, resize, to_rgb8, write_labels
from napari_leafseg.io.resolution import read_resolution
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.predictors import get_predictor
from napari_leafseg.traits import Measurements, measure

THUMBNAIL = 320  # pixels
_COLORS = np.random.default_rng(4).integers(60, 256, (256, 3), np.uint8)


class Task(NamedTuple):
    """An image to be done: its file, and the name of everything that is written of it."""

    path: str
    name: str


def marker_path(output: Path, name: str) -> Path:
    """The file that says that an image is done; written last."""
    return output / "parts" / f"{name}.json"


def file_state(path: Path) -> list[int]:
    """Size and time of change: whether a file is still the one that was done."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def cached_result(output: Path, task: Task, digest: str) -> dict[str, Any] | None:
    """What the marker says when the image was done with the same settings and did not change since."""
    try:
        content: dict[str, Any] = json.loads(marker_path(output, task.name).read_text(encoding="utf-8"))
        if content["digest"] == digest and content["file"] == file_state(Path(task.path)):
            return content
    except (OSError, ValueError, KeyError):
        return None
    return None


def _own_device(device: str) -> str:
    """One graphics card for each worker of a machine that has several."""
    import torch

    worker = os.environ.get("NAPARI_LEAFSEG_WORKER", "")
    if device in {"auto", "cuda"} and worker and torch.cuda.device_count() > 1:
        return f"cuda:{int(worker) % torch.cuda.device_count()}"
    return device


def process_image(task: Task, output: str, settings: BatchSettings, digest: str) -> dict[str, Any]:
    """Predict, measure and write one image.

    Returns
    -------
    dict
        What the marker says: ``name``, ``path``, ``count``, ``plants``, ``area``, ``scale``, ``notes``, ``seconds``; or
        ``name``, ``path`` and ``error``, a sentence, when the image cannot be done.
    """
    began = time.perf_counter()
    place, path = Path(output), Path(task.path)
    try:
        state = file_state(path) if path.exists() else []
        image = read_image(path, settings.reading)
        predictor = get_predictor(settings.model, _own_device(settings.device), settings.tta, settings.threads)
        source = {"name": path.name, "path": str(path.resolve()), "sha256": image.sha256, **image.options}
        prediction = predictor.predict_any(image.array, settings.scale, str(path), source)
        if isinstance(prediction, StackPrediction):
            sources, frames = image.array, prediction.frames
        else:
            sources, frames = image.array[None], [prediction]
        values = settings.values
        labels = prediction.labels(**values)
        px_per_mm, measured = _scale_of(path, settings), []
        for frame, source_frame, one in zip(frames, sources, labels.reshape(-1, *labels.shape[-2:]), strict=True):
            rgb = to_rgb8(np.asarray(source_frame), str(path))  # one of a series at a time
            measured.append(measure(one, rgb, px_per_mm, confidence=leaf_confidence(frame, one)))
        record = {**prediction.record(**values), "image": source, "px_per_mm": px_per_mm}
        record["batch"] = settings.model_dump()
        result = _write(place, task, settings, prediction, labels, measured, rgb, record)
    except UserError as error:
        return {"name": task.name, "path": task.path, "error": str(error)}
    result["notes"] = [*image.notes, *result["notes"]]
    result |= {"digest": digest, "file": state, "seconds": round(time.perf_counter() - began, 3)}
    write_atomically(marker_path(place, task.name), (json.dumps(result) + "\n").encode())
    return result


def _scale_of(path: Path, settings: BatchSettings) -> float | None:
    """Pixels a millimeter of an image."""
    if settings.px_per_mm is not None or not settings.scale_from_file:
        return settings.px_per_mm
    found = read_resolution(path)
    if found is None:
        raise InputFileError(f"{path} does not state its scale. Give it with --px-per-mm.")
    return found


def _write(
    place: Path, task: Task, settings: BatchSettings, prediction: Prediction | StackPrediction, labels: np.ndarray,
    measured: list[Measurements], image: np.ndarray, record: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Labels with their record, tables, a small image with outlines."""
    count = int(sum(len(item.leaves) for item in measured))
    write_labels(label_path(place / "labels", task.name), labels, {**record, "count": count})
    for kind in ("leaves", "plants"):
        tables = []
        for frame, item in enumerate(measured):
            table: pd.DataFrame = getattr(item, kind).copy()
            if len(measured) > 1:
                table.insert(0, "frame", frame)
            tables.append(table)
        whole = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
        whole.insert(0, "image", task.name)
        write_atomically(place / "parts" / f"{task.name}.{kind}.parquet", whole.to_parquet(index=False))
    last = labels if labels.ndim == 2 else labels[-1]
    small = imageio.imwrite("<bytes>", overlay(image, last), extension=".jpg", quality=80)
    write_atomically(place / "overlays" / f"{task.name}.jpg", small)
    plants = [item.plants for item in measured if len(item.plants)]
    area = "area_mm2" if settings.metric else "area_px2"
    return {
        "name": task.name,
        "path": task.path,
        "count": count,
        "plants": int(sum(len(table) for table in plants)),
        "area": float(sum(table[area].sum() for table in plants)),
        "scale": prediction.scale,
        "notes": prediction.notes,
    }


def overlay(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """A small image with every leaf outlined in a color of its own, uint8 (h, w, 3)."""
    factor = min(1.0, THUMBNAIL / max(labels.shape))
    small = resize(image, factor).copy()
    shape = (small.shape[1], small.shape[0])
    numbers = cv2.resize(labels.astype(np.float32), shape, interpolation=cv2.INTER_NEAREST).astype(np.int32)
    edge = find_boundaries(numbers, mode="inner")
    small[edge] = _COLORS[numbers[edge] % len(_COLORS)]
    return small
