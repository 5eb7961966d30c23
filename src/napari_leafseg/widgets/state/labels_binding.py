"""A labels layer and its document: every change of the one is recorded in the other, ours and napari's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.notifications import show_error
from psygnal import Signal

from napari_leafseg._log import log_error
from napari_leafseg.editing.edit import LARGEST_NUMBER, Box, Edit, difference
from napari_leafseg.editing.history import Step
from napari_leafseg.errors import plain_reason
from napari_leafseg.project.document import Document
from napari_leafseg.project.files import ImageRef
from napari_leafseg.widgets.state.napari_private import atom_slices, end_stroke, forget_strokes, is_painting
from napari_leafseg.widgets.state.refresh import changed_box, show_region

_TUNE = "tune"


class LabelsBinding:
    """Labels of one image under correction.

    Attributes
    ----------
    ref : ImageRef, optional
        The project's entry that the document is written to; None while nothing keeps it.
    run : str
        Key of the prediction that the sliders tune; empty where none was made or kept.

    Signals
    -------
    changed(Step or None)
        Labels or marks are other than before.
    by_hand()
        A person changed something: it must not be lost.
    values_restored(dict)
        Sliders' values, when undo or redo brings their labels back.
    refused(array, str)
        A program put an array into the layer that cannot be the image's labels, and why; they are as before.
    """

    changed = Signal(object)
    by_hand = Signal()
    values_restored = Signal(dict)
    refused = Signal(object, str)

    def __init__(self, image: Image, layer: Labels, document: Document, dims: Any, ref: ImageRef | None = None) -> None:
        self.image, self.layer, self.document, self.ref = image, layer, document, ref
        self._dims = dims
        document.labels = layer.data
        self._base: np.ndarray | None = None
        self._drag: tuple[dict[str, float], dict[str, float]] = ({}, {})
        self.run = ""
        layer.events.paint.connect(self._painted)
        layer.events.data.connect(self._exchanged)
        layer.bind_key("Control-Z", lambda _layer: self.undo(), overwrite=True)
        layer.bind_key("Control-Shift-Z", lambda _layer: self.redo(), overwrite=True)

    @property
    def frame(self) -> int:
        """The frame on the screen; 0 for a single image."""
        if self.layer.ndim == 2:
            return 0
        place = self.layer.world_to_data(self._dims.point[-self.layer.ndim :])[0]
        return int(np.clip(round(float(place)), 0, len(self.layer.data) - 1))

    @property
    def plane(self) -> np.ndarray:
        """The labels on the screen, (H, W)."""
        return self.document.plane(self.frame)

    @property
    def locked(self) -> frozenset[int]:
        """Verified leaves on the screen."""
        return self.document.locked(self.frame)

    # -- changing ----------------------------------------------------------------------------------------------------

    def perform(self, edit: Edit | None, verify: bool = True) -> Step | None:
        """Make a tool's edit of the plane on the screen, record and show it."""
        self.end_tuning()
        if edit is None:
            return None
        if self.layer.ndim == 3:
            edit = replace(edit, frame=self.frame)
        return self._done(self.document.commit(edit, verify), verify)

    def verify(self, leaves: list[int], verified: bool) -> Step | None:
        """Lock or unlock leaves on the screen."""
        self.end_tuning()
        return self._done(self.document.set_verified([(self.frame, leaf) for leaf in leaves], verified), True)

    def verify_all(self) -> Step | None:
        """Lock every leaf of every frame."""
        self.end_tuning()
        frames = 1 if self.layer.ndim == 2 else len(self.layer.data)
        marks = [(frame, leaf) for frame in range(frames) for leaf in self.document.leaves(frame)]
        return self._done(self.document.set_verified(marks, True), True)

    def undo(self) -> Step | None:
        """Take back the last step, whatever made it."""
        self.end_tuning()
        return self._moved(self.document.undo(), "before")

    def redo(self) -> Step | None:
        """Make again what was taken back."""
        self.end_tuning()
        return self._moved(self.document.redo(), "parameters")

    def _moved(self, step: Step | None, which: str) -> Step | None:
        if step is not None and step.tool == _TUNE and step.info.get("run") == self.run:
            self.values_restored.emit(dict(step.info.get(which, {})))
        return self._done(step, True)

    def _done(self, step: Step | None, by_hand: bool) -> Step | None:
        if step is None:
            return None
        for edit in step.edits:
            show_region(self.layer, self._full_box(edit))
        self.changed.emit(step)
        if by_hand:
            self.by_hand.emit()
        return step

    def _full_box(self, edit: Edit) -> tuple[slice, ...]:
        return edit.box if self.layer.ndim == 2 else (slice(edit.frame or 0, (edit.frame or 0) + 1), *edit.box)

    # -- the model's labels ------------------------------------------------------------------------------------------

    def show_tuned(
        self,
        labels: np.ndarray,
        box: tuple[slice, ...] | None,
        before: dict[str, float],
        values: dict[str, float],
    ) -> None:
        """Put labels of other parameters on the screen; a drag of a slider becomes one step when it ends.

        Parameters
        ----------
        labels : numpy.ndarray
        box : tuple of slice or None
            Where they differ from what is shown.
        before, values : dict
            The sliders' values until now, and those of `labels`.
        """
        if box is None:
            if self._base is not None:  # redo brings back where the sliders came to rest
                self._drag = (self._drag[0], dict(values))
            return
        if self._base is None:
            self._base = self.layer.data.copy()
            self._drag = (dict(before), {})
        self._drag = (self._drag[0], dict(values))
        self.layer.data[box] = labels[box]
        show_region(self.layer, box)
        self.changed.emit(None)

    def end_tuning(self) -> Step | None:
        """Record what the sliders did since the last step."""
        base, self._base = self._base, None
        if base is None:
            return None
        before, values = self._drag
        return self._record_change(base, _TUNE, {"run": self.run, "before": before, "parameters": values})

    @property
    def unfinished(self) -> bool:
        """Whether the labels hold something that is no step yet: part of a stroke, or of a slider's drag."""
        return self._base is not None or is_painting(self.layer)

    def finish(self) -> None:
        """Make steps of what is under way, as nothing may come after."""
        end_stroke(self.layer)
        self.end_tuning()

    def replace(self, labels: np.ndarray, tool: str, info: Mapping[str, Any] | None = None) -> Step | None:
        """Put a new prediction's labels on the screen as one step; `info` names the prediction, see `Step`."""
        self.end_tuning()
        self.run = str((info or {}).get("run", ""))
        before = self.layer.data.copy()
        box = changed_box(before, labels)
        if box is not None:
            self.layer.data[box] = labels[box]
            show_region(self.layer, box)
        step = self._record_change(before, tool, info)
        self.changed.emit(step)
        return step

    def _record_change(self, before: np.ndarray, tool: str, info: Mapping[str, Any] | None) -> Step | None:
        now = self.layer.data
        edits = _differences(before, now, tool)
        if not edits and tool == _TUNE:  # back where it began
            return None
        return self.document.commit_all(tool, edits, verify=False, made=True, info=info)

    # -- napari's brush ----------------------------------------------------------------------------------------------

    def _painted(self, event: Any) -> None:
        """A stroke, fill, erasure or polygon of napari's own: record it as a step."""
        try:
            if self._base is not None:
                with self._as_before(event.value):
                    self.end_tuning()
            edits = edits_of_atoms(self.layer.data, event.value)
            if not edits:
                return
            step = self.document.commit_all("paint", edits)  # napari tells of some strokes just before it makes them
        except Exception as error:  # as when memory ran out: the pixels are kept all the same
            log_error(error)
            show_error(f"This stroke is kept, but cannot be undone: {plain_reason(error)}.")
            self.document.changed = True
            self.by_hand.emit()
            return
        finally:
            forget_strokes(self.layer)
        self.changed.emit(step)
        self.by_hand.emit()

    def _exchanged(self, _event: Any) -> None:
        """Another array was put into the layer, by a program or napari's menu: what is different is a step."""
        document, array = self.document, self.layer.data
        if array is document.labels:
            return
        problem = _why_no_labels(array, document.labels.shape)
        if problem:
            self.layer.data = document.labels
            self.refused.emit(array, problem)
            return
        self.end_tuning()
        now = np.asarray(array).astype(np.uint16)
        step = document.commit_all("replace", _differences(document.labels, now, "replace"))
        self.layer.data = document.labels
        if step is not None:
            self.changed.emit(step)
            self.by_hand.emit()

    @contextmanager
    def _as_before(self, atoms: list[Any]) -> Iterator[None]:
        """The labels without a stroke that was painted before the sliders' step was recorded."""
        edits = edits_of_atoms(self.layer.data, atoms)
        for edit in edits:
            edit.revert(self.layer.data)
        yield
        for edit in edits:
            edit.apply(self.layer.data)


