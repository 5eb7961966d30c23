"""Labels in the formats that other programs read: each format is described once, in `FORMATS`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import imageio.v3 as imageio
import numpy as np

from napari_leafseg._files import safe_name
from napari_leafseg.errors import InputFileError, ParameterError, UserError
from napari_leafseg.io.arrays import to_rgb8
from napari_leafseg.io.axes import ReadOptions
from napari_leafseg.io.exchange.coco import count_coco, iterate_coco, write_coco
from napari_leafseg.io.exchange.cvat import count_cvat, iterate_cvat, write_cvat
from napari_leafseg.io.exchange.geojson import count_geojson, is_geojson, iterate_geojson, write_geojson
from napari_leafseg.io.exchange.imagej import iterate_imagej, write_imagej
from napari_leafseg.io.exchange.label_images import (
    iterate_array,
    iterate_label_image,
    write_label_array,
    write_label_tiff,
)
from napari_leafseg.io.exchange.labelme import count_labelme, iterate_labelme, opens_itself, path_from, write_labelme
from napari_leafseg.io.exchange.reading import Found, Reading, explained, forget_json, load_json
from napari_leafseg.io.exchange.yolo import count_yolo, is_yolo, iterate_yolo, write_data_yaml, write_yolo
from napari_leafseg.io.images import LABEL_SUFFIX, label_path, read_image, write_image

_LOG = logging.getLogger(__name__)


class Labeled(NamedTuple):
    """An image's labels to be written.

    Attributes
    ----------
    name : str
        For the files; unique, and safe on any system.
    image : str
        The image's file name, with folders where several have the same; see `names.relative_names`.
    labels : callable
        Reads them.
    source : pathlib.Path, optional
        The image's file.
    reading : ReadOptions, optional
        Which of its channels and planes are read.
    """

    name: str
    image: str
    labels: Callable[[], np.ndarray]
    source: Path | None = None
    reading: ReadOptions | None = None


class ImageLabels(NamedTuple):
    """Labels that a format writes; see `Labeled`."""

    name: str
    image: str
    labels: np.ndarray
    source: Path | None = None
    reading: ReadOptions | None = None


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
        Read a file: a generator of images' names and their labels. Takes the file and a `Reading`, which knows the
        images and is told what was not taken. A format without it can be written only.
    one_file : bool
        Whether all images go into one file.
    series : bool
        Whether it can hold a time series.
    sniff : callable, optional
        Say whether a file is of this format, where several share an ending.
    count : callable, optional
        Count a file's shapes by class, where the format has classes.
    loses : str
        What does not come back, as a sentence.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    write: Callable[[Path, Sequence[ImageLabels]], None]
    read: Callable[[Path, Reading], Found] | None = None
    one_file: bool = False
    series: bool = False
    sniff: Callable[[Path], bool] | None = None
    count: Callable[[Path], Counter[str]] | None = None
    loses: str = ""


def _write_tiff(folder: Path, items: Sequence[ImageLabels]) -> None:
    for item in items:
        write_label_tiff(label_path(folder, item.name), item.labels)


def _write_png(folder: Path, items: Sequence[ImageLabels]) -> None:
    for item in items:
        if item.labels.max(initial=0) >= 2**16:
            raise ParameterError(
                f"“{item.name}” has leaf numbers above 65,535, which a 16-bit PNG cannot hold. Export it as TIFF."
            )
        write_image(folder / f"{item.name}{LABEL_SUFFIX}.png", item.labels.astype(np.uint16))


def _write_array(folder: Path, items: Sequence[ImageLabels]) -> None:
    for item in items:
        write_label_array(folder / f"{item.name}{LABEL_SUFFIX}.npy", item.labels)


def _write_coco(encoding: Literal["polygon", "rle"], folder: Path, items: Sequence[ImageLabels]) -> None:
    write_coco(folder / "leaves.json", [(item.image, item.labels) for item in items], encoding)


def _write_cvat(folder: Path, items: Sequence[ImageLabels]) -> None:
    write_cvat(folder / "annotations.xml", [(item.image, item.labels) for item in items])


def _write_labelme(folder: Path, items: Sequence[ImageLabels]) -> None:
    for item in items:
        target = folder / f"{item.name}.json"
        content = None
        if item.source is not None and item.source.exists() and not opens_itself(item.source, item.labels.shape):
            rgb = to_rgb8(np.asarray(read_image(item.source, item.reading).array), str(item.source))
            content = imageio.imwrite("<bytes>", rgb, extension=".png")
        image = item.image if item.source is None else path_from(target.parent, item.source)
        write_labelme(target, item.labels, image, content)


def _write_imagej(folder: Path, items: Sequence[ImageLabels]) -> None:
    for item in items:
        write_imagej(folder / f"{item.name}_rois.zip", item.labels)


def _write_geojson(folder: Path, items: Sequence[ImageLabels]) -> None:
    for item in items:
        write_geojson(folder / f"{item.name}.geojson", item.labels)


def _write_yolo(folder: Path, items: Sequence[ImageLabels]) -> None:
    if not (folder / "data.yaml").exists():
        write_data_yaml(folder)
    for item in items:
        image = PurePosixPath(item.image)
        ending = f"_{image.suffix[1:]}"  # plant.png and plant.jpg in one folder
        stem = image.stem + (ending if item.name.endswith(ending) and not image.stem.endswith(ending) else "")
        inner = [safe_name(part) for part in image.parts[:-1] if part not in {"/", ".."}]
        write_yolo(folder.joinpath("labels", *inner, f"{safe_name(stem)}.txt"), item.labels)


def _has_entry(entry: str, path: Path) -> bool:
    """Say whether a JSON file has this entry at its top."""
    content = load_json(path)
    return isinstance(content, dict) and entry in content


_COCO: dict[str, Any] = {
    "read": iterate_coco, "one_file": True, "sniff": partial(_has_entry, "annotations"), "count": count_coco,
}  # fmt: skip

# fmt: off
FORMATS: dict[str, ExchangeFormat] = {fmt.name: fmt for fmt in (
    ExchangeFormat("coco", "COCO JSON, run lengths (one file)", (".json",), partial(_write_coco, "rle"), **_COCO),
    ExchangeFormat("coco-polygons", "COCO JSON, polygons (one file)", (".json",), partial(_write_coco, "polygon"),
                   **_COCO),
    ExchangeFormat("cvat", "CVAT for images 1.1 (one file)", (".xml",), _write_cvat, iterate_cvat, one_file=True,
                   count=count_cvat),
    ExchangeFormat("yolo", "YOLO segmentation", (".txt", ".yaml", ".yml"), _write_yolo, iterate_yolo, sniff=is_yolo,
                   count=count_yolo, loses="Leaves come back numbered 1, 2, … in the order of their numbers."),
    ExchangeFormat("labelme", "LabelMe JSON", (".json",), _write_labelme, iterate_labelme,
                   sniff=partial(_has_entry, "shapes"), count=count_labelme),
    ExchangeFormat("tiff", "Label images, 16-bit TIFF", (".tif", ".tiff"), _write_tiff, iterate_label_image,
                   series=True),
    ExchangeFormat("png", "Label images, 16-bit PNG", (".png",), _write_png, iterate_label_image),
    ExchangeFormat("numpy", "NumPy arrays; Cellpose’s _seg.npy is read, too", (".npy",), _write_array, iterate_array,
                   series=True),
    ExchangeFormat("imagej", "ImageJ ROI sets", (".zip", ".roi"), _write_imagej, iterate_imagej),
    ExchangeFormat("geojson", "GeoJSON for QuPath", (".geojson", ".json"), _write_geojson, iterate_geojson,
                   sniff=is_geojson, count=count_geojson),
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


def format_of(path: Path) -> ExchangeFormat:
    """Find the format that a file is read as.

    Raises
    ------
    InputFileError
        For a file that is of no format, of one that can be written only, or damaged.
    """
    by_suffix = [fmt for fmt in FORMATS.values() if path.suffix.lower() in fmt.suffixes]
    if not by_suffix:
        raise InputFileError(f"{path}: choose files of labels that end in {', '.join(readable_suffixes())}.")
    with explained(path, "file of labels"):
        suitable = [fmt for fmt in by_suffix if fmt.sniff is None or fmt.sniff(path)]
    for fmt in suitable:
        if fmt.read is not None:
            return fmt
    titles = " or ".join(fmt.title for fmt in suitable or by_suffix)
    if suitable:
        raise InputFileError(
            f"{path}: labels can be written as {titles}, but not read. Choose files that end in "
            f"{', '.join(readable_suffixes())}."
        )
    raise InputFileError(f"{path} is no file of this kind: {titles}. Export it again.")


def read_format(path: Path, reading: Reading | None = None) -> Found:
    """Read labels from a file of any format: images' names and their labels, one after the other.

    Parameters
    ----------
    path : path
    reading : Reading, optional
        Knows the images, and is told what was not taken.

    Raises
    ------
    InputFileError
        See `format_of`.
    """
    try:
        read = format_of(path).read
        assert read is not None
        yield from read(path, reading or Reading())
    finally:
        forget_json()


def list_classes(paths: Iterable[Path]) -> Counter[str]:
    """Count the shapes of files by class; files without classes, and those that cannot be read, count nothing."""
    found: Counter[str] = Counter()
    for path in paths:
        try:
            count = format_of(path).count
            found += count(path) if count is not None else Counter()
        except Exception:  # it is told when the file is read
            _LOG.debug("%s: classes are not known.", path, exc_info=True)
            continue
        finally:
            forget_json()
    del found[""]
    return found


def write_format(
    folder: Path, items: Iterable[Labeled], name: str, failed: dict[str, UserError] | None = None
) -> Iterator[str]:
    """Write labels; yields the name of each image before it is written.

    Parameters
    ----------
    folder : path
    items : iterable of Labeled
    name : str
        One of `FORMATS`.
    failed : dict, optional
        Takes the errors of images that cannot be read or that the format cannot hold, by name; the others are written.
        Without it the first one is raised.

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
        try:
            labels = _read(item, fmt)
        except UserError as error:
            if failed is None:
                raise
            failed[item.name] = error
            continue
        if fmt.one_file:
            collected.append(labels)
            continue
        try:
            fmt.write(folder, [labels])
        except ParameterError as error:
            if failed is None:
                raise
            failed[item.name] = error
    if collected or (fmt.one_file and not failed):
        fmt.write(folder, collected)


def _read(item: Labeled, fmt: ExchangeFormat) -> ImageLabels:
    labels = ImageLabels(item.name, item.image, item.labels(), item.source, item.reading)
    if labels.labels.ndim != 2 and not fmt.series:
        able = " or ".join(other.name for other in FORMATS.values() if other.series)
        raise ParameterError(f"“{item.name}” is a time series, which {fmt.title} cannot hold. Export it as {able}.")
    return labels
