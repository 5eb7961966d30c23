"""The *Segment* dock widget: run a model, tune what it found, save it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Image
from napari.utils.notifications import show_error, show_warning
from napari.viewer import ViewerModel
from qtpy.compat import isalive
from qtpy.QtWidgets import QWidget

from napari_leafseg.errors import UserError
from napari_leafseg.models.parameters import MIN_AREA_WORKING
from napari_leafseg.pipelines.run_list import fitting_values
from napari_leafseg.widgets.common.controls import allow, burst_timer, say_until_drawn
from napari_leafseg.widgets.segment.form import NO_LEAVES, SegmentForm
from napari_leafseg.widgets.segment.jobs import predict_job
from napari_leafseg.widgets.segment.live import DisplayedLabels, LabelResult, LiveLabels
from napari_leafseg.widgets.segment.origin import leaf_origin
from napari_leafseg.widgets.segment.overlays import OVERLAYS
from napari_leafseg.widgets.segment.saving import LabelSaver
from napari_leafseg.widgets.segment.seeds import SeedEditor
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.look import Look
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import KEY, image_data
from napari_leafseg.widgets.state.view import fit_plant
from napari_leafseg.widgets.state.workers import start_worker


class SegmentWidget(SegmentForm):
    """Steers prediction, tuning and saving of the chosen image.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari fills it in by this name.
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        ProjectController.of(self.session)  # keeps what is found
        self.saver = LabelSaver(self.session, self)
        self.saver.told.connect(self.show_message)
        self.saver.folder_chosen.connect(self.show_folder)
        self._predicted: Image | None = None
        self._seen: Any = None  # what the model is looking at
        self.live = LiveLabels(self)
        self.seeds = SeedEditor(self.session, self._regroup, self)
        self._settle = burst_timer(self, self._end_tuning, 500)  # a drag is one step, recorded when it has come to rest
        self._restore()
        self.run_button.clicked.connect(self.run)
        self.stop_button.clicked.connect(self.stop)
        self.save_button.clicked.connect(self.save)
        self.folder_button.clicked.connect(self.saver.choose_folder)
        self.masks_button.clicked.connect(lambda: self.saver.save_masks(self.image))
        self.parameter_search_button.clicked.connect(lambda: self._open("Parameter search"))
        self.models_button.clicked.connect(lambda: self._open("Models"))
        self.image_box.currentIndexChanged.connect(self._image_chosen)
        self.panel.changed.connect(self._tune)
        self.live.ready.connect(self._show_live)
        self.live.failed.connect(self._failed)
        for kind, box in self.overlays.items():
            box.toggled.connect(lambda _on, kind=kind: self._toggle_extra(kind))
        self.look = Look.of(self.session)
        self.outline_box.toggled.connect(self._outline)
        self.listen(self.look.changed, self._look_changed)
        events = self.viewer.layers.events
        self.listen(events.inserted, self._layers_changed)
        self.listen(events.removed, self._layers_changed)
        self.listen(self.viewer.layers.selection.events.active, self._active_changed)
        self.listen(self.session.layer_state_changed, self._state_changed)
        self.session.model = self.model_name
        self.model_box.currentIndexChanged.connect(self._model_changed)
        self.listen(self.session.prediction_restored, self._prediction_restored)
        self.listen(self.session.image_exchanged, self._image_exchanged)
        self.listen(self.session.parameters_suggested, self._take_over)
        self.listen(self.session.model_wanted, self.choose_model)
        self.listen(self.session.models_changed, self.list_models_again)
        self.bind_key("save", self.save)
        self._layers_changed()

    # -- which image -------------------------------------------------------------------------------------------------

    @property
    def image(self) -> Image | None:
        """The chosen image layer."""
        return self.image_box.currentData()

    def _model_changed(self, _index: int) -> None:
        self._state_changed(self.image)
        self.session.tell_model(self.model_name)

    def _layers_changed(self, event: Any = None) -> None:
        """List image layers by type; a new one becomes the chosen one."""
        before = chosen = self.image
        found = self.session.image_layers()
        new = getattr(event, "value", None)
        if event is not None and event.type == "inserted" and new in found:
            chosen = new
        if chosen not in found:
            active = self.viewer.layers.selection.active
            chosen = active if active in found else (found[-1] if found else None)
        self.list_images(found, chosen)
        if event is None or self.image is not before:
            self._image_chosen()

    def _active_changed(self, event: Any = None) -> None:
        active = self.viewer.layers.selection.active
        if isinstance(active, Image) and active in self.session.image_layers():
            self.image_box.setCurrentIndex(self.image_box.findData(active))

    def _image_chosen(self, _index: int = 0) -> None:
        image = self.image
        self.live.cancel()
        prediction = self.session.record(image).prediction if image is not None else None
        if prediction is None:
            self.show_nothing(image is not None)
            if image is not None:
                self.controller.predictions.offer(image)
        else:
            values = {**prediction.defaults(), **self.session.record(image).parameters}
            self.show_prediction(prediction, values)
            if self.session.labels_layer(image) is None:  # the image was left before its labels were there
                self.live.request(image, prediction, values, lambda: self._shown(image))
            for kind, box in self.overlays.items():
                box.blockSignals(True)
                box.setChecked(self.session.find_layer(image, kind) is not None)
                box.blockSignals(False)
        self._state_changed(image)

    def _prediction_restored(self, image: Image) -> None:
        """Go on tuning what was predicted before a restart."""
        binding = self.session.binding(image)
        if binding is not None:
            self._follow(image, binding)
        if image is self.image:
            self._image_chosen()

    def _image_exchanged(self, image: Image) -> None:
        """Another array is in the layer: what the sliders tuned is gone."""
        if image is self.image:
            self._image_chosen()

    def _state_changed(self, image: Any) -> None:
        if image is not None and image is self.image:
            item = self.session.record(image)
            origin = leaf_origin(item, self.model_name)
            self.show_count(item.count, item.prediction is not None, item.verified, origin)
            leaves = "" if self.session.labels_layer(image) is not None else NO_LEAVES
            allow(self.save_button, "The leaves are being found." if self.job.running else leaves)

    # -- prediction --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Predict the chosen image in the background."""
        image = self.image
        if image is None or self.job.running:
            return
        try:
            data, _ = image_data(image)
        except UserError as error:
            show_error(str(error))
            return
        if self.model_name is None:
            show_error("There is no model. Put a .safetensors checkpoint into the model folder, or install again.")
            return
        self._remember()
        entry = self.session.entry_of(image)
        source = {"name": entry.path.name, "sha256": entry.sha256, **entry.reading} if entry else {"name": image.name}
        self.live.cancel()
        self.show_running(True)
        self._predicted, self._seen = image, image.data
        self.session.record(image).busy = True
        self.job.start(
            predict_job, self.model_name, self.device_name, data, self.scale,
            f"The layer “{image.name}”", source, self.tta,
        )  # fmt: skip

    def _progress(self, event: Any) -> None:
        image = self._predicted
        self.show_progress(event.done, event.total, event.message)
        if event.prediction is None or image is None or image not in self.viewer.layers:
            return
        if image.data is not self._seen:
            show_warning(f"The layer “{image.name}” got another image while the model worked. Press Run again.")
            return
        self._accept(image, event.prediction)

    def _accept(self, image: Image, prediction: Any) -> None:
        """A prediction arrived: keep it, and ask for its labels."""
        values = {**prediction.defaults(), **self.kept_values(prediction)}
        item = self.session.record(image)
        item.prediction, item.parameters = prediction, {}
        self.seeds.forget(image)
        preferences.keep_speed(prediction.model.name, self.device_name, prediction.seconds)
        if image is self.image:
            self.show_prediction(prediction, values)
        self.live.request(image, prediction, values, lambda: self._shown(image))
        for note in prediction.notes:
            show_warning(note)

    def _ended(self) -> None:
        if self._predicted is not None:
            self.session.record(self._predicted).busy = False
        self._predicted = self._seen = None
        self.show_running(False)
        self._state_changed(self.image)

    # -- tuning ------------------------------------------------------------------------------------------------------

    def _tune(self) -> None:
        image = self.image
        if image is None:
            return
        item = self.session.record(image)
        if item.prediction is None:
            return
        values = self.panel.values()
        self.keep_values(item.prediction, values)
        self.live.request(
            image, item.prediction, values, lambda: self._shown(image), self.overlays["seeds"].isChecked(),
            self.seeds.given(image, values),
        )  # fmt: skip

    def _regroup(self, image: Image) -> None:
        """Somebody moved a seed: the leaves follow."""
        if image is self.image:
            self._tune()

    def _shown(self, image: Image) -> DisplayedLabels | None:
        """What is on the screen of an image; None where a new layer is needed."""
        binding = self.session.binding(image)
        if binding is None:
            return None
        document = binding.document
        return DisplayedLabels(binding.layer.data, frozenset(document.verified), document.largest, document.number)

    def _show_live(self, result: LabelResult) -> None:
        image = result.target
        if image not in self.viewer.layers:
            return
        item = self.session.record(image)
        if item.prediction is None:  # dropped meanwhile
            return
        binding = self.session.binding(image)
        if binding is not None and result.version not in (-1, binding.document.number):
            self.live.request(image, item.prediction, result.values, lambda: self._shown(image))  # corrected meanwhile
            return
        shape = None if binding is None else binding.layer.data.shape
        fresh = item.parameters == {} or binding is None or shape != result.labels.shape
        if fresh:
            say_until_drawn(self.message, "Drawing the leaves …")
            model, info = item.prediction.model.name, {"run": item.prediction.key, "parameters": result.values}
            binding = layers.show_new_labels(self.session, image, result.labels, f"segment with {model}", info)
            self._follow(image, binding)
            if image.visible:
                fit_plant(self.session, image)
        elif binding is not None:
            binding.show_tuned(result.labels, result.box, item.parameters, result.values)
            self._settle.start()
        item.count = result.count
        self.session.keep_prediction(image, item.prediction, result.values)
        item.exported = False
        self.session.images_changed.emit()
        if fresh:
            self.controller.keep_run(image)
        if result.seeds is not None:
            self.seeds.show(image, result.seeds, result.values)
        if fresh:
            for kind, box in self.overlays.items():
                if box.isChecked() and image is self.image:
                    self._toggle_extra(kind)

    def _follow(self, image: Image, binding: LabelsBinding) -> None:
        """Let the sliders follow the undo of an image."""
        if binding is not self.session.record(image).undo_source:
            self.session.record(image).undo_source = binding
            binding.values_restored.connect(partial(self._values_restored, image))

    def _values_restored(self, image: Image, values: dict[str, float]) -> None:
        """Undo and redo move the sliders, too."""
        if not isalive(self):
            return
        item = self.session.record(image)
        item.parameters = dict(values)
        self.seeds.forget(image)
        if image is self.image and item.prediction is not None:
            for name, value in {**item.prediction.defaults(), **values}.items():  # earlier versions had fewer
                self.panel.rows[name].set(value, tell=False)
            self.keep_values(item.prediction, self.panel.values())

    def _open(self, title: str) -> None:
        """Open the dialog that napari's menu has by this title."""
        self.viewer.window.add_plugin_dock_widget(KEY, title)

    def _take_over(self, model: str, values: dict[str, float]) -> None:
        """Take over what the parameter search found: for this image now, for others when they are predicted."""
        preferences.keep_parameters(model, values)
        image = self.image
        prediction = self.session.record(image).prediction if image is not None else None
        if prediction is None or prediction.model.name != model:
            return
        for name, value in self.kept_values(prediction).items():
            self.panel.rows[name].set(value, tell=False)
        self._tune()

    def _end_tuning(self) -> None:
        if self.live.busy or self.panel.held:
            self._settle.start()
            return
        for binding in self.session.bindings():
            if binding.end_tuning() is not None:
                self.controller.save(binding)
                self.session.layer_state_changed.emit(binding.image)

    def _outline(self, on: bool) -> None:
        if self.look.outline != on:
            self.look.outline = on

    def _look_changed(self, on: bool) -> None:
        self.outline_box.setChecked(on)

    def _toggle_extra(self, kind: str) -> None:
        """Show or hide the distance map, the embedding or the seeds; computed in a worker."""
        image = self.image
        if image is None:
            return
        prediction = self.session.record(image).prediction
        if prediction is None or kind not in prediction.layers or not self.overlays[kind].isChecked():
            layers.hide_overlay(self.session, image, kind)
            return
        start_worker(
            OVERLAYS[kind].compute, prediction, self.panel.values(),
            on_result=lambda data: self._show_overlay(image, kind, data), on_error=self._failed, owner=self,
        )  # fmt: skip

    def _show_overlay(self, image: Image, kind: str, data: Any) -> None:
        if image not in self.viewer.layers or not self.overlays[kind].isChecked():
            return
        if kind == "seeds":
            self.seeds.show(image, data, self.panel.values())
        else:
            layers.show_overlay(self.session, image, kind, data)

    def save(self) -> None:
        """Export the chosen image's labels, with model and parameters beside them, in the background."""
        self.saver.save(self.image)

    # -- settings ----------------------------------------------------------------------------------------------------

    def _remember(self) -> None:
        if self.model_name is not None:
            preferences.model = self.model_name
        preferences.device, preferences.tta = self.device_name, self.tta
        preferences.scale_auto, preferences.scale = self.scale_auto.isChecked(), self.scale_box.value()

    def _restore(self) -> None:
        model = preferences.model
        if self.model_box.findData(model) < 0 and Path(model).is_file():
            self.add_model(model)
        self.choose_model(model)
        self.choose_device(preferences.device)
        self.tta_box.setCurrentIndex(max(0, self.tta_box.findData(preferences.tta)))
        self.scale_auto.setChecked(preferences.scale_auto)
        self.scale_box.setValue(preferences.scale)
        self.outline_box.setChecked(preferences.outline)

    def kept_values(self, prediction: Any) -> dict[str, float]:
        """Return values that the user chose earlier for this model.

        The smallest leaf depends on the image: it is kept only as the parameter search gives it, in pixels at the
        working scale.
        """
        names = [MIN_AREA_WORKING.name, *(tunable.name for tunable in prediction.tunables)]
        kept = preferences.parameters(prediction.model.name, names)
        return fitting_values(kept, prediction.tunables, prediction.scale)

    def keep_values(self, prediction: Any, values: dict[str, float]) -> None:
        """Remember values that differ from the defaults; forget those that do not."""
        own = [tunable for tunable in prediction.tunables if not tunable.per_image]
        changed = {
            tunable.name: values[tunable.name]
            if abs(values[tunable.name] - tunable.default) > tunable.step / 2
            else None
            for tunable in own
        }
        preferences.keep_parameters(prediction.model.name, changed)

    def closeEvent(self, event: Any) -> None:
        """Stop what runs when the widget is closed."""
        self._remember()
        self.live.cancel()
        super().closeEvent(event)
