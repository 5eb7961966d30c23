"""Files with something broken, missing or unusual in them: read right, or refused with the true reason."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_leafseg.errors import UserError
from napari_leafseg.io import find_images, image_hash, lazy, read_image, read_labels
from napari_leafseg.io.resolution import read_resolution
from tests.files.cases import GRAY, RGB
from tests.files.test_kinds import ALPHA
from tests.files.test_odd_files import LABELS

LIMITS = [512 * 2**20, 100]


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(*chunks: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG")
    content = buffer.getvalue()
    return content[:33] + b"".join(chunks) + content[33:]


def _patched(path: Path, code: int, value: int) -> None:
    """Change the value of a TIFF tag."""
    content = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", content, at)[0] == code:
            struct.pack_into("<I", content, at + 8, value)  # in a 16-bit tag its lower half
    path.write_bytes(content)


# -- images ------------------------------------------------------------------------------------------------------------

_LONG = b"meta\0\0" + zlib.compress(bytes(3_000_000))
READ = {
    "long text.png": (_png(_chunk(b"zTXt", _LONG)), RGB),
    "many texts.png": (_png(*[_chunk(b"zTXt", b"meta\0\0" + zlib.compress(bytes(900_000)))] * 90), RGB),
    "no exif.png": (_png(_chunk(b"eXIf", b"nonsense")), RGB),
    "gray and alpha.pam": (
        b"P7\nWIDTH 128\nHEIGHT 128\nDEPTH 2\nMAXVAL 255\nTUPLTYPE GRAYSCALE_ALPHA\nENDHDR\n"
        + np.dstack([GRAY, ALPHA]).tobytes(),
        np.dstack([GRAY] * 3 + [ALPHA]),
    ),
}


@pytest.mark.parametrize("name", sorted(READ))
def test_unusual_files_are_read_right(tmp_path, name):
    content, expected = READ[name]
    (tmp_path / name).write_bytes(content)
    assert np.array_equal(read_image(tmp_path / name).array, expected)


@pytest.mark.parametrize("limit", LIMITS)
def test_white_is_zero_with_transparency(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(lazy, "LARGE", limit)
    options = {"photometric": "miniswhite", "extrasamples": ["unassalpha"], "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([255 - GRAY, ALPHA]), metadata=None, **options)
    assert np.array_equal(read_image(tmp_path / "a.tif").array, np.dstack([GRAY] * 3 + [ALPHA]))


def test_damaged_pixels_are_not_hidden_by_looking_for_exif(tmp_path):
    content = bytearray(_png())
    for place in (60, 1000, 5000):
        broken = content.copy()
        broken[place] ^= 1
        (tmp_path / "a.png").write_bytes(broken)
        with pytest.raises(UserError, match="damaged or cut off"):
            read_image(tmp_path / "a.png")


def _deflated(path):
    tifffile.imwrite(path, GRAY, photometric="minisblack", compression="zlib", metadata=None)


def _plain(path):
    tifffile.imwrite(path, GRAY, photometric="minisblack", metadata=None)


BROKEN = {
    "strips that are not there": (_deflated, 257, 400_000, "announces 3,125 strips or tiles and holds 1"),
    "a strip without bytes": (_deflated, 279, 0, "announces 1 strips or tiles and holds 0"),
    "no bits": (_plain, 258, 0, "pixels and holds"),
    "no width": (_plain, 256, 0, "holds no pixels"),
    "too wide": (_deflated, 256, 16_000_000, "more pixels than any image"),
}


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("kind", sorted(BROKEN))
def test_tiff_files_that_lack_parts(tmp_path, monkeypatch, kind, limit):
    make, code, value, words = BROKEN[kind]
    if kind == "no bits" and limit == 100:
        words = "damaged"
    make(tmp_path / "a.tif")
    monkeypatch.setattr(lazy, "LARGE", limit)
    assert np.array_equal(read_image(tmp_path / "a.tif").array, GRAY)
    _patched(tmp_path / "a.tif", code, value)
    with pytest.raises(UserError, match=rf"a\.tif.*{words}"):
        np.asarray(read_image(tmp_path / "a.tif").array)


def test_an_uncompressed_strip_without_a_length(tmp_path, monkeypatch):
    _plain(tmp_path / "a.tif")
    _patched(tmp_path / "a.tif", 279, 0)
    assert np.array_equal(read_image(tmp_path / "a.tif").array, GRAY)
    monkeypatch.setattr(lazy, "LARGE", 100)
    with pytest.raises(UserError, match="strips or tiles"):  # it would be black
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("limit", LIMITS)
def test_a_tiff_without_its_end_never_loses_its_meaning(tmp_path, monkeypatch, limit):
    """Channels would become frames, a palette's numbers brightnesses."""
    monkeypatch.setattr(lazy, "LARGE", limit)
    tifffile.imwrite(tmp_path / "a.ome.tif", RGB.transpose(2, 0, 1), photometric="minisblack", metadata={"axes": "CYX"})
    Image.fromarray(RGB).quantize(64).save(tmp_path / "b.tif", compression="tiff_lzw")
    for name, expected in (("a.ome.tif", RGB), ("b.tif", np.array(Image.fromarray(RGB).quantize(64).convert("RGB")))):
        assert np.array_equal(np.asarray(read_image(tmp_path / name).array), expected)
        content = (tmp_path / name).read_bytes()
        for lacking in (20, 200, 500):
            (tmp_path / name).write_bytes(content[:-lacking])
            with pytest.raises(UserError, match=r"damaged or cut off.*it ends after"):
                read_image(tmp_path / name)


