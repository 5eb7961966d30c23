"""What the distance + embedding model says of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.editing.grow import Growth
from napari_leafseg.inference.calibration import calibrate
from napari_leafseg.inference.dense_output import DISTANCE_ONE, DenseOutput
from napari_leafseg.inference.evidence import leaf_evidence
from napari_leafseg.inference.growth import EmbeddingGrowth
from napari_leafseg.inference.label_shapes import enlarge_labels
from napari_leafseg.inference.prediction import ModelInfo, Prediction, Region
from napari_leafseg.postprocessing import AngularGrouping, PublishedGrouping, WatershedGrouping

FOREGROUND = 128
BEST_SEED, PUBLISHED, WATERSHED = range(3)  # values of the parameter “grouping”
Grouping = AngularGrouping | PublishedGrouping | WatershedGrouping
_WIDE = np.cos(np.deg2rad(75))


class PixelRegion(Region):
    """A part of the image with what the network said of each pixel.

    Parameters
    ----------
    rows, columns : slice
        Where it lies in the image, pixels.
    maps : DenseOutput
        At the working scale.
    foreground : numpy.ndarray, optional
        Where leaves may be, see `group`; where the maps say so when None.
    confined : bool
        Whether the foreground is more than a threshold of the distance map, so that the published grouping, which knows
        none, keeps to it as well.
    """

    def __init__(
        self,
        rows: slice,
        columns: slice,
        maps: DenseOutput,
        foreground: np.ndarray | None = None,
        confined: bool = True,
    ) -> None:
        height, width = maps.distance.shape
        super().__init__(rows, columns, (height, width))
        self.maps, self.confined = maps, confined
        self._lock = Lock()
        self.model = ModelInfo("", "")
        self.group(maps.foreground >= FOREGROUND if foreground is None else foreground)

    def group(self, foreground: np.ndarray) -> None:
        """Look for leaves in this foreground, bool (H, W) at the working scale."""
        self.grouped = foreground
        self._groupings: dict[int, Grouping] = {}

    def grouping_of(self, values: Mapping[str, float]) -> Grouping:
        """Return the grouping that the values name; each is made when it is first asked for."""
        chosen = int(values.get("grouping", BEST_SEED))
        with self._lock:
            if chosen not in self._groupings:
                self._groupings[chosen] = self._grouping(chosen)
            return self._groupings[chosen]

    def _grouping(self, chosen: int) -> Grouping:
        distance, embedding = self.maps.distance, self.maps.embedding
        if chosen == PUBLISHED:
            return PublishedGrouping(distance, embedding, self.grouped if self.confined else None)
        if chosen == WATERSHED:
            return WatershedGrouping(distance, self.grouped, embedding)
        return AngularGrouping(distance, self.grouped, embedding)

    def growth(self, points: np.ndarray, away: np.ndarray) -> Growth | None:
        y, x = self.to_working(points[:1])[0]
        return EmbeddingGrowth(self, points, away) if self.maps.foreground[y, x] >= FOREGROUND else None

    def growth_in(self, box: tuple[slice, slice], angle: float) -> Growth | None:
        return EmbeddingGrowth.in_box(self, box, angle)

    def foreground(self, window: tuple[slice, slice]) -> np.ndarray:
        """Tell whether each working pixel of a window belongs to a leaf, bool."""
        return self.maps.foreground[window] >= FOREGROUND

    def working_labels(self, values: dict[str, float]) -> np.ndarray:
        zoom = self.zoom
        smallest = values["min_area"] * zoom[0] * zoom[1]
        found = self.grouping_of(values).labels(values["seed_threshold"], values["angle"], smallest)
        return self._sure(found, values)

    def _sure(self, labels: np.ndarray, values: Mapping[str, float]) -> np.ndarray:
        """Leave out leaves, 1 … N, of less than the least confidence; the published grouping's are all kept."""
        least = _least(values)
        if not least or not labels.any():
            return labels
        confidence = self._chance(labels)
        numbers = np.zeros(len(confidence) + 1, labels.dtype)
        kept = 1 + np.flatnonzero(confidence >= least)
        numbers[kept] = np.arange(1, len(kept) + 1)
        sure: np.ndarray = numbers[labels]
        return sure

    def seeds(self, values: Mapping[str, float]) -> np.ndarray:
        """Return the seeds of the leaves, (N, 2) of whole working pixels, without those of too little confidence."""
        grouping = self.grouping_of(values)
        points = grouping.seeds(values["seed_threshold"], values["angle"]).points
        if not _least(values) or not len(points):
            return points
        labels = grouping.labels(values["seed_threshold"], values["angle"], 0)
        dropped = (labels > 0) & (self._sure(labels, values) == 0)
        return points[~dropped[tuple(points.T)]]

    def labels_of_seeds(self, seeds: np.ndarray, values: dict[str, float]) -> np.ndarray:
        """Return leaves at the working scale that grow from those seeds, (N, 2) in the image, that lie here."""
        corner, end = (self.rows.start, self.columns.start), (self.rows.stop, self.columns.stop)
        inside = ((seeds >= np.array(corner) - 0.5) & (seeds < np.array(end) - 0.5)).all(1)
        smallest = values["min_area"] * self.zoom[0] * self.zoom[1]
        grouping = self.grouping_of(values)
        if isinstance(grouping, PublishedGrouping):  # which knows no seeds but its own
            grouping = self.grouping_of({"grouping": BEST_SEED})
        assert not isinstance(grouping, PublishedGrouping)
        return grouping.labels_of(self.to_working(seeds[inside]), values["angle"], smallest)

    def ridges(self, window: tuple[slice, slice]) -> np.ndarray:
        depth = 1 - np.minimum(self.maps.distance[window].astype(np.float32) / DISTANCE_ONE, 1)
        vectors = self.maps.embedding[(slice(None), *window)].astype(np.float32) / 127
        turn = np.zeros(depth.shape, np.float32)
        turn[1:] = np.maximum(turn[1:], 1 - (vectors[:, 1:] * vectors[:, :-1]).sum(0))
        turn[:, 1:] = np.maximum(turn[:, 1:], 1 - (vectors[:, :, 1:] * vectors[:, :, :-1]).sum(0))
        return depth + np.minimum(2 * turn, 1)

    def confidence(self, window: np.ndarray) -> dict[int, float]:
        labels = self.sample(window).astype(np.int64)
        leaves = _numbered(labels)
        return {int(leaf): round(float(value), 3) for leaf, value in zip(leaves, self._raw(labels), strict=True)}

    def chance(self, window: np.ndarray) -> dict[int, float]:
        if self.model.confidence is None:
            return {}
        labels = self.sample(window).astype(np.int64)
        leaves = _numbered(labels)
        return {int(leaf): round(float(value), 3) for leaf, value in zip(leaves, self._chance(labels), strict=True)}

    def _chance(self, labels: np.ndarray) -> np.ndarray:
        """Of leaves 1 … N at the working scale, the chance by what the card weighs, else by the raw confidence."""
        if self.model.confidence is None:
            return np.array([calibrate(float(value), self.model.calibration) for value in self._raw(labels)])
        evidence = leaf_evidence(labels, self.maps.distance, self.maps.foreground)
        return self.model.confidence.chance(evidence)

    def _raw(self, labels: np.ndarray) -> np.ndarray:
        """Of leaves 1 … N at the working scale, the raw confidence, float (N,)."""
        inside = labels > 0
        index = labels[inside].astype(np.int64) - 1
        sizes = np.bincount(index)
        count = len(sizes)
        distance = np.minimum(cv2.GaussianBlur(self.maps.distance, (0, 0), 1.0).astype(float) / DISTANCE_ONE, 1)
        peak = np.zeros(count)
        np.maximum.at(peak, index, distance[inside])
        vectors = self.maps.embedding[:, inside].astype(np.float32) / 127
        sums = np.stack([np.bincount(index, plane, count) for plane in vectors])
        means = sums / np.maximum(np.linalg.norm(sums, axis=0), 1e-6)
        cosine = np.einsum("ej,ej->j", vectors, means[:, index])
        tight = np.bincount(index, np.clip((cosine - _WIDE) / (1 - _WIDE), 0, 1), count) / sizes
        contact = _contacts(labels)[inside]
        passes = np.minimum(1, distance[inside] / np.maximum(peak[index], 1e-6))
        touching = np.bincount(index, contact, count)
        level = np.bincount(index, contact * passes, count) / np.maximum(touching, 1)
        confidence: np.ndarray = peak * tight * (1 - 0.7 * level)
        return confidence

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            **self.maps._asdict(),
            "grouped": np.packbits(self.grouped),
            "confined": np.array([self.confined]),
        }

    @classmethod
    def of_arrays(cls, rows: slice, columns: slice, arrays: Mapping[str, np.ndarray]) -> PixelRegion:
        maps = DenseOutput(*(arrays[name] for name in DenseOutput._fields))
        shape = maps.distance.shape
        if [item.dtype for item in maps] != [np.uint8, np.uint8, np.int8] or len(shape) != 2 or 0 in shape:
            raise ValueError("no maps of a distance + embedding model")
        if maps.foreground.shape != shape or maps.embedding.ndim != 3 or maps.embedding.shape[1:] != shape:
            raise ValueError(f"maps of different sizes: {[item.shape for item in maps]}")
        count = shape[0] * shape[1]
        bits = np.unpackbits(arrays["grouped"], count=count)
        return cls(rows, columns, maps, bits.reshape(shape).astype(bool), bool(arrays["confined"].all()))


