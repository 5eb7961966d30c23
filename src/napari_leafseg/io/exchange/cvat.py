"""CVAT for images 1.1: one XML file; simple leaves are polygons, leaves with holes or in pieces are masks."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import numpy as np

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError
from napari_leafseg.io.exchange.canvas import Canvas
from napari_leafseg.io.exchange.reading import Found, Reading, entry, explained, load_text, read_alone
from napari_leafseg.io.exchange.run_lengths import decode_runs, parse_counts
from napari_leafseg.io.polygons import Box, ellipse, leaf_boxes, outline

_HEAD = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><labels><label><name>leaf</name><attributes><attribute><name>leaf</name><mutable>False</mutable>
  <input_type>number</input_type><default_value>0</default_value><values>0
2147483647
1</values></attribute></attributes></label></labels></task></meta>
"""
_SHAPES = {"polygon", "mask", "box", "ellipse"}
_NO_SHAPES = {"polyline", "points", "cuboid", "skeleton", "tag"}


def write_cvat(path: str | Path, items: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write labels of images.

    Parameters
    ----------
    path : path
        ``….xml``
    items : iterable of (str, numpy.ndarray)
        File name of an image and its labels, integer (H, W).
    """
    text = io.StringIO()
    text.write(_HEAD)
    for number, (name, labels) in enumerate(items):
        height, width = labels.shape
        text.write(f'  <image id="{number}" name={quoteattr(name)} width="{width}" height="{height}">\n')
        for leaf, place in leaf_boxes(labels):
            text.write(_element(leaf, place, labels[place] == leaf))
        text.write("  </image>\n")
    text.write("</annotations>\n")
    write_atomically(Path(path), text.getvalue().encode())


def _element(leaf: int, place: Box, inside: np.ndarray) -> str:
    top, left = place[0].start, place[1].start
    parts = outline(inside, top, left).geoms
    common = f'label="leaf" source="manual" occluded="0" z_order="0" group_id="{leaf}"'
    if len(parts) == 1 and not parts[0].interiors:
        points = ";".join(f"{x:.2f},{y:.2f}" for x, y in parts[0].exterior.coords[:-1])
        head, tag = f'<polygon {common} points="{points}">', "polygon"
    else:
        edges = np.flatnonzero(np.diff(inside.ravel().astype(np.int8), prepend=0, append=0))
        counts = np.diff(edges, prepend=0, append=inside.size).tolist()
        runs = ", ".join(map(str, counts if counts[-1] else counts[:-1]))
        height, width = inside.shape
        head = f'<mask {common} rle="{runs}" left="{left}" top="{top}" width="{width}" height="{height}">'
        tag = "mask"
    return f'    {head}<attribute name="leaf">{leaf}</attribute></{tag}>\n'


def read_cvat(path: str | Path) -> dict[str, np.ndarray]:
    """Read labels by image's name: polygons, masks, boxes and ellipses, ours and others'.

    Raises
    ------
    InputFileError
        When it is no CVAT file, or its masks do not fit its images.
    """
    found: dict[str, np.ndarray] = read_alone(iterate_cvat, path)
    return found


def iterate_cvat(path: Path, reading: Reading) -> Found:
    """Read the labels of those images of a file that are known, one after the other."""
    with explained(path, "CVAT file"):
        root = _root(path)
        images = root.findall("image")
        declared = {item.attrib["name"]: (int(item.attrib["height"]), int(item.attrib["width"])) for item in images}
        planes, leaves = reading.planes(declared, declared), reading.leaves(_count(root))
        reading.leave_out("track of a video", len(root.findall("track")))
        doubled = reading.refuse_doubles([item.attrib["name"] for item in images])
        for item in images:
            name = item.attrib["name"]
            if name in planes and name not in doubled:
                canvas = Canvas(planes[name], reading)
                for number, element in enumerate(item, start=1):
                    with entry(f"shape {number} of “{name}”"):
                        _draw(canvas, element, leaves)
                yield name, canvas.labels()


def _root(path: Path) -> ElementTree.Element:
    text = load_text(path)
    if re.search(r"<!\s*(DOCTYPE|ENTITY)", text, re.I):
        raise InputFileError(f"{path} declares entities, which no CVAT file does")
    root = ElementTree.fromstring(text)
    if root.tag != "annotations":
        raise InputFileError(f"{path} is no CVAT file: it begins with <{root.tag[:40]}>")
    if root.find("image") is None and root.find("track") is not None:
        raise InputFileError(f"{path} holds tracks of a video. Export it as “CVAT for images 1.1”")
    return root


def _draw(canvas: Canvas, element: ElementTree.Element, leaves: set[str]) -> None:
    kind, given = element.attrib.get("label", ""), element.attrib
    if element.tag not in _SHAPES:
        if element.tag in _NO_SHAPES:
            canvas.reading.leave_out(f"{element.tag}, which encloses nothing")
    elif kind not in leaves:
        canvas.reading.leave_out(f"“{kind}”")
    elif element.tag == "mask":
        top, left, height, width = (int(float(given[side])) for side in ("top", "left", "height", "width"))
        inside = 0 <= top <= top + height <= canvas.shape[0] and 0 <= left <= left + width <= canvas.shape[1]
        if not inside:
            raise InputFileError(f"a mask at {left}, {top} of {width} × {height} pixels reaches beyond its image")
        (rows, columns), mask = decode_runs(parse_counts(given["rle"]), (height, width), by_row=True)
        canvas.mask(
            _leaf(element),
            (slice(top + rows.start, top + rows.stop), slice(left + columns.start, left + columns.stop)),
            mask,
        )
    else:
        canvas.polygon(_leaf(element), [_points(element)])


def _points(element: ElementTree.Element) -> np.ndarray:
    given = element.attrib
    if element.tag == "polygon":
        return np.array([point.split(",") for point in given["points"].split(";")], float)
    if element.tag == "ellipse":
        points = ellipse(*(float(given[side]) for side in ("cx", "cy", "rx", "ry")))
    else:
        left, top, right, bottom = (float(given[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
        points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    angle = np.deg2rad(float(given.get("rotation", 0)))
    center = (points.min(0) + points.max(0)) / 2
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned: np.ndarray = (points - center) @ turn + center
    return turned


def _leaf(element: ElementTree.Element) -> object:
    """A leaf's number: the attribute that we write, else its group's."""
    number = element.findtext("attribute[@name='leaf']") or element.attrib.get("group_id") or ""
    return int(number) if number.isascii() and number.isdigit() and len(number) < 11 and int(number) else object()


def _count(root: ElementTree.Element) -> Counter[str]:
    return Counter(
        element.attrib.get("label", "")
        for image in root.findall("image")
        for element in image
        if element.tag in _SHAPES
    )


def count_cvat(path: Path) -> Counter[str]:
    """Count the shapes of each class."""
    with explained(path, "CVAT file"):
        return _count(_root(path))
