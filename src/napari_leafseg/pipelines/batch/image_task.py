"""One image of many: predict it or take its corrections, measure, write; runs in any process of any machine."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Generator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from napari_leafseg._files import write_atomically
from napari_leafseg._log import start_log
from napari_leafseg.errors import InputFileError
from napari_leafseg.experiment.positions import Setup
from napari_leafseg.inference.confidence import leaf_confidence
from napari_leafseg.inference.prediction import Prediction
from napari_leafseg.io import LABEL_SUFFIX, label_path, read_image, to_rgb8, write_labels
from napari_leafseg.io.exchange.coco import masks_path, save_coco
from napari_leafseg.io.resolution import read_resolution
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.decisions import decided_of
from napari_leafseg.pipelines.batch.find import Task
from napari_leafseg.pipelines.batch.marker import file_state, write_marker
from napari_leafseg.pipelines.batch.setups import card_colors, marker_scale, setup_of
from napari_leafseg.pipelines.decided import plant_overrides
from napari_leafseg.pipelines.predictors import get_predictor, predict_steps
from napari_leafseg.pipelines.report.views import write_views
from napari_leafseg.pipelines.step import Step
from napari_leafseg.project.corrections import Correction, read_correction
from napari_leafseg.project.labels_file import count_leaves
from napari_leafseg.traits import Measurements, area_column, measure
from napari_leafseg.traits.color import ColorClasses
from napari_leafseg.traits.extra import all_traits


def labels_folder(output: Path, settings: BatchSettings) -> Path:
    """Tell where the labels are written."""
    return output / "labels" if settings.measure else output


def process_image(
    task: Task, output: str, settings: BatchSettings, digest: str
) -> Generator[Step, None, dict[str, Any]]:
    """Predict, measure and write one image, with progress; one that people corrected is not predicted anew.

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
    source = {"name": path.name, "path": str(path.resolve()), "sha256": image.sha256, **image.options}
    found = (yield from _predicted(task, settings, image.array, source)) if task.correction is None else (
        _corrected(task.correction, image.array, source)
    )  # fmt: skip
    labels, series = found.labels, found.labels.ndim == 3
    planes, images = labels if series else labels[None], image.array if series else image.array[None]
    result = {"name": task.name, "path": task.path, "count": found.leaves, "scale": found.scale}
    result["notes"] = [*image.notes, *found.notes]
    record = {**found.record, "image": source, "batch": settings.model_dump(), "count": result["count"]}
    record["confidence"] = found.confidence if series else found.confidence[0]
    if settings.measure:
        setup, metric = setup_of(task)
        px_per_mm, said_by = _scale_of(path, settings, setup, metric, np.asarray(images[0]), planes[0])
        record["px_per_mm"] = result["px_per_mm"] = px_per_mm
        record |= {name: said for name, said in json.loads(task.setup or "{}").items() if name in ("tray", "color")}
        if said_by:
            record["scale_source"] = said_by
            result["notes"] = [*image.notes, *found.notes, f"Scale from {said_by}."]
        moved = {} if series else _decided(task, planes[0], setup, record, result)
        measured, rgb = _measured(task, settings, found, images, setup, px_per_mm, moved)
        result |= _write_measured(place, task, measured)
        result["at_border"] = count_leaves(labels)[1]
        write_views(place, task.name, rgb, planes[-1])
    target = label_path(labels_folder(place, settings), task.name)
    write_labels(target, labels, record)
    if settings.full_masks and found.prediction is not None:
        write_masks(target, found.prediction, settings.values)
    result |= {"digest": task.digest(digest), "file": state, "seconds": round(time.perf_counter() - began, 3)}
    if task.correction is not None:
        result["correction"] = task.correction.digest
        result["corrected"] = "reviewed" if task.correction.reviewed else "corrected"
    if settings.measure:
        write_marker(place, task.name, result)
    return result


class _Found(NamedTuple):
    """The labels of an image, and how they came about."""

    labels: np.ndarray
    leaves: int
    record: dict[str, Any]
    confidence: list[dict[int, float]]
    scale: float
    notes: Sequence[str] = ()
    verified: Collection[tuple[int, int]] = ()
    prediction: Prediction | None = None


def _predicted(
    task: Task, settings: BatchSettings, image: np.ndarray, source: dict[str, Any]
) -> Generator[Step, None, _Found]:
    """What the model finds."""
    mask = None if settings.plant_masks is None else plant_mask(settings.plant_masks, Path(task.path))
    predictor = get_predictor(settings.model, settings.device, settings.tta, settings.threads, settings.precision)
    prediction = yield from predict_steps(predictor, image, settings.scale, task.path, source, mask)
    labels = prediction.labels(**settings.values)
    planes = prediction.planes(labels)
    sure = [leaf_confidence(frame, plane) for frame, plane in zip(prediction.frames, planes, strict=True)]
    record, count = prediction.record(**settings.values), sum(map(len, sure))
    return _Found(labels, count, record, sure, prediction.scale, prediction.notes, prediction=prediction)


