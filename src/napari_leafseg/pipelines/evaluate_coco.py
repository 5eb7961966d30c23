"""Score masks by COCO's and LVIS's average precision: COCO files, or folders of label images."""

from __future__ import annotations

import math
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg.errors import InputFileError
from napari_leafseg.io import LABEL_SUFFIX, read_labels
from napari_leafseg.io.exchange.coco import labels_to_coco, masks_path
from napari_leafseg.io.exchange.coco_set import check_coco, check_outline, load_coco
from napari_leafseg.io.exchange.reading import explained
from napari_leafseg.metrics.coco import coco_scores
from napari_leafseg.pipelines.engine import run_over
from napari_leafseg.pipelines.evaluate import label_files


def evaluate_coco(prediction: Path, truth: Path, lvis: bool = False, most: int | None = None) -> dict[str, Any]:
    """Score what was found against the truth, classes apart.

    Parameters
    ----------
    prediction : path
        A COCO results file (a list), a COCO data set with scores, or a folder of label images; a label image's
        overlapping masks beside it (``_masks.json``) are taken instead of it.
    truth : path
        A COCO data set, or a folder of label images.
    lvis : bool
        By LVIS's rules.
    most : int, optional
        So many masks of an image count, see `napari_leafseg.metrics.coco.coco_scores`.

    Returns
    -------
    dict
        ``figures`` by name, ``classes`` (AP by name), ``images`` (how many) and ``notes`` (sentences).

    Raises
    ------
    InputFileError
        When a file cannot be read, or does not fit the others; the message names it.
    """
    content = _folder_truth(truth) if truth.is_dir() else load_coco(truth)
    with explained(truth, "COCO file"):
        check_coco(content, truth)
        if lvis:
            _check_lvis(content)
    notes: list[str] = []
    found = _found(prediction, content, notes)
    scores = coco_scores(content, found, lvis, most)
    names = {int(item["id"]): str(item.get("name", item["id"])) for item in content["categories"]}
    classes = {names[number]: value for number, value in scores.classes.items() if np.isfinite(value)}
    return {"figures": scores.figures, "classes": classes, "images": len(content["images"]), "notes": notes}


def _folder_truth(folder: Path) -> dict[str, Any]:
    events = run_over(list(label_files(folder).values()), _named_labels, name=lambda path: path.name)
    return labels_to_coco(event.result for event in events if event.result is not None)


def _named_labels(path: Path) -> tuple[str, np.ndarray]:
    return path.name, read_labels(path)


def _check_lvis(content: dict[str, Any]) -> None:
    for item in content["categories"]:
        if item.get("frequency") not in {"r", "c", "f"}:
            raise InputFileError(
                f"its category “{item.get('name', item['id'])}” has no frequency (r, c or f), which LVIS’s score "
                "needs; score it with --metric coco"
            )


def _found(prediction: Path, truth: dict[str, Any], notes: list[str]) -> list[dict[str, Any]]:
    if prediction.is_dir():
        return _folder_found(prediction, truth, notes)
    content = load_coco(prediction)
    with explained(prediction, "COCO results file"):
        if isinstance(content, list):
            return _checked(content, truth)
        return _of_set(content, prediction, truth, notes)


def _checked(results: list[dict[str, Any]], truth: dict[str, Any]) -> list[dict[str, Any]]:
    """Results as COCO's servers take them; every entry fits the truth."""
    shapes = {item["id"]: (item["height"], item["width"]) for item in truth["images"]}
    categories = {item["id"] for item in truth["categories"]}
    for place, item in enumerate(results, start=1):
        if item["image_id"] not in shapes:
            raise InputFileError(f"its entry {place} is of image {item['image_id']}, which the truth lacks")
        if item["category_id"] not in categories:
            raise InputFileError(f"its entry {place} is of category {item['category_id']}, which the truth lacks")
        if not math.isfinite(item["score"]):
            raise InputFileError(f"its entry {place} has the score {item['score']}")
        check_outline(item["segmentation"], shapes[item["image_id"]], f"its entry {place}")
    return results


