"""What the *Fine-tune* widget looks like: its controls and what they show; no steering here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from napari.viewer import ViewerModel
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_leafseg.widgets.common.base import JobWidget
from napari_leafseg.widgets.common.controls import allow, push_button, thin_progress, wrapped_label
from napari_leafseg.widgets.common.settings_form import SettingsForm, model_field
from napari_leafseg.widgets.finetune.held_out import HeldOutImages
from napari_leafseg.widgets.finetune.plots import CurvePlot
from napari_leafseg.widgets.finetune.suggestions import ImageSuggestions
from napari_leafseg.widgets.state.preferences import preferences

_NAME = "The model that you have is never changed: the result is a new one of this name"
_EFFORT = (
    "Quick: 150 steps of 4 crops a run: minutes on a laptop\nThorough: 300 steps of 8 crops a run: four times as long"
)
_UNIQUE = (
    "Leaves must not be found in other images, and a turned image must give turned leaves (Wang et al. 2022); "
    "about twice the time"
)


@dataclass(frozen=True)
class FinetuneChoices:
    """What *Fine-tune* asks for."""

    base: Annotated[str, model_field(label="Base model")] = "leaf"
    name: Annotated[str, {"label": "New model", "tooltip": _NAME}] = ""
    effort: Annotated[
        Literal["quick", "thorough"],
        {
            "widget_type": "ComboBox",
            "label": "Effort",
            "tooltip": _EFFORT,
            "choices": [("Quick", "quick"), ("Thorough", "thorough")],
        },
    ] = "quick"
    instance_unique: Annotated[bool, {"label": "Uniqueness and equivariance", "tooltip": _UNIQUE}] = False


class FinetuneForm(JobWidget):
    """Controls of the *Fine-tune* widget."""

    object_name = "napari-leafseg-finetune"

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.state, self.known = "idle", False
        self.truth_label = wrapped_label("truth")
        self.form = SettingsForm(FinetuneChoices(preferences.model))
        self.base_box = self.follow_segment(self.follow_models(self.form.native("base")))
        self.name_box, self.effort_box = self.form.native("name"), self.form.native("effort")
        self.instance_unique_box = self.form.native("instance_unique")
        self.progress = thin_progress()
        self.message = wrapped_label("message")
        self.verdict = wrapped_label("verdict")
        self.use_button = push_button("use", "Use this model")
        self.next = ImageSuggestions(self.session)
        self.score_plot, self.loss_plot = CurvePlot("held-out score"), CurvePlot("losses", logarithmic=True)
        self.score_plot.setObjectName("score_plot")
        self.loss_plot.setObjectName("loss_plot")
        self.held_out = HeldOutImages()
        pinned, column = self.columns()
        pinned.addWidget(self.truth_label)
        pinned.addWidget(self.form)
        for row in self._buttons():
            pinned.addWidget(row)
        pinned.addWidget(self.progress)
        for part in (self.message, self.verdict, self.use_button, self.next, self.held_out, self.score_plot,
                     self.loss_plot):  # fmt: skip
            column.addWidget(part)
        column.addStretch(1)

    def _buttons(self) -> tuple[QWidget, QWidget]:
        self.start_button = push_button("start", "Start")
        self.pause_button = push_button("pause", "Pause")
        self.stop_button = push_button("stop", "Stop")
        tip = "Make a model of the best weights so far, and end this fine-tuning"
        self.keep_button = push_button("keep", "Use what there is", None, tip)
        self.discard_button = push_button("discard", "Discard", None, "Delete what was learned so far")
        self.unfinished = _row(self.keep_button, self.discard_button)
        return _row(self.start_button, self.pause_button, self.stop_button), self.unfinished

    def show_state(self, state: str, finished: bool, usable: bool) -> None:
        """Show the buttons.

        Parameters
        ----------
        state : str
            "idle", "running", "paused", "stopped" (an unfinished fine-tuning has the name that is chosen), "taken" (it
            has it, with other settings), or "finished".
        finished : bool
            Whether there is a verdict to be read.
        usable : bool
            Whether the unfinished one has weights that are better than those it began with.
        """
        self.state, busy = state, state in {"running", "paused"}
        self.start_button.setText("Go on" if state in {"paused", "stopped"} else "Start")
        unknown = "" if self.known else "Choose a model that can be fine-tuned."
        taken = "This name is that of an unfinished fine-tuning with other settings: take another, or discard that one."
        allow(self.start_button, {"running": "It is running.", "taken": taken}.get(state, unknown))
        allow(self.pause_button, "" if state == "running" else "Nothing is running.")
        allow(self.stop_button, "" if busy else "Nothing is running.")
        self.unfinished.setVisible(state in {"stopped", "taken"})
        better = "" if usable else "Nothing that was learned so far is better than the model it began with."
        allow(self.keep_button, "It was begun with other settings." if state == "taken" else unknown or better)
        allow(self.discard_button)
        self.progress.setVisible(busy)
        self.form.setEnabled(not busy)
        self.score_plot.setVisible(self.score_plot.drawn)
        self.loss_plot.setVisible(self.loss_plot.drawn)
        self.held_out.setVisible(self.held_out.drawn)
        if not finished:
            self.verdict.setVisible(False)
            self.use_button.setVisible(False)


def _row(*buttons: QWidget) -> QWidget:
    box = QWidget()
    row = QHBoxLayout(box)
    row.setContentsMargins(0, 0, 0, 0)
    for number, button in enumerate(buttons):
        row.addWidget(button, 1 if number else 2)
    return box


def summary_table(rows: list[tuple[str, float, float]]) -> str:
    """Compare the means of the held-out images before and after, as rich text; "" where nothing was held out."""
    if not rows:
        return ""
    space = "&nbsp;" * 4
    cells = "".join(
        f"<tr><td>{name}{space}</td><td align=right>{before:.3f}{space}</td><td align=right>{after:.3f}</td></tr>"
        for name, before, after in rows
    )
    head = f"<tr><td>held out{space}</td><td align=right>before{space}</td><td align=right>after</td></tr>"
    return f"<table>{head}{cells}</table>"
