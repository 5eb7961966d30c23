"""Labels in the formats that other programs read: each format is described once, in `FORMATS`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from napari_leafseg.errors import InputFileError, ParameterError
from napari_leafseg.io.exchange.coco import read_coco, write_coco
from napari_leafseg.io.exchange.geojson import read_geojson, write_geojson
from napari_leafseg.io.exchange.imagej import read_imagej, write_imagej
from napari_leafseg.io.exchange.labelme import read_labelme, write_labelme
from napari_leafseg.io.images import LABEL_SUFFIX, label_path, read_labels, write_image, write_labels

ImageSize = Callable[[str], tuple[int, int]]
"""Returns height and width of the image with this name."""


class Labeled(NamedTuple):
    """An image's labels to be written: a name for the files, the image's file name, and how to read them."""

    name: str
    image: str
    labels: Callable[[], np.ndarray]


class ImageLabels(NamedTuple):
    """Labels that a format writes: a name for the files, the image's file name, and the array."""

    name: str
    image: str
    labels: np.ndarray


@dataclass(frozen=True)
class ExchangeFormat:
    """Describe a format; export, import, command line and file dialogs read this and nothing else.

    Attributes
    ----------
    name : str
        What the user types: ``--format NAME``.
    title : str
        What the window shows.
    suffixes : tuple of str
        Endings of its files, in lower case.
    write : callable
        Write these labels to a folder: one image at a time, or all together where `one_file` is set.
    read : callable, optional
        Read a file; returns labels by image name. Takes the file and a function that returns an image's size.
        A format without it can be written only.
    one_file : bool
        Whether all images go into one file.
    series : bool
        Whether it can hold a time series.
    sniff : callable, optional
        Say whether a file is of this format, where several share an ending.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    write: Callable[[Path, Sequence[ImageLabels]], None]
    read: Callable[[Path, ImageSize], dict[str, np.ndarray]] | None = None
    one_file: bool = False
    series: bool = False
    sniff: Callable[[Path], bool] | None = None


def image_name(path: Path) -> str:
    """Return the name of the image that a file of labels belongs to: ``plant`` for ``plant_label.tif``."""
    return path.stem.removesuffix(LABEL_SUFFIX).removesuffix("_rois")


def _write_tiff(folder: Path, items: Sequence[ImageLabels]) -> None:
    for item in items:
        write_labels(label_path(folder, item.name), item.labels)


def _write_png(folder: Path, items: Sequence[ImageLabels]) -> None:
    for item in items:
        write_image(folder / f"{item.name}{LABEL_SUFFIX}.png", item.labels)


def _read_label_image(path: Path, size: ImageSize) -> dict[str, np.ndarray]:
    return {image_name(path): read_labels(path)}


def _write_coco(encoding: Literal["polygon", "rle"], folder: Path, items: Sequence[ImageLabels]) -> None:
    write_coco(folder / "leaves.json", [(item.image, item.labels) for item in items], encoding)


def _read_coco(path: Path, size: ImageSize) -> dict[str, np.ndarray]:
    return read_coco(path)


def _write_labelme(folder: Path, items: Sequence[ImageLabels]) -> None:
    for item in items:
        write_labelme(folder / f"{Path(item.image).stem}.json", item.labels, item.image)


def _read_labelme(path: Path, size: ImageSize) -> dict[str, np.ndarray]:
    return dict([read_labelme(path)])


def _write_imagej(folder: Path, items: Sequence[ImageLabels]) -> None:
    for item in items:
        write_imagej(folder / f"{item.name}_rois.zip", item.labels)


def _read_imagej(path: Path, size: ImageSize) -> dict[str, np.ndarray]:
    name = image_name(path)
    return {name: read_imagej(path, size(name))}


def _write_geojson(folder: Path, items: Sequence[ImageLabels]) -> None:
    for item in items:
        write_geojson(folder / f"{item.name}.geojson", item.labels)


def _read_geojson(path: Path, size: ImageSize) -> dict[str, np.ndarray]:
    name = image_name(path)
    return {name: read_geojson(path, size(name))}


def _has_entry(entry: str, path: Path) -> bool:
    """Say whether a JSON file has this entry at its top."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputFileError(f"{path} cannot be read as JSON ({error}). Export it again.") from error
    return isinstance(content, dict) and entry in content


