"""The tool in hand: which one it is, and what it makes of clicks, strokes and the wheel."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject, Signal

from napari_leafseg._counts import counted
from napari_leafseg.editing import operations as ops
from napari_leafseg.editing import tools
from napari_leafseg.editing.edit import Edit, difference, leaf_at
from napari_leafseg.errors import UserError
from napari_leafseg.project.document import Document
from napari_leafseg.widgets.correct.gestures import Gestures
from napari_leafseg.widgets.correct.quick import QuickClicks
from napari_leafseg.widgets.correct.scene import make_scene
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.session import Session, labels_shape
from napari_leafseg.widgets.state.shortcuts import shown_keys

_WHEEL = 3.0  # degrees a step
GROWING = {"click", "box"}  # gestures whose leaf follows the angle
_GROWN = {"add", "box"}


class ToolController(QObject):
    """Hold the chosen tool and apply it to the image that the user looks at.

    Parameters
    ----------
    session : Session
    parent : QObject

    Signals
    -------
    changed()
        Another tool was chosen, or a tool was used.
    told(str)
        What to do next, or why nothing happened.
    angle_wanted(float)
        The wheel asks for another growing angle.
    """

    changed = Signal()
    told = Signal(str)
    angle_wanted = Signal(float)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self.session, self.viewer = session, session.viewer
        self.gestures = Gestures(self.viewer, self._gesture, self._wheel)
        self.quick = QuickClicks(self.viewer, self._quick)
        self.tool: tools.Tool | None = None
        self.adding: tools.Adding | None = None
        self._added_to: LabelsBinding | None = None
        self.angle = preferences.angle
        self.clicks: list[np.ndarray] = []

    def follow(self) -> None:
        """Go with the tool to the labels of another image."""
        binding = self.session.focused_binding()
        if self.tool is not None and (binding is None or self.gestures.layer is not binding.layer):
            if binding is None:
                self.choose(None)
            else:
                self.gestures.start(binding.layer, self.tool.gesture)

    def choose(self, tool: tools.Tool | None) -> None:
        """Take a tool, or put it away when it is the chosen one."""
        image = self.session.focus()
        if self.tool is not None and self.tool.gesture == "cut" and tool is self.tool and len(self.clicks) > 1:
            self._part()
            return
        if tool is not None and tool is self.tool:
            tool = None
        if tool is not None and image is None:
            show_info("Open an image first.")
            tool = None
        self.adding, self.clicks = None, []
        self.tool = tool
        if tool is None:
            self.gestures.stop()
        else:
            assert image is not None
            binding = self.session.focused_binding() or self._begin(image)
            self.viewer.layers.selection.active = binding.layer
            self.gestures.start(binding.layer, tool.gesture)
        self.changed.emit()

    def _begin(self, image: Image) -> LabelsBinding:
        """Labels for an image that was not segmented."""
        return layers.add_labels(self.session, image, Document(np.zeros(labels_shape(image), np.uint16)))

    def _gesture(self, points: np.ndarray, click: bool, shift: bool) -> None:
        binding, tool = self.session.focused_binding(), self.tool
        if binding is None or tool is None:
            return
        try:
            if shift and click and tool.gesture in GROWING:
                self._take_off(binding, points[0])
            else:
                self._use(tool, binding, points, click)
        except UserError as error:
            show_error(str(error))
        self.changed.emit()

    def _use(self, tool: tools.Tool, binding: LabelsBinding, points: np.ndarray, click: bool) -> None:
        binding.end_tuning()
        if tool.gesture == "click":
            inside = (points >= 0).all(1) & (points <= np.array(binding.plane.shape) - 1).all(1)
            if not inside.any():
                return
            self.report(self._add(binding, points[inside]))
            return
        if tool.gesture == "box" and not click:
            made = tools.add_in_box(make_scene(self.session, binding), points[[0, -1]], self.angle)
            self.report(self._grow(binding, made))
            return
        if click and tool.gesture == "cut":
            self.clicks.append(points[0])
            key = shown_keys(f"tool_{tool.name}") or "the tool"
            self.told.emit(f"{counted(len(self.clicks), 'point')}. Click in each part, then press {key} to split.")
            if len(self.clicks) == 2:
                self._part()
            return
        if click:
            self.told.emit(tool.help)
            return
        step = None if tool.make is None else tool.make(make_scene(self.session, binding), points)
        if isinstance(step, list):
            step = _as_one(binding, step)
        self.report(binding.perform(step))

    def _add(self, binding: LabelsBinding, points: np.ndarray) -> Any:
        return self._grow(binding, tools.add(make_scene(self.session, binding), points, self.angle))

    def _grow(self, binding: LabelsBinding, adding: tools.Adding) -> Any:
        self.adding, self._added_to = adding, binding
        return binding.perform(adding.edit)

    def _take_off(self, binding: LabelsBinding, point: np.ndarray) -> None:
        """Take what a click belongs to off the leaf that was just added; both remain one step."""
        adding = self.adding
        if adding is None or not self.widens:
            self.told.emit("Nothing was changed. Add a leaf first; then Shift + click what is not part of it.")
            return
        if adding.edit is not None:
            binding.undo()
        step = self._grow(binding, tools.take_off(make_scene(self.session, binding), adding, point, self.angle))
        if step is None:
            self.told.emit("Nothing was left of the leaf: widen it (Shift + wheel), or add it anew.")

    def _quick(self, key: str, place: tuple[float, ...]) -> None:
        """Add or part a leaf, or remove it, where somebody clicked with a key held."""
        image = self.session.focus()
        if image is None:
            return
        binding = self.session.focused_binding() or self._begin(image)
        point = np.array(binding.layer.world_to_data(place)[-2:], float)
        if (point < -0.5).any() or (point > np.array(binding.plane.shape) - 0.5).any():
            return
        point = np.clip(point, 0, np.array(binding.plane.shape) - 1)
        binding.end_tuning()
        leaf = leaf_at(binding.plane, *point)
        try:
            if key == "Alt":
                step = binding.perform(ops.delete(binding.plane, leaf)) if leaf else None
                words = "There is no leaf to remove."
            else:
                step = self._add(binding, point[None])
                words = f"Leaf {leaf} is verified: unlock it first (U)." if leaf else "No leaf was found there."
        except UserError as error:
            show_error(str(error))
            return
        self.changed.emit()  # which tells of the tool in hand
        if step is None and (key == "Alt" or not self._refused()):
            self.told.emit(words)

    def _part(self) -> None:
        """Part the leaf between the clicks."""
        binding, clicks = self.session.focused_binding(), np.array(self.clicks)
        self.clicks = []
        if binding is not None:
            self.report(binding.perform(tools.split_points(make_scene(self.session, binding), clicks)))

    def report(self, step: Any) -> None:
        """Say where a tool changed nothing."""
        if step is None and not self._refused() and self.tool is not None:
            self.told.emit(f"Nothing was changed. {self.tool.help}")

    def _refused(self) -> bool:
        """Tell why what just grew is not taken for a leaf; false where that is not the reason."""
        words = "" if self.adding is None else self.adding.refused
        if words:
            show_info(words)  # the click may come while another tab is shown
            self.told.emit(words)
        return bool(words)

    def _wheel(self, steps: float) -> bool:
        if (self.tool is None or self.tool.gesture not in GROWING) and not self.widens:
            return False
        self.angle_wanted.emit(self.angle + _WHEEL * float(np.sign(steps)))
        return True

    @property
    def widens(self) -> bool:
        """Whether the wheel changes a leaf that was just added."""
        binding = self.session.focused_binding()
        if self.adding is None or self.adding.growth is None or binding is None or binding is not self._added_to:
            return False
        last = binding.document.history.undoable
        return self.adding.edit is None or (last is not None and last.tool in _GROWN)

    def set_angle(self, angle: float) -> None:
        """Grow by another angle; the leaf that was just added follows."""
        self.angle = angle
        binding, adding = self.session.focused_binding(), self.adding
        if binding is None or adding is None or not self.widens:
            self.adding = None
            return
        before = adding.edit
        if before is not None:
            binding.undo()
        edit = adding.at(make_scene(self.session, binding), angle)
        if adding.refused and before is not None:
            adding.edit = edit = before  # the leaf stays as it was
        binding.perform(edit)
        self._refused()


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
