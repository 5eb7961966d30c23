"""Decoding by content: each format's kept library, and what its numbers mean."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from napari_leafseg._opencv import cv2
from napari_leafseg.errors import InputFileError, UserError
from napari_leafseg.io.axes import ReadOptions, Said, arrange, upright, with_alpha
from napari_leafseg.io.color import frame_array
from napari_leafseg.io.image_formats import ImageFormat, format_of, what_it_is
from napari_leafseg.io.tiff import CameraRaw, read_tiff

Image.MAX_IMAGE_PIXELS = 1_000_000_000  # scanners make large images; 1 gigapixel is still refused
_SERIES = {"GIF", "WEBP", "PNG", "AVIF"}  # several frames are a film; in other formats they are sizes or depth maps


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
    try:
        array = _decode(found, path, content, options, said, numbers)
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise InputFileError(f"{path} is {what_it_is(content)}") from error
    except MemoryError as error:
        raise InputFileError(f"{path} does not fit into the memory. Export it smaller, or as tiles.") from error
    except Exception as error:  # decoders raise anything at all for damaged files
        raise InputFileError(
            f"{path} is damaged or cut off and cannot be read ({_first_line(error)}). Copy or export it again."
        ) from error
    if array.size == 0:
        raise InputFileError(f"{path} is damaged or cut off: it holds no pixels. Copy or export it again.")
    return np.ascontiguousarray(array)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


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
        import imagecodecs

        return _arranged(imagecodecs.jpegxl_decode(content), path, options, said)
    if found.decoder == "jpeg2000":
        import imagecodecs

        return _arranged(imagecodecs.jpeg2k_decode(content), path, options, said)
    return _pillow(found, content, numbers)


def _arranged(array: np.ndarray, path: Path, options: ReadOptions, said: Said) -> np.ndarray:
    """What imagecodecs decodes, (T, H, W, C), (H, W, C) or (H, W); its order of axes is always this."""
    if array.ndim > 2 and array.shape[-1] == 2:
        array = with_alpha(array)
    colors = array.ndim > 2 and array.shape[-1] <= 4
    axes = {2: "yx", 3: "yxs" if colors or array.shape[-1] < 16 else "tyx", 4: "tyxs"}.get(array.ndim, "?")
    if not colors:
        axes = axes.replace("s", "c")
    return np.asarray(arrange(array, axes, str(path), options, (), said))


def _pillow(found: ImageFormat, content: bytes, numbers: bool) -> np.ndarray:
    """What Pillow decodes; several frames are a series where the format has such."""
    if content[:2] == b"P6":
        deep = _deep_netpbm(content)
        if deep is not None:
            return deep
    if found.pillow == "HEIF":
        _register_heif()
    formats = {"HEIF": ["HEIF", "AVIF"], "AVIF": ["AVIF"], "JPEG": ["JPEG", "MPO"]}.get(found.pillow, [found.pillow])
    with Image.open(io.BytesIO(content), formats=formats) as image:
        orientation = image.getexif().get(0x0112, 1) if image.format in {"JPEG", "MPO", "PNG", "WEBP", "AVIF"} else 1
        if numbers and image.mode == "P":
            array = np.array(image)
        elif found.pillow == "PNG" and content[24:25] == b"\x10" and content[25:26] in (b"\x02", b"\x04", b"\x06"):
            array = _deep_png(content)
        elif found.pillow in _SERIES and getattr(image, "n_frames", 1) > 1:
            return _film(image, orientation)
        else:
            array = frame_array(image)
    return upright(array, orientation)


def _film(image: Image.Image, orientation: int) -> np.ndarray:
    frames = []
    for number in range(image.n_frames):  # type: ignore[attr-defined]
        image.seek(number)
        frames.append(np.array(image.convert("RGBA")))
    array = np.stack(frames)
    if array[..., 3].min() == 255:
        array = array[..., :3]
    return upright(array, orientation, 1)


def _deep_png(content: bytes) -> np.ndarray:
    """Colors of 16 bits, which Pillow cuts to 8."""
    import imagecodecs

    array = imagecodecs.png_decode(content)
    return with_alpha(array) if array.shape[-1] == 2 else array


def _deep_netpbm(content: bytes) -> np.ndarray | None:
    """Colors of more than 8 bits, which Pillow cuts to 8; None where there are 8 or fewer."""
    array = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return None if array is None or array.dtype == np.uint8 else array[..., ::-1]


@lru_cache(maxsize=1)
def _register_heif() -> None:
    from pi_heif import register_heif_opener

    register_heif_opener()


def _raw(path: Path, content: bytes) -> np.ndarray:
    """Develop a camera raw file: white balance as the camera chose it, sRGB, 8 bits, upright."""
    try:
        import rawpy
    except ImportError as error:
        raise InputFileError(
            f"{path} is a camera raw file. Install what develops it (pip install napari-leafseg[raw]), or export it as "
            "TIFF or JPEG."
        ) from error
    try:
        with rawpy.imread(io.BytesIO(content)) as raw:
            return raw.postprocess(use_camera_wb=True)
    except rawpy.LibRawError as error:
        reason = _first_line(error).removeprefix("b'").removesuffix("'")
        raise InputFileError(
            f"{path} is a camera raw file that cannot be developed ({reason}). Export it as TIFF or JPEG."
        ) from error
