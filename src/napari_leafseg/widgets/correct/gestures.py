"""Gestures on the canvas: clicks and strokes with the left button while a correction tool is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from napari.layers import Labels, Layer, Shapes
from napari.viewer import ViewerModel

from napari_leafseg.widgets.common.controls import on_canvas
from napari_leafseg.widgets.state.layers import geometry
from napari_leafseg.widgets.state.session import KEY

CLICK = 3.0  # screen pixels that a click may wander


def _line(points: np.ndarray) -> np.ndarray:
    """A stroke with fewer points."""
    return np.concatenate([points[:: max(1, len(points) // 150)], points[-1:]])


def _loop(points: np.ndarray) -> np.ndarray:
    thin = _line(points)
    return np.concatenate([thin, thin[:1]]) if len(thin) > 2 else thin


def _box(points: np.ndarray) -> np.ndarray:
    (top, left), (bottom, right) = points[0], points[-1]
    return np.array([(top, left), (top, right), (bottom, right), (bottom, left), (top, left)])


_DRAWN = {"loop": _loop, "box": _box}


class Gestures:
    """Turns mouse events into strokes in a labels layer's pixels; shows each stroke while it is drawn.

    Parameters
    ----------
    viewer : ViewerModel
    done : callable
        Takes the layer's points (N, 2) of (y, x), whether it was a mere click, and whether Shift was held.
    wheel : callable
        Takes the wheel's steps when Shift is held; returns whether it used them.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        done: Callable[[np.ndarray, bool, bool], None],
        wheel: Callable[[float], bool],
    ) -> None:
        self.viewer, self._done, self._wheel = viewer, done, wheel
        self.layer: Labels | None = None
        self.cursor: tuple[float, float] | None = None
        self._drawn = _line
        self._ends = (
            on_canvas(viewer.mouse_drag_callbacks, self._drag),
            on_canvas(viewer.mouse_wheel_callbacks, self._wheel_moved, first=True),
            on_canvas(viewer.mouse_move_callbacks, self._moved),
        )

    def start(self, layer: Labels, gesture: str) -> None:
        """Take the left button from the camera, for this layer; see `napari_leafseg.editing.tools.Tool`."""
        self.layer, self._drawn = layer, _DRAWN.get(gesture, _line)
        layer.mode = "pan_zoom"
        self._preview()
        layer.mouse_pan = False  # the viewer takes it over for its camera whenever the layer becomes the active one
        self.viewer.camera.mouse_pan = False

    def stop(self) -> None:
        """Give the left button back."""
        if self.layer is not None and self.layer.mode == "pan_zoom":
            self.layer.mouse_pan = True
        self.layer = None
        self.viewer.camera.mouse_pan = True
        preview = self._find_preview()
        if preview is not None:
            self.viewer.layers.remove(preview)

    def close(self) -> None:
        """Leave the viewer as it was."""
        self.stop()
        for end in self._ends:
            end()

    def data_point(self, layer: Layer, event: Any) -> np.ndarray:
        """Find where an event is in a layer's plane, (y, x)."""
        return np.array(layer.world_to_data(event.position)[-2:], float)

    def _moved(self, _viewer: Any, event: Any) -> None:
        self.cursor = tuple(event.position)

    def _wheel_moved(self, _viewer: Any, event: Any) -> None:
        if "Shift" in event.modifiers:
            steps = float(event.delta[1] or event.delta[0])
            if self._wheel(steps):
                event.handled = True

    def _drag(self, _viewer: Any, event: Any) -> Iterator[None]:
        layer = self.layer
        if layer is None or event.button != 1 or layer not in self.viewer.layers or layer.mode != "pan_zoom":
            return
        if {"Control", "Alt"} & set(event.modifiers):  # see `quick`
            return
        points, start, farthest = [self.data_point(layer, event)], np.array(event.pos), 0.0
        shift = "Shift" in event.modifiers
        yield
        while event.type == "mouse_move":
            farthest = max(farthest, float(np.hypot(*(np.array(event.pos) - start))))
            points.append(self.data_point(layer, event))
            if farthest > CLICK:
                self._draw(points)
            yield
        self._draw([])
        click = farthest <= CLICK
        self._done(np.array(points[:1] if click else points), click, shift)

    def _find_preview(self) -> Shapes | None:
        for layer in self.viewer.layers:
            mark = layer.metadata.get(KEY)
            if mark and mark["kind"] == "stroke":
                return layer
        return None

    def _preview(self) -> None:
        if self.layer is None or self._find_preview() is not None:
            return
        active = self.viewer.layers.selection.active
        layer = self.layer
        self.viewer.add_layer(
            Shapes(
                ndim=2, name="stroke", metadata={KEY: {"kind": "stroke", "image": ""}},
                **geometry(layer, 2),
            )
        )  # fmt: skip
        self.viewer.layers.selection.active = active

    def _draw(self, points: list[np.ndarray]) -> None:
        preview = self._find_preview()
        if preview is None:
            return
        preview.data = []
        if len(points) > 1:
            width = max(0.5, 2.5 / self.viewer.camera.zoom / float(preview.scale[-1]))
            preview.add_paths(self._drawn(np.array(points)), edge_width=width, edge_color="white")
