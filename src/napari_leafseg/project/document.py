"""The labels of one image while they are corrected: array, marks, history, and what is written of them."""

from __future__ import annotations

import datetime
import getpass
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_leafseg.editing.edit import Edit, LeafKey, difference
from napari_leafseg.editing.history import History, Step
from napari_leafseg.editing.tools import TOOLS
from napari_leafseg.project.journal import Record

_LOG = logging.getLogger(__name__)
_AT_ONCE = 2**20  # pixels that are looked through together


@dataclass(frozen=True)
class Snapshot:
    """What is saved of a document at a moment.

    Attributes
    ----------
    labels : numpy.ndarray
        A copy.
    number : int
        Of the last journal record that is in it.
    record : dict
        For the JSON file beside the labels.
    """

    labels: np.ndarray
    number: int
    record: dict[str, Any]


def _shaped(edit: Edit) -> set[int]:
    """Leaves whose shape an edit decided: not those which merely lost pixels to a leaf that was drawn over them."""
    if any(tool.shapes_all for tool in TOOLS if tool.name == edit.tool):
        return set(edit.leaves)
    to_background = np.unique(edit.before[(edit.before != edit.after) & (edit.after == 0)])
    return {leaf for leaf in (*edit.gained, *(int(leaf) for leaf in to_background)) if leaf}


def now() -> str:
    """Return this moment, UTC, ISO 8601."""
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def annotator() -> str:
    """Return the name of whoever is logged in."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as error:  # ImportError: Windows, without its variables
        _LOG.debug("Nobody knows who is logged in: %s", error)
        return "unknown"


def _since_last_start(records: list[Record]) -> list[Record]:
    """The records that count: earlier versions began again at 1 where other labels replaced an image's."""
    start = 0
    for at in range(1, len(records)):
        if records[at].number <= records[at - 1].number:
            start = at
    return records[start:]


