"""An open project: its images, their labels, and the writing of both; what its files hold is in `files`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import ProjectError, UserError
from napari_leafseg.io import list_images, read_image
from napari_leafseg.project.document import Document, Snapshot, now
from napari_leafseg.project.files import (
    ImageRef,
    ProjectFile,
    check_entries,
    read_entries,
    read_labels_file,
    write_labels_file,
)
from napari_leafseg.project.journal import Journal, Record, encode, read_journal
from napari_leafseg.project.lock import Lock
from napari_leafseg.project.recent_projects import remember_project
from napari_leafseg.project.writer import Writer


class Project:
    """An open project; made by `create` and `open`.

    Attributes
    ----------
    folder : pathlib.Path
    file : ProjectFile
    writer : Writer
    """

    def __init__(self, folder: Path, file: ProjectFile, failed: Callable[[str], None] | None = None) -> None:
        self.folder, self.file = folder, file
        self.writer = Writer(failed)
        self._journals: dict[str, Journal] = {}

    # -- opening and closing -----------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: str | Path, name: str = "", failed: Callable[[str], None] | None = None) -> Project:
        """Make a project in a new or empty folder and open it.

        Raises
        ------
        ProjectError
            When there is something in the folder, or it cannot be written.
        """
        folder = Path(folder).absolute()
        if (folder / "project.json").exists():
            raise ProjectError(f"{folder} holds a project already. Open it, or choose another folder.")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ProjectError(f"{folder} is not an empty folder. Choose a new one for the project.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ProjectError(f"Cannot make the folder {folder}: {error.strerror}. Choose another place.") from error
        Lock(folder).take()
        project = cls(
            folder,
            ProjectFile(
                name=name or folder.name, created=now(), software=f"napari-leafseg {metadata.version('napari-leafseg')}"
            ),
            failed,
        )
        project.save_list()
        remember_project(folder)
        return project

    @classmethod
    def open(cls, folder: str | Path, force: bool = False, failed: Callable[[str], None] | None = None) -> Project:
        """Open a project, of this or an earlier format.

        Parameters
        ----------
        folder : path
        force : bool
            See `Lock.take`.
        failed : callable, optional
            See `Writer`.

        Raises
        ------
        ProjectError
            When it is no project, is damaged, was made by a newer version, or is open elsewhere.
        """
        folder = Path(folder).absolute()
        path = folder / "project.json"
        entries = read_entries(folder)
        Lock(folder).take(force)
        try:
            file, migrated = check_entries(entries, folder)
        except UserError:
            Lock(folder).release()
            raise
        for place in (folder, *(folder / name for name in ("labels", "records", "journal", "images"))):
            for left in place.glob(".*.*"):  # was being written when the application died
                left.unlink(missing_ok=True)
        project = cls(folder, file, failed)
        if migrated:
            shutil.copyfile(path, path.with_suffix(f".format{entries.get('format', 0)}.json"))
            project.save_list()
        remember_project(folder)
        return project

    def close(self) -> None:
        """Write what waits and let others open the project."""
        self.writer.close()
        Lock(self.folder).release()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def save_list(self) -> None:
        """Write ``project.json``."""
        content = self.file.model_dump_json(indent=2) + "\n"
        write_atomically(self.folder / "project.json", content.encode())

    # -- images ----------------------------------------------------------------------------------------------------

    @property
    def images(self) -> list[ImageRef]:
        """The images, in order."""
        return self.file.images

    def add_images(self, paths: Iterable[str | Path], copy: bool = False) -> list[ImageRef]:
        """Add files, or the images of folders; those that are in it already are not added twice.

        Parameters
        ----------
        paths : iterable of path
        copy : bool
            Copy them into the project; else it remembers where they are.

        Returns
        -------
        list of ImageRef
            The new ones.
        """
        known = {self.path_of(ref) for ref in self.images} | {Path(ref.path).name for ref in self.images if copy}
        new = []
        for path in list_images(paths):
            path = path.absolute()
            if path in known or (copy and path.name in known):
                continue
            image = read_image(path)
            identity = self._identity(path.stem)
            if copy:
                target = self.folder / "images" / f"{identity}{path.suffix.lower()}"
                write_atomically(target, path.read_bytes())
                path = target
            ref = ImageRef(id=identity, path=self._relative(path), sha256=image.sha256)
            self.images.append(ref)
            new.append(ref)
        if new:
            self.save_list()
        return new

    def add_known(self, path: str | Path, sha256: str = "", name: str = "") -> ImageRef:
        """Add an image that was read already, or that is about to be written; does not touch the file.

        Parameters
        ----------
        path : path
        sha256 : str
            Empty when not known.
        name : str
            For its files in the project; the image's own when empty.
        """
        path = Path(path).absolute()
        for ref in self.images:
            if self.path_of(ref) == path:
                return ref
        ref = ImageRef(id=self._identity(name or path.stem), path=self._relative(path), sha256=sha256)
        self.images.append(ref)
        self.save_list()
        return ref

    def _identity(self, stem: str) -> str:
        clean = "".join(c if c.isalnum() or c in "-_." else "_" for c in stem).strip(".") or "image"
        taken, number, identity = {ref.id.lower() for ref in self.images}, 2, clean
        while identity.lower() in taken:
            identity, number = f"{clean}_{number}", number + 1
        return identity

    def _relative(self, path: Path) -> str:
        try:
            return path.relative_to(self.folder).as_posix()
        except ValueError:
            pass
        beside = os.path.relpath(path, self.folder) if path.anchor == self.folder.anchor else str(path)
        return Path(beside).as_posix() if beside.count("..") <= 2 else str(path)

    def path_of(self, ref: ImageRef) -> Path:
        """Where an image is, or was."""
        return Path(os.path.normpath(self.folder / ref.path))

    def ref(self, identity: str) -> ImageRef:
        """The image of a name.

        Raises
        ------
        ProjectError
            When the project has none.
        """
        for ref in self.images:
            if ref.id == identity:
                return ref
        raise ProjectError(f"The project {self.folder} has no image “{identity}”.")

    def missing(self) -> list[ImageRef]:
        """Images that are no longer where they were."""
        return [ref for ref in self.images if not self.path_of(ref).exists()]

    def relink(self, folder: str | Path) -> list[ImageRef]:
        """Look for missing images in a folder and below it: the same name, and the same content.

        Returns
        -------
        list of ImageRef
            Those that were found.
        """
        places: dict[str, list[Path]] = {}
        for path in Path(folder).absolute().rglob("*"):
            places.setdefault(path.name, []).append(path)
        found = []
        for ref in self.missing():
            for path in places.get(Path(ref.path).name, []):
                if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == ref.sha256:
                    ref.path = self._relative(path)
                    found.append(ref)
                    break
        if found:
            self.save_list()
        return found

    # -- labels ------------------------------------------------------------------------------------------------------

    def labels_path(self, ref: ImageRef) -> Path:
        """The labels' file."""
        return self.folder / "labels" / f"{ref.id}.tif"

    def record_path(self, ref: ImageRef) -> Path:
        """The record's file."""
        return self.folder / "records" / f"{ref.id}.json"

    def journal_path(self, ref: ImageRef) -> Path:
        """The journal's file."""
        return self.folder / "journal" / f"{ref.id}.journal"

    def open_document(self, ref: ImageRef, shape: tuple[int, ...]) -> Document:
        """The labels of an image as they were at the last edit, with their history.

        Parameters
        ----------
        ref : ImageRef
        shape : tuple of int
            (H, W) or (T, H, W) of the image; its labels are empty where nothing was saved.

        Raises
        ------
        ProjectError
            When the labels are of another size, or damaged, or when what waits to be written cannot be.
        """
        if not self.writer.flush():
            raise ProjectError(f"“{ref.id}” cannot be opened while the project cannot be written. {self.writer.error}")
        path = self.labels_path(ref)
        labels, number, verified = np.zeros(shape, np.uint16), 0, []
        if path.exists():
            labels, description = read_labels_file(path)
            number, verified = int(description["number"]), [tuple(mark) for mark in description["verified"]]
            if labels.shape != tuple(shape):
                raise ProjectError(
                    f"{path} holds labels of {labels.shape}, but the image “{ref.id}” is {tuple(shape)}. "
                    "Was it exchanged? Link the right one."
                )
        record: dict[str, Any] = {}
        if self.record_path(ref).exists():
            try:
                record = json.loads(self.record_path(ref).read_text(encoding="utf-8"))
            except ValueError:
                record = {}  # the labels' own description has what counts
        for key in ("annotator", "saved", "journal_number", "verified"):
            record.pop(key, None)
        document = Document(labels, record, verified, number, lambda item: self._append(ref, item))
        document.replay(read_journal(self.journal_path(ref)))
        return document

    def read_labels(self, ref: ImageRef) -> np.ndarray:
        """The labels of an image as they were saved last, uint16; the document's may be newer.

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
            records = read_journal(self.journal_path(ref))
            if not records:
                continue
            if self.labels_path(ref).exists():
                labels, description = read_labels_file(self.labels_path(ref))
                if records[-1].number <= int(description["number"]):
                    continue
                shape = labels.shape
            else:
                image = read_image(self.path_of(ref)).array
                shape = image.shape[:3] if image.ndim == 4 else image.shape[:2]
            self.save(ref, self.open_document(ref, shape))
        self.writer.flush()

    def adopt(self, ref: ImageRef, document: Document) -> None:
        """Keep a document that began without a project: its steps so far, and all to come."""
        document.renumber(lambda item: self._append(ref, item))
        self.save(ref, document)

    def _append(self, ref: ImageRef, record: Record) -> None:
        journal = self._journals.setdefault(ref.id, Journal(self.journal_path(ref)))
        self.writer.put(lambda: journal.append(encode(record)))

    def save(self, ref: ImageRef, document: Document) -> None:
        """Have the labels and their record written by the writer; returns at once."""
        snapshot = document.snapshot()
        document.changed = False
        self.writer.put(lambda: self._write(ref, snapshot), key=f"labels of {ref.id}")

    def _write(self, ref: ImageRef, snapshot: Snapshot) -> None:
        write_labels_file(self.labels_path(ref), snapshot)
        content = json.dumps({"id": ref.id, **snapshot.record}, indent=1, sort_keys=True) + "\n"
        write_atomically(self.record_path(ref), content.encode())

    def save_elsewhere(self, folder: str | Path, documents: dict[str, Document]) -> Project:
        """Write the whole project to another folder, with what is in memory: for when the disk is full.

        Parameters
        ----------
        folder : path
            New or empty.
        documents : dict
            Open documents by the images' names; the others are copied as they are on the disk.

        Returns
        -------
        Project
            The new one, open; the old one stays as it is.
        """
        other = Project.create(folder, self.file.name)
        for ref in self.images:
            path = self.path_of(ref)
            moved = ref.model_copy(update={"path": str(path)})
            if path.is_relative_to(self.folder) and path.exists():
                target = other.folder / path.relative_to(self.folder)
                write_atomically(target, path.read_bytes())
                moved.path = other._relative(target)
            other.images.append(moved)
            if ref.id in documents:
                other._write(moved, documents[ref.id].snapshot())
                continue
            for source, target in (
                (self.labels_path(ref), other.labels_path(moved)),
                (self.record_path(ref), other.record_path(moved)),
                (self.journal_path(ref), other.journal_path(moved)),
            ):
                if source.exists():
                    write_atomically(target, source.read_bytes())
        other.save_list()
        return other
