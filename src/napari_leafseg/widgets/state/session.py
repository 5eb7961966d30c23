"""The state that the dock widgets of one viewer share."""

from __future__ import annotations

import itertools
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils.notifications import show_warning
from psygnal import Signal

from napari_leafseg.errors import InputFileError
from napari_leafseg.io import ReadOptions
from napari_leafseg.widgets.state.image_record import ImageRecord, ListedImage
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.log_window import watch_window
from napari_leafseg.widgets.state.preferences import preferences

if TYPE_CHECKING:
    from napari.viewer import ViewerModel

    from napari_leafseg.inference.prediction import Prediction
    from napari_leafseg.project.document import Document
    from napari_leafseg.project.files import ImageRef

KEY = "napari-leafseg"
_KEPT_PREDICTIONS = 12
_SESSIONS: weakref.WeakKeyDictionary[Any, Session] = weakref.WeakKeyDictionary()


class Session:
    """Images, predictions and layers of one viewer.

    Attributes
    ----------
    wanted : ListedImage, optional
        The image of the list that is to be shown: it is on the screen, or being read.

    Signals
    -------
    images_changed
        The list of images or a state in it.
    layer_state_changed(layer)
        The prediction, count or saved state of an image layer.
    corrected(LabelsBinding)
        Labels or marks of an image changed.
    labels_bound(LabelsBinding)
        An image got a labels layer; what happens to it is recorded from now on.
    labels_released(LabelsBinding)
        The image layer of these labels was removed: the last chance to write them.
    prediction_restored(layer)
        What a model said of an image was read again from the disk, or found by *Run all*: nobody pressed Run.
    image_exchanged(layer)
        Another array was put into an image layer: what was known of the old one is forgotten.
    image_loaded(layer)
        An image of the list is on the screen for the first time.
    image_wanted(ListedImage)
        An image of the list is to be shown.
    step_wanted(int)
        The image so many rows further down the list is to be shown.
    project_changed()
        A project was opened, closed, or fails to be written.
    parameters_suggested(str, dict)
        Values of the tunables for a model, to be used from now on.
    model_wanted(str)
        A model is to be chosen in *Segment*.
    read_options_chosen(ReadOptions)
        Channels or a plane were chosen for the images of the list.
    model_chosen(str)
        Another model was chosen in *Segment*.
    models_changed()
        There is a new model, or one got another name or was deleted.
    """

    images_changed = Signal()
    layer_state_changed = Signal(object)
    corrected = Signal(object)
    labels_bound = Signal(object)
    labels_released = Signal(object)
    prediction_restored = Signal(object)
    image_exchanged = Signal(object)
    image_loaded = Signal(object)
    image_wanted = Signal(object)
    step_wanted = Signal(int)
    project_changed = Signal()
    parameters_suggested = Signal(str, dict)
    model_wanted = Signal(str)
    models_changed = Signal()
    model_chosen = Signal(str)
    read_options_chosen = Signal(object)

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self.images: list[ListedImage] = []
        self.wanted: ListedImage | None = None
        self.read_options = ReadOptions()
        self.model: str | None = None  # that was told last
        self._records: weakref.WeakKeyDictionary[Layer, ImageRecord] = weakref.WeakKeyDictionary()
        self._uses = itertools.count(1)
        viewer.layers.events.removed.connect(self._forget)
        viewer.layers.events.inserted.connect(self._disown_copy)
        watch_window(viewer, preferences.file)

    @staticmethod
    def known(viewer: ViewerModel) -> Session | None:
        """Return the viewer's session, if it has one."""
        return _SESSIONS.get(viewer)

    @classmethod
    def of(cls, viewer: ViewerModel) -> Session:
        """Return the viewer's session, made when it has none yet."""
        viewer = getattr(viewer, "__wrapped__", viewer)  # napari hands a proxy to widgets of its menu
        session = _SESSIONS.get(viewer)
        if session is None:
            session = _SESSIONS[viewer] = cls(viewer)
        return session

    @property
    def viewer(self) -> ViewerModel:
        """The viewer; its window may be closed, but it lives as long as its widgets do."""
        viewer = self._viewer()
        assert viewer is not None
        return viewer

    # -- images and models -----------------------------------------------------------------------------------------

    def entry_at(self, path: Path) -> ListedImage | None:
        """Find the image of the list that a file holds."""
        return next((entry for entry in self.images if entry.path == path), None)

    def prefer_model(self, name: str) -> None:
        """Choose a model in *Segment*, now and from now on."""
        preferences.model = name
        self.model_wanted.emit(name)

    def tell_model(self, name: str | None) -> None:
        """Tell that another model was chosen in *Segment*."""
        if name is not None and name != self.model:
            self.model = name
            self.model_chosen.emit(name)

    def choose_read_options(self, options: ReadOptions) -> None:
        """Choose which channels and which plane of images are read from now on."""
        self.read_options = options
        self.read_options_chosen.emit(options)

    # -- image layers ------------------------------------------------------------------------------------------------

    def image_layers(self) -> list[Image]:
        """List the image layers that hold images (not our own distance and embedding layers)."""
        return [layer for layer in self.viewer.layers if isinstance(layer, Image) and KEY not in layer.metadata]

    def bind(self, layer: Image, record: ImageRecord) -> None:
        """Remember which image of the list a layer shows."""
        record.show_in(layer)
        if layer not in self._records:
            layer.events.data.connect(self._exchanged)
        self._records[layer] = record

    def entry_of(self, layer: Layer) -> ListedImage | None:
        """Return the record of a layer whose image came from the list; None for others."""
        record = self._records.get(layer)
        return record if isinstance(record, ListedImage) else None

    def layer_of(self, record: ImageRecord) -> Image | None:
        """Find the layer on the screen that shows an image of the list."""
        layer = record.layer
        return layer if layer is not None and layer in self.viewer.layers else None

    @property
    def awaited(self) -> ListedImage | None:
        """The image that was asked for and is still being read; None where what is asked for is on the screen."""
        wanted = self.wanted
        if wanted is None or wanted.error or wanted not in self.images or self.layer_of(wanted) is not None:
            return None
        return wanted

    def record(self, layer: Image) -> ImageRecord:
        """Return the record of an image layer; made when there is none yet."""
        record = self._records.get(layer)
        if record is None:
            record = ImageRecord()
            self.bind(layer, record)
        record.used = next(self._uses)
        return record

    def keep_prediction(self, layer: Image, prediction: Prediction, values: dict[str, float]) -> None:
        """Keep a prediction; the oldest are dropped where there are many (their labels stay)."""
        item = self.record(layer)
        item.prediction, item.parameters = prediction, dict(values)
        kept = [other for other in self._records.values() if other.prediction is not None]
        for old in sorted(kept, key=lambda other: other.used)[:-_KEPT_PREDICTIONS]:
            old.prediction = None
        self.layer_state_changed.emit(layer)

    def _exchanged(self, event: Any) -> None:
        """Forget what a model said of an image that is another one now."""
        record = self._records.get(event.source)
        if record is not None and record.layer is event.source:
            record.prediction = None
            record.cache.pop("rgb", None)
            self.image_exchanged.emit(event.source)

    def _forget(self, event: Any) -> None:
        record = self._records.get(event.value)
        if record is None or record.layer is not event.value:
            return
        if record.binding is not None:
            self.labels_released.emit(record.binding)
        record.forget_layer()

    def _disown_copy(self, event: Any) -> None:
        """Take a layer that somebody made as a copy of one of ours for theirs: nobody but them may remove it."""
        mark = event.value.metadata.get(KEY)
        if mark and any(other.metadata.get(KEY) == mark for other in self.viewer.layers if other is not event.value):
            del event.value.metadata[KEY]

    def focus(self) -> Image | None:
        """Find the image that the user looks at: the active layer's, else the last that is shown."""
        active = self.viewer.layers.selection.active
        found = self.image_layers()
        if active in found:
            return active
        if active is not None:
            for layer in found:
                if self.belongs(active, layer):
                    return layer
        shown = [layer for layer in found if layer.visible]
        return shown[-1] if shown else None

    # -- layers of ours ----------------------------------------------------------------------------------------------

    def find_layer(self, image: Layer, kind: str) -> Any:
        """Find an image layer's layer of a kind ("labels", "distance", "embedding", "seeds"), if it is there."""
        for layer in self.viewer.layers:
            if self.belongs(layer, image) and layer.metadata[KEY]["kind"] == kind:
                return layer
        return None

    def belongs(self, layer: Layer, image: Layer) -> bool:
        """Tell whether a layer is one of ours for an image layer."""
        mark, record = layer.metadata.get(KEY), self._records.get(image)
        return bool(mark) and record is not None and mark["image"] == record.key

    def mark(self, image: Image, kind: str) -> dict[str, Any]:
        """Make the metadata that tie a layer of ours to its image."""
        return {KEY: {"kind": kind, "image": self.record(image).key}}

    def bind_labels(
        self, image: Image, layer: Labels, document: Document, ref: ImageRef | None = None
    ) -> LabelsBinding:
        """Record what happens to a labels layer in a document; `ref` where the project has the document already."""
        binding = LabelsBinding(image, layer, document, self.viewer.dims, ref)
        self.record(image).binding = binding
        self.labels_bound.emit(binding)
        binding.changed.connect(lambda step: self._corrected(binding, step))
        binding.refused.connect(lambda array, problem: self._set_aside(layer, array, problem))
        return binding

    def _set_aside(self, layer: Labels, array: Any, problem: str) -> None:
        """Put an array that cannot be an image's labels into a layer of its own."""
        aside = self.viewer.add_labels(np.asarray(array), name=f"{layer.name} (not kept)")
        show_warning(
            f"What was put into the layer “{layer.name}” cannot be the labels of its image: {problem}. They are as "
            f"before; what was put there is the layer “{aside.name}”, which belongs to no image and is not kept."
        )

    def _corrected(self, binding: LabelsBinding, step: Any) -> None:
        record = self.record(binding.image)
        had, exported = record.count > 0, record.exported
        if step is not None and binding.layer.ndim == 2:
            record.count = len(binding.document.leaves())
        if step is not None and exported:
            record.exported = False
        if exported or had != (record.count > 0):
            self.images_changed.emit()
        self.corrected.emit(binding)
        self.layer_state_changed.emit(binding.image)

    def binding(self, image: Layer | None) -> LabelsBinding | None:
        """Return the labels of an image under correction; None where it has none."""
        item = None if image is None else self._records.get(image)
        if item is None or item.binding is None or item.binding.layer not in self.viewer.layers:
            return None
        return item.binding

    def focused_binding(self) -> LabelsBinding | None:
        """Return the labels of the image that the user looks at."""
        return self.binding(self.focus())

    def bindings(self) -> list[LabelsBinding]:
        """List the labels of all images under correction."""
        return [item.binding for item in self._records.values() if item.binding is not None]

    def labels_layer(self, image: Layer) -> Labels | None:
        """Return the labels that belong to an image layer."""
        return self.find_layer(image, "labels")


def image_data(layer: Image) -> tuple[np.ndarray, bool]:
    """Return the array behind an image layer, and whether it is a time series.

    Parameters
    ----------
    layer : napari.layers.Image

    Returns
    -------
    array, stack
        (H, W), (H, W, C), or for a series (T, H, W, C); not yet computed where it is lazy.

    Raises
    ------
    InputFileError
        For a layer with more than one axis beside height and width.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    extra = data.ndim - (3 if layer.rgb else 2)
    if extra == 0:
        return data, False
    if extra == 1:
        return (data if layer.rgb else data[..., None]), True
    raise InputFileError(
        f"The layer “{layer.name}” has {data.ndim} axes. An image has height and width, a time series one axis more."
    )


def labels_shape(layer: Image) -> tuple[int, ...]:
    """Return the shape of the labels of an image layer: (H, W), or (T, H, W) for a time series."""
    data, stack = image_data(layer)
    return tuple(data.shape[: 3 if stack else 2])