def _why_no_labels(array: Any, shape: tuple[int, ...]) -> str:
    """Say why an array cannot be an image's labels; empty where it can."""
    if tuple(array.shape) != tuple(shape):
        return f"it has the shape {tuple(array.shape)}, the image {tuple(shape)}"
    low, high = int(np.min(array, initial=0)), int(np.max(array, initial=0))
    if low >= 0 and high <= LARGEST_NUMBER:
        return ""
    return f"it holds numbers from {low} to {high}, and leaves have 1 to {LARGEST_NUMBER:,}"


def _differences(before: np.ndarray, after: np.ndarray, tool: str) -> list[Edit]:
    """What makes other labels of labels, frame by frame."""
    planes = [(None, before, after)] if after.ndim == 2 else [(t, before[t], after[t]) for t in range(len(after))]
    found = [(frame, difference(old, None, new, tool)) for frame, old, new in planes]
    return [replace(edit, frame=frame) for frame, edit in found if edit is not None]


def edits_of_atoms(labels: np.ndarray, atoms: list[Any]) -> list[Edit]:
    """Convert what napari's history says of a stroke to edits: one, or in a series one of each frame that it reached.

    Parameters
    ----------
    labels : numpy.ndarray
        (H, W) or (T, H, W), before the stroke or after it.
    atoms : list
        As `Labels.events.paint` gives them: index tuples with old and new values, or boxes with a mask.
    """
    spans = [_span(atom) for atom in atoms]
    if not spans:
        return []
    low = np.min([span[0] for span in spans], axis=0)
    high = np.max([span[1] for span in spans], axis=0)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    before = np.array(labels[box])
    for atom in reversed(atoms):
        _put(before, low, atom, old=True)
    after = before.copy()
    for atom in atoms:
        _put(after, low, atom, old=False)
    if labels.ndim == 2:
        found = [_trimmed((box[0], box[1]), before, after, None)]
    else:  # a brush of three dimensions reaches several frames
        frames = range(box[0].start, box[0].stop)
        planes = zip(frames, before, after, strict=True)
        found = [_trimmed((box[1], box[2]), old, new, frame) for frame, old, new in planes]
    return [edit for edit in found if edit is not None]


