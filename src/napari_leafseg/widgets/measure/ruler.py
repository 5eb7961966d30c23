"""A line on the canvas whose length in millimeters somebody knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Shapes
from napari.utils.notifications import show_info
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QInputDialog, QWidget

from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.session import Session, image_data


class Ruler:
    """Lets the user draw a line and asks how long it is.

    Parameters
    ----------
    parent : QWidget
        Of the question.
    session : Session
    found : callable
        Takes the pixels a millimeter.
    """

    def __init__(self, parent: QWidget, session: Session, found: Callable[[float], Any]) -> None:
        self._parent, self._session, self._found = parent, session, found
        self._layer: Shapes | None = None

    def draw(self) -> None:
        """Begin; a line that was begun before is given up."""
        self._remove()
        image = self._session.focus()
        size = 300.0 if image is None else float(max(image_data(image)[0].shape[:2]))
        options = {} if image is None else layers.geometry(image, 2)
        viewer: Any = self._session.viewer
        self._layer = viewer.add_shapes(
            ndim=2, name="ruler", edge_color="yellow", edge_width=max(1.0, size / 300), **options
        )
        self._layer.mode = "add_line"
        self._layer.events.data.connect(self._drawn)
        self._layer.bind_key("Escape", lambda _layer: self._remove(), overwrite=True)
        show_info("Draw a line; Esc gives up.")  # longer ones are cut

    def _drawn(self, event: Any) -> None:
        if str(getattr(event, "action", "")).split(".")[-1].lower() != "added" or self._layer is None:
            return
        line = self._layer.data[-1]
        length = float(np.hypot(*(line[1] - line[0])))
        if length >= 2:
            QTimer.singleShot(0, lambda: self._ask(length))

    def _ask(self, length: float) -> None:
        value, given = QInputDialog.getDouble(
            self._parent, "Scale", f"The line is {length:.1f} pixels long. How many millimeters?", 10.0, 0.001, 1e6, 3
        )
        self._remove()
        if given:
            self._found(length / value)

    def _remove(self) -> None:
        if self._layer is not None and self._layer in self._session.viewer.layers:
            self._session.viewer.layers.remove(self._layer)
        self._layer = None
