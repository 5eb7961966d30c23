"""LabelMe JSON: one file an image; polygons are written, all shapes that enclose something are read."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError
from napari_leafseg.io.exchange.canvas import Canvas
from napari_leafseg.io.exchange.names import labeled_path
from napari_leafseg.io.exchange.reading import Found, Reading, entries, entry, explained, load_json, read_alone
from napari_leafseg.io.pillow_formats import orientation_of
from napari_leafseg.io.polygons import ellipse, leaf_polygons, without_holes

_LOG = logging.getLogger(__name__)
_OPENED = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif")


def write_labelme(path: str | Path, labels: np.ndarray, image: str, content_png: bytes | None = None) -> None:
    """Write the labels (H, W) of an image; parts of one leaf share a group.

    LabelMe's polygons know no holes: a leaf with a hole is written in parts.

    Parameters
    ----------
    path : path
    labels : numpy.ndarray
    image : str
        Where the image lies, seen from the file.
    content_png : bytes, optional
        The image itself, for one that LabelMe does not open by itself.
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
        "imageData": None if content_png is None else base64.b64encode(content_png).decode(),
        "imageHeight": labels.shape[0],
        "imageWidth": labels.shape[1],
    }
    write_atomically(Path(path), (json.dumps(content, indent=1) + "\n").encode())


def opens_itself(path: Path, shape: tuple[int, ...]) -> bool:
    """Tell whether LabelMe shows an image, of a shape (H, W), from its file as we do: by Pillow, the first page.

    It does not where that page is one of several, one channel of an image, or other than 8 bits deep.
    """
    if path.suffix.lower() not in _OPENED:
        return False
    if path.suffix.lower() not in (".tif", ".tiff"):
        return True
    try:
        with Image.open(path) as image:
            plain = image.mode in {"1", "L", "P", "RGB"} and getattr(image, "n_frames", 1) == 1
            return plain and image.size == shape[::-1] and orientation_of(image) == 1
    except (OSError, ValueError, Image.DecompressionBombError):
        _LOG.debug("Pillow does not open %s.", path, exc_info=True)
        return False


def path_from(folder: Path, image: Path) -> str:
    """Return the path of an image, seen from a folder; with forward slashes."""
    try:
        return Path(os.path.relpath(os.path.abspath(image), os.path.abspath(folder))).as_posix()
    except ValueError:  # on another drive
        return Path(os.path.abspath(image)).as_posix()


def read_labelme(path: str | Path) -> tuple[str, np.ndarray]:
    """Read a file: the image's name and its labels, uint16 (H, W).

    Polygons, rectangles, circles and masks are leaves, those of a group together one; lines and points are not.

    Raises
    ------
    InputFileError
        When it is no LabelMe file.
    """
    found: dict[str, np.ndarray] = read_alone(iterate_labelme, path)
    ((name, labels),) = found.items()
    return name, labels


def iterate_labelme(path: Path, reading: Reading) -> Found:
    """Read the labels of a file whose image is known."""
    with explained(path, "LabelMe file"):
        content = load_json(path)
        shapes, name = entries(content, "shapes"), str(content.get("imagePath") or labeled_path(path))
        height, width = content.get("imageHeight"), content.get("imageWidth")
        plane = reading.plane(name, (int(height), int(width)) if height and width else None)
        leaves = reading.leaves(count_labelme(path))
        if plane is not None:
            canvas = Canvas(plane, reading)
            for number, shape in enumerate(shapes, start=1):
                kind = str(shape.get("label") or "")
                if kind in leaves:
                    with entry(f"shape {number}"):
                        _draw(canvas, shape)
                else:
                    reading.leave_out(f"“{kind}”")
            yield name, canvas.labels()


def _draw(canvas: Canvas, shape: dict[str, Any]) -> None:
    form, points = shape.get("shape_type") or "polygon", np.asarray(shape["points"], float).reshape(-1, 2)
    leaf = _group(shape.get("group_id"))
    if form == "mask" and shape.get("mask"):
        (left, top), *_ = points.round().astype(int).tolist()
        mask = _decode_mask(shape["mask"], canvas.shape)
        height, width = mask.shape
        rows = slice(max(top, 0), min(top + height, canvas.shape[0]))
        columns = slice(max(left, 0), min(left + width, canvas.shape[1]))
        if rows.start < rows.stop and columns.start < columns.stop:
            inner = mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
            canvas.mask(leaf, (rows, columns), inner)
        else:
            canvas.reading.leave_out("mask outside of the image")
    elif form in {"polygon", "rotation", "oriented_rectangle"}:
        canvas.polygon(leaf, [points])
    elif form == "rectangle" and len(points) > 1:
        (left, top), (right, bottom) = points.min(0), points.max(0)
        canvas.polygon(leaf, [[(left, top), (right, top), (right, bottom), (left, bottom)]])
    elif form == "circle" and len(points) == 2:
        canvas.polygon(leaf, [ellipse(*points[0], *([np.hypot(*(points[1] - points[0]))] * 2))])
    else:
        canvas.reading.leave_out(f"{form}, which encloses nothing")


def _decode_mask(text: str, shape: tuple[int, int]) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"]) as image:
        if image.height > shape[0] + 1 or image.width > shape[1] + 1:
            raise InputFileError(f"a mask of {image.height} × {image.width}, larger than the image")
        return np.asarray(image.convert("L")) > 0


def _group(group: Any) -> Hashable:
    """A group's number; its name where it is none, so that its shapes stay together."""
    if group is None or group == "":
        return None
    text = str(group)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 and int(text) else ("group", text)


def count_labelme(path: Path) -> Counter[str]:
    """Count the shapes of each class."""
    return Counter(str(shape.get("label") or "") for shape in load_json(path)["shapes"])
