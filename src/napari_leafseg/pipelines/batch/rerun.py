"""The same labels again, from the record beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile

from napari_leafseg.errors import InputFileError
from napari_leafseg.inference.tta import TestTimeAugmentation
from napari_leafseg.io import ReadOptions, find_images, image_hash, label_path, read_image
from napari_leafseg.models.store.zoo import describe_model


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
    """

    labels: np.ndarray
    record: dict[str, Any]
    same: bool | None


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
    from napari_leafseg import load_model

    path, content, beside = record
    image = _find_image(path, content["image"], images)
    model, version = content["model"]["name"], content["model"]["version"]
    location = content.get("batch", {}).get("model", model)
    card = describe_model(location)
    if card.version != version:
        raise InputFileError(
            f"{path.name} was made with version {version} of the model “{model}”, here is {card.version}. "
            "Install that version again to make the same labels."
        )
    tta = content.get("tta", content.get("looks", {"views": None, "scales": [1.0]}))
    predictor = load_model(location, device, TestTimeAugmentation(tta["views"], tuple(tta["scales"])))
    scale = None if content.get("scale_found", True) else content["scale"]
    if isinstance(scale, list):  # of the frames of a series
        scale = scale[0]
    reading = ReadOptions(tuple(content["image"].get("channels", ())) or None, content["image"].get("z", "max"))
    prediction = predictor.predict_any(read_image(image, reading).array, scale, str(image), content["image"])
    values = content["parameters"]
    labels = prediction.labels(**values)
    same = None
    if beside is not None and beside.exists():
        same = bool(np.array_equal(tifffile.imread(beside), labels))
    return Rerun(labels, {**prediction.record(**values), "image": content["image"]}, same)


def _find_image(path: Path, image: dict[str, Any], images: Path | None) -> Path:
    """The image of a record: where it was, beside the record, or in a folder; told by its hash."""
    wanted, name = image.get("sha256"), image.get("name", "")
    places = [Path(image["path"])] if image.get("path") else []
    places += [path.parent / name, path.parent.parent / name] if name else []
    if images is not None:
        places += find_images([images]).paths
    other = None
    for place in places:
        try:
            if not place.exists():
                continue
            if not wanted or image_hash(place) == wanted:
                return place
        except InputFileError:  # another file of the folder
            continue
        other = place
    if other is not None and images is None:
        raise InputFileError(
            f"{other} is not the image of {path.name}: it was changed since. Give the folder of the old one."
        )
    raise InputFileError(f"The image {name or ''} of {path.name} was not found. Give its folder with --images.")
