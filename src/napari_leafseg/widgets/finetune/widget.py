"""The *Fine-tune* dock widget: the model learns from what was corrected, in the background, and shows its evidence."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info, show_warning
from napari.viewer import ViewerModel
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_leafseg._counts import counted
from napari_leafseg._log import log_error
from napari_leafseg.errors import UserError
from napari_leafseg.models.store.zoo import describe_model, list_models
from napari_leafseg.project.review import Tally, tally
from napari_leafseg.widgets.common.controls import allow
from napari_leafseg.widgets.finetune.form import FinetuneForm, summary_table
from napari_leafseg.widgets.finetune.jobs import finetune_job, keep_job
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.workers import start_worker

if TYPE_CHECKING:
    from napari_leafseg.finetuning.config import FinetuneSettings

_ENOUGH = 6  # images, from which on a fifth is held out once


def describe(found: Tally) -> str:
    """Say what will be learned from, how much of it a person changed, and what more would help."""
    images = found.whole + found.partly
    if not images:
        return (
            "Nothing to learn from yet. Correct an image in the Correct tab, and verify its leaves or mark it as "
            "reviewed."
        )
    words = f"Learns from {found}. You changed {found.changed} of {counted(found.leaves, 'leaf')}"
    if not found.changed:
        words += ": the others are as the model found them, and teach it little. Correct what is wrong first."
    elif found.changed == found.leaves:
        words += "."
    else:
        words += "; the others are as the model found them, and teach it little."
    if images < 2:
        words += " With a second image it could show what it gained: correct one more."
    elif images < _ENOUGH:
        words += " More corrected images help more than a longer training: see Correct next."
    return words


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
        self._waiting: FinetuneSettings | None = None
        for button, action in (
            (self.start_button, self.start), (self.pause_button, self.pause), (self.stop_button, self.stop),
            (self.keep_button, self.keep), (self.discard_button, self.discard), (self.use_button, self.use),
        ):  # fmt: skip
            button.clicked.connect(action)
        self.base_box.currentIndexChanged.connect(lambda _index: self._base_chosen())
        self.effort_box.currentIndexChanged.connect(lambda _index: self._settings_chosen())
        self.instance_unique_box.toggled.connect(lambda _on: self._settings_chosen())
        self.name_box.textChanged.connect(lambda _text: self._show_unfinished())
        session = self.session  # review marks change in bursts
        changes = (session.images_changed, session.project_changed, session.corrected)
        self.refresh_on(self.count, *changes)
        self._base_chosen()
        self.count()

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
        self.truth_label.setText(f"{describe(found)} {found.trouble}".rstrip())
        self._show_unfinished()

    def _base_chosen(self) -> None:
        """Offer to go on with what was not finished of this base model; else a new name."""
        from napari_leafseg.finetuning.config import new_name, resumable_runs

        base = str(self.base_box.currentData())
        waiting = next((run for run in resumable_runs() if run.base == base), None)
        try:
            query = describe_model(base).family.instance_unique
        except UserError as error:
            log_error(error)
            query = False
        self.next.offer(base)
        self.form.show_row("instance_unique", query)
        self.form.blockSignals(True)
        self.instance_unique_box.setChecked(waiting is not None and waiting.instance_unique is not None)
        if waiting is not None:
            self.effort_box.setCurrentIndex(self.effort_box.findData(waiting.effort))
        self.name_box.setText(new_name(base) if waiting is None else waiting.name)
        self.form.blockSignals(False)
        self._show_unfinished()

    def _settings_chosen(self) -> None:
        """Give settings that no unfinished fine-tuning has a name of their own, and those that one has its name."""
        from napari_leafseg.finetuning.config import new_name, resumable_runs

        runs = resumable_runs()
        waiting = next((run for run in runs if self._fits(run)), None)
        if waiting is not None:
            self.name_box.setText(waiting.name)
        elif self.name_box.text() in {run.name for run in runs}:
            self.name_box.setText(new_name(str(self.base_box.currentData())))
        self._show_unfinished()

    def _fits(self, run: FinetuneSettings) -> bool:
        """Whether an unfinished fine-tuning has the settings that the form shows."""
        form = self.form.settings()
        return (run.base, run.effort, run.instance_unique is not None) == (
            form.base, form.effort, form.instance_unique,
        )  # fmt: skip

    def _show_unfinished(self) -> None:
        """Say whether the name is that of a fine-tuning that was not finished, and what can be done with it."""
        from napari_leafseg.finetuning.config import resumable_runs

        if self.job.running:
            self._show(self.state)
            return
        name = self.name_box.text().strip()
        before = self._waiting
        self._waiting = run = next((run for run in resumable_runs() if run.name == name), None)
        if run is None:
            if before is not None:
                self.message.setText("")
            self._show("finished" if self._finished else "idle")
        elif self._fits(run):
            self._show("stopped")
            use = ", use what there is" if self.keep_button.isEnabled() else ""
            self.message.setText(f"“{name}” was not finished: go on with it{use}{',' if use else ''} or discard it.")
        else:
            self.message.setText(
                f"“{name}” was begun with other settings: “{run.base}”, {run.effort}. Choose these to go on with it, "
                "discard it, or take another name."
            )
            self._show("taken")

    @property
    def _finished(self) -> bool:
        return self.event is not None and self.event.kind == "finished"

    # -- training ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Fine-tune in the background, or go on with what was paused or stopped."""
        if self.job.running:
            self._started = (0.0, 0)  # the pause is not counted
            self.job.resume()
            self._show("running")
            self.message.setText("Going on …")
            return
        name = self.name_box.text().strip()
        if not name or Path(name).name != name:
            show_error("Give the new model a name without slashes.")
            return
        if self._waiting is None and name in list_models():
            self._failed(UserError(f"There is a model “{name}” already. Choose another name."))
            return
        project = self.controller.project
        if project is None:
            return
        self.controller.autosave()
        self.settings = self._waiting or self.wanted(name)
        self.held_out.clear()
        for plot in (self.score_plot, self.loss_plot):
            plot.clear_curves()
            plot.show_steps(self.settings.run_steps)
        self.event = None
        self._started, self._fold = (0.0, 0), 0
        self._show("running")
        self.message.setText("Reading the corrected images …")
        self.job.start(finetune_job, self.settings, project, preferences.device)

    def wanted(self, name: str) -> FinetuneSettings:
        """Return the session that the form describes."""
        from napari_leafseg.finetuning.config import FinetuneSettings
        from napari_leafseg.training.unique_config import InstanceUniqueConfig

        form = self.form.settings()
        return FinetuneSettings(
            base=form.base, name=name, effort=form.effort,
            instance_unique=InstanceUniqueConfig() if form.instance_unique else None,
        )  # fmt: skip

    def pause(self) -> None:
        """Wait after the step that is being computed; Start goes on."""
        if self.job.running:
            self.job.pause()
            self._show("paused")
            self._tell_pause()

    def _tell_pause(self) -> None:
        """Say that it waits, and what the buttons do."""
        self.message.setText("Paused. Go on continues; Stop keeps what was learned for later.")

    def keep(self) -> None:
        """Make the best weights so far a model."""
        project = self.controller.project
        if self._waiting is None or project is None or self.job.running:
            return
        self.settings, self.event = self._waiting, None
        self._show("running")
        self.message.setText("Making a model of the best weights so far …")
        self.job.start(keep_job, self.settings, project)

    def discard(self) -> None:
        """Delete what a fine-tuning that was not finished has learned, once that is confirmed."""
        from napari_leafseg.finetuning.config import discard, session_folder

        run = self._waiting
        if run is None or self.job.running:
            return
        question = f"Delete what “{run.name}” has learned so far? Your corrections and all models stay."
        if QMessageBox.question(self, "Discard", question) == QMessageBox.StandardButton.Yes:
            self.unfinished.setVisible(False)  # it takes a moment
            allow(self.start_button, "It is being discarded.")
            self.message.setText(f"“{run.name}” is being discarded …")
            start_worker(
                discard, session_folder(run.name), on_result=lambda _none: self._discarded(), on_error=self._kept,
                owner=self,
            )  # fmt: skip

    def _kept(self, error: Exception) -> None:
        """Offer again what could not be discarded."""
        self._show_unfinished()
        self._failed(error)

    def _discarded(self) -> None:
        if self.job.running:
            return
        self.event = None
        self.held_out.clear()
        for plot in (self.score_plot, self.loss_plot):
            plot.clear_curves()
        self._base_chosen()

    def _progress(self, event: Any) -> None:
        if isinstance(event, str):
            show_warning(event)
            return
        if isinstance(event, list):
            self.held_out.add(event)
            self.held_out.setVisible(True)
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
            self.loss_plot.setVisible(True)
        elif event.kind == "held_out":
            score = {f"run {event.fold + 1}": event.values["score"]}
            self.score_plot.add(event.values["step"], score, marks=True)
            self.score_plot.setVisible(True)
            self.message.setText(event.message)
        else:
            self.message.setText(event.message)
        if self.state == "paused":  # of the step that was being computed
            self._tell_pause()
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
            return ", working out how long it takes …"
        seconds = (time.monotonic() - begun) / (event.done - first) * (event.total - event.done)
        return f", about {seconds / 60:.0f} min left" if seconds > 90 else f", about {seconds:.0f} s left"

    def _ended(self) -> None:
        from napari_leafseg.finetuning.config import new_name

        self._waiting = None
        if self._finished and self.settings is not None:  # another one would be another model
            self.name_box.setText(new_name(self.settings.base))
            if self.event.verdict != "worse":
                self.next.rank(self.settings.name)
        self._show_unfinished()
        self.count()

    def _show(self, state: str) -> None:
        from napari_leafseg.finetuning.config import session_folder, usable_runs

        usable = (
            state == "stopped" and self._waiting is not None and bool(usable_runs(session_folder(self._waiting.name)))
        )
        self.show_state(state, self._finished, usable)

    def use(self) -> None:
        """Choose the new model in *Segment*."""
        if self.settings is not None:
            self.session.prefer_model(self.settings.name)
            show_info(f"“{self.settings.name}” is chosen in Segment from now on; the other models are still there.")

    def closeEvent(self, event: Any) -> None:
        """Stop what runs when the widget is closed; the session goes on when it is started again."""
        self.next.stop()
        super().closeEvent(event)
