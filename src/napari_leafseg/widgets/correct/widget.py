"""The *Correct* dock widget: tools on the canvas, undo, and the review."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from napari.viewer import ViewerModel
from qtpy.compat import isalive
from qtpy.QtWidgets import QWidget

from napari_leafseg.editing import operations as ops
from napari_leafseg.editing import tools
from napari_leafseg.editing.edit import Edit, difference, leaf_at
from napari_leafseg.widgets.common.controls import allow
from napari_leafseg.widgets.correct.form import LEAF_ACTIONS, CorrectForm
from napari_leafseg.widgets.correct.keys import ACCEPT_KEY, NEXT_KEY, KeyBar, TypingWatch, bind_to_layer, words_for
from napari_leafseg.widgets.correct.neighbors import NeighborOffer
from napari_leafseg.widgets.correct.review import Review
from napari_leafseg.widgets.correct.tool_controller import GROWING, ToolController
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.napari_private import main_window, native_canvas
from napari_leafseg.widgets.state.overlays import Marks
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.shortcuts import Keys

_NO_TOOL = "No tool is chosen: drag to move the image, Ctrl+click a leaf that is missing."
_NOTHING = "Nothing to correct here yet: press Run in Segment, or choose “Add leaf” and click a leaf."


class CorrectWidget(CorrectForm):
    """Steers the correction of the image that the user looks at.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari fills it in by this name.
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.tools = ToolController(self.session, self)
        self.review = Review(self.session, self.controller, self)
        self.neighbors = NeighborOffer(self.session, self.controller, self)
        self.room.addWidget(self.neighbors)
        canvas = native_canvas(self.viewer)
        self.key_bar = None if canvas is None else KeyBar(canvas)
        self._connect()
        self.angle_box.setValue(preferences.angle)
        self._refresh()

    def _connect(self) -> None:
        for tool in tools.TOOLS:
            self.tool_buttons[tool.name].clicked.connect(lambda _on, tool=tool: self.tools.choose(tool))
            self.bind_key(f"tool_{tool.name}", partial(self.tools.choose, tool))
        for name, _label, _help in LEAF_ACTIONS:
            self.bind_key(f"leaf_{name}", partial(self.act, name))
            if name in self.action_buttons:
                self.action_buttons[name].clicked.connect(lambda _on, name=name: self.act_on_all(name))
        self.undo_button.clicked.connect(self.undo)
        self.redo_button.clicked.connect(self.redo)
        for name, job in (
            ("next", lambda: self.review.step(1)), ("previous", lambda: self.review.step(-1)),
            ("accept", self.review.accept), ("discard", self.review.discard),
        ):  # fmt: skip
            self.review_buttons[name].clicked.connect(lambda _on=False, job=job: job())
            self.bind_key(f"review_{name}", job)
        self.typing_watch = TypingWatch(main_window(self.viewer), self)
        self.viewer.bind_key(ACCEPT_KEY, lambda _viewer: self._accept_image(), overwrite=True)
        self.viewer.bind_key(NEXT_KEY, self._space, overwrite=True)
        self.listen(Keys.of(self.session).changed, self._keys_changed)
        for binding in self.session.bindings():
            self._bind_layer(binding)
        self.listen(self.session.labels_bound, self._bind_layer)
        self.done_button.clicked.connect(self.review.set_done)
        self.region_button.clicked.connect(self.review.set_region)
        self.least_button.clicked.connect(self.review.least_certain_image)
        self.filter_box.currentIndexChanged.connect(self._filter_changed)
        self.tools.told.connect(self.hint.setText)
        self.tools.angle_wanted.connect(self.angle_box.setValue)
        for part in (self.tools, self.review, self.neighbors):
            part.changed.connect(self._refresh)
        self.angle_slider.valueChanged.connect(self.angle_box.setValue)
        self.angle_box.valueChanged.connect(self._angle_changed)
        self.listen(self.viewer.layers.selection.events.active, self._layer_chosen)
        self.listen(self.viewer.layers.events.removed, self._layer_chosen)
        self.listen(self.session.corrected, self._corrected)
        self.listen(self.session.layer_state_changed, self._state_changed)

    def _keys_changed(self) -> None:
        if self.key_bar is not None and not isalive(self.key_bar):
            return  # the viewer was closed
        if self.key_bar is not None:
            self.key_bar.list_keys()
        self._refresh()

    def _filter_changed(self, _index: int) -> None:
        self.review.shown = self.filter_box.currentData()
        self._refresh()

    def _angle_changed(self, angle: float) -> None:
        self.angle_slider.blockSignals(True)
        self.angle_slider.setValue(round(angle))
        self.angle_slider.blockSignals(False)
        preferences.angle = angle
        self.tools.set_angle(angle)

    def _state_changed(self, _layer: Any) -> None:
        self._refresh()

    def _bind_layer(self, binding: LabelsBinding) -> None:
        """Take *Enter*, which napari gives to polygons that are drawn in labels layers."""
        bind_to_layer(binding.layer, ACCEPT_KEY, self._accept_image)

    def _accept_image(self) -> None:
        if not isalive(self) or self.typing_watch.typing:
            return
        if self.neighbors.proposing:
            self.neighbors.take()
        else:
            self.review.accept_image()

    def _space(self, viewer: ViewerModel) -> Iterator[None]:
        """Go to the next leaf; with one of napari's brushes in hand, move the view while the key is held, as ever."""
        layer = viewer.layers.selection.active
        if layer is None or layer.mode == "pan_zoom":
            if isalive(self):
                self.review.step(1)
            return
        mode, layer.mode = layer.mode, "pan_zoom"
        yield
        layer.mode = mode

    # -- what is on the screen ---------------------------------------------------------------------------------------

    @property
    def binding(self) -> LabelsBinding | None:
        """The labels of the image that the user looks at."""
        return self.session.focused_binding()

    def _layer_chosen(self, _event: Any = None) -> None:
        self.tools.follow()
        self._refresh()

    def _corrected(self, binding: LabelsBinding) -> None:
        self.review.corrected(binding)
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

    # -- one leaf ----------------------------------------------------------------------------------------------------

    def _leaf_under_mouse(self, binding: LabelsBinding) -> int:
        if self.tools.gestures.cursor is None:
            return 0
        y, x = binding.layer.world_to_data(self.tools.gestures.cursor)[-2:]
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
            self.tools.report(binding.perform(_OPERATIONS[name](binding.plane, leaf)))
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
            self.tools.adding = None
            self.binding.undo()
            self._refresh()

    def redo(self) -> None:
        """Make it again."""
        if self.binding is not None:
            self.binding.redo()
            self._refresh()

    # -- the window --------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        image, binding, tool = self.session.focus(), self.binding, self.tools.tool
        for name, button in self.tool_buttons.items():
            button.setChecked(tool is not None and tool.name == name)
            allow(button, "" if image is not None else "Open an image first.")
        history = None if binding is None else binding.document.history
        undoable, redoable = (None, None) if history is None else (history.undoable, history.redoable)
        allow(self.undo_button, "" if undoable is not None else "Nothing was changed yet.")
        allow(self.redo_button, "" if redoable is not None else "Nothing was taken back.")
        self.undo_button.setText("↶ Undo" if undoable is None else f"↶ Undo {_in_words(undoable.tool)}")
        self.redo_button.setText("↷ Redo" if redoable is None else f"↷ Redo {_in_words(redoable.tool)}")
        for button in (
            *self.action_buttons.values(),
            *self.review_buttons.values(),
            self.done_button,
            self.region_button,
        ):
            allow(button, "" if binding is not None else _NOTHING)
        growing = tool is not None and tool.gesture in GROWING
        for widget in (self.angle_label, self.angle_slider, self.angle_box):
            widget.setEnabled(growing)
        if tool is not None and not self.tools.clicks and not self.hint.text().startswith("Nothing was"):
            self.hint.setText(tool.help)
        elif tool is None:
            self.hint.setText(_NO_TOOL if binding is not None else _NOTHING)
        self.image_label.setText(image.name if image is not None else "No image is open.")
        if self.key_bar is not None and isalive(self.key_bar):
            leaves = 0 if binding is None else self.session.record(binding.image).count
            words = words_for(leaves, self.review.reviewed, self.tools.widens, "" if tool is None else tool.help)
            words = ["Enter take the shape", "Esc leave it"] if self.neighbors.proposing else words
            self.key_bar.say([] if image is None else words)
        self.progress_label.setText("" if image is None else str(self.review.progress()))
        if binding is None:
            self.leaf_label.setText("")
            return
        self.done_button.setChecked(self.controller.state(binding) == "done")
        self.leaf_label.setText(self.review.describe(binding))

    def closeEvent(self, event: Any) -> None:
        """Give the mouse back."""
        self.tools.gestures.close()
        self.tools.quick.close()
        if self.key_bar is not None:
            self.key_bar.close_both()
            self.key_bar = None
        self.controller.autosave()
        super().closeEvent(event)


def _in_words(tool: str) -> str:
    """What a step did, as its button calls it: a run of a model, or a tool."""
    model = tool.removeprefix("segment with ")
    return tool if model == tool else f"Run of “{model}”"


_OPERATIONS: dict[str, Callable[[np.ndarray, int | None], Edit | None]] = {
    "delete": lambda labels, leaf: None if leaf is None else ops.delete(labels, leaf),
    "fill": ops.fill_holes,
    "smooth": ops.smooth,
    "largest": ops.keep_largest,
}
