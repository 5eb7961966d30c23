"""How leaves look: outlines or filled, colors in which neighbors differ, and what is known of each under the mouse."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from napari.utils.notifications import show_error
from psygnal import Signal
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer

from napari_leafseg.project.background import least_certain
from napari_leafseg.widgets.state.colors import color_leaves, find_neighbors, leaf_colors, reduced
from napari_leafseg.widgets.state.labels_binding import LabelsBinding
from napari_leafseg.widgets.state.napari_private import recolor, set_features
from napari_leafseg.widgets.state.outlines import Outlines
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.session import Session
from napari_leafseg.widgets.state.shortcuts import Keys
from napari_leafseg.widgets.state.workers import start_worker

_MOST_PIXELS = 250_000  # of a step whose leaves are found at once
_COLORS_AFTER, _FEATURES_AFTER = 40, 400  # milliseconds after the last change
_LOOKS: weakref.WeakKeyDictionary[Session, Look] = weakref.WeakKeyDictionary()


class Look(QObject):
    """Keep the look of a viewer's leaves up to date with their labels.

    Signals
    -------
    changed(bool)
        Leaves are drawn as outlines from now on, or filled.
    """

    changed = Signal(bool)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = weakref.ref(session)
        self._leaves: weakref.WeakKeyDictionary[LabelsBinding, LeafLook] = weakref.WeakKeyDictionary()
        session.prediction_restored.connect(self._told_more)
        session.labels_released.connect(self._release)
        session.viewer.dims.events.current_step.connect(self._frame_changed)
        Keys.of(session).bind("fill", self._press)

    @classmethod
    def of(cls, session: Session) -> Look:
        """Return the session's, made when it has none."""
        look = _LOOKS.get(session)
        if look is None:
            look = _LOOKS[session] = cls(session)
        return look

    @property
    def outline(self) -> bool:
        """Whether leaves are drawn as outlines."""
        return preferences.outline

    @outline.setter
    def outline(self, on: bool) -> None:
        preferences.outline = on
        for leaves in self._leaves.values():
            leaves.outlines.show(on)
        self.changed.emit(on)

    def _press(self, _key: str) -> None:
        self.toggle()

    def toggle(self) -> None:
        """Draw leaves as outlines where they are filled, and the other way round."""
        self.outline = not self.outline

    def take(self, binding: LabelsBinding) -> None:
        """Look after the labels of an image from now on."""
        session = self._session()
        if session is not None:
            self._leaves[binding] = LeafLook(session, binding, self)

    def _release(self, binding: LabelsBinding) -> None:
        """Let go of labels that leave the screen."""
        look = self._leaves.pop(binding, None)
        if look is not None:
            look.release()

    def of_binding(self, binding: LabelsBinding) -> LeafLook | None:
        """Return the look of an image's labels."""
        return self._leaves.get(binding)

    def mark(self, binding: LabelsBinding, leaf: int) -> None:
        """Draw a leaf in white, and no other, of this image or another; 0 draws none so."""
        for each, look in list(self._leaves.items()):
            if each is binding:
                look.outlines.show(reviewed=leaf)
            elif look.outlines.reviewed:
                look.outlines.show(reviewed=0)

    def _told_more(self, image: Any) -> None:
        session = self._session()
        binding = None if session is None else session.binding(image)
        if binding is not None and binding in self._leaves:
            self._leaves[binding].refresh()

    def _frame_changed(self, _event: Any = None) -> None:
        for binding, look in list(self._leaves.items()):
            if binding.layer.ndim > 2:
                look.refresh()


