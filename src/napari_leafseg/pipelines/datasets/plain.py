"""Readers of data sets without plants that are followed: the Leaf Segmentation Challenge, COCO, YOLO."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from napari_leafseg.errors import InputFileError, plain_reason
from napari_leafseg.io import read_image
from napari_leafseg.io.exchange.challenge import read_challenge
from napari_leafseg.io.exchange.coco_set import CocoImage, CocoSet, draw_annotation, read_coco_set
from napari_leafseg.io.exchange.reading import Reading, leaf_classes
from napari_leafseg.io.exchange.yolo import count_yolo, iterate_yolo
from napari_leafseg.io.image_formats import IMAGE_ENDINGS
from napari_leafseg.pipelines.datasets.sample import Found, Sample

_MOST = 200_000  # files that are looked at


def read_lsc(root: Path) -> Found:
    """Read the Leaf Segmentation Challenge: a folder (``A1/plant001_rgb.png`` …) or an HDF5 file.

    Raises
    ------
    InputFileError
        When it is none.
    """
    found = Found()
    for image in read_challenge(root):
        if not image.has("label"):
            found.leave_out("without labels", [f"{image.subset}/{image.name}"])
            continue
        about = {"plant_id": image.stem, "subset": image.subset}
        found.samples.append(Sample((image.stem,), image.labels, load=image.image, about=about))
    return found


def _below(root: Path, pattern: str) -> list[Path]:
    """Files below a folder, that do not lie elsewhere by a link."""
    whole = root.resolve()
    found = []
    for path in root.rglob(pattern):
        if path.is_file() and path.resolve().is_relative_to(whole) and not path.name.startswith("."):
            found.append(path)
            if len(found) > _MOST:
                raise InputFileError(f"{root} holds more than {_MOST:,} files. Give the folder of the data set alone.")
    return sorted(found)


def _held_out(words: str) -> bool | None:
    """Whether a name says that these are for scoring."""
    parts = set(words.lower().replace("-", "_").replace("2017", "").replace("/", "_").split("_"))
    if parts & {"val", "valid", "validation", "test", "testing"}:
        return True
    return False if parts & {"train", "training"} else None


def read_coco_folder(root: Path) -> Found:
    """Read data sets of COCO's form: JSON files of annotations, and the folders of their images beside them.

    Raises
    ------
    InputFileError
        When there is none, or one has an entry that does not fit; the message names it.
    """
    found = Found()
    sets = [path for path in ([root] if root.is_file() else _below(root, "*.json")) if _is_coco(path)]
    if not sets:
        raise InputFileError(f"{root} holds no JSON file with “images” and “annotations”. Give the data set's folder.")
    place = root if root.is_dir() else root.absolute().parent
    if place.name == "annotations" and root.is_file():  # COCO's own layout
        place = place.parent
    folders = [place, *sorted(path for path in place.rglob("*") if path.is_dir())]
    for path in sets:
        data = read_coco_set(path)
        folder = max(folders, key=lambda one: sum((one / image.name).is_file() for image in data.images[:50]))
        counts = Counter(data.categories[item.category].name for image in data.images for item in image.annotations)
        leaves = leaf_classes(counts)
        others = sum(count for name, count in counts.items() if name not in leaves)
        if others:
            found.notes.append(
                f"{path.name}: {others:,} shapes of other classes than {', '.join(sorted(leaves))} are not taken."
            )
        for image in data.images:
            file = folder / image.name
            if not file.is_file() or not file.resolve().is_relative_to(place.resolve()):
                found.leave_out(f"{path.name} names it, but it is not there", [image.name])
                continue
            inner = PurePosixPath(image.name.replace("\\", "/"))
            name = "_".join([*inner.parent.parts, inner.stem])
            parts = (name,) if len(sets) == 1 else (f"{path.stem}_{name}",)
            about = {"set": path.stem}
            read = partial(_coco_labels, data, image, leaves)
            found.samples.append(Sample(parts, read, file, about=about, held_out=_held_out(path.stem)))
    return found


def _is_coco(path: Path) -> bool:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputFileError(
            f"{path} cannot be read as JSON ({plain_reason(error, path)}). Get it again, or take it out."
        ) from error
    return isinstance(content, dict) and isinstance(content.get("annotations"), list) and "images" in content


def _coco_labels(data: CocoSet, image: CocoImage, leaves: set[str]) -> np.ndarray:
    """Leaves of an image; where two lie over each other, the later one lies on top. Crowds are no leaves."""
    labels = np.zeros(image.shape, np.int32)
    number = 0
    for item in image.annotations:
        if item.crowd or data.categories[item.category].name not in leaves:
            continue
        number += 1
        labels[draw_annotation(item, image)] = number
    return labels


def read_yolo_folder(root: Path) -> Found:
    """Read YOLO segmentation: text files below ``labels``, images at the same places below ``images``.

    Raises
    ------
    InputFileError
        When there is none.
    """
    found = Found()
    texts = [path for path in _below(root, "*.txt") if "labels" in path.relative_to(root).parts[:-1]]
    if not texts:
        raise InputFileError(f"{root} holds no text file in a folder “labels”. Give the data set's folder, unpacked.")
    images: dict[Path, Path] = {}
    for path in _below(root, "*"):
        inner = path.relative_to(root)
        if path.suffix.lower() in IMAGE_ENDINGS and "images" in inner.parts[:-1]:
            if inner.with_suffix("") in images:
                found.leave_out("another image of the same name is taken", [str(inner)])
            images.setdefault(inner.with_suffix(""), path)
    taken = set()
    counts = sum((count_yolo(path) for path in texts), Counter[str]())
    leaves = leaf_classes(counts)
    others = sum(count for name, count in counts.items() if name and name not in leaves)
    if others:
        found.notes.append(f"{others:,} shapes of other classes than {', '.join(sorted(leaves))} are not taken.")
    for path in texts:
        inner = path.relative_to(root)
        at = len(inner.parts) - 2 - inner.parts[:-1][::-1].index("labels")
        key = Path(*inner.parts[:at], "images", *inner.parts[at + 1 :]).with_suffix("")
        if key not in images:
            found.leave_out("labels without an image", [str(inner)])
            continue
        taken.add(key)
        rest = [part for part in key.parts if part != "images"]
        read = partial(_yolo_labels, path, images[key], leaves)
        found.samples.append(Sample(("_".join(rest),), read, images[key], held_out=_held_out("/".join(key.parts[:-1]))))
    found.leave_out("without labels", (str(path) for key, path in sorted(images.items()) if key not in taken))
    return found


def _yolo_labels(path: Path, image: Path, leaves: set[str]) -> np.ndarray:
    shape = read_image(image).array.shape[:2]
    reading = Reading(lambda names: dict.fromkeys(names, shape), leaves)
    labels = next((labels for _, labels in iterate_yolo(path, reading)), None)
    wrong = [words for words in reading.left_out if not words.startswith("“")]  # these are other classes
    if labels is None or wrong or reading.refused:
        why = "; ".join([*wrong, *reading.refused]) or "it has no labels"
        raise InputFileError(f"{path}: {why}. Correct it, or take it out.")
    return labels
