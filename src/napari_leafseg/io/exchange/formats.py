"""Labels of many images in any of the formats that other programs read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from napari_leafseg.errors import UserError
from napari_leafseg.io.exchange.coco import write_coco
from napari_leafseg.io.exchange.geojson import write_geojson
from napari_leafseg.io.exchange.imagej import write_imagej
from napari_leafseg.io.exchange.labelme import write_labelme
from napari_leafseg.io.images import label_path, write_image, write_labels

FORMATS: dict[str, str] = {
    "coco": "COCO JSON, run lengths (one file)",
    "coco-polygons": "COCO JSON, polygons (one file)",
    "labelme": "LabelMe JSON",
    "tiff": "Label images, 16-bit TIFF",
    "png": "Label images, 16-bit PNG",
    "imagej": "ImageJ ROI sets",
    "geojson": "GeoJSON for QuPath",
}


class Labeled(NamedTuple):
    """An image's labels to be written: a name for the files, the image's file name, and how to read them."""

    name: str
    image: str
    labels: Callable[[], np.ndarray]


def check_format(fmt: str) -> None:
    """Refuse an unknown format.

    Raises
    ------
    UserError
    """
    if fmt not in FORMATS:
        raise UserError(f"There is no format “{fmt}”. Choose one of: {', '.join(FORMATS)}.")


def write_format(folder: Path, items: Iterable[Labeled], fmt: str) -> Iterator[str]:
    """Write labels; yields the name of each image before it is written.

    Parameters
    ----------
    folder : path
    items : iterable of Labeled
    fmt : str
        One of `FORMATS`.

    Raises
    ------
    UserError
        For an unknown format, a series in another format than TIFF, or a folder that cannot be written.
    """
    check_format(fmt)
    collected: list[tuple[str, np.ndarray]] = []
    for item in items:
        yield item.name
        labels = item.labels()
        if fmt == "tiff":
            write_labels(label_path(folder, item.name), labels)
            continue
        if labels.ndim != 2:
            raise UserError(f"“{item.name}” is a time series, which only the TIFF format can hold. Export it as tiff.")
        if fmt.startswith("coco"):
            collected.append((item.image, labels))
        elif fmt == "png":
            write_image(folder / f"{item.name}_label.png", labels)
        elif fmt == "labelme":
            write_labelme(folder / f"{Path(item.image).stem}.json", labels, item.image)
        elif fmt == "imagej":
            write_imagej(folder / f"{item.name}_rois.zip", labels)
        else:
            write_geojson(folder / f"{item.name}.geojson", labels)
    if fmt.startswith("coco"):
        write_coco(folder / "leaves.json", collected, "polygon" if fmt == "coco-polygons" else "rle")
