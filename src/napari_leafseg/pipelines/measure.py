"""What *Measure* computes, in a worker: tables of leaves, plants and growth."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping
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
    key : str
        Names the image's pixels in a `MeasureCache`; what has none is measured each time.
    """

    name: str
    labels: Callable[[], np.ndarray]
    image: Callable[[], Any]
    prediction: Any = None
    verified: set[int] = field(default_factory=set)
    key: str = ""


class MeasureCache:
    """Remember what was measured, so that only images whose labels changed are measured again."""

    def __init__(self, most: int = 5000) -> None:
        self._most = most
        self._measured: dict[Hashable, Measurements] = {}
        self._confidence: dict[Hashable, tuple[weakref.ref[Any], dict[int, float]]] = {}

    def measure(
        self, frame: Frame, labels: np.ndarray, plants: Mapping[int, int] | None, names: Mapping[int, str]
    ) -> Measurements:
        """Measure a frame, or say what is known of it."""
        digest = hashlib.sha1(np.ascontiguousarray(labels).data).digest()
        key = frame.key, digest, labels.shape, tuple(sorted((plants or {}).items())), tuple(sorted(names.items()))
        known = self._measured.get(key)
        if known is None:
            raw = frame.image()
            image = None if raw is None else to_rgb8(np.asarray(raw), frame.name)
            known = measure(labels, image, None, plants, names, {}, frame.verified)
            self._keep(self._measured, key, known)
        leaves = known.leaves.copy()
        leaves["verified"] = [leaf in frame.verified for leaf in leaves["leaf"]]
        if frame.prediction is None:
            leaves = leaves.drop(columns="confidence")
        else:
            confidence = self._confidence_of(frame, labels, (frame.key, digest))
            leaves["confidence"] = [confidence.get(leaf, np.nan) for leaf in leaves["leaf"]]
        return Measurements(leaves, known.plants, known.midribs)

    def _confidence_of(self, frame: Frame, labels: np.ndarray, key: Hashable) -> dict[int, float]:
        from napari_leafseg.inference.confidence import leaf_confidence

        known = self._confidence.get(key)
        if known is not None and known[0]() is frame.prediction:
            return known[1]
        found = leaf_confidence(frame.prediction, labels)
        self._keep(self._confidence, key, (weakref.ref(frame.prediction), found))
        return found

    def _keep(self, kept: dict[Hashable, Any], key: Hashable, value: Any) -> None:
        if isinstance(key, tuple) and not key[0]:
            return
        while len(kept) >= self._most:
            del kept[next(iter(kept))]
        kept[key] = value


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
    frames: list[Frame], notes: ImageMeasurementSettings, px_per_mm: float | None, cache: MeasureCache | None = None
) -> Iterator[MeasureEvent]:
    """Measure frames; several are a series, whose leaves are followed."""
    from napari_leafseg.traits.tracking import TrackEdits, growth, track_leaves

    pixels: list[Measurements] = []
    metric: list[Measurements] = []
    for event in run_over(
        list(enumerate(frames)), partial(_measure, notes, cache or MeasureCache()), name=lambda item: item[1].name
    ):
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


def _measure(notes: ImageMeasurementSettings, cache: MeasureCache, item: tuple[int, Frame]) -> Measurements:
    number, frame = item
    return cache.measure(frame, frame.labels(), notes.plants.get(number), notes.names)


def _joined(tables: list[pd.DataFrame], frames: list[Frame]) -> pd.DataFrame:
    if len(tables) == 1:
        return tables[0]
    full = [table.copy() for table in tables]
    for number, (table, frame) in enumerate(zip(full, frames, strict=True)):
        table.insert(0, "frame", number)
        table.insert(1, "image", frame.name)
    filled = [table for table in full if len(table)] or full[:1]
    return pd.concat(filled, ignore_index=True)
