"""Keeps what people correct: in the open project, or in one that is made by itself when there is none."""

from __future__ import annotations

import datetime
import shutil
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from napari.layers import Image
from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

from napari_leafseg.errors import UserError
from napari_leafseg.io import ReadOptions
from napari_leafseg.project import Project
from napari_leafseg.project.files import ImageRef, State
from napari_leafseg.project.lock import Lock
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.gl_guard import guard_canvas
from napari_leafseg.widgets.state.image_record import ListedImage, ReviewState
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.napari_private import is_painting
from napari_leafseg.widgets.state.session import Session, image_data, labels_shape
from napari_leafseg.widgets.state.workers import start_worker

AUTOSAVE = 2000  # milliseconds
_UNSAVED = "unsaved"
_CONTROLLERS: weakref.WeakKeyDictionary[Session, ProjectController] = weakref.WeakKeyDictionary()


def unsaved_folder() -> Path:
    """Where corrections lie that were made outside of any project."""
    return Path(platformdirs.user_data_dir("napari-leafseg", appauthor=False)) / _UNSAVED


def recoverable_projects() -> list[Path]:
    """Such corrections of applications that no longer run, the newest first."""
    found = [path.parent for path in unsaved_folder().glob("*/project.json")]
    free = []
    for folder in found:
        owner = Lock(folder).owner()
        if (owner is None or not owner.alive) and any(folder.glob("journal/*")):
            free.append(folder)
    return sorted(free, reverse=True)