def _corrected(correction: Correction, image: np.ndarray, source: dict[str, Any]) -> _Found:
    """What people made of it; a model's confidence is told of the leaves that nobody verified."""
    if correction.sha256 not in ("", source["sha256"]):
        raise InputFileError(
            f"{source['path']} is another image than the one whose leaves were corrected in {correction.folder}. Put "
            "that one back, or open the project and see whether the leaves are right."
        )
    shape = image.shape[:3] if image.ndim == 4 else image.shape[:2]
    labels, verified, record = read_correction(correction, shape)
    told = record.pop("confidence", None) or {}
    frames = told if isinstance(told, list) else [told]
    sure, count = [], 0
    for number, plane in enumerate(labels.reshape(-1, *labels.shape[-2:])):
        leaves = {int(leaf) for leaf in np.unique(plane) if leaf}
        count += len(leaves)
        known = (frames[number] if number < len(frames) else None) or {}
        open_to_doubt = leaves - {leaf for frame, leaf in verified if frame == number}
        sure.append({int(leaf): float(value) for leaf, value in known.items() if int(leaf) in open_to_doubt})
    record["corrections"] = {
        "project": correction.folder, "id": correction.id, "reviewed": correction.reviewed,
        "digest": correction.digest, "verified": sorted(verified),
    }  # fmt: skip
    scale = record.get("scale") or 1.0
    if isinstance(scale, list):  # of a series: of the frame in the middle
        scale = scale[len(scale) // 2]
    return _Found(labels, count, record, sure, float(scale), (), verified)


def _measured(
    task: Task, settings: BatchSettings, found: _Found, images: np.ndarray, setup: Setup, px_per_mm: float | None,
    moved: dict[int, int],
) -> tuple[list[Measurements], np.ndarray]:  # fmt: skip
    """Measurements of each frame, and the last frame's colors."""
    extra, measured = list(all_traits(settings.traits).values()), []
    classes = None if settings.color_limits is None else ColorClasses.of_limits(*settings.color_limits)
    planes = found.labels.reshape(-1, *found.labels.shape[-2:])
    for number, (plane, sure) in enumerate(zip(planes, found.confidence, strict=True)):
        image = to_rgb8(np.asarray(images[number]), task.path)  # one at a time
        rgb = _colors_of(image, Path(task.path), settings, setup)
        item = measure(plane, rgb, px_per_mm, moved, None, sure, None, None, extra, setup.tray, classes)
        if task.correction is not None:
            item.leaves["verified"] = [(number, leaf) in found.verified for leaf in item.leaves["leaf"]]
        measured.append(item)
    return measured, rgb


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


def _scale_of(
    path: Path, settings: BatchSettings, setup: Setup, metric: bool, image: np.ndarray, labels: np.ndarray
) -> tuple[float | None, str]:
    """Pixels a millimeter of an image, and who says it: typed for it alone, of its own markers, of its camera position,
    of all images, of the file.

    Nothing is said of the source where it is the same for all.
    """
    if setup.typed is not None:
        return setup.typed, "a person, who typed it for this image"
    if settings.marker_mm is not None and settings.px_per_mm is None:
        own = marker_scale(to_rgb8(image, str(path)), labels, settings.marker_mm, path)
        if own is not None:
            return own.px_per_mm, f"{own.source}. {own.note}".rstrip(". ")
    found = setup.px_per_mm(labels.shape)
    if found is not None:
        return found, "the width of the tray" if setup.scale is None else setup.scale.source
    if settings.px_per_mm is not None:
        return settings.px_per_mm, ""
    if settings.scale_from_file:
        found = read_resolution(path)
        if found is None:
            raise InputFileError(f"{path} does not state its scale. Give it with --px-per-mm.")
        return found, ""
    if settings.marker_mm is not None:
        raise InputFileError(
            f"{path} shows no marker (ArUco or AprilTag, seen whole, with a white edge), nor do the first images of "
            "its camera position. Give its scale with --px-per-mm."
        )
    if metric:
        raise InputFileError(
            f"No scale is known of {path}, while others have one. Confirm one for its camera position in Measure, or "
            "give it with --px-per-mm."
        )
    return None, ""


def _colors_of(image: np.ndarray, path: Path, settings: BatchSettings, setup: Setup) -> np.ndarray:
    """An image with the colors that its own card says, or that of its camera position."""
    own = card_colors(image, path) if settings.color_card else None
    color = own or setup.color
    if settings.color_card and color is None:
        raise InputFileError(
            f"{path} shows no color card of 24 patches, nor do the first images of its camera position. Leave "
            "--color-card out, or take its images with the card."
        )
    return image if color is None else color.apply(image)


def _decided(
    task: Task, labels: np.ndarray, setup: Setup, record: dict[str, Any], result: dict[str, Any]
) -> dict[int, int]:
    """To which plants people moved leaves; what was decided is told in the record, what does not fit in the result."""
    decided = decided_of(task)
    if decided is None:
        return {}
    moved, unfit = plant_overrides(decided, labels, setup.tray, task.name)
    record["decided"] = json.loads(task.decided)
    result |= {"unfit": unfit, "notes": [*result["notes"], *unfit]}
    return moved


def _write_measured(place: Path, task: Task, measured: list[Measurements]) -> dict[str, Any]:
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
    return {
        "plants": int(sum((table["leaves"] > 0).sum() for table in plants)),
        "area": float(sum(table[area_column(table)].sum() for table in plants)),
    }
