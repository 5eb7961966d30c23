"""The pots of trays cut out of images, a folder for each pot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from napari_leafseg._files import make_folder
from napari_leafseg.experiment.tray import Tray
from napari_leafseg.io import ReadOptions, read_image, unique_names, write_array, write_image
from napari_leafseg.pipelines.engine import run_over


@dataclass(frozen=True)
class CropEvent:
    """Progress of cutting.

    Attributes
    ----------
    done : float
    total : int
        Images.
    message : str
    crops : int
        How many were written.
    problem : str
        What could not be done, as sentences.
    """

    done: float
    total: int
    message: str
    crops: int
    problem: str


def crop_job(trays: Mapping[Path, Tray], output: Path, reading: ReadOptions | None = None) -> Iterator[CropEvent]:
    """Cut the planted pots out of images: ``POT/IMAGE.png`` (TIFF for more than 8 bits), with a margin of 15 %.

    Parameters
    ----------
    trays : mapping
        From image to its tray.
    output : pathlib.Path
        A folder.
    reading : ReadOptions, optional
    """
    make_folder(output)
    crops, problems = 0, list[str]()
    names = unique_names(list(trays))
    work = partial(_crop, output=output, reading=reading)
    items = [(path, names[path], tray) for path, tray in trays.items()]
    for event in run_over(items, work, name=lambda item: item[1], collect=True):
        crops += event.result or 0
        if event.error is not None:
            problems.append(str(event.error))
        yield CropEvent(event.done, len(items), event.message, crops, " ".join(problems))


def _crop(item: tuple[Path, str, Tray], output: Path, reading: ReadOptions | None) -> int:
    path, name, tray = item
    image = read_image(path, reading).array if reading is not None else read_image(path).array
    series = image.ndim > 3 or (image.ndim == 3 and image.shape[-1] > 4)
    planes = image if series else image[None]
    number = 0
    for frame, plane in enumerate(planes):
        array = np.asarray(plane)
        for pot in tray.pots:
            if pot in tray.empty:
                continue
            crop = array[tray.box(pot, array.shape)]
            if not crop.size:
                continue
            folder = output / tray.name_of[pot]
            make_folder(folder)
            stem = f"{name}_{frame:03d}" if series else name
            if crop.dtype == np.uint8:
                write_image(folder / f"{stem}.png", crop)
            else:
                write_array(folder / f"{stem}.tif", crop, crop.ndim == 3)
            number += 1
    return number
