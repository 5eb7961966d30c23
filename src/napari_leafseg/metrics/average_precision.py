"""COCO's average precision of scored masks, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as run_length

ScoredMask = tuple[float, tuple[slice, slice], np.ndarray]
"""Score, place in the image, bool mask there."""


class AveragePrecision(NamedTuple):
    """COCO's figures, 0 to 1, NaN where there is nothing to score.

    Attributes
    ----------
    ap, ap50, ap75 : float
        Mean over IoU 0.50 to 0.95, at 0.50 and at 0.75.
    small, medium, large : float
        As `ap`, for leaves of an area under 32², up to 96² and above, pixels of the image.
    """

    ap: float
    ap50: float
    ap75: float
    small: float
    medium: float
    large: float


def average_precision(pairs: Iterable[tuple[np.ndarray, Sequence[ScoredMask]]]) -> AveragePrecision:
    """Score masks of images against their true leaves.

    Parameters
    ----------
    pairs : iterable of (numpy.ndarray, sequence of ScoredMask)
        True labels, integer (H, W), and the masks found; masks may overlap.
    """
    from pycocotools.coco import COCO  # imports matplotlib: only when it is needed
    from pycocotools.cocoeval import COCOeval

    images: list[dict[str, Any]] = []
    leaves: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, (truth, masks) in enumerate(pairs, start=1):
        height, width = truth.shape
        images.append({"id": number, "height": height, "width": width})
        for leaf in np.unique(truth[truth > 0]):
            leaves.append({"id": len(leaves) + 1, **_entry(number, truth == leaf), "iscrowd": 0})
        for score, place, inside in masks:
            whole = np.zeros((height, width), bool)
            window = whole[place]
            window |= inside[: window.shape[0], : window.shape[1]]
            found.append({"id": len(found) + 1, **_entry(number, whole), "score": float(score)})
    if not leaves or not found:
        return AveragePrecision(*([float("nan") if not leaves else 0.0] * 6))
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        truth_set, found_set = COCO(), COCO()
        for data, entries in ((truth_set, leaves), (found_set, found)):
            data.dataset = {"images": images, "annotations": entries, "categories": [{"id": 1, "name": "leaf"}]}
            data.createIndex()
        scoring = COCOeval(truth_set, found_set, "segm")
        scoring.params.maxDets = [1, 10, 300]  # more than COCO's 100: a plant may have more leaves than that
        scoring.evaluate()
        scoring.accumulate()
    return AveragePrecision(*(_mean(scoring, *which) for which in (
        (None, 0), (0.5, 0), (0.75, 0), (None, 1), (None, 2), (None, 3)
    )))  # fmt: skip


def _entry(image: int, inside: np.ndarray) -> dict[str, Any]:
    coded = run_length.encode(np.asfortranarray(inside.astype(np.uint8)))
    return {
        "image_id": image, "category_id": 1, "segmentation": coded, "area": float(np.count_nonzero(inside)),
        "bbox": run_length.toBbox(coded).tolist(),
    }  # fmt: skip


def _mean(scoring: Any, overlap: float | None, size: int) -> float:
    """Mean precision over recalls, for one IoU or all, and for all leaves (0) or one range of sizes."""
    precision = scoring.eval["precision"][:, :, 0, size, -1]
    if overlap is not None:
        precision = precision[np.isclose(scoring.params.iouThrs, overlap)]
    known = precision[precision > -1]
    return float(known.mean()) if known.size else float("nan")
