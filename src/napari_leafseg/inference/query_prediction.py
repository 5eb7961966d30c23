"""What a query-based model says of an image: soft masks that overlap, made into leaves for any values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.editing.grow import Growth
from napari_leafseg.inference.growth import MaskGrowth
from napari_leafseg.inference.label_shapes import refine_mask
from napari_leafseg.inference.prediction import Prediction, Region
from napari_leafseg.postprocessing.masks import SURE, SoftMask, matrix_nms, overlaps

_LEAST_VISIBLE = 0.35  # of a mask: what better masks leave less of is no leaf of its own


class MaskSet(NamedTuple):
    """Masks of a part of an image.

    Attributes
    ----------
    shape : tuple of int
        Height and width at the working scale.
    stride : int
        Working pixels per pixel of the masks.
    masks : list of SoftMask
    class_names : tuple of str
        Names of their classes, where the model knows them.
    """

    shape: tuple[int, int]
    stride: int
    masks: list[SoftMask]
    class_names: tuple[str, ...] = ()


class MaskRegion(Region):
    """A part of the image with its masks, best first.

    Parameters
    ----------
    rows, columns : slice
        Where it lies in the image, pixels.
    found : MaskSet
    """

    def __init__(self, rows: slice, columns: slice, found: MaskSet) -> None:
        super().__init__(rows, columns, found.shape)
        self.masks = sorted(found.masks, key=lambda mask: -mask.score)
        self.stride, self.class_names = found.stride, found.class_names
        self.scores = np.array([mask.score for mask in self.masks])
        self.iou = overlaps(self.masks)

    def chosen(self, values: dict[str, float]) -> list[tuple[float, SoftMask]]:
        """Return the masks that stay, with their scores after the overlap suppression (NMS), best first."""
        scores = matrix_nms(self.scores, self.iou, values["overlap"])
        kept = [number for number in np.argsort(-scores, kind="stable") if scores[number] >= values["score_threshold"]]
        return [(float(scores[number]), self.masks[number]) for number in kept]

    def growth(self, points: np.ndarray, away: np.ndarray) -> Growth | None:
        return MaskGrowth.at(self, points, away)

    def growth_in(self, box: tuple[slice, slice], angle: float) -> Growth | None:
        return MaskGrowth.in_box(self, box)

    def enlarge(self, mask: SoftMask) -> tuple[tuple[slice, slice], np.ndarray]:
        """Return a mask at the image's size: where it lies in the region, and uint8 values there."""
        zoom = np.array([self.stride / factor for factor in self.zoom])
        height, width = mask.values.shape
        start = np.floor(np.maximum(np.array([mask.top, mask.left]) - 1, 0) * zoom).astype(int)
        stop = np.ceil(np.array([mask.top + height + 1, mask.left + width + 1]) * zoom).astype(int)
        stop = np.minimum(stop, self.shape)
        # centers of pixels: full = (small + 0.5) * zoom - 0.5
        offset = (np.array([mask.top, mask.left]) + 0.5) * zoom - 0.5 - start
        matrix = np.array([[zoom[1], 0, offset[1]], [0, zoom[0], offset[0]]])
        size = (int(max(1, stop[1] - start[1])), int(max(1, stop[0] - start[0])))
        values = cv2.warpAffine(mask.values, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        place = (slice(int(start[0]), int(start[0]) + size[1]), slice(int(start[1]), int(start[1]) + size[0]))
        return place, values

    @property
    def grid(self) -> tuple[int, int]:
        return -(-self.working[0] // self.stride), -(-self.working[1] // self.stride)

    def labels(self, values: dict[str, float]) -> np.ndarray:
        chosen = self.chosen(values)
        return _draw(self.shape, [(score, *self.enlarge(mask)) for score, mask in chosen], values)

    def working_labels(self, values: dict[str, float]) -> np.ndarray:
        placed = []
        for score, mask in self.chosen(values):
            top, left, bottom, right = mask.box
            placed.append((score, (slice(top, bottom), slice(left, right)), mask.values))
        return _draw(self.grid, placed, values)

    @cached_property
    def _contest(self) -> np.ndarray:
        """How close the second best mask comes to the best at each working pixel, float32, 0 to 2."""
        best = np.zeros((2, *self.grid), np.float32)
        for mask in self.masks:
            top, left, bottom, right = mask.box
            here = best[:, top:bottom, left:right]
            value = mask.values[: here.shape[1], : here.shape[2]] * np.float32(mask.score / 255)
            here[1] = np.maximum(here[1], np.minimum(here[0], value))
            here[0] = np.maximum(here[0], value)
        contest = 1 - best[0] + best[1] / np.maximum(best[0], 1e-3)
        return cv2.resize(contest, self.working[::-1], interpolation=cv2.INTER_LINEAR)

    def ridges(self, window: tuple[slice, slice]) -> np.ndarray:
        return self._contest[window]

    def confidence(self, window: np.ndarray) -> dict[int, float]:
        labels = self.sample(window, self.grid).astype(np.int64)
        leaves = np.unique(labels)
        leaves = leaves[leaves > 0]
        if not len(leaves):
            return {}
        index = np.searchsorted(leaves, labels) + 1
        index[labels == 0] = 0
        sizes = np.bincount(index.ravel(), minlength=len(leaves) + 1)
        best = np.zeros(len(leaves) + 1)
        for mask in self.masks:
            top, left, bottom, right = mask.box
            under = index[top:bottom, left:right]
            sure = mask.values[: under.shape[0], : under.shape[1]] >= SURE
            common = np.bincount(under[sure], minlength=len(leaves) + 1)
            dice = 2 * common / np.maximum(sizes + np.count_nonzero(sure), 1)
            np.maximum(best, mask.score * dice, out=best)
        return {int(leaf): round(float(value), 3) for leaf, value in zip(leaves, best[1:], strict=True)}

    def arrays(self) -> dict[str, np.ndarray]:
        places = [(mask.top, mask.left, *mask.values.shape) for mask in self.masks]
        return {
            "grid": np.array([*self.working, self.stride], np.int64),
            "scores": self.scores.astype(np.float64),
            "places": np.array(places, np.int64).reshape(-1, 4),
            "values": np.concatenate([np.zeros(0, np.uint8), *(mask.values.ravel() for mask in self.masks)]),
        }

    @classmethod
    def of_arrays(cls, rows: slice, columns: slice, arrays: Mapping[str, np.ndarray]) -> MaskRegion:
        grid, scores, places, values = (arrays[name] for name in ("grid", "scores", "places", "values"))
        if grid.shape != (3,) or grid.min() < 1 or values.dtype != np.uint8 or places.shape != (len(scores), 4):
            raise ValueError("no masks of a query-based model")
        sizes = places[:, 2] * places[:, 3]
        if (places[:, 2:] < 1).any() or sizes.sum() != values.size or not np.isfinite(scores).all():
            raise ValueError(f"masks of {sizes.sum()} pixels in {values.size}")
        parts = np.split(values, np.cumsum(sizes)[:-1])
        masks = [
            SoftMask(float(score), int(top), int(left), part.reshape(int(height), int(width)))
            for score, (top, left, height, width), part in zip(scores, places, parts, strict=False)
        ]
        return cls(rows, columns, MaskSet((int(grid[0]), int(grid[1])), int(grid[2]), masks))


def _cut(values: dict[str, float]) -> int:
    """The mask threshold, of 255."""
    return max(1, round(255 * values["mask_threshold"]))


def _draw(
    shape: tuple[int, int],
    placed: Sequence[tuple[float, tuple[slice, slice], np.ndarray]],
    values: dict[str, float],
) -> np.ndarray:
    """Leaves of masks that overlap: a pixel goes to the one with the largest score times probability there."""
    result = np.zeros(shape, np.uint16)
    best = np.zeros(shape, np.float32)
    cut = _cut(values)
    sizes = [0]
    for number, (score, place, cover) in enumerate(placed, start=1):
        here, labels = best[place], result[place]
        cover = cover[: here.shape[0], : here.shape[1]]
        inside = cover >= cut
        sizes.append(int(np.count_nonzero(inside)))
        strength = cover * np.float32(score)
        better = inside & (strength > here)
        np.copyto(here, strength, where=better)
        labels[better] = number
    visible = np.bincount(result.ravel(), minlength=len(sizes))
    stays = (visible >= max(1.0, values["min_area"])) & (visible >= _LEAST_VISIBLE * np.array(sizes))
    stays[0] = False
    table = np.zeros(len(sizes), np.uint16)
    table[stays] = np.arange(1, np.count_nonzero(stays) + 1)
    return table[result]


class QueryPrediction(Prediction):
    """What a query-based model said of one image.

    Its tunables are ``score_threshold`` (0.05 to 0.95), ``mask_threshold`` (0.1 to 0.9), ``overlap`` (strength of the
    overlap suppression (NMS), 0 to 10) and ``min_area`` (smallest leaf, pixels of the image).
    """

    regions: Sequence[MaskRegion]
    region = MaskRegion
    kind = "condinst"  # all query-based models have the same parameters

    def confidence(self) -> np.ndarray:
        """Return the largest mask probability times score at each pixel, float32 (H, W), 0 to 1."""
        full = np.zeros(self.shape, np.float32)
        for region in self.regions:
            plane = full[region.rows, region.columns]
            for mask in region.masks:
                place, cover = region.enlarge(mask)
                part = plane[place]
                cover = cover[: part.shape[0], : part.shape[1]]
                np.maximum(part, cover * np.float32(mask.score / 255), out=part)
        return full

    def full_masks(self, **values: float) -> list[tuple[float, tuple[slice, slice], np.ndarray]]:
        """Return every leaf's full mask, also under other leaves: score, place in the image, bool mask; best first."""
        return [item[:3] for item in self._masks(values)]

    def _masks(self, values: dict[str, float]) -> list[tuple[float, tuple[slice, slice], np.ndarray, int]]:
        """Every leaf's full mask and its class; best first."""
        chosen = self.complete(values)
        cut = _cut(chosen)
        found = []
        for region in self.regions:
            for score, mask in region.chosen(chosen):
                place, cover = region.enlarge(mask)
                inside = refine_mask(self.family, cover >= cut, chosen)
                if np.count_nonzero(inside) < max(1.0, chosen["min_area"]):
                    continue
                rows = slice(place[0].start + region.rows.start, place[0].stop + region.rows.start)
                columns = slice(place[1].start + region.columns.start, place[1].stop + region.columns.start)
                found.append((score, (rows, columns), inside, mask.category))
        return sorted(found, key=lambda item: -item[0])

    def every_mask(self) -> list[tuple[float, tuple[slice, slice], np.ndarray]]:
        """Give all masks down to the lowest score, see `full_masks`."""
        return self.full_masks(score_threshold=0.05)

    def coco(self, **values: float) -> dict[str, Any]:
        """Return every leaf's full mask as a COCO data set of one image, with scores (RLE)."""
        from napari_leafseg.io.exchange.coco import masks_to_coco

        name = str(self.source.get("name", "image"))
        found = self._masks(values)
        names = self.regions[0].class_names if self.regions else ()
        kinds = [item[3] for item in found] if names else []
        shape = (self.shape[0], self.shape[1])
        return masks_to_coco(name, shape, [item[:3] for item in found], kinds, names)