class LeafLook(QObject):
    """Color the leaves of one image, and fill its features; computed in workers, the newest labels win.

    Parameters
    ----------
    session : Session
    binding : LabelsBinding
    parent : QObject
    """

    def __init__(self, session: Session, binding: LabelsBinding, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._binding = weakref.ref(session), weakref.ref(binding)
        self.outlines = Outlines(session.viewer, binding.layer)
        self.colors: dict[int, int] = {}
        self._tracks: dict[tuple[int, int], int] = {}
        self._busy, self._again = set[str](), set[str]()
        self._stepped = False
        self._timers = {
            "colors": self._timer(_COLORS_AFTER, self._color), "features": self._timer(_FEATURES_AFTER, self._measure)
        }  # fmt: skip
        self._take_colors({})
        self.outlines.show(preferences.outline)
        binding.changed.connect(self.refresh)
        self.refresh()

    def _timer(self, milliseconds: int, action: Any) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(action)
        return timer

    @property
    def settled(self) -> bool:
        """Whether colors and features are those of the labels on the screen."""
        return not self._busy and not any(timer.isActive() for timer in self._timers.values())

    def refresh(self, step: Any = None) -> None:
        """Follow the labels, once a burst of changes has come to rest; with `step` somebody changed them."""
        self._stepped = self._stepped or step is not None
        if step is not None:
            self._doubt(step)
        for timer in self._timers.values() if isalive(self) else ():
            timer.start()

    def _doubt(self, step: Any) -> None:
        """Forget what was known of leaves that a step changed, until they are measured again."""
        binding = self._shown()
        if binding is None or "leaf" not in binding.layer.features:
            return
        edits = [edit for edit in step.edits if (edit.frame or 0) == binding.frame]
        table, large = binding.layer.features, any(edit.before.size > _MOST_PIXELS for edit in edits)
        changed = [] if large else sorted({leaf for edit in edits for leaf in edit.leaves})
        kept = table.iloc[:0] if large else table[~table["leaf"].isin(changed)]
        rows = dict.fromkeys(("index", "leaf"), changed)
        set_features(binding.layer, pd.concat([kept, pd.DataFrame(rows, dtype=int)], ignore_index=True))
        self._tell_status(binding)

    def _tell_status(self, binding: LabelsBinding) -> None:
        """Have napari's status bar say what is known now of the leaf under the mouse: it looks when the mouse moves."""
        session = self._session()
        if session is not None and session.viewer.layers.selection.active is binding.layer:
            session.viewer.update_status_from_cursor()

    def release(self) -> None:
        """Follow the labels no more."""
        for timer in self._timers.values():
            timer.stop()
        self.deleteLater()

    def tell_tracks(self, tracks: dict[tuple[int, int], int]) -> None:
        """Name the tracks of leaves in the features, by frame and leaf."""
        if tracks != self._tracks:
            self._tracks = tracks
            self._timers["features"].start()

    def _shown(self) -> LabelsBinding | None:
        """The binding as long as its layer is on the screen."""
        session, binding = self._session(), self._binding()
        gone = session is None or binding is None or binding.layer not in session.viewer.layers
        return None if gone else binding

    def _start(self, what: str, job: Any, *arguments: Any) -> None:
        self._busy.add(what)
        start_worker(
            job, *arguments, on_result=partial(self._done, what), on_error=lambda error: show_error(str(error)),
            owner=self, on_end=lambda _worker: self._ended(what),
        )  # fmt: skip

    def _ended(self, what: str) -> None:
        self._busy.discard(what)
        if what in self._again:
            self._again.discard(what)
            self._timers[what].start()

    def _done(self, what: str, result: Any) -> None:
        if self._shown() is None:
            return
        if what == "colors":
            self._take_colors(result)
        else:
            self._take_features(result)

    def _color(self) -> None:
        binding = self._shown()
        if binding is None:
            return
        if "colors" in self._busy:
            self._again.add("colors")
            return
        labels = binding.document.labels
        self._start("colors", _colors_job, reduced(labels), dict(self.colors))

    def _take_colors(self, colors: dict[int, int]) -> None:
        binding = self._binding()
        if binding is None or (colors == self.colors and colors):
            return
        self.colors = colors
        colormap = leaf_colors(colors)
        self.outlines.show(white=len(colormap.colors) - 1)
        recolor(binding.layer, colormap)

    def _measure(self) -> None:
        binding, session = self._shown(), self._session()
        if binding is None or session is None:
            return
        if "features" in self._busy:
            self._again.add("features")
            return
        prediction = session.record(binding.image).prediction
        tracks = {leaf: track for (at, leaf), track in self._tracks.items() if at == binding.frame}
        labels, frame = binding.document.labels, binding.frame
        told = binding.document.info.get("confidence")
        if labels.ndim == 3 and isinstance(told, list) and len(told) == len(labels):  # the other frames are known
            whole = None
        else:
            whole = labels.copy() if labels.ndim == 3 and prediction is not None else None
        self._start("features", features_job, binding.plane.copy(), prediction, tracks, frame, whole)

    def _take_features(self, found: Features) -> None:
        binding, session = self._binding(), self._session()
        if binding is None or session is None:
            return
        if found.frame == binding.frame:
            set_features(binding.layer, found.table)
            self._tell_status(binding)
        if found.confidence:
            _note_confidence(session, binding, found, self._stepped)


def _note_confidence(session: Session, binding: LabelsBinding, found: Features, stepped: bool) -> None:
    """Keep how certain the model is of leaves with their labels, and of the least certain one for the list."""
    document, record = binding.document, session.record(binding.image)
    told = [{str(leaf): value for leaf, value in frame.items()} for frame in found.confidence]
    before = document.info.get("confidence")
    if document.labels.ndim == 3 and len(told) == 1:
        told = [*before[: found.frame], *told, *before[found.frame + 1 :]] if isinstance(before, list) else told
    now = told if document.labels.ndim == 3 else told[0]
    document.info["confidence"] = now
    if now != before and stepped:  # looking at an image writes nothing
        document.changed = True
    sure = least_certain(now, document.verified)
    if sure != record.confidence:
        record.confidence = sure
        session.images_changed.emit()


def _colors_job(labels: np.ndarray, before: dict[int, int]) -> dict[int, int]:
    return color_leaves(find_neighbors(labels), before)


@dataclass(frozen=True)
class Features:
    """What is known of the leaves of a frame.

    Attributes
    ----------
    frame : int
    table : pandas.DataFrame
        What napari shows of the leaf under the mouse and in its table of features: a row a leaf.
    confidence : list of dict
        Confidence by leaf, of this frame or of all; empty where no prediction is at hand.
    """

    frame: int
    table: pd.DataFrame
    confidence: list[dict[int, float]]


def features_job(
    plane: np.ndarray, prediction: Any, tracks: dict[int, int], frame: int = 0, whole: np.ndarray | None = None
) -> Features:
    """Measure what is shown of leaves, and how certain the model is of them.

    Parameters
    ----------
    plane : numpy.ndarray
        (H, W).
    prediction : Prediction or None
        Of the image, all frames of it.
    tracks : dict of int to int
        Numbers of leaves that were followed over time, by leaf.
    frame : int
        Which frame `plane` is.
    whole : numpy.ndarray, optional
        (T, H, W); the confidence of all its leaves is wanted, not only of this frame's.
    """
    from napari_leafseg.traits import measure_leaves

    sure: list[dict[int, float]] = []
    if prediction is not None:
        from napari_leafseg.inference.confidence import leaf_confidence

        planes = [(frame, plane)] if whole is None else list(enumerate(whole))
        sure = [leaf_confidence(prediction.frames[at], labels) for at, labels in planes]
    if not plane.any():
        return Features(frame, pd.DataFrame({"index": np.zeros(0, int), "leaf": np.zeros(0, int)}), sure)
    confidence = None if not sure else sure[0 if whole is None else frame]
    measured = measure_leaves(plane, confidence=confidence)
    table = pd.DataFrame(
        {"index": measured["leaf"], "leaf": measured["leaf"], "area_px2": measured["area_px2"].astype(int)}
    )
    table["length_px"] = measured["length_px"].round(1)
    if confidence is not None:
        table["confidence"] = measured["confidence"].round(3)
    if tracks:
        table["track"] = [tracks.get(int(leaf)) for leaf in measured["leaf"]]
    return Features(frame, table, sure)