@pytest.mark.parametrize("limit", LIMITS)
def test_a_file_of_zeros_was_not_written_to_its_end(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(lazy, "LARGE", limit)
    for name in ("a.tif", "a.jpg", "a.tga"):
        (tmp_path / name).write_bytes(bytes(5000))
        with pytest.raises(UserError, match=rf"{name} is filled with zeros"):
            read_image(tmp_path / name)


@pytest.mark.skipif(os.name == "nt", reason="no pipes in folders there")
def test_scale_of_damaged_files_pipes_and_what_is_no_image(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GRAY, photometric="minisblack")
    _patched(tmp_path / "a.tif", 256, 0)
    (tmp_path / "b.tif").write_bytes(b"II*\0")
    (tmp_path / "c.png").write_bytes(b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(60))
    os.mkfifo(tmp_path / "d.png")
    for name in ("a.tif", "b.tif", "c.png", "d.png", "e.png"):
        with pytest.raises(UserError, match=name):
            read_resolution(tmp_path / name)
    with pytest.raises(UserError, match="a pipe"):
        image_hash(tmp_path / "d.png")


# -- folders -----------------------------------------------------------------------------------------------------------


def test_images_without_the_ending_of_one_are_named(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    for name in ("plain", "photo.jpg_large", "camera.THM", "._b", "c.csv"):
        (tmp_path / name).write_bytes(b"a,b\n1,2\n" if name == "c.csv" else content)
    (tmp_path / "d.oir").write_bytes(b"OLYMPUSRAWFORMAT")
    found = find_images([tmp_path])
    assert found.paths == [tmp_path / "a.png"]
    assert "photo.jpg_large, plain (images by their content" in found.sentence()
    assert "d.oir (formats of microscope makers" in found.sentence()
    assert not any(name in found.sentence() for name in ("THM", "._b", "csv"))
    with pytest.raises(UserError, match="OIR file of Olympus"):
        read_image(tmp_path / "d.oir")


@pytest.mark.skipif(os.name == "nt", reason="names are always text there")
def test_names_that_are_no_utf8(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bl\xe4tter.png"))
    odd.write_bytes((tmp_path / "a.png").read_bytes())
    found = find_images([tmp_path])
    assert found.paths == [tmp_path / "a.png"]
    assert "bl?tter.png (a file whose name is not in UTF-8, rename it)" in found.sentence()
    with pytest.raises(UserError, match="not in UTF-8") as caught:
        find_images([odd])
    str(caught.value).encode()  # can be printed


def test_a_folder_that_cannot_be_looked_into_is_named(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    (tmp_path / "locked").mkdir()
    plain = Path.iterdir

    def refuse(self):
        if self.name == "locked":
            raise PermissionError(13, "Permission denied")
        return plain(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert "locked (a folder that cannot be looked into)" in find_images([tmp_path]).sentence()


# -- labels ------------------------------------------------------------------------------------------------------------


def _lossy(ending, **options):
    buffer = io.BytesIO()
    Image.fromarray((LABELS * 20).astype(np.uint8)).convert("RGB" if ending == "WEBP" else "L").save(
        buffer, ending, **options
    )
    return buffer.getvalue()


def test_labels_that_were_compressed_with_loss_are_refused(tmp_path):
    """Their edges would be leaves that nobody drew."""
    for content in (_lossy("JPEG"), _lossy("WEBP", quality=60), _lossy("AVIF")):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(UserError, match=r"a\.png is no label image: it is compressed as"):
            read_labels(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", (LABELS * 20).astype(np.uint8), photometric="minisblack", compression="jpeg")
    with pytest.raises(UserError, match="compressed as JPEG"):
        read_labels(tmp_path / "a.tif")
    for content in (
        _lossy("WEBP", lossless=True),
        imagecodecs.jpegls_encode((LABELS * 20).astype(np.uint8)),
        imagecodecs.ljpeg_encode((LABELS * 20).astype(np.uint8)),
    ):
        (tmp_path / "a.png").write_bytes(content)
        assert np.array_equal(read_labels(tmp_path / "a.png"), LABELS * 20)
