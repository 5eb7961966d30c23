"""Scores of the CVPPP Leaf Segmentation Challenge, and COCO's average precision."""

from napari_leafseg.metrics.average_precision import AveragePrecision, ScoredMask, average_precision
from napari_leafseg.metrics.leaves import LeafScore, best_dice, foreground_dice, score

__all__ = ["AveragePrecision", "LeafScore", "ScoredMask", "average_precision", "best_dice", "foreground_dice", "score"]
