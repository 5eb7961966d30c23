"""One image of many: predict, measure, write; runs in any process of any machine."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_leafseg._files import write_atomically
from napari_leafseg._log import start_log
from napari_leafseg.errors import InputFileError
from napari_leafseg.inference.confidence import leaf_confidence
from napari_leafseg.inference.prediction import Prediction
from napari_leafseg.io import LABEL_SUFFIX, label_path, read_image, to_rgb8, write_labels
from napari_leafseg.io.exchange.coco import masks_path, save_coco
from napari_leafseg.io.resolution import read_resolution
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.find import Task
from napari_leafseg.pipelines.batch.marker import file_state, write_marker
from napari_leafseg.pipelines.predictors import get_predictor, predict_steps
from napari_leafseg.pipelines.report.views import write_views
from napari_leafseg.pipelines.step import Step
from napari_leafseg.project.labels_file import count_leaves
from napari_leafseg.traits import Measurements, measure


def labels_folder(output: Path, settings: BatchSettings) -> Path:
    """Tell where the labels are written."""
    return output / "labels" if settings.measure else output


def process_image(
    task: Task, output: str, settings: BatchSettings, digest: str
) -> Generator[Step, None, dict[str, Any]]:
    """Predict, measure and write one image, with progress.

    Returns
    -------
    dict
        What the marker says: ``name``, ``path``, ``count``, ``scale``, ``notes``, ``seconds``; where it is measured,
        ``plants``, ``area`` and ``at_border``, the leaves that the image's border cuts.

    Raises
    ------
    UserError
        When the image cannot be done.
    """
    start_log("batch")
    began = time.perf_counter()
    place, path = Path(output), Path(task.path)
    state = file_state(path) if path.exists() else []
    image = read_image(path, settings.reading)
    mask = None if settings.plant_masks is None else plant_mask(settings.plant_masks, path)
    predictor = get_predictor(settings.model, settings.device, settings.tta, settings.threads, settings.precision)
    source = {"name": path.name, "path": str(path.resolve()), "sha256": image.sha256, **image.options}
    prediction = yield from predict_steps(predictor, image.array, settings.scale, str(path), source, mask)
    labels = prediction.labels(**settings.values)
    planes, series = prediction.planes(labels), len(prediction.shape) == 3
    images = image.array if series else image.array[None]
    confidence = [leaf_confidence(frame, plane) for frame, plane in zip(prediction.frames, planes, strict=True)]
    result = {"name": task.name, "path": task.path, "count": sum(map(len, confidence))}
    result |= {"scale": prediction.scale, "notes": [*image.notes, *prediction.notes]}
    record = {**prediction.record(**settings.values), "image": source, "batch": settings.model_dump()}
    record |= {"count": result["count"], "confidence": confidence if series else confidence[0]}
    if settings.measure:
        record["px_per_mm"] = result["px_per_mm"] = px_per_mm = _scale_of(path, settings)
        measured = []
        for array, plane, sure in zip(images, planes, confidence, strict=True):
            rgb = to_rgb8(np.asarray(array), str(path))  # one of a series at a time
            measured.append(measure(plane, rgb, px_per_mm, confidence=sure))
        result |= _write_measured(place, task, settings, measured)
        result["at_border"] = count_leaves(labels)[1]
        write_views(place, task.name, rgb, planes[-1])
    target = label_path(labels_folder(place, settings), task.name)
    write_labels(target, labels, record)
    if settings.full_masks:
        write_masks(target, prediction, settings.values)
    result |= {"digest": digest, "file": state, "seconds": round(time.perf_counter() - began, 3)}
    if settings.measure:
        write_marker(place, task.name, result)
    return result


def plant_mask(folder: str | Path, path: Path) -> np.ndarray:
    """Read the plant mask of an image.

    Raises
    ------
    InputFileError
        When there is none.
    """
    folder = Path(folder)
    names = [f"{stem}{suffix}.png" for stem in (path.stem, path.stem.removesuffix("_rgb")) for suffix in ("_fg", "")]
    found = next((folder / name for name in names if (folder / name).exists() and folder / name != path), None)
    if found is None:
        raise InputFileError(f"{folder} holds no plant mask for {path.name} ({names[0]}).")
    return read_image(found).array


def write_masks(labels: Path, prediction: Prediction, values: dict[str, float]) -> Path:
    """Write the overlapping masks of a prediction, or of each frame of a series; returns the (first) file."""
    stem = labels.stem.removesuffix(LABEL_SUFFIX)
    series, targets = len(prediction.shape) == 3, []
    for number, frame in enumerate(prediction.frames):
        targets.append(masks_path(label_path(labels.parent, f"{stem}_{number:03d}" if series else stem)))
        save_coco(targets[-1], frame.coco(**values))
    return targets[0]


def _scale_of(path: Path, settings: BatchSettings) -> float | None:
    """Pixels a millimeter of an image."""
    if settings.px_per_mm is not None or not settings.scale_from_file:
        return settings.px_per_mm
    found = read_resolution(path)
    if found is None:
        raise InputFileError(f"{path} does not state its scale. Give it with --px-per-mm.")
    return found


def _write_measured(place: Path, task: Task, settings: BatchSettings, measured: list[Measurements]) -> dict[str, Any]:
    """Tables; returns ``plants`` and ``area``."""
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
    plants = [item.plants for item in measured if len(item.plants)]
    area = "area_mm2" if settings.metric else "area_px2"
    return {
        "plants": int(sum(len(table) for table in plants)),
        "area": float(sum(table[area].sum() for table in plants)),
    }
