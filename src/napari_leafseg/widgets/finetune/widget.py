"""The *Fine-tune* dock widget: the model learns from what was corrected, in the background, and shows its evidence."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info, show_warning
from napari.viewer import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_leafseg.errors import UserError
from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.project.review import Tally, tally
from napari_leafseg.widgets.common.controls import (
    burst_timer,
    list_again,
    models_box,
    push_button,
    thin_progress,
    wrapped_label,
)
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.finetune.plots import CurvePlot, PreviewLabel, outlined
from napari_leafseg.widgets.finetune.suggestions import ImageSuggestions
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session, settings
from napari_leafseg.widgets.state.workers import start_worker

if TYPE_CHECKING:
    from napari_leafseg.finetuning.config import FinetuneSettings

EFFORTS = {
    "quick": ("Quick", "150 steps of 4 crops a run: minutes on a laptop"),
    "thorough": ("Thorough", "300 steps of 8 crops a run: four times as long"),
}


class FinetuneWidget(QWidget):
    """Fine-tunes a model on the project's corrections.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari fills it in by this name.
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("napari-leafseg-finetune")
        self.session = Session.of(napari_viewer)
        self.controller = ProjectController.of(self.session)
        self.job = JobRunner(self)
        self.job.progress.connect(self._progress)
        self.job.failed.connect(self._failed)
        self.job.finished.connect(self._ended)
        self.event: Any = None
        self.settings: FinetuneSettings | None = None
        self._started = (0.0, 0)
        self._fold = 0
        self._state, self._known, self._counter = "idle", False, None
        self._build()
        self._soon = burst_timer(self, self.count)  # review marks change in bursts
        for signal in (self.session.images_changed, self.session.project_changed, self.session.corrected):
            signal.connect(self._count_soon)
        self.controller.changed.connect(self._count_soon)
        self.session.models_changed.connect(self._models_changed)
        self._base_chosen()
        self.count()
        self._show_state("idle")

    def _build(self) -> None:
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        outer.addWidget(area)
        inside = QWidget()
        area.setWidget(inside)
        column = QVBoxLayout(inside)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        self.truth_label = wrapped_label("truth")
        self.base_box = models_box("base", str(settings().value("segment/model", "leaf")))
        self.base_box.currentIndexChanged.connect(lambda _index: self._base_chosen())
        self.name_box = QLineEdit()
        self.name_box.setObjectName("name")
        self.name_box.setToolTip("The model that you have is never changed: the result is a new one of this name")
        self.effort_box = QComboBox()
        self.effort_box.setObjectName("effort")
        for name, (title, tip) in EFFORTS.items():
            self.effort_box.addItem(title, name)
            self.effort_box.setItemData(self.effort_box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.effort_box.setToolTip("\n".join(f"{title}: {tip}" for title, tip in EFFORTS.values()))
        self.instance_unique_box = QCheckBox("Uniqueness and equivariance")
        self.instance_unique_box.setObjectName("instance_unique")
        self.instance_unique_box.setToolTip(
            "Leaves must not be found in other images, and a turned image must give turned leaves "
            "(Wang et al. 2022); about twice the time"
        )
        form = QFormLayout()
        form.addRow("Base model", self.base_box)
        form.addRow("New model", self.name_box)
        form.addRow("Effort", self.effort_box)
        form.addRow("", self.instance_unique_box)
        self.start_button = push_button("start", "Start", self.start)
        self.pause_button = push_button("pause", "Pause", self.pause)
        self.stop_button = push_button("stop", "Stop", self.stop)
        self.keep_button = push_button("keep", "Keep the best so far", self.keep)
        buttons = QHBoxLayout()
        buttons.addWidget(self.start_button, 2)
        buttons.addWidget(self.pause_button, 1)
        buttons.addWidget(self.stop_button, 1)
        self.progress = thin_progress()
        self.message = wrapped_label("message")
        self.score_plot = CurvePlot("held-out score")
        self.score_plot.setObjectName("score_plot")
        self.score_plot.setLimits(yMin=0, yMax=1)
        self.loss_plot = CurvePlot("losses", logarithmic=True)
        self.loss_plot.setObjectName("loss_plot")
        self.before, self.after = PreviewLabel(), PreviewLabel()
        self.preview = QWidget()
        grid = QGridLayout(self.preview)
        grid.setContentsMargins(0, 0, 0, 0)
        for at, (title, image) in enumerate((("Before", self.before), ("Now, an image held out", self.after))):
            grid.addWidget(QLabel(title), 0, at)
            grid.addWidget(image, 1, at)
        self.verdict = wrapped_label("verdict")
        self.use_button = push_button("use", "Use this model", self.use)
        column.addWidget(self.truth_label)
        column.addLayout(form)
        column.addLayout(buttons)
        column.addWidget(self.keep_button)
        column.addWidget(self.progress)
        column.addWidget(self.message)
        self.next = ImageSuggestions(self.session)
        for part in (self.verdict, self.use_button, self.next, self.score_plot, self.preview, self.loss_plot):
            column.addWidget(part)
        column.addStretch(1)
        self.setMinimumWidth(400)

    # -- what is known -----------------------------------------------------------------------------------------------

    def _models_changed(self) -> None:
        list_again(self.base_box)

    def _count_soon(self) -> None:
        self._soon.start()

    def count(self) -> None:
        """Say what will be trained on, or what is missing; the project is read in a worker."""
        project = self.controller.project
        if project is None:
            self._counter = None
            self._counted(None, Tally())
            return
        worker = self._counter = start_worker(
            tally, project, self.controller.marks(),
            on_result=lambda found: self._counted(worker, found), on_error=self._failed, owner=self,
        )  # fmt: skip

    def _counted(self, counter: Any, found: Tally) -> None:
        if counter is not self._counter:  # a newer count is on its way
            return
        self._known = bool(found.whole or found.partly)
        if not self._known:
            words = (
                "Nothing to learn from yet. Correct an image in the Correct widget, and verify its leaves or mark it "
                "as reviewed."
            )
        else:
            words = f"Learns from {found}."
            if found.whole + found.partly < 2:
                words += " With a second image it could show what it gained: correct one more."
        self.truth_label.setText(words)
        self.start_button.setEnabled(self._known and self._state != "running")

    def _base_chosen(self) -> None:
        from napari_leafseg.finetuning.config import new_name, resumable_runs

        base = str(self.base_box.currentData())
        waiting = [item for item in resumable_runs() if item.base == base]
        self.name_box.setText(waiting[0].name if waiting else new_name(base))
        self.message.setText(f"“{waiting[0].name}” was not finished; Start goes on with it." if waiting else "")
        try:
            query = describe_model(base).family.instance_unique
        except UserError:
            query = False
        self.next.offer(base)
        self.instance_unique_box.setVisible(query)
        self.instance_unique_box.setChecked(False)

    # -- training ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Fine-tune in the background, or go on with what was paused or stopped."""
        if self.job.running:
            self.job.resume()
            self._show_state("running")
            return
        name = self.name_box.text().strip()
        if not name or Path(name).name != name:
            show_error("Give the new model a name without slashes.")
            return
        project = self.controller.project
        if project is None:
            return
        self.controller.autosave()
        self.settings = self.wanted(name)
        for plot in (self.score_plot, self.loss_plot):
            plot.clear_curves()
            plot.show_steps(self.settings.run_steps)
        self.event = None
        self._started, self._fold = (0.0, 0), 0
        device = str(settings().value("segment/device", "auto"))
        self._show_state("running")
        self.message.setText("Reading the corrected images …")
        self.job.start(finetune_job, self.settings, project, device)

    def wanted(self, name: str) -> FinetuneSettings:
        """The session that the form describes."""
        from napari_leafseg.finetuning.config import FinetuneSettings
        from napari_leafseg.training.config import InstanceUniqueConfig

        return FinetuneSettings(
            base=str(self.base_box.currentData()), name=name, effort=self.effort_box.currentData(),
            instance_unique=InstanceUniqueConfig() if self.instance_unique_box.isChecked() else None,
        )  # fmt: skip

    def pause(self) -> None:
        """Wait after the step that is being computed; Start goes on."""
        if self.job.running:
            self.job.pause()
            self._show_state("paused")

    def stop(self) -> None:
        """Stop after the step that is being computed; what was learned can be kept or gone on with."""
        if self.job.running:
            self.job.stop()
            self.message.setText("Stopping …")

    def keep(self) -> None:
        """Make the best weights so far a model."""
        project = self.controller.project
        if self.settings is None or project is None or self.job.running:
            return
        self._show_state("running")
        self.job.start(keep_job, self.settings, project)

    def _progress(self, event: Any) -> None:
        if isinstance(event, str):
            show_warning(event)
            return
        if isinstance(event, tuple):
            for label, image in zip((self.before, self.after), event, strict=True):
                label.show_image(image)
            self.preview.setVisible(True)
            return
        assert self.settings is not None
        self.event = event
        self.progress.setRange(0, event.total)
        self.progress.setValue(event.done)
        if event.kind == "step":
            if not self._started[0]:
                self._started = (time.monotonic(), event.done)
            self.message.setText(f"{event.message}{self._remaining(event)}")
            if event.fold != self._fold:  # each run has its own curves
                self._fold = event.fold
                self.loss_plot.clear_curves()
            step = event.done - event.fold * self.settings.run_steps
            self.loss_plot.add(step, {name: value for name, value in event.values.items() if name != "total"})
        elif event.kind == "held_out":
            score = {f"run {event.fold + 1}": event.values["score"]}
            self.score_plot.add(event.values["step"], score, marks=True)
            self.message.setText(event.message)
        else:
            self.message.setText(event.message)
        if event.kind == "finished":
            self.session.models_changed.emit()
            self.message.setText("")
            self.verdict.setText(f"<b>“{self.settings.name}”: {event.message}</b>{summary_table(event.summary)}")
            self.verdict.setVisible(True)
            better = event.verdict == "better"
            self.use_button.setText("Use this model" if better else "Use this model all the same")
            self.use_button.setVisible(True)

    def _remaining(self, event: Any) -> str:
        """How long it still takes, after some steps."""
        begun, first = self._started
        if event.done - first < 4:
            return ""
        seconds = (time.monotonic() - begun) / (event.done - first) * (event.total - event.done)
        return f", about {seconds / 60:.0f} min to go" if seconds > 90 else f", about {seconds:.0f} s to go"

    def _failed(self, error: Exception) -> None:
        show_error(str(error))

    def _ended(self) -> None:
        from napari_leafseg.finetuning.config import new_name

        finished = self.event is not None and self.event.kind == "finished"
        if not finished and self.event is not None:
            self.message.setText("Stopped. Start goes on; or keep the best so far.")
        if finished and self.settings is not None:  # another one would be another model
            self.name_box.setText(new_name(self.settings.base))
            if self.event.verdict != "worse":
                self.next.rank(self.settings.name)
        self._show_state("finished" if finished else "stopped" if self.event is not None else "idle")
        self.count()

    def _show_state(self, state: str) -> None:
        """Buttons for "idle", "running", "paused", "stopped" or "finished"."""
        self._state, busy = state, state in {"running", "paused"}
        self.start_button.setText("Go on" if state in {"paused", "stopped"} else "Start")
        self.start_button.setEnabled(state != "running" and self._known)
        self.pause_button.setEnabled(state == "running")
        self.stop_button.setEnabled(busy)
        self.keep_button.setVisible(state == "stopped")
        self.progress.setVisible(busy)
        for part in (self.base_box, self.name_box, self.effort_box, self.instance_unique_box):
            part.setEnabled(state in {"idle", "finished"})
        curves = state != "idle"
        self.score_plot.setVisible(curves)
        self.loss_plot.setVisible(curves)
        if state in {"idle", "running"} and (self.event is None or self.event.kind != "finished"):
            self.preview.setVisible(state == "running" and self.preview.isVisible())
            self.verdict.setVisible(False)
            self.use_button.setVisible(False)

    def use(self) -> None:
        """Choose the new model in *Segment*."""
        if self.settings is not None:
            self.session.prefer_model(self.settings.name)
            show_info(f"“{self.settings.name}” is chosen in Segment from now on; the other models are still there.")

    def closeEvent(self, event: Any) -> None:
        """Stop what runs when the widget is closed; the session goes on when it is started again."""
        self.stop()
        self.next.stop()
        super().closeEvent(event)


def summary_table(rows: list[tuple[str, float, float]]) -> str:
    """Means of the held-out images before and after, as rich text; "" where nothing was held out."""
    if not rows:
        return ""
    space = "&nbsp;" * 4
    cells = "".join(
        f"<tr><td>{name}{space}</td><td align=right>{before:.3f}{space}</td><td align=right>{after:.3f}</td></tr>"
        for name, before, after in rows
    )
    head = f"<tr><td>held out{space}</td><td align=right>before{space}</td><td align=right>after</td></tr>"
    return f"<table>{head}{cells}</table>"


def finetune_job(wanted: Any, project: Any, device: str) -> Iterator[Any]:
    """Read the corrections and fine-tune in another process.

    Yields sentences for the user, `FinetuneEvent`, and a held-out image's outlines before and now.
    """
    from napari_leafseg._subprocess import run_in_subprocess
    from napari_leafseg.finetuning.dataset import load_corrections
    from napari_leafseg.finetuning.session import finetune_and_clean_up

    images, notes = load_corrections(project)
    yield from notes
    for event in run_in_subprocess(finetune_and_clean_up, wanted, images, device):
        yield event
        if event is not None and (shown := event.preview) is not None:
            around = (shown.before > 0) | (shown.after > 0)
            yield tuple(outlined(shown.image, labels, around) for labels in (shown.before, shown.after))


def keep_job(wanted: Any, project: Any) -> Iterator[Any]:
    """Make the best weights of a stopped session a model; yields its `FinetuneEvent`."""
    from napari_leafseg.finetuning.config import discard, session_folder
    from napari_leafseg.finetuning.dataset import load_corrections
    from napari_leafseg.finetuning.session import keep_best

    images, _ = load_corrections(project)
    folder = session_folder(wanted.name)
    event = keep_best(wanted, images, folder)
    discard(folder)
    yield event