def _of_set(content: Any, path: Path, truth: dict[str, Any], notes: list[str]) -> list[dict[str, Any]]:
    """Results of a data set with scores: images are found by their names, classes by theirs."""
    found = check_coco(content, path)
    categories = _categories(content, truth)
    wanted = _by_stem(truth)
    results = []
    for image in found.images:
        number = wanted.get(_stem(image.name))
        if number is None:
            notes.append(f"{image.name} of {path} has no truth and is left out.")
            continue
        for item in image.annotations:
            score, category = item.entry.get("score", 1.0), categories[item.entry["category_id"]]
            results.append({**item.entry, "image_id": number, "category_id": category, "score": float(score)})
    missing = set(wanted) - {_stem(image.name) for image in found.images}
    if len(missing) == len(wanted):
        raise InputFileError("none of its images has the name of one of the truth's")
    notes += [f"{stem} has no prediction: nothing counts as found in it." for stem in sorted(missing)]
    return _checked(results, truth)


def _categories(content: dict[str, Any], truth: dict[str, Any]) -> dict[int, int]:
    """The truth's number of each class; where both know only one class, it is the same one."""
    ours, theirs = content["categories"], truth["categories"]
    if len(ours) == len(theirs) == 1:
        return {ours[0]["id"]: theirs[0]["id"]}
    numbers = {str(item.get("name", item["id"])): item["id"] for item in theirs}
    for item in ours:
        if str(item.get("name", item["id"])) not in numbers:
            raise InputFileError(f"the truth has no category “{item.get('name', item['id'])}”")
    return {item["id"]: numbers[str(item.get("name", item["id"]))] for item in ours}


def _folder_found(folder: Path, truth: dict[str, Any], notes: list[str]) -> list[dict[str, Any]]:
    """Results of a folder of label images, their leaves with a score of 1; overlapping masks where there are any."""
    results: list[dict[str, Any]] = []
    files, wanted = label_files(folder), _by_stem(truth)
    if not files.keys() & wanted.keys():
        raise InputFileError(
            f"No label image in {folder} has the name of one of the truth’s images. Names must agree up to “_label”."
        )
    notes += [f"{files[stem]} has no truth and is left out." for stem in files if stem not in wanted]
    known = [(files[stem], wanted[stem]) for stem in files if stem in wanted]
    for event in run_over(known, partial(_image_found, truth), name=lambda item: item[0].name):
        if event.result is not None:
            of_image, said = event.result
            results += of_image
            notes += said
    for stem in sorted(wanted.keys() - files.keys()):
        notes.append(f"{stem} has no prediction: nothing counts as found in it.")
    return results


def _image_found(truth: dict[str, Any], item: tuple[Path, int]) -> tuple[list[dict[str, Any]], list[str]]:
    """Results of one label image, or of the masks beside it, and what is to be noted of it."""
    path, number = item
    masks, notes = masks_path(path), list[str]()
    content = load_coco(masks) if masks.is_file() else labels_to_coco([(path.name, read_labels(path))])
    source = masks if masks.is_file() else path
    with explained(source, "COCO file"):
        content["images"][0]["file_name"] = path.name
        only = {**truth, "images": [image for image in truth["images"] if image["id"] == number]}
        return _of_set(content, source, only, notes), notes


def _by_stem(truth: dict[str, Any]) -> dict[str, int]:
    """Image numbers by the file's name without folders, ending and “_label”."""
    names = [(str(item.get("file_name") or item.get("coco_url")), int(item["id"])) for item in truth["images"]]
    stems = Counter(_stem(name) for name, _ in names)
    doubled = [stem for stem, count in stems.items() if count > 1]
    if doubled:
        raise InputFileError(f"the truth has several images called {doubled[0]}: give COCO results, which name numbers")
    return {_stem(name): number for name, number in names}


def _stem(name: str) -> str:
    return Path(name).stem.removesuffix(LABEL_SUFFIX)
