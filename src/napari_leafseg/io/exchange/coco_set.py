"""COCO data sets as they are: classes, crowds, and masks that overlap; for training and scoring."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as run_length

from napari_leafseg._files import read_regular
from napari_leafseg.errors import InputFileError, plain_reason
from napari_leafseg.io.exchange.reading import LARGEST_IMAGE, explained
from napari_leafseg.io.exchange.run_lengths import check_run_lengths, read_run_lengths

_LARGEST = 4 * 2**30  # bytes: LVIS’s training set has 1.1 GB
_BEYOND = 0.1  # of the image's sides: an outline that leaves it by less is cut, by more is of another image


class CocoCategory(NamedTuple):
    """A class: its number in the file, its name, and LVIS's frequency ("r", "c", "f"; else "")."""

    number: int
    name: str
    frequency: str = ""


class CocoAnnotation(NamedTuple):
    """An outlined object.

    Attributes
    ----------
    category : int
        Place among the classes.
    crowd : bool
        Many objects that nobody told apart.
    entry : dict
        As the file has it.
    """

    category: int
    crowd: bool
    entry: dict[str, Any]


class CocoImage(NamedTuple):
    """An image of a data set: its number and name in the file, height and width, and what is outlined in it."""

    number: int
    name: str
    shape: tuple[int, int]
    annotations: list[CocoAnnotation]


@dataclass(frozen=True)
class CocoSet:
    """A data set whose every entry was checked.

    Attributes
    ----------
    path : pathlib.Path
        Of the annotations.
    folder : pathlib.Path, optional
        Of the images.
    categories : tuple of CocoCategory
    images : tuple of CocoImage
    content : dict
        The file's.
    """

    path: Path
    folder: Path | None
    categories: tuple[CocoCategory, ...]
    images: tuple[CocoImage, ...]
    content: dict[str, Any]

    def image_path(self, image: CocoImage) -> Path:
        """Return where an image lies."""
        assert self.folder is not None
        return self.folder / image.name


def read_coco_set(annotations: str | Path, folder: str | Path | None = None) -> CocoSet:
    """Read a data set and check all of it.

    Parameters
    ----------
    annotations : path
        JSON file of COCO's or LVIS's form.
    folder : path, optional
        Where the images are to lie.

    Raises
    ------
    InputFileError
        When it is none, or an image, a category or an outline is missing or does not fit; the message names it.
    """
    path = Path(annotations)
    content = load_coco(path)
    with explained(path, "COCO file"):
        found = check_coco(content, path)
    if folder is None:
        return found
    place = Path(folder)
    if not place.is_dir():
        raise InputFileError(f"There is no folder {place}. Give the folder of the images of {path}.")
    missing = [image.name for image in found.images if not (place / image.name).is_file()]
    if missing:
        more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise InputFileError(f"{place} holds no image {missing[0]}{more}, which {path} has annotations of.")
    return CocoSet(path, place, found.categories, found.images, content)


def load_coco(path: Path) -> Any:
    """Read a JSON file of up to 4 GB.

    Raises
    ------
    InputFileError
    """
    try:
        return json.loads(read_regular(path, _LARGEST))
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputFileError(f"{path} cannot be read as JSON ({plain_reason(error)}).") from error


