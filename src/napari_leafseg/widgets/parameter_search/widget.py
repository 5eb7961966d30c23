"""The *Parameter search* dock widget: which parameters suit the images whose leaves are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error, show_info
from napari.viewer import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QToolButton,
    QWidget,
)

from napari_leafseg._counts import counted
from napari_leafseg.errors import UserError
from napari_leafseg.widgets.common.base import JobWidget
from napari_leafseg.widgets.common.controls import allow, push_button, thin_progress, wrapped_label
from napari_leafseg.widgets.parameter_search.heat_map import HeatMap
from napari_leafseg.widgets.parameter_search.jobs import tune_job
from napari_leafseg.widgets.state.preferences import preferences


class ParameterSearchWidget(JobWidget):
    """Compares every combination of the tunables with what people corrected, and applies the best.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari fills it in by this name.
    """

    object_name = "napari-leafseg-parameter-search"

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.search: Any = None
        self._folder: Path | None = None
        self._known = False
        self._picked: tuple[int, int] | None = None
        self._build()
        session = self.session  # review marks change in bursts
        self.refresh_on(self.count, session.images_changed, session.project_changed)
        self.count()
        self._show_search()

    def _build(self) -> None:
        self.model_box = self.models_box("model", preferences.model)
        self.model_box.currentIndexChanged.connect(lambda _index: self.count())
        self.truth_label = wrapped_label("truth")
        self.folder_button = QToolButton()
        self.folder_button.setText("Folder …")
        self.folder_button.setToolTip("Compare with images of a folder that have label images (plant_label.png)")
        self.folder_button.clicked.connect(self._choose_folder)
        truth_row = QHBoxLayout()
        truth_row.addWidget(self.truth_label, 1)
        truth_row.addWidget(self.folder_button, 0, Qt.AlignmentFlag.AlignTop)
        form = QFormLayout()
        form.addRow("Model", self.model_box)
        tip = "Try 500 combinations on the images whose leaves are known"
        self.run_button = push_button("compare", "Compare", self.run, tip)
        self.stop_button = push_button("stop", "Stop", self.stop)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.stop_button, 1)
        self.progress = thin_progress()
        self.progress.setRange(0, 1000)
        self.message = wrapped_label("message")
        self.map = HeatMap()
        self.map.picked.connect(self._pick)
        self.smallest_box = QComboBox()
        self.smallest_box.setObjectName("smallest")
        self.smallest_box.setToolTip("Smallest leaf, in pixels at the working scale")
        self.smallest_box.currentIndexChanged.connect(lambda _index: self._show_plane())
        self.smallest_row = QWidget()
        smallest = QFormLayout(self.smallest_row)
        smallest.setContentsMargins(0, 0, 0, 0)
        smallest.addRow("Smallest leaf", self.smallest_box)
        self.verdict = wrapped_label("verdict")
        self.apply_button = push_button("apply", "Apply best", self.apply)
        pinned, column = self.columns()
        pinned.addLayout(form)
        pinned.addLayout(truth_row)
        pinned.addLayout(buttons)
        pinned.addWidget(self.progress)
        pinned.addWidget(self.message)
        pinned.addWidget(self.verdict)
        pinned.addWidget(self.apply_button)
        column.addWidget(self.map, 1)
        column.addWidget(self.smallest_row)
        column.addStretch(0)
        self._show_running(False)

    # -- what is known -----------------------------------------------------------------------------------------------

    @property
    def model_name(self) -> str:
        """Name of the chosen model."""
        return str(self.model_box.currentData())

    def count(self) -> None:
        """Say with how many images is compared, or what to do where there are none."""
        if self._folder is not None:
            self.truth_label.setText(f"Known leaves: label images in {self._folder.name}.")
            known = True
        else:
            number = len(self.controller.reviewed_refs())
            known = number > 0
            self.truth_label.setText(
                f"Known leaves: {counted(number, 'reviewed image')}."
                if known
                else "No leaves are known yet. Correct an image and mark it as reviewed, "
                "or choose a folder with label images."
            )
        self._known = known
        self._show_run()

    def _show_run(self) -> None:
        known = "" if self._known else "No leaves are known yet: review an image, or choose a folder."
        allow(self.run_button, "It is running." if self.job.running else known)

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Images with label images", str(self._folder or Path.home()))
        self._folder = Path(chosen) if chosen else None
        self.count()

    def _images(self) -> list[Any]:
        """Everything that is known, with predictions that are there already."""
        from napari_leafseg.pipelines.tune import labeled_files, reviewed_images

        if self._folder is not None:
            return labeled_files(self._folder)
        project = self.controller.project
        if project is None:
            return []
        images = reviewed_images(project)
        for image, (_, binding) in zip(images, self.controller.reviewed_refs(), strict=True):
            if binding is not None:
                image.labels = binding.document.labels.copy().view
                prediction = self.session.record(binding.image).prediction
                if prediction is not None and prediction.model.name == self.model_name:
                    image.prediction = prediction
        return images

    # -- comparing ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Predict what is not predicted yet and search, in the background."""
        if self.job.running:
            return
        try:
            images = self._images()
        except UserError as error:
            show_error(str(error))
            return
        self._show_running(True)
        self.job.start(tune_job, self.model_name, preferences.device, preferences.tta, images, self._current())

    def _current(self) -> dict[str, float] | None:
        """The values in use: of the image on the screen where it is predicted, else None: the model's own."""
        from napari_leafseg.inference.parameter_search import model_values

        image = self.session.focus()
        item = None if image is None else self.session.record(image)
        prediction = None if item is None else item.prediction
        if item is None or prediction is None or prediction.model.name != self.model_name:
            return None
        return model_values(prediction.frames[0], **item.parameters)

    def _progress(self, event: Any) -> None:
        self.progress.setValue(event.done)
        self.message.setText(event.message)
        if event.search is not None:
            self.search, self._picked = event.search, None
            self._show_search()

    def _ended(self) -> None:
        self._show_running(False)
        self.count()

    def _show_running(self, running: bool) -> None:
        self._show_run()
        allow(self.stop_button, "" if running else "Nothing is running.")
        self.progress.setVisible(running)
        self.model_box.setEnabled(not running)
        self.message.setVisible(running)
        if not running:
            self.progress.setValue(0)
            self.message.setText("")

    # -- showing and applying ----------------------------------------------------------------------------------------

    def _show_search(self) -> None:
        shown = self.search is not None
        for part in (self.map, self.smallest_row, self.verdict, self.apply_button):
            part.setVisible(shown)
        if not shown:
            return
        self.smallest_box.blockSignals(True)
        self.smallest_box.clear()
        for value in self.search.smallest:
            self.smallest_box.addItem("no limit" if value == 0 else f"{value:g} px at the working scale", value)
        self.smallest_box.setCurrentIndex(self.search.best_index[2])
        self.smallest_box.blockSignals(False)
        self._show_plane()

    def _show_plane(self) -> None:
        search = self.search
        layer = self.smallest_box.currentIndex()
        row, column = search.row.name, search.column.name
        self.map.show_titles(*(f"{part.label} ({part.unit})" if part.unit else part.label
                               for part in (search.row, search.column)))  # fmt: skip
        self.map.show_values(search.sbd[:, :, layer], search.rows, search.columns)
        self.map.mark("current", search.current[column], search.current[row])
        best = search.best
        self.map.mark("best", best[column], best[row])
        if self._picked is None:
            self.map.mark("picked", None)
            gain = search.best_sbd - search.current_sbd
            images, leaves = counted(search.images, "image"), counted(search.leaves, "leaf")
            self.verdict.setText(
                f"<b>SBD {search.current_sbd:.3f} now, {search.best_sbd:.3f} at best</b> ({images}, {leaves}): "
                f"{search.describe(best)}, "
                f"smallest leaf {best['min_area_working']:.0f} px at the working scale."
                if gain > 0
                else f"<b>The values now are the best that was found:</b> SBD {search.current_sbd:.3f} "
                f"({images}, {leaves})."
            )
            self.apply_button.setText("Apply best")
            allow(self.apply_button, "" if gain > 0 else "The values now are the best already.")
            return
        place = (*self._picked, layer)
        values = search.at(*place)
        self.map.mark("picked", values[column], values[row])
        self.verdict.setText(
            f"Picked: {search.describe(values)}: "
            f"SBD about {search.sbd[place]:.2f}, count off by {search.abs_dic[place]:.1f} on average."
        )
        self.apply_button.setText("Apply picked")
        allow(self.apply_button)

    def _pick(self, row: int, column: int) -> None:
        self.message.setVisible(False)
        self._picked = None if self._picked == (row, column) else (row, column)
        self._show_plane()

    def apply(self) -> None:
        """Use the best or the picked values from now on."""
        search = self.search
        values = search.best if self._picked is None else search.at(*self._picked, self.smallest_box.currentIndex())
        self.session.parameters_suggested.emit(self.model_name, values)
        words = "These values are used from now on; undo brings the leaves back, ↺ the defaults."
        self.message.setText(words)  # beside the notification, which the window shows behind this dialog
        self.message.setVisible(True)
        show_info(words)
