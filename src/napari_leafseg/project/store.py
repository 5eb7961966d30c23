"""A project's folder: which images, where their labels, records and journals are.

::

    project.json          format, name, the list of images
    lock.json             who has it open; lock.guard while somebody opens it
    images/               images that were copied
    labels/ID.tif         16-bit labels; their description names the last journal record in them, and what is verified
    records/ID.json       what a person wants to know of them
    journal/ID.journal    every step
    predictions/ID.npz    what the network said, for tuning; may be deleted
    channels.json, experiment.json    how images are read, and what is known of their plants, where somebody said
    positions.json        trays and confirmed scales of the camera positions
    …/NAME.damaged        a file that was damaged, as it was found
"""

from __future__ import annotations

import logging
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg.errors import ProjectError, UserError, plain_reason
from napari_leafseg.io import read_image, write_array
from napari_leafseg.project.adoption import adopt_now
from napari_leafseg.project.document import Document, now
from napari_leafseg.project.elsewhere import copy_elsewhere
from napari_leafseg.project.files import (
    ImageRef,
    ProjectFile,
    State,
    clear_begun,
    clear_folder,
    read_project_file,
    take_unused,
)
from napari_leafseg.project.image_list import ImageList, write_list
from napari_leafseg.project.journal import Journal, Numbering, Record, last_number
from napari_leafseg.project.labels_file import read_document_files, read_labels_file, write_labels_files
from napari_leafseg.project.lock import Lock
from napari_leafseg.project.predictions import PredictionFolder
from napari_leafseg.project.recent_projects import remember_project
from napari_leafseg.project.removal import settle
from napari_leafseg.project.write_job import Job
from napari_leafseg.project.writer import Writer

__all__ = ["ImageRef", "Project", "State"]

_LOG = logging.getLogger(__name__)


