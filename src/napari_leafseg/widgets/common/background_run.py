"""*Run all*: finds the leaves of the list's images in the background, while anything can be opened and corrected."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, QTimer, Signal

from napari_leafseg._counts import counted
from napari_leafseg.editing.combine import keep_verified
from napari_leafseg.errors import UserError
from napari_leafseg.io import ReadOptions
from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.pipelines.engine import run_over
from napari_leafseg.pipelines.run_list import FoundLeaves, RunSettings, find_leaves, is_current
from napari_leafseg.pipelines.thumbnails import draw_thumbnail, keep_thumbnail, kept_file
from napari_leafseg.project import Project
from napari_leafseg.project.background import LabelFacts, least_certain, store_labels
from napari_leafseg.project.files import ImageRef
from napari_leafseg.project.labels_file import count_leaves
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.colors import paint_leaves
from napari_leafseg.widgets.state.image_record import ListedImage
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session
from napari_leafseg.widgets.state.workers import start_worker

WAITING = "waiting"
_RUNS: weakref.WeakKeyDictionary[Session, BackgroundRun] = weakref.WeakKeyDictionary()
_AGAIN = 200  # milliseconds until an image that is just being opened is tried again


def chosen_settings() -> RunSettings:
    """Return the model and the parameters that are chosen in *Segment*.

    Raises
    ------
    UserError
        When there is no such model.
    """
    model, scale = preferences.model, None if preferences.scale_auto else preferences.scale / 100
    card = describe_model(model)
    values = preferences.parameters(card.name, [spec.name for spec in card.family.settable])
    return RunSettings(model, preferences.device, preferences.tta, scale, values)


class BackgroundRun(QObject):
    """Work off images one by one; what is found becomes a step of each image's history.

    Images that are not shown are written straight into the project; one that is shown gets its labels on the screen. An
    image that was reviewed is left alone, and so is one that somebody corrects in the meantime.

    Signals
    -------
    changed()
        It began, ended, or an image was done.
    touched(ListedImage)
        An image's task goes on.
    drawn(ListedImage, numpy.ndarray)
        A thumbnail of an image that was just done.
    """

    changed = Signal()
    touched = Signal(object)
    drawn = Signal(object, object)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = weakref.ref(session)
        self.job = JobRunner(self)
        self.job.progress.connect(self._progress)
        self.job.failed.connect(self._failed)
        self.job.finished.connect(self._ended)
        self.settings = RunSettings("")
        self.done = self.skipped = self.total = 0
        self.message = ""
        self._project: Project | None = None
        self._entries: dict[Path, ListedImage] = {}
        self._begun: dict[Path, int] = {}  # the last step of a shown image when its turn came
        self._arriving: dict[Path, FoundLeaves] = {}
        self._landing = 0  # images whose labels are being stored or shown
        ProjectController.of(session).changed.connect(self._project_changed)
        session.labels_bound.connect(self._labels_bound)

    @classmethod
    def of(cls, session: Session) -> BackgroundRun:
        """Return the session's, made when it has none."""
        run = _RUNS.get(session)
        if run is None:
            run = _RUNS[session] = cls(session)
        return run

    @property
    def session(self) -> Session:
        """The session."""
        session = self._session()
        assert session is not None
        return session

    @property
    def controller(self) -> ProjectController:
        """The viewer's project."""
        return ProjectController.of(self.session)

    @property
    def running(self) -> bool:
        """Whether images are being worked off, or the last ones stored."""
        return self.job.running or self._landing > 0

    # -- which images ------------------------------------------------------------------------------------------------

    def candidates(self) -> list[ListedImage]:
        """List the images that may be run, from the shown one on."""
        images = self.session.images
        shown = self.session.focus()
        entry = None if shown is None else self.session.entry_of(shown)
        start = images.index(entry) if entry in images else 0
        return [each for each in (*images[start:], *images[:start]) if not each.error and not each.missing]

    def start(
        self, entries: Sequence[ListedImage], settings: RunSettings | None = None, everything: bool = False
    ) -> None:
        """Begin to work off images.

        Parameters
        ----------
        entries : sequence of ListedImage
        settings : RunSettings, optional
            What is chosen in *Segment* when None.
        everything : bool
            Also images whose leaves are there and up to date.
        """
        if self.running or not entries:
            return
        try:
            self.settings = settings or chosen_settings()
            project = self.controller.ensure_project()
            refs = project.add_all([(entry.path, entry.sha256) for entry in entries])
        except UserError as error:
            show_error(str(error))
            return
        self._project = project
        todo = [(entry.path, ref) for entry, ref in zip(entries, refs, strict=True) if ref.state != "done"]
        self._entries, self._begun = {entry.path: entry for entry in entries}, {}
        self.done, self.skipped, self.total, self.message = 0, 0, len(todo), ""
        for path, _ in todo:
            self._entries[path].task, self._entries[path].trouble = WAITING, ""
        known = {path: self._known(self._entries[path]) for path, _ in todo}
        self.job.start(run_job, todo, known, self.settings, self.session.read_options, everything)
        self.session.images_changed.emit()
        self.changed.emit()

    def stop(self) -> None:
        """Stop after the step that is being computed; what is done stays, and `start` goes on behind it."""
        self.job.stop()
        self.message = "Stopping …"
        self.changed.emit()

    def sentence(self) -> str:
        """Say how far it is, or how it ended."""
        if self.running:
            total = counted(self.total, "image")
            return f"{self.done} of {total} · {self.message}" if self.message else total
        failed = sum(bool(entry.trouble) for entry in self.session.images)
        left = self.total - self.done
        words = [f"{counted(self.done - self.skipped, 'image')} run"] if self.done > self.skipped else []
        words += [f"{self.skipped} up to date"] if self.skipped else []
        words += [f"{left} left"] if left else []
        words += [f"{failed} failed: see their rows"] if failed else []
        return " · ".join(words)

    def _known(self, entry: ListedImage) -> dict[str, Any] | None:
        """What made the labels of an image; None where there are none, empty where people made them."""
        layer = self.session.layer_of(entry)
        binding = None if layer is None else self.session.binding(layer)
        if binding is None:
            return None if entry.facts is None else entry.facts.record
        if entry.prediction is not None and entry.parameters:
            return entry.prediction.record(**entry.parameters)
        return dict(binding.document.info) if binding.document.labels.any() else None

    # -- what is done ------------------------------------------------------------------------------------------------

    def _progress(self, event: Any) -> None:
        item = event.item or event.current
        if item is None:
            return
        path, ref = item
        entry = self._entries.get(path)
        if entry is None:
            return
        self.done = int(event.done)
        if event.item is None:
            self._note_begin(entry)
            share = max(0.0, event.done - self.done)
            entry.task, entry.share = event.message.split(": ", 1)[-1], share
            self.message = f"{path.name}: {entry.task}"
            self.touched.emit(entry)
            self.changed.emit()
            return
        if event.error is not None:
            entry.task, entry.trouble = "", str(event.error)
        elif event.skipped:
            entry.task, self.skipped = "", self.skipped + 1
        else:
            self._land(entry, ref, event.result)
        self.session.images_changed.emit()
        self.changed.emit()

    def _note_begin(self, entry: ListedImage) -> None:
        layer = self.session.layer_of(entry)
        binding = None if layer is None else self.session.binding(layer)
        if binding is not None:
            self._begun.setdefault(entry.path, binding.document.number)

    def _land(self, entry: ListedImage, ref: ImageRef, found: FoundLeaves) -> None:
        """Show the labels of an image that is on the screen, store those of another."""
        if self._project is not self.controller.project or entry not in self.session.images:
            entry.task = ""
            return
        self._landing += 1
        entry.sha256 = entry.sha256 or found.sha256
        preferences.keep_speed(found.prediction.model.name, self.settings.device, found.prediction.seconds)
        layer = self.session.layer_of(entry)
        if layer is None or self.session.binding(layer) is None:
            self._store(entry, ref, found)
        else:
            self._show(entry, ref, found, layer)

    def _landed(self, entry: ListedImage, trouble: str = "") -> None:
        self._landing -= 1
        entry.task, entry.trouble, entry.share = "", trouble, 0.0
        entry.version += 1
        self.session.images_changed.emit()
        self._finish_when_landed()
        self.changed.emit()

    def _store(self, entry: ListedImage, ref: ImageRef, found: FoundLeaves) -> None:
        entry.task = "storing"
        start_worker(
            store_job, self._project, ref, entry.path, found, self.session.read_options,
            on_result=partial(self._stored, entry, ref, found),
            on_error=lambda error: self._landed(entry, str(error)), owner=self,
        )  # fmt: skip

    def _stored(
        self, entry: ListedImage, ref: ImageRef, found: FoundLeaves, result: tuple[LabelFacts, np.ndarray] | None
    ) -> None:
        layer = self.session.layer_of(entry)
        if result is None:  # it is being opened, or was closed just now
            again = self._store if layer is None or self.session.binding(layer) is None else self._show_later
            QTimer.singleShot(_AGAIN, partial(again, entry, ref, found))
            return
        facts, small = result
        entry.learn(facts)
        self.controller.predictions.keep_of(ref, found.prediction)
        self._landed(entry)
        self.drawn.emit(entry, small)
        if layer is not None and self.session.binding(layer) is None:
            self._arriving[entry.path] = found
            self.controller.restore(layer)

    def _labels_bound(self, binding: Any) -> None:
        """The labels of an image that is shown came from the project: its sliders go on with the prediction."""
        entry = self.session.entry_of(binding.image)
        found = None if entry is None else self._arriving.pop(entry.path, None)
        if found is not None:
            binding.run = found.prediction.key
            self.session.keep_prediction(binding.image, found.prediction, found.values)
            self.session.prediction_restored.emit(binding.image)

    def _show_later(self, entry: ListedImage, ref: ImageRef, found: FoundLeaves) -> None:
        layer = self.session.layer_of(entry)
        if layer is None or self.session.binding(layer) is None:
            self._store(entry, ref, found)
        else:
            self._show(entry, ref, found, layer)

    def _show(self, entry: ListedImage, ref: ImageRef, found: FoundLeaves, layer: Image) -> None:
        """Put labels beside the verified ones that are on the screen, in a worker, then show them."""
        binding = self.session.binding(layer)
        assert binding is not None
        document = binding.document
        if document.number != self._begun.get(entry.path, document.number):
            self._landed(entry, "Somebody corrected the image meanwhile: its leaves were left as they are.")
            return
        number = document.number
        self._begun[entry.path] = number

        def put(result: tuple[np.ndarray, dict[str, Any]]) -> None:
            labels, record = result
            now = self.session.binding(layer)
            if now is not binding or document.number != number:
                self._show_later(entry, ref, found)
                return
            document.info.update(record)
            layers.show_new_labels(self.session, layer, labels, tool_name(found), found.origin)
            self.session.keep_prediction(layer, found.prediction, found.values)
            self.controller.keep_run(layer)
            entry.confidence = least_certain(record["confidence"], document.verified)
            self._landed(entry)
            self.session.prediction_restored.emit(layer)

        start_worker(
            merge_job, found, document.labels.copy(), set(document.verified), document.largest,
            on_result=put, on_error=lambda error: self._landed(entry, str(error)), owner=self,
        )  # fmt: skip

    # -- the end -----------------------------------------------------------------------------------------------------

    def _failed(self, error: Exception) -> None:
        show_error(str(error))

    def _ended(self) -> None:
        for entry in self._entries.values():
            if entry.task and entry.task != "storing":
                entry.task, entry.share = "", 0.0
        self.message = ""
        self.session.images_changed.emit()
        self._finish_when_landed()
        self.changed.emit()

    def _finish_when_landed(self) -> None:
        if not self.running:
            self._entries, self._begun = {}, {}

    def _project_changed(self) -> None:
        if self.controller.project is self._project:
            return
        if self.job.running:
            self.stop()
        elif self.total:  # how a run ended is told of its own project
            self.done = self.skipped = self.total = 0
            self.changed.emit()


