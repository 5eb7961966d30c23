"""Undo and redo over everything that changes labels or what is verified."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    """

    tool: str
    edits: tuple[Edit, ...] = ()
    verified: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    unverified: frozenset[tuple[int, int]] = field(default_factory=frozenset)

    @property
    def nbytes(self) -> int:
        """Memory that the step keeps."""
        return sum(edit.before.nbytes + edit.after.nbytes for edit in self.edits)


class History:
    """Steps that were made, and how many of them are in effect.

    Parameters
    ----------
    limit : int
        Bytes of steps to keep; the oldest go first.
    """

    def __init__(self, limit: int = 256_000_000) -> None:
        self.limit = limit
        self._steps: list[Step] = []
        self._done = 0

    def __len__(self) -> int:
        return len(self._steps)

    def push(self, step: Step) -> None:
        """Add a step; what was undone before it can no longer be made again."""
        del self._steps[self._done :]
        self._steps.append(step)
        size = sum(item.nbytes for item in self._steps)
        while size > self.limit and len(self._steps) > 1:
            size -= self._steps.pop(0).nbytes
        self._done = len(self._steps)

    @property
    def done(self) -> tuple[Step, ...]:
        """The steps in effect, the oldest first."""
        return tuple(self._steps[: self._done])

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
        step = self.undoable
        if step is not None:
            self._done -= 1
        return step

    def redo(self) -> Step | None:
        """Step forward; the caller applies the step that is returned."""
        step = self.redoable
        if step is not None:
            self._done += 1
        return step
