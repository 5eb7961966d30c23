"""Images that Pillow decodes, and what it leaves to others: 16-bit colors, rare kinds of JPEG."""

from __future__ import annotations

import io
import logging
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from napari_leafseg._extras import installed, require
from napari_leafseg._opencv import cv2
from napari_leafseg.errors import InputFileError
from napari_leafseg.io.axes import upright, with_alpha
from napari_leafseg.io.color import frame_array
from napari_leafseg.io.image_formats import ImageFormat

_LOG = logging.getLogger(__name__)

PngImagePlugin.MAX_TEXT_CHUNK = 64 * 2**20  # bytes: microscopes and plotting programs put whole documents there
PngImagePlugin.MAX_TEXT_MEMORY = 256 * 2**20
_SERIES = {"GIF", "WEBP", "PNG", "AVIF"}  # several frames are a film; in other formats they are sizes or depth maps
_ORIENTED = {"JPEG", "MPO", "PNG", "WEBP", "AVIF"}
_RARE_JPEG = re.compile(rb"\xff(?:[\xc3\xf7]|[\xc0-\xc2]..\x0c)", re.S)  # lossless, JPEG-LS, 12 bits
_CMYK_SPACE = re.compile(rb"colr\x01..\0\0\0\x0c", re.S)


def by_pillow(found: ImageFormat, content: bytes, numbers: bool, path: Path) -> np.ndarray:
    """Decode an image or, where the format has such, a film of several frames.

    Parameters
    ----------
    found : ImageFormat
    content : bytes
    numbers : bool
        The numbers as they are stored, for label images: no colors of a palette, not spread over 8 or 16 bits.
    path : pathlib.Path
        For messages.

    Raises
    ------
    InputFileError
        When a package is missing that the image needs.
    """
    maxval = _maxval(content) if found.pillow == "PPM" else 0
    if content[:2] in (b"PF", b"P7") or (content[:2] in (b"P3", b"P6") and maxval > 255):
        return _by_opencv(content if content[:2] != b"P3" else content + b"\n")  # which ends the last number
    if found.pillow == "HEIF":
        register_heif()
    name = {"jpeg2000": "JPEG2000"}.get(found.decoder, found.pillow)
    with Image.open(io.BytesIO(content), formats=["HEIF", "AVIF"] if name == "HEIF" else [name]) as image:
        orientation = orientation_of(image) if image.format in _ORIENTED else 1
        if name == "PNG" and content[24:25] == b"\x10" and content[25:26] in (b"\x02", b"\x04", b"\x06"):
            array = _deep_png(content, path)
        elif numbers and image.mode == "P":
            array = np.array(image.convert("L") if name == "GIF" and _is_gray(image) else image)
        elif name in _SERIES and getattr(image, "n_frames", 1) > 1:
            return _film(image, orientation)
        else:
            array = _whole_numbers(frame_array(image), maxval)
            if numbers and array.ndim == 2:
                array = _as_stored(array, maxval or _gray_levels(content, name))
    return upright(array, orientation)


def orientation_of(image: Image.Image) -> int:
    """Return the orientation that an image's EXIF states, 1 to 8; 1 where it states none or is damaged."""
    if image.format == "PNG":
        image.load()  # EXIF may follow the pixels, whose damage is not EXIF's
    try:
        found = image.getexif().get(0x0112, 1)
    except Exception:  # of what cameras and phones wrote into it
        _LOG.debug("EXIF cannot be read.", exc_info=True)
        return 1
    return found if found in range(1, 9) else 1


def _film(image: Image.Image, orientation: int) -> np.ndarray:
    frames = []
    first = int(bool(getattr(image, "default_image", False)))  # what programs show that know no animated PNG
    for number in range(first, image.n_frames):  # type: ignore[attr-defined]
        image.seek(number)
        frames.append(np.array(image.convert("RGBA")))
    array = np.stack(frames) if len(frames) > 1 else frames[0]
    if array[..., 3].min() == 255:
        array = array[..., :3]
    return upright(array, orientation, array.ndim - 3)


def _codecs(path: Path, kind: str) -> Any:
    return require("imagecodecs", f"{path} is {kind}, which", "Or export it with 8 bits.", kind=InputFileError)


def _deep_png(content: bytes, path: Path) -> np.ndarray:
    """Colors of 16 bits, which Pillow cuts to 8."""
    array = np.asarray(_codecs(path, "a PNG image with 16 bits a color").png_decode(content))
    return with_alpha(array) if array.shape[-1] == 2 else array


def _by_opencv(content: bytes) -> np.ndarray:
    """Netpbm's kinds that Pillow does not read, or cuts to 8 bits."""
    array = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise ValueError("its pixels do not fit what it announces")
    if array.ndim == 3 and array.shape[-1] >= 3:
        array = array[..., [2, 1, 0, 3][: array.shape[-1]]]
    return with_alpha(array) if array.ndim == 3 and array.shape[-1] == 2 else array


def _maxval(content: bytes) -> int:
    """The value that a Netpbm file has for white; 0 where it names none."""
    words = re.sub(rb"#[^\r\n]*", b"", content[:1000]).split(None, 4)[:4]
    return int(words[3]) if content[1:2] in b"2356" and len(words) == 4 and words[3].isdigit() else 0


def _whole_numbers(array: np.ndarray, maxval: int) -> np.ndarray:
    """Netpbm's 16 bits, which Pillow gives as 32."""
    return array.astype(np.uint16) if maxval and array.dtype == np.int32 else array


def _gray_levels(content: bytes, name: str) -> int:
    """Largest value of a gray PNG of 2 or 4 bits, which Pillow spreads over 8; else 0."""
    return {2: 3, 4: 15}.get(content[24], 0) if name == "PNG" and content[25] == 0 else 0


def _as_stored(array: np.ndarray, top: int) -> np.ndarray:
    """Numbers that were spread over 8 or 16 bits as they are in the file."""
    if not top or array.dtype.kind != "u" or top in (255, 65535):
        return array
    return np.round(array.astype(float) * top / np.iinfo(array.dtype).max).astype(array.dtype)


def _is_gray(image: Image.Image) -> bool:
    colors = np.array(image.getpalette("RGB") or []).reshape(-1, 3)
    return bool((colors == colors[:, :1]).all())


def needs_colors(content: bytes) -> bool:
    """Tell whether a JPEG 2000 file has a palette or is CMYK, which imagecodecs gives as they are stored."""
    head = content[: max(0, content.find(b"jp2c"))]
    return b"pclr" in head or _CMYK_SPACE.search(head) is not None


def rare_jpeg(content: bytes, path: Path) -> np.ndarray:
    """Decode JPEG of 12 bits, lossless JPEG and JPEG-LS.

    Raises
    ------
    PIL.UnidentifiedImageError
        When it is none of them.
    InputFileError
        When the package is missing that decodes them.
    """
    if not installed("imagecodecs") and _RARE_JPEG.search(content) is None:
        raise UnidentifiedImageError("it is no rare kind of JPEG")
    imagecodecs = _codecs(path, "a rare kind of JPEG")
    try:
        decode = imagecodecs.jpegls_decode if b"\xff\xf7" in content[:4096] else imagecodecs.jpeg_decode
        return np.asarray(decode(content))
    except Exception as error:  # of libraries in C
        raise UnidentifiedImageError(str(error)) from error


@lru_cache(maxsize=1)
def register_heif() -> None:
    """Let Pillow open HEIC images."""
    from pi_heif import register_heif_opener

    register_heif_opener()
