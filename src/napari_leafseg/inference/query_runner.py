"""Running a query-based model over images of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from napari_leafseg._opencv import cv2
from napari_leafseg.inference.device import inference_context
from napari_leafseg.inference.query_prediction import MaskRegion, MaskSet, QueryPrediction
from napari_leafseg.inference.tiling import VIEWS, TiledNetwork, tile_pairs, turned, turned_back
from napari_leafseg.models.normalize import standardize
from napari_leafseg.models.query.base import QueryModel
from napari_leafseg.postprocessing.masks import SoftMask, cut_mask

_TILE = 512


class QueryRunner(TiledNetwork):
    """A query-based model on a device, with the fallbacks for too little memory.

    Each tile keeps the leaves whose middle lies in its inner part, so that none is found twice and none is cut that
    fits into the overlap. Views of flipped and turned images, and at other sizes, add their masks; the suppression of
    doubles chooses the best.
    """

    network: QueryModel
    prediction = QueryPrediction
    largest = _TILE

    def run_tiles(
        self, image: np.ndarray, statistics: tuple[float, float], embed: bool
    ) -> Iterator[tuple[int, int, object]]:
        if not embed:
            yield from super().run_tiles(image, statistics, embed)
            return
        height, width = image.shape[:2]
        stride = self.network.mask_stride
        masks: list[SoftMask] = []
        tiles = tile_pairs(height, width, self.tile)
        for done, ((seen_y, kept_y), (seen_x, kept_x)) in enumerate(tiles, start=1):
            part = standardize(image[seen_y, seen_x], statistics)
            for mask in self._masks(part):
                top, left = mask.top + seen_y.start // stride, mask.left + seen_x.start // stride
                y, x = _middle(mask.values)
                y, x = (top + y) * stride, (left + x) * stride
                if kept_y.start <= y < kept_y.stop and kept_x.start <= x < kept_x.stop:
                    masks.append(replace(mask, top=top, left=left))
            yield done, len(tiles), MaskSet((height, width), stride, masks) if done == len(tiles) else None

    @torch.inference_mode()
    def _masks(self, image: np.ndarray) -> list[SoftMask]:
        """Masks of one forward pass for each view."""
        height, width = image.shape[:2]
        batch = self._batch(image)
        stride = self.network.mask_stride
        size = -(-height // stride), -(-width // stride)
        found = []
        for view in VIEWS[: self.views]:
            with inference_context(self.device, self.precision, self.plain):
                seen = turned(batch, view).contiguous(memory_format=torch.channels_last)
                (answer,) = self.network.candidates(seen)
            masks = turned_back(answer.masks, view)
            planes = (masks[:, : size[0], : size[1]] * 255).round().byte().cpu().numpy()
            kinds = [0] * len(planes) if answer.category is None else answer.category.cpu().tolist()
            for score, plane, kind in zip(answer.scores.cpu().tolist(), planes, kinds, strict=True):
                mask = cut_mask(score, plane, category=kind)
                if mask is not None:
                    found.append(mask)
        return found

    def build_region(
        self, rows: slice, columns: slice, seen: Sequence[MaskSet], given: np.ndarray | None
    ) -> MaskRegion:
        """Return the region of what was seen at one or several sizes."""
        first = seen[0]
        masks = list(first.masks)
        for other in seen[1:]:
            masks += [_rescaled(mask, first.shape[0] / other.shape[0]) for mask in other.masks]
        names = self.network.config.class_names
        return MaskRegion(rows, columns, MaskSet(first.shape, first.stride, masks, names))


def _middle(values: np.ndarray) -> tuple[float, float]:
    """Center of mass, in pixels of the mask."""
    weight = values.astype(np.float64)
    total = weight.sum()
    y = (weight.sum(1) * (np.arange(values.shape[0]) + 0.5)).sum() / total
    x = (weight.sum(0) * (np.arange(values.shape[1]) + 0.5)).sum() / total
    return float(y), float(x)


def _rescaled(mask: SoftMask, factor: float) -> SoftMask:
    height, width = (max(1, round(length * factor)) for length in mask.values.shape)
    values = cv2.resize(mask.values, (width, height), interpolation=cv2.INTER_LINEAR)
    return replace(mask, top=round(mask.top * factor), left=round(mask.left * factor), values=values)
