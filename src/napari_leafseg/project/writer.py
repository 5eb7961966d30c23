"""Writing in a thread of its own, in order; what cannot be written waits and is tried again."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from napari_leafseg.errors import UserError

RETRY = 2.0  # seconds
_LOG = logging.getLogger(__name__)


class Writer:
    """Does writes one after the other, away from whoever asks for them.

    Parameters
    ----------
    failed : callable, optional
        Called in the writer's thread with a sentence when a write fails for the first time, and with "" when writing
        works again.
    """

    def __init__(self, failed: Callable[[str], None] | None = None) -> None:
        self.failed = failed
        self._waiting: deque[tuple[str, Callable[[], None]]] = deque()
        self._condition = threading.Condition()
        self._busy = False
        self._closing = False
        self._error = ""
        self._failures = 0
        self._thread = threading.Thread(target=self._work, name="napari-leafseg writer", daemon=True)
        self._thread.start()

    @property
    def error(self) -> str:
        """Why writing fails at the moment; empty when it does not."""
        return self._error

    @property
    def pending(self) -> int:
        """Writes that are not done yet."""
        with self._condition:
            return len(self._waiting) + self._busy

    def put(self, job: Callable[[], None], key: str = "") -> None:
        """Ask for a write; of several that wait with the same `key`, only the newest is done."""
        with self._condition:
            if key:
                self._waiting = deque(item for item in self._waiting if item[0] != key)
            self._waiting.append((key, job))
            self._condition.notify_all()

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until everything is written; False when that does not work out in time, or writing fails."""
        with self._condition:
            failures = self._failures
            self._condition.notify_all()  # a write that failed is tried again at once
            self._condition.wait_for(lambda: not (self._waiting or self._busy) or self._failures > failures, timeout)
            return not (self._waiting or self._busy)

    def close(self) -> None:
        """Write what waits, once, and stop."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join(60)

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: bool(self._waiting) or self._closing)
                if not self._waiting:
                    return
                key, job = self._waiting.popleft()
                self._busy = True
            problem = self._attempt(job)
            with self._condition:
                self._busy = False
                if problem:
                    self._failures += 1
                    newer = key and any(item[0] == key for item in self._waiting)
                    if not newer:
                        self._waiting.appendleft((key, job))
                first = problem != "" and not self._error
                better = problem == "" and self._error != ""
                self._error = problem
                self._condition.notify_all()
            if first or better:
                self._tell(problem)
            if problem:
                if self._closing:
                    return
                with self._condition:
                    self._condition.wait(RETRY)

    def _attempt(self, job: Callable[[], None]) -> str:
        """Do one write; return why it failed, whatever the reason: nothing may end the thread."""
        try:
            job()
        except Exception as error:
            problem = _in_words(error)
            if problem != self._error:  # each new trouble once, not at every attempt
                _LOG.error("A write failed and is tried again: %s", problem, exc_info=error)
            return problem
        return ""

    def _tell(self, problem: str) -> None:
        if self.failed is None:
            return
        try:
            self.failed(problem)
        except Exception:  # as when the window that listened is gone
            _LOG.exception("Nobody could be told: %s", problem or "writing works again")


def _in_words(error: Exception) -> str:
    """Say why a write failed."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        return f"Cannot write {error.filename or 'the project'}: {error.strerror or error}."
    return f"Cannot write the project: {type(error).__name__}: {error}."
