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

from napari_leafseg.errors import UserError

if TYPE_CHECKING:
    from napari.viewer import ViewerModel

    from napari_leafseg.inference.prediction import Prediction, StackPrediction

KEY = "napari-leafseg"
_KEPT_PREDICTIONS = 12
_SESSIONS: weakref.WeakKeyDictionary[Any, Session] = weakref.WeakKeyDictionary()


@dataclass
class ImageEntry:
    """A picture of the *Images* list.

    Attributes
    ----------
    path : pathlib.Path
    state : str
        What the list says below the name.
    sha256 : str
        Hash of the file, known once it was read.
    """

    path: Path
    state: str = "not segmented"
    sha256: str = ""


@dataclass
class Derived:
    """What belongs to one image layer."""

    prediction: Prediction | StackPrediction | None = None
    values: dict[str, float] = field(default_factory=dict)
    edited: bool = False
    count: int = 0


class Session:
    """Images, predictions and layers of one viewer.

    Signals
    -------
    images_changed
        The list of images or a state in it.
    layer_state_changed(layer)
        The prediction, count or saved state of an image layer.
    """

    images_changed = Signal()
    layer_state_changed = Signal(object)

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self.images: list[ImageEntry] = []
        self._derived: OrderedDict[int, Derived] = OrderedDict()
        self._entries: weakref.WeakKeyDictionary[Layer, ImageEntry] = weakref.WeakKeyDictionary()
        self.predictors: dict[tuple[str, str], Any] = {}
        viewer.layers.events.removed.connect(self._forget)

    @classmethod
    def of(cls, viewer: ViewerModel) -> Session:
        """The viewer's session, made when it has none yet."""
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

    # -- image layers ------------------------------------------------------------------------------------------------

    def image_layers(self) -> list[Image]:
        """Image layers that hold pictures (not our own distance and embedding layers)."""
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

    def derived(self, layer: Layer) -> Derived:
        """What belongs to an image layer; made when there is nothing yet."""
        item = self._derived.setdefault(id(layer), Derived())
        self._derived.move_to_end(id(layer))
        return item

    def keep_prediction(self, layer: Layer, prediction: Prediction | StackPrediction, values: dict[str, float]) -> None:
        """Keep a prediction; the oldest are dropped where there are many (their labels stay)."""
        item = self.derived(layer)
        item.prediction, item.values, item.edited = prediction, dict(values), False
        kept = [other for other in self._derived.values() if other.prediction is not None]
        for old in kept[:-_KEPT_PREDICTIONS]:
            old.prediction = None
        self.layer_state_changed.emit(layer)

    def _forget(self, event: Any) -> None:
        self._derived.pop(id(event.value), None)

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

    def labels_layer(self, image: Layer) -> Labels | None:
        """The labels that belong to an image layer."""
        return self.find_layer(image, "labels")


def picture_of(layer: Image) -> tuple[np.ndarray, bool]:
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
    UserError
        For a layer with more than one axis beside height and width.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    extra = data.ndim - (3 if layer.rgb else 2)
    if extra == 0:
        return data, False
    if extra == 1:
        return (data if layer.rgb else data[..., None]), True
    raise UserError(
        f"The layer “{layer.name}” has {data.ndim} axes. A picture has height and width, a time series one axis more."
    )


def settings() -> QSettings:
    """Settings that survive a restart."""
    return QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, KEY, "widgets")
