"""When a camera says that it took an image, and which camera it is; only headers of files are read."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from napari_leafseg._files import check_regular
from napari_leafseg.experiment.dates import read_moment
from napari_leafseg.io.pillow_formats import register_heif

_LOG = logging.getLogger(__name__)
_EXIF, _TAKEN, _OFFSET, _MODEL = 0x8769, 0x9003, 0x9011, 0x0110


def read_exif(path: Path) -> dict[str, str]:
    """Read ``time`` and ``camera`` from the EXIF of an image; what is not there, or is no date, is left out.

    Parameters
    ----------
    path : pathlib.Path
    """
    try:
        check_regular(path)
        if path.suffix.lower() in {".heic", ".heif"}:
            register_heif()
        with Image.open(path) as image:
            exif = image.getexif()
            inner, model = exif.get_ifd(_EXIF), exif.get(_MODEL)
    except Exception as error:  # of what cameras and phones wrote into it, or of what is no image at all
        _LOG.debug("%s: no EXIF (%s)", path, error)
        return {}
    found = {}
    taken = str(inner.get(_TAKEN) or "").strip("\0 ")
    if taken:
        offset = str(inner.get(_OFFSET) or "").strip("\0 ")
        try:
            moment = read_moment(taken).isoformat()
            found["time"] = moment + (offset if re.fullmatch(r"[+-]\d\d:\d\d", offset) else "")
        except ValueError as error:  # "0000:00:00 00:00:00" of cameras whose clock was never set
            _LOG.debug("%s: %s", path, error)
    if isinstance(model, str) and (model := " ".join(model.split("\0")[0].split())[:80]):
        found["camera"] = model
    return found


def exif_of(paths: Sequence[Path]) -> Iterator[tuple[Path, dict[str, str]]]:
    """Read the EXIF of many images, one after the other."""
    for path in paths:
        yield path, read_exif(path)
