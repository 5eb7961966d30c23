"""Reading images and label images; writing labels."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import InputFileError, UserError
from napari_leafseg.io import lazy
from napari_leafseg.io.label_arrays import as_labels
from napari_leafseg.io.lazy import is_zarr, read_large_tiff, read_zarr, tiff_array

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
LABEL_SUFFIX = "_label"
Image.MAX_IMAGE_PIXELS = 1_000_000_000  # scanners make large images; 1 gigapixel is still refused


@dataclass(frozen=True)
class LoadedImage:
    """An image and where it came from.

    Attributes
    ----------
    array : numpy.ndarray or dask.array.Array
        (H, W), (H, W, C), or (T, H, W[, C]) for a stack; turned upright as its EXIF orientation says. OME-Zarr series,
        and TIFF series of more than 512 MiB, are read piece by piece when they are used.
    path : pathlib.Path
    sha256 : str
        Hash of the file's bytes; of an OME-Zarr store: of its description and its files' sizes.
    """

    array: np.ndarray
    path: Path
    sha256: str


def is_image(path: Path) -> bool:
    """Tell whether a file's ending is one of an image's, and it is no label image of ours."""
    return (
        path.suffix.lower() in IMAGE_ENDINGS and not path.stem.endswith(LABEL_SUFFIX) and not path.name.startswith(".")
    )


def list_images(paths: Iterable[str | Path]) -> list[Path]:
    """Return files as they are given, folders as the images in them, by name; each once.

    Raises
    ------
    InputFileError
        When a path does not exist or a folder holds no image.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if is_zarr(path):
            found[path] = None
        elif path.is_dir():
            inside = sorted(item for item in path.iterdir() if is_zarr(item) or (item.is_file() and is_image(item)))
            if not inside:
                raise InputFileError(f"The folder {path} holds no image ({', '.join(IMAGE_ENDINGS)}).")
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[path] = None
        else:
            raise InputFileError(f"There is no file {path}. Check the path.")
    return list(found)


def read_image(path: str | Path) -> LoadedImage:
    """Read an image, upright: PNG, JPEG, TIFF, OME-TIFF, BMP, WebP, or an OME-Zarr folder.

    Raises
    ------
    InputFileError
        When the file is missing, is no image or is damaged; the message names it.
    """
    path = Path(path)
    if is_zarr(path):
        return LoadedImage(*_as_loaded(read_zarr(path), path))
    if path.suffix.lower() in {".tif", ".tiff"} and path.is_file() and path.stat().st_size > lazy.LARGE:
        return LoadedImage(*_as_loaded(read_large_tiff(path), path))
    content = _read_bytes(path)
    array = _decode(path, content)
    return LoadedImage(array, path, hashlib.sha256(content).hexdigest())


def _as_loaded(read: tuple[Any, str], path: Path) -> tuple[Any, Path, str]:
    """A single image is read now: only a series may stay where it is."""
    array, digest = read
    return (np.asarray(array) if array.ndim < 4 else array), path, digest


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputFileError(f"There is no file {path}. Check the path.") from error
    except OSError as error:
        raise InputFileError(f"Cannot read {path}: {error.strerror}.") from error


def _decode(path: Path, content: bytes, numbers: bool = False) -> np.ndarray:
    """Decode by content, not by name; a palette's `numbers` instead of its colors where they are asked for."""
    tiff = content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    try:
        if tiff:
            with tifffile.TiffFile(io.BytesIO(content)) as file:
                array = tiff_array(file, str(path))
        else:
            with Image.open(io.BytesIO(content)) as image:
                rotated, palette = image.getexif().get(0x0112, 1) != 1, image.mode == "P"
                if palette and numbers:
                    return np.array(image)
            array = imageio.imread(content, rotate=rotated, mode="RGB" if palette else None)
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise InputFileError(
            f"{path} is not an image, whatever its name says. Choose a {', '.join(IMAGE_ENDINGS)} file."
        ) from error
    except Exception as error:  # decoders raise anything at all for damaged files
        raise InputFileError(
            f"{path} is damaged or cut off and cannot be read ({_first_line(error)}). Copy or export it again."
        ) from error
    if array.size == 0:
        raise InputFileError(f"{path} is damaged or cut off: it holds no pixels. Copy or export it again.")
    if array.ndim == 3 and array.shape[0] in (3, 4) and array.shape[2] not in (3, 4):
        array = np.moveaxis(array, 0, -1)  # planar TIFF
    return np.ascontiguousarray(array)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def read_labels(path: str | Path) -> np.ndarray:
    """Read a label image: integer (H, W), 0 = background. A palette (as the challenge's labels have) is ignored.

    Raises
    ------
    InputFileError
        When the file is no image of whole numbers, see `as_labels`.
    """
    return as_labels(_decode(Path(path), _read_bytes(Path(path)), numbers=True), str(path))


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
