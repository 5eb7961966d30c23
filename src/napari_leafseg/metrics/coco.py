"""COCO's and LVIS's average precision of data sets with classes, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

COCO_MOST, LVIS_MOST = 100, 300  # masks of an image that count, best first


@dataclass(frozen=True)
class CocoScores:
    """Average precision, 0 to 1, NaN where there is nothing to score.

    Attributes
    ----------
    figures : dict
        AP, AP50, AP75; AP_S, AP_M, AP_L for objects of an area under 32², up to 96² and above; for LVIS, AP_r, AP_c,
        AP_f of rare, common and frequent classes.
    classes : dict
        AP by the class's number.
    """

    figures: dict[str, float]
    classes: dict[int, float] = field(default_factory=dict)


def coco_scores(
    truth: dict[str, Any], found: Iterable[dict[str, Any]], lvis: bool = False, most: int | None = None
) -> CocoScores:
    """Score masks.

    Parameters
    ----------
    truth : dict
        A data set of COCO's or LVIS's form.
    found : iterable of dict
        ``image_id``, ``category_id``, ``segmentation`` (run lengths or polygons) and ``score`` each.
    lvis : bool
        Follow LVIS (Gupta et al. 2019): of an image, a class is scored only where it is marked or known to be absent,
        and unmatched masks of a class that was not marked exhaustively do not count.
    most : int, optional
        So many masks of an image count: of each class 100 in COCO, of all together 300 in LVIS.
    """
    from pycocotools.coco import COCO  # imports matplotlib: only when it is needed
    from pycocotools.cocoeval import COCOeval

    most = most or (LVIS_MOST if lvis else COCO_MOST)
    own = ("image_id", "category_id", "segmentation", "score")
    results = [{**{key: item[key] for key in own}, "iscrowd": 0} for item in found]
    if lvis:
        results = _scored_by_lvis(truth, results, most)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        sets = []
        for entries in (truth["annotations"], results):
            data = COCO()
            # a number of 0 would read as “not matched”
            numbered = [{**item, "id": number} for number, item in enumerate(entries, start=1)]
            data.dataset = {"images": truth["images"], "categories": truth["categories"], "annotations": numbered}
            data.createIndex()
            sets.append(data)
        for data in sets:
            for item in data.dataset["annotations"]:
                _complete(data, item)
        scoring = COCOeval(*sets, "segm")
        scoring.params.maxDets = [1, 10, most]
        scoring.evaluate()
        if lvis:
            _forgive(truth, scoring)
        scoring.accumulate()
    return _summary(truth, scoring, lvis)


def _complete(data: Any, item: dict[str, Any]) -> None:
    """Add what pycocotools needs and the entry lacks."""
    from pycocotools import mask as run_length

    item.setdefault("iscrowd", 0)
    if "area" not in item:
        item["area"] = float(run_length.area(data.annToRLE(item)))


def _scored_by_lvis(truth: dict[str, Any], results: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """The best masks of each image whose classes are known to be there or not."""
    asked = {int(image["id"]): set(image.get("neg_category_ids", ())) for image in truth["images"]}
    for item in truth["annotations"]:
        asked[int(item["image_id"])].add(item["category_id"])
    of_image: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for item in results:
        of_image[int(item["image_id"])].append(item)
    kept = []
    for number, items in of_image.items():
        best = sorted(items, key=lambda item: -item["score"])[:most]  # stable: as LVIS does it
        kept += [item for item in best if item["category_id"] in asked[number]]
    return kept


def _forgive(truth: dict[str, Any], scoring: Any) -> None:
    """Ignore unmatched masks of classes that were not marked exhaustively in their image."""
    partly = {int(image["id"]): set(image.get("not_exhaustive_category_ids", ())) for image in truth["images"]}
    for entry in scoring.evalImgs:
        if entry is not None and entry["category_id"] in partly[int(entry["image_id"])]:
            entry["dtIgnore"] = np.logical_or(entry["dtIgnore"], np.asarray(entry["dtMatches"]) == 0)


def _summary(truth: dict[str, Any], scoring: Any, lvis: bool) -> CocoScores:
    precision = scoring.eval["precision"][..., -1]  # IoU, recall, class, size
    overlaps = scoring.params.iouThrs
    figures = {
        "AP": _mean(precision[:, :, :, 0]),
        "AP50": _mean(precision[np.isclose(overlaps, 0.5), :, :, 0]),
        "AP75": _mean(precision[np.isclose(overlaps, 0.75), :, :, 0]),
        "AP_S": _mean(precision[:, :, :, 1]),
        "AP_M": _mean(precision[:, :, :, 2]),
        "AP_L": _mean(precision[:, :, :, 3]),
    }
    numbers = [int(number) for number in scoring.params.catIds]
    if lvis:
        often = {int(item["id"]): item["frequency"] for item in truth["categories"]}
        for letter in "rcf":
            chosen = [place for place, number in enumerate(numbers) if often[number] == letter]
            figures[f"AP_{letter}"] = _mean(precision[:, :, chosen, 0])
    return CocoScores(figures, {number: _mean(precision[:, :, at, 0]) for at, number in enumerate(numbers)})


def _mean(precision: np.ndarray) -> float:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else float("nan")
