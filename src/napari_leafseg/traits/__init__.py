"""Measurements of leaves and plants, and of their growth."""

from napari_leafseg.traits.leaves import measure_leaves, trace_leaves
from napari_leafseg.traits.measure import Measurements, area_column, in_millimeters, measure
from napari_leafseg.traits.midrib import Midrib, trace_midrib
from napari_leafseg.traits.plants import gather_leaves, measure_plants, rosette_center

__all__ = [
    "Measurements",
    "Midrib",
    "area_column",
    "gather_leaves",
    "in_millimeters",
    "measure",
    "measure_leaves",
    "measure_plants",
    "rosette_center",
    "trace_leaves",
    "trace_midrib",
]
