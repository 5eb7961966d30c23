"""Synthetic rosettes: images with the exact label of every leaf, from one seed number."""

from napari_leafseg.synthetic.scene import Scene, SceneConfig, growth_series, synthesize

__all__ = ["Scene", "SceneConfig", "growth_series", "synthesize"]
