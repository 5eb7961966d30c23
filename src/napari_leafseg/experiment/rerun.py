"""The same labels again, from the record beside them."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from napari_leafseg.errors import UserError
from napari_leafseg.inference.looks import Looks
from napari_leafseg.io import list_images, read_image, read_labels
from napari_leafseg.models.zoo import describe_model


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


def read_record(path: str | Path) -> dict[str, Any]:
    """Read a record (``NAME_label.json``).

    Raises
    ------
    UserError
        When it is missing, no JSON file, or no record of ours.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"Cannot read the record {path}: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"{path} is no record: it is not a JSON file. Choose a NAME_label.json.") from error
    if not isinstance(content, dict) or not {"model", "parameters", "image"} <= set(content):
        raise UserError(f"{path} is no record of a prediction: it names no model, parameters and picture.")
    return content


def rerun(path: str | Path, images: Path | None = None, device: str = "auto") -> Rerun:
    """Predict again what a record describes.

    Parameters
    ----------
    path : path
        The record.
    images : path, optional
        Folder in which to look for the picture, by its hash, when it is no longer where it was.
    device : str

    Raises
    ------
    UserError
        When the picture is missing or another one, or the model is missing or of another version.
    """
    from napari_leafseg import load_model

    path = Path(path)
    record = read_record(path)
    picture = _find_picture(path, record["image"], images)
    model, version = record["model"]["name"], record["model"]["version"]
    location = record.get("batch", {}).get("model", model)
    card = describe_model(location)
    if card.version != version:
        raise UserError(
            f"{path.name} was made with version {version} of the model “{model}”, here is {card.version}. "
            "Install that version again to make the same labels."
        )
    looks = record.get("looks", {"views": None, "scales": [1.0]})
    predictor = load_model(location, device, Looks(looks["views"], tuple(looks["scales"])))
    scale = None if record.get("scale_found", True) else record["scale"]
    array = read_image(picture).array
    values = record["parameters"]
    if array.ndim == 4:
        series = predictor.predict_stack(array, scale if not isinstance(scale, list) else scale[0], str(picture))
        labels, again = series.labels(**values), series.record(**values)
    else:
        prediction = predictor.predict(array, scale, str(picture), record["image"])
        labels, again = prediction.labels(**values), prediction.record(**values)
    beside = path.with_suffix(".tif")
    same = bool(np.array_equal(read_labels_of_any_axes(beside), labels)) if beside.exists() else None
    return Rerun(labels, {**again, "image": record["image"]}, same)


def read_labels_of_any_axes(path: Path) -> np.ndarray:
    """Labels of a picture or of a series."""
    import tifffile

    array = tifffile.imread(path)
    return array if array.ndim == 3 else read_labels(path)


def _find_picture(path: Path, image: dict[str, Any], images: Path | None) -> Path:
    """The picture of a record: where it was, beside the record, or in a folder; told by its hash."""
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
        raise UserError(
            f"{other} is not the picture of {path.name}: it was changed since. Give the folder of the old one."
        )
    raise UserError(f"The picture {name or ''} of {path.name} was not found. Give its folder with --images.")


def session_records(path: Path, stack: ExitStack) -> list[Path]:
    """The records of a session that the window saved, as files of their own; a single record is itself.

    Parameters
    ----------
    path : path
    stack : contextlib.ExitStack
        Removes the files when it is closed.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict) or "session" not in content:
        read_record(path)
        return [path]
    folder = Path(stack.enter_context(TemporaryDirectory()))
    found = []
    for number, record in enumerate(content["session"]):
        name = Path(record["image"].get("name") or f"picture{number}").stem
        target = folder / f"{name}_label.json"
        target.write_text(json.dumps(record), encoding="utf-8")
        found.append(target)
    return found
