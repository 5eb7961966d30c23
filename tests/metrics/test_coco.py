"""AP of data sets with classes: equal to pycocotools, and to a plain loop of LVIS's rules."""

import contextlib
import copy
import io
import json

import numpy as np
import pytest
from pycocotools import mask as run_length
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from napari_leafseg.metrics.coco import coco_scores

SIDE = 150


def code(plane):
    coded = run_length.encode(np.asfortranarray(plane.astype(np.uint8)))
    return {"size": [SIDE, SIDE], "counts": coded["counts"].decode()}


def boxes(rng, count, side=SIDE):
    for _ in range(count):
        large = rng.random() < 0.4
        y, x = rng.integers(0, 20 if large else side - 20, 2)
        high, wide = rng.integers(80, 125, 2) if large else rng.integers(5, 60, 2)
        yield slice(int(y), int(min(side, y + high))), slice(int(x), int(min(side, x + wide)))


def made(seed, images=8, classes=4, crowds=True):
    """A truth, and results that are near it, with doubles, misses, wrong classes and inventions."""
    rng = np.random.default_rng(seed)
    truth = {"images": [], "annotations": [], "categories": []}
    truth["categories"] = [{"id": 3 * c + 2, "name": f"kind {c}", "frequency": "rcf"[c % 3]} for c in range(classes)]
    found = []
    for number in range(5, 5 + images):
        kinds = rng.permutation(classes)
        truth["images"].append({
            "id": number, "file_name": f"a/{number}.png", "height": SIDE, "width": SIDE,
            "neg_category_ids": [int(3 * kinds[0] + 2)], "not_exhaustive_category_ids": [int(3 * kinds[1] + 2)],
        })  # fmt: skip
        for rows, columns in boxes(rng, int(rng.integers(2, 9))):
            plane = np.zeros((SIDE, SIDE), bool)
            plane[rows, columns] = True
            kind = int(kinds[1 + rng.integers(classes - 1)])  # the first is absent
            crowd = int(crowds and rng.random() < 0.15)
            truth["annotations"].append({
                "id": len(truth["annotations"]) + 1, "image_id": number, "category_id": 3 * kind + 2, "iscrowd": crowd,
                "area": float(plane.sum()), "segmentation": code(plane), "bbox": [0.0, 0.0, 1.0, 1.0],
            })  # fmt: skip
            for _ in range(int(rng.integers(0, 4))):
                moved = np.roll(plane, tuple(rng.integers(-6, 7, 2)), (0, 1))
                said = kind if rng.random() < 0.8 else int(rng.integers(classes))
                found.append({
                    "image_id": number, "category_id": 3 * said + 2, "score": round(float(rng.random()), 2),
                    "segmentation": code(moved),
                })  # fmt: skip
        for rows, columns in boxes(rng, 4):
            plane = np.zeros((SIDE, SIDE), bool)
            plane[rows, columns] = True
            found.append({
                "image_id": number, "category_id": int(3 * rng.integers(classes) + 2), "segmentation": code(plane),
                "score": round(float(rng.random()), 2),
            })  # fmt: skip
    return truth, found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("most", [100, 3])
def test_it_equals_pycocotools(seed, most):
    truth, found = made(seed)
    before = json.dumps([truth, found])
    scores = coco_scores(truth, found, most=most)
    assert json.dumps([truth, found]) == before
    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO()
        data.dataset = {"info": {}, **copy.deepcopy(truth)}  # which older versions ask for
        data.createIndex()
        scoring = COCOeval(data, data.loadRes(copy.deepcopy(found)), "segm")
        scoring.params.maxDets = [1, 10, most]
        scoring.evaluate()
        scoring.accumulate()
        if most == 100:
            scoring.summarize()
            figures = np.nan_to_num(list(scores.figures.values()), nan=-1)  # pycocotools says -1 for nothing to score
            np.testing.assert_allclose(figures, scoring.stats[:6], atol=1e-9)
            assert np.isfinite(list(scores.figures.values())).all()
    precision = scoring.eval["precision"][..., 0, -1]
    for place, number in enumerate(scoring.params.catIds):
        known = precision[:, :, place][precision[:, :, place] > -1]
        assert scores.classes[number] == pytest.approx(known.mean(), abs=1e-9)
    assert 0.05 < scores.figures["AP"] < 0.95


