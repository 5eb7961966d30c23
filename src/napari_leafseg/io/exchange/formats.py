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


class Labelled(NamedTuple):
    """An image's labels to be written: a name for the files, the image's file name, and how to read them."""

    name: str
    image: str
    labels: Callable[[], np.ndarray]


def check_format(form: str) -> None:
    """Refuse an unknown format.

    Raises
    ------
    UserError
    """
    if form not in FORMATS:
        raise UserError(f"There is no format “{form}”. Choose one of: {', '.join(FORMATS)}.")


def write_format(folder: Path, items: Iterable[Labelled], form: str) -> Iterator[str]:
    """Write labels; yields the name of each image before it is written.

    Parameters
    ----------
    folder : path
    items : iterable of Labelled
    form : str
        One of `FORMATS`.

    Raises
    ------
    UserError
        For an unknown format, a series in another format than TIFF, or a folder that cannot be written.
    """
    check_format(form)
    collected: list[tuple[str, np.ndarray]] = []
    for item in items:
        yield item.name
        labels = item.labels()
        if form == "tiff":
            write_labels(label_path(folder, item.name), labels)
            continue
        if labels.ndim != 2:
            raise UserError(f"“{item.name}” is a time series, which only the TIFF format can hold. Export it as tiff.")
        if form.startswith("coco"):
            collected.append((item.image, labels))
        elif form == "png":
            write_image(folder / f"{item.name}_label.png", labels)
        elif form == "labelme":
            write_labelme(folder / f"{Path(item.image).stem}.json", labels, item.image)
        elif form == "imagej":
            write_imagej(folder / f"{item.name}_rois.zip", labels)
        else:
            write_geojson(folder / f"{item.name}.geojson", labels)
    if form.startswith("coco"):
        write_coco(folder / "leaves.json", collected, "polygon" if form == "coco-polygons" else "rle")
