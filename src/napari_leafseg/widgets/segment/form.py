"""What the *Segment* widget looks like: its controls and what they show; no steering here."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from napari.layers import Image
from napari.utils.theme import get_theme
from napari.viewer import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_leafseg._counts import counted
from napari_leafseg.errors import UserError
from napari_leafseg.inference.tta import TTA_PRESETS, describe_cost
from napari_leafseg.models.store.quality import explain_quality
from napari_leafseg.models.store.zoo import ENDING, describe_model, find_model, user_folder
from napari_leafseg.widgets.common.base import JobWidget
from napari_leafseg.widgets.common.controls import (
    allow,
    fill_models,
    list_again,
    present,
    push_button,
    set_tip,
    thin_progress,
    wrapped_label,
)
from napari_leafseg.widgets.common.elided import ElidedComboBox
from napari_leafseg.widgets.common.fold import Fold
from napari_leafseg.widgets.common.parameter_panel import BOX_WIDTH, ParameterPanel
from napari_leafseg.widgets.common.run_all import RunAllButton
from napari_leafseg.widgets.segment.model_list import TwoLines, describe_entries, fit_words, is_gray
from napari_leafseg.widgets.segment.origin import LeafOrigin, show_run_button
from napari_leafseg.widgets.segment.overlays import OVERLAYS
from napari_leafseg.widgets.state.preferences import preferences


def plausible_devices() -> list[tuple[str, str]]:
    """List the devices to offer, as (title, name), without loading torch to ask for them."""
    found = [("Automatic", "auto"), ("CPU", "cpu")]
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia").exists():
        found.append(("NVIDIA GPU (CUDA)", "cuda"))
    if sys.platform == "darwin":
        found.append(("Apple GPU (MPS)", "mps"))
    return found


_OTHER = "Other file …"
_NO_IMAGE = "Open an image first."
NO_LEAVES = "There are no leaves yet: press Run."


class SegmentForm(JobWidget):
    """Controls of the *Segment* widget."""

    object_name = "napari-leafseg-segment"

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        pinned, column = self.columns()
        pinned.addLayout(self._choices())
        pinned.addLayout(self._run_row())
        for part in (self._tuning(), self._views(), self._saving(), self._advanced()):
            column.addWidget(part)
        column.addStretch(1)
        self.show_nothing(False)
        self.show_running(False)

    # -- building ----------------------------------------------------------------------------------------------------

    def _choices(self) -> QFormLayout:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self.image_box = ElidedComboBox("image")
        self.image_box.currentIndexChanged.connect(lambda _index: self._describe())
        self.model_box = ElidedComboBox("model")
        self.model_box.setItemDelegate(TwoLines(self.model_box))
        fill_models(self.model_box, other=_OTHER)
        present(self.model_box.view()).setTextElideMode(Qt.TextElideMode.ElideNone)
        self.model_box.activated.connect(self._choose_file)
        self.model_box.currentIndexChanged.connect(lambda _index: self._describe())
        self.models_button = push_button("models", "Models …", tip="Compare, rename, add and export models")
        self.fit_label = wrapped_label("fit")
        self.fit_label.linkActivated.connect(self.choose_model)
        row = QHBoxLayout()
        row.addWidget(self.model_box, 1)
        row.addWidget(self.models_button)
        form.addRow("Image", self.image_box)
        form.addRow("Model", row)
        form.addRow(self.fit_label)
        return form

    def _advanced(self) -> Fold:
        self.advanced = Fold("Advanced", "Device, accuracy, working scale, and what is known of the model")
        form = QFormLayout(self.advanced.content)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self.device_box = ElidedComboBox("device")
        for title, name in plausible_devices():
            self.device_box.addItem(title, name)
        self.tta_box = ElidedComboBox("tta")
        for name, preset in TTA_PRESETS.items():
            self.tta_box.addItem(preset.label, name)
            help_text = ": ".join(filter(None, (preset.help, describe_cost(name))))
            self.tta_box.setItemData(self.tta_box.count() - 1, help_text, Qt.ItemDataRole.ToolTipRole)
        self.tta_box.setToolTip("How often the model looks at an image: more often is better and slower.")
        self.scale_auto = QCheckBox("find by itself")
        self.scale_auto.setObjectName("scale_auto")
        self.scale_auto.setChecked(True)
        self.scale_box = QDoubleSpinBox()
        self.scale_box.setObjectName("scale_box")
        self.scale_box.setRange(2, 800)
        self.scale_box.setDecimals(0)
        self.scale_box.setSuffix(" %")
        self.scale_box.setValue(100)
        self.scale_box.setEnabled(False)
        self.scale_box.setMinimumWidth(BOX_WIDTH)
        tip = "The size at which the model sees the image, so that a plant is as large as those it learned from."
        self.scale_auto.setToolTip(tip)
        self.scale_box.setToolTip(tip)
        self.scale_auto.toggled.connect(lambda on: self.scale_box.setEnabled(not on))
        scale_row = QHBoxLayout()
        scale_row.addWidget(self.scale_auto, 1)
        scale_row.addWidget(self.scale_box)
        self.model_text = _hint()
        self.model_text.setObjectName("model_text")
        form.addRow("Device", self.device_box)
        form.addRow("Accuracy", self.tta_box)
        form.addRow("Working scale", scale_row)
        form.addRow(self.model_text)
        return self.advanced

    def _run_row(self) -> QVBoxLayout:
        self.run_button = QPushButton("Run")
        self.run_button.setObjectName("run")
        self.run_button.setToolTip("Find the leaves of the chosen image")
        self.stop_button = QPushButton("Stop")
        self.stop_button.setObjectName("stop")
        self.progress = thin_progress()
        self.message = _hint()
        self.run_all_button = RunAllButton(self.session, self._remember)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.run_all_button, 2)
        buttons.addWidget(self.stop_button, 1)
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addLayout(buttons)
        column.addWidget(self.progress)
        column.addWidget(self.message)
        return column

    def _tuning(self) -> QGroupBox:
        self.tuning = QGroupBox("Tune")
        column = QVBoxLayout(self.tuning)
        self.count_label = QLabel()
        self.count_label.setObjectName("count")
        self.panel = ParameterPanel()
        self.empty_label = _hint("Press Run; then the sliders change the leaves while they move.")
        for part in (self.count_label, self.empty_label, self.panel):
            column.addWidget(part)
        self.parameter_search_button = QPushButton("Parameter search …")
        self.parameter_search_button.setObjectName("parameter_search")
        self.parameter_search_button.setToolTip("Compare all values on the images that you have corrected")
        column.addWidget(self.parameter_search_button)
        return self.tuning

    def _views(self) -> QGroupBox:
        self.views = QGroupBox("Show")
        column = QVBoxLayout(self.views)
        first, second = QHBoxLayout(), QHBoxLayout()
        self.outline_box = QCheckBox("Outlines only")
        self.outline_box.setObjectName("outline")
        self.outline_box.setToolTip("Draw the leaves as outlines instead of filled; key 0 on the canvas")
        self.overlays: dict[str, QCheckBox] = {}
        for kind, overlay in OVERLAYS.items():
            box = QCheckBox(overlay.label)
            box.setObjectName(f"show_{kind}")
            box.setToolTip(overlay.help)
            self.overlays[kind] = box
        for box in (self.outline_box, self.overlays["seeds"], self.overlays["confidence"]):
            first.addWidget(box, 1)
        for box in (self.overlays["distance"], self.overlays["embedding"]):
            second.addWidget(box, 1)
        column.addLayout(first)
        column.addLayout(second)
        self._show_layers(())
        return self.views

    def _show_layers(self, names: tuple[str, ...]) -> None:
        """Offer the layers that this kind of model has."""
        for kind, box in self.overlays.items():
            box.setVisible(kind in names)
            if kind not in names:
                box.setChecked(False)  # what another kind of model had shown goes

    def _saving(self) -> QGroupBox:
        group = QGroupBox("Export")
        row = QHBoxLayout(group)
        self.save_button = QPushButton()
        self.name_key(self.save_button.setText, "Export labels", "save")
        self.save_button.setObjectName("save")
        self.folder_button = QToolButton()
        self.folder_button.setText("Folder …")
        self.show_folder(None)
        self.masks_button = QToolButton()
        self.masks_button.setObjectName("save_masks")
        self.masks_button.setText("Masks")
        self.masks_button.setToolTip("Export every leaf's full mask, also where leaves overlap, as COCO")
        self.masks_button.setVisible(False)
        row.addWidget(self.save_button, 1)
        row.addWidget(self.masks_button)
        row.addWidget(self.folder_button)
        return group

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def model_name(self) -> str | None:
        """Name of the chosen model."""
        return self.model_box.currentData()

    @property
    def device_name(self) -> str:
        """Name of the chosen device."""
        return str(self.device_box.currentData())

    @property
    def tta(self) -> str:
        """Name of the chosen test-time augmentation."""
        return str(self.tta_box.currentData())

    @property
    def scale(self) -> float | None:
        """The working scale, None when it is to be found."""
        return None if self.scale_auto.isChecked() else self.scale_box.value() / 100

    # -- showing -----------------------------------------------------------------------------------------------------

    def list_images(self, found: list[Image], chosen: Image | None) -> None:
        """Fill the list of images."""
        self.image_box.blockSignals(True)
        self.image_box.clear()
        for layer in found:
            self.image_box.addItem(layer.name, layer)
        self.image_box.setPlaceholderText("Open an image first")
        self.image_box.setCurrentIndex(found.index(chosen) if chosen in found else -1)
        self.image_box.blockSignals(False)
        self._describe()

    def choose_model(self, name: str) -> None:
        """Choose a model where it is in the list."""
        index = self.model_box.findData(name)
        self.model_box.setCurrentIndex(index if index >= 0 else 0)
        self._describe()

    def _choose_file(self, index: int) -> None:
        """Let the user pick a checkpoint when that entry of the list was chosen."""
        if self.model_box.itemText(index) != _OTHER:
            return
        chosen, _ = QFileDialog.getOpenFileName(self, "Choose a model", str(user_folder()), f"Checkpoints (*{ENDING})")
        if chosen:
            self.add_model(chosen)
        else:
            self.model_box.setCurrentIndex(0)

    def list_models_again(self) -> None:
        """Bring the list up to date; the chosen model stays chosen where it is still there, a file's as well."""
        list_again(self.model_box, other=_OTHER)
        self._describe()

    def add_model(self, path: str) -> None:
        """Add a checkpoint file to the list and choose it."""
        if self.model_box.findData(path) < 0:
            self.model_box.insertItem(self.model_box.count() - 1, Path(path).stem, path)
        self.choose_model(path)

    def choose_device(self, name: str) -> None:
        """Choose a device where it is in the list."""
        index = self.device_box.findData(name)
        self.device_box.setCurrentIndex(index if index >= 0 else 0)

    def _describe(self) -> None:
        image = self.image_box.currentData()
        gray = is_gray(image)
        describe_entries(self.model_box, gray)
        words, better = ("", "") if image is None else fit_words(self.model_name, gray)
        color = get_theme(self.viewer.theme).text.as_hex()  # Qt's own blue cannot be read on dark
        link = f"<a href='{better}' style='color: {color}'>Use {better}</a>"
        self.fit_label.setText(f"{words} {link}" if words else "")
        self.fit_label.setVisible(bool(words))
        try:
            card = None if self.model_name is None else describe_model(self.model_name)
            trouble = "No model is installed."
        except UserError as error:
            card, trouble = None, str(error)
        if card is None:
            self.model_text.setText(trouble)
            self.fit_label.setText(trouble)
            self.fit_label.show()
            return
        seconds = preferences.speed(card.name, self.device_name)
        speed = "" if seconds is None else f" About {seconds:.1f} s an image here."
        source = f", from {card.source}" if card.source else ""
        purpose = " ".join(filter(None, (card.description or card.name, card.lacks)))
        about = f"{purpose}{speed}\n{explain_quality(card)}"
        size = find_model(str(self.model_name)).stat().st_size / 1e6
        self.model_text.setText(f"{about}\nVersion {card.version}, {size:.0f} MB, {card.license}{source}.")
        self.model_box.setToolTip(about)

    def show_nothing(self, image: bool) -> None:
        """Show that there is no prediction for this image."""
        self.panel.show_tunables((), {})
        self.panel.setVisible(False)
        self.parameter_search_button.setVisible(False)
        self.count_label.setVisible(False)
        self.empty_label.setVisible(True)
        self.views.setEnabled(False)
        allow(self.save_button, NO_LEAVES)
        allow(self.run_button, "" if image else _NO_IMAGE)
        self.message.setText("" if image else "Open an image: File ▸ Open, the Images list, or File ▸ Open Sample.")

    def show_prediction(self, prediction: Any, values: dict[str, float]) -> None:
        """Show the sliders and the scale of a prediction."""
        self.panel.show_tunables(prediction.tunables, values)
        self.panel.setVisible(True)
        self.parameter_search_button.setVisible(True)
        self.empty_label.setVisible(False)
        self.views.setEnabled(True)
        self._show_layers(prediction.layers)
        self.masks_button.setVisible(prediction.overlapping)
        if self.scale_auto.isChecked():
            self.scale_box.setValue(100 * prediction.scale)

    def show_count(self, count: int, predicted: bool, verified: int, origin: LeafOrigin | None = None) -> None:
        """Number of leaves, and which model they are of where that is not the chosen one."""
        origin = origin or LeafOrigin()
        words = [f"<b>{counted(count, 'leaf')}</b>", f"{verified} verified" if verified else "", origin.caption]
        self.count_label.setText("<b>Grouping leaves …</b>" if origin.grouping else " · ".join(filter(None, words)))
        self.count_label.setVisible(predicted or bool(origin.caption))
        show_run_button(
            self.run_button, "" if not origin.caption else str(self.model_box.currentText()).split("  ·")[0]
        )

    def _remember(self) -> None:
        """Keep what is chosen for the other widgets."""
        raise NotImplementedError

    def show_running(self, running: bool) -> None:
        """Show buttons and bar as they are while a prediction runs."""
        image = self.image_box.currentData() is not None
        allow(self.run_button, "It is running." if running else "" if image else _NO_IMAGE)
        self.stop_button.setVisible(running)
        self.progress.setVisible(running)
        self.image_box.setEnabled(not running)
        self.model_box.setEnabled(not running)
        if not running:
            self.progress.setValue(0)
            self.message.setText("")

    def show_progress(self, done: int, total: int, message: str) -> None:
        """Show progress in the bar and the message."""
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.message.setText(message)

    def show_message(self, text: str) -> None:
        """Show a line below the buttons."""
        self.message.setText(text)

    def show_folder(self, folder: Path | None) -> None:
        """Show where labels are saved."""
        where = str(folder) if folder else "a folder “leaves” beside the image"
        set_tip(self.save_button, f"Exports to {where}; key S on the canvas")
        self.folder_button.setToolTip(f"Choose where to export to. Now: {where}")


def _hint(text: str = "") -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    font = label.font()
    font.setItalic(True)
    label.setFont(font)
    return label
