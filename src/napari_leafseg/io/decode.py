"""Decoding by content: each format's kept library, and what its numbers mean."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from napari_leafseg._extras import require
from napari_leafseg.errors import InputFileError, UserError, plain_reason
from napari_leafseg.io.axes import ReadOptions, Said, arrange, with_alpha
from napari_leafseg.io.image_formats import ImageFormat, format_of, loses_numbers, surely, what_it_is
from napari_leafseg.io.pillow_formats import by_pillow, needs_colors, rare_jpeg
from napari_leafseg.io.tiff import CameraRaw, lossy, read_tiff

Image.MAX_IMAGE_PIXELS = 1_000_000_000  # scanners make large images; 1 gigapixel is still refused


def decode(path: Path, content: bytes, options: ReadOptions, said: Said, numbers: bool = False) -> np.ndarray:
    """Decode a file by its content, not by its name.

    Parameters
    ----------
    path : pathlib.Path
        For messages.
    content : bytes
    options : ReadOptions
    said : Said
        Takes what was chosen.
    numbers : bool
        The numbers as they are stored, for label images: no colors of a palette, all planes.

    Raises
    ------
    InputFileError
        When it is no image, is damaged, or cannot be shown.
    """
    found = format_of(content, path)
    if found is None:
        raise InputFileError(f"{path} is {what_it_is(content)}")
    if numbers and loses_numbers(found, content):
        raise InputFileError(lossy(path, found.name))
    try:
        array = _decode(found, path, content, options, said, numbers)
    except UserError:
        raise
    except UnidentifiedImageError as error:
        if surely(found, content):
            raise InputFileError(
                f"{path} is damaged or cut off and cannot be read. Copy or export it again."
            ) from error
        raise InputFileError(f"{path} is {what_it_is(content)}") from error
    except Image.DecompressionBombError as error:
        raise InputFileError(
            f"{path} has more pixels than any image that can be worked on ({plain_reason(error, path)}). Export it "
            "smaller, or as tiles."
        ) from error
    except MemoryError as error:
        raise InputFileError(f"{path} does not fit into the memory. Export it smaller, or as tiles.") from error
    except Exception as error:  # decoders raise anything at all for damaged files
        raise InputFileError(
            f"{path} is damaged or cut off and cannot be read ({plain_reason(error, path)}). Copy or export it again."
        ) from error
    if array.size == 0:
        raise InputFileError(f"{path} is damaged or cut off: it holds no pixels. Copy or export it again.")
    return np.ascontiguousarray(array)


def _decode(
    found: ImageFormat, path: Path, content: bytes, options: ReadOptions, said: Said, numbers: bool
) -> np.ndarray:  # fmt: skip
    if found.decoder == "tiff":
        try:
            return read_tiff(content, str(path), options, said, numbers)
        except CameraRaw:
            return _raw(path, content)
    if found.decoder == "raw":
        return _raw(path, content)
    if found.decoder == "jpegxl":
        imagecodecs = _codecs(path, found.name)
        return _arranged(imagecodecs.jpegxl_decode(content), path, options, said)
    if found.decoder == "jpeg2000":
        if needs_colors(content):
            return by_pillow(found, content, numbers, path)
        return _arranged(_codecs(path, found.name).jpeg2k_decode(content), path, options, said)
    try:
        return by_pillow(found, content, numbers, path)
    except UnidentifiedImageError:
        if found.pillow != "JPEG":
            raise
        return _arranged(rare_jpeg(content, path), path, options, said)


def _codecs(path: Path, kind: str) -> Any:
    return require("imagecodecs", f"{path} is {kind}, which", "Or export it as PNG.", kind=InputFileError)


def _arranged(array: np.ndarray, path: Path, options: ReadOptions, said: Said) -> np.ndarray:
    """What imagecodecs decodes, (T, H, W, C), (H, W, C) or (H, W); its order of axes is always this."""
    if array.ndim > 2 and array.shape[-1] == 2:
        array = with_alpha(array)
    colors = array.ndim > 2 and array.shape[-1] <= 4
    axes = {2: "yx", 3: "yxs" if colors or array.shape[-1] < 16 else "tyx", 4: "tyxs"}.get(array.ndim, "?")
    if not colors:
        axes = axes.replace("s", "c")
    return np.asarray(arrange(array, axes, str(path), options, (), said))


def _raw(path: Path, content: bytes) -> np.ndarray:
    """Develop a camera raw file: white balance as the camera chose it, sRGB, 8 bits, upright."""
    rawpy = require(
        "rawpy", f"{path} is a camera raw file, which", "Or export it as TIFF or JPEG.", kind=InputFileError
    )
    try:
        with rawpy.imread(io.BytesIO(content)) as raw:
            return np.asarray(raw.postprocess(use_camera_wb=True))
    except rawpy.LibRawError as error:
        reason = plain_reason(error, path).removeprefix("b'").removesuffix("'")
        raise InputFileError(
            f"{path} is a camera raw file that cannot be developed ({reason}). Export it as TIFF or JPEG."
        ) from error
