"""Odd kinds of files, each the sample image: what they hold, or why they are refused."""

from __future__ import annotations

import struct
import zlib

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_leafseg.errors import UserError
from napari_leafseg.io import lazy, read_image, read_labels
from tests.files.cases import GRAY, RGB
from tests.files.test_kinds import ALPHA, CMYK, DEEP

G16 = GRAY.astype(np.uint16) * 257
CLEAR = int(G16[0, 0])
SERIES = np.stack([GRAY[..., None]] * 5)
FRAMES = [RGB, RGB[:, ::-1], RGB[::-1]]
LABELS = np.zeros((128, 128), np.int32)
LABELS[10:40, 10:40], LABELS[50:90, 20:70], LABELS[60:120, 80:120] = 1, 2, 7


def _png(rows: np.ndarray, depth: int, kind: int, *chunks: tuple[bytes, bytes], side: int = 128) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", side, side, depth, kind, 0, 0, 0)),
        *chunks,
        (b"IDAT", data),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def _packed(array: np.ndarray, bits: int) -> np.ndarray:
    parts = array.reshape(128, -1, 8 // bits).astype(np.uint8) << np.arange(8 // bits)[::-1] * bits
    return parts.sum(-1).astype(np.uint8)


def _animated(path, **options):
    first, *rest = map(Image.fromarray, map(np.ascontiguousarray, FRAMES))
    first.save(path, save_all=True, append_images=rest, **options)


def _opencv(ending, array):
    return cv2.imencode(ending, array[..., ::-1] if array.ndim == 3 else array)[1].tobytes()


def _without_adobe(content: bytes) -> bytes:
    place = content.index(b"\xff\xee")
    return content[:place] + content[place + 2 + struct.unpack(">H", content[place + 2 : place + 4])[0] :]


def _palette_with_alpha(path):
    image = Image.fromarray(RGB).quantize(256)
    colors = np.zeros((3, 256), np.uint16)
    colors[:, : len(image.getpalette()) // 3] = np.reshape(image.getpalette(), (-1, 3)).T * 257
    tags = [(320, 3, 768, tuple(colors.ravel().tolist()), True)]
    tifffile.imwrite(path, np.dstack([np.array(image), ALPHA]), photometric="minisblack", extrasamples=["unassalpha"],
                     planarconfig="contig", metadata=None, extratags=tags)  # fmt: skip
    content = bytearray(path.read_bytes())
    content[content.index(struct.pack("<HHI", 262, 3, 1)) + 8] = 3
    path.write_bytes(content)


def _imagej(path, at_end=True, held=5, said=5):
    """A stack as ImageJ writes it: the first page's description, all pixels, the other descriptions, which are left out
    where the file is larger than 4 GB."""
    text, size = f"ImageJ=1.53t\nimages={said}\nframes={said}\nloop=false\n".encode() + b"\0", GRAY.nbytes

    def page(number: int, following: int, at: int) -> bytes:
        tags = [(254, 4, 1, 0), (256, 4, 1, 128), (257, 4, 1, 128), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
        tags += [(270, 2, len(text), at + 138)] if number == 0 else []
        tags += [(273, 4, 1, 1000 + number * size), (277, 3, 1, 1), (278, 3, 1, 128), (279, 4, 1, size)]
        found = struct.pack(">H", len(tags))
        for code, kind, count, value in tags:
            found += struct.pack(">HHI", code, kind, count)
            found += struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
        return found + struct.pack(">I", following) + (text if number == 0 else b"")

    end = 1000 + held * size
    content = b"MM\0*" + struct.pack(">I", 8) + page(0, end if at_end else 0, 8)
    content = content.ljust(1000, b"\0") + GRAY.tobytes() * held
    length = len(page(1, 0, 0))
    for number in range(1, held if at_end else 0):
        at = end + (number - 1) * length
        content += page(number, at + length if number < held - 1 else 0, at)
    path.write_bytes(content)


ODD = {
    "clear16.png": (_png(G16.astype(">u2"), 16, 0, (b"tRNS", struct.pack(">H", CLEAR))),
                    np.dstack([G16] * 3 + [np.where(G16 == CLEAR, 0, 65535)]), 0),
    "gray2.png": (_png(_packed(GRAY >> 6, 2), 2, 0), (GRAY >> 6) * 85, 0),
    "default_first.png": (lambda path: _animated(path, default_image=True), np.stack(FRAMES[1:]), 0),
    "color.pfm": (_opencv(".pfm", (RGB / 255).astype(np.float32)), (RGB / 255).astype(np.float32), 0),
    "a.pam": (_opencv(".pam", RGB), RGB, 0),
    "ascii16.ppm": (b"P3\n# by hand\n128 128\n65535\n" + b" ".join(b"%d" % v for v in DEEP.ravel()), DEEP, 0),
    "gray16.pgm": (_opencv(".pgm", G16), G16, 0),
    "no_adobe.jpg": (_without_adobe(imagecodecs.jpeg8_encode(CMYK, level=98, colorspace="cmyk", outcolorspace="cmyk")),
                     RGB, 4),
    "ycck.jpg": (imagecodecs.jpeg8_encode(255 - CMYK, level=98, colorspace="cmyk", outcolorspace="ycck"), RGB, 4),
    "twelve_bit.jpg": (imagecodecs.jpeg8_encode(G16 >> 4, level=99, bitspersample=12), G16 >> 4, 8),
    "lossless.jpg": (imagecodecs.ljpeg_encode(G16), G16, 0),
    "a.jls": (imagecodecs.jpegls_encode(RGB), RGB, 0),
    "cmyk.jp2": (lambda path: Image.fromarray(CMYK, "CMYK").save(path, "JPEG2000"), RGB, 1),
    "palette_alpha.tif": (_palette_with_alpha,
                          np.dstack([np.array(Image.fromarray(RGB).quantize(256).convert("RGB")), ALPHA]), 0),
    "cmyk_alpha.tif": (lambda path: tifffile.imwrite(path, np.dstack([CMYK, ALPHA]), photometric="separated",
                                                     extrasamples=["unassalpha"], metadata=None),
                       np.dstack([RGB, ALPHA]), 1),
    "lowest.tif": (lambda path: tifffile.imwrite(path, np.where(ALPHA > 0, GRAY / 255, -3.4e38).astype(np.float32)),
                   np.where(ALPHA > 0, GRAY / 255, np.nan).astype(np.float32), 0),
    "imagej.tif": (_imagej, SERIES, 0),
    "imagej_large.tif": (lambda path: _imagej(path, at_end=False), SERIES, 0),
    "anim.webp": (lambda path: _animated(path, lossless=True), np.stack(FRAMES), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(ODD))
def test_odd_kinds_are_read_right(name, tmp_path):
    content, expected, off = ODD[name]
    if callable(content):
        content(tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    array = np.asarray(read_image(tmp_path / name).array)
    assert array.shape == expected.shape
    assert np.array_equal(np.isnan(array), np.isnan(expected)) if array.dtype.kind == "f" else array.dtype.kind in "ub"
    assert np.nanmean(np.abs(array.astype(float) - expected)) <= off


def _image_bytes(ending, **options):
    def make(path):
        Image.fromarray(RGB).save(path, {"im": "IM"}.get(ending), **options)
        return path.read_bytes()

    return make


def _shortened(make):
    def shorten(path):
        content = make(path)
        return content[: len(content) * 2 // 3]

    return shorten


def _large(_path):
    return _png(RGB[:0], 8, 2, side=100_000)


WORDS = {
    **{f"a.{ending}": (_image_bytes(ending), f"of the kind {ending.upper()}, which is not read")
       for ending in ("pcx", "sgi", "dds", "ico", "im")},
    "a.hdr": (lambda _path: b"#?RADIANCE\n", "Radiance HDR"),
    "a.jxr": (lambda _path: imagecodecs.jpegxr_encode(RGB, level=1.0), "JPEG XR"),
    "cut.avif": (_shortened(_image_bytes("avif")), "damaged or cut off"),
    "cut.jls": (_shortened(lambda _path: imagecodecs.jpegls_encode(RGB)), "damaged or cut off"),
    "large.png": (_large, "more pixels than any image"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(WORDS))
def test_odd_kinds_are_refused_with_the_reason(name, tmp_path):
    make, words = WORDS[name]
    (tmp_path / name).write_bytes(make(tmp_path / name))
    with pytest.raises(UserError, match=words) as caught:
        read_image(tmp_path / name)
    assert name in str(caught.value)
    assert "MPO" not in str(caught.value)


# -- stacks that are not whole -----------------------------------------------------------------------------------------


def _pages(path, **options):
    with tifffile.TiffWriter(path) as file:
        for _ in range(5):
            file.write(GRAY, photometric="minisblack", metadata=None, contiguous=False, **options)


STACKS = {
    "imagej at the end": _imagej,
    "imagej large": lambda path: _imagej(path, at_end=False),
    "imagej by tifffile": lambda path: tifffile.imwrite(path, SERIES[..., 0], imagej=True, metadata={"axes": "TYX"}),
    "ome": lambda path: tifffile.imwrite(path, SERIES[..., 0], ome=True, metadata={"axes": "TYX"}),
    "pages": _pages,
    "pages, LZW": lambda path: _pages(path, compression="lzw"),
}


@pytest.mark.parametrize("part", [0.25, 0.5, 0.75, 0.98])
@pytest.mark.parametrize("kind", sorted(STACKS))
def test_a_stack_that_was_cut_off_is_never_its_first_frames(kind, part, tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    STACKS[kind](path)
    assert np.array_equal(read_image(path).array, SERIES)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    for limit in (lazy.LARGE, 1000):
        monkeypatch.setattr(lazy, "LARGE", limit)
        with pytest.raises(UserError, match="damaged or cut off"):
            read_image(path)


def test_an_image_that_was_taken_out_of_a_stack_is_read(tmp_path):
    text = "ImageJ=1.53t\nimages=5\nframes=5\nloop=false\n"
    tifffile.imwrite(tmp_path / "a.tif", GRAY, photometric="minisblack", description=text, metadata=None)
    image = read_image(tmp_path / "a.tif")
    assert np.array_equal(image.array, GRAY)
    assert "announces 5 images; the file holds 1" in image.notes[0]


# -- OME-TIFF over several files ---------------------------------------------------------------------------------------

_OME = """<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{own}">
<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="128" SizeY="128" SizeZ="1"
SizeC="1" SizeT="{count}"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{parts}</Pixels></Image></OME>"""
_PART = """<TiffData FirstT="{frame}" IFD="{at}" PlaneCount="1"><UUID FileName="{name}.ome.tif">urn:uuid:{name}</UUID>
</TiffData>"""


def _spread(folder, each):
    frames = [GRAY, GRAY[::-1], GRAY[:, ::-1], GRAY[::-1, ::-1]][: 2 * each]
    parts = "".join(_PART.format(frame=t, at=t % each, name="ab"[t // each]) for t in range(len(frames)))
    for number, name in enumerate("ab"):
        text = _OME.format(own=name, count=len(frames), parts=parts).encode()
        with tifffile.TiffWriter(folder / f"{name}.ome.tif") as file:
            for at in range(each):
                file.write(frames[number * each + at], photometric="minisblack", metadata=None,
                           description=text if at == 0 else None, contiguous=False)  # fmt: skip
    return np.stack(frames)[..., None]


@pytest.mark.parametrize("limit", [lazy.LARGE, 1000])
def test_ome_tiff_over_several_files(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(lazy, "LARGE", limit)
    frames = _spread(tmp_path, 1)
    image = read_image(tmp_path / "b.ome.tif")
    assert np.array_equal(image.array, frames[1, ..., 0])
    assert "its own image was read" in image.notes[0]
    frames = _spread(tmp_path, 2)
    image = read_image(tmp_path / "a.ome.tif")
    assert np.array_equal(np.asarray(image.array), frames)
    assert "all were read" in image.notes[0]
    (tmp_path / "b.ome.tif").unlink()
    with pytest.raises(UserError, match=r"b\.ome\.tif is not beside it"):
        read_image(tmp_path / "a.ome.tif")


def test_a_renamed_ome_tiff_is_whole(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", SERIES[..., 0], ome=True, metadata={"axes": "TYX"})
    (tmp_path / "a.ome.tif").rename(tmp_path / "b.ome.tif")
    image = read_image(tmp_path / "b.ome.tif")
    assert np.array_equal(image.array, SERIES)
    assert not image.notes


# -- camera raw --------------------------------------------------------------------------------------------------------


def test_the_sensor_of_a_camera_is_developed(tmp_path):
    big = RGB.repeat(3, 0).repeat(3, 1)
    mosaic = big[..., 1].copy()  # green where it is neither red nor blue
    mosaic[::2, ::2], mosaic[1::2, 1::2] = big[::2, ::2, 0], big[1::2, 1::2, 2]
    linear = ((mosaic / 255) ** 2.2 * 4095).astype(np.uint16)
    identity = [value for number in np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415],
                                              [0.0557, -0.204, 1.057]]).ravel()
                for value in (int(number * 10000), 10000)]  # fmt: skip
    main = [
        (50706, 1, 4, (1, 4, 0, 0), True), (50708, 2, 0, "Leaf camera", True), (50721, 10, 9, identity, True),
        (50728, 5, 3, (1, 1, 1, 1, 1, 1), True), (50778, 3, 1, 21, True),
    ]  # fmt: skip
    sensor = [(33421, 3, 2, (2, 2), True), (33422, 1, 4, (0, 1, 1, 2), True), (50717, 4, 1, 4095, True)]
    with tifffile.TiffWriter(tmp_path / "a.dng") as file:
        file.write(RGB[::8, ::8], photometric="rgb", subfiletype=1, subifds=2, metadata=None, extratags=main)
        file.write(linear, photometric=32803, subfiletype=0, metadata=None, extratags=sensor)
        file.write(big[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
    array = read_image(tmp_path / "a.dng").array
    assert array.shape == big.shape
    assert array.dtype == np.uint8
    for channel in range(3):
        assert np.corrcoef(array[..., channel].ravel(), big[..., channel].ravel())[0, 1] > 0.97


# -- label images ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pgm", b"P5\n128 128\n7\n" + LABELS.astype(np.uint8).tobytes()),
        ("b.pgm", b"P5\n128 128\n300\n" + LABELS.astype(">u2").tobytes()),
        ("a.png", _png(_packed(LABELS, 4), 4, 0)),
        ("a.gif", None),
    ],
)
def test_numbers_of_labels_are_those_of_the_file(tmp_path, name, content):
    if content is None:
        Image.fromarray(LABELS.astype(np.uint8)).save(tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    assert np.array_equal(read_labels(tmp_path / name), LABELS)
