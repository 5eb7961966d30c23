"""A leaf that was corrected is offered on the days before and after: a line that leads there, and its shape."""

from __future__ import annotations

import logging
import re
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Layer
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_leafseg._opencv import cv2
from napari_leafseg.editing.edit import Edit
from napari_leafseg.editing.history import Step
from napari_leafseg.pipelines.neighbors import SameLeaf, SeriesImage, propose_shape, same_leaves
from napari_leafseg.widgets.common.controls import burst_timer, listen, push_button, wrapped_label
from napari_leafseg.widgets.common.leaf_finder import LeafFinder
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.image_record import ListedImage, ReviewState
from napari_leafseg.widgets.state.known_images import ExperimentStore
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.napari_private import native_canvas
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session
from napari_leafseg.widgets.state.workers import start_worker

_LOG = logging.getLogger(__name__)
_BY_MODEL = ("segment", "tune", "shape of")  # steps that are no correction by a person
_KIND = "proposal"
_COLORS, _WIDTHS = ("black", "white"), (2.4, 1.0)  # no leaf has these colors, see `PALETTE`


class NeighborOffer(QWidget):
    """Offer a corrected leaf on its neighboring days, and there its shape, which Enter takes and Esc leaves.

    Parameters
    ----------
    session : Session
    controller : ProjectController
    parent : QWidget

    Signals
    -------
    changed()
        Something else is offered or proposed.
    """

    changed = Signal()

    def __init__(self, session: Session, controller: ProjectController, parent: QWidget) -> None:
        super().__init__(parent)
        self.session, self.controller = session, controller
        self.finder = LeafFinder(session, self)
        self.finder.arrived.connect(self._arrived)
        self._corrected: tuple[ListedImage, int, int] | None = None  # image, leaf, number of the step
        self._step: Step | None = None  # which corrected it
        self._here: Layer | None = None  # the image that the line speaks of as “here”
        self._shape: np.ndarray | None = None
        self._asked_for: tuple[Path, int] | None = None
        self._growth = 1.0
        self._proposal: tuple[LabelsBinding, Edit] | None = None
        self._soon = burst_timer(self, self._look, 600)
        self._recolor = burst_timer(self, self._color_links, 0)
        self._build()
        canvas = native_canvas(session.viewer)
        if canvas is not None:
            canvas.installEventFilter(self)
        listen(session.corrected, self.corrected)
        listen(session.viewer.layers.selection.events.active, self._other_image)
        for signal in (session.images_changed, session.layer_state_changed):
            listen(signal, self._reviewed)

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.line = wrapped_label("neighbor_line")
        self.line.setTextFormat(Qt.TextFormat.RichText)
        flags = Qt.TextInteractionFlag
        self.line.setTextInteractionFlags(flags(flags.LinksAccessibleByMouse | flags.LinksAccessibleByKeyboard))
        self.line.linkActivated.connect(self._link)
        column.addWidget(self.line)
        row = QHBoxLayout()
        self.take_button = push_button("take_shape", "Take it (Enter)", self.take)
        self.leave_button = push_button("leave_shape", "Leave it (Esc)", self.leave)
        row.addWidget(self.take_button)
        row.addWidget(self.leave_button)
        column.addLayout(row)
        self.offer_box = QCheckBox("Offer a corrected leaf on its neighboring days")
        self.offer_box.setObjectName("offer_neighbors")
        self.offer_box.setToolTip(
            "After a correction: a link to the same leaf the day before and after, and there its shape to take or leave"
        )
        self.offer_box.setChecked(preferences.offer_neighbors)
        self.offer_box.toggled.connect(self._offered)
        column.addWidget(self.offer_box)
        self._found: list[SameLeaf] = []
        self._say("")

    def _offered(self, wanted: bool) -> None:
        preferences.offer_neighbors = wanted
        if not wanted:
            self.leave()

    def _say(self, text: str) -> None:
        self.line.setText(text)
        self.line.setVisible(bool(text))
        for button in (self.take_button, self.leave_button):
            button.setVisible(self._proposal is not None)
        self.changed.emit()

    # -- what was corrected ------------------------------------------------------------------------------------------

    def corrected(self, binding: LabelsBinding) -> None:
        """Remember a leaf that a person corrected."""
        history, entry = binding.document.history, self.session.entry_of(binding.image)
        step = history.undoable
        gone = self._corrected is not None and self._corrected[0] is entry and self._step is not step
        if self._proposal is not None or gone:
            self.leave()
        if step is None or history.redoable is not None or entry is None or binding.document.labels.ndim != 2:
            return
        if not preferences.offer_neighbors:
            return
        leaves = {leaf for edit in step.edits for leaf in edit.gained}
        if not 1 <= len(leaves) <= 2 or step.tool.startswith(_BY_MODEL):
            return
        plane = binding.plane
        leaf = max(leaves, key=lambda one: np.count_nonzero(plane == one))
        self._corrected, self._step = (entry, leaf, binding.document.number), step
        self._soon.start()

    def _look(self) -> None:
        """Look for the leaf on the neighboring days, in a thread."""
        if self._corrected is None:
            return
        entry, leaf, number = self._corrected
        image = self.session.layer_of(entry)
        binding = None if image is None else self.session.binding(image)
        if binding is None or binding.document.number != number:
            return
        self._shape = binding.plane == leaf
        listed = list(self.session.images)
        known = ExperimentStore.of(self.session).known().all()
        images = [self._image(one, known[one.path], one is entry) for one in listed]
        project = self.controller.project
        start_worker(
            same_leaves, images, listed.index(entry), leaf, None if project is None else project.folder,
            on_result=partial(self._show, entry, leaf, number), on_error=self._failed, owner=self,
        )  # fmt: skip

    def _image(self, entry: ListedImage, described: Any, own: bool) -> SeriesImage:
        project, layer = self.controller.project, self.session.layer_of(entry)
        ref = None if project is None else project.find(entry.path)
        binding, read = None if layer is None else self.session.binding(layer), None
        if (own or entry.review is not ReviewState.DONE) and binding is not None and binding.document.labels.ndim == 2:
            read = binding.document.labels.copy().copy
        elif entry.review is not ReviewState.DONE and project is not None and ref is not None and entry.has_leaves:
            read = partial(project.read_labels, ref)
        return SeriesImage(entry.path, [str(entry.path)] if ref is None else [ref.id, str(entry.path)], described, read)

    def _failed(self, error: Exception) -> None:
        _LOG.warning("A corrected leaf could not be looked for on its neighboring days: %s", error)

    def _show(self, entry: ListedImage, leaf: int, number: int, found: list[SameLeaf]) -> None:
        if self._corrected != (entry, leaf, number) or self._proposal is not None:
            return
        self._found = [one for one in found if not self._is_reviewed(one.path)]
        self._offer(entry, leaf)

    def _offer(self, entry: ListedImage, leaf: int) -> None:
        """Say where the leaf may be looked at."""
        found = self._found
        links = ", ".join(self._as_link(str(at), one.day) for at, one in enumerate(found))
        no = self._as_link("no", "not now")
        self._say(
            f"Leaf {leaf} of {escape(entry.path.stem)} was corrected. Look at it on {links}, or {no}." if found else ""
        )

    def _is_reviewed(self, path: Path) -> bool:
        return any(one.path == path and one.review is ReviewState.DONE for one in self.session.images)

    def _reviewed(self, _what: Any = None) -> None:
        """Offer what was reviewed meanwhile no more, and propose nothing there."""
        if self._proposal is not None:
            entry = self.session.entry_of(self._proposal[0].image)
            if entry is not None and self._is_reviewed(entry.path):
                self.leave()
        elif self._corrected is not None and self._here is None and self._found:
            open_ones = [one for one in self._found if not self._is_reviewed(one.path)]
            if open_ones != self._found:
                self._found = open_ones
                self._offer(*self._corrected[:2])

    def _as_link(self, where: str, words: str) -> str:
        """A link in the color of the text, as that of links is not seen on dark ground."""
        return f'<a href="{where}" style="color: {self._ink()}">{escape(words)}</a>'

    def _ink(self) -> str:
        return self.line.palette().color(QPalette.ColorRole.WindowText).name()

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme with the color of the links."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self._recolor.start()

    def _color_links(self) -> None:
        text = re.sub("color: #[0-9a-f]+", f"color: {self._ink()}", self.line.text())
        if text != self.line.text():
            self.line.setText(text)

    # -- going there -------------------------------------------------------------------------------------------------

    def _link(self, where: str) -> None:
        if where == "no":
            self.leave()
            return
        one = self._found[int(where)]
        entry = next((item for item in self.session.images if item.path == one.path), None)
        if self._is_reviewed(one.path):
            self._say(f"{escape(one.path.stem)} is reviewed: its leaves stay as they are.")
            return
        self._asked_for, self._growth = (one.path, one.leaf), one.growth
        self.finder.go_to_leaf(entry, one.leaf, one.path.name)

    def _arrived(self, binding: LabelsBinding, leaf: int) -> None:
        """Propose the shape of the corrected leaf, as the person came here for it."""
        entry = self.session.entry_of(binding.image)
        if entry is None or self._asked_for != (entry.path, leaf) or self._shape is None:
            return
        self._asked_for, self._here = None, binding.image
        same = self._shape.shape == binding.plane.shape
        edit = propose_shape(binding.plane, leaf, self._shape, binding.locked, self._growth) if same else None
        if edit is None:
            self._say(f"This is leaf {leaf} here.")
            return
        self._draw(binding, leaf, edit)
        self._proposal = binding, edit
        self._say(f"This is leaf {leaf} here. In white: the shape that was corrected.")

    def _draw(self, binding: LabelsBinding, leaf: int, edit: Edit) -> None:
        after = binding.plane.copy()
        edit.apply(after)
        lines, _ = cv2.findContours((after == leaf).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        outlines = [np.concatenate([line, line[:1]])[:, 0, ::-1] for line in lines if len(line) > 2]
        viewer, active = self.session.viewer, self.session.viewer.layers.selection.active
        colors = [color for color in _COLORS for _ in outlines]  # the dark edge below the line
        width = max(0.5, 1.5 / viewer.camera.zoom)
        viewer.add_shapes(
            outlines * len(_COLORS), shape_type="path", edge_color=colors, face_color="transparent",
            edge_width=[share * width for share in _WIDTHS for _ in outlines], name=f"{binding.image.name} {_KIND}",
            metadata=self.session.mark(binding.image, _KIND), **layers.geometry(binding.image, 2),
        )  # fmt: skip
        viewer.layers.selection.active = active

    # -- taking it ---------------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take Esc on the canvas while a shape is proposed; napari's layers have a use of their own for it."""
        pressed = event is not None and event.type() == QEvent.Type.KeyPress
        if pressed and self._proposal is not None and getattr(event, "key", int)() == Qt.Key.Key_Escape:
            self.leave()
            return True
        return super().eventFilter(watched, event)

    @property
    def proposing(self) -> bool:
        """Whether a shape waits for Enter or Esc."""
        return self._proposal is not None

    def take(self) -> None:
        """Give the leaf the shape; one step, which can be undone."""
        if self._proposal is not None:
            binding, edit = self._proposal
            self.leave()
            binding.perform(edit)

    def leave(self) -> None:
        """Leave the leaf as it is, and say no more of it."""
        proposal, self._proposal, self._corrected, self._asked_for = self._proposal, None, None, None
        self._step = self._here = None
        self._soon.stop()
        self._say("")
        if proposal is not None:
            layers.hide_overlay(self.session, proposal[0].image, _KIND)
            if self.session.viewer.layers.selection.active is None and proposal[0].layer in self.session.viewer.layers:
                self.session.viewer.layers.selection.active = proposal[0].layer

    def _other_image(self, _event: Any = None) -> None:
        if self._here is not None and self.session.focus() is not self._here:
            self.leave()
