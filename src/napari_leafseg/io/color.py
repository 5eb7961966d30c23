"""Colors of files to RGB: CMYK, Lab, YCbCr, palettes, transparency."""

from __future__ import annotations

import io
import logging
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageCms

_LOG = logging.getLogger(__name__)


def cmyk_to_rgb(array: np.ndarray) -> np.ndarray:
    """Convert cyan, magenta, yellow and black, (…, 4), to RGB."""
    top = 1.0 if array.dtype.kind == "f" else np.iinfo(array.dtype).max
    light = top - array.astype(np.float64)
    rgb = light[..., :3] * light[..., 3:] / top
    return (rgb if array.dtype.kind == "f" else np.round(rgb)).astype(array.dtype)


def ycbcr_to_rgb(array: np.ndarray) -> np.ndarray:
    """Convert luma and chroma of full range, (…, 3), to RGB."""
    top = 1.0 if array.dtype.kind == "f" else float(np.iinfo(array.dtype).max)
    y, b, r = np.moveaxis(array.astype(np.float64), -1, 0)
    b, r = b - (top + 1) // 2, r - (top + 1) // 2
    rgb = np.stack([y + 1.402 * r, y - 0.344136 * b - 0.714136 * r, y + 1.772 * b], -1)
    return np.clip(rgb if array.dtype.kind == "f" else np.round(rgb), 0, top).astype(array.dtype)


def lab_to_rgb(array: np.ndarray, kind: int = 8) -> np.ndarray:
    """Convert CIE Lab, (…, 3), to RGB uint8; `kind` is TIFF's photometric: 8 has signed a, b, 9 and 10 an offset."""
    if array.dtype.itemsize == 2:
        array = (array >> 8).astype(np.uint8)
    values = np.ascontiguousarray(array).view(np.uint8).copy()
    if kind == 8:
        values[..., 1:] ^= 128
    planes = [Image.fromarray(np.ascontiguousarray(values[..., at]).reshape(-1, values.shape[-2])) for at in range(3)]
    return np.asarray(_lab(Image.merge("LAB", planes))).reshape(array.shape)


def _lab(image: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(image, _lab_transform())
    assert converted is not None
    return converted


@lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")


def without_premultiplied(colors: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Restore colors that were multiplied with their opacity to what they were before."""
    top = 1.0 if colors.dtype.kind == "f" else float(np.iinfo(colors.dtype).max)
    share = np.where(opacity > 0, opacity, top) / top
    plain = np.where(opacity > 0, colors / share, 0)
    return np.clip(plain if colors.dtype.kind == "f" else np.round(plain), 0, top).astype(colors.dtype)


def frame_array(image: Image.Image) -> np.ndarray:
    """Read a frame of a Pillow image: (H, W), (H, W, 3) or, where it has transparency, (H, W, 4)."""
    mode = image.mode
    if mode == "CMYK":
        profile = image.info.get("icc_profile")
        if image.format == "JPEG" and "adobe" not in image.info:
            image = ImageChops.invert(image)  # Pillow takes all for Adobe's, whose inks are inverted
        return np.array(_by_profile(image, profile) or image.convert("RGB"))
    if mode == "LAB":
        return np.array(_lab(image))
    if mode in ("P", "PA"):
        return (
            _opaque(np.array(image.convert("RGBA"))) if image.has_transparency_data else np.array(image.convert("RGB"))
        )
    if mode in ("RGBX", "YCbCr", "HSV"):
        return np.array(image.convert("RGB"))
    if mode == "La":
        return np.array(image.convert("LA").convert("RGBA"))
    if mode in ("LA", "RGBa") or (mode in ("1", "L", "RGB") and image.has_transparency_data):
        return np.array(image.convert("RGBA"))
    array = np.array(image)
    clear = image.info.get("transparency")
    if mode.startswith("I;16") and isinstance(clear, int):
        return np.dstack([array] * 3 + [np.where(array == clear, 0, 65535).astype(array.dtype)])
    return array


def _opaque(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array[..., :3]) if array[..., 3].min(initial=255) == 255 else array


def _by_profile(image: Image.Image, profile: bytes | None) -> Any:
    """CMYK to RGB as the file's own profile says; None where it has none that fits."""
    if not profile:
        return None
    try:
        return ImageCms.profileToProfile(
            image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        _LOG.debug("A color profile cannot be used.", exc_info=True)
        return None
