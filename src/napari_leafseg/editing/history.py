"""Undo and redo over everything that changes labels or what is verified."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_leafseg.editing.edit import Edit


@dataclass(frozen=True, eq=False)
class Step:
    """One entry of the history.

    Attributes
    ----------
    tool : str
    edits : tuple of Edit
        In the order in which they were made; empty where only marks changed.
    verified, unverified : frozenset of (frame, leaf)
        Leaves that became verified, and that ceased to be; the frame is 0 for a single image.
    key : str
        Names the step in the journal.
    info : dict
        What else is to be known of it, in JSON: which prediction its labels come from, and by which parameters.
    """

    tool: str
    edits: tuple[Edit, ...] = ()
    verified: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    unverified: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    key: str = field(default_factory=lambda: secrets.token_hex(6))
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory that the step keeps."""
        return sum(edit.before.nbytes + edit.after.nbytes for edit in self.edits)


class History:
    """Steps that were made, and how many of them are in effect; for several threads.

    Parameters
    ----------
    limit : int
        Bytes of steps to keep; the oldest go first.
    """

    def __init__(self, limit: int = 256_000_000) -> None:
        self.limit = limit
        self._steps: list[Step] = []
        self._done = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._steps)

    def push(self, step: Step) -> None:
        """Add a step; what was undone before it can no longer be made again."""
        with self._lock:
            del self._steps[self._done :]
            self._steps.append(step)
            self._done += 1
            self._trim()

    def prepend(self, steps: Iterable[Step]) -> None:
        """Put steps before all others: they are in effect, and can be undone after these."""
        with self._lock:
            earlier = list(steps)
            self._steps[:0] = earlier
            self._done += len(earlier)
            self._trim()

    def trim(self, limit: int) -> None:
        """Keep no more than `limit` bytes from now on."""
        with self._lock:
            self.limit = limit
            self._trim()

    def _trim(self) -> None:
        size = sum(item.nbytes for item in self._steps)
        while size > self.limit and self._done > 1:
            size -= self._steps.pop(0).nbytes
            self._done -= 1

    @property
    def done(self) -> tuple[Step, ...]:
        """The steps in effect, the oldest first."""
        with self._lock:
            return tuple(self._steps[: self._done])

    @property
    def undone(self) -> tuple[Step, ...]:
        """The steps that were taken back and can be made again, the oldest first."""
        with self._lock:
            return tuple(self._steps[self._done :])

    @property
    def undoable(self) -> Step | None:
        """The step that `undo` would take back."""
        return self._steps[self._done - 1] if self._done else None

    @property
    def redoable(self) -> Step | None:
        """The step that `redo` would make again."""
        return self._steps[self._done] if self._done < len(self._steps) else None

    def undo(self) -> Step | None:
        """Step back; the caller reverts the step that is returned."""
        with self._lock:
            step = self.undoable
            if step is not None:
                self._done -= 1
            return step

    def redo(self) -> Step | None:
        """Step forward; the caller applies the step that is returned."""
        with self._lock:
            step = self.redoable
            if step is not None:
                self._done += 1
            return step
