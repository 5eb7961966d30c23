"""TIFF files: which page is the image, and what its numbers mean."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from PIL import Image, TiffImagePlugin

from napari_leafseg._extras import installed, require
from napari_leafseg.errors import InputFileError
from napari_leafseg.io.axes import ReadOptions, Said, arrange, upright
from napari_leafseg.io.color import cmyk_to_rgb, frame_array, lab_to_rgb, ycbcr_to_rgb
from napari_leafseg.io.pieces import in_pieces
from napari_leafseg.io.tiff_samples import (
    ALPHA,
    colored,
    inverted,
    look_up,
    picked,
    stretched,
    without_lowest,
    without_nodata,
)
from napari_leafseg.io.tiff_whole import check_whole, spread_over

_LOG = logging.getLogger(__name__)

_RAW = {32803, 34892}  # photometric: color filter array, linear raw
_COLOR_CODECS = {6, 7, 33003, 33004, 33005, 33007, 34712, 34892, 34927, 50001, 50002, 52546}  # they decode to RGB
_CONVERSIONS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    5: cmyk_to_rgb, 6: ycbcr_to_rgb, 8: lab_to_rgb, 9: partial(lab_to_rgb, kind=9), 10: partial(lab_to_rgb, kind=10),
}  # fmt: skip
_LOSSY = {6, 7, 33007, 34892}  # compressions
_PAGES_LOOKED_AT = 32
_LIBTIFF = threading.Lock()


class CameraRaw(Exception):
    """The image in a TIFF file is what a sensor saw and must be developed."""


class Meaning(NamedTuple):
    """How the numbers of a page become brightnesses.

    Attributes
    ----------
    convert : callable
        From an array whose last axis is that of the samples, if there is one.
    axis : str
        What the last axis is afterwards: "s" (colors), "c" (channels) or "" (none).
    """

    convert: Callable[[np.ndarray], np.ndarray]
    axis: str


def read_tiff(content: bytes, name: str, options: ReadOptions, said: Said, numbers: bool = False) -> np.ndarray:
    """Decode a TIFF file.

    Parameters
    ----------
    content : bytes
    name : str
        For messages.
    options : ReadOptions
    said : Said
        Takes what was chosen.
    numbers : bool
        The numbers as they are stored, for label images: no colors, all planes.

    Raises
    ------
    CameraRaw
    InputFileError
        When axes or channels are none that can be shown.
    """
    with _opened(content, Path(name), said) as file:
        series = main_series(file, said)
        _check_size(series, name)
        check_whole(file, series, len(content), said)
        page = series.keyframe
        if numbers and page.compression in _LOSSY:
            raise InputFileError(lossy(name, "JPEG"))
        try:
            if not _decodes(page):
                raise NotImplementedError(f"compression {page.compression}")
            array, axes = series.asarray(), series.axes
            if array.shape != series.shape:
                raise ValueError(f"it announces {series.shape} pixels and holds {array.shape}")
        except Exception as error:
            if not installed("imagecodecs") and _needs_codecs(page, error):
                way = tifffile.COMPRESSION(page.compression).name
                require(
                    "imagecodecs", f"{name} is a TIFF file compressed as {way}, which", "Or export it uncompressed.",
                    kind=InputFileError,
                )  # fmt: skip
            array, axes = _by_pillow(content, series, error, name)
            return np.asarray(arrange(array, axes, name, options, (), said))
        if numbers:
            return _numbers(array, axes, page)
        return np.asarray(finish(array, axes, file, series, name, options, said))


def _needs_codecs(page: tifffile.TiffPage, error: Exception) -> bool:
    """Whether tifffile says that it could not decode a page without imagecodecs."""
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except KeyError as lacking:
        return "imagecodecs" in str(lacking)
    return "imagecodecs" in str(error)


def lossy(name: str | Path, kind: str) -> str:
    """Tell why an image of this kind is no label image."""
    return (
        f"{name} is no label image: it is compressed as {kind}, which does not keep numbers exactly. Export the labels "
        "as PNG, or as TIFF with LZW."
    )


def _opened(content: bytes, path: Path, said: Said) -> tifffile.TiffFile:
    """Open a file; with those beside it that its image is spread over."""
    file = tifffile.TiffFile(io.BytesIO(content), name=path.name)
    together = spread_over(path, file, said)
    if together is None:
        return file
    return tifffile.TiffFile(path) if together else tifffile.TiffFile(io.BytesIO(content), is_ome=False)


def main_series(file: tifffile.TiffFile, said: Said) -> tifffile.TiffPageSeries:
    """Find the series that holds the image: the largest that is no reduced image and no mask of another one.

    Raises
    ------
    CameraRaw
        When a page of a sensor's values is larger.
    """
    if not len(file.pages):
        raise ValueError("it holds no page")
    named = [series for series in file.series if {"Y", "X"} <= set(series.axes)] or list(file.series)
    true = [one for one in named if not _belongs_to_another(one.keyframe)] or named
    largest = max(true, key=_size)
    pages = [page for page in file.pages[:_PAGES_LOOKED_AT] if isinstance(page, tifffile.TiffPage)]
    for page in [inner for top in pages for inner in (top, *(top.pages or ()))]:
        if isinstance(page, tifffile.TiffPage) and page.photometric in _RAW and _pixels(page) >= _size(largest):
            raise CameraRaw
    if len(true) > 1:
        said.notes.append(
            f"The file holds {len(true)} images; the {'first of the ' if _same(true) else ''}largest was read."
        )
    return largest


def _belongs_to_another(page: tifffile.TiffPage) -> bool:
    """Whether a page is a reduced copy of another one, or its mask."""
    return page.is_reduced or page.is_mask or page.photometric == 4


def _pixels(page: tifffile.TiffPage) -> int:
    return page.imagewidth * page.imagelength


def _size(series: tifffile.TiffPageSeries) -> int:
    shape = dict(zip(series.axes, series.shape, strict=True))
    return int(shape.get("Y", 1) * shape.get("X", 1))


def _check_size(series: tifffile.TiffPageSeries, name: str) -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    if _size(series) > Image.MAX_IMAGE_PIXELS:
        raise InputFileError(
            f"{name} has more pixels than any image that can be worked on ({_size(series):,}). Export it smaller, or "
            "as tiles."
        )


def _same(series: list[tifffile.TiffPageSeries]) -> bool:
    return sorted(map(_size, series))[-2] == max(map(_size, series))


def _decodes(page: tifffile.TiffPage) -> bool:
    """Whether tifffile reads the page; where it does not, libtiff may."""
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except KeyError:
        return False
    return page.photometric != 6 or page.compression in _COLOR_CODECS or not page.is_subsampled


def _by_pillow(
    content: bytes, series: tifffile.TiffPageSeries, error: Exception, name: str
) -> tuple[np.ndarray, str]:  # fmt: skip
    """Pages that tifffile does not decode, by libtiff; raises `error` where that does not either."""
    numbers = [page.index for page in series.pages if page is not None]
    frames = []
    with _LIBTIFF:
        before, TiffImagePlugin.READ_LIBTIFF = TiffImagePlugin.READ_LIBTIFF, True
        try:
            with Image.open(io.BytesIO(content), formats=["TIFF"]) as image:
                for number in numbers:
                    image.seek(number)
                    frames.append(frame_array(image))
        except Exception:
            if isinstance(error, NotImplementedError):
                raise InputFileError(
                    f"{name} cannot be read: its {error} is rare. Export it uncompressed, or with LZW."
                ) from error
            raise error from None
        finally:
            TiffImagePlugin.READ_LIBTIFF = before
    array = frames[0] if len(frames) == 1 else np.stack(frames)
    return array, ("I" if len(frames) > 1 else "") + ("YXS" if frames[0].ndim == 3 else "YX")


def _numbers(array: np.ndarray, axes: str, page: tifffile.TiffPage) -> np.ndarray:
    if "S" in axes and not axes.endswith("S"):
        array, axes = np.moveaxis(array, axes.index("S"), -1), axes.replace("S", "") + "S"
    return np.ascontiguousarray(upright(array, _tag(page, 274, 1), axes.index("Y")))


def label_shape(file: tifffile.TiffFile) -> tuple[int, ...]:
    """Return the shape of the labels in a file, upright, without decoding them."""
    series = main_series(file, Said())
    sides = [(int(side), axis) for side, axis in zip(series.shape, series.axes, strict=True) if axis != "S"]
    if _tag(series.keyframe, 274, 1) > 4:
        at = [axis for _, axis in sides].index("Y")
        sides[at : at + 2] = sides[at : at + 2][::-1]
    return tuple(side for side, _ in sides if side > 1)


def finish(
    array: Any, axes: str, file: tifffile.TiffFile, series: tifffile.TiffPageSeries, name: str, options: ReadOptions,
    said: Said,
) -> Any:  # fmt: skip
    """Make an image or time series, upright and with its colors, of the numbers of a series, NumPy or Dask."""
    page = series.keyframe
    if "S" in axes:
        place = axes.index("S")
        order = [*(axis for axis in range(array.ndim) if axis != place), place]
        array, axes = array.transpose(order), axes.replace("S", "") + "S"
    meaning = _meaning(page, "S" in axes, options, said, name)
    array = _apply(meaning.convert, array)
    axes = axes.removesuffix("S") + meaning.axis
    if axes.upper().index("X") == axes.upper().index("Y") + 1:
        array = upright(array, _tag(page, 274, 1), axes.upper().index("Y"))
    return arrange(array, axes, name, options, _channel_names(file), said)


def _apply(convert: Callable[[np.ndarray], np.ndarray], array: Any) -> Any:
    """Convert an array; block by block where it is a Dask array."""
    if isinstance(array, np.ndarray):
        return convert(array)
    import dask.array as da

    before = np.zeros((1, *([1] * (array.ndim - 2)), array.shape[-1]), array.dtype)
    after = convert(before)
    array = array.rechunk({array.ndim - 1: -1})
    if after.ndim == array.ndim:
        return da.map_blocks(convert, array, dtype=after.dtype, chunks=(*array.chunks[:-1], (after.shape[-1],)))
    if after.ndim > array.ndim:
        return da.map_blocks(
            convert, array, dtype=after.dtype, chunks=(*array.chunks, (after.shape[-1],)), new_axis=array.ndim
        )
    return da.map_blocks(convert, array, dtype=after.dtype, chunks=array.chunks[:-1], drop_axis=array.ndim - 1)


def _tag(page: tifffile.TiffPage, code: int, default: Any) -> Any:
    tag = page.tags.get(code)
    return default if tag is None or tag.value is None else tag.value


def _channel_names(file: tifffile.TiffFile) -> list[str]:
    """Names of the channels as OME or ImageJ state them."""
    try:
        if file.is_ome and file.ome_metadata:
            found = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
            channels = (found[0] if isinstance(found, list) else found)["Pixels"]["Channel"]
            channels = channels if isinstance(channels, list) else [channels]
            return [str(channel.get("Name") or number) for number, channel in enumerate(channels, start=1)]
        labels = (file.imagej_metadata or {}).get("Labels")
        return [] if labels is None else [str(label) for label in np.ravel(labels)]
    except (KeyError, TypeError, ValueError):
        _LOG.debug("Channels have no names.", exc_info=True)
        return []


def _meaning(page: tifffile.TiffPage, sampled: bool, options: ReadOptions, said: Said, name: str) -> Meaning:
    """What the numbers of a page are."""
    photometric = int(page.photometric if page.photometric is not None else 1)
    extras = tuple(page.extrasamples or ())
    samples = page.samplesperpixel if sampled else 1
    steps: list[Callable[[np.ndarray], np.ndarray]] = []
    nodata = _nodata(page)
    if nodata is None and photometric in (1, 2):
        steps.append(without_lowest)
    if nodata is not None and photometric in (1, 2):
        steps.append(partial(without_nodata, value=nodata, sampled=sampled))
    if photometric == 3 and page.colormap is not None:
        return Meaning(_chain([partial(look_up, palette=page.colormap, extras=extras if sampled else None)]), "s")
    base = {2: 3, 5: 4, 6: 3, 8: 3, 9: 3, 10: 3}.get(photometric, 1)
    if photometric == 5 and (samples < 4 or _tag(page, 332, 1) != 1):  # inks other than cyan, magenta, yellow, black
        base = 1
    alpha = next((base + at for at, kind in enumerate(extras) if kind in ALPHA and base + at < samples), None)
    spectral = [at for at in range(samples) if at != alpha]
    if photometric == 0:
        steps.append(partial(inverted, bits=_bits(page), samples=None if alpha is None else spectral))
    if photometric in (0, 1, 2) and 1 < _bits(page) < 8:
        steps.append(partial(stretched, bits=_bits(page)))
    if not sampled:
        return Meaning(_chain(steps), "")
    if base >= 3:
        if photometric == 2 and len(spectral) > 3:
            spectral = _of_many(spectral, options, said, name)
        else:
            spectral = spectral[:base]
    if spectral != list(range(samples)) or alpha is not None:
        multiplied = alpha is not None and extras[alpha - base] == 1
        steps.append(partial(picked, spectral=spectral, alpha=alpha, multiplied=multiplied, inks=base == 4))
    colors = _CONVERSIONS.get(photometric)
    if colors is not None and base >= 3 and not (photometric == 6 and page.compression in _COLOR_CODECS):
        steps.append(partial(colored, convert=colors, base=base))
    return Meaning(_chain(steps), "s" if base >= 3 or (alpha is not None and len(spectral) in (1, 3)) else "c")


def _chain(steps: list[Callable[[np.ndarray], np.ndarray]]) -> Callable[[np.ndarray], np.ndarray]:
    def convert(array: np.ndarray) -> np.ndarray:
        for step in steps:
            array = step(array)
        return array

    return convert


def _bits(page: tifffile.TiffPage) -> int:
    bits = page.bitspersample
    return int(bits if isinstance(bits, int) else max(bits))


def _nodata(page: tifffile.TiffPage) -> float | None:
    """The value that marks pixels without data, as GDAL writes it."""
    try:
        return float(str(page.tags[42113].value).strip("\0 ")) if 42113 in page.tags else None
    except ValueError:
        _LOG.debug("GDAL_NODATA is no number.", exc_info=True)
        return None


def _of_many(spectral: list[int], options: ReadOptions, said: Said, name: str) -> list[int]:
    """Colors of an RGB image that holds further channels."""
    count = len(spectral)
    chosen = options.of(count) or (1, 2, 3)
    said.channels = tuple(map(str, range(1, count + 1)))
    if max(chosen) > count:
        raise InputFileError(
            f"{name} has {count} channels; there is no channel {max(chosen)}. They are counted from 1."
        )
    if chosen != (1, 2, 3):
        said.options["channels"] = list(chosen)
    said.notes.append(
        f"Of {count} channels, {', '.join(map(str, chosen))} {'is' if len(chosen) == 1 else 'are'} shown."
    )
    return [spectral[one - 1] for one in chosen]


def open_large_tiff(path: Path, options: ReadOptions, said: Said) -> Any:
    """Open the image of a TIFF file as a Dask array, which reads only what is used."""
    zarr = require("zarr", f"{path} is a TIFF file of more than 512 MiB, which", kind=InputFileError)
    with tifffile.TiffFile(path) as file:
        flags: dict[str, Any] = {"is_ome": False} if spread_over(path, file, said) is False else {}
    with tifffile.TiffFile(path, **flags) as file:
        series = main_series(file, said)
        _check_size(series, str(path))
        check_whole(file, series, path.stat().st_size, said, pieces=True)
        if not _decodes(series.keyframe):
            raise InputFileError(f"{path} is compressed in a way that only smaller files may be. Export it with LZW.")
        number = file.series.index(series)
        store = tifffile.imread(path, aszarr=True, level=0, series=number, **flags)
        array = in_pieces(zarr.open(store, mode="r"), path)
        return finish(array, series.axes, file, series, str(path), options, said)
