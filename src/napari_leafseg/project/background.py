"""Labels of images that nobody has open: what a model found becomes a step of their history."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_leafseg.editing.combine import keep_verified
from napari_leafseg.editing.edit import difference
from napari_leafseg.errors import ProjectError
from napari_leafseg.project.document import Document
from napari_leafseg.project.files import ImageRef
from napari_leafseg.project.labels_file import count_leaves, read_labels_file, read_record_file
from napari_leafseg.project.store import Project


@dataclass(frozen=True)
class LabelFacts:
    """What the list tells of an image's labels.

    Attributes
    ----------
    count, verified, at_border : int
        Leaves, those that somebody verified, those that touch the image's border.
    confidence : float, optional
        Of the least certain leaf that nobody verified; None where no model told.
    record : dict
        Which model and which parameters made them, see `Prediction.record`; empty where people did.
    """

    count: int
    verified: int
    at_border: int
    confidence: float | None
    record: dict[str, Any]


def store_labels(
    project: Project, ref: ImageRef, labels: np.ndarray, tool: str, tell: Callable[[np.ndarray], dict[str, Any]],
    info: Mapping[str, Any] | None = None,
) -> Document | None:  # fmt: skip
    """Store a model's labels of an image as one step; verified leaves stay as they are.

    Parameters
    ----------
    project : Project
    ref : ImageRef
    labels : numpy.ndarray
        (H, W) or (T, H, W).
    tool : str
        What made them, for the history.
    tell : callable
        Gives the record of the labels as they were stored.
    info : mapping, optional
        Names the prediction, see `napari_leafseg.editing.history.Step`.

    Returns
    -------
    Document or None
        None where somebody works on the image at this moment: nothing was stored then.

    Raises
    ------
    ProjectError
        When the labels cannot be read or are of another size, or the project was closed meanwhile.
    """
    with project.opening:
        if project.closed:
            raise ProjectError(f"The project {project.folder} was closed before “{ref.id}” was done. Run it again.")
        if project.live_document(ref) is not None:
            return None
        with project.opened_document(ref, labels.shape) as document:
            after = put_labels(document, labels, tool, info)
            document.info.update(tell(after))
            project.save(ref, document)
    return document


def mark_reviewed(project: Project, ref: ImageRef) -> bool:
    """Lock every leaf of an image that nobody has open, and mark it as reviewed; False where somebody has it open.

    Raises
    ------
    ProjectError
        When it has no labels, or they cannot be read.
    """
    with project.opening:
        if project.live_document(ref) is not None:
            return False
        project.writer.flush()
        with project.opened_document(ref, project.read_labels(ref).shape) as document:
            frames = 1 if document.labels.ndim == 2 else len(document.labels)
            document.set_verified([(frame, leaf) for frame in range(frames) for leaf in document.leaves(frame)], True)
            ref.state, ref.region = "done", None
            project.save(ref, document)
        project.writer.put(project.save_list, key="list")
    return True


def put_labels(document: Document, labels: np.ndarray, tool: str, info: Mapping[str, Any] | None = None) -> np.ndarray:
    """Put a model's labels beside the verified ones of a document, as one step; returns all of them."""
    after = keep_verified(labels, document.labels, document.verified, document.largest)
    pairs = [(None, document.labels, after)] if after.ndim == 2 else [
        (frame, old, new) for frame, (old, new) in enumerate(zip(document.labels, after, strict=True))
    ]  # fmt: skip
    found = [(frame, difference(old, None, new, tool)) for frame, old, new in pairs]
    edits = [replace(edit, frame=frame) for frame, edit in found if edit is not None]
    document.commit_all(tool, edits, verify=False, info=info)
    return after


def least_certain(confidence: Any, verified: Collection[tuple[int, int]]) -> float | None:
    """Return the confidence of the least certain leaf that nobody verified; 1 where all are, None without any.

    Parameters
    ----------
    confidence : dict, or list of dict
        By leaf, as records have it: of an image, or of each frame.
    verified : collection of (frame, leaf)
    """
    frames = confidence if isinstance(confidence, list) else [confidence]
    told = [(at, int(leaf), float(value)) for at, frame in enumerate(frames) for leaf, value in (frame or {}).items()]
    if not told:
        return None
    return min((value for at, leaf, value in told if (at, leaf) not in set(verified)), default=1.0)


def read_facts(project: Project, ref: ImageRef) -> LabelFacts | None:
    """Read what the project has of an image; None where it has no labels.

    Raises
    ------
    ProjectError
        When the labels are damaged.
    """
    path = project.labels_path(ref)
    if not path.exists():
        return None
    _, described = read_labels_file(path, pixels=False)
    count, at_border = described.count, described.at_border
    if count is None or at_border is None:
        count, at_border = count_leaves(read_labels_file(path)[0])
    record = read_record_file(project.record_path(ref))
    record.pop("history", None)
    sure = least_certain(record.get("confidence"), described.verified)
    return LabelFacts(count, len(described.verified), at_border, sure, record)
