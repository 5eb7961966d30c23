"""The scale that a file states: pixels a millimeter."""

from __future__ import annotations

from pathlib import Path

import tifffile
from PIL import Image

from napari_leafseg.errors import InputFileError

_MM = {"mm": 1.0, "millimeter": 1.0, "cm": 10.0, "centimeter": 10.0, "m": 1000.0, "inch": 25.4, "in": 25.4,
       "µm": 1e-3, "μm": 1e-3, "um": 1e-3, "micron": 1e-3, "nm": 1e-6, "\\u00b5m": 1e-3}  # fmt: skip


def read_resolution(path: str | Path) -> float | None:
    """Return pixels a millimeter as OME, ImageJ, TIFF or EXIF say it; None where the file says nothing.

    A camera's EXIF and most TIFF files state how large to print an image, which says nothing of a plant; a flatbed
    scanner, a microscope or somebody who set the scale in ImageJ state what is meant here. So it is a proposal.

    Raises
    ------
    InputFileError
        When the file cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() in {".tif", ".tiff"}:
        try:
            with tifffile.TiffFile(path) as file:
                return _of_ome(file) or _of_imagej(file) or _of_tags(file)
        except (OSError, tifffile.TiffFileError) as error:
            raise InputFileError(f"Cannot read {path}: {error}.") from error
    try:
        with Image.open(path) as image:
            dots = image.info.get("dpi")
    except OSError as error:
        raise InputFileError(f"Cannot read {path}: {error}.") from error
    return float(dots[0]) / 25.4 if dots and dots[0] > 1 else None


def _of_ome(file: tifffile.TiffFile) -> float | None:
    if not file.is_ome or not file.ome_metadata:
        return None
    pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
    pixels = (pixels[0] if isinstance(pixels, list) else pixels)["Pixels"]
    size = float(pixels.get("PhysicalSizeX", 0))
    unit = _MM.get(pixels.get("PhysicalSizeXUnit", "µm"))
    return 1 / (size * unit) if size and unit else None


def _of_imagej(file: tifffile.TiffFile) -> float | None:
    unit = _MM.get(str((file.imagej_metadata or {}).get("unit", "")))
    dots = _tag(file, "XResolution")
    return dots / unit if unit and dots else None


def _of_tags(file: tifffile.TiffFile) -> float | None:
    dots, unit = _tag(file, "XResolution"), file.pages.first.tags.get("ResolutionUnit")
    length = {2: 25.4, 3: 10.0}.get(int(unit.value)) if unit is not None else None
    return dots / length if dots and length and dots > 1 else None


def _tag(file: tifffile.TiffFile, name: str) -> float | None:
    tag = file.pages.first.tags.get(name)
    return tag.value[0] / tag.value[1] if tag is not None and tag.value[1] else None
