"""Files of many kinds, all of one sample image: what each holds, or why it is refused.

`data` holds those that other programs wrote or that are small; the others are made when they are asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from PIL import Image

DATA = Path(__file__).parent / "data"
RGB = np.array(Image.open(DATA / "ref.png").convert("RGB"))
GRAY = np.array(Image.open(DATA / "ref.png").convert("L"))
_BLACK_FRAME = np.pad(np.ones((108, 108), bool), 10)


class Case(NamedTuple):
    """What a file is read as.

    Attributes
    ----------
    array : numpy.ndarray
    off : float
        Mean difference that the format's own loss allows, in gray values of 255; 0 = the same array, type and all.
    channels : tuple of int, optional
    say : str
        A word of the notes.
    """

    array: np.ndarray
    off: float = 0.0
    channels: tuple[int, ...] | None = None
    say: str = ""


def _series(frame: np.ndarray, count: int) -> np.ndarray:
    return np.stack([frame if frame.ndim == 3 else frame[..., None]] * count)


def _read(name: str, mode: str) -> np.ndarray:
    return np.array(Image.open(DATA / name).convert(mode))


READ: dict[str, Case] = {
    "UPPER.JPG": Case(RGB, 0.6),
    "UPPER.TIF": Case(RGB),
    "bmp24.bmp": Case(RGB),
    "bmp32.bmp": Case(RGB),
    "bmp_pal.bmp": Case(RGB, 1.5),
    **{
        f"exif{turn}.{ending}": Case(RGB, 0.6 if ending == "jpg" else 0)
        for turn, ending in (
            (2, "jpg"),
            (3, "jpg"),
            (4, "jpg"),
            (5, "jpg"),
            (6, "jpg"),
            (8, "jpg"),
            (3, "png"),
            (6, "png"),
            (3, "webp"),
            (6, "webp"),
        )
    },
    "gif_anim.gif": Case(_series(RGB, 2), 30),
    "gif_in_png_name.png": Case(RGB, 1.8),
    "ij_c2_grey.tif": Case(GRAY, channels=(1,), say="Channel 1 of 2"),
    "ij_c3_grey.tif": Case(RGB),
    "ij_c4_rgbnir.tif": Case(RGB, channels=(1, 2, 3), say="1, 2, 3 of 4"),
    "ij_rgb_stack.tif": Case(_series(RGB, 3)),
    "ij_t3_grey.tif": Case(_series(GRAY, 3)),
    "ij_tcyx.tif": Case(_series(RGB, 3)),
    "ij_z5_grey.tif": Case(GRAY, say="5 z-planes"),
    "jpg_cmyk.jpg": Case(RGB, 0.5),
    "jpg_grey.jpg": Case(GRAY, 0.3),
    "jpg_mpo.jpg": Case(RGB, 0.6),
    "ome_12bit.ome.tif": Case(GRAY.astype(np.uint16) * 16),
    "ome_5ch.ome.tif": Case(RGB, channels=(1, 2, 3), say="of 5"),
    "ome_cyx.ome.tif": Case(RGB),
    "ome_tcyx.ome.tif": Case(_series(RGB, 2)),
    "ome_xyc.ome.tif": Case(RGB),
    "phone.heic": Case(RGB, 0.8),
    "photo.avif": Case(RGB, 1.2),
    "photo.jp2": Case(RGB),
    "photo.ppm": Case(RGB),
    "photo.tga": Case(RGB),
    "png_1bit.png": Case(_read("png_1bit.png", "L") > 0),
    "png_apng.png": Case(_series(RGB, 2), 90),
    "png_grey12in16.png": Case(GRAY.astype(np.uint16) * 16),
    "png_la.png": Case(np.dstack([GRAY] * 3 + [_read("png_la.png", "RGBA")[..., 3]])),
    "png_palette_alpha.png": Case(_read("png_palette_alpha.png", "RGBA")),
    "png_palette_trns.png": Case(_read("png_palette_trns.png", "RGBA")),
    "png_rgb12in16.png": Case(RGB.astype(np.uint16) * 16),
    "png_rgb16.png": Case(RGB.astype(np.uint16) * 257),
    "png_rgba16.png": Case(np.dstack([RGB.astype(np.uint16) * 257, np.full(GRAY.shape, 65535, np.uint16)])),
    "png_rgba_hole.png": Case(_read("png_rgba_hole.png", "RGBA")),
    "raw_like.NEF": Case(np.kron(RGB, np.ones((4, 4, 1), np.uint8))),
    "ref.png": Case(RGB),
    "tif_12bit_in16.tif": Case(RGB.astype(np.uint16) * 16),
    "tif_1bit_g4.tif": Case(_read("png_1bit.png", "L") > 0),
    "tif_bigendian.tif": Case(RGB),
    "tif_bigtiff.tif": Case(RGB),
    "tif_bool_1bit.tif": Case(_read("tif_bool_1bit.tif", "L") > 0),
    "tif_cmyk.tif": Case(RGB),
    "tif_deflate.tif": Case(RGB),
    "tif_float16.tif": Case((GRAY / 255).astype(np.float16)),
    "tif_float64.tif": Case(GRAY / 255.0),
    "tif_float_f01.tif": Case((RGB / 255).astype(np.float32)),
    "tif_float_f255.tif": Case(RGB.astype(np.float32)),
    "tif_float_f65535.tif": Case((RGB * 257.0).astype(np.float32)),
    "tif_float_nan_border.tif": Case(np.where(_BLACK_FRAME[..., None], RGB / 255, np.nan).astype(np.float32)),
    "tif_int16_neg.tif": Case(GRAY.astype(np.int16) - 128),
    "tif_jpeg2000.tif": Case(RGB),
    "tif_jpeg_ycbcr.tif": Case(RGB, 0.6),
    "tif_jpegxl.tif": Case(RGB),
    "tif_lzma.tif": Case(RGB),
    "tif_lzw.tif": Case(RGB),
    "tif_miniswhite.tif": Case(GRAY),
    "tif_nir16_dark.tif": Case(GRAY.astype(np.uint16) * 3),
    "tif_orient6.tif": Case(RGB),
    "tif_packbits.tif": Case(RGB),
    **{f"tif_pages{count}_grey.tif": Case(_series(GRAY, count)) for count in (2, 3, 5)},
    **{f"tif_pages{count}_rgb.tif": Case(_series(RGB, count)) for count in (2, 3)},
    "tif_palette.tif": Case(RGB, 1.6),
    "tif_planar_chw.tif": Case(RGB),
    "tif_png.tif": Case(RGB),
    "tif_pyramid.tif": Case(RGB),
    "tif_thumb_first.tif": Case(RGB),
    "tif_tiled.tif": Case(RGB),
    "tif_uint32.tif": Case(GRAY.astype(np.uint32) * 1_000_000),
    "tif_zstd.tif": Case(RGB),
    "webp_alpha.webp": Case(_read("webp_alpha.webp", "RGBA")),
    "webp_anim.webp": Case(_series(RGB, 2), 90),
    "webp_lossless.webp": Case(RGB),
}

REFUSED = {
    "._ref.png": "macOS keeps notes",
    "array.npy": "an array of NumPy",
    "cut.jpg": "damaged or cut off",
    "cut.png": "damaged or cut off",
    "cut.tif": "damaged or cut off",
    "download.jpg": "a web page",
    "empty.jpg": "is empty",
    "lfs.png": "a pointer of Git LFS",
    "coco_leaf_and_pot.json": "it is a text",
    "labelme_ai_mask.json": "it is a text",
    "tif_complex.tif": "complex64, which are no brightnesses",
    "ij_c2_grey.tif": "has 2 channels",
    "ij_c4_rgbnir.tif": "has 4 channels",
    "ome_5ch.ome.tif": "has 5 channels",
}


def _tiff(array: np.ndarray, **options: Any) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(
        path, array, **{"photometric": "rgb" if array.shape[-1] == 3 else "minisblack"} | options
    )


def _pillow(image: np.ndarray, **options: Any) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(image).save(path, **options)


def _pages(path: Path, frame: np.ndarray, count: int) -> None:
    with tifffile.TiffWriter(path) as file:
        for _ in range(count):
            file.write(frame, photometric="rgb" if frame.ndim == 3 else "minisblack", metadata=None)


def _pyramid(path: Path) -> None:
    with tifffile.TiffWriter(path) as file:
        file.write(RGB, photometric="rgb", subifds=2)
        for step in (2, 4):
            file.write(RGB[::step, ::step], photometric="rgb", subfiletype=1)


def _thumbnail_first(path: Path) -> None:
    with tifffile.TiffWriter(path) as file:
        file.write(RGB[::8, ::8], photometric="rgb", subfiletype=1)
        file.write(RGB, photometric="rgb")


def _raw_like(path: Path) -> None:
    with tifffile.TiffWriter(path) as file:
        file.write(RGB[:120].repeat(2, 1)[:, :160], photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        file.write(np.kron(RGB, np.ones((4, 4, 1), np.uint8)), photometric="rgb", compression="zlib", metadata=None)


def _bmp32(path: Path) -> None:
    """A BMP of 32 bits without transparency, as Windows programs write it."""
    pixels = np.dstack([RGB[::-1, :, ::-1], np.zeros(GRAY.shape, np.uint8)]).tobytes()
    head = struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54)
    path.write_bytes(head + struct.pack("<IiiHHIIiiII", 40, 128, 128, 1, 32, 0, len(pixels), 0, 0, 0, 0) + pixels)


def _frames(path: Path, **options: Any) -> None:
    first, second = Image.fromarray(RGB), Image.fromarray(RGB[:, ::-1].copy())
    first.save(path, save_all=True, append_images=[second], **options)


_CHANNELS = RGB.transpose(2, 0, 1)
MADE: dict[str, Callable[[Path], None]] = {
    "UPPER.TIF": _tiff(RGB),
    "array.npy": lambda path: np.save(path, RGB),
    "bmp24.bmp": _pillow(RGB),
    "bmp32.bmp": _bmp32,
    "ij_c3_grey.tif": _tiff(_CHANNELS, imagej=True, metadata={"axes": "CYX"}),
    "ij_c4_rgbnir.tif": _tiff(np.stack([*_CHANNELS, GRAY]), imagej=True, metadata={"axes": "CYX"}),
    "ij_rgb_stack.tif": _tiff(np.stack([RGB] * 3), imagej=True, metadata={"axes": "TYXS"}),
    "ij_t3_grey.tif": _tiff(np.stack([GRAY] * 3), imagej=True, metadata={"axes": "TYX"}),
    "ij_tcyx.tif": _tiff(np.stack([_CHANNELS] * 3), imagej=True, metadata={"axes": "TCYX"}),
    "ij_z5_grey.tif": _tiff(np.stack([GRAY] * 5), imagej=True, metadata={"axes": "ZYX"}),
    "ome_5ch.ome.tif": _tiff(np.stack([*_CHANNELS, GRAY, GRAY]), metadata={"axes": "CYX"}),
    "ome_cyx.ome.tif": _tiff(_CHANNELS, metadata={"axes": "CYX"}),
    "ome_tcyx.ome.tif": _tiff(np.stack([_CHANNELS] * 2), metadata={"axes": "TCYX"}),
    "ome_xyc.ome.tif": _tiff(RGB, metadata={"axes": "YXS"}),
    "photo.ppm": _pillow(RGB),
    "photo.tga": _pillow(RGB),
    "png_apng.png": _frames,
    "raw_like.NEF": _raw_like,
    "tif_12bit_in16.tif": _tiff(RGB.astype(np.uint16) * 16),
    "tif_bigendian.tif": _tiff(RGB, byteorder=">"),
    "tif_bigtiff.tif": _tiff(RGB, bigtiff=True),
    "tif_cmyk.tif": lambda path: Image.fromarray(RGB).convert("CMYK").save(path),
    "tif_complex.tif": _tiff(GRAY.astype(np.complex64)),
    "tif_float64.tif": _tiff(GRAY / 255.0),
    "tif_float_f01.tif": _tiff((RGB / 255).astype(np.float32)),
    "tif_float_f255.tif": _tiff(RGB.astype(np.float32)),
    "tif_float_f65535.tif": _tiff((RGB * 257.0).astype(np.float32)),
    "tif_float_nan_border.tif": _tiff(READ["tif_float_nan_border.tif"].array),
    "tif_lzw.tif": _tiff(RGB, compression="lzw"),
    "tif_packbits.tif": _tiff(RGB, compression="packbits"),
    "tif_orient6.tif": _tiff(np.rot90(RGB), extratags=[(274, "H", 1, 6, True)]),
    **{f"tif_pages{count}_grey.tif": lambda path, count=count: _pages(path, GRAY, count) for count in (2, 3, 5)},
    **{f"tif_pages{count}_rgb.tif": lambda path, count=count: _pages(path, RGB, count) for count in (2, 3)},
    "tif_planar_chw.tif": _tiff(_CHANNELS, planarconfig="separate", photometric="rgb"),
    "tif_pyramid.tif": _pyramid,
    "tif_thumb_first.tif": _thumbnail_first,
    "tif_tiled.tif": _tiff(RGB, tile=(64, 64)),
    "tif_uint32.tif": _tiff(GRAY.astype(np.uint32) * 1_000_000),
    "webp_anim.webp": lambda path: _frames(path, lossless=True),
    "coco_leaf_and_pot.json": lambda path: path.write_text('{"images": [], "annotations": []}'),
    "labelme_ai_mask.json": lambda path: path.write_text('{"shapes": []}'),
}


def case_file(name: str, folder: Path) -> Path:
    """The file of a case; made in a folder where it is not kept."""
    if (DATA / name).exists():
        return DATA / name
    MADE[name](folder / name)
    return folder / name
