"""Kinds of files beyond the table: each is the sample image, written in another way."""

from __future__ import annotations

import io
import sys

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from napari_leafseg.errors import UserError
from napari_leafseg.io import ReadOptions, lazy, read_image, to_rgb8
from napari_leafseg.io.axes import upright
from tests.files.cases import GRAY, RGB

DEEP = RGB.astype(np.uint16) * 257
INKS = 255 - RGB
BLACK = INKS.min(2, keepdims=True).astype(float)
CMYK = np.round(np.dstack([(INKS - BLACK) / (255 - BLACK) * 255, BLACK])).astype(np.uint8)
ALPHA = np.where(np.arange(128) < 20, 0, 255).astype(np.uint8) * np.ones((128, 1), np.uint8)
FOUR_BITS = GRAY >> 4
PALETTE = np.stack(
    [
        np.linspace(0, 65535, 256).astype(np.uint16)[order]
        for order in (slice(None), slice(None, None, -1), 7 * np.arange(256) % 256)
    ]
)


def _same(path, expected, off=0.0, **options):
    array = np.asarray(read_image(path, **options).array)
    assert array.shape == expected.shape
    assert np.abs(array.astype(float) - expected).mean() <= off


@pytest.mark.parametrize(
    ("array", "options", "expected", "off"),
    [
        (CMYK, {"photometric": "separated"}, RGB, 0.8),
        (CMYK.astype(np.uint16) * 257, {"photometric": "separated"}, DEEP, 0.8 * 257),
        (CMYK.transpose(2, 0, 1), {"photometric": "separated", "planarconfig": "separate"}, RGB, 0.8),
        (65535 - GRAY.astype(np.uint16) * 257, {"photometric": "miniswhite"}, GRAY.astype(np.uint16) * 257, 0),
        (GRAY < 90, {"photometric": "miniswhite"}, GRAY >= 90, 0),
        (FOUR_BITS, {"bitspersample": 4, "photometric": "minisblack"}, FOUR_BITS * 17, 0),
        (15 - FOUR_BITS, {"bitspersample": 4, "photometric": "miniswhite"}, FOUR_BITS * 17, 0),
        (GRAY >> 6, {"bitspersample": 2, "photometric": "minisblack"}, (GRAY >> 6) * 85, 0),
        (
            GRAY.astype(np.uint16) << 2,
            {"bitspersample": 10, "photometric": "minisblack"},
            GRAY.astype(np.uint16) << 2,
            0,
        ),
        (
            GRAY.astype(np.uint16) << 4,
            {"bitspersample": 12, "photometric": "minisblack"},
            GRAY.astype(np.uint16) << 4,
            0,
        ),
        (RGB.astype(np.uint16) << 6, {"bitspersample": 14, "photometric": "rgb"}, RGB.astype(np.uint16) << 6, 0),
        (FOUR_BITS, {"photometric": "palette", "colormap": PALETTE}, PALETTE.T[FOUR_BITS] >> 8, 0),
        (np.dstack([RGB, ALPHA]), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, np.dstack([RGB, ALPHA]), 0),
        (
            np.dstack([RGB // 2, np.full_like(ALPHA, 128)]),
            {"photometric": "rgb", "extrasamples": ["assocalpha"]},
            np.dstack([RGB, np.full_like(ALPHA, 128)]),
            1.0,
        ),
        (
            np.dstack([GRAY, ALPHA]),
            {"photometric": "minisblack", "extrasamples": ["unassalpha"], "planarconfig": "contig"},
            np.dstack([GRAY, GRAY, GRAY, ALPHA]),
            0,
        ),
        (np.dstack([RGB, GRAY]), {"photometric": "rgb", "extrasamples": ["unspecified"]}, RGB, 0),
        (
            np.dstack([RGB, GRAY, ALPHA]),
            {"photometric": "rgb", "extrasamples": ["unspecified", "unassalpha"]},
            np.dstack([RGB, ALPHA]),
            0,
        ),
        (
            np.dstack([RGB, GRAY, ALPHA]),
            {
                "photometric": "minisblack",
                "extrasamples": ["unspecified"] * 3 + ["unassalpha"],
                "planarconfig": "contig",
            },
            None,
            0,
        ),
        (DEEP, {"photometric": "rgb", "tile": (32, 32), "compression": "lzw", "predictor": True}, DEEP, 0),
        (
            DEEP.transpose(2, 0, 1),
            {"photometric": "rgb", "planarconfig": "separate", "tile": (32, 32), "compression": "zstd"},
            DEEP,
            0,
        ),
        (
            (RGB / 255).astype(np.float32),
            {"photometric": "rgb", "compression": "lzw", "predictor": True},
            RGB / 255,
            1e-6,
        ),
        (RGB, {"photometric": "rgb", "compression": "webp", "compressionargs": {"lossless": True}}, RGB, 0),
        (GRAY, {"photometric": "minisblack", "compression": "jpeg"}, GRAY, 2),
        (GRAY.astype(np.int32) - 100, {"photometric": "minisblack"}, GRAY.astype(int) - 100, 0),
    ],
)
def test_tiff_is_read_by_what_its_numbers_mean(tmp_path, monkeypatch, array, options, expected, off):
    try:
        tifffile.imwrite(tmp_path / "a.tif", array, metadata=None, **options)
    except NotImplementedError as error:  # older imagecodecs read such numbers and do not write them
        pytest.skip(f"imagecodecs has no {error}")
    if expected is None:
        assert np.array_equal(
            read_image(tmp_path / "a.tif", channels=(1, 2, 3)).array, np.where(ALPHA[..., None] > 0, RGB, 0)
        )
        return
    _same(tmp_path / "a.tif", expected, off)
    monkeypatch.setattr(lazy, "LARGE", 1000)
    _same(tmp_path / "a.tif", expected, off)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_is_turned_upright(tmp_path, orientation):
    back = {6: 8, 8: 6}.get(orientation, orientation)
    tifffile.imwrite(
        tmp_path / "a.tif", upright(RGB[:100], back), photometric="rgb", extratags=[(274, "H", 1, orientation, True)]
    )
    _same(tmp_path / "a.tif", RGB[:100])
    pages = np.stack([upright(GRAY[:100], back)] * 3)
    tifffile.imwrite(
        tmp_path / "b.tif", pages, photometric="minisblack", extratags=[(274, "H", 1, orientation, True)], metadata=None
    )
    _same(tmp_path / "b.tif", np.stack([GRAY[:100, :, None]] * 3))


def _lab() -> Image.Image:
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    return ImageCms.applyTransform(Image.fromarray(RGB), transform)


def test_lab_and_ycbcr(tmp_path):
    _lab().save(tmp_path / "lab.tif")
    _same(tmp_path / "lab.tif", RGB, 1.5)
    _lab().save(tmp_path / "lab_lzw.tif", compression="tiff_lzw")
    _same(tmp_path / "lab_lzw.tif", RGB, 1.5)
    ycbcr = np.array(Image.fromarray(RGB).convert("YCbCr"))
    for compression in (None, "lzw"):
        tifffile.imwrite(
            tmp_path / "y.tif", ycbcr, photometric="ycbcr", subsampling=(1, 1), compression=compression, metadata=None
        )
        _same(tmp_path / "y.tif", RGB, 1.0)
    Image.fromarray(RGB).convert("YCbCr").save(tmp_path / "p.tif")
    _same(tmp_path / "p.tif", RGB, 1.0)
    Image.fromarray(RGB).save(tmp_path / "j.tif", compression="jpeg", quality=95)
    _same(tmp_path / "j.tif", RGB, 2.0)


def test_subsampled_ycbcr_without_jpeg(tmp_path):
    """Four values of brightness share one of color."""
    y, b, r = np.moveaxis(np.array(Image.fromarray(RGB).convert("YCbCr")), -1, 0)
    blocks = y.reshape(64, 2, 64, 2).transpose(0, 2, 1, 3).reshape(64, 64, 4)
    data = np.dstack([blocks, b[::2, ::2], r[::2, ::2]]).astype(np.uint8).tobytes()
    tags = [
        (256, 3, 128),
        (257, 3, 128),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 6),
        (273, 4, 200),
        (277, 3, 3),
        (278, 3, 128),
        (279, 4, len(data)),
        (530, 3, 2 | 2 << 16),
    ]
    entries = b"".join(
        code.to_bytes(2, "little")
        + kind.to_bytes(2, "little")
        + (2 if code == 530 else 1).to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for code, kind, value in tags
    )
    head = b"II*\0\x08\0\0\0" + len(tags).to_bytes(2, "little") + entries + bytes(4)
    (tmp_path / "s.tif").write_bytes(head.ljust(200, b"\0") + data)
    _same(tmp_path / "s.tif", RGB, 5.0)


def test_nan_and_nodata_are_background(tmp_path):
    hole = np.where(ALPHA > 0, GRAY, 0)
    for array, nodata, kept in (
        (np.where(ALPHA > 0, GRAY / 255 * 40 + 10, -9999).astype(np.float32), "-9999", None),
        (np.where(ALPHA > 0, np.minimum(GRAY, 254), 255).astype(np.uint8), "255", hole),
        (np.where(ALPHA > 0, GRAY.astype(np.int16), -32768).astype(np.int16), "-32768", hole),
    ):
        tifffile.imwrite(
            tmp_path / "a.tif",
            array,
            photometric="minisblack",
            extratags=[(42113, "s", 0, nodata, True)],
            metadata=None,
        )
        image = read_image(tmp_path / "a.tif").array
        shown = to_rgb8(image)[..., 0]
        assert not shown[ALPHA == 0].any()
        assert shown[ALPHA > 0].std() > 20
        if kept is not None:
            assert np.array_equal(image, kept)
    values = (RGB / 255 * 40 + 10).astype(np.float32)
    values[:20] = np.nan
    shown = to_rgb8(values)
    assert not shown[:20].any()
    assert np.array_equal(shown[20:], to_rgb8(values[20:]))
    with pytest.raises(UserError, match="infinity"):
        to_rgb8(np.where(ALPHA > 0, GRAY / 255, np.inf))


def test_masks_and_reduced_pages_are_no_frames(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(RGB[::2, ::2], photometric="rgb", metadata=None, subfiletype=1)
        file.write(RGB, photometric="rgb", metadata=None)
        file.write(ALPHA > 0, photometric="mask", metadata=None)
    image = read_image(tmp_path / "a.tif")
    assert np.array_equal(image.array, RGB)
    assert not image.notes
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        file.write(RGB[:64], photometric="rgb", metadata=None)
        file.write(RGB, photometric="rgb", metadata=None)
    image = read_image(tmp_path / "b.tif")
    assert np.array_equal(image.array, RGB)
    assert "holds 2 images" in image.notes[0]


def test_cut_compressed_tiff_is_damaged(tmp_path):
    for options in ({"compression": "lzw"}, {"compression": "zlib", "rowsperstrip": 16}, {"tile": (64, 64)}):
        tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", **options)
        content = (tmp_path / "a.tif").read_bytes()
        (tmp_path / "b.tif").write_bytes(content[: len(content) * 2 // 3])
        with pytest.raises(UserError, match="damaged or cut off"):
            read_image(tmp_path / "b.tif")


def test_a_rare_compression_is_not_called_damaged(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GRAY, photometric="minisblack", metadata=None)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    place = content.index((259).to_bytes(2, "little") + b"\x03\0")
    content[place + 8 : place + 10] = (34661).to_bytes(2, "little")
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(UserError, match="compression 34661 is rare") as caught:
        read_image(tmp_path / "a.tif")
    assert "damaged" not in str(caught.value)


def test_camera_raw_is_never_its_thumbnail(tmp_path, monkeypatch):
    with tifffile.TiffWriter(tmp_path / "a.dng") as file:
        file.write(RGB[::8, ::8], photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        file.write(
            GRAY.astype(np.uint16) * 16,
            photometric="cfa",
            metadata=None,
            extratags=[(33421, "H", 2, (2, 2), True), (33422, "B", 4, (0, 1, 1, 2), True)],
        )
    assert read_image(tmp_path / "a.dng").array.shape == (128, 128, 3)
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.dng").read_bytes())
    assert read_image(tmp_path / "a.tif").array.shape == (128, 128, 3)
    (tmp_path / "b.cr3").write_bytes(b"\0\0\0\x18ftypcrx " + bytes(100))
    with pytest.raises(UserError, match=r"b\.cr3 is a camera raw file"):
        read_image(tmp_path / "b.cr3")
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(UserError, match=r"a\.tif is a camera raw file, which needs the package rawpy"):
        read_image(tmp_path / "a.tif")


def test_png_of_all_depths(tmp_path):
    for name, array in {
        "la16": np.dstack([DEEP[..., 0], ALPHA.astype(np.uint16) * 257]),
        "rgba16": np.dstack([DEEP, ALPHA.astype(np.uint16) * 257]),
        "rgb16": DEEP,
        "gray16": DEEP[..., 0],
    }.items():
        (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(array)))
        _same(tmp_path / "a.png", array[..., [0, 0, 0, 1]] if name == "la16" else array)
    black = np.where(ALPHA[..., None] > 0, np.maximum(RGB, 1), 0).astype(np.uint8)
    Image.fromarray(black).save(tmp_path / "key.png", transparency=(0, 0, 0))
    _same(tmp_path / "key.png", np.dstack([black, ALPHA]))
    Image.fromarray(GRAY).save(tmp_path / "l.png", transparency=int(GRAY[0, 0]))
    assert read_image(tmp_path / "l.png").array.shape == (128, 128, 4)
    few = Image.fromarray(RGB).quantize(4)
    few.save(tmp_path / "p.png", bits=2)
    _same(tmp_path / "p.png", np.array(few.convert("RGB")))
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.rot90(RGB[:100]))).save(buffer, "PNG", exif=exif)
    (tmp_path / "turned.png").write_bytes(buffer.getvalue())
    _same(tmp_path / "turned.png", RGB[:100])


def test_jpeg_xl_jpeg_2000_and_others(tmp_path):
    for name, content, expected, off in (
        ("a.jxl", imagecodecs.jpegxl_encode(RGB, lossless=True), RGB, 0),
        ("g.jxl", imagecodecs.jpegxl_encode(GRAY, lossless=True), GRAY, 0),
        ("deep.jxl", imagecodecs.jpegxl_encode(DEEP, lossless=True), DEEP, 0),
        ("a.jxl", imagecodecs.jpegxl_encode(np.dstack([RGB, ALPHA]), lossless=True), np.dstack([RGB, ALPHA]), None),
        ("deep.jp2", imagecodecs.jpeg2k_encode(DEEP, level=0), DEEP, 0),
        ("a.j2k", imagecodecs.jpeg2k_encode(GRAY, level=0, codecformat="j2k"), GRAY, 0),
        ("a.jfif", imagecodecs.jpeg_encode(RGB, level=98), RGB, 2),
        ("a.png", imagecodecs.webp_encode(RGB, lossless=True), RGB, 0),
    ):
        (tmp_path / name).write_bytes(content)
        if off is None:
            assert np.array_equal(read_image(tmp_path / name).array[..., 3], ALPHA)
        else:
            _same(tmp_path / name, expected, off)
    for ending in ("gif", "ppm", "pgm", "tga", "avif", "jp2", "bmp"):
        one = Image.fromarray(GRAY if ending == "pgm" else RGB)
        one.save(tmp_path / f"b.{ending}")
        _same(tmp_path / f"b.{ending}", np.array(one), {"gif": 6, "avif": 4}.get(ending, 0))
    (tmp_path / "deep.ppm").write_bytes(b"P6 128 128 65535\n" + DEEP.astype(">u2").tobytes())
    _same(tmp_path / "deep.ppm", DEEP)


def test_cmyk_jpeg_with_black_ink(tmp_path):
    Image.fromarray(CMYK, "CMYK").save(tmp_path / "a.jpg", quality=98)
    _same(tmp_path / "a.jpg", RGB, 3)


def test_z_and_channels_are_chosen_and_said(tmp_path):
    stack = np.stack([GRAY // 4, GRAY, GRAY // 2])
    tifffile.imwrite(tmp_path / "z.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    image = read_image(tmp_path / "z.tif")
    assert np.array_equal(image.array, GRAY)
    assert "maximum" in image.notes[0]
    assert image.options == {"z": "max"}
    image = read_image(tmp_path / "z.tif", z=3)
    assert np.array_equal(image.array, GRAY // 2)
    assert "Plane 3 of 3" in image.notes[0]
    with pytest.raises(UserError, match="no plane 4"):
        read_image(tmp_path / "z.tif", z=4)
    many = np.stack([GRAY, *RGB.transpose(2, 0, 1)])
    whole = np.stack([np.stack([many, many // 2])] * 3)  # three times, two planes, four channels
    tifffile.imwrite(
        tmp_path / "all.ome.tif",
        whole,
        photometric="minisblack",
        metadata={
            "axes": "TZCYX",
            "Channel": {"Name": ["NIR", "R", "G", "B"]},
        },
    )
    with pytest.raises(UserError, match=r"4 channels \(NIR, R, G, B\)"):
        read_image(tmp_path / "all.ome.tif")
    image = read_image(tmp_path / "all.ome.tif", channels=(2, 3, 4))
    assert np.array_equal(image.array, np.stack([RGB] * 3))
    assert "Channels R, G, B of 4" in " ".join(image.notes)
    assert image.options == {"z": "max", "channels": [2, 3, 4]}
    kept = ReadOptions(by_count={4: (1,), 5: (1, 2, 3)})
    assert np.array_equal(read_image(tmp_path / "all.ome.tif", kept).array, np.stack([GRAY[..., None]] * 3))
    with pytest.raises(UserError, match="no channel 5"):
        read_image(tmp_path / "all.ome.tif", channels=(5,))
    for wrong in ((1, 2), (0,), ()):
        with pytest.raises(UserError, match="counted from 1"):
            read_image(tmp_path / "all.ome.tif", channels=wrong)


def test_channels_beside_colors(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([RGB, GRAY]), photometric="rgb", extrasamples=["unspecified"])
    image = read_image(tmp_path / "a.tif")
    assert "Of 4 channels, 1, 2, 3" in image.notes[0]
    _same(tmp_path / "a.tif", np.dstack([GRAY, RGB[..., 1], RGB[..., 0]]), channels=(4, 2, 1))
    Image.fromarray(RGB).save(tmp_path / "b.png")
    _same(tmp_path / "b.png", RGB, channels=(4, 2, 1))
