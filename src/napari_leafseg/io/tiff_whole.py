"""Whether a TIFF file holds all that it announces."""

from __future__ import annotations

import logging
import math
import os
import re
import struct
from pathlib import Path

import tifffile

from napari_leafseg.errors import InputFileError
from napari_leafseg.io.axes import Said

_LOG = logging.getLogger(__name__)
_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # bytes of a value, by type
_MEANING = {258, 270, 273, 279, 320, 324, 325, 330, 338, 339, 347, 42113, 50838, 50839}  # tags
_PART = re.compile(r"<(?:\w+:)?UUID\b[^>]*?\bFileName=\"([^\"]*)\"[^>]*>\s*([^<\s]+)\s*<")
_OWN = re.compile(r"<(?:\w+:)?OME\b[^>]*?\bUUID=\"([^\"]+)\"")


def check_whole(
    file: tifffile.TiffFile, series: tifffile.TiffPageSeries, size: int, said: Said, pieces: bool = False
) -> None:  # fmt: skip
    """Raise ValueError for a file that was cut off, or whose image lacks parts.

    Parameters
    ----------
    file : tifffile.TiffFile
    series : tifffile.TiffPageSeries
        What is read of it.
    size : int
        Bytes of the file.
    said : Said
        Is told where ImageJ's description speaks of more images than a file holds that somebody took out of a stack.
    pieces : bool
        Whether it is read in pieces; else an uncompressed image is found without the lengths of its strips.
    """
    if not series.size:
        raise ValueError("it holds no pixels")
    parts = math.prod(series.keyframe.chunked)
    compressed = series.keyframe.compression != 1
    own = [page for page in series.pages if page is not None and page.parent is file]
    start = series.dataoffset if len(own) == len(series.pages) else None
    end = 0 if start is None else start + series.nbytes
    for page in own:
        held = sum(length > 0 or not at for at, length in zip(page.dataoffsets, page.databytecounts, strict=False))
        if held < parts and (pieces or compressed):
            raise ValueError(f"it announces {parts:,} strips or tiles and holds {held:,}")
        end = max([end, *(a + b for a, b in zip(page.dataoffsets, page.databytecounts, strict=False) if b)])
    end = max(end, *(_end_of_meaning(file, page) for page in {file.pages.first, series.keyframe}))
    if max(end, _next_page(file)) > size:
        raise ValueError(f"it ends after {size} of {max(end, _next_page(file))} bytes")
    announced, held = _announced(file), max(series.size // max(1, series.keyframe.size), len(file.pages))
    if announced > held:
        first = series.keyframe
        if end < size and first.offset < min(first.dataoffsets, default=0):  # images follow, but not all
            raise ValueError(f"it announces {announced} images and holds {held}")
        said.notes.append(f"ImageJ’s description announces {announced} images; the file holds {held}.")


def _end_of_meaning(file: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    """Where the last value ends that tells what a page's numbers mean; a reader does without those it does not find."""
    if file.is_lsm or file.is_ndpi or page.parent is not file:
        return 0
    tiff, handle = file.tiff, file.filehandle
    head, end = struct.Struct(f"{tiff.byteorder}HH{'Q' if tiff.offsetsize == 8 else 'I'}"), 0
    try:
        handle.seek(page.offset)
        (count,) = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))
        entries = handle.read(count * tiff.tagsize)
        for at in range(0, count * tiff.tagsize, tiff.tagsize):
            code, kind, values = head.unpack_from(entries, at)
            length = values * _SIZES.get(kind, 1)
            if code in _MEANING and length > tiff.offsetsize:
                (offset,) = struct.unpack_from(tiff.offsetformat, entries, at + head.size)
                end = max(end, offset + length)
    except struct.error:
        _LOG.debug("A page’s description is cut off.", exc_info=True)
    return end


def _next_page(file: tifffile.TiffFile) -> int:
    """Where the page after the last that was found lies; 0 where none is announced."""
    if file.is_lsm or file.is_ndpi:  # their numbers overflow
        return 0
    tiff, handle, page = file.tiff, file.filehandle, file.pages[len(file.pages) - 1]
    try:
        handle.seek(page.offset)
        (count,) = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))
        handle.seek(page.offset + tiff.tagnosize + count * tiff.tagsize)
        (offset,) = struct.unpack(tiff.offsetformat, handle.read(tiff.offsetsize))
        return int(offset)
    except struct.error:
        _LOG.debug("The last page’s description is cut off.", exc_info=True)
        return 0


def _announced(file: tifffile.TiffFile) -> int:
    count = (file.imagej_metadata or {}).get("images", 0) if file.is_imagej else 0
    return count if isinstance(count, int) else 0


def other_files(file: tifffile.TiffFile) -> list[str]:
    """Name the files, beside this one, that an OME-TIFF image is spread over."""
    text = file.ome_metadata if file.is_ome else None
    if not text:
        return []
    parts = _PART.findall(text)
    own = _OWN.search(text)
    here = own[1] if own else next((one for name, one in parts if name.lower() == file.filename.lower()), None)
    return sorted({name for name, one in parts if name and one != here})


def spread_over(path: Path, file: tifffile.TiffFile, said: Said) -> bool | None:
    """Tell how an OME-TIFF image that is spread over files is to be read: by itself, or all together.

    Returns
    -------
    bool or None
        Whether the file is read together with the others; None for a file that is an image of its own.

    Raises
    ------
    InputFileError
        When other files are missing, and this one holds several planes, whose meaning only all of them tell.
    """
    others = other_files(file)
    if not others:
        return None
    if len(file.pages) == 1:
        said.notes.append(f"The file is one of {len(others) + 1} that hold an OME-TIFF series; its own image was read.")
        return False
    missing = [name for name in others if not os.path.isfile(path.parent / os.path.basename(name))]
    if missing:
        raise InputFileError(
            f"{path} is one of {len(others) + 1} files of an OME-TIFF series, and {missing[0]} is not beside it. Put "
            "them into one folder, or export the series as one file."
        )
    said.notes.append(f"The file is one of {len(others) + 1} that hold an OME-TIFF series; all were read.")
    return True
