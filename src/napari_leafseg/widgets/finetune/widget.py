"""The *Fine-tune* dock widget: the model learns from what was corrected, in the background, and shows its evidence."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info, show_warning
from napari.viewer import ViewerModel
from qtpy.QtWidgets import QWidget

from napari_leafseg._log import log_error
from napari_leafseg.errors import UserError
from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.project.review import Tally, tally
from napari_leafseg.widgets.finetune.form import FinetuneForm, summary_table
from napari_leafseg.widgets.finetune.jobs import finetune_job, keep_job
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.workers import start_worker

if TYPE_CHECKING:
    from napari_leafseg.finetuning.config import FinetuneSettings


class FinetuneWidget(FinetuneForm):
    """Fine-tunes a model on the project's corrections.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari fills it in by this name.
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.event: Any = None
        self.settings: FinetuneSettings | None = None
        self._started = (0.0, 0)
        self._fold = 0
        self._counter: Any = None
        for button, action in (
            (self.start_button, self.start), (self.pause_button, self.pause), (self.stop_button, self.stop),
            (self.keep_button, self.keep), (self.use_button, self.use),
        ):  # fmt: skip
            button.clicked.connect(action)
        self.base_box.currentIndexChanged.connect(lambda _index: self._base_chosen())
        session = self.session  # review marks change in bursts
        changes = (session.images_changed, session.project_changed, session.corrected)
        self.refresh_on(self.count, *changes)
        self._base_chosen()
        self.count()
        self._show("idle")

    # -- what is known -----------------------------------------------------------------------------------------------

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
        self.known = bool(found.whole or found.partly)
        if not self.known:
            words = (
                "Nothing to learn from yet. Correct an image in Correct, and verify its leaves or mark it as reviewed."
            )
        else:
            words = f"Learns from {found}."
            if found.whole + found.partly < 2:
                words += " With a second image it could show what it gained: correct one more."
        self.truth_label.setText(f"{words} {found.trouble}".rstrip())
        self.start_button.setEnabled(self.known and self.state != "running")

    def _base_chosen(self) -> None:
        from napari_leafseg.finetuning.config import new_name, resumable_runs

        base = str(self.base_box.currentData())
        waiting = [item for item in resumable_runs() if item.base == base]
        self.name_box.setText(waiting[0].name if waiting else new_name(base))
        self.message.setText(f"“{waiting[0].name}” was not finished; Start goes on with it." if waiting else "")
        try:
            query = describe_model(base).family.instance_unique
        except UserError as error:
            log_error(error)
            query = False
        self.next.offer(base)
        self.instance_unique_box.setVisible(query)
        self.instance_unique_box.setChecked(False)

    # -- training ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Fine-tune in the background, or go on with what was paused or stopped."""
        if self.job.running:
            self.job.resume()
            self._show("running")
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
        self._show("running")
        self.message.setText("Reading the corrected images …")
        self.job.start(finetune_job, self.settings, project, preferences.device)

    def wanted(self, name: str) -> FinetuneSettings:
        """The session that the form describes."""
        from napari_leafseg.finetuning.config import FinetuneSettings
        from napari_leafseg.training.unique_config import InstanceUniqueConfig

        return FinetuneSettings(
            base=str(self.base_box.currentData()), name=name, effort=self.effort_box.currentData(),
            instance_unique=InstanceUniqueConfig() if self.instance_unique_box.isChecked() else None,
        )  # fmt: skip

    def pause(self) -> None:
        """Wait after the step that is being computed; Start goes on."""
        if self.job.running:
            self.job.pause()
            self._show("paused")

    def keep(self) -> None:
        """Make the best weights so far a model."""
        project = self.controller.project
        if self.settings is None or project is None or self.job.running:
            return
        self._show("running")
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

    def _ended(self) -> None:
        from napari_leafseg.finetuning.config import new_name

        finished = self.event is not None and self.event.kind == "finished"
        if not finished and self.event is not None:
            self.message.setText("Stopped. Start goes on; or keep the best so far.")
        if finished and self.settings is not None:  # another one would be another model
            self.name_box.setText(new_name(self.settings.base))
            if self.event.verdict != "worse":
                self.next.rank(self.settings.name)
        self._show("finished" if finished else "stopped" if self.event is not None else "idle")
        self.count()

    def _show(self, state: str) -> None:
        self.show_state(state, self.event is not None and self.event.kind == "finished")

    def use(self) -> None:
        """Choose the new model in *Segment*."""
        if self.settings is not None:
            self.session.prefer_model(self.settings.name)
            show_info(f"“{self.settings.name}” is chosen in Segment from now on; the other models are still there.")

    def closeEvent(self, event: Any) -> None:
        """Stop what runs when the widget is closed; the session goes on when it is started again."""
        self.next.stop()
        super().closeEvent(event)
