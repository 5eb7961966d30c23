"""ImageJ's ROI sets: a zip file of polygons."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
from roifile import ROI_TYPE, ImagejRoi

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError
from napari_leafseg.io.polygons import draw_polygons, leaf_polygons, without_holes

_NAME = re.compile(r"leaf (\d+)")


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
    """Read a ROI set for an image of a shape, uint16 (H, W); ROIs of other names count on from the largest.

    Raises
    ------
    InputFileError
        When it is no ROI set.
    """
    labels = np.zeros(shape, np.uint16)
    try:
        with zipfile.ZipFile(path) as archive:
            rois = [ImagejRoi.frombytes(archive.read(name)) for name in archive.namelist() if name.endswith(".roi")]
    except OSError as error:
        raise InputFileError(f"Cannot read {path}: {error.strerror}.") from error
    except (zipfile.BadZipFile, ValueError, struct.error) as error:
        raise InputFileError(f"{path} is no ImageJ ROI set ({error}).") from error
    named = [(_NAME.match(roi.name or ""), roi) for roi in rois]
    largest = max((int(name[1]) for name, _ in named if name), default=0)
    for name, roi in named:
        if not name:
            largest += 1
        draw_polygons(labels, int(name[1]) if name else largest, [np.asarray(roi.coordinates())])
    return labels
