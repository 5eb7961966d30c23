"""Scores of the CVPPP Leaf Segmentation Challenge."""

from napari_leafseg.metrics.leaves import LeafScore, best_dice, foreground_dice, score

__all__ = ["LeafScore", "best_dice", "foreground_dice", "score"]
