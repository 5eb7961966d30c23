"""Documents that go on in a project where another began, and projects that go on in another folder."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from napari_leafseg._files import read_regular, write_atomically
from napari_leafseg.editing.edit import LeafKey
from napari_leafseg.errors import ProjectError
from napari_leafseg.project.document import Document, Snapshot, annotator, now
from napari_leafseg.project.journal import NewerRecord, Numbering, Record, free_name
from napari_leafseg.project.measurement_settings import FILE as MEASUREMENT_FILE
from napari_leafseg.project.read_options import FILE as READ_OPTIONS_FILE

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


def copy_files(project: Project, other: Project, documents: Collection[str]) -> None:
    """Copy a project into a new one, but for the labels of the images named."""
    lost = 0
    for ref in project.images:
        path = project.path_of(ref)
        moved = ref.model_copy(update={"path": str(path)})
        if path.is_relative_to(project.folder):
            moved.path = path.relative_to(project.folder).as_posix()
            if path.is_file():
                write_atomically(other.path_of(moved), read_regular(path))
        other.images.append(moved)
        if ref.id in documents:
            continue
        found = False
        for source, target in (
            (project.labels_path(ref), other.labels_path(moved)),
            (project.record_path(ref), other.record_path(moved)),
            (project.journal_path(ref), other.journal_path(moved)),
        ):
            if source.is_file():
                write_atomically(target, read_regular(source))
                found = True
        lost += ref.state != "new" and not found
    for name in (MEASUREMENT_FILE, READ_OPTIONS_FILE):
        if (project.folder / name).is_file():
            write_atomically(other.folder / name, read_regular(project.folder / name))
    if lost:
        project.notice(
            f"The labels of {lost} images that are not open could not be copied from {project.folder}: they are no "
            "longer there."
        )