class LeafPrediction(Prediction):
    """What the distance + embedding model said of one image.

    Its tunables are ``seed_threshold`` (0.1 to 0.95, share of the distance map's maximum), ``angle`` (5 to 75 degrees),
    ``grouping`` (0 = best-seed, 1 = published, 2 = watershed), ``min_confidence`` (0 to 0.95) and ``min_area``
    (smallest leaf, pixels of the image).
    """

    regions: Sequence[PixelRegion]
    region = PixelRegion
    kind = "distance_embedding"

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        for region in self.regions:
            region.model = self.model  # which weighs what the maps tell of a leaf

    def seeds(
        self,
        seed_threshold: float | None = None,
        grouping: float | None = None,
        angle: float | None = None,
        min_confidence: float | None = None,
    ) -> np.ndarray:
        """Return seeds in the image: float (N, 2), y and x in pixels."""
        given = {
            "seed_threshold": seed_threshold, "grouping": grouping, "angle": angle, "min_confidence": min_confidence,
        }  # fmt: skip
        values = self.complete({name: value for name, value in given.items() if value is not None})
        found = [np.zeros((0, 2))]
        for region in self.regions:
            points = region.seeds(values)
            found.append((points + 0.5) / region.zoom - 0.5 + (region.rows.start, region.columns.start))
        return np.concatenate(found)

    def labels_of_seeds(self, seeds: np.ndarray, **values: float) -> np.ndarray:
        """Derive leaves of given seeds, (N, 2) of (y, x) in the image; the published grouping takes none: best-seed."""
        chosen = self.complete(values)
        return self.collect(chosen, lambda region: enlarge_labels(region.labels_of_seeds(seeds, chosen), region.shape))

    def distance_map(self) -> np.ndarray:
        """Return the distance map at the image's size, float32 (H, W), about 0 to 1."""
        full = np.zeros(self.shape, np.float32)
        for region in self.regions:
            height, width = region.shape
            enlarged = cv2.resize(region.maps.distance, (width, height), interpolation=cv2.INTER_LINEAR)
            full[region.rows, region.columns] = enlarged.astype(np.float32) / DISTANCE_ONE
        return full

    def embedding_rgb(self) -> np.ndarray:
        """Return the embedding as color: three principal components of leaf pixels, uint8 (H, W, 3), black outside."""
        full = np.zeros((*self.shape, 3), np.uint8)
        for region in self.regions:
            height, width = region.shape
            small = _principal_colors(region.maps)
            full[region.rows, region.columns] = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
        return full


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Number leaves from 1 on without gaps, in place; returns the numbers that they had."""
    inside = labels > 0
    leaves, index = np.unique(labels[inside], return_inverse=True)
    labels[inside] = index + 1
    return leaves


def _least(values: Mapping[str, float]) -> float:
    """The least confidence of a leaf; the published grouping knows none."""
    return 0.0 if int(values.get("grouping", BEST_SEED)) == PUBLISHED else values.get("min_confidence", 0.0)


def _principal_colors(maps: DenseOutput) -> np.ndarray:
    inside = maps.foreground >= FOREGROUND
    colors = np.zeros((*inside.shape, 3), np.uint8)
    vectors = maps.embedding[:, inside].astype(np.float32).T
    if len(vectors) < 2:
        return colors
    sample = vectors[:: max(1, len(vectors) // 20_000)]
    mean = sample.mean(0)
    _, axes = np.linalg.eigh((sample - mean).T @ (sample - mean))
    projected = (vectors - mean) @ axes[:, : -1 - min(3, axes.shape[1]) : -1]
    low, high = np.percentile(projected, [1, 99], axis=0)
    scaled = np.clip((projected - low) / np.maximum(high - low, 1e-6), 0, 1) * 215 + 40
    colors[inside, : scaled.shape[1]] = scaled
    return colors


def _contacts(labels: np.ndarray) -> np.ndarray:
    """Pixels of a leaf next to another leaf."""
    found = np.zeros(labels.shape, bool)
    for first, second in (
        ((slice(1, None),), (slice(None, -1),)),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        a, b = labels[first], labels[second]
        meet = (a != b) & (a > 0) & (b > 0)
        found[first] |= meet
        found[second] |= meet
    return found
