"""The review: from leaf to leaf and image to image, the least certain first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, Signal

from napari_leafseg._counts import counted
from napari_leafseg.editing import operations as ops
from napari_leafseg.editing.edit import leaf_box
from napari_leafseg.project.review import Filter, Progress, image_order, leaf_queue
from napari_leafseg.widgets.correct.scene import frame_confidences
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.napari_private import canvas_size
from napari_leafseg.widgets.state.overlays import outline_leaf
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session


class Review(QObject):
    """Lead through the leaves of the image that the user looks at, and keep what was decided.

    Parameters
    ----------
    session : Session
    controller : ProjectController
    parent : QObject

    Attributes
    ----------
    reviewed : int
        The leaf under review; 0 for none.
    shown : str
        Which leaves are in the queue: "unverified", "verified" or "all".

    Signals
    -------
    changed()
        Another leaf is under review, or something was decided.
    """

    changed = Signal()

    def __init__(self, session: Session, controller: ProjectController, parent: QObject) -> None:
        super().__init__(parent)
        self.session, self.viewer, self.controller = session, session.viewer, controller
        self.reviewed = 0
        self.shown: Filter = "unverified"

    def corrected(self, binding: LabelsBinding) -> None:
        """Keep the outline of the leaf under review at its border."""
        if binding is self.session.focused_binding() and self.reviewed:
            if not (binding.plane == self.reviewed).any():
                self.reviewed = 0
            outline_leaf(self.session, binding, self.reviewed)

    def _queue(self, binding: LabelsBinding) -> list[int]:
        document, frame = binding.document, binding.frame
        return leaf_queue(frame_confidences(self.session, binding), document.leaves(frame), binding.locked, self.shown)

    def step(self, by: int) -> None:
        """Go to the next or previous leaf of the queue."""
        binding = self.session.focused_binding()
        if binding is None:
            return
        queue = self._queue(binding)
        if not queue:
            self.reviewed = 0
            show_info("No leaf of this image is left to review.")
            self.changed.emit()
            return
        place = queue.index(self.reviewed) + by if self.reviewed in queue else (0 if by > 0 else -1)
        self.show_leaf(queue[place % len(queue)])

    def show_leaf(self, leaf: int) -> None:
        """Bring a leaf into the middle of the canvas, large, and select it."""
        binding = self.session.focused_binding()
        box = None if binding is None else leaf_box(binding.plane, leaf)
        if binding is None or box is None:
            return
        self.reviewed = leaf
        layer = binding.layer
        corners = [
            layer.data_to_world((*([binding.frame] if layer.ndim == 3 else []), y, x))[-2:]
            for y, x in ((box[0].start, box[1].start), (box[0].stop, box[1].stop))
        ]
        low, high = np.min(corners, axis=0), np.max(corners, axis=0)
        self.viewer.camera.center = tuple((low + high) / 2)
        canvas = canvas_size(self.viewer)
        self.viewer.camera.zoom = float(0.35 * min(canvas) / max(1e-6, (high - low).max()))
        layer.selected_label = leaf
        outline_leaf(self.session, binding, leaf)
        self.changed.emit()

    def accept(self) -> None:
        """Verify the leaf under review and go on."""
        self._decide(lambda binding: binding.verify([self.reviewed], True))

    def discard(self) -> None:
        """Delete the leaf under review and go on."""
        self._decide(lambda binding: binding.perform(ops.delete(binding.plane, self.reviewed)))

    def _decide(self, what: Callable[[LabelsBinding], Any]) -> None:
        binding = self.session.focused_binding()
        if binding is None:
            return
        if not self.reviewed:
            self.step(1)
            return
        queue = self._queue(binding)
        after = queue[queue.index(self.reviewed) + 1 :] if self.reviewed in queue else []
        what(binding)
        self.reviewed = 0
        outline_leaf(self.session, binding, 0)
        remaining = [leaf for leaf in after if leaf in self._queue(binding)]
        if remaining:
            self.show_leaf(remaining[0])
        else:
            self.step(1)

    def set_done(self, done: bool) -> None:
        """Mark the image as reviewed, or take the mark back."""
        binding = self.session.focused_binding()
        if binding is None:
            return
        if done:
            binding.verify(binding.document.leaves(binding.frame), True)
            self.controller.track(binding)
            self.controller.set_region(binding, None)
        self.controller.set_state(binding, "done" if done else "in progress")
        self.changed.emit()

    def accept_image(self) -> None:
        """Verify all leaves of the image as they are and go to the next one; of a series, frame by frame."""
        awaited, binding = self.session.awaited, self.session.focused_binding()
        if awaited is not None:  # what is on the screen was accepted before: Enter is meant for what is to come
            show_info(f"“{awaited.path.stem}” is still being opened. Press Enter once you have seen it.")
            return
        if binding is None:
            show_info(self._why_nothing())
            return
        self.reviewed = 0
        outline_leaf(self.session, binding, 0)
        if binding.layer.ndim > 2 and binding.frame < len(binding.layer.data) - 1:
            binding.verify(binding.document.leaves(binding.frame), True)
            self.viewer.dims.set_current_step(0, binding.frame + 1)
            self.changed.emit()
            return
        self.set_done(True)
        self.session.step_wanted.emit(1)

    def _why_nothing(self) -> str:
        """Say why the image on the screen has no leaves that could be accepted."""
        image = self.session.focus()
        if image is None:
            return "No image is open."
        doing = self.session.record(image).leaves_are
        if doing:
            return f"The leaves of this image are still being {doing}. Press Enter once you have seen them."
        return "This image has no leaves to accept yet: press Run in Segment, or add them."

    def set_region(self) -> None:
        """Mark what is in view as reviewed: its leaves count as right, the rest of the image as unknown."""
        binding = self.session.focused_binding()
        if binding is None:
            return
        layer, plane = binding.layer, binding.plane
        half = np.array(canvas_size(self.viewer)) / 2 / self.viewer.camera.zoom
        middle = np.array(self.viewer.camera.center)[-2:]
        start = [binding.frame] if layer.ndim == 3 else []
        signs = ((-1, -1), (-1, 1), (1, -1), (1, 1))
        corners = np.sort([layer.world_to_data((*start, *(middle + half * sign)))[-2:] for sign in signs], axis=0)
        low = np.clip(np.floor(corners[1]).astype(int), 0, plane.shape)  # the box within the view, if it is turned
        high = np.clip(np.ceil(corners[2]).astype(int) + 1, 0, plane.shape)
        inside = np.bincount(plane[low[0] : high[0], low[1] : high[1]].ravel(), minlength=1)
        whole = np.bincount(plane.ravel(), minlength=len(inside))
        leaves = [leaf for leaf in range(1, len(inside)) if inside[leaf] and inside[leaf] == whole[leaf]]
        binding.verify(leaves, True)
        self.controller.track(binding)
        self.controller.set_region(binding, (int(low[0]), int(low[1]), int(high[0]), int(high[1])))
        show_info(f"Right: {counted(len(leaves), 'leaf')} in view. The rest of the image counts as not reviewed.")
        self.changed.emit()

    def least_certain_image(self) -> None:
        """Show the image of the list whose least certain leaf is the least certain; those not segmented last."""
        waiting = {str(number): entry.confidence for number, entry in enumerate(self.session.images) if entry.waits}
        order = image_order({number: value for number, value in waiting.items() if value is not None})
        if order:
            self.session.image_wanted.emit(self.session.images[int(order[0])])
        else:
            show_info("No image with a prediction is left to review. Segment the next ones first.")

    def progress(self) -> Progress:
        """Say how far the review of the image on the screen is, and that of all images."""
        binding = self.session.focused_binding()
        leaves = 0 if binding is None else self.session.record(binding.image).count
        verified = 0 if binding is None else len(binding.document.verified)
        done, total = self.controller.reviewed()
        return Progress(min(verified, leaves), leaves, done, total)

    def describe(self, binding: LabelsBinding) -> str:
        """Return what is known of the leaf under review, or how to begin."""
        if not self.reviewed:
            leaves, locked = binding.document.leaves(binding.frame), binding.locked
            if leaves and locked.issuperset(leaves):
                return f"✓ All right: {counted(len(leaves), 'leaf')}. Enter: image done, next."
            return "Press Space for the least certain leaf."
        confidence = frame_confidences(self.session, binding).get(self.reviewed)
        sure = "" if confidence is None else f" · confidence {confidence:.2f}"
        state = "verified" if self.reviewed in binding.locked else "not verified"
        return f"Leaf {self.reviewed} · {state}{sure}"