class Project(ImageList):
    """An open project; made by `create` and `open`.

    Attributes
    ----------
    folder : pathlib.Path
    file : ProjectFile
    writer : Writer
    noticed : callable, optional
        Takes a sentence about a file that was found damaged; it is logged without.
    predictions : PredictionFolder
    opening : threading.RLock
        Held while a document is opened, and by whoever opens, changes and saves one in a go.
    closed : bool
        Whether nothing is written any more.
    """

    def __init__(
        self, folder: Path, file: ProjectFile, lock: Lock, failed: Callable[[str], None] | None = None,
        noticed: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(folder, file, Writer(failed))
        self.noticed, self._lock = noticed, lock
        self.predictions = PredictionFolder(folder, self.check, self.notice)
        self._journals: dict[str, Journal] = {}
        self._numbering: weakref.WeakKeyDictionary[Document, Numbering] = weakref.WeakKeyDictionary()
        self._live: weakref.WeakValueDictionary[str, Document] = weakref.WeakValueDictionary()
        self.opening, self.closed = threading.RLock(), False

    # -- opening and closing -----------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls, folder: str | Path, name: str = "", failed: Callable[[str], None] | None = None,
        noticed: Callable[[str], None] | None = None,
    ) -> Project:  # fmt: skip
        """Make a project in a new or empty folder and open it; see `Project` and `Writer` for the callables.

        Raises
        ------
        ProjectError
            When there is something in the folder, or it cannot be written.
        """
        folder = Path(folder).absolute()
        new, project = not folder.exists(), cls.begin(folder, name, failed, noticed)
        try:
            project.save_list()
        except UserError:
            project.close()
            clear_begun(folder, new)
            raise
        remember_project(folder)
        return project

    @classmethod
    def begin(
        cls, folder: Path, name: str, failed: Callable[[str], None] | None = None,
        noticed: Callable[[str], None] | None = None,
    ) -> Project:  # fmt: skip
        """Begin a project in a new or empty folder; it is one once its list is written."""
        lock = take_unused(folder)
        software = f"napari-leafseg {metadata.version('napari-leafseg')}"
        return cls(
            folder, ProjectFile(name=name or folder.name, created=now(), software=software), lock, failed, noticed
        )

    @classmethod
    def open(
        cls, folder: str | Path, force: bool = False, failed: Callable[[str], None] | None = None,
        noticed: Callable[[str], None] | None = None,
    ) -> Project:  # fmt: skip
        """Open a project, of this or an earlier format.

        Parameters
        ----------
        folder : path
        force : bool
            See `Lock.take`.
        failed, noticed : callable, optional
            See `Writer` and `Project`.

        Raises
        ------
        ProjectError
            When it is no project, is damaged, was made by a newer version, or is open elsewhere.
        """
        folder = Path(folder).absolute()
        file, entries, migrated = read_project_file(folder)
        lock = Lock(folder)
        lock.take(force)
        try:
            clear_folder(folder)
            settle(folder, file.images)
            if migrated:
                path = folder / "project.json"
                shutil.copyfile(path, path.with_suffix(f".format{entries.get('format', 0)}.json"))
                write_list(folder, file)
        except (OSError, UserError) as error:
            lock.release()
            raise ProjectError(f"The project {folder} cannot be written: {plain_reason(error)}.") from error
        remember_project(folder)
        project = cls(folder, file, lock, failed, noticed)
        project._listed = {ref.id for ref in file.images}
        return project

    def close(self) -> bool:
        """Write what waits and let others open the project; False where some of it cannot be written."""
        with self.opening:
            self.closed = True
        self.writer.close()
        self.predictions.close()
        left = self.writer.pending
        if left:
            _LOG.error("%s was closed with %d writes not done: %s", self.folder, left, self.writer.error)
        self._lock.release()
        return not left

    def __enter__(self) -> Project:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if not self.close() and kind is None:
            raise ProjectError(f"Not everything could be written to {self.folder}. {self.writer.error}")

    def forget_documents(self, ref: ImageRef) -> None:
        """Forget what is known of an image's files: they are about to be moved."""
        self._journals.pop(ref.id, None)
        self._live.pop(ref.id, None)

    def release_document(self, ref: ImageRef, document: Document) -> None:
        """Note that nobody works on a document any more, whoever still holds it: its image may be opened anew."""
        if self._live.get(ref.id) is document:
            del self._live[ref.id]

    @contextmanager
    def opened_document(self, ref: ImageRef, shape: tuple[int, ...]) -> Iterator[Document]:
        """Open the document of an image for as long as the context lasts, see `open_document`."""
        document = self.open_document(ref, shape)
        try:
            yield document
        finally:
            self.release_document(ref, document)

    def check(self) -> None:
        """Make sure that the folder is there and the project ours; see `Lock.check`."""
        self._lock.check()

    def _put(self, work: Callable[[Project], None], ref: ImageRef, key: str = "") -> None:
        """Have something of an image written, as soon as it is sure that the project is still there and ours."""
        self.writer.put(Job(work, self, ref.id), key, ref.id)

    # -- labels ------------------------------------------------------------------------------------------------------

    def labels_path(self, ref: ImageRef) -> Path:
        """Return the labels' file."""
        return self.folder / "labels" / f"{ref.id}.tif"

    def record_path(self, ref: ImageRef) -> Path:
        """Return the record's file."""
        return self.folder / "records" / f"{ref.id}.json"

    def journal_path(self, ref: ImageRef) -> Path:
        """Return the journal's file."""
        return self.folder / "journal" / f"{ref.id}.journal"

    def journal(self, ref: ImageRef) -> Journal:
        """Return the journal of an image."""
        return self._journals.setdefault(ref.id, Journal(self.journal_path(ref), self.notice))

    def notice(self, sentence: str) -> None:
        """Tell of something that was found damaged."""
        _LOG.warning(sentence)
        if self.noticed is not None:
            self.noticed(sentence)

    def open_document(self, ref: ImageRef, shape: tuple[int, ...]) -> Document:
        """Read the labels of an image as they were at the last edit, with their history.

        Parameters
        ----------
        ref : ImageRef
        shape : tuple of int
            (H, W) or (T, H, W) of the image; its labels are empty where nothing was saved.

        Raises
        ------
        ProjectError
            When the labels are of another size, damaged, or of a newer version, or when what waits to be written
            cannot be.
        """
        with self.opening:
            document, numbering = self.read_latest(ref, shape), Numbering()
            document.write = self._stream(ref, numbering)
            self._numbering[document] = numbering
            if self._live.get(ref.id) is None:
                self._live[ref.id] = document
            return document

    def _stream(self, ref: ImageRef, numbering: Numbering) -> Callable[[Record], None]:
        """Takes a document's records to the journal of an image."""

        def write(record: Record) -> None:
            self._put(lambda project: project.journal(ref).write([record], numbering), ref)

        return write

    def read_document(self, ref: ImageRef, shape: tuple[int, ...]) -> Document:
        """Read what the disk says of an image; nothing that is done to it is written."""
        steps = partial(self.journal(ref).read, tuple(shape))
        return read_document_files(self.labels_path(ref), self.record_path(ref), shape, steps)

    def read_latest(self, ref: ImageRef, shape: tuple[int, ...]) -> Document:
        """Read an image as `read_document` does, once all that waits is written.

        Raises
        ------
        ProjectError
            When what waits cannot be written.
        """
        if not self.writer.flush():
            raise ProjectError(f"“{ref.id}” cannot be opened while the project cannot be written. {self.writer.error}")
        return self.read_document(ref, shape)

    def live_document(self, ref: ImageRef) -> Document | None:
        """Return the document of an image that somebody works on at this moment."""
        return self._live.get(ref.id)

    def read_labels(self, ref: ImageRef) -> np.ndarray:
        """Read the labels of an image as they were saved last, uint16; the document's may be newer.

        Raises
        ------
        ProjectError
            When there are none, or they are damaged.
        """
        if not self.labels_path(ref).exists():
            raise ProjectError(f"The image “{ref.id}” has no labels yet.")
        return read_labels_file(self.labels_path(ref))[0]

    def catch_up(self) -> None:
        """Bring the label images up to their journals: after a kill these may be newer.

        Images that are open in a window are newer still; have them saved first.
        """
        self.writer.flush()
        for ref in self.images:
            last = last_number(self.journal_path(ref))
            if not last:
                continue
            if self.labels_path(ref).exists():
                labels, description = read_labels_file(self.labels_path(ref))
                if last <= description.number:
                    continue
                shape = labels.shape
            else:
                image = read_image(self.path_of(ref), self.read_options).array
                shape = image.shape[:3] if image.ndim == 4 else image.shape[:2]
            with self.opened_document(ref, shape) as document:
                self.save(ref, document)
        self.writer.flush()

    def adopt(self, ref: ImageRef, document: Document) -> None:
        """Keep a document that began without the project: its steps so far, and all to come; returns at once.

        Where the project has labels of the image already, the document goes on with their history: that it replaced
        them is a step that can be undone.
        """
        if self._live.get(ref.id) is document and document in self._numbering:
            self.save(ref, document)
            return
        numbering = Numbering()
        records = document.begin(self._stream(ref, numbering))
        self._numbering[document], self._live[ref.id] = numbering, document
        snapshot = document.snapshot()
        self._put(lambda project: adopt_now(project, ref, document, records, snapshot, numbering), ref)
        self.save(ref, document)

    def save(self, ref: ImageRef, document: Document) -> None:
        """Save the labels and their record, by the writer; returns at once."""
        numbering, early = self._numbering.get(document, Numbering()), None
        try:
            early = document.snapshot()
        except MemoryError:
            _LOG.warning(
                "There is no memory for a copy of the labels of “%s”: it is made when they are written.", ref.id
            )
        document.changed = False
        later = document if early is None else None  # what waits keeps no document that nobody works on any more

        def write(project: Project) -> None:
            snapshot = early if later is None else later.snapshot()
            assert snapshot is not None
            labels, record = project.labels_path(ref), project.record_path(ref)
            write_labels_files(labels, record, ref.id, snapshot, numbering.of(snapshot.number))

        self._put(write, ref, f"labels of {ref.id}")

    def put_image(self, ref: ImageRef, image: Any, rgb: bool) -> None:
        """Write the image of a layer that has no file where the project expects it, exactly; see `write_array`."""
        name = Path(ref.path).name
        job = Job(lambda project: write_array(project.own_images() / name, image, rgb), self, "")
        self.writer.put(job, group=f"image {ref.id}")

    def save_elsewhere(self, folder: str | Path, documents: dict[str, Document], name: str = "") -> Project:
        """Write the whole project to another folder and return it, open; see `copy_elsewhere`."""
        for event in copy_elsewhere(self, folder, documents, name):
            if event.project is not None:
                return event.project
        raise AssertionError("a copy ends with its project")
