"""The table of image formats: what a folder, a dialog, drag and drop, the command line and a batch accept."""

from __future__ import annotations

import io
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

_LOG = logging.getLogger(__name__)

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
Decoder = Literal["tiff", "pillow", "jpeg2000", "jpegxl", "raw", "zarr"]


@dataclass(frozen=True)
class ImageFormat:
    """A format that can be read.

    Attributes
    ----------
    name : str
    endings : tuple of str
        Endings of its files, lower case.
    decoder : str
        Which module of `napari_leafseg.io` decodes it.
    signatures : tuple of (int, bytes)
        What its content has at which place, one of them; a format without any is known by its ending.
    pillow : str
        Pillow's name of it, for the decoder "pillow".
    package : str
        The optional package that decodes it, one of `napari_leafseg._extras.PACKAGES`; "" where none is needed.
    """

    name: str
    endings: tuple[str, ...]
    decoder: Decoder
    signatures: tuple[tuple[int, bytes], ...] = ()
    pillow: str = ""
    package: str = ""


_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
FORMATS = (
    ImageFormat("PNG", (".png", ".apng"), "pillow", ((0, b"\x89PNG"),), "PNG"),
    ImageFormat("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".jls"), "pillow", ((0, b"\xff\xd8\xff"),), "JPEG"),
    ImageFormat(
        "camera raw",
        (".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".raf", ".rw2", ".orf", ".pef",
         ".srw", ".x3f", ".3fr", ".fff", ".iiq", ".kdc", ".dcr", ".mrw", ".mef", ".erf", ".rwl", ".gpr"),
        "raw",
        ((0, b"FUJIFILMCCD-RAW"), (0, b"IIU\0"), (0, b"IIRO"), (0, b"IIRS"), (0, b"MMOR"), (4, b"ftypcrx "),
         (0, b"FOVb"), (0, b"\0MRM"), (8, b"CR\x02\0"), (6, b"HEAPCCDR")),
        package="rawpy",
    ),
    ImageFormat(
        "TIFF", (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".lsm"), "tiff",
        tuple((0, magic) for magic in TIFF_MAGIC),
    ),
    ImageFormat("BMP", (".bmp", ".dib"), "pillow", ((0, b"BM"),), "BMP"),
    ImageFormat("WebP", (".webp",), "pillow", ((8, b"WEBP"),), "WEBP"),
    ImageFormat("GIF", (".gif",), "pillow", ((0, b"GIF8"),), "GIF"),
    ImageFormat("AVIF", (".avif", ".avifs"), "pillow", ((4, b"ftypavif"), (4, b"ftypavis")), "AVIF"),
    ImageFormat(
        "HEIC", (".heic", ".heif", ".hif", ".heics", ".heifs"), "pillow",
        tuple((4, b"ftyp" + brand) for brand in _HEIF_BRANDS),
        "HEIF",
    ),
    ImageFormat(
        "JPEG 2000", (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".jph", ".jhc"), "jpeg2000",
        ((0, b"\0\0\0\x0cjP  "), (0, b"\xff\x4f\xff\x51")),
        package="imagecodecs",
    ),
    ImageFormat(
        "JPEG XL", (".jxl",), "jpegxl", ((0, b"\xff\x0a"), (0, b"\0\0\0\x0cJXL ")), package="imagecodecs",
    ),
    ImageFormat(
        "Netpbm", (".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm"), "pillow",
        tuple((0, b"P" + digit + space) for digit in (b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"f", b"F")
              for space in (b"\n", b" ", b"\r", b"\t")),
        "PPM",
    ),
    ImageFormat("TGA", (".tga", ".targa"), "pillow", (), "TGA"),
    ImageFormat("OME-Zarr", (".zarr",), "zarr", package="zarr"),
)  # fmt: skip

IMAGE_ENDINGS = tuple(ending for entry in FORMATS if entry.decoder != "zarr" for ending in entry.endings)
"""Endings of all files that are taken for images."""

_OTHER_CONTENT = (
    ((0, b"version https://git-lfs"), "a pointer of Git LFS, not the image. Fetch it with “git lfs pull”."),
    ((0, b"\0\x05\x16\x07"), "a file in which macOS keeps notes about another file. Choose the one without “._”."),
    ((0, b"%PDF"), "a PDF document. Export the image in it as TIFF or PNG."),
    ((0, b"8BPS"), "a Photoshop document. Export it as TIFF or PNG."),
    ((0, b"PK\x03\x04"), "a ZIP archive. Unpack it first."),
    ((0, b"\x1f\x8b"), "a gzip archive. Unpack it first."),
    ((0, b"7z\xbc\xaf"), "a 7z archive. Unpack it first."),
    ((0, b"\x93NUMPY"), "an array of NumPy. Save it as TIFF."),
    ((0, b"\x89HDF"), "an HDF5 file. Export its images as TIFF."),
    ((0, b"ZISRAWFILE"), "a CZI file of ZEISS. Export it as OME-TIFF."),
    ((0, b"\xda\xce\xbe\x0a"), "an ND2 file of Nikon. Export it as OME-TIFF."),
    ((0, b"\x70\0\0\0"), "a LIF file of Leica. Export it as OME-TIFF."),
    ((128, b"DICM"), "a DICOM file. Export it as TIFF."),
    ((0, b"SIMPLE  ="), "a FITS file. Export it as TIFF."),
    ((0, b"\x76\x2f\x31\x01"), "an OpenEXR file. Export it as TIFF."),
    ((0, b"MATLAB 5.0"), "a MATLAB file. Save its array as TIFF."),
    ((0, b"II\xbc\x01"), "a JPEG XR image. Export it as TIFF."),
    ((0, b"#?RADIANCE"), "a Radiance HDR image. Export it as TIFF."),
    ((0, b"#?RGBE"), "a Radiance HDR image. Export it as TIFF."),
    ((0, b"OLYMPUSRAWFORMAT"), "an OIR file of Olympus. Export it as OME-TIFF."),
    ((0, b"\xd0\xcf\x11\xe0"), "an OIB or ZVI file, or an Office document. Export its images as OME-TIFF."),
    ((344, b"n+1\0"), "a NIfTI file. Export it as TIFF."),
    ((0, b"NRRD0"), "an NRRD file. Export it as TIFF."),
    ((0, b"AT&TFORM"), "a DjVu document. Export the image in it as TIFF or PNG."),
    ((0, b"gimp xcf"), "a GIMP document. Export it as TIFF or PNG."),
    ((0, b"BPG\xfb"), "a BPG image. Export it as PNG."),
    *(((0, mark), "an archive. Unpack it first.") for mark in (b"Rar!", b"\xfd7zXZ", b"BZh", b"\x28\xb5\x2f\xfd")),
    ((257, b"ustar"), "a tar archive. Unpack it first."),
    ((4, b"ftyp"), "a film. Export its frames as a series of PNG files."),
    ((0, b"\x1aE\xdf\xa3"), "a film. Export its frames as a series of PNG files."),
    ((8, b"AVI "), "a film. Export its frames as a series of PNG files."),
)
_UNREAD = ("PCX", "SGI", "DDS", "ICO", "CUR", "ICNS", "SUN", "QOI", "XPM", "XBM", "MSP", "FLI", "BLP", "IM", "SPIDER",
           "EPS", "WMF")  # fmt: skip
"""What Pillow knows and nobody segments."""

_SIDECARS = {".thm", ".ovr", ".msk"}
_OTHER_ENDINGS = {
    ending: reason
    for endings, reason in (
        (".czi .nd2 .lif .lof .xlef .oib .oif .oir .vsi .ims .dv .r3d .zvi .svs .ndpi .scn .mrxs .vms .bif .qptiff "
         ".stk .sld .ics .ids .msr .obf",
         "formats of microscope makers, export them as OME-TIFF"),
        (".mp4 .avi .mov .mkv .webm .m4v .mpg .mpeg .wmv", "films, export their frames"),
        (".npy .npz .mat .h5 .hdf5", "arrays, save them as TIFF"),
        (".psd .xcf .svg .pdf .eps .ai .kra .afphoto", "documents, export them as TIFF or PNG"),
        (".exr .hdr .dcm .fits .fit .ico .icns .jxr .wdp .hdp .bil .img .pcx .sgi .dds .qoi "
         ".nii .nrrd .mha .mhd .mrc .bpg .ras .emf .wmf .jxs", "formats that cannot be read, export them as TIFF"),
        (".zip .gz .tgz .bz2 .xz .zst .tar .7z .rar", "archives, unpack them first"),
    )
    for ending in endings.split()
}  # fmt: skip


def format_of(content: bytes, path: Path) -> ImageFormat | None:
    """Find the format of a file by its content, else by its ending; None where it is none of them."""
    for entry in FORMATS:
        if any(content[place : place + len(mark)] == mark for place, mark in entry.signatures):
            return entry
    ending = path.suffix.lower()
    return next((entry for entry in FORMATS if not entry.signatures and ending in entry.endings), None)


def loses_numbers(entry: ImageFormat, content: bytes) -> bool:
    """Tell whether a file's pixels are not exactly what was written, so that they cannot number leaves."""
    if entry.name == "JPEG":
        return re.search(rb"\xff[\xc3\xf7]", content[:4096]) is None  # lossless JPEG, JPEG-LS
    return entry.name in {"HEIC", "AVIF"} or (entry.name == "WebP" and content[12:16] == b"VP8 ")


def is_tiff(path: Path) -> bool:
    """Tell whether a file begins as a TIFF file does."""
    return head(path, 4) in TIFF_MAGIC


def is_image_inside(path: Path) -> bool:
    """Tell whether a file with another ending holds an image; sidecars of cameras and map programs do not count."""
    if path.suffix.lower() in _SIDECARS:
        return False
    content = head(path, 64)
    return any(surely(entry, content) for entry in FORMATS)


def head(path: Path, length: int) -> bytes:
    """Return the first bytes of a file; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(length)
    except OSError:
        _LOG.debug("%s cannot be looked into.", path, exc_info=True)
        return b""


def surely(entry: ImageFormat, content: bytes) -> bool:
    """Tell whether content begins with a format's mark, and one that no text begins with."""
    return any(len(mark) > 2 and content[place : place + len(mark)] == mark for place, mark in entry.signatures
               if not mark.startswith(b"P"))  # fmt: skip


def what_it_is(content: bytes) -> str:
    """Tell what a file is that is no image, and what to do about it; for the end of a sentence."""
    if not content:
        return "empty. Copy or export it again."
    if not content.strip(b"\0"):
        return "filled with zeros: it was never written to its end. Copy or export it again."
    for (place, mark), words in _OTHER_CONTENT:
        if content[place : place + len(mark)] == mark:
            return words
    start = content[:512].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page, not the image. Download the image itself."
    if b"<svg" in start:
        return "an SVG drawing. Export it as PNG."
    other = _other_image(content)
    if other is not None:
        return f"an image of the kind {other}, which is not read. Export it as TIFF or PNG."
    known = "PNG, JPEG, TIFF, HEIC or another image file"
    if start and all(32 <= byte < 127 or byte in b"\r\n\t" for byte in start):
        return f"not an image, whatever its name says: it is a text. Choose a {known}."
    return f"not an image, whatever its name says. Choose a {known}."


def _other_image(content: bytes) -> str | None:
    """Name the format of an image that Pillow knows and we do not read."""
    Image.init()
    try:
        with Image.open(io.BytesIO(content), formats=[name for name in _UNREAD if name in Image.OPEN]) as image:
            return image.format
    except Exception:  # its readers raise anything at all
        _LOG.debug("No image of another kind.", exc_info=True)
        return None


def reason_left_out(path: Path) -> str | None:
    """Tell why a file of a folder is not taken although it may be an image; None for files that are no images."""
    return _OTHER_ENDINGS.get(path.suffix.lower())
