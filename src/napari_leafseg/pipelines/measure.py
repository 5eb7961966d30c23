"""What *Measure* computes, in a worker: tables of leaves, plants and growth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from napari_leafseg.io import to_rgb8
from napari_leafseg.pipelines.engine import run_over
from napari_leafseg.project.measurement_settings import ImageMeasurementSettings
from napari_leafseg.traits import Measurements, in_millimeters, measure


@dataclass
class Frame:
    """An image to be measured.

    Attributes
    ----------
    name : str
    labels, image : callable
        Read (H, W) labels and the (H, W) or (H, W, C) image, or None.
    prediction : Prediction or None
        For the leaves' confidence.
    verified : set of int
    """

    name: str
    labels: Callable[[], np.ndarray]
    image: Callable[[], Any]
    prediction: Any = None
    verified: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Measured:
    """Tables of an image or series.

    Attributes
    ----------
    leaves, plants : pandas.DataFrame
        With a column ``frame`` (and ``image``) for a series.
    growth : pandas.DataFrame
        Empty for a single image.
    tracks : numpy.ndarray
        (N, 4) track, frame, y, x, as napari's Tracks layer has them.
    series : bool
    """

    leaves: pd.DataFrame
    plants: pd.DataFrame
    growth: pd.DataFrame
    tracks: np.ndarray
    series: bool


@dataclass(frozen=True)
class MeasureEvent:
    """Progress; the last event holds the tables."""

    done: int
    total: int
    message: str
    measured: Measured | None = None


def measure_job(
    frames: list[Frame], notes: ImageMeasurementSettings, px_per_mm: float | None
) -> Iterator[MeasureEvent]:
    """Measure frames; several are a series, whose leaves are followed."""
    from napari_leafseg.traits.tracking import TrackEdits, growth, track_leaves

    pixels: list[Measurements] = []
    metric: list[Measurements] = []
    for event in run_over(list(enumerate(frames)), partial(_measure, notes), name=lambda item: item[1].name):
        if event.result is not None:
            pixels.append(event.result)
            leaves, plants = (in_millimeters(table, px_per_mm) for table in (pixels[-1].leaves, pixels[-1].plants))
            metric.append(Measurements(leaves, plants, pixels[-1].midribs))
        yield MeasureEvent(int(event.done), len(frames) + 1, f"Measuring {event.message}")
    series = len(frames) > 1
    tracks = track_leaves(pixels, TrackEdits(list(notes.links), list(notes.cuts))) if series else None
    leaves, plants = (_joined([getattr(item, kind) for item in metric], frames) for kind in ("leaves", "plants"))
    curves, points = pd.DataFrame(), np.zeros((0, 4))
    if tracks is not None and len(tracks):
        keys = tracks.set_index(["frame", "leaf"])["track"]
        leaves.insert(2, "track", [int(keys[key]) for key in zip(leaves["frame"], leaves["leaf"], strict=True)])
        curves = growth(tracks, metric)
        points = leaves[["track", "frame", "centroid_y_px", "centroid_x_px"]].to_numpy(float)
        points = points[np.lexsort((points[:, 1], points[:, 0]))]
    result = Measured(leaves, plants, curves, points, series)
    yield MeasureEvent(len(frames) + 1, len(frames) + 1, "Done", result)


def _measure(notes: ImageMeasurementSettings, item: tuple[int, Frame]) -> Measurements:
    from napari_leafseg.inference.confidence import leaf_confidence

    number, frame = item
    labels, raw = frame.labels(), frame.image()
    image = None if raw is None else to_rgb8(np.asarray(raw), frame.name)
    confidence = None if frame.prediction is None else leaf_confidence(frame.prediction, labels)
    return measure(labels, image, None, notes.plants.get(number), notes.names, confidence, frame.verified)


def _joined(tables: list[pd.DataFrame], frames: list[Frame]) -> pd.DataFrame:
    if len(tables) == 1:
        return tables[0]
    full = [table.copy() for table in tables]
    for number, (table, frame) in enumerate(zip(full, frames, strict=True)):
        table.insert(0, "frame", number)
        table.insert(1, "image", frame.name)
    filled = [table for table in full if len(table)] or full[:1]
    return pd.concat(filled, ignore_index=True)
