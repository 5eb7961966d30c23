"""What the *Fine-tune* widget looks like: its controls and what they show; no steering here."""

from __future__ import annotations

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
    QWidget,
)

from napari_leafseg.widgets.common.base import JobWidget
from napari_leafseg.widgets.common.controls import push_button, thin_progress, wrapped_label
from napari_leafseg.widgets.finetune.plots import CurvePlot, PreviewLabel
from napari_leafseg.widgets.finetune.suggestions import ImageSuggestions
from napari_leafseg.widgets.state.preferences import preferences

EFFORTS = {
    "quick": ("Quick", "150 steps of 4 crops a run: minutes on a laptop"),
    "thorough": ("Thorough", "300 steps of 8 crops a run: four times as long"),
}


class FinetuneForm(JobWidget):
    """Controls of the *Fine-tune* widget."""

    object_name = "napari-leafseg-finetune"

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.state, self.known = "idle", False
        self.truth_label = wrapped_label("truth")
        self.progress = thin_progress()
        self.message = wrapped_label("message")
        self.verdict = wrapped_label("verdict")
        self.use_button = push_button("use", "Use this model")
        self.next = ImageSuggestions(self.session)
        self._curves()
        pinned, column = self.columns()
        pinned.addWidget(self.truth_label)
        pinned.addLayout(self._choices())
        pinned.addLayout(self._buttons())
        pinned.addWidget(self.progress)
        for part in (self.keep_button, self.message, self.verdict, self.use_button, self.next,
                     self.score_plot, self.preview, self.loss_plot):  # fmt: skip
            column.addWidget(part)
        column.addStretch(1)

    # -- building ----------------------------------------------------------------------------------------------------

    def _choices(self) -> QFormLayout:
        self.base_box = self.models_box("base", preferences.model)
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
        return form

    def _buttons(self) -> QHBoxLayout:
        self.start_button = push_button("start", "Start")
        self.pause_button = push_button("pause", "Pause")
        self.stop_button = push_button("stop", "Stop")
        self.keep_button = push_button("keep", "Keep the best so far")
        buttons = QHBoxLayout()
        buttons.addWidget(self.start_button, 2)
        buttons.addWidget(self.pause_button, 1)
        buttons.addWidget(self.stop_button, 1)
        return buttons

    def _curves(self) -> None:
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

    # -- showing -----------------------------------------------------------------------------------------------------

    def show_state(self, state: str, finished: bool) -> None:
        """Show the buttons for "idle", "running", "paused", "stopped" or "finished"."""
        self.state, busy = state, state in {"running", "paused"}
        self.start_button.setText("Go on" if state in {"paused", "stopped"} else "Start")
        self.start_button.setEnabled(state != "running" and self.known)
        self.pause_button.setEnabled(state == "running")
        self.stop_button.setEnabled(busy)
        self.keep_button.setVisible(state == "stopped")
        self.progress.setVisible(busy)
        for part in (self.base_box, self.name_box, self.effort_box, self.instance_unique_box):
            part.setEnabled(state in {"idle", "finished"})
        curves = state != "idle"
        self.score_plot.setVisible(curves)
        self.loss_plot.setVisible(curves)
        if state in {"idle", "running"} and not finished:
            self.preview.setVisible(state == "running" and self.preview.isVisible())
            self.verdict.setVisible(False)
            self.use_button.setVisible(False)


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
