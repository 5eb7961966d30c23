"""From a leaf's number to the leaf on the canvas, also where another image has to be shown first."""

from __future__ import annotations

import numpy as np
from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, QTimer, Signal

from napari_leafseg.editing.edit import leaf_box
from napari_leafseg.widgets.common.controls import listen
from napari_leafseg.widgets.state.image_record import ListedImage
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.napari_private import canvas_size
from napari_leafseg.widgets.state.overlays import outline_leaf
from napari_leafseg.widgets.state.session import Session


class LeafFinder(QObject):
    """Show the image of a leaf, zoom on the leaf, and draw the one line around it.

    Parameters
    ----------
    session : Session
    parent : QObject

    Signals
    -------
    arrived(object, int)
        The labels that are shown, and the leaf.
    """

    arrived = Signal(object, int)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self.session = session
        self._wanted: tuple[ListedImage, int] | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._arrive)
        listen(session.labels_bound, self._bound)

    def go_to_leaf(self, entry: ListedImage | None, leaf: int, name: str) -> None:
        """Go to a leaf of an image of the list."""
        if entry is None or (self.session.layer_of(entry) is None and not len(self.session.image_wanted)):
            show_info(f"Open {name} in Images to see this leaf.")
            return
        self._wanted = entry, leaf
        self.session.image_wanted.emit(entry)
        self._arrive()

    def _bound(self, binding: LabelsBinding) -> None:
        if self._wanted is not None and self.session.entry_of(binding.image) is self._wanted[0]:
            self._soon.start(0)  # once the labels are on the screen

    def _arrive(self) -> None:
        if self._wanted is None:
            return
        entry, leaf = self._wanted
        image = self.session.layer_of(entry)
        binding = None if image is None else self.session.binding(image)
        if binding is None:
            return  # it is being read
        self._wanted = None
        if self.session.focus() is image:
            self.show(binding, leaf)
            self.arrived.emit(binding, leaf)

    def show(self, binding: LabelsBinding, leaf: int, frame: int = 0) -> None:
        """Show a leaf of an image that is on the screen, zoomed on."""
        viewer, layer = self.session.viewer, binding.layer
        if layer.ndim == 3:
            viewer.dims.set_current_step(0, frame)
        box = leaf_box(binding.plane, leaf)
        if box is not None:
            corners = [
                layer.data_to_world((*([frame] if layer.ndim == 3 else []), y, x))[-2:]
                for y, x in ((box[0].start, box[1].start), (box[0].stop, box[1].stop))
            ]
            low, high = np.min(corners, axis=0), np.max(corners, axis=0)
            viewer.camera.center = tuple((low + high) / 2)
            viewer.camera.zoom = float(0.35 * min(canvas_size(viewer)) / max(1e-6, (high - low).max()))
        outline_leaf(self.session, binding, leaf)
        layer.selected_label = leaf
