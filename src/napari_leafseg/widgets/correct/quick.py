"""Clicks with Ctrl or Alt: they work without a tool in hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from napari.viewer import ViewerModel

from napari_leafseg.widgets.common.controls import on_canvas
from napari_leafseg.widgets.correct.gestures import CLICK

ACTIONS = {
    "Control": ("Ctrl+click", "add a missing leaf, or make the part under the mouse a leaf of its own"),
    "Alt": ("Alt+click", "remove the leaf under the mouse"),
}


class QuickClicks:
    """Tell of clicks with a key held, as long as the mouse belongs to nothing else.

    Parameters
    ----------
    viewer : ViewerModel
    clicked : callable
        Takes the key ("Control" or "Alt") and the place in the world.
    """

    def __init__(self, viewer: ViewerModel, clicked: Callable[[str, tuple[float, ...]], None]) -> None:
        self.viewer, self._clicked = viewer, clicked
        self.close = on_canvas(viewer.mouse_drag_callbacks, self._drag)

    def _drag(self, _viewer: Any, event: Any) -> Iterator[None]:
        layer = self.viewer.layers.selection.active
        key = next((name for name in ACTIONS if name in event.modifiers), None)
        if event.button != 1 or len(event.modifiers) != 1 or key is None:
            return
        if self.viewer.dims.ndisplay != 2 or (layer is not None and layer.mode != "pan_zoom"):
            return
        start, place, farthest = np.array(event.pos), tuple(event.position), 0.0
        yield
        while event.type == "mouse_move":
            farthest = max(farthest, float(np.hypot(*(np.array(event.pos) - start))))
            yield
        if farthest <= CLICK:
            self._clicked(key, place)
