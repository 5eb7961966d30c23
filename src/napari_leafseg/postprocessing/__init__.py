"""From what a network says of pixels to leaves."""

from napari_leafseg.postprocessing.angular import AngularGrouping, GroupingOptions, quantize
from napari_leafseg.postprocessing.basins import WatershedGrouping
from napari_leafseg.postprocessing.published import PublishedGrouping
from napari_leafseg.postprocessing.seeds import Seeds, find_peaks

__all__ = [
    "AngularGrouping", "GroupingOptions", "PublishedGrouping", "Seeds", "WatershedGrouping", "find_peaks", "quantize",
]  # fmt: skip
