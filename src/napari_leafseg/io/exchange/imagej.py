"""ImageJ's ROIs: a zip file of them, or a single one; polygons are written, all that enclose something are read."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
from roifile import ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from napari_leafseg._files import read_regular, write_atomically
from napari_leafseg.errors import InputFileError
from napari_leafseg.io.exchange.canvas import Canvas
from napari_leafseg.io.exchange.names import labeled_path
from napari_leafseg.io.exchange.reading import (
    LARGEST_FILE,
    Found,
    Reading,
    entry,
    explained,
    read_alone,
)
from napari_leafseg.io.polygons import leaf_polygons, without_holes

_NAME = re.compile(r"leaf (\d{1,10})(?: part \d+)?$")
_SHAPES = {ROI_TYPE.POLYGON, ROI_TYPE.RECT, ROI_TYPE.OVAL, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED}
_NO_SHAPES = {ROI_SUBTYPE.TEXT, ROI_SUBTYPE.ARROW, ROI_SUBTYPE.IMAGE}


def write_imagej(path: str | Path, labels: np.ndarray) -> None:
    """Write labels (H, W) as ``leaf 7`` or, for leaves in pieces or with holes, ``leaf 7 part 2`` …"""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for leaf, shape in leaf_polygons(labels).items():
            rings = without_holes(shape)
            for part, ring in enumerate(rings, start=1):
                name = f"leaf {leaf}" if len(rings) == 1 else f"leaf {leaf} part {part}"
                roi = ImagejRoi.frompoints(ring.astype(np.int32), name=name)
                roi.roitype = ROI_TYPE.POLYGON
                archive.writestr(f"{name}.roi", roi.tobytes())
    write_atomically(Path(path), buffer.getvalue())


def read_imagej(path: str | Path, shape: tuple[int, int]) -> np.ndarray:
    """Read a ROI set, or a single ROI, for an image of a shape, uint16 (H, W); other names than ours count on.

    Raises
    ------
    InputFileError
        When it is no ROI set.
    """
    found: dict[str, np.ndarray] = read_alone(iterate_imagej, path, Reading(lambda names: dict.fromkeys(names, shape)))
    return found[labeled_path(Path(path))]


def iterate_imagej(path: Path, reading: Reading) -> Found:
    """Read the labels of a file whose image is known."""
    with explained(path, "ImageJ ROI set"):
        rois = _rois(path)
        plane = reading.plane(labeled_path(path))
        if plane is not None:
            canvas = Canvas(plane, reading)
            for number, roi in enumerate(rois, start=1):
                with entry(f"ROI {roi.name or number}"):
                    _draw(canvas, roi)
            yield labeled_path(path), canvas.labels()


def _rois(path: Path) -> list[ImagejRoi]:
    content = read_regular(path, LARGEST_FILE, whole=True)
    if content[:4] == b"Iout":
        return [ImagejRoi.frombytes(content)]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [item for item in archive.infolist() if _is_roi(item.filename)]
        if archive.infolist() and not entries:
            raise InputFileError(f"{path} is no ImageJ ROI set: it holds no .roi file")
        if sum(item.file_size for item in entries) > LARGEST_FILE:
            raise InputFileError(f"{path} unpacks to more than {LARGEST_FILE >> 20} MB. Export fewer ROIs at once")
        return [ImagejRoi.frombytes(archive.read(item)) for item in entries]


def _is_roi(name: str) -> bool:
    file = PurePosixPath(name).name
    return file.lower().endswith(".roi") and not file.startswith("._")  # macOS's notes


def _draw(canvas: Canvas, roi: ImagejRoi) -> None:
    match = _NAME.match(roi.name or "")
    if roi.subtype in _NO_SHAPES or not (roi.composite or roi.roitype in _SHAPES):
        kind = roi.subtype if roi.subtype in _NO_SHAPES else roi.roitype
        canvas.reading.leave_out(f"{kind.name.lower()}, which encloses nothing")
    else:
        canvas.polygon(int(match[1]) if match else object(), list(roi.coordinates(multi=True)))
