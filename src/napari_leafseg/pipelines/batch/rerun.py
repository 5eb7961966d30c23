"""The same labels again, from the record beside them."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
import tifffile
from pydantic import BaseModel, Field, ValidationError

from napari_leafseg._files import read_json
from napari_leafseg.errors import InputFileError, plain_reason
from napari_leafseg.inference.tta import TestTimeAugmentation
from napari_leafseg.io import ReadOptions, find_images, image_hash, label_path, read_image
from napari_leafseg.models.store.zoo import describe_model, present_name
from napari_leafseg.pipelines.batch.image_task import plant_mask
from napari_leafseg.pipelines.engine import RunEvent, finish, run_over
from napari_leafseg.pipelines.predictors import get_predictor, predict_steps
from napari_leafseg.pipelines.step import Step

if TYPE_CHECKING:
    from napari_leafseg.inference.predictor import Predictor

_LOG = logging.getLogger(__name__)


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
    differs : tuple of str
        What is not as it was, in sentences: the model's name, device and precision.
    """

    labels: np.ndarray
    record: dict[str, Any]
    same: bool | None
    differs: tuple[str, ...] = ()


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
        content = read_json(path)
    except FileNotFoundError as error:
        raise InputFileError(f"Cannot read the record {path}: there is no such file.") from error
    except InputFileError as error:
        raise InputFileError(f"{path} is no record: {plain_reason(error, path)}. Choose a NAME_label.json.") from error
    several = isinstance(content, dict) and "session" in content
    items = content["session"] if several else [content]
    if isinstance(content, dict) and content.get("corrections") and not content.get("model"):
        raise InputFileError(f"The labels of {path} were drawn by a person: there is no model to run again.")
    try:
        checked = [_Content.model_validate(item) for item in items]
    except (ValidationError, TypeError) as error:
        raise InputFileError(
            f"{path} is no record of a prediction: it names no model, parameters and image that can be used "
            f"({plain_reason(error)})."
        ) from error
    if not several:
        return [Record(path, content, path.with_suffix(".tif"))]
    names = [Path(item.image.name or f"image{number}") for number, item in enumerate(checked)]
    return [
        Record(label_path(path.parent, name.stem).with_suffix(".json"), item)
        for name, item in zip(names, items, strict=True)
    ]


class _Image(BaseModel):
    name: str | None = None
    path: str | None = None
    sha256: str | None = None
    channels: tuple[int, ...] | None = None
    z: int | Literal["max"] = "max"


class _Model(BaseModel):
    name: str = Field(min_length=1)
    version: str


class _Views(BaseModel):
    views: int | None
    scales: list[Annotated[float, Field(gt=0)]] = Field(min_length=1)


class _Batch(BaseModel):
    model: str | None = None
    plant_masks: str | None = None


class _Corrected(BaseModel):
    project: str
    verified: list[tuple[int, int]] = []


class _Content(BaseModel):
    """What is used of a record; more may be in it."""

    corrections: _Corrected | None = None
    model: _Model
    image: _Image
    parameters: dict[str, float]
    batch: _Batch = _Batch()
    tta: _Views | None = None
    looks: _Views | None = None
    scale: float | Annotated[list[float], Field(min_length=1)] | None = None
    device: str = ""
    precision: str = ""


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
    tta = content.get("tta", content.get("looks", {"views": None, "scales": [1.0]}))
    device, precision = _as_it_was(content, device)
    chosen = TestTimeAugmentation(tta["views"], tuple(tta["scales"]))
    predictor = get_predictor(today, device, chosen, precision=precision)
    scale = None if content.get("scale_found", True) else content["scale"]
    if isinstance(scale, list):  # of the frames of a series
        scale = scale[0]
    masks = content.get("batch", {}).get("plant_masks")
    if content.get("plant_mask") and masks is None:
        raise InputFileError(f"{path.name} was made with a plant mask, and does not say where it is. Predict again.")
    mask = None if not content.get("plant_mask") else plant_mask(masks, image)
    reading = ReadOptions(tuple(content["image"].get("channels") or ()) or None, content["image"].get("z", "max"))
    array = read_image(image, reading).array
    prediction = yield from predict_steps(predictor, array, scale, str(image), content["image"], mask)
    values = content["parameters"]
    labels = prediction.labels(**values)
    same, corrected = None, content.get("corrections")
    if beside is not None and beside.exists() and not corrected:
        same = bool(np.array_equal(tifffile.imread(beside), labels))
    differs = _differs(content, predictor)
    if corrected:
        differs = (
            f"{path.name} is of labels that were corrected in {corrected['project']}; these are the model's own.",
            *differs,
        )
    if today != location:
        renamed = f"“{location}” is another model since; its version {version} is called “{today}” now, and was used."
        differs = (renamed, *differs)
    return Rerun(labels, {**prediction.record(**values), "image": content["image"]}, same, differs)


def _as_it_was(content: dict[str, Any], device: str) -> tuple[str, str]:
    """The device and precision of a record, where they are here and no other device is asked for."""
    from napari_leafseg.inference.device import PRECISIONS, available_devices

    made_on, precision = content.get("device", ""), content.get("precision", "")
    if device == "auto" and made_on in available_devices():
        device = made_on
    return device, precision if precision in PRECISIONS else "auto"


def _differs(content: dict[str, Any], predictor: Predictor) -> tuple[str, ...]:
    """What could not be as the record says."""
    was = content.get("device", ""), content.get("precision", "")
    now = predictor.device.partition(":")[0], predictor.precision
    if "" in was or was == now:
        return ()
    return (
        f"The labels were made on {was[0]} in {was[1]}, these on {now[0]} in {now[1]}: outlines may differ by some "
        "pixels, and uncertain leaves may come or go.",
    )


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
            _LOG.debug("%s is passed over.", place, exc_info=True)
            continue
        other = place
    if other is not None and images is None:
        raise InputFileError(
            f"{other} is not the image of {path.name}: it was changed since. Give the folder of the old one."
        )
    raise InputFileError(f"The image {name or ''} of {path.name} was not found. Give its folder with --images.")
