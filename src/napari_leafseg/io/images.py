"""Reading images and label images; writing labels."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import tifffile

from napari_leafseg._files import check_regular, read_regular, write_atomically
from napari_leafseg.errors import InputFileError
from napari_leafseg.io import lazy
from napari_leafseg.io.axes import Plane, ReadOptions, Said
from napari_leafseg.io.decode import decode
from napari_leafseg.io.folders import LABEL_SUFFIX, is_image
from napari_leafseg.io.image_formats import is_tiff
from napari_leafseg.io.label_arrays import as_labels
from napari_leafseg.io.lazy import is_zarr, read_large_tiff, read_zarr

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedImage:
    """An image and where it came from.

    Attributes
    ----------
    array : numpy.ndarray or dask.array.Array
        (H, W), (H, W, C), or (T, H, W[, C]) for a stack; turned upright as its orientation says. OME-Zarr series,
        and TIFF series of more than 512 MiB, are read piece by piece when they are used.
    path : pathlib.Path
    sha256 : str
        Hash of the file's bytes; of an OME-Zarr store: of its description and its files' sizes.
    notes : tuple of str
        What was chosen, in sentences: a plane, channels, one of several images.
    options : dict
        The choices that mattered, for the record: ``channels``, ``z``.
    channels : tuple of str
        Names or numbers of the channels that there are to choose from.
    planes : int
        z-planes that there are to choose from.
    """

    array: np.ndarray
    path: Path
    sha256: str
    notes: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    planes: int = 0


def read_image(
    path: str | Path, options: ReadOptions | None = None, *, channels: tuple[int, ...] | None = None, z: Plane = "max"
) -> LoadedImage:
    """Read an image, upright and with its colors, of any format of `napari_leafseg.io.image_formats`.

    Parameters
    ----------
    path : path
    options : ReadOptions, optional
        Instead of the other two.
    channels : tuple of int, optional
        Which channels, counted from 1, are red, green and blue, or the one that is shown as gray; needed for files with
        two or more than three channels.
    z : int or "max"
        Which plane of a z-stack, counted from 1; "max" takes the brightest value of all planes.

    Raises
    ------
    ChannelsNeeded
        When the file has channels of which nobody said what they are.
    InputFileError
        When the file is missing, is no image or is damaged; the message names it.
    """
    path, said = Path(path), Said()
    options = options or ReadOptions(channels, z)
    if is_zarr(path):
        array, digest = read_zarr(path, options, said)
    elif _size(path) > lazy.LARGE and is_tiff(path):
        array, digest = read_large_tiff(path, options, said)
    else:
        content = read_regular(path, whole=True)
        array, digest = decode(path, content, options, said), hashlib.sha256(content).hexdigest()
    if array.dtype.kind not in "buif":
        raise InputFileError(
            f"{path} holds values of type {array.dtype}, which are no brightnesses. Convert it to 8- or 16-bit."
        )
    array = np.asarray(array) if array.ndim < 4 else array  # only a series may stay where it is
    return LoadedImage(array, path, digest, tuple(said.notes), said.options, said.channels, said.planes)


def image_hash(path: str | Path) -> str:
    """Return the hash of an image's file as `read_image` gives it, without decoding it.

    Raises
    ------
    InputFileError
        When the file cannot be read.
    """
    path = Path(path)
    if is_zarr(path):
        return lazy.zarr_hash(path)
    check_regular(path)
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise InputFileError(f"Cannot read {path}: {error.strerror}.") from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        _LOG.debug("%s has no size.", path, exc_info=True)
        return 0


def _decode(path: Path, content: bytes, numbers: bool = False) -> np.ndarray:
    return decode(path, content, ReadOptions(), Said(), numbers)


def read_labels(path: str | Path, series: bool = False) -> np.ndarray:
    """Read a label image, 0 = background. A palette (as the challenge's labels have) is ignored.

    Parameters
    ----------
    path : path
    series : bool
        Whether labels of a time series are wanted as well.

    Returns
    -------
    numpy.ndarray
        int32 (H, W), or (T, H, W).

    Raises
    ------
    InputFileError
        When the file is no image of whole numbers, see `as_labels`.
    """
    return as_labels(_decode(Path(path), read_regular(Path(path), whole=True), numbers=True), str(path), series)


def label_path(folder: Path, stem: str) -> Path:
    """Tell where the labels of an image are written: ``<folder>/<stem>_label.tif``."""
    return folder / f"{stem}{LABEL_SUFFIX}.tif"


def write_labels(path: str | Path, labels: np.ndarray, record: dict[str, Any] | None = None) -> None:
    """Write labels as a compressed uint16 TIFF, with a record of how they came about beside it as JSON.

    Each file is there whole or not at all.

    Parameters
    ----------
    path : path
        ``….tif``; the record gets the same name with ``.json``.
    labels : numpy.ndarray
        Integer (H, W) or (T, H, W), up to 65,535 leaves.
    record : dict, optional
        Parameters, model and so on.

    Raises
    ------
    InputFileError
        When the folder cannot be written, or there are more leaves than uint16 can number.
    """
    path = Path(path)
    if labels.max(initial=0) > np.iinfo(np.uint16).max:
        raise InputFileError(
            f"{path.name}: more than 65,535 leaves do not fit a 16-bit label image. Raise the smallest leaf."
        )
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, labels.astype(np.uint16), compression="zlib", photometric="minisblack")
    write_atomically(path, buffer.getvalue())
    if record is not None:
        write_atomically(path.with_suffix(".json"), (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write an image, uint8 RGB, as PNG; whole or not at all."""
    write_atomically(Path(path), imageio.imwrite("<bytes>", image, extension=".png"))


def write_array(path: str | Path, image: Any, rgb: bool) -> None:
    """Write what an image layer holds as TIFF, so that `read_image` gives it back exactly; whole or not at all.

    Parameters
    ----------
    path : path
    image : array
        (H, W), (T, H, W), (T, H, W, 1), or with colors as the last axis; of any type of numbers, NumPy or Dask.
    rgb : bool
        Whether the last axis is that of colors.
    """
    array = np.asarray(image)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.ndim == 4 and not rgb:
        array = array[..., 0]
    axes = {2: "YX", 3: "TYX"}[array.ndim - rgb] + ("S" if rgb else "")
    options: dict[str, Any] = {"photometric": "rgb" if rgb else "minisblack", "metadata": {"axes": axes}}
    if rgb and array.shape[-1] == 4:
        options["extrasamples"] = ["unassalpha"]
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, compression="zlib", compressionargs={"level": 1}, **options)
    write_atomically(Path(path), buffer.getvalue())


def find_pairs(folder: Path, labels: Path | None = None) -> Iterator[tuple[Path, Path]]:
    """Find images of a folder that have a label image, ``<stem>_label.<ending>``.

    It lies beside them, in ``labels/`` beside their folder, or in the folder `labels`, where ``_label`` may be missing.
    """
    places = (folder, folder.parent / "labels") if labels is None else (labels,)
    suffixes = (LABEL_SUFFIX,) if labels is None or labels.samefile(folder) else (LABEL_SUFFIX, "")
    for image in sorted(item for item in folder.iterdir() if item.is_file() and is_image(item)):
        names = (place / f"{image.stem}{suffix}{ending}" for place in places for suffix in suffixes
                 for ending in (".png", ".tif", ".tiff"))  # fmt: skip
        label = next((name for name in names if name.exists()), None)
        if label is not None:
            yield image, label
