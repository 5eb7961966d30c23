"""COCO JSON: one file for many images, leaves as polygons or as run lengths."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pycocotools import mask as run_length

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError
from napari_leafseg.io.exchange.canvas import Canvas, leaf_of
from napari_leafseg.io.exchange.reading import Found, Reading, entries, entry, explained, load_json, read_alone
from napari_leafseg.io.exchange.run_lengths import read_run_lengths, write_run_lengths
from napari_leafseg.io.polygons import leaf_boxes, outline, without_holes


def write_coco(
    path: str | Path, items: Iterable[tuple[str, np.ndarray]], encoding: Literal["polygon", "rle"] = "rle"
) -> None:
    """Write labels of images.

    Parameters
    ----------
    path : path
        ``….json``
    items : iterable of (str, numpy.ndarray)
        File name of an image and its labels, integer (H, W).
    encoding : {"polygon", "rle"}
        Both are exact; COCO's polygons know no holes, so a leaf with a hole is written in parts.
    """
    save_coco(path, labels_to_coco(items, encoding))


def labels_to_coco(
    items: Iterable[tuple[str, np.ndarray]], encoding: Literal["polygon", "rle"] = "rle"
) -> dict[str, Any]:
    """Return a COCO data set of labels of images; see `write_coco`."""
    images: list[dict[str, Any]] = []
    leaves: list[dict[str, Any]] = []
    for number, (name, labels) in enumerate(items, start=1):
        height, width = labels.shape
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for leaf, place in leaf_boxes(labels):
            rows, columns = place
            inside = labels[place] == leaf
            leaves.append(
                {
                    "id": len(leaves) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "segmentation": (
                        [ring.ravel().tolist() for ring in without_holes(outline(inside, rows.start, columns.start))]
                        if encoding == "polygon"
                        else write_run_lengths(inside, place, labels.shape)
                    ),
                    "area": float(np.count_nonzero(inside)),
                    "bbox": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
                    "iscrowd": 0,
                    "leaf": leaf,
                }
            )
    return _content(images, leaves)


def save_coco(path: str | Path, content: dict[str, Any]) -> None:
    """Write a COCO data set, whole or not at all."""
    write_atomically(Path(path), (json.dumps(content) + "\n").encode())


def masks_path(labels: Path) -> Path:
    """Tell where the overlapping masks of an image lie, beside its labels."""
    return labels.with_name(f"{labels.stem.removesuffix('_label')}_masks.json")


def masks_to_coco(
    name: str,
    shape: tuple[int, int],
    masks: Iterable[tuple[float, tuple[slice, slice], np.ndarray]],
    categories: Sequence[int] = (),
    class_names: Sequence[str] = (),
) -> dict[str, Any]:
    """Return a COCO data set of masks of one image that may overlap, with scores.

    Parameters
    ----------
    name : str
        File name of the image.
    shape : tuple of int
        Its height and width.
    masks : iterable of (float, tuple of slice, numpy.ndarray)
        Score, place in the image, and bool mask there.
    categories : sequence of int
        Class of each; the first for all where it is empty.
    class_names : sequence of str
        Names of the classes; "leaf" where it is empty.
    """
    leaves = []
    for number, (score, place, inside) in enumerate(masks, start=1):
        rows, columns = (slice(part.start, min(part.stop, side)) for part, side in zip(place, shape, strict=True))
        mask = inside[: rows.stop - rows.start, : columns.stop - columns.start]
        coded = write_run_lengths(mask, (rows, columns), shape)
        leaves.append(
            {
                "id": number,
                "image_id": 1,
                "category_id": 1 + categories[number - 1] if categories else 1,
                "segmentation": coded,
                "area": float(np.count_nonzero(mask)),
                "bbox": [float(side) for side in run_length.toBbox({**coded, "counts": coded["counts"].encode()})],
                "iscrowd": 0,
                "score": round(score, 4),
            }
        )
    return _content([{"id": 1, "file_name": name, "height": shape[0], "width": shape[1]}], leaves, class_names)


def _content(
    images: list[dict[str, Any]], leaves: list[dict[str, Any]], class_names: Sequence[str] = ()
) -> dict[str, Any]:
    kinds = [{"id": number, "name": name} for number, name in enumerate(class_names, start=1)]
    return {
        "info": {"description": "Leaves, written by napari-leafseg"},
        "images": images,
        "annotations": leaves,
        "categories": kinds or [{"id": 1, "name": "leaf", "supercategory": "plant"}],
    }


def read_coco(path: str | Path) -> dict[str, np.ndarray]:
    """Read labels by image's file name; polygons and run lengths, ours and others'.

    Returns
    -------
    dict of str to numpy.ndarray
        uint16 (H, W), uint32 where numbers are larger. Leaves keep their numbers where we wrote them, else they count
        from 1.

    Raises
    ------
    InputFileError
        When it is no COCO file, or its masks do not fit its images.
    """
    found: dict[str, np.ndarray] = read_alone(iterate_coco, path)
    return found


def iterate_coco(path: Path, reading: Reading) -> Found:
    """Read the labels of those images of a file that are known, one after the other."""
    with explained(path, "COCO file"):
        content = load_json(path)
        images = entries(content, "images")
        by_image: dict[Any, list[dict[str, Any]]] = {_key(item["id"]): [] for item in images}
        for item in entries(content, "annotations"):
            if "segments_info" in item:
                raise InputFileError(f"{path} is COCO’s panoptic kind, whose masks are in PNG files. Export instances")
            if _key(item["image_id"]) in by_image:
                by_image[_key(item["image_id"])].append(item)
            else:
                reading.leave_out("shape of an image that the file does not name")
        declared = {str(item["file_name"]): _declared(item) for item in images}
        planes = reading.planes(declared, declared)
        leaves = reading.leaves(count_coco(path))
        names = _class_names(content)
        doubled = reading.refuse_doubles([str(item["file_name"]) for item in images])
        for image in images:
            name = str(image["file_name"])
            if name in planes and name not in doubled:
                canvas = Canvas(planes[name], reading)
                for item in by_image[_key(image["id"])]:
                    with entry(f"annotation {item.get('id')}"):
                        _draw(canvas, item, names.get(_key(item.get("category_id")), ""), leaves)
                yield name, canvas.labels()


def _draw(canvas: Canvas, item: dict[str, Any], kind: str, leaves: set[str]) -> None:
    leaf, shape = item.get("leaf"), item.get("segmentation")
    if kind not in leaves:
        canvas.reading.leave_out(f"“{kind}”")
    elif isinstance(shape, dict):
        canvas.mask(leaf, *read_run_lengths(shape, canvas.shape))
    elif not shape:
        canvas.reading.leave_out("box without an outline")
    else:
        leaf = leaf_of(leaf)
        for ring in shape if isinstance(shape[0], list) else [shape]:
            canvas.polygon(leaf, [ring])


def _key(number: Any) -> str:
    """A number of an image or class, which some programs write as text or as a float."""
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def _declared(image: dict[str, Any]) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    return (int(height), int(width)) if height and width else None


def _class_names(content: dict[str, Any]) -> dict[Any, str]:
    return {_key(item["id"]): str(item.get("name") or item["id"]) for item in content.get("categories") or []}


def count_coco(path: Path) -> Counter[str]:
    """Count the shapes of each class."""
    content = load_json(path)
    names = _class_names(content)
    return Counter(names.get(_key(item.get("category_id")), "") for item in content["annotations"])