class Document:
    """Labels under correction; several threads may change them.

    Parameters
    ----------
    labels : numpy.ndarray
        uint16 (H, W) or (T, H, W); changed in place. It may be the array of a napari layer.
    record : dict, optional
        What was saved beside the labels.
    verified : iterable of (frame, leaf), optional
    number : int
        Of the last journal record that the labels hold.
    write : callable, optional
        Takes each new `Record`; must not block.
    """

    def __init__(
        self,
        labels: np.ndarray,
        record: dict[str, Any] | None = None,
        verified: Iterable[LeafKey] = (),
        number: int = 0,
        write: Callable[[Record], None] | None = None,
    ) -> None:
        self.labels = labels
        self.info: dict[str, Any] = dict(record or {})
        self.verified: set[LeafKey] = set(verified)
        self.history = History()
        self.number = number
        self.write = write
        self.largest = int(labels.max(initial=0))
        self.changed = False
        self._lock = threading.RLock()
        log = self.info.pop("history", None)
        self._log: list[dict[str, Any]] = [line for line in log or [] if isinstance(line, dict)]

    # -- replaying ---------------------------------------------------------------------------------------------------

    def replay(self, records: Iterable[Record]) -> int:
        """Rebuild the history from a journal, and make what the labels do not hold yet.

        Returns
        -------
        int
            Records that were newer than the labels.
        """
        newer, limit = 0, self.history.limit
        self.history.trim(2 * limit)  # what was undone must be there, whatever memory had dropped when it was written
        for record in _since_last_start(list(records)):
            fresh = record.number > self.number
            step = self._replayed(record)
            if not fresh:
                continue
            self.number, newer = record.number, newer + 1
            if step is not None:
                self._make(step, record.kind == "undo")
                self._note(record.kind, step, record.time, record.annotator)
        self.history.trim(limit)
        self.changed = self.changed or newer > 0
        return newer

    def _replayed(self, record: Record) -> Step | None:
        """Move the history as a record says; None where the record of its step is lost."""
        if record.step is not None:
            self.history.push(record.step)
            return record.step
        undoing = record.kind == "undo"
        step = self.history.undoable if undoing else self.history.redoable
        if step is None or (record.of and record.of != step.key):
            return None
        return self.history.undo() if undoing else self.history.redo()

    def begin(self, write: Callable[[Record], None]) -> list[Record]:
        """Begin to be written.

        Returns
        -------
        list of Record
            The history so far, numbered from 1: all steps, and that some of them were taken back. `write` takes each
            new record.
        """
        moment, who = now(), annotator()
        with self._lock:
            undone = self.history.undone
            records = [
                Record(number, "step", step, moment, who, step.key)
                for number, step in enumerate((*self.history.done, *undone), start=1)
            ]
            for step in reversed(undone):
                records.append(Record(len(records) + 1, "undo", None, moment, who, step.key))
            self.write, self.number = write, len(records)
        return records

    def go_on(self, write: Callable[[Record], None] | None, number: int) -> None:
        """Go back to being written as before `begin`, when nothing came of that."""
        with self._lock:
            self.write, self.number, self.changed = write, number, True

    def follow(self, earlier: Document, step: Step | None) -> None:
        """Put the history of the labels that these replaced before their own; `step` replaced them."""
        self.history.prepend([*earlier.history.done, *([] if step is None else [step])])
        self._log[:0] = earlier._log

    def replacement(self, labels: np.ndarray, verified: Iterable[LeafKey]) -> Step | None:
        """Return the step that would put other labels and marks in the place of these; None where they are the same."""
        planes = [(None, self.labels, labels)] if labels.ndim == 2 else [
            (frame, old, new) for frame, (old, new) in enumerate(zip(self.labels, labels, strict=True))
        ]  # fmt: skip
        found = [(frame, difference(old, None, new, "replace")) for frame, old, new in planes]
        edits = tuple(replace(edit, frame=frame) for frame, edit in found if edit is not None)
        marks = set(verified)
        if not edits and marks == self.verified:
            return None
        return Step("replace", edits, frozenset(marks - self.verified), frozenset(self.verified - marks))

    # -- changing ----------------------------------------------------------------------------------------------------

    def commit(self, edit: Edit | None, verify: bool = True, made: bool = False) -> Step | None:
        """Make an edit and record it; `verify` marks the leaves that it shaped as verified.

        Parameters
        ----------
        edit : Edit or None
            None where a tool found nothing to do.
        verify : bool
        made : bool
            The labels hold it already.

        Returns
        -------
        Step or None
        """
        return self.commit_all(edit.tool, [edit], verify, made) if edit is not None else None

    def commit_all(self, tool: str, edits: list[Edit], verify: bool = True, made: bool = False) -> Step | None:
        """Make several edits as one step; see `commit`."""
        if not edits:
            return None
        with self._lock:
            return self._commit(tool, edits, verify, made)

    def _commit(self, tool: str, edits: list[Edit], verify: bool, made: bool) -> Step:
        if not made:
            for edit in edits:
                edit.apply(self.labels)
        touched = {(edit.frame or 0, leaf) for edit in edits for leaf in edit.leaves}
        shaped = {(edit.frame or 0, leaf) for edit in edits for leaf in _shaped(edit)} if verify else set[LeafKey]()
        left = self._left(edits, (touched & self.verified) | shaped)
        gone, new = (touched & self.verified) - left, (shaped - self.verified) & left
        step = Step(tool, tuple(edits), frozenset(new), frozenset(gone))
        self._mark(step, False)
        return self._push(step)

    def set_verified(self, marks: Iterable[LeafKey], verified: bool) -> Step | None:
        """Lock or unlock leaves."""
        with self._lock:
            chosen = {mark for mark in marks if self._has(mark)}
            chosen = chosen - self.verified if verified else chosen & self.verified
            if not chosen:
                return None
            both = (frozenset(chosen), frozenset[LeafKey]())
            step = Step("verify" if verified else "unlock", (), *(both if verified else both[::-1]))
            self._mark(step, False)
            return self._push(step)

    def undo(self) -> Step | None:
        """Take back the last step; returns it."""
        with self._lock:
            return self._move(self.history.undo(), True)

    def redo(self) -> Step | None:
        """Make the step again that was taken back last; returns it."""
        with self._lock:
            return self._move(self.history.redo(), False)

    def _move(self, step: Step | None, undoing: bool) -> Step | None:
        if step is not None:
            self._make(step, undoing)
            self._record("undo" if undoing else "redo", step)
        return step

    def _push(self, step: Step) -> Step:
        self.history.push(step)
        self._record("step", step)
        return step

    def _record(self, kind: str, step: Step) -> None:
        self.number += 1
        self.changed = True
        moment, who = now(), annotator()
        self._note(kind, step, moment, who)
        if self.write is not None:
            self.write(Record(self.number, kind, step if kind == "step" else None, moment, who, step.key))

    def _make(self, step: Step, undoing: bool) -> None:
        for edit in reversed(step.edits) if undoing else step.edits:
            if undoing:
                edit.revert(self.labels)
            else:
                edit.apply(self.labels)
        self._mark(step, undoing)

    def _mark(self, step: Step, undoing: bool) -> None:
        gained, lost = (step.unverified, step.verified) if undoing else (step.verified, step.unverified)
        self.verified = (self.verified - lost) | gained
        for edit in step.edits:
            self.largest = max(self.largest, int(edit.after.max(initial=0)), int(edit.before.max(initial=0)))

    def _note(self, kind: str, step: Step, moment: str, who: str) -> None:
        leaves = sorted({leaf for edit in step.edits for leaf in edit.leaves} | {m[1] for m in step.verified})
        self._log.append({"time": moment, "annotator": who, "what": kind, "tool": step.tool, "leaves": leaves[:20]})
        del self._log[:-1000]

    # -- asking ------------------------------------------------------------------------------------------------------

    def plane(self, frame: int = 0) -> np.ndarray:
        """Return the labels of a frame, (H, W)."""
        return self.labels if self.labels.ndim == 2 else self.labels[frame]

    def locked(self, frame: int = 0) -> frozenset[int]:
        """Return the verified leaves of a frame."""
        return frozenset(leaf for at, leaf in self.verified if at == frame)

    def leaves(self, frame: int = 0) -> list[int]:
        """List the leaves of a frame."""
        counts = np.bincount(self.plane(frame).ravel())
        return [int(leaf) for leaf in np.flatnonzero(counts) if leaf]

    def _left(self, edits: list[Edit], marks: set[LeafKey]) -> set[LeafKey]:
        """Which leaves there are after edits: most are where they were edited."""
        if not marks:
            return set()
        planes = ((edit.frame or 0, self.plane(edit.frame or 0)[edit.box]) for edit in edits)
        near = {(frame, int(leaf)) for frame, box in planes for leaf in np.unique(box)}
        return {mark for mark in marks if mark[1] > 0 and (mark in near or self._has(mark))}

    def _has(self, mark: LeafKey) -> bool:
        frame, leaf = mark
        plane = self.plane(frame)
        rows = max(1, _AT_ONCE // max(1, plane.shape[1]))
        return leaf > 0 and any((plane[top : top + rows] == leaf).any() for top in range(0, len(plane), rows))

    def snapshot(self) -> Snapshot:
        """Return a copy to save; takes a few milliseconds."""
        with self._lock:
            marks = sorted(self.verified)
            record = {
                **self.info,
                "annotator": annotator(),
                "saved": now(),
                "journal_number": self.number,
                "verified": [list(mark) for mark in marks],
                "history": list(self._log),
            }
            return Snapshot(self.labels.copy(), self.number, record)
