"""Leaf segmentation for napari."""
