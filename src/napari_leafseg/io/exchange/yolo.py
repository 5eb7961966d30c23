"""YOLO segmentation: a text file an image, a line a leaf; ``data.yaml`` names the classes.

A leaf's line is one polygon. Pieces and holes are joined to it by lines that are drawn to and fro along pixel edges, as
the format's own tools do it; so they come back exactly. The format has no place for leaves' numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from shapely import MultiPolygon

from napari_leafseg._entries import parse_yaml
from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError, plain_reason
from napari_leafseg.io.exchange.canvas import Canvas
from napari_leafseg.io.exchange.names import labeled_path
from napari_leafseg.io.exchange.reading import Found, Reading, entry, explained, load_text
from napari_leafseg.io.polygons import leaf_polygons

_DATA = ("data.yaml", "data.yml", "dataset.yaml")
_MOST_FILES = 200_000


def write_yolo(path: str | Path, labels: np.ndarray) -> None:
    """Write labels (H, W), in the order of their numbers."""
    height, width = labels.shape
    lines = []
    for _, shape in sorted(leaf_polygons(labels).items()):
        points = _one_line(shape) / (width, height)
        lines.append("0 " + " ".join(f"{value:.9g}" for value in points.ravel()))
    write_atomically(Path(path), "".join(f"{line}\n" for line in lines).encode())


def write_data_yaml(folder: Path) -> None:
    """Write the file that training begins with; images belong into ``images/`` beside ``labels/``."""
    write_atomically(folder / "data.yaml", b"path: .\ntrain: images\nval: images\nnames:\n  0: leaf\n")


def _one_line(shape: MultiPolygon) -> np.ndarray:
    """All rings of a leaf as one, joined along pixel edges."""
    rings = [np.array(ring.coords)[:-1] for part in shape.geoms for ring in (part.exterior, *part.interiors)]
    start = rings[0][0]
    points = [*rings[0], start] if len(rings) > 1 else [*rings[0]]
    for ring in rings[1:]:
        corner = np.array([ring[0][0], start[1]])  # there and back at a right angle: never through a pixel's center
        points += [corner, *ring, ring[0], corner, start]
    return np.array(points)


def iterate_yolo(path: Path, reading: Reading) -> Found:
    """Read the labels of a text file, or of all text files below the folder of a ``data.yaml``."""
    with explained(path, "YOLO label file"):
        files = [path] if path.suffix.lower() == ".txt" else _text_files(path)
        names, leaves = _class_names(path), reading.leaves(count_yolo(path))
        planes = reading.planes(map(labeled_path, files))
    for file in files:
        name = labeled_path(file)
        if name in planes:
            with explained(file, "YOLO label file"):
                canvas = Canvas(planes[name], reading)
                for number, (kind, values) in enumerate(_lines(file), start=1):
                    with entry(f"leaf {number}"):
                        _draw(canvas, values, names.get(kind, ""), leaves)
                labels = canvas.labels()
            yield name, labels


def _draw(canvas: Canvas, values: np.ndarray, kind: str, leaves: set[str]) -> None:
    if kind not in leaves:
        canvas.reading.leave_out(f"“{kind}”")
    elif len(values) < 6:
        canvas.reading.leave_out("box without an outline")
    elif np.nanmax(values) > 2:
        canvas.reading.leave_out("outline in pixels, not in fractions of the image’s sides")
    else:
        values = values[: len(values) // 2 * 2]  # what follows is its confidence
        canvas.polygon(object(), [values.reshape(-1, 2) * (canvas.shape[1], canvas.shape[0])])


def _lines(path: Path) -> list[tuple[int, np.ndarray]]:
    found = []
    for number, line in enumerate(load_text(path).splitlines(), start=1):
        if line.strip():
            with entry(f"line {number}"):
                kind, *values = line.split()
                found.append((int(float(kind)), np.array(values, float)))
    return found


def _text_files(path: Path) -> list[Path]:
    files = []
    for file in path.parent.rglob("*.txt"):
        if "labels" in {part.name for part in file.parents} and file.name != "classes.txt":
            files.append(file)
            if len(files) > _MOST_FILES:
                raise InputFileError(f"{path}: more than {_MOST_FILES:,} files lie below its folder")
    if not files:
        raise InputFileError(f"{path}: there is no text file in a folder “labels” beside it or below")
    return sorted(files)


def _class_names(path: Path) -> dict[int, str]:
    """Names of the classes, from the ``data.yaml`` at or above a file."""
    if path.suffix.lower() != ".txt":
        return _read_names(path)
    for folder in list(path.absolute().parents)[:3]:
        for name in _DATA:
            if (folder / name).is_file():
                return _read_names(folder / name)
    return {}


def _read_names(path: Path) -> dict[int, str]:
    text = load_text(path)
    if len(text) > 2**20:
        raise InputFileError(f"{path} is too long for a list of classes")
    try:
        content: Any = parse_yaml(text)
    except (ValueError, RecursionError) as error:
        raise InputFileError(f"{path} is no YAML file: {plain_reason(error)}. Correct it, or leave it out.") from error
    names = content.get("names") if isinstance(content, dict) else None
    if not isinstance(names, dict | list):
        raise InputFileError(f"{path} names no classes: it has no list “names”. Add one, or leave the file out.")
    pairs: Iterator[tuple[Any, Any]] = iter(names.items() if isinstance(names, dict) else enumerate(names))
    return {int(number): str(name) for number, name in pairs}


def count_yolo(path: Path) -> Counter[str]:
    """Count the shapes of each class."""
    names = _class_names(path)
    files = [path] if path.suffix.lower() == ".txt" else _text_files(path)
    return Counter(names.get(kind, "") for file in files for kind, _ in _lines(file))


def is_yolo(path: Path) -> bool:
    """Tell whether a text or YAML file is one of a YOLO data set."""
    try:
        text = load_text(path)
        if path.suffix.lower() != ".txt":
            return "names:" in text
        first = next((line.split() for line in text.splitlines() if line.strip()), ["0"])
        return all(np.isfinite(float(value)) for value in first) and float(first[0]).is_integer()
    except ValueError:
        return False
