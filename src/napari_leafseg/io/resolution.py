"""The scale that a file states: pixels a millimeter."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tifffile
from PIL import Image, UnidentifiedImageError

from napari_leafseg._files import check_regular
from napari_leafseg.errors import InputFileError, UserError, plain_reason
from napari_leafseg.io.axes import Said
from napari_leafseg.io.image_formats import is_tiff
from napari_leafseg.io.lazy import image_group, is_zarr
from napari_leafseg.io.tiff import CameraRaw, main_series

_LOG = logging.getLogger(__name__)

_PREFIXES = {"": 1000.0, "k": 1e6, "d": 100.0, "c": 10.0, "m": 1.0, "µ": 1e-3, "u": 1e-3, "n": 1e-6, "p": 1e-9}
_MM = {f"{prefix}m": length for prefix, length in _PREFIXES.items()} | {
    f"{prefix}{ending}": length
    for prefix, length in (("kilo", 1e6), ("", 1000.0), ("deci", 100.0), ("centi", 10.0), ("milli", 1.0),
                           ("micro", 1e-3), ("nano", 1e-6), ("pico", 1e-9))
    for ending in ("meter", "metre")
}  # fmt: skip
_MM |= {"micron": 1e-3, "inch": 25.4, "inche": 25.4, "in": 25.4, '"': 25.4, "″": 25.4, "mil": 0.0254, "thou": 0.0254,
        "foot": 304.8, "ft": 304.8, "angstrom": 1e-7, "ångström": 1e-7, "å": 1e-7}  # fmt: skip


def parse_number(text: Any) -> float | None:
    """Read a number as people and programs write it ("0.1", "0,1", "1 234,5", "1,234.5"); None where it is none."""
    if isinstance(text, int | float):
        return float(text)
    clean = re.sub(r"[\s\u00a0\u202f']", "", str(text))
    point, comma = clean.rfind("."), clean.rfind(",")
    if comma > point:
        clean = clean.replace(".", "").replace(",", ".") if clean.count(",") == 1 else clean.replace(",", "")
    elif point >= 0:
        clean = clean.replace(",", "")
    try:
        return float(clean)
    except ValueError:
        return None


def unit_length(unit: Any) -> float | None:
    """Return millimeters of a unit of length as ImageJ, OME and people write it; None where it is none."""
    text = str(unit or "").strip()
    text = re.sub(r"\\[uU]00[bB]5", "µ", text).replace("μ", "µ").replace("Â", "")
    if text in ("Å",):
        return _MM["å"]
    if text in ("Mm", "Gm"):  # megameters are nobody's
        return None
    text = text.lower().rstrip(".")
    return _MM.get(text, _MM.get(text.removesuffix("s") if len(text) > 2 else text))


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
    if is_zarr(path):
        return _of_zarr(path)
    check_regular(path)
    try:
        if is_tiff(path):
            with tifffile.TiffFile(path) as file:
                return _of_tiff(file)
        with Image.open(path) as image:
            dots = image.info.get("dpi")
    except UnidentifiedImageError as error:
        from napari_leafseg.io.images import read_image

        try:
            read_image(path)
        except InputFileError:
            raise InputFileError(f"Cannot read {path}: {plain_reason(error, path)}.") from error
        return None
    except Exception as error:  # decoders raise anything at all for damaged files
        raise InputFileError(f"Cannot read {path}: {plain_reason(error, path)}.") from error
    return float(dots[0]) / 25.4 if dots and dots[0] > 1 else None


def _of_zarr(path: Path) -> float | None:
    """Of the finest level of an OME-Zarr image."""
    try:
        _, attributes = image_group(path, Said())
        whole = attributes["multiscales"][0]
        axes = whole.get("axes") or []
        place = next(at for at, axis in enumerate(axes) if isinstance(axis, dict) and axis["name"].lower() == "x")
        unit = unit_length(axes[place].get("unit"))
        steps = [
            *whole["datasets"][0].get("coordinateTransformations", []),
            *whole.get("coordinateTransformations", []),
        ]
        size = 1.0
        for step in steps:
            if step.get("type") == "scale":
                size *= float(step["scale"][place])
    except UserError:
        raise
    except Exception:  # descriptions hold anything at all
        _LOG.debug("%s states no scale.", path, exc_info=True)
        return None
    return 1 / (size * unit) if unit and size > 0 and any(step.get("type") == "scale" for step in steps) else None


def _of_tiff(file: tifffile.TiffFile) -> float | None:
    try:
        page = main_series(file, Said()).keyframe
    except CameraRaw:
        page = file.pages.first
    return _of_ome(file) or _of_imagej(file, page) or _of_tags(page)


def _of_ome(file: tifffile.TiffFile) -> float | None:
    if not file.is_ome or not file.ome_metadata:
        return None
    try:  # not by tifffile, which takes "0,1" for two numbers
        found = ElementTree.fromstring(file.ome_metadata).iter()
    except ElementTree.ParseError:
        _LOG.debug("The OME description is no XML.", exc_info=True)
        return None
    pixels: Any = next((element for element in found if element.tag.rpartition("}")[2] == "Pixels"), {})
    size = parse_number(pixels.get("PhysicalSizeX", 0))
    unit = unit_length(pixels.get("PhysicalSizeXUnit", "µm"))
    return 1 / (size * unit) if size and unit else None


def _of_imagej(file: tifffile.TiffFile, page: tifffile.TiffPage) -> float | None:
    unit = unit_length((file.imagej_metadata or {}).get("unit", ""))
    dots = _tag(page, "XResolution")
    return dots / unit if unit and dots else None


def _of_tags(page: tifffile.TiffPage) -> float | None:
    dots, unit = _tag(page, "XResolution"), page.tags.get("ResolutionUnit")
    length = {2: 25.4, 3: 10.0}.get(int(unit.value)) if unit is not None else None
    return dots / length if dots and length and dots > 1 else None


def _tag(page: tifffile.TiffPage, name: str) -> float | None:
    tag = page.tags.get(name)
    return tag.value[0] / tag.value[1] if tag is not None and tag.value[1] else None