def tool_name(found: FoundLeaves) -> str:
    """Name the step in an image's history."""
    return f"segment with {found.prediction.model.name}"


def run_job(
    todo: list[tuple[Path, ImageRef]],
    known: dict[Path, dict[str, Any] | None],
    settings: RunSettings,
    options: ReadOptions,
    everything: bool,
) -> Iterator[Any]:
    """Find the leaves of the images that need it; yields `RunEvent`."""

    def current(item: tuple[Path, ImageRef]) -> bool | None:
        record = known[item[0]]
        if everything or record is None:
            return None
        return True if not record.get("model") or is_current(record, item[0], settings) else None

    def work(item: tuple[Path, ImageRef]) -> Any:
        return find_leaves(settings, options, item[0])

    yield from run_over(todo, work, name=lambda item: item[0].name, cached=current, collect=True)


def merge_job(
    found: FoundLeaves, shown: np.ndarray, verified: set[tuple[int, int]], largest: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Put labels beside the verified ones; returns them with their record."""
    labels = keep_verified(found.labels, shown, verified, largest)
    return labels, found.record_of(labels)


def store_job(
    project: Project, ref: ImageRef, path: Path, found: FoundLeaves, options: ReadOptions
) -> tuple[LabelFacts, np.ndarray] | None:
    """Store labels, and draw their thumbnail; None where somebody has the image open."""
    document = store_labels(project, ref, found.labels, tool_name(found), found.record_of, found.origin)
    if document is None:
        return None
    count, at_border = count_leaves(document.labels)
    sure = least_certain(document.info["confidence"], document.verified)
    facts = LabelFacts(count, len(document.verified), at_border, sure, dict(document.info))
    small = draw_thumbnail(found.image, document.labels, paint_leaves)
    file = project.labels_path(ref)
    project.writer.put(lambda: keep_thumbnail(kept_file(path, options, file), small), group=ref.id)
    return facts, small
