"""What is drawn over the leaves: a diamond on each verified one, and a line around the one under review.

Both are seen by their shape, not by color alone.
"""

from __future__ import annotations

import numpy as np
from napari.layers import Points, Shapes

from napari_leafseg._opencv import cv2
from napari_leafseg.editing.edit import leaf_box
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.session import Session


class Marks:
    """Keeps the diamonds of one image where its verified leaves are."""

    def __init__(self, session: Session, binding: LabelsBinding) -> None:
        self._session, self.binding = session, binding
        self._places: dict[tuple[int, int], tuple[float, ...]] = {}
        self.refresh()

    def refresh(self, touched: set[tuple[int, int]] | None = None) -> None:
        """Show what is verified; leaves that were `touched` may lie elsewhere now (all when None)."""
        document = self.binding.document
        if touched is None:
            self._places.clear()
        for mark in [mark for mark in self._places if mark not in document.verified or mark in (touched or ())]:
            del self._places[mark]
        for frame, leaf in document.verified - set(self._places):
            place = _middle(document.plane(frame), leaf)
            if place is not None:
                self._places[frame, leaf] = place if document.labels.ndim == 2 else (frame, *place)
        image = self.binding.image
        layer = self._session.find_layer(image, "verified")
        data = np.array(list(self._places.values()), float).reshape(-1, document.labels.ndim)
        if layer is not None:
            layer.data = data
        elif len(data):
            self._add(data)

    def _add(self, data: np.ndarray) -> None:
        image, viewer = self.binding.image, self._session.viewer
        active = viewer.layers.selection.active
        size = max(4.0, max(self.binding.layer.data.shape[-2:]) / 60)
        viewer.add_layer(
            Points(
                data, name=f"{image.name} verified", symbol="diamond", size=size, face_color="white",
                border_color="black", border_width=0.2, metadata=self._session.mark(image, "verified"),
                **layers.geometry(image, data.shape[1]),
            )
        )  # fmt: skip
        viewer.layers.selection.active = active


def outline_leaf(session: Session, binding: LabelsBinding, leaf: int) -> None:
    """Draw a line around a leaf; 0 takes it away."""
    viewer = session.viewer
    layer = session.find_layer(binding.image, "review")
    plane = binding.plane
    box = leaf_box(plane, leaf, 1) if leaf else None
    if box is None:
        if layer is not None:
            viewer.layers.remove(layer)
        return
    contours, _ = cv2.findContours((plane[box] == leaf).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    lines = [line[:, 0, ::-1] + (box[0].start, box[1].start) for line in contours if len(line) > 2]
    active = viewer.layers.selection.active
    if layer is None:
        layer = Shapes(
            ndim=2, name=f"{binding.image.name} under review", metadata=session.mark(binding.image, "review"),
            **layers.geometry(binding.image, 2),
        )  # fmt: skip
        viewer.add_layer(layer)
    layer.data = []
    if lines:
        width = max(0.4, 0.006 * max(box[0].stop - box[0].start, box[1].stop - box[1].start) * 2)
        layer.add_polygons(lines, edge_width=width, edge_color="white", face_color="transparent")
    viewer.layers.selection.active = active


def _middle(plane: np.ndarray, leaf: int) -> tuple[float, float] | None:
    """The point of a leaf that is farthest from its border."""
    box = leaf_box(plane, leaf)
    if box is None:
        return None
    mask = np.pad((plane[box] == leaf).astype(np.uint8), 1)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(y + box[0].start), float(x + box[1].start)
