"""Documents that go on in a project where another began."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_leafseg.editing.edit import LeafKey
from napari_leafseg.errors import ProjectError
from napari_leafseg.project.document import Document, Snapshot, annotator, now
from napari_leafseg.project.journal import NewerRecord, Numbering, Record, free_name

if TYPE_CHECKING:
    from napari_leafseg.project.files import ImageRef
    from napari_leafseg.project.store import Project


def adopt_now(
    project: Project, ref: ImageRef, document: Document, records: list[Record], snapshot: Snapshot, numbering: Numbering
) -> None:
    """Write the history of a document that began without the project; runs in the writer's thread.

    Parameters
    ----------
    project : Project
    ref : ImageRef
    document : Document
        Gets the history of the labels that the project has of the image already.
    records : list of Record
        Its own history, numbered from 1.
    snapshot : Snapshot
        Its labels behind all of `records`.
    numbering : Numbering
        Of its records in the journal.
    """
    earlier = _earlier(project, ref, snapshot.labels.shape)
    step = None
    if earlier is not None:
        step = earlier.replacement(*_before(records, snapshot))
        if step is not None:
            records = [Record(0, "step", step, now(), annotator(), step.key), *records]
        numbering.start(earlier.number + (step is not None))
    project.journal(ref).write(records, numbering)
    if earlier is not None:
        document.follow(earlier, step)


def _before(records: list[Record], snapshot: Snapshot) -> tuple[np.ndarray, set[LeafKey]]:
    """Labels and marks as they were before all of the records."""
    labels, verified = snapshot.labels.copy(), {(frame, leaf) for frame, leaf in snapshot.record["verified"]}
    undone = {record.of for record in records if record.kind == "undo"}
    for record in reversed(records):
        step = record.step
        if step is None or step.key in undone:
            continue
        for edit in reversed(step.edits):
            edit.revert(labels)
        verified = (verified - step.verified) | step.unverified
    return labels, verified


def _earlier(project: Project, ref: ImageRef, shape: tuple[int, ...]) -> Document | None:
    """What the project has of an image; what is damaged or of another size is put aside and told."""
    labels, journal = project.labels_path(ref), project.journal_path(ref)
    for place in (labels, journal):
        if not (labels.exists() or journal.exists()):
            return None
        try:
            return project.read_document(ref, shape)
        except NewerRecord:
            raise
        except ProjectError as error:
            if place.exists():
                aside = place.rename(free_name(place, "replaced"))
                project.notice(f"{error} It is kept as {aside.name} beside it; new labels take its place.")
    return project.read_document(ref, shape) if journal.exists() else None
