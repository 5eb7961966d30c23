"""Points on the canvas that the mouse drags: the ends of a ruler, the corners of a tray."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.layers import Image, Points, Vectors
from qtpy.QtCore import QObject, Signal

from napari_leafseg.widgets.common.controls import on_canvas
from napari_leafseg.widgets.state.layers import geometry
from napari_leafseg.widgets.state.session import Session, image_data

REACH = 14.0  # screen pixels: how near to a handle the mouse takes it
CLICK = 3.0  # screen pixels that a click may wander
_COLOR = "yellow"


def plane_shape(image: Image) -> tuple[int, int]:
    """Return height and width of an image layer, or of the frames of its series."""
    data, stack = image_data(image)
    height, width = data.shape[1:3] if stack else data.shape[:2]
    return int(height), int(width)


class Handles(QObject):
    """Handles over an image with lines between them; the camera stays while one is dragged.

    Parameters
    ----------
    session : Session
    image : napari.layers.Image
    kind, name : str
        Of the layers.
    parent : QObject

    Signals
    -------
    moved()
        A handle is somewhere else.
    rested()
        The mouse let go of a handle.
    clicked(object)
        A click beside the handles, (y, x) in the image's pixels.
    removed()
        Somebody deleted one of the layers.
    """

    moved = Signal()
    rested = Signal()
    clicked = Signal(object)
    removed = Signal()

    def __init__(self, session: Session, image: Image, kind: str, name: str, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self.image = session, image
        self.points = np.zeros((0, 2))
        viewer, options = session.viewer, geometry(image, 2)
        self._active = viewer.layers.selection.active
        width = max(1.0, max(plane_shape(image)) / 350)
        mark = session.mark(image, kind)
        self.lines: Vectors = viewer.add_layer(
            Vectors(np.zeros((0, 2, 2)), name=name, edge_width=width, edge_color=_COLOR, vector_style="line",
                    metadata=mark, **options)
        )  # fmt: skip
        self.dots: Points = viewer.add_layer(
            Points(np.zeros((0, 2)), ndim=2, name=f"{name} handles", size=self._dot, face_color=_COLOR,
                   border_color="black", metadata=mark, **options)
        )  # fmt: skip
        self.drawing = False  # the next drag makes a new line of two handles
        self._end = on_canvas(viewer.mouse_drag_callbacks, self._drag, first=True)
        viewer.layers.events.removed.connect(self._layer_removed)
        viewer.layers.selection.active = self.dots

    @property
    def _dot(self) -> float:
        """The size of a handle, in the image's pixels."""
        return 12 / max(self._zoom, 1e-6)

    @property
    def _zoom(self) -> float:
        """Screen pixels of a pixel of the image."""
        return float(self._session.viewer.camera.zoom * abs(self.image.scale[-1]))

    def show(self, points: Any, segments: np.ndarray, colors: Any = _COLOR) -> None:
        """Show handles, and lines (N, 2, 2) from their starts to their ends."""
        self.points = np.array(points, float).reshape(-1, 2)
        self.dots.data = self.points
        if len(self.points):
            self.dots.size = self._dot
        segments = np.asarray(segments, float).reshape(-1, 2, 2)
        vectors = np.stack([segments[:, 0], segments[:, 1] - segments[:, 0]], 1)
        self.lines.data = vectors
        if len(vectors):
            self.lines.edge_color = colors

    def close(self) -> None:
        """Take the layers away, and leave the mouse to others."""
        self._end()
        layers = self._session.viewer.layers
        layers.events.removed.disconnect(self._layer_removed)
        for layer in (self.dots, self.lines):
            if layer in layers:
                layers.remove(layer)
        if self._active in layers:
            layers.selection.active = self._active
        self._session.viewer.camera.mouse_pan = True
        self.deleteLater()

    def _layer_removed(self, event: Any) -> None:
        if event.value in (self.dots, self.lines):
            self.removed.emit()

    def _place(self, event: Any) -> np.ndarray:
        return np.array(self.dots.world_to_data(event.position)[-2:], float)

    def _drag(self, _viewer: Any, event: Any) -> Iterator[None]:
        if event.button != 1:
            return
        at, start, farthest = self._place(event), np.array(event.pos), 0.0
        taken = self._near(at)
        if taken is None and self.drawing:
            self.points, taken = np.array([at, at]), 1
        camera = self._session.viewer.camera
        if taken is not None:
            camera.mouse_pan = False
        yield
        while event.type == "mouse_move":
            farthest = max(farthest, float(np.hypot(*(np.array(event.pos) - start))))
            if taken is not None:
                self.points[taken] = self._place(event)
                self.moved.emit()
            yield
        if taken is not None:
            camera.mouse_pan, self.drawing = True, False
            self.rested.emit()
        elif farthest <= CLICK:
            self.clicked.emit(at)

    def _near(self, at: np.ndarray) -> int | None:
        if not len(self.points):
            return None
        distances = np.hypot(*(self.points - at).T) * self._zoom
        nearest = int(distances.argmin())
        return nearest if distances[nearest] <= REACH else None
