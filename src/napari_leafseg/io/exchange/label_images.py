"""Label images and arrays as files: TIFF, PNG, NumPy, and what Cellpose keeps."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from napari_leafseg._files import check_regular, read_regular, write_atomically
from napari_leafseg.errors import InputFileError
from napari_leafseg.io.axes import ReadOptions, Said
from napari_leafseg.io.exchange.names import labeled_path
from napari_leafseg.io.exchange.reading import Found, Reading, explained
from napari_leafseg.io.image_formats import head, is_tiff, what_it_is
from napari_leafseg.io.images import read_labels
from napari_leafseg.io.label_arrays import as_labels
from napari_leafseg.io.pillow_formats import orientation_of
from napari_leafseg.io.tiff import label_shape, read_tiff

_LARGEST_ARRAY = 4 * 2**30  # bytes of a label file


def write_label_tiff(path: str | Path, labels: np.ndarray) -> None:
    """Write labels (H, W) or (T, H, W) as 16-bit TIFF; 32-bit where numbers are larger than 65,535."""
    kind = np.uint16 if labels.max(initial=0) < 2**16 else np.uint32
    buffer = io.BytesIO()
    axes = {"axes": "TYX"[-labels.ndim :]}
    tifffile.imwrite(buffer, labels.astype(kind), compression="zlib", photometric="minisblack", metadata=axes)
    write_atomically(Path(path), buffer.getvalue())


def write_label_array(path: str | Path, labels: np.ndarray) -> None:
    """Write labels as a NumPy array."""
    buffer = io.BytesIO()
    np.save(buffer, labels, allow_pickle=False)
    write_atomically(Path(path), buffer.getvalue())


def iterate_label_image(path: Path, reading: Reading) -> Found:
    """Read a label image whose image is known; its size is looked at first."""
    with explained(path, "label image"):
        check_regular(path, _LARGEST_ARRAY)
        name, tiff = labeled_path(path), is_tiff(path)
        shape = _tiff_shape(path) if tiff else _image_shape(path)
        known = reading.known([name], {name: shape})
        labels = (_read_tiff(path) if tiff else read_labels(path)) if known else None
        if labels is not None and labels.shape != shape:
            raise InputFileError(f"it announces {shape} pixels and holds {labels.shape}")
    if labels is not None:
        yield name, labels


def iterate_array(path: Path, reading: Reading) -> Found:
    """Read a NumPy array of labels, or Cellpose’s ``_seg.npy``, whose image is known."""
    with explained(path, "array of labels"):
        name, labels = labeled_path(path), as_labels(_read_npy(path), str(path), series=True)
        known = reading.known([name], {name: labels.shape})
    if known:
        yield name, labels


def _image_shape(path: Path) -> tuple[int, ...]:
    try:
        with Image.open(path) as image:
            return upright_shape(image)
    except UnidentifiedImageError as error:
        raise InputFileError(f"{path} is {what_it_is(head(path, 2**16))}") from error


def upright_shape(image: Image.Image) -> tuple[int, int]:
    """Return height and width of an image turned as its EXIF orientation says, without decoding it."""
    width, height = image.size
    return (width, height) if orientation_of(image) > 4 else (height, width)


def _tiff_shape(path: Path) -> tuple[int, ...]:
    with tifffile.TiffFile(path) as file:
        return label_shape(file)


def _read_tiff(path: Path) -> np.ndarray:
    """All of a TIFF file, upright; its pages are frames, whatever their number."""
    content = read_regular(path, _LARGEST_ARRAY, whole=True)
    return as_labels(read_tiff(content, str(path), ReadOptions(), Said(), numbers=True), str(path), series=True)


def _read_npy(path: Path) -> np.ndarray:
    content = io.BytesIO(read_regular(path, _LARGEST_ARRAY, whole=True))
    version = np.lib.format.read_magic(content)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_column, kind = read(content)
    if not kind.hasobject:
        rest = len(content.getbuffer()) - content.tell()
        if int(np.prod(shape, dtype=object)) * kind.itemsize != rest:
            raise InputFileError(f"{path} is cut off: it announces {shape} of {kind}")
        return np.frombuffer(content.read(), kind).reshape(shape, order="F" if by_column else "C")
    found = _Unpickler(content).load()
    while isinstance(found, _Array):
        found = found.array() if not isinstance(found.data, list) else found.data[0]
    if not isinstance(found, dict) or "masks" not in found:
        raise InputFileError(f"{path} holds Python objects, but no masks as Cellpose writes them")
    masks = found["masks"]
    return masks.array() if isinstance(masks, _Array) else np.asarray(masks)


class _Array:
    """What a pickled array says of itself; nothing is made before it is looked at."""

    def __init__(self, *_arguments: Any) -> None:
        self.shape: tuple[int, ...] = ()
        self.kind, self.by_column, self.data = _Kind("V1"), False, b""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.kind, self.by_column, self.data = state

    def array(self) -> np.ndarray:
        """Make it."""
        kind = np.dtype(self.kind.order + self.kind.name)
        if kind.hasobject or not isinstance(self.data, bytes):
            raise InputFileError("its masks are no array of numbers")
        return np.frombuffer(self.data, kind).reshape(self.shape, order="F" if self.by_column else "C")


class _Kind:
    """What a pickled type of numbers says of itself."""

    def __init__(self, name: str, *_arguments: Any) -> None:
        self.name, self.order = str(name), ""

    def __setstate__(self, state: Any) -> None:
        self.order = state[1] if state[1] in ("<", ">") else ""


class _Scalar:
    """A single number, which nobody needs."""

    def __init__(self, *_arguments: Any) -> None: ...


def _latin(text: str, _encoding: str = "") -> bytes:
    return text.encode("latin-1")


class _Unpickler(pickle._Unpickler):  # the one in C takes any memory for its memo
    """Reads dictionaries, lists, numbers, texts and arrays; runs nothing of what the file names."""

    _KNOWN = {  # noqa: RUF012
        "_reconstruct": _Array, "ndarray": _Array, "dtype": _Kind, "scalar": _Scalar, "encode": _latin,
    }  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] in {"numpy", "_codecs"} and name in self._KNOWN:
            return self._KNOWN[name]
        raise InputFileError(f"it wants to run {module}.{name}, which is not done")
