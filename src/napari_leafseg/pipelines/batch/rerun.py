"""The same labels again, from the record beside them."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile

from napari_leafseg.errors import InputFileError
from napari_leafseg.inference.tta import TestTimeAugmentation
from napari_leafseg.io import label_path, list_images, read_image
from napari_leafseg.models.store.zoo import describe_model, present_name
from napari_leafseg.pipelines.batch.image_task import plant_mask
from napari_leafseg.pipelines.engine import RunEvent, finish, run_over
from napari_leafseg.pipelines.predictors import get_predictor, predict_steps
from napari_leafseg.pipelines.step import Step


class Rerun(NamedTuple):
    """What a record gave.

    Attributes
    ----------
    labels : numpy.ndarray
        uint16.
    record : dict
        The new record.
    same : bool or None
        Whether they are the labels that lie beside the record; None where there are none.
    note : str
        That the model has another name today; empty where it has not.
    """

    labels: np.ndarray
    record: dict[str, Any]
    same: bool | None
    note: str = ""


class Record(NamedTuple):
    """What a file says of one image.

    Attributes
    ----------
    path : pathlib.Path
        The record's file; of a session's images, the file that it would have beside the session's.
    content : dict
    labels : pathlib.Path or None
        The labels that lie beside a record of its own.
    """

    path: Path
    content: dict[str, Any]
    labels: Path | None = None


def read_records(path: str | Path) -> list[Record]:
    """Read a record (``NAME_label.json``), or a session that the window saved, which holds several.

    Raises
    ------
    InputFileError
        When it is missing, no JSON file, or no record of ours.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputFileError(f"Cannot read the record {path}: {error.strerror}.") from error
    except ValueError as error:
        raise InputFileError(f"{path} is no record: it is not a JSON file. Choose a NAME_label.json.") from error
    if isinstance(content, dict) and "session" in content:
        names = [Path(item["image"].get("name") or f"image{number}") for number, item in enumerate(content["session"])]
        records = [
            Record(label_path(path.parent, name.stem).with_suffix(".json"), item)
            for name, item in zip(names, content["session"], strict=True)
        ]
    else:
        records = [Record(path, content, path.with_suffix(".tif"))]
    for _, item, _ in records:
        if not isinstance(item, dict) or not {"model", "parameters", "image"} <= set(item):
            raise InputFileError(f"{path} is no record of a prediction: it names no model, parameters and image.")
    return records


def rerun_all(
    records: Sequence[Record], images: Path | None = None, device: str = "auto"
) -> Iterator[RunEvent[Record, Rerun]]:
    """Predict again what records describe, see `rerun`; one that cannot be done yields its error."""
    work = partial(_rerun, images=images, device=device)
    return run_over(records, work, name=lambda record: record.path.name, collect=True)


def rerun(record: Record, images: Path | None = None, device: str = "auto") -> Rerun:
    """Predict again what a record describes.

    Parameters
    ----------
    record : Record
    images : path, optional
        Folder in which to look for the image, by its hash, when it is no longer where it was.
    device : str

    Raises
    ------
    InputFileError
        When the image is missing or another one, or the model is missing or of another version.
    """
    return finish(_rerun(record, images, device))


def _rerun(record: Record, images: Path | None, device: str) -> Generator[Step, None, Rerun]:
    path, content, beside = record
    image = _find_image(path, content["image"], images)
    model, version = content["model"]["name"], content["model"]["version"]
    location = content.get("batch", {}).get("model", model)
    today = present_name(location, version)
    card = describe_model(today)
    if card.version != version:
        raise InputFileError(
            f"{path.name} was made with version {version} of the model “{model}”, here is {card.version}: the model "
            "has changed. Install that version again to make the same labels."
        )
    note = (
        ""
        if today == location
        else (f"“{location}” is another model since; its version {version} is called “{today}” now, and was used.")
    )
    tta = content.get("tta", content.get("looks", {"views": None, "scales": [1.0]}))
    predictor = get_predictor(today, device, TestTimeAugmentation(tta["views"], tuple(tta["scales"])))
    scale = None if content.get("scale_found", True) else content["scale"]
    if isinstance(scale, list):  # of the frames of a series
        scale = scale[0]
    masks = content.get("batch", {}).get("plant_masks")
    if content.get("plant_mask") and masks is None:
        raise InputFileError(f"{path.name} was made with a plant mask, and does not say where it is. Predict again.")
    mask = None if not content.get("plant_mask") else plant_mask(masks, image)
    array = read_image(image).array
    prediction = yield from predict_steps(predictor, array, scale, str(image), content["image"], mask)
    values = content["parameters"]
    labels = prediction.labels(**values)
    same = None
    if beside is not None and beside.exists():
        same = bool(np.array_equal(tifffile.imread(beside), labels))
    return Rerun(labels, {**prediction.record(**values), "image": content["image"]}, same, note)


def _find_image(path: Path, image: dict[str, Any], images: Path | None) -> Path:
    """The image of a record: where it was, beside the record, or in a folder; told by its hash."""
    wanted, name = image.get("sha256"), image.get("name", "")
    places = [Path(image["path"])] if image.get("path") else []
    places += [path.parent / name, path.parent.parent / name] if name else []
    if images is not None:
        places += list_images([images])
    other = None
    for place in places:
        if not place.is_file():
            continue
        if not wanted or read_image(place).sha256 == wanted:
            return place
        other = place
    if other is not None and images is None:
        raise InputFileError(
            f"{other} is not the image of {path.name}: it was changed since. Give the folder of the old one."
        )
    raise InputFileError(f"The image {name or ''} of {path.name} was not found. Give its folder with --images.")
