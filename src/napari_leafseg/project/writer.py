"""Writing in a thread of its own, in order; what cannot be written waits and is tried again."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from napari_leafseg.errors import UserError, plain_reason, short_of_memory

RETRY = 2.0  # seconds
_PATIENCE = 10.0  # seconds for a write that is under way
_STALLED = 10.0  # seconds after which a write that is under way is taken to be one that does not end
_WRITERS: set[Writer] = set()  # those whose thread runs
_LOG = logging.getLogger(__name__)


class Item(NamedTuple):
    """A write that waits; see `Writer.put`."""

    job: Callable[[], None]
    key: str
    group: str


class Writer:
    """Does writes one after the other, away from whoever asks for them.

    Parameters
    ----------
    failed : callable, optional
        Called in the writer's thread with a sentence when writing begins to fail, and with "" when all is written
        again.
    """

    def __init__(self, failed: Callable[[str], None] | None = None) -> None:
        self.failed = failed
        self._waiting: deque[Item] = deque()
        self._stuck: set[str] = set()  # groups whose first write failed: their others wait behind it
        self._condition = threading.Condition()
        self._current: Item | None = None
        self._began = 0.0
        self._closing = self._held = False
        self._error = ""
        self._logged: set[str] = set()
        self._failures = 0
        self._thread = threading.Thread(target=self._work, name="napari-leafseg writer", daemon=True)
        self._thread.start()
        _WRITERS.add(self)

    @property
    def error(self) -> str:
        """Why writing fails at the moment; empty when it does not."""
        if not self._error and self.stalled:
            return f"The project's disk does not answer: a write does not end since {_STALLED:.0f} seconds or more."
        return self._error

    @property
    def pending(self) -> int:
        """Writes that are not done yet."""
        with self._condition:
            return len(self._waiting) + self._busy

    @property
    def _busy(self) -> bool:
        return self._current is not None

    @property
    def stalled(self) -> bool:
        """Whether a write neither ends nor fails, as on a network share that does not answer."""
        return self._current is not None and time.monotonic() - self._began > _STALLED

    def put(self, job: Callable[[], None], key: str = "", group: str = "") -> None:
        """Ask for a write.

        Parameters
        ----------
        job : callable
        key : str
            Of several that wait with the same one, only the newest is done.
        group : str
            Writes of a group are done in their order; where one fails, those of other groups go on.
        """
        with self._condition:
            if key:
                self._waiting = deque(item for item in self._waiting if item.key != key)
            self._waiting.append(Item(job, key, group))
            self._condition.notify_all()

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until everything is written; False when that does not work out in time, or writing fails."""
        with self._condition:
            failures = self._failures
            self._stuck.clear()  # a write that failed is tried again at once
            self._condition.notify_all()
            self._condition.wait_for(lambda: not (self._waiting or self._busy) or self._failures > failures, timeout)
            return not (self._waiting or self._busy)

    @contextmanager
    def held(self) -> Iterator[tuple[Item, ...]]:
        """Begin no write while it lasts; gives what is not written, also what is under way and does not end."""
        with self._condition:
            self._held = True
            self._condition.wait_for(lambda: not self._busy, 0 if self.stalled else _PATIENCE)
            waiting = (*(() if self._current is None else (self._current,)), *self._waiting)
        try:
            yield waiting
        finally:
            with self._condition:
                self._held = False
                self._condition.notify_all()

    def drop(self) -> None:
        """Forget what waits: nobody needs it any more."""
        with self._condition:
            self._waiting.clear()
            self._condition.notify_all()

    def close(self) -> None:
        """Write what waits, once, and stop."""
        with self._condition:
            self._closing = True
            self._stuck.clear()
            self._condition.notify_all()
        self._thread.join(_PATIENCE if self.stalled else 60)
        _WRITERS.discard(self)

    def _next(self) -> Item | None:
        """The first write that may be tried; None when the thread is to end."""
        while True:
            if not self._held:
                for at, item in enumerate(self._waiting):
                    if item.group not in self._stuck:
                        del self._waiting[at]
                        return item
                if self._closing:
                    return None
            self._condition.wait(RETRY if self._stuck else None)
            self._stuck.clear()

    def _work(self) -> None:
        while True:
            with self._condition:
                item = self._next()
                if item is None:
                    return
                self._current, self._began = item, time.monotonic()
            problem = self._attempt(item.job)
            with self._condition:
                self._current = None
                if problem:
                    self._failures += 1
                    self._stuck.add(item.group)
                    if not (item.key and any(other.key == item.key for other in self._waiting)):
                        self._waiting.appendleft(item)
                before = self._error
                if problem or not self._waiting:
                    self._error = problem
                if not self._error:
                    self._logged.clear()
                now = self._error
                self._condition.notify_all()
            del item  # and with it what it was about to write
            if bool(before) != bool(now):
                self._tell(now)

    def _attempt(self, job: Callable[[], None]) -> str:
        """Do one write; return why it failed, whatever the reason: nothing may end the thread."""
        try:
            job()
        except BaseException as error:
            problem = _in_words(error)
            if problem not in self._logged:  # each new trouble once, not at every attempt
                self._logged.add(problem)
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


@atexit.register
def _write_all() -> None:
    """Write what waits before the interpreter ends: it asks no thread that writes beside it."""
    for writer in list(_WRITERS):
        writer.close()


def _in_words(error: BaseException) -> str:
    """Say why a write failed."""
    if isinstance(error, UserError):
        return str(error)
    if short_of_memory(error):
        return "Cannot write the project: there is no memory left. Close other programs."
    if isinstance(error, OSError):
        return f"Cannot write {error.filename or 'the project'}: {error.strerror or error}."
    return f"Cannot write the project: {plain_reason(error)}."
