"""Corrections of label images, as pure functions."""

from napari_leafseg.editing.edit import Edit, difference, leaf_at, leaf_box, next_number

__all__ = ["Edit", "difference", "leaf_at", "leaf_box", "next_number"]
