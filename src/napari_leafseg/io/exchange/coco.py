"""COCO JSON: one file for many images, leaves as polygons or as run lengths."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pycocotools import mask as run_length

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError
from napari_leafseg.io.polygons import draw_polygons, leaf_polygons, without_holes


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
    images: list[dict[str, Any]] = []
    leaves: list[dict[str, Any]] = []
    for number, (name, labels) in enumerate(items, start=1):
        height, width = labels.shape
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        shapes = leaf_polygons(labels)
        for leaf, shape in shapes.items():
            left, top, right, bottom = shape.bounds
            leaves.append(
                {
                    "id": len(leaves) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "segmentation": (
                        [ring.ravel().tolist() for ring in without_holes(shape)]
                        if encoding == "polygon"
                        else _run_lengths(labels == leaf)
                    ),
                    "area": float(shape.area),
                    "bbox": [left, top, right - left, bottom - top],
                    "iscrowd": 0,
                    "leaf": leaf,
                }
            )
    save_coco(path, _content(images, leaves))


def save_coco(path: str | Path, content: dict[str, Any]) -> None:
    """Write a COCO data set, whole or not at all."""
    write_atomically(Path(path), (json.dumps(content) + "\n").encode())


def masks_path(labels: Path) -> Path:
    """Tell where the overlapping masks of an image lie, beside its labels."""
    return labels.with_name(f"{labels.stem.removesuffix('_label')}_masks.json")


def masks_to_coco(
    name: str, shape: tuple[int, int], masks: Iterable[tuple[float, tuple[slice, slice], np.ndarray]]
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
    """
    leaves = []
    for number, (score, place, inside) in enumerate(masks, start=1):
        whole = np.zeros(shape, bool)
        window = whole[place]
        window |= inside[: window.shape[0], : window.shape[1]]
        coded = _run_lengths(whole)
        leaves.append(
            {
                "id": number,
                "image_id": 1,
                "category_id": 1,
                "segmentation": coded,
                "area": float(np.count_nonzero(whole)),
                "bbox": [float(side) for side in run_length.toBbox({**coded, "counts": coded["counts"].encode()})],
                "iscrowd": 0,
                "score": round(score, 4),
            }
        )
    return _content([{"id": 1, "file_name": name, "height": shape[0], "width": shape[1]}], leaves)


def _content(images: list[dict[str, Any]], leaves: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "info": {"description": "Leaves, written by napari-leafseg"},
        "images": images,
        "annotations": leaves,
        "categories": [{"id": 1, "name": "leaf", "supercategory": "plant"}],
    }


def _run_lengths(mask: np.ndarray) -> dict[str, Any]:
    coded = run_length.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(side) for side in coded["size"]], "counts": coded["counts"].decode()}


def read_coco(path: str | Path) -> dict[str, np.ndarray]:
    """Read labels by image's file name; polygons and run lengths, ours and others'.

    Returns
    -------
    dict of str to numpy.ndarray
        uint16 (H, W). Leaves keep their numbers where we wrote them, else they count from 1.

    Raises
    ------
    InputFileError
        When it is no COCO file.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        images = {item["id"]: item for item in content["images"]}
        found = {item["file_name"]: np.zeros((item["height"], item["width"]), np.uint16) for item in images.values()}
        for item in content["annotations"]:
            labels = found[images[item["image_id"]]["file_name"]]
            leaf = int(item.get("leaf", 0)) or int(labels.max(initial=0)) + 1
            shape = item["segmentation"]
            if isinstance(shape, dict):
                if isinstance(shape["counts"], list):
                    shape = run_length.frPyObjects(shape, *shape["size"])
                labels[run_length.decode(shape) > 0] = leaf
            else:
                draw_polygons(labels, leaf, shape)
    except OSError as error:
        raise InputFileError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputFileError(f"{path} is no COCO file ({type(error).__name__}: {error}).") from error
    return found