def check_coco(content: Any, path: Path) -> CocoSet:
    """Check the entries of a data set; see `read_coco_set`."""
    if not isinstance(content, dict) or not all(
        isinstance(content.get(part), list) for part in ("images", "annotations")
    ):
        raise InputFileError("it holds no lists “images” and “annotations”, so it is no COCO data set")
    categories = tuple(
        CocoCategory(int(item["id"]), str(item.get("name", item["id"])), str(item.get("frequency", "")))
        for item in content.get("categories") or ()
    )
    if not categories:
        raise InputFileError("it names no categories; add at least one to “categories”")
    images: dict[int, CocoImage] = {}
    for item in content["images"]:
        number, name = int(item["id"]), _name(item)
        if number in images:
            raise InputFileError(f"two of its images have the id {number}")
        images[number] = CocoImage(number, name, _shape(item, name), [])
    if not images:
        raise InputFileError("it lists no images")
    places = {category.number: place for place, category in enumerate(categories)}
    if len(places) < len(categories):
        raise InputFileError("two of its categories have the same id")
    for item in content["annotations"]:
        image = images.get(item["image_id"])
        if image is None:
            raise InputFileError(f"its annotation {item.get('id')} is of image {item['image_id']}, which it lacks")
        if item["category_id"] not in places:
            raise InputFileError(
                f"its annotation {item.get('id')} is of category {item['category_id']}, which it lacks"
            )
        what = f"its annotation {item.get('id')} (image “{image.name}”)"
        check_outline(item.get("segmentation"), image.shape, what)
        crowd = bool(item.get("iscrowd", 0))
        image.annotations.append(CocoAnnotation(places[item["category_id"]], crowd, item))
    return CocoSet(path, None, categories, tuple(images.values()), content)


def _name(image: dict[str, Any]) -> str:
    """The image's file name; LVIS names only the address."""
    name = image.get("file_name") or "/".join(str(image["coco_url"]).rsplit("/", 2)[-1:])
    if ".." in Path(str(name)).parts or Path(str(name)).is_absolute():
        raise InputFileError(f"its image “{name}” lies outside the folder of the images")
    return str(name)


def _shape(image: dict[str, Any], name: str) -> tuple[int, int]:
    height, width = image.get("height"), image.get("width")
    if not height or not width:
        raise InputFileError(f"it does not say how large “{name}” is (height and width)")
    if min(height, width) < 1 or height * width > LARGEST_IMAGE:
        raise InputFileError(f"its image “{name}” would be {width} × {height} pixels")
    return int(height), int(width)


def check_outline(outline: Any, shape: tuple[int, int], what: str) -> None:
    """Check run lengths or polygons of an object, so that drawing them is safe.

    Parameters
    ----------
    outline : dict or list
        COCO's ``segmentation``.
    shape : tuple of int
        Height and width of the image.
    what : str
        Whose outline it is, for the message.

    Raises
    ------
    InputFileError
    """
    height, width = shape
    if isinstance(outline, dict):
        try:
            check_run_lengths(outline, shape)
        except InputFileError as error:
            raise InputFileError(f"{what} has {error}") from error
        return
    if not isinstance(outline, list) or not outline:
        raise InputFileError(f"{what} has no outline; a box alone is not enough")
    for ring in outline:
        if len(ring) < 6 or len(ring) % 2:
            raise InputFileError(f"{what} has an outline of {len(ring)} numbers; it takes x and y of three points")
        for values, side in ((ring[0::2], width), (ring[1::2], height)):
            low, high = float(min(values)), float(max(values))
            if not (math.isfinite(low) and math.isfinite(high)):
                raise InputFileError(f"{what} has an outline without end")
            if low < -_BEYOND * side or high > (1 + _BEYOND) * side or high < 0 or low > side:
                raise InputFileError(f"{what} has an outline outside its image, which has {width} × {height} pixels")


def draw_annotation(annotation: CocoAnnotation, image: CocoImage) -> np.ndarray:
    """Draw an object's mask, bool (H, W), as pycocotools does.

    Raises
    ------
    InputFileError
        For run lengths that are damaged.
    """
    outline, shape = annotation.entry["segmentation"], image.shape
    if isinstance(outline, dict):
        with explained(Path(image.name), f"image with sound run lengths (annotation {annotation.entry.get('id')})"):
            place, inside = read_run_lengths(outline, shape)
        whole = np.zeros(shape, bool)
        whole[place] = inside
        return whole
    coded = run_length.merge(run_length.frPyObjects([[float(v) for v in ring] for ring in outline], *shape))
    return run_length.decode(coded).astype(bool)
