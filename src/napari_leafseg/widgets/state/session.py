"""The state that the dock widgets of one viewer share."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer
from psygnal import Signal
from qtpy.QtCore import QSettings

from napari_leafseg.errors import InputFileError
from napari_leafseg.widgets.state.labels_binding import LabelsBinding

if TYPE_CHECKING:
    from napari.viewer import ViewerModel

    from napari_leafseg.inference.prediction import Prediction, StackPrediction
    from napari_leafseg.project.document import Document

KEY = "napari-leafseg"
_KEPT_PREDICTIONS = 12
_SESSIONS: weakref.WeakKeyDictionary[Any, Session] = weakref.WeakKeyDictionary()


@dataclass
class ImageEntry:
    """An image of the *Images* list.

    Attributes
    ----------
    path : pathlib.Path
    state : str
        What the list says below the name.
    sha256 : str
        Hash of the file, known once it was read.
    confidence : float, optional
        Confidence of its least certain leaf, where a model looked at it without its being opened.
    """

    path: Path
    state: str = "not segmented"
    sha256: str = ""
    confidence: float | None = None

    @property
    def waits(self) -> bool:
        """Whether it can be reviewed and was not."""
        return self.state not in {"reviewed", "cannot be used"}


@dataclass
class ImageRecord:
    """What belongs to one image layer."""

    prediction: Prediction | StackPrediction | None = None
    values: dict[str, float] = field(default_factory=dict)
    count: int = 0
    binding: LabelsBinding | None = None
    undo_source: LabelsBinding | None = None  # whose undo the sliders follow
    confidence: float | None = None  # confidence of the least certain leaf that nobody verified

    @property
    def verified(self) -> int:
        """Leaves that somebody verified or corrected: nothing changes those."""
        return 0 if self.binding is None else len(self.binding.document.verified)


class Session:
    """Images, predictions and layers of one viewer.

    Signals
    -------
    images_changed
        The list of images or a state in it.
    layer_state_changed(layer)
        The prediction, count or saved state of an image layer.
    corrected(Correction)
        Labels or marks of an image changed.
    image_loaded(layer)
        An image of the list is on the screen for the first time.
    image_wanted(ImageEntry)
        An image of the list is to be shown.
    project_changed()
        A project was opened, closed, or fails to be written.
    parameters_suggested(str, dict)
        Values of the tunables for a model, to be used from now on.
    model_wanted(str)
        A model is to be chosen in *Segment*.
    models_changed()
        There is a new model, or one got another name or was deleted.
    """

    images_changed = Signal()
    layer_state_changed = Signal(object)
    corrected = Signal(object)
    image_loaded = Signal(object)
    image_wanted = Signal(object)
    project_changed = Signal()
    parameters_suggested = Signal(str, dict)
    model_wanted = Signal(str)
    models_changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self.images: list[ImageEntry] = []
        self._records: OrderedDict[int, ImageRecord] = OrderedDict()
        self._entries: weakref.WeakKeyDictionary[Layer, ImageEntry] = weakref.WeakKeyDictionary()
        self.projects: Any = None  # the keeper of the open project, made by the first widget that needs it
        viewer.layers.events.removed.connect(self._forget)

    @classmethod
    def of(cls, viewer: ViewerModel) -> Session:
        """The viewer's session, made when it has none yet."""
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

    def entry_at(self, path: Path) -> ImageEntry | None:
        """The image of the list that a file holds."""
        return next((entry for entry in self.images if entry.path == path), None)

    def prefer_model(self, name: str) -> None:
        """Choose a model in *Segment*, now and from now on."""
        settings().setValue("segment/model", name)
        self.model_wanted.emit(name)

    # -- image layers ------------------------------------------------------------------------------------------------

    def image_layers(self) -> list[Image]:
        """Image layers that hold images (not our own distance and embedding layers)."""
        return [layer for layer in self.viewer.layers if isinstance(layer, Image) and KEY not in layer.metadata]

    def bind(self, layer: Layer, entry: ImageEntry) -> None:
        """Remember which file a layer shows."""
        self._entries[layer] = entry

    def entry_of(self, layer: Layer) -> ImageEntry | None:
        """The file that a layer shows, if it came from the list."""
        return self._entries.get(layer)

    def layer_of(self, entry: ImageEntry) -> Image | None:
        """The layer that shows a file."""
        for layer in self.image_layers():
            if self._entries.get(layer) is entry:
                return layer
        return None

    def record(self, layer: Layer) -> ImageRecord:
        """What belongs to an image layer; made when there is nothing yet."""
        item = self._records.setdefault(id(layer), ImageRecord())
        self._records.move_to_end(id(layer))
        return item

    def keep_prediction(self, layer: Layer, prediction: Prediction | StackPrediction, values: dict[str, float]) -> None:
        """Keep a prediction; the oldest are dropped where there are many (their labels stay)."""
        item = self.record(layer)
        item.prediction, item.values = prediction, dict(values)
        kept = [other for other in self._records.values() if other.prediction is not None]
        for old in kept[:-_KEPT_PREDICTIONS]:
            old.prediction = None
        self.layer_state_changed.emit(layer)

    def _forget(self, event: Any) -> None:
        item = self._records.pop(id(event.value), None)
        if item is not None and item.binding is not None and self.projects is not None:
            self.projects.save(item.binding)

    def focus(self) -> Image | None:
        """The image that the user looks at: the active layer's, else the last that is shown."""
        active = self.viewer.layers.selection.active
        found = self.image_layers()
        if active in found:
            return active
        if active is not None:
            mark = active.metadata.get(KEY)
            for layer in found:
                if mark and mark["image"] == id(layer):
                    return layer
        shown = [layer for layer in found if layer.visible]
        return shown[-1] if shown else None

    # -- layers of ours ----------------------------------------------------------------------------------------------

    def find_layer(self, image: Layer, kind: str) -> Any:
        """The layer of a kind ("labels", "distance", "embedding", "seeds") that belongs to an image layer, or None."""
        for layer in self.viewer.layers:
            mark = layer.metadata.get(KEY)
            if mark and mark["kind"] == kind and mark["image"] == id(image):
                return layer
        return None

    @staticmethod
    def mark(image: Layer, kind: str) -> dict[str, Any]:
        """Metadata that ties a layer of ours to its image."""
        return {KEY: {"kind": kind, "image": id(image)}}

    def bind_labels(self, image: Image, layer: Labels, document: Document) -> LabelsBinding:
        """Record what happens to a labels layer in a document."""
        binding = LabelsBinding(image, layer, document, self.viewer.dims)
        self.record(image).binding = binding
        binding.changed.connect(lambda step: self._corrected(binding, step))
        if self.projects is not None:
            self.projects.watch(binding)
        return binding

    def _corrected(self, binding: LabelsBinding, step: Any) -> None:
        if step is not None and binding.layer.ndim == 2:
            self.record(binding.image).count = len(binding.document.leaves())
        self.corrected.emit(binding)
        self.layer_state_changed.emit(binding.image)

    def binding(self, image: Layer | None) -> LabelsBinding | None:
        """The labels of an image under correction; None where it has none."""
        item = None if image is None else self._records.get(id(image))
        if item is None or item.binding is None or item.binding.layer not in self.viewer.layers:
            return None
        return item.binding

    def bindings(self) -> list[LabelsBinding]:
        """All of them."""
        return [item.binding for item in self._records.values() if item.binding is not None]

    def labels_layer(self, image: Layer) -> Labels | None:
        """The labels that belong to an image layer."""
        return self.find_layer(image, "labels")


def image_data(layer: Image) -> tuple[np.ndarray, bool]:
    """The array behind an image layer, and whether it is a time series.

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
    """Shape of the labels of an image layer: (H, W), or (T, H, W) for a time series."""
    data, stack = image_data(layer)
    return tuple(data.shape[: 3 if stack else 2])


def settings() -> QSettings:
    """Settings that survive a restart."""
    return QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, KEY, "widgets")


def chosen_tta() -> str:
    """Name of the test-time augmentation that *Segment* was last run with; also under its earlier key."""
    store = settings()
    return str(store.value("segment/tta", store.value("segment/looks", "standard")))


def kept_min_area(model: str) -> Any:
    """The smallest leaf that was chosen for a model, pixels at the working scale; None where nobody chose one."""
    store = settings()
    return store.value(f"tunables/{model}/min_area_working", store.value(f"tunables/{model}/smallest_working"))