_COCO: dict[str, Any] = {"read": _read_coco, "one_file": True, "sniff": partial(_has_entry, "annotations")}

# fmt: off
FORMATS: dict[str, ExchangeFormat] = {fmt.name: fmt for fmt in (
    ExchangeFormat("coco", "COCO JSON, run lengths (one file)", (".json",), partial(_write_coco, "rle"), **_COCO),
    ExchangeFormat("coco-polygons", "COCO JSON, polygons (one file)", (".json",), partial(_write_coco, "polygon"),
                   **_COCO),
    ExchangeFormat("labelme", "LabelMe JSON", (".json",), _write_labelme, _read_labelme,
                   sniff=partial(_has_entry, "shapes")),
    ExchangeFormat("tiff", "Label images, 16-bit TIFF", (".tif", ".tiff"), _write_tiff, _read_label_image, series=True),
    ExchangeFormat("png", "Label images, 16-bit PNG", (".png",), _write_png, _read_label_image),
    ExchangeFormat("imagej", "ImageJ ROI sets", (".zip",), _write_imagej, _read_imagej),
    ExchangeFormat("geojson", "GeoJSON for QuPath", (".geojson",), _write_geojson, _read_geojson),
)}
# fmt: on


def find_format(name: str) -> ExchangeFormat:
    """Find a format by its name.

    Raises
    ------
    ParameterError
        For an unknown format.
    """
    if name not in FORMATS:
        raise ParameterError(f"There is no format “{name}”. Choose one of: {', '.join(FORMATS)}.")
    return FORMATS[name]


def readable_suffixes() -> tuple[str, ...]:
    """Return the endings of all files that can be read."""
    return tuple(dict.fromkeys(suffix for fmt in FORMATS.values() if fmt.read for suffix in fmt.suffixes))


def read_format(path: Path, size: ImageSize) -> dict[str, np.ndarray]:
    """Read labels from a file of any format.

    Parameters
    ----------
    path : path
    size : callable
        Returns height and width of the image with this name, for formats that do not hold it.

    Returns
    -------
    dict of str to numpy.ndarray
        Labels by the name of their image.

    Raises
    ------
    InputFileError
        For a file that is of no format, of one that can be written only, or damaged.
    """
    by_suffix = [fmt for fmt in FORMATS.values() if path.suffix.lower() in fmt.suffixes]
    if not by_suffix:
        raise InputFileError(f"{path}: choose files of labels that end in {', '.join(readable_suffixes())}.")
    suitable = [fmt for fmt in by_suffix if fmt.sniff is None or fmt.sniff(path)]
    for fmt in suitable:
        if fmt.read is not None:
            return fmt.read(path, size)
    titles = " or ".join(fmt.title for fmt in suitable or by_suffix)
    if suitable:
        raise InputFileError(
            f"{path}: labels can be written as {titles}, but not read. Choose files that end in "
            f"{', '.join(readable_suffixes())}."
        )
    raise InputFileError(f"{path} is no file of this kind: {titles}. Export it again.")


def write_format(folder: Path, items: Iterable[Labeled], name: str) -> Iterator[str]:
    """Write labels; yields the name of each image before it is written.

    Parameters
    ----------
    folder : path
    items : iterable of Labeled
    name : str
        One of `FORMATS`.

    Raises
    ------
    ParameterError
        For an unknown format, or a series in a format that holds none.
    InputFileError
        For a folder that cannot be written.
    """
    fmt = find_format(name)
    collected: list[ImageLabels] = []
    for item in items:
        yield item.name
        labels = ImageLabels(item.name, item.image, item.labels())
        if labels.labels.ndim != 2 and not fmt.series:
            able = " or ".join(other.name for other in FORMATS.values() if other.series)
            raise ParameterError(f"“{item.name}” is a time series, which {fmt.title} cannot hold. Export it as {able}.")
        if fmt.one_file:
            collected.append(labels)
        else:
            fmt.write(folder, [labels])
    if fmt.one_file:
        fmt.write(folder, collected)
