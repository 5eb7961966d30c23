"""LabelMe JSON: one file an image, polygons."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError
from napari_leafseg.io.polygons import draw_polygons, leaf_polygons, without_holes


def write_labelme(path: str | Path, labels: np.ndarray, image: str) -> None:
    """Write the labels (H, W) of an image; parts of one leaf share a group.

    LabelMe's polygons know no holes: a leaf with a hole is written in parts.
    """
    shapes = [
        {
            "label": "leaf",
            "points": ring.tolist(),
            "group_id": leaf,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
        }
        for leaf, shape in leaf_polygons(labels).items()
        for ring in without_holes(shape)
    ]
    content = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": image,
        "imageData": None,
        "imageHeight": labels.shape[0],
        "imageWidth": labels.shape[1],
    }
    write_atomically(Path(path), (json.dumps(content, indent=1) + "\n").encode())


def read_labelme(path: str | Path) -> tuple[str, np.ndarray]:
    """Read a file: the image's name and its labels, uint16 (H, W).

    Polygons without a group are leaves of their own.

    Raises
    ------
    InputFileError
        When it is no LabelMe file.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        labels = np.zeros((content["imageHeight"], content["imageWidth"]), np.uint16)
        polygons = [shape for shape in content["shapes"] if shape.get("shape_type", "polygon") == "polygon"]
        largest = max((int(shape.get("group_id") or 0) for shape in polygons), default=0)
        for shape in polygons:
            leaf = int(shape.get("group_id") or 0)
            if not leaf:
                leaf = largest = largest + 1
            draw_polygons(labels, leaf, [shape["points"]])
        return str(content["imagePath"]), labels
    except OSError as error:
        raise InputFileError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputFileError(f"{path} is no LabelMe file ({type(error).__name__}: {error}).") from error