def _trimmed(box: Box, before: np.ndarray, after: np.ndarray, frame: int | None) -> Edit | None:
    edit = difference(before, None, after, "paint")
    if edit is None:
        return None
    rows, columns = (
        slice(outer.start + inner.start, outer.start + inner.stop) for outer, inner in zip(box, edit.box, strict=True)
    )
    return replace(edit, box=(rows, columns), frame=frame)


def _span(atom: Any) -> tuple[np.ndarray, np.ndarray]:
    key = atom_slices(atom)
    if key is not None:
        return np.array([span.start for span in key]), np.array([span.stop for span in key])
    indices = atom[0]
    return np.array([axis.min() for axis in indices]), np.array([axis.max() + 1 for axis in indices])


def _put(window: np.ndarray, low: np.ndarray, atom: Any, old: bool) -> None:
    """Write the old or the new values of an atom into a window whose first pixel is `low`."""
    key = atom_slices(atom)
    if key is None:
        indices, old_values, new_values = atom
        place = tuple(axis - start for axis, start in zip(indices, low, strict=True))
        window[place] = old_values if old else new_values
        return
    part = window[tuple(slice(span.start - s, span.stop - s) for span, s in zip(key, low, strict=True))]
    part[... if atom.mask is None else atom.mask] = atom.old_values if old else atom.new_value