def plain_lvis(truth, found, most, classes=None, overlaps=None, sizes=(0, 1e10)):
    """AP by LVIS's rules, loop by loop."""
    overlaps = np.linspace(0.5, 0.95, 10) if overlaps is None else overlaps
    kept = []
    for image in truth["images"]:
        own = [item for item in found if item["image_id"] == image["id"]]
        kept += sorted(own, key=lambda item: -item["score"])[:most]
    values = []
    for category in truth["categories"]:
        if classes is not None and category["frequency"] != classes:
            continue
        for least in overlaps:
            marks, total = [], 0
            for image in truth["images"]:

                def of(items, image=image, category=category):
                    return [
                        item for item in items
                        if item["image_id"] == image["id"] and item["category_id"] == category["id"]
                    ]  # fmt: skip

                wanted = of(truth["annotations"])
                if not wanted and category["id"] not in image["neg_category_ids"]:
                    continue
                outside = [not sizes[0] <= item["area"] <= sizes[1] for item in wanted]
                order = sorted(range(len(wanted)), key=lambda number: outside[number])
                total += outside.count(False)
                planes = [run_length.decode(item["segmentation"]) > 0 for item in wanted]
                taken = set()
                for item in sorted(of(kept), key=lambda item: -item["score"]):
                    plane = run_length.decode(item["segmentation"]) > 0
                    best, match = least, None
                    for number in order:
                        if number in taken or (match is not None and not outside[match] and outside[number]):
                            continue
                        overlap = (plane & planes[number]).sum() / (plane | planes[number]).sum()
                        if overlap >= best:
                            best, match = overlap, number
                    if match is not None:
                        taken.add(match)
                        ignored = outside[match]
                    else:
                        far = not sizes[0] <= plane.sum() <= sizes[1]
                        ignored = far or category["id"] in image["not_exhaustive_category_ids"]
                    if not ignored:
                        marks.append((item["score"], match is not None))
            if not total:
                continue
            marks.sort(key=lambda mark: -mark[0])
            right = np.cumsum([hit for _, hit in marks]) if marks else np.zeros(0)
            recall = right / total
            precision = right / np.arange(1, len(marks) + 1)
            for wish in np.linspace(0, 1, 101):
                values.append(max(precision[recall >= wish], default=0.0))
    return float(np.mean(values)) if values else float("nan")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("most", [300, 6])
def test_lvis_equals_a_plain_loop(seed, most):
    truth, found = made(seed + 20, images=5, crowds=False)
    figures = coco_scores(truth, found, lvis=True, most=most).figures
    wanted = {
        "AP": plain_lvis(truth, found, most),
        "AP50": plain_lvis(truth, found, most, overlaps=[0.5]),
        "AP75": plain_lvis(truth, found, most, overlaps=[0.75]),
        "AP_S": plain_lvis(truth, found, most, sizes=(0, 32**2)),
        "AP_M": plain_lvis(truth, found, most, sizes=(32**2, 96**2)),
        "AP_L": plain_lvis(truth, found, most, sizes=(96**2, 1e10)),
        **{f"AP_{letter}": plain_lvis(truth, found, most, classes=letter) for letter in "rcf"},
    }
    assert list(figures) == list(wanted)
    for name, value in wanted.items():
        assert figures[name] == pytest.approx(value, abs=1e-9, nan_ok=True), name
    assert figures["AP"] != pytest.approx(coco_scores(truth, found).figures["AP"], abs=1e-6)


def test_nothing_found_and_nothing_to_find():
    truth, found = made(1)
    assert coco_scores(truth, []).figures["AP"] == 0
    assert np.isnan(coco_scores({**truth, "annotations": []}, found).figures["AP"])


def test_a_number_of_zero_is_a_number_like_others():
    truth, _ = made(3, crowds=False)
    perfect = [{**item, "score": 0.9} for item in truth["annotations"]]
    for number, item in enumerate(truth["annotations"]):
        item["id"] = number
    assert coco_scores(truth, perfect).figures["AP"] == pytest.approx(1)
