"""Seeds that people drag, add and delete in their layer: the leaves follow at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Image, Points
from qtpy.compat import isalive
from qtpy.QtCore import QObject

from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.session import Session

_CHOOSE = ("seed_threshold", "min_confidence")  # parameters that say which seeds there are


def _chosen(values: dict[str, float]) -> tuple[float | None, ...]:
    return tuple(values.get(name) for name in _CHOOSE)


class SeedEditor(QObject):
    """Know of each image which seeds somebody placed.

    Parameters
    ----------
    session : Session
    moved : callable
        Told the image whose seeds are others now.
    parent : QObject
    """

    def __init__(self, session: Session, moved: Callable[[Image], None], parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._moved = session, moved

    def given(self, image: Image, values: dict[str, float]) -> np.ndarray | None:
        """Return the seeds that somebody placed; None where the model's count, as after another value of `_CHOOSE`."""
        kept = self._session.record(image).cache.get("seeds")
        if kept is None or kept[1] != _chosen(values):
            self.forget(image)
            return None
        return np.asarray(kept[0])

    def forget(self, image: Image) -> None:
        """Go back to the model's seeds."""
        self._session.record(image).cache.pop("seeds", None)

    def show(self, image: Image, points: np.ndarray, values: dict[str, float]) -> None:
        """Show the model's seeds."""
        known = self._session.find_layer(image, "seeds")
        shown = self._session.record(image).cache
        shown["model_seeds"] = (points, _chosen(values))
        layer = layers.show_overlay(self._session, image, "seeds", points)
        if known is None:
            layer.events.data.connect(lambda _event: self._changed(image, layer))

    def _changed(self, image: Image, layer: Points) -> None:
        if not isalive(self) or image not in self._session.viewer.layers:
            return
        cache: dict[str, Any] = self._session.record(image).cache
        points, chosen = cache.get("model_seeds", (None, None))
        now = cache["seeds"][0] if "seeds" in cache else points
        if now is None or np.array_equal(layer.data, now):
            return
        cache["seeds"] = (np.array(layer.data), chosen)
        self._moved(image)
