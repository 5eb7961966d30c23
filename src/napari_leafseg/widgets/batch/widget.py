"""The *Batch* dock widget: a whole experiment in the background, and the session as a record to be replayed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from napari.utils.notifications import show_error, show_info
from napari.viewer import ViewerModel
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QListWidget, QWidget

from napari_leafseg._counts import counted
from napari_leafseg._files import write_atomically
from napari_leafseg._log import log_error
from napari_leafseg.errors import UserError
from napari_leafseg.experiment import Experiment
from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.project.transfer import TransferEvent
from napari_leafseg.widgets.batch.jobs import (
    batch_job,
    correct_job,
    experiment_in,
    experiment_of_project,
    project_in,
    update_job,
)
from napari_leafseg.widgets.common.base import JobWidget
from napari_leafseg.widgets.common.controls import allow, push_button, thin_progress, wrapped_label
from napari_leafseg.widgets.common.settings_form import FolderEdit, SettingsForm, model_field
from napari_leafseg.widgets.state.camera_positions import PositionStore
from napari_leafseg.widgets.state.known_images import ExperimentStore
from napari_leafseg.widgets.state.preferences import preferences

_WORKERS = "Processes, each of which loads the model; automatic: one a core or graphics card"
_MARKERS = "The side of ArUco markers or AprilTags in the images: they say the scale of each"
_SOURCE = "A folder, or a pattern like plants/**/*.jpg; empty: the images of the list"
_OUTPUT = "The folder for labels, tables and the report; it is made where it is not there"


@dataclass(frozen=True)
class BatchForm:
    """What *Batch* asks for."""

    source: Annotated[
        str,
        {
            "widget_type": FolderEdit,
            "label": "Images",
            "tooltip": _SOURCE,
            "placeholder": "The images of the list",
        },
    ] = ""
    output: Annotated[
        str,
        {
            "widget_type": FolderEdit,
            "label": "Write to",
            "tooltip": _OUTPUT,
            "placeholder": "A folder for the results",
        },
    ] = ""
    model: Annotated[str, model_field(label="Model")] = "leaf"
    px_per_mm: Annotated[
        float,
        {
            "label": "Scale",
            "max": 10_000,
            "step": 0.001,
            "suffix": " px/mm",
            "special": "not set: traits in pixels",
        },
    ] = 0.0
    marker_mm: Annotated[
        float,
        {
            "label": "Markers",
            "max": 10_000,
            "step": 1,
            "suffix": " mm",
            "special": "not looked for",
            "tooltip": _MARKERS,
            "advanced": True,
        },
    ] = 0.0
    workers: Annotated[
        int,
        {
            "label": "Workers",
            "max": 256,
            "tooltip": _WORKERS,
            "special": "automatic",
            "advanced": True,
        },
    ] = 0


class BatchWidget(JobWidget):
    """Predicts, measures and reports many images while the window stays usable.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari fills it in by this name.
    """

    object_name = "napari-leafseg-batch"

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.report: Path | None = None
        self._made = False  # the project of an experiment, which is about to be opened
        self._began, self._skipped, self._not_done, self._stopping = 0.0, 0, 0, False
        self.form = SettingsForm(preferences.filled("batch", BatchForm()))
        self.model_box = self.follow_segment(self.follow_models(self.form.native("model")))
        self._build()
        self._show_running(False)

    def _build(self) -> None:
        hint = wrapped_label(
            "hint",
            "Sliders as they are set in Segment for this model; trays and scales of the images of the list as in "
            "Measure. Started again, it goes on where it was. Images that you corrected or reviewed are measured as "
            "you left them.",
        )
        self.run_button = push_button("run_batch", "Run", self.run)
        self.stop_button = push_button("stop_batch", "Stop", self.stop)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.stop_button, 1)
        self.progress = thin_progress()
        self.message = wrapped_label("message")
        self.errors = QListWidget()
        self.errors.setObjectName("errors")
        self.errors.setWordWrap(True)
        self.report_button = push_button("report", "Open the report", self._open_report)
        tip = "Opens the images of this experiment with their leaves, as a project in its folder"
        self.correct_button = push_button("correct_batch", "Correct its leaves …", self.correct, tip)
        tip = "Measures the images that you corrected, and writes tables and report anew"
        self.update_button = push_button("update_batch", "Bring the report up to date", self.update_report, tip)
        tip = "“napari-leafseg rerun RECORD” makes the labels of the open images again"
        text = "Save this session as a record …"
        self.session_button = push_button("save_session", text, self._save_session, tip)
        pinned, column = self.columns()
        pinned.addWidget(self.form)
        pinned.addLayout(buttons)
        for part in (self.progress, self.message):
            pinned.addWidget(part)
        for part in (self.errors, self.report_button, self.correct_button, self.update_button, hint):
            column.addWidget(part)
        column.addStretch(1)
        column.addWidget(self.session_button)
        self.errors.hide()
        self.report_button.hide()
        self.form.native("output").textChanged.connect(self._show_experiment)
        self.refresh_on(self._show_experiment)
        self._show_experiment()

    # -- running -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Start, or go on with, an experiment."""
        if self.job.running:
            return
        form = self.form.settings()
        patterns = [form.source] if form.source else [str(entry.path) for entry in self.session.images]
        if not patterns:
            show_error("There are no images. Choose a folder, or add images in Images.")
            return
        if not form.output:
            show_error("Choose a folder to write to.")
            return
        preferences.keep("batch", form)
        options = {
            "model": form.model,
            "values": self._values(form.model),
            "device": preferences.device,
            "tta": preferences.tta,
            "px_per_mm": form.px_per_mm or None,
            "marker_mm": form.marker_mm or None,
            "channels": dict(self.session.read_options.by_count) or None,
            "z": self.session.read_options.z,
        }
        said = ExperimentStore.of(self.session).experiment
        experiment = None if form.source or said == Experiment() else said.copy()
        project = self.controller.project
        if form.source and experiment_of_project(project) != Path(form.output).absolute():
            project = None  # the images of the list may be others
        positions = None if form.source else PositionStore.of(self.session).positions
        self._start(batch_job, patterns, form.output, options, form.workers or None, experiment, project, positions)

    def _start(self, job: Callable[..., Any], *arguments: Any) -> None:
        self.errors.clear()
        self.errors.hide()
        self.report_button.hide()
        self._began, self._skipped, self._not_done, self._stopping = time.monotonic(), 0, 0, False
        self._show_running(True)
        self.message.setText("Starting …")
        self.job.start(job, *arguments)

    # -- correcting --------------------------------------------------------------------------------------------------

    def correct(self) -> None:
        """Open the experiment that is named as a project."""
        experiment = experiment_in(self.form.settings().output)
        if experiment is not None and not self.job.running:
            self._start(correct_job, experiment)

    def update_report(self) -> None:
        """Measure again what was corrected in the open project, and write the experiment's report."""
        project = self.controller.project
        experiment = experiment_of_project(project)
        if project is not None and experiment is None:
            show_error(f"There is no experiment in {project.folder.parent} any more. Open it where it is now.")
        elif experiment is not None and project is not None and not self.job.running:
            said, positions = ExperimentStore.of(self.session).experiment, PositionStore.of(self.session).positions
            self._start(update_job, experiment, project, said.copy(), positions)

    def _show_experiment(self) -> None:
        """Offer to correct an experiment that was measured, and to measure one again that is corrected."""
        corrected = experiment_of_project(self.controller.project)
        named = experiment_in(self.form.settings().output)
        self.update_button.setVisible(corrected is not None)
        self.correct_button.setVisible(named is not None and named != corrected)

    def _opened(self) -> None:
        """Go on in the project of the experiment that is named."""
        experiment, self._made = experiment_in(self.form.settings().output), False
        if experiment is not None:
            self.message.setText(f"{experiment.name} is in the list. Correct it, then bring the report up to date.")
            self.controller.switch(project_in(experiment))

    @staticmethod
    def _values(model: str) -> dict[str, float]:
        """Give what the sliders were set to for a model; the smallest leaf in pixels of the working scale."""
        try:
            card = describe_model(model)
        except UserError as error:  # the run will say so
            log_error(error)
            return {}
        specs = {spec.name: spec for spec in card.family.settable}
        names = {*card.parameter_names, "min_area_working"}
        found = {name: preferences.parameter(card.name, name) for name in names}
        return {name: value for name, value in found.items() if value is not None and specs[name].fits(value)}

    def stop(self) -> None:
        """Stop after the images that are being computed."""
        self._stopping = self.job.running
        super().stop()

    def _progress(self, event: Any) -> None:
        self.progress.setRange(0, int(event.total))
        self.progress.setValue(int(event.done))
        if isinstance(event, TransferEvent):  # of the project that is being made
            self.message.setText(f"{event.done} of {event.total} · {event.name[:60]}")
            self._made = event.done == event.total
            return
        for text in filter(None, (event.left_out, event.note)):
            self.errors.addItem(text)
            self.errors.show()
        if event.result is not None:
            if "error" in event.result:
                self._not_done += 1
                self.errors.addItem(event.result["error"])
                self.errors.show()
            elif event.skipped:
                self._skipped += 1
        if self._stopping:
            return
        failed = f", {self._not_done} not done" if self._not_done else ""
        self.message.setText(
            f"{int(event.done)} of {event.total}{failed}{self._time_left(event)} · {event.message[:60]}"
        )
        if event.report is not None:
            self.report = event.report
            self.report_button.show()
            self.message.setText(f"{counted(event.total - self._not_done, 'image')} done{failed}.")

    def _time_left(self, event: Any) -> str:
        fresh = event.done - self._skipped
        if fresh < 3 or event.done == event.total:
            return ""
        seconds = (time.monotonic() - self._began) / fresh * (event.total - event.done)
        minutes = round(seconds / 60)
        return f", about {minutes} min left" if minutes >= 2 else f", about {round(seconds)} s left"

    def _ended(self) -> None:
        self._show_running(False)
        self._show_experiment()
        if self._made:
            self._opened()
        if self._stopping:
            self.message.setText("Stopped. Run goes on where it was.")

    def _show_running(self, running: bool) -> None:
        allow(self.run_button, "It is running." if running else "")
        allow(self.stop_button, "" if running else "Nothing is running.")
        self.progress.setVisible(running)
        self.form.setEnabled(not running)
        for button in (self.correct_button, self.update_button):
            allow(button, "It is running." if running else "")

    def _open_report(self) -> None:
        if self.report is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.report.resolve())))

    # -- the session as a record -------------------------------------------------------------------------------------

    def session_record(self) -> dict[str, Any]:
        """Gather the records of all predictions that are kept, as `napari-leafseg rerun` takes them."""
        records = []
        for image in self.session.image_layers():
            item = self.session.record(image)
            if item.prediction is None:
                continue
            entry = self.session.entry_of(image)
            path = entry.path if entry else (Path(image.source.path) if image.source.path else None)
            record = item.prediction.record(**item.parameters)
            record["image"] = {**record["image"], "name": path.name if path else image.name}
            if path is not None:
                record["image"]["path"] = str(path.resolve())
            records.append({**record, "count": item.count, "corrected": item.verified})
        return {"session": records}

    def _save_session(self) -> None:
        content = self.session_record()
        if not content["session"]:
            show_info("There is no prediction yet: press Run in Segment first.")
            return
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Save session", str(Path.home() / "session.json"), "JSON (*.json)"
        )
        if not chosen:
            return
        try:
            write_atomically(Path(chosen), (json.dumps(content, indent=1) + "\n").encode())
        except UserError as error:
            show_error(str(error))
            return
        corrected = sum(record["corrected"] for record in content["session"])
        kept = f" {corrected} corrected leaves are kept in the project, not in the record." if corrected else ""
        show_info(f"{counted(len(content['session']), 'image')} in {chosen}.{kept}")
