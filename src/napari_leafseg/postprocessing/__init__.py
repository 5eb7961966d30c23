"""From what a network says of pixels to leaves."""

from napari_leafseg.postprocessing.angular import AngularGrouping, GroupingOptions, Seeds, quantize
from napari_leafseg.postprocessing.published import PublishedGrouping
from napari_leafseg.postprocessing.seeds import find_peaks

__all__ = ["AngularGrouping", "GroupingOptions", "PublishedGrouping", "Seeds", "find_peaks", "quantize"]
