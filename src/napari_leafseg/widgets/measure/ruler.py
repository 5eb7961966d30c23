"""A line on the canvas whose length in millimeters somebody knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from qtpy.QtCore import QObject

from napari_leafseg.widgets.measure.handles import Handles
from napari_leafseg.widgets.state.session import Session


class Ruler(QObject):
    """Lets the user draw a line and drag its ends until it lies well.

    Parameters
    ----------
    parent : QObject
    session : Session
    drawn : callable
        Takes the line's length in pixels, whenever its ends are somewhere else; None when the line is given up.
    """

    def __init__(self, parent: QObject, session: Session, drawn: Callable[[float | None], Any]) -> None:
        super().__init__(parent)
        self._session, self._drawn = session, drawn
        self.handles: Handles | None = None

    def draw(self) -> bool:
        """Begin; a line that was begun before is given up. False where there is no image."""
        self.remove()
        image = self._session.focus()
        if image is None:
            return False
        self.handles = Handles(self._session, image, "ruler", "ruler", self)
        self.handles.drawing = True
        self.handles.moved.connect(self._moved)
        self.handles.removed.connect(self._given_up)
        self.handles.dots.bind_key("Escape", lambda _layer: self._given_up(), overwrite=True)
        return True

    def remove(self) -> None:
        """Take the line away."""
        handles, self.handles = self.handles, None
        if handles is not None:
            handles.close()

    def _given_up(self) -> None:
        self.remove()
        self._drawn(None)

    def _moved(self) -> None:
        assert self.handles is not None
        points = self.handles.points
        self.handles.show(points, points[None])
        self._drawn(float(np.hypot(*(points[1] - points[0]))))
