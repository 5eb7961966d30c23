"""Labels as they lie in a project: a TIFF whose description says what counts, and a record for people."""

from __future__ import annotations

import io
import json
import logging
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from pydantic import BaseModel, Field

from napari_leafseg._files import read_json, read_regular, write_atomically
from napari_leafseg.editing.edit import LeafKey
from napari_leafseg.errors import ProjectError, UserError, plain_reason
from napari_leafseg.project.document import Document, Snapshot
from napari_leafseg.project.journal import Record

_LOG = logging.getLogger(__name__)
_OF_FILE = {"id", "annotator", "saved", "journal_number", "verified"}  # what a record says of its file
_RATIO = 1100  # zlib packs no tighter


class Description(BaseModel):
    """What the labels' file says of them.

    Attributes
    ----------
    number : int
        Of the last journal record that is in them.
    verified : list of (frame, leaf)
    count : int, optional
        Leaves of all frames; None in files of earlier versions, as `at_border`.
    at_border : int, optional
        Those that touch the image's border.
    """

    number: int = Field(0, ge=0)
    verified: list[tuple[int, int]] = []
    count: int | None = None
    at_border: int | None = None


def read_labels_file(
    path: Path, pixels: bool = True, shape: tuple[int, ...] | None = None
) -> tuple[np.ndarray, Description]:
    """Read labels as they lie in a project, uint16 (empty without `pixels`), and the description that they carry.

    Parameters
    ----------
    path : pathlib.Path
    pixels : bool
    shape : tuple of int, optional
        That they must have; others are not unpacked.

    Raises
    ------
    ProjectError
        When the file is damaged or missing, or the labels are of another shape.
    """
    try:
        content = read_regular(path)
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            description = Description.model_validate(json.loads(file.pages[0].description or "{}"))  # type: ignore[union-attr]
            found = file.series[0]
            if shape is not None and [n for n in found.shape if n > 1] != [n for n in shape if n > 1]:
                raise ProjectError(
                    f"{path} holds labels of {found.shape}, but the image is {tuple(shape)}. "
                    "Was it exchanged? Link the right one."
                )
            size = math.prod(found.shape) * found.dtype.itemsize
            if found.dtype.kind not in "ui" or size > _RATIO * len(content):
                raise ValueError(f"{found.shape} of {found.dtype} in {len(content)} bytes")
            labels = file.asarray() if pixels else np.zeros(0)
    except ProjectError:
        raise
    except (Exception, RecursionError) as error:  # tifffile raises anything at all for damaged files
        raise ProjectError(
            f"{path} is damaged ({plain_reason(error, path)}). Take it away: the journal beside it holds every step."
        ) from error
    labels = labels.astype(np.uint16)
    return (labels if shape is None or not pixels else labels.reshape(shape)), description


def read_record_file(path: Path) -> dict[str, Any]:
    """Read the record beside labels; nothing where it cannot be read, as the labels carry what counts."""
    try:
        record = read_json(path)
    except FileNotFoundError:
        _LOG.debug("There is no record %s.", path)
        return {}
    except (OSError, UserError) as error:
        _LOG.warning("The record %s is damaged and begun anew: %s", path, error)
        return {}
    if not isinstance(record, dict):
        return {}
    return record if isinstance(record.get("history"), list) else {**record, "history": []}


def read_document_files(
    labels: Path, record: Path, shape: tuple[int, ...], steps: Callable[[], Iterable[Record]]
) -> Document:
    """Read what the disk says of an image: its labels, and the steps that are newer.

    Parameters
    ----------
    labels, record : pathlib.Path
    shape : tuple of int
        (H, W) or (T, H, W) of the image; its labels are empty where nothing was saved.
    steps : callable
        Reads the journal.

    Raises
    ------
    ProjectError
        When the labels are of another size, damaged, or of a newer version.
    """
    array, number, verified = np.zeros(shape, np.uint16), 0, list[LeafKey]()
    if labels.exists():
        array, description = read_labels_file(labels, shape=shape)
        number, verified = description.number, description.verified
    info = {key: value for key, value in read_record_file(record).items() if key not in _OF_FILE}
    document = Document(array, info, verified, number)
    document.replay(steps())
    return document


def write_labels_files(labels: Path, record: Path, name: str, snapshot: Snapshot, number: int) -> None:
    """Write the labels and their record.

    Parameters
    ----------
    labels, record : pathlib.Path
    name : str
        The image's, for the record.
    snapshot : Snapshot
    number : int
        Of the last journal record that is in it.
    """
    buffer, (count, at_border) = io.BytesIO(), count_leaves(snapshot.labels)
    described = {"number": number, "verified": snapshot.record["verified"], "count": count, "at_border": at_border}
    tifffile.imwrite(
        buffer, snapshot.labels, compression="zlib", photometric="minisblack", metadata=None,
        description=json.dumps(described),
    )  # fmt: skip
    write_atomically(labels, buffer.getvalue(), parents=False)
    content = {"id": name, **snapshot.record, "journal_number": number}
    text = json.dumps(content, indent=1, sort_keys=True, default=_plain) + "\n"
    write_atomically(record, text.encode(), parents=False)


def count_leaves(labels: np.ndarray) -> tuple[int, int]:
    """Count the leaves of all frames, and those that touch the image's border."""
    count = at_border = 0
    for plane in labels.reshape(-1, *labels.shape[-2:]):
        count += int(np.count_nonzero(np.bincount(plane.ravel())[1:]))
        edge = np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])
        at_border += int(np.count_nonzero(np.bincount(edge)[1:]))
    return count, at_border


def _plain(value: Any) -> Any:
    """A value that JSON does not know, as one that it does."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
