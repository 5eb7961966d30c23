"""Keeps the labels of a viewer's images, and what models said of them, in the open project."""

from __future__ import annotations

import time
import weakref
from pathlib import Path
from typing import Any

from napari.layers import Image
from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QObject, QTimer

from napari_leafseg._log import log_error
from napari_leafseg.errors import UserError
from napari_leafseg.project import Project
from napari_leafseg.project.files import ImageRef, State
from napari_leafseg.project.review import is_touched
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.image_record import ListedImage, ReviewState
from napari_leafseg.widgets.state.kept_predictions import KeptPredictions
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.session import Session, image_data, labels_shape
from napari_leafseg.widgets.state.workers import start_worker

AUTOSAVE = 2000  # milliseconds
_TURN = 0.015  # seconds that adding images may take at a time


class ProjectLabels(QObject):
    """What a project has of the images on the screen.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    project : Project, optional
    is_scratch : bool
        Nobody chose the project: it was made to lose nothing.
    predictions : KeptPredictions
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = weakref.ref(session)
        self.project: Project | None = None
        self.is_scratch = False
        self.predictions = KeptPredictions(self)
        self._stalled = False  # whether it was told that the disk does not answer
        self._unlisted: list[ListedImage] = []  # images that the project has yet to take in
        self._timer = QTimer(self)
        self._timer.setInterval(AUTOSAVE)
        self._timer.timeout.connect(self.autosave)
        self._timer.start()

    @property
    def session(self) -> Session:
        """The session."""
        session = self._session()
        assert session is not None
        return session

    def _tell(self, problem: str) -> None:
        """Tell why writing fails; empty when it works again."""
        raise NotImplementedError

    def _make_scratch(self) -> None:
        """Open a project where nobody chose one."""
        raise NotImplementedError

    def ensure_project(self) -> Project:
        """Return the open project; one in the safety folder is made where there is none.

        Raises
        ------
        ProjectError
            When it cannot be written.
        """
        if self.project is None:
            self._make_scratch()
        assert self.project is not None
        return self.project

    def finish(self) -> None:
        """Write everything that is on the screen, also what is under way, beside the window; returns at once."""
        while self._unlisted and self.project is not None:
            self._add_some()
        for binding in self._bindings():
            binding.finish()
            self.save(binding)

    def _bindings(self) -> list[LabelsBinding]:
        """The labels of all images under correction; none once the viewer is gone."""
        session = self._session()
        return [] if session is None else session.bindings()

    def add_images(self) -> None:
        """Take new images of the list into the project; many of them little by little."""
        if self.project is not None:
            self._unlisted = list(self.session.images)
            self._add_some()

    def _add_some(self) -> None:
        started = time.perf_counter()
        while self._unlisted and self.project is not None and time.perf_counter() - started < _TURN:
            some, self._unlisted = self._unlisted[:10], self._unlisted[10:]
            self.project.add_all([(entry.path, entry.sha256) for entry in some])
        if self._unlisted:
            QTimer.singleShot(0, self._add_some)

    # -- labels ------------------------------------------------------------------------------------------------------

    def watch(self, binding: LabelsBinding) -> None:
        """Keep a document from its first step on, whoever makes it."""
        if binding.document.write is None:  # whatever else goes wrong with those who hear of a step
            binding.document.write = lambda _record: self._track_now(binding)
        binding.by_hand.connect(lambda: self._corrected(binding))
        binding.changed.connect(lambda step: None if step is None else self.track(binding))
        if self.project is not None and not self.is_scratch and binding.document.history.done:
            self.track(binding)

    def _corrected(self, binding: LabelsBinding) -> None:
        self.track(binding)
        if binding.ref is not None and binding.ref.state != "done":
            self.set_state(binding, "in progress" if is_touched(binding.document) else "new")

    def _track_now(self, binding: LabelsBinding) -> None:
        try:
            self.track(binding)
        except Exception as error:
            log_error(error)

    def track(self, binding: LabelsBinding) -> None:
        """See that everything of a document is written, from its first step on."""
        if binding.ref is not None:
            return
        try:
            project = self.ensure_project()
            ref = self._ref_of(binding.image)
        except UserError as error:
            show_error(f"Your work cannot be saved: {error} It is kept in memory; save it elsewhere.")
            return
        binding.ref = ref
        project.adopt(ref, binding.document)
        self.predictions.keep(binding.image)

    def keep_run(self, image: Image) -> None:
        """Write what a model found at once: labels, how they came about, and what it takes to tune them."""
        binding = self.session.binding(image)
        if binding is not None:
            self.save(binding)
            self.predictions.keep(image)

    def _ref_of(self, image: Image) -> ImageRef:
        assert self.project is not None
        entry = self.session.entry_of(image)
        if entry is not None:
            return self.project.add_known(entry.path, entry.sha256)
        source = image.source.path
        if source and Path(source).is_file():
            return self.project.add_known(source)
        project = self.project
        ref = project.add_known(project.folder / "images" / f"{self.session.record(image).key}.tif", name=image.name)
        project.put_image(ref, image_data(image)[0], bool(image.rgb))
        return ref

    def restore(self, image: Image) -> None:
        """Show what the project has of an image that was just loaded; read in a worker."""
        entry = self.session.entry_of(image)
        if self.project is None or entry is None:
            return
        ref = self.project.find(entry.path)
        if ref is None:
            return
        project = self.project
        same = not entry.sha256 or project.note_content(ref, entry.sha256)
        start_worker(
            _open_kept, project, ref, labels_shape(image),
            on_result=lambda document: self._restored(project, ref, image, document, same),
            on_error=lambda error: show_error(str(error)), owner=self,
        )  # fmt: skip

    def _restored(self, project: Project, ref: ImageRef, image: Image, document: Any, same: bool) -> None:
        if document is None:
            return
        if not same:
            show_warning(
                f"{project.path_of(ref)} holds another image than when its labels were saved. See whether they fit; "
                "Run makes new ones, and Undo brings these back."
            )
        gone = project is not self.project or image not in self.session.viewer.layers
        if gone or self.session.binding(image) is not None:
            project.release_document(ref, document)
            return
        binding = layers.add_labels(self.session, image, document, ref)
        record = self.session.record(image)
        record.count = sum(len(document.leaves(frame)) for frame in range(document.frames))
        record.exported = bool(record.exported)
        self.session.viewer.layers.selection.active = binding.layer
        binding.changed.emit(None)
        self.session.images_changed.emit()
        self.predictions.offer(image)

    def state(self, binding: LabelsBinding) -> str:
        """Return the review state of an image: "new", "in progress" or "done"."""
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
        """Count the verified leaves of each image that is open, by the name that the project gives it."""
        return {item.ref.id: len(item.document.verified) for item in self.session.bindings() if item.ref is not None}

    def reviewed(self) -> tuple[int, int]:
        """Count the images that are done, and images in all."""
        total = max(len(self.session.images), len(self.session.image_layers()))
        if self.project is None:
            return 0, total
        return sum(ref.state == "done" for ref in self.project.images), max(total, len(self.project.images))

    def reviewed_refs(self) -> list[tuple[ImageRef, LabelsBinding | None]]:
        """List the images that are done, with their corrections where they are open."""
        if self.project is None:
            return []
        opened = {item.ref.id: item for item in self.session.bindings() if item.ref is not None}
        return [(ref, opened.get(ref.id)) for ref in self.project.images if ref.state == "done"]

    # -- saving --------------------------------------------------------------------------------------------------------

    def autosave(self) -> None:
        """Write what changed, beside the window.

        Where the session is gone with its viewer, its strokes are in the journal already: the timer ends.
        """
        session = self._session()
        if session is None:
            self._timer.stop()
            return
        if self.project is None:
            return
        if self.project.writer.stalled != self._stalled:
            self._stalled = not self._stalled
            self._tell(self.project.writer.error)
        for binding in session.bindings():
            self.save(binding)

    def save(self, binding: LabelsBinding) -> None:
        """Write one document when it changed, beside the window."""
        ref = binding.ref
        if self.project is None or ref is None:
            return
        if binding.document.changed and not binding.unfinished:  # the steps so far are in the journal
            item = self.session.record(binding.image)
            try:
                if item.prediction is not None:
                    binding.document.info.update(item.prediction.record(**item.parameters))
            except UserError as error:  # labels are written all the same
                log_error(error)
            self.project.save(ref, binding.document)

    def can_leave(self, image: Image) -> bool:
        """Tell whether an image may go off the screen: nothing of it is in memory alone, and nothing is under way."""
        record = self.session.record(image)
        if record.busy or record.is_grouping:
            return False
        if record.binding is None:
            return self.session.labels_layer(image) is None
        if not len(record.binding.document.history):
            return True
        return self.project is not None and record.ref is not None and not self.project.writer.error

    def _released(self, binding: LabelsBinding) -> None:
        """Write labels whose image goes."""
        binding.finish()
        self.save(binding)
        self.predictions.remember(binding)
        if self.project is not None and binding.ref is not None:
            self.project.release_document(binding.ref, binding.document)


def _open_kept(project: Project, ref: ImageRef, shape: tuple[int, ...]) -> Any:
    """The document of an image; None where the project has nothing of it."""
    project.writer.flush()
    if not (project.labels_path(ref).exists() or project.journal_path(ref).exists()):
        return None
    return project.open_document(ref, shape)
