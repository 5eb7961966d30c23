"""Measurements of leaves."""

from napari_leafseg.traits.leaves import measure_leaves

__all__ = ["measure_leaves"]
