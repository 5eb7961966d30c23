"""Scores of the CVPPP Leaf Segmentation Challenge, and COCO's average precision."""

from napari_leafseg.metrics.average_precision import AveragePrecision, ScoredMask, average_precision
from napari_leafseg.metrics.leaves import LeafScore, best_dice, count_found, foreground_dice, score

__all__ = [
    "AveragePrecision", "LeafScore", "ScoredMask", "average_precision", "best_dice", "count_found", "foreground_dice",
    "score",
]  # fmt: skip
