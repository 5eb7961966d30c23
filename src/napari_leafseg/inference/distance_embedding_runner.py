"""Running the distance + embedding model over images of any size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.inference.component_filter import uncertain_components
from napari_leafseg.inference.dense_output import DenseOutput
from napari_leafseg.inference.leaf_prediction import FOREGROUND, LeafPrediction, PixelRegion
from napari_leafseg.inference.tiling import TiledNetwork
from napari_leafseg.inference.tta import merge_scales


class DistanceEmbeddingRunner(TiledNetwork):
    """The distance + embedding model on a device; makes the regions of its predictions."""

    prediction = LeafPrediction

    def build_region(
        self, rows: slice, columns: slice, seen: Sequence[DenseOutput], given: np.ndarray | None
    ) -> PixelRegion:
        """Return the region of what was seen at one or several sizes; `given` is the plant mask there, bool (H, W)."""
        merged = merge_scales(seen)
        if given is not None:
            height, width = merged.foreground.shape
            leaf = cv2.resize(given.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_AREA)
            merged = merged._replace(foreground=leaf)
        headless = not self.network.config.foreground_head
        return PixelRegion(rows, columns, merged, confined=given is not None or not headless)

    def filter_regions(self, regions: Sequence[PixelRegion], defaults: dict[str, float]) -> None:
        """Leave out pieces that are uncertain beside the largest of all regions; their maps stay as they are."""
        confidence = defaults.get("min_component_confidence", 0.0)
        foregrounds = [region.maps.foreground for region in regions]
        if regions and not any((foreground >= FOREGROUND).any() for foreground in foregrounds):
            self.warn("No plant was found at this working scale. If there is one, set another by hand.")
        if not regions or not confidence:
            return
        for region, uncertain in zip(regions, uncertain_components(foregrounds, FOREGROUND, confidence), strict=True):
            if uncertain.any():
                region.group((region.maps.foreground >= FOREGROUND) & ~uncertain)