class ProjectController(QObject):
    """The project of a viewer.

    Signals
    -------
    changed()
        There is another project, or none.
    opened()
        A project was opened: its images are the list now.
    trouble(str)
        Why writing fails; "" when it works again.
    noticed(str)
        A file of the project was found damaged.
    """

    changed = Signal()
    opened = Signal()
    trouble = Signal(str)
    noticed = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = weakref.ref(session)
        self.project: Project | None = None
        self.is_scratch = False  # nobody chose the project: it was made to lose nothing
        self._timer = QTimer(self)
        self._timer.setInterval(AUTOSAVE)
        self._timer.timeout.connect(self.autosave)
        self._timer.start()
        self.trouble.connect(self._tell)
        self.noticed.connect(show_warning)
        session.image_loaded.connect(self.restore)
        session.labels_bound.connect(self.watch)
        session.read_options_chosen.connect(self._keep_read_options)
        session.labels_released.connect(self.save)
        guard_canvas(session.viewer)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close)

    @classmethod
    def of(cls, session: Session) -> ProjectController:
        """The session's controller, made when it has none."""
        controller = _CONTROLLERS.get(session)
        if controller is None:
            controller = _CONTROLLERS[session] = cls(session)
        return controller

    @property
    def session(self) -> Session:
        """The session."""
        session = self._session()
        assert session is not None
        return session

    # -- projects ----------------------------------------------------------------------------------------------------

    def create(self, folder: Path) -> None:
        """Make a project of the images in the list, and of all corrections so far."""
        before = self.project
        if before is not None and self.is_scratch:
            self.save_elsewhere(folder, folder.name)
            shutil.rmtree(before.folder, ignore_errors=True)
        else:
            self.autosave()
            self._take(Project.create(folder, "", self.trouble.emit, self.noticed.emit), False)
            for binding in self.session.bindings():
                binding.ref = None
            if before is not None:
                _close_aside(before)
        self.add_images()
        for binding in self.session.bindings():
            if len(binding.document.history):
                self.track(binding)
        self.changed.emit()

    def open(self, folder: Path, force: bool = False, is_scratch: bool = False) -> None:
        """Open a project: its images become the list."""
        project = Project.open(folder, force, self.trouble.emit, self.noticed.emit)
        self.close()
        self.session.read_options = ReadOptions()
        self._take(project, is_scratch)
        for image in list(self.session.image_layers()):
            for layer in [x for x in self.session.viewer.layers if x is image or self.session.belongs(x, image)]:
                self.session.viewer.layers.remove(layer)
        self.session.images[:] = [_new_record(project, ref) for ref in project.images]
        self.opened.emit()
        self.changed.emit()
        missing = project.missing()
        if missing:
            show_error(
                f"{len(missing)} of {len(project.images)} images are no longer where they were, for example "
                f"{project.path_of(missing[0])}. Choose “Find moved images …” in the project's menu."
            )

    def _take(self, project: Project, is_scratch: bool) -> None:
        self.project, self.is_scratch = project, is_scratch
        kept = project.read_options
        if kept == ReadOptions():
            self._keep_read_options(self.session.read_options)
        else:
            self.session.read_options = kept

    def _keep_read_options(self, options: ReadOptions) -> None:
        """Write into the project which channels and which plane are read."""
        if self.project is not None and options != self.project.read_options:
            self.project.read_options = options

    def close(self) -> None:
        """Write everything and give the project up."""
        project, self.project = self.project, None
        if project is None:
            return
        for binding in self.session.bindings():
            binding.end_tuning()
            if binding.ref is not None:
                project.save(binding.ref, binding.document)
            binding.ref = None
        project.close()
        self.changed.emit()

    def add_images(self) -> None:
        """Take new images of the list into the project."""
        if self.project is not None and not self.is_scratch:
            self.project.add_all([(entry.path, entry.sha256) for entry in self.session.images])

    # -- corrections -------------------------------------------------------------------------------------------------

    def watch(self, binding: LabelsBinding) -> None:
        """Keep a document as soon as somebody changes it by hand; at once in a project that somebody chose."""
        binding.by_hand.connect(lambda: self.track(binding))
        if self.project is not None and not self.is_scratch and binding.document.history.done:
            self.track(binding)

    def track(self, binding: LabelsBinding) -> None:
        """See that everything of a document is written, from its first step on."""
        if binding.ref is not None:
            return
        try:
            self.ensure_project()
            ref = self._ref_of(binding.image)
        except UserError as error:
            show_error(f"Your corrections cannot be saved: {error} They are kept in memory; save them elsewhere.")
            return
        binding.ref = ref
        assert self.project is not None
        self.project.adopt(ref, binding.document)
        if ref.state == "new":
            self.set_state(binding, "in progress")

    def ensure_project(self) -> Project:
        """Return the open project; one in the safety folder is made where there is none.

        Raises
        ------
        ProjectError
            When it cannot be written.
        """
        if self.project is None:
            stamp = f"{datetime.datetime.now():%Y-%m-%d %H.%M.%S.%f}"
            place, said = unsaved_folder() / stamp, (self.trouble.emit, self.noticed.emit)
            self._take(Project.create(place, stamp[:16], *said), True)
            self.changed.emit()
        assert self.project is not None
        return self.project

    def _ref_of(self, image: Image) -> ImageRef:
        assert self.project is not None
        entry = self.session.entry_of(image)
        if entry is not None:
            return self.project.add_known(entry.path, entry.sha256)
        source = image.source.path
        if source and Path(source).is_file():
            return self.project.add_known(source)
        project, array = self.project, np.asarray(image_data(image)[0])
        ref = project.add_known(project.folder / "images" / f"{self.session.record(image).key}.png", name=image.name)
        if array.ndim in (2, 3) and array.dtype == np.uint8:
            project.put_image(ref, array)
        return ref

    def restore(self, image: Image) -> None:
        """Show what the project has of an image that was just loaded; read in a worker."""
        entry = self.session.entry_of(image)
        if self.project is None or entry is None:
            return
        ref = self.project.find(entry.path)
        if ref is None or not (self.project.labels_path(ref).exists() or self.project.journal_path(ref).exists()):
            return
        project = self.project
        start_worker(
            project.open_document, ref, labels_shape(image),
            on_result=lambda document: self._restored(project, ref, image, document),
            on_error=lambda error: show_error(str(error)), owner=self,
        )  # fmt: skip

    def _restored(self, project: Project, ref: ImageRef, image: Image, document: Any) -> None:
        if project is not self.project or image not in self.session.viewer.layers:
            return
        if self.session.binding(image) is not None:
            return
        binding = layers.add_labels(self.session, image, document, ref)
        self.session.record(image).count = len(document.leaves())
        self.session.viewer.layers.selection.active = binding.layer
        binding.changed.emit(None)

    def state(self, binding: LabelsBinding) -> str:
        """The review state of an image: "new", "in progress" or "done"."""
        return "new" if binding.ref is None else binding.ref.state

    def set_state(self, binding: LabelsBinding, state: State) -> None:
        """Change it; the list of images says so."""
        ref = binding.ref
        if ref is None or self.project is None or ref.state == state:
            return
        ref.state = state
        self.project.writer.put(self.project.save_list, key="list")
        self.session.record(binding.image).review = ReviewState(state)
        self.session.images_changed.emit()

    def set_region(self, binding: LabelsBinding, region: tuple[int, int, int, int] | None) -> None:
        """Remember which part of an image was reviewed: top, left, bottom, right in pixels; None = see its leaves."""
        ref = binding.ref
        if ref is not None and self.project is not None and ref.region != region:
            ref.region = region
            self.project.writer.put(self.project.save_list, key="list")

    def marks(self) -> dict[str, int]:
        """How many leaves are verified in each image that is open, by the name that the project gives it."""
        return {item.ref.id: len(item.document.verified) for item in self.session.bindings() if item.ref is not None}

    def reviewed(self) -> tuple[int, int]:
        """Images that are done, and images in all."""
        total = max(len(self.session.images), len(self.session.image_layers()))
        if self.project is None:
            return 0, total
        return sum(ref.state == "done" for ref in self.project.images), max(total, len(self.project.images))

    def reviewed_refs(self) -> list[tuple[ImageRef, LabelsBinding | None]]:
        """Images that are done, with their corrections where they are open."""
        if self.project is None:
            return []
        opened = {item.ref.id: item for item in self.session.bindings() if item.ref is not None}
        return [(ref, opened.get(ref.id)) for ref in self.project.images if ref.state == "done"]

    # -- saving ------------------------------------------------------------------------------------------------------

    def autosave(self) -> None:
        """Have what changed written; a stroke that is being painted, too.

        Where the session is gone with its viewer, its strokes are in the journal already: the timer ends.
        """
        session = self._session()
        if session is None:
            self._timer.stop()
            return
        if self.project is None:
            return
        for binding in session.bindings():
            self.save(binding)

    def save(self, binding: LabelsBinding) -> None:
        """Have one document written when it changed."""
        ref = binding.ref
        if self.project is None or ref is None:
            return
        painting = is_painting(binding.layer)
        if binding.document.changed or painting:
            item = self.session.record(binding.image)
            if item.prediction is not None:
                binding.document.info.update(item.prediction.record(**item.parameters))
            self.project.save(ref, binding.document)

    def _tell(self, problem: str) -> None:
        if problem:
            show_error(
                f"{problem} Your work stays in memory; make room, or choose “Save elsewhere …” in the project's menu."
            )
        else:
            show_info("Saving works again.")
        self.session.project_changed.emit()

    def save_elsewhere(self, folder: Path, name: str = "") -> None:
        """Write the project to another folder and go on there; it keeps its name where none is given."""
        assert self.project is not None
        documents = {}
        for binding in self.session.bindings():
            if binding.ref is not None:
                binding.end_tuning()
                documents[binding.ref.id] = binding.document
        old = self.project
        new = old.save_elsewhere(folder, documents, name)
        new.writer.failed, new.noticed = self.trouble.emit, self.noticed.emit
        moved = {ref.id: ref for ref in new.images}
        for binding in self.session.bindings():
            binding.ref = None if binding.ref is None else moved.get(binding.ref.id)
        self._take(new, False)
        _close_aside(old)
        self.changed.emit()


def _close_aside(project: Project) -> None:
    """Give up a project that is not needed any more, without waiting for its disk."""
    project.writer.failed = project.noticed = None
    threading.Thread(target=project.close, name="napari-leafseg closing", daemon=True).start()


def _new_record(project: Project, ref: ImageRef) -> ListedImage:
    """Make the record of an image of a project that was just opened."""
    path = project.path_of(ref)
    return ListedImage(path, ref.sha256, ReviewState(ref.state), missing=not path.exists())
