"""The tool in hand: which one it is, and what it makes of clicks, strokes and the wheel."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject, Signal

from napari_leafseg.editing import tools
from napari_leafseg.editing.edit import Edit, difference
from napari_leafseg.errors import UserError
from napari_leafseg.project.document import Document
from napari_leafseg.widgets.correct.gestures import Gestures
from napari_leafseg.widgets.correct.scene import make_scene
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.session import Session, labels_shape

_WHEEL = 3.0  # degrees a step


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
        self.tool: tools.Tool | None = None
        self.adding: tools.Adding | None = None
        self.angle = preferences.angle
        self.clicks: list[np.ndarray] = []

    def follow(self) -> None:
        """Go with the tool to the labels of another image."""
        binding = self.session.focused_binding()
        if self.tool is not None and (binding is None or self.gestures.layer is not binding.layer):
            if binding is None:
                self.choose(None)
            else:
                self.gestures.start(binding.layer, self.tool.gesture == "loop")

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
            self.gestures.start(binding.layer, tool.gesture == "loop")
        self.changed.emit()

    def _begin(self, image: Image) -> LabelsBinding:
        """Labels for an image that was not segmented."""
        return layers.add_labels(self.session, image, Document(np.zeros(labels_shape(image), np.uint16)))

    def _gesture(self, points: np.ndarray, click: bool) -> None:
        binding, tool = self.session.focused_binding(), self.tool
        if binding is None or tool is None:
            return
        try:
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
            self.adding = tools.add(make_scene(self.session, binding), points[inside], self.angle)
            self.report(binding.perform(self.adding.edit))
            return
        if click and tool.gesture == "cut":
            self.clicks.append(points[0])
            self.told.emit(f"{len(self.clicks)} points. Click in each part, then press {tool.key} to split.")
            if len(self.clicks) == 2:
                self._part()
            return
        if click:
            self.told.emit(tool.help)
            return
        made = None if tool.make is None else tool.make(make_scene(self.session, binding), points)
        if isinstance(made, list):
            made = _as_one(binding, made)
        self.report(binding.perform(made))

    def _part(self) -> None:
        """Part the leaf between the clicks."""
        binding, clicks = self.session.focused_binding(), np.array(self.clicks)
        self.clicks = []
        if binding is not None:
            self.report(binding.perform(tools.split_points(make_scene(self.session, binding), clicks)))

    def report(self, step: Any) -> None:
        """Say where a tool changed nothing."""
        if step is None and self.tool is not None:
            self.told.emit(f"Nothing was changed. {self.tool.help}")

    def _wheel(self, steps: float) -> bool:
        if self.tool is None or self.tool.gesture != "click":
            return False
        self.angle_wanted.emit(self.angle + _WHEEL * float(np.sign(steps)))
        return True

    def set_angle(self, angle: float) -> None:
        """Grow by another angle; the leaf that was just added follows."""
        self.angle = angle
        binding, adding = self.session.focused_binding(), self.adding
        if binding is None or adding is None or adding.growth is None:
            return
        last = binding.document.history.undoable
        if adding.edit is not None and (last is None or last.tool != "add"):
            self.adding = None
            return
        if adding.edit is not None:
            binding.undo()
        binding.perform(adding.at(make_scene(self.session, binding), angle))


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
