"""The *Correct* dock widget: tools on the canvas, undo, and the review."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_error, show_info
from napari.viewer import ViewerModel
from qtpy.QtWidgets import QWidget

from napari_leafseg.editing import operations as ops
from napari_leafseg.editing import tools
from napari_leafseg.editing.edit import Edit, difference, leaf_at, leaf_box
from napari_leafseg.errors import UserError
from napari_leafseg.io import to_rgb8
from napari_leafseg.project.document import Document
from napari_leafseg.project.review import Progress, image_order, leaf_queue
from napari_leafseg.widgets.correct.form import LEAF_ACTIONS, REVIEW_KEYS, CorrectForm
from napari_leafseg.widgets.correct.gestures import Gestures
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.overlays import Marks, outline_leaf
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session, image_data, labels_shape, settings

_ANGLE = 45.0
_WHEEL = 3.0  # degrees a step
_NOTHING = "Nothing to correct here yet: press Run in Segment, or choose “Add leaf” and click a leaf."


class CorrectWidget(CorrectForm):
    """Steers the correction of the image that the user looks at.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari fills it in by this name.
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = Session.of(napari_viewer)
        self.viewer = viewer = self.session.viewer
        self.controller = ProjectController.of(self.session)
        self.gestures = Gestures(viewer, self._gesture, self._wheel)
        self.tool: tools.Tool | None = None
        self.adding: tools.Adding | None = None
        self.reviewed = 0
        self._clicks: list[np.ndarray] = []
        self._connect()
        self.angle_box.setValue(float(settings().value("correct/angle", _ANGLE)))
        self._refresh()

    def _connect(self) -> None:
        for tool in tools.TOOLS:
            self.tool_buttons[tool.name].clicked.connect(lambda _on, tool=tool: self.choose(tool))
            self._bind(tool.key, partial(self.choose, tool))
        for name, _label, key, _help in LEAF_ACTIONS:
            self._bind(key, partial(self.act, name))
            if name in self.action_buttons:
                self.action_buttons[name].clicked.connect(lambda _on, name=name: self.act_on_all(name))
        self.undo_button.clicked.connect(self.undo)
        self.redo_button.clicked.connect(self.redo)
        for name, job in (
            ("next", lambda: self.step(1)), ("previous", lambda: self.step(-1)),
            ("accept", self.accept), ("discard", self.discard),
        ):  # fmt: skip
            self.review_buttons[name].clicked.connect(lambda _on=False, job=job: job())
            self._bind(REVIEW_KEYS[name], job)
        self.done_button.clicked.connect(self._set_done)
        self.region_button.clicked.connect(self._set_region)
        self.least_button.clicked.connect(self.least_certain_image)
        self.filter_box.currentIndexChanged.connect(lambda _index: self._refresh())
        self.angle_slider.valueChanged.connect(self.angle_box.setValue)
        self.angle_box.valueChanged.connect(self._angle_changed)
        self.viewer.layers.selection.events.active.connect(self._layer_chosen)
        self.viewer.layers.events.removed.connect(self._layer_chosen)
        self.session.corrected.connect(self._corrected)
        self.session.layer_state_changed.connect(self._state_changed)

    def _state_changed(self, _layer: Any) -> None:
        self._refresh()

    def _bind(self, key: str, job: Callable[[], Any]) -> None:
        self.viewer.bind_key(key, lambda _viewer: job() and None, overwrite=True)

    # -- what is on the screen ---------------------------------------------------------------------------------------

    @property
    def binding(self) -> LabelsBinding | None:
        """The labels of the image that the user looks at."""
        return self.session.binding(self.session.focus())

    def _prediction(self, binding: LabelsBinding) -> Any:
        """What the model said of the frame on the screen; None where it was not asked."""
        prediction = self.session.record(binding.image).prediction
        frames = getattr(prediction, "frames", None)
        return prediction if frames is None else frames[binding.frame]

    def _scene(self, binding: LabelsBinding) -> tools.Scene:
        model, prediction = None, self._prediction(binding)
        if prediction is not None:
            from napari_leafseg.inference.prompts import PredictionModel

            model = PredictionModel(prediction)
        return tools.Scene(binding.plane, self._image(binding), model, binding.locked, binding.document.largest)

    def _image(self, binding: LabelsBinding) -> np.ndarray:
        """The image on the screen, uint8 (H, W, 3); images in another type are converted once."""
        data, stack = image_data(binding.image)
        plane = data[binding.frame] if stack else data
        if isinstance(plane, np.ndarray) and plane.dtype == np.uint8 and plane.ndim == 3 and plane.shape[2] >= 3:
            return plane[..., :3]
        cache = self.session.record(binding.image).cache
        frame, rgb = cache.get("rgb", (-1, None))
        if frame != binding.frame:
            rgb = to_rgb8(np.asarray(plane), binding.image.name)
            cache["rgb"] = (binding.frame, rgb)
        return rgb

    def _layer_chosen(self, _event: Any = None) -> None:
        binding = self.binding
        if self.tool is not None and (binding is None or self.gestures.layer is not binding.layer):
            if binding is None:
                self.choose(None)
            else:
                self.gestures.start(binding.layer, self.tool.gesture == "loop")
        self._refresh()

    def _corrected(self, binding: LabelsBinding) -> None:
        if binding is self.binding and self.reviewed:
            if not (binding.plane == self.reviewed).any():
                self.reviewed = 0
            outline_leaf(self.session, binding, self.reviewed)
        cache = self.session.record(binding.image).cache
        marks = cache.get("marks")
        if marks is None or marks.binding is not binding:
            cache["marks"] = Marks(self.session, binding)
            return
        step = binding.document.history.undoable
        redoable = binding.document.history.redoable
        touched = {
            (edit.frame or 0, leaf)
            for each in (step, redoable)
            if each is not None
            for edit in each.edits
            if edit.before.size < 4_000_000
            for leaf in edit.leaves
        }
        marks.refresh(touched)

    # -- tools -------------------------------------------------------------------------------------------------------

    def choose(self, tool: tools.Tool | None) -> None:
        """Take a tool, or put it away when it is the chosen one."""
        image = self.session.focus()
        if self.tool is not None and self.tool.gesture == "cut" and tool is self.tool and len(self._clicks) > 1:
            self._part()
            return
        if tool is not None and tool is self.tool:
            tool = None
        if tool is not None and image is None:
            show_info("Open an image first.")
            tool = None
        self.adding, self._clicks = None, []
        self.tool = tool
        if tool is None:
            self.gestures.stop()
        else:
            assert image is not None
            binding = self.binding or self._begin(image)
            self.viewer.layers.selection.active = binding.layer
            self.gestures.start(binding.layer, tool.gesture == "loop")
        self._refresh()

    def _begin(self, image: Image) -> LabelsBinding:
        """Labels for an image that was not segmented."""
        return layers.add_labels(self.session, image, Document(np.zeros(labels_shape(image), np.uint16)))

    def _gesture(self, points: np.ndarray, click: bool) -> None:
        binding, tool = self.binding, self.tool
        if binding is None or tool is None:
            return
        try:
            self._use(tool, binding, points, click)
        except UserError as error:
            show_error(str(error))
        self._refresh()

    def _use(self, tool: tools.Tool, binding: LabelsBinding, points: np.ndarray, click: bool) -> None:
        binding.end_tuning()
        if tool.gesture == "click":
            inside = (points >= 0).all(1) & (points <= np.array(binding.plane.shape) - 1).all(1)
            if not inside.any():
                return
            self.adding = tools.add(self._scene(binding), points[inside], self.angle_box.value())
            self._report(binding.perform(self.adding.edit))
            return
        if click and tool.gesture == "cut":
            self._clicks.append(points[0])
            self.hint.setText(f"{len(self._clicks)} points. Click in each part, then press {tool.key} to split.")
            if len(self._clicks) == 2:
                self._part()
            return
        if click:
            self.hint.setText(tool.help)
            return
        made = tools.STROKES[tool.name](self._scene(binding), points)
        if isinstance(made, list):
            made = _as_one(binding, made)
        self._report(binding.perform(made))

    def _part(self) -> None:
        """Part the leaf between the clicks."""
        binding, clicks = self.binding, np.array(self._clicks)
        self._clicks = []
        if binding is not None:
            self._report(binding.perform(tools.split_points(self._scene(binding), clicks)))

    def _report(self, step: Any) -> None:
        if step is None and self.tool is not None:
            self.hint.setText(f"Nothing was changed. {self.tool.help}")

    def _wheel(self, steps: float) -> bool:
        if self.tool is None or self.tool.gesture != "click":
            return False
        self.angle_box.setValue(self.angle_box.value() + _WHEEL * float(np.sign(steps)))
        return True

    def _angle_changed(self, angle: float) -> None:
        self.angle_slider.blockSignals(True)
        self.angle_slider.setValue(round(angle))
        self.angle_slider.blockSignals(False)
        settings().setValue("correct/angle", angle)
        binding, adding = self.binding, self.adding
        if binding is None or adding is None or adding.growth is None:
            return
        last = binding.document.history.undoable
        if adding.edit is not None and (last is None or last.tool != "add"):
            self.adding = None
            return
        if adding.edit is not None:
            binding.undo()
        binding.perform(adding.at(self._scene(binding), angle))

    # -- one leaf ----------------------------------------------------------------------------------------------------

    def _leaf_under_mouse(self, binding: LabelsBinding) -> int:
        if self.gestures.cursor is None:
            return 0
        y, x = binding.layer.world_to_data(self.gestures.cursor)[-2:]
        return leaf_at(binding.plane, y, x)

    def act(self, name: str) -> None:
        """Do something with the leaf under the mouse."""
        binding = self.binding
        leaf = 0 if binding is None else self._leaf_under_mouse(binding)
        if binding is None or not leaf:
            self.hint.setText("There is no leaf under the mouse.")
            return
        if name == "verify":
            binding.verify([leaf], leaf not in binding.locked)
        else:
            self._report(binding.perform(_OPERATIONS[name](binding.plane, leaf)))
        self._refresh()

    def act_on_all(self, name: str) -> None:
        """Do it with all leaves that are not verified."""
        binding = self.binding
        if binding is None:
            return
        if name == "verify":
            binding.verify(binding.document.leaves(binding.frame), True)
        else:
            labels, locked = binding.plane, binding.locked
            free = np.where(np.isin(labels, list(locked)), 0, labels) if locked else labels
            edit = _OPERATIONS[name](free, None)
            if edit is not None and locked:
                held = np.isin(labels[edit.box], list(locked))
                edit = difference(labels, edit.box, np.where(held, labels[edit.box], edit.after), edit.tool)
            binding.perform(edit, verify=False)
        self._refresh()

    def undo(self) -> None:
        """Take back the last step."""
        if self.binding is not None:
            self.adding = None
            self.binding.undo()
            self._refresh()

    def redo(self) -> None:
        """Make it again."""
        if self.binding is not None:
            self.binding.redo()
            self._refresh()

    # -- review ------------------------------------------------------------------------------------------------------

    def _queue(self, binding: LabelsBinding) -> list[int]:
        document, frame = binding.document, binding.frame
        return leaf_queue(
            self._confidences(binding), document.leaves(frame), binding.locked, self.filter_box.currentData()
        )

    def _confidences(self, binding: LabelsBinding) -> dict[int, float]:
        prediction = self._prediction(binding)
        if prediction is None:
            return {}
        kept = self.session.record(binding.image).cache.setdefault("confidences", weakref.WeakKeyDictionary())
        number, found = kept.get(prediction, (-1, {}))
        if number != binding.document.number:
            from napari_leafseg.inference.confidence import leaf_confidence

            found = leaf_confidence(prediction, binding.plane)
            kept[prediction] = (binding.document.number, found)
        return found

    def step(self, by: int) -> None:
        """Go to the next or previous leaf of the queue."""
        binding = self.binding
        if binding is None:
            return
        queue = self._queue(binding)
        if not queue:
            self.reviewed = 0
            show_info("No leaf of this image is left to review.")
            self._refresh()
            return
        place = queue.index(self.reviewed) + by if self.reviewed in queue else (0 if by > 0 else -1)
        self.show_leaf(queue[place % len(queue)])

    def show_leaf(self, leaf: int) -> None:
        """Bring a leaf into the middle of the canvas, large, and select it."""
        binding = self.binding
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
        canvas = getattr(self.viewer, "_canvas_size", (600, 800))
        self.viewer.camera.zoom = float(0.35 * min(canvas) / max(1e-6, (high - low).max()))
        layer.selected_label = leaf
        outline_leaf(self.session, binding, leaf)
        self._refresh()

    def accept(self) -> None:
        """Verify the leaf under review and go on."""
        self._decide(lambda binding: binding.verify([self.reviewed], True))

    def discard(self) -> None:
        """Delete the leaf under review and go on."""
        self._decide(lambda binding: binding.perform(ops.delete(binding.plane, self.reviewed)))

    def _decide(self, what: Callable[[LabelsBinding], Any]) -> None:
        binding = self.binding
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

    def _set_done(self, done: bool) -> None:
        binding = self.binding
        if binding is None:
            return
        if done:
            binding.verify(binding.document.leaves(binding.frame), True)
            self.controller.track(binding)
            self.controller.set_region(binding, None)
        self.controller.set_state(binding, "done" if done else "in progress")
        self._refresh()

    def _set_region(self) -> None:
        """Only what is in view was reviewed: its leaves count as right, the rest of the image as unknown."""
        binding = self.binding
        if binding is None:
            return
        layer, plane = binding.layer, binding.plane
        half = np.array(getattr(self.viewer, "_canvas_size", (600, 800))) / 2 / self.viewer.camera.zoom
        middle = np.array(self.viewer.camera.center)[-2:]
        start = [binding.frame] if layer.ndim == 3 else []
        corners = [layer.world_to_data((*start, *(middle + side * half)))[-2:] for side in (-1, 1)]
        low = np.clip(np.floor(corners[0]).astype(int), 0, plane.shape)
        high = np.clip(np.ceil(corners[1]).astype(int) + 1, 0, plane.shape)
        inside = np.bincount(plane[low[0] : high[0], low[1] : high[1]].ravel(), minlength=1)
        whole = np.bincount(plane.ravel(), minlength=len(inside))
        leaves = [leaf for leaf in range(1, len(inside)) if inside[leaf] and inside[leaf] == whole[leaf]]
        binding.verify(leaves, True)
        self.controller.track(binding)
        self.controller.set_region(binding, (int(low[0]), int(low[1]), int(high[0]), int(high[1])))
        show_info(f"{len(leaves)} leaves in view count as right; the rest of the image counts as not reviewed.")
        self._refresh()

    def least_certain_image(self) -> None:
        """Show the image of the list whose least certain leaf is the least certain; those not segmented last."""
        confidence = {}
        for number, entry in enumerate(self.session.images):
            if not entry.waits:
                continue
            layer = self.session.layer_of(entry)
            binding = None if layer is None else self.session.binding(layer)
            if binding is not None:
                self._note_confidence(binding)
                confidence[str(number)] = self.session.record(binding.image).confidence
            else:
                confidence[str(number)] = entry.confidence
        order = image_order({name: value for name, value in confidence.items() if value is not None})
        if order:
            self.session.image_wanted.emit(self.session.images[int(order[0])])
        else:
            show_info("No image with a prediction is left to review. Segment the next ones first.")

    def _note_confidence(self, binding: LabelsBinding) -> None:
        found = self._confidences(binding)
        open_leaves = [value for leaf, value in found.items() if leaf not in binding.locked]
        self.session.record(binding.image).confidence = min(open_leaves, default=1.0) if found else None

    def progress(self) -> Progress:
        """How far the review of all images is."""
        leaves = verified = 0
        for binding in self.session.bindings():
            verified += len(binding.document.verified)
            leaves += self.session.record(binding.image).count
        done, total = self.controller.reviewed()
        return Progress(min(verified, leaves), leaves, done, total)

    # -- the window --------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        image, binding = self.session.focus(), self.binding
        for name, button in self.tool_buttons.items():
            button.setChecked(self.tool is not None and self.tool.name == name)
            button.setEnabled(image is not None)
        history = None if binding is None else binding.document.history
        undoable, redoable = (None, None) if history is None else (history.undoable, history.redoable)
        self.undo_button.setEnabled(undoable is not None)
        self.redo_button.setEnabled(redoable is not None)
        self.undo_button.setText("↶ Undo" if undoable is None else f"↶ Undo {undoable.tool}")
        self.redo_button.setText("↷ Redo" if redoable is None else f"↷ Redo {redoable.tool}")
        for button in (
            *self.action_buttons.values(),
            *self.review_buttons.values(),
            self.done_button,
            self.region_button,
        ):
            button.setEnabled(binding is not None)
        growing = self.tool is not None and self.tool.gesture == "click"
        for widget in (self.angle_label, self.angle_slider, self.angle_box):
            widget.setEnabled(growing)
        if self.tool is not None and not self._clicks and not self.hint.text().startswith("Nothing was"):
            self.hint.setText(self.tool.help)
        elif self.tool is None:
            self.hint.setText("" if binding is not None else _NOTHING)
        self.image_label.setText(f"<b>{image.name}</b>" if image is not None else "No image is open.")
        if binding is None:
            self.leaf_label.setText("")
            self.progress_label.setText("")
            return
        self.progress_label.setText(str(self.progress()))
        self.done_button.setChecked(self.controller.state(binding) == "done")
        self._describe(binding)

    def _describe(self, binding: LabelsBinding) -> None:
        if not self.reviewed:
            self.leaf_label.setText("Press N for the least certain leaf.")
            return
        confidence = self._confidences(binding).get(self.reviewed)
        sure = "" if confidence is None else f" · confidence {confidence:.2f}"
        state = "verified" if self.reviewed in binding.locked else "not verified"
        self.leaf_label.setText(f"Leaf {self.reviewed} · {state}{sure}")

    def closeEvent(self, event: Any) -> None:
        """Give the mouse back."""
        self.gestures.close()
        self.controller.autosave()
        super().closeEvent(event)


_OPERATIONS: dict[str, Callable[[np.ndarray, int | None], Edit | None]] = {
    "delete": lambda labels, leaf: None if leaf is None else ops.delete(labels, leaf),
    "fill": ops.fill_holes,
    "smooth": ops.smooth,
    "largest": ops.keep_largest,
}


def _as_one(binding: LabelsBinding, edits: list[Edit]) -> Edit | None:
    """Edits that follow each other as a single one."""
    if not edits:
        return None
    after = binding.plane.copy()
    for edit in edits:
        edit.apply(after)
    rows = slice(min(e.box[0].start for e in edits), max(e.box[0].stop for e in edits))
    columns = slice(min(e.box[1].start for e in edits), max(e.box[1].stop for e in edits))
    return difference(binding.plane, (rows, columns), after[rows, columns], edits[0].tool)
