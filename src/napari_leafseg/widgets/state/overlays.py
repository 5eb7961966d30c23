"""What is drawn over the leaves: a diamond on each verified one, and a line around the one under review.

Both are seen by their shape, not by color alone.
"""

from __future__ import annotations

import numpy as np
from napari.layers import Points

from napari_leafseg._opencv import cv2
from napari_leafseg.editing.edit import leaf_box
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.look import Look
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
    """Draw a leaf's outline in white; 0 draws none so."""
    Look.of(session).mark(binding, leaf)


def _middle(plane: np.ndarray, leaf: int) -> tuple[float, float] | None:
    """The point of a leaf that is farthest from its border."""
    box = leaf_box(plane, leaf)
    if box is None:
        return None
    mask = np.pad((plane[box] == leaf).astype(np.uint8), 1)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(y + box[0].start), float(x + box[1].start)
