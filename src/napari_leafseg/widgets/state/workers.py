"""Work in a thread, with users' mistakes handed to the widget instead of a traceback."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any

from napari.qt.threading import GeneratorWorker, create_worker
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QThreadPool

from napari_leafseg._log import log_error
from napari_leafseg.errors import in_words, plain_reason

MOMENT = 0.05  # seconds that the window may wait
_THREADS = 32  # Qt's own number, that of the cores, would have a slider wait for a fine-tuning


class UnexpectedError(Exception):
    """A job's `RuntimeError`: the workers take one for a window that is gone, and tell neither of it nor of the end."""


@dataclass(frozen=True)
class _Failure:
    error: Exception


@dataclass
class _Work:
    """A job and who hears of it, until it has ended: napari remembers every worker as long as its window lives."""

    job: Callable[..., Any]
    arguments: tuple[Any, ...]
    on_result: Callable[[Any], None]
    on_error: Callable[[Exception], None]
    on_end: Callable[[Any], None] | None
    owner: QObject | None

    @property
    def heard(self) -> bool:
        """Whether anybody is there to be told."""
        return self.owner is not None and isalive(self.owner)

    def forget(self) -> None:
        """Let go of all of it, as of a copy of labels that was worked on."""
        self.job, self.arguments, self.on_end, self.owner = _nothing, (), None, None
        self.on_result = self.on_error = _nothing


def _make_room() -> None:
    """Have no job wait for another one."""
    pool = QThreadPool.globalInstance()
    assert pool is not None
    pool.setMaxThreadCount(max(pool.maxThreadCount(), _THREADS))


def _nothing(*_arguments: Any) -> None:
    pass


class _ClosingWorker(GeneratorWorker):
    """Close the generator in its own thread however it ends, so that what it holds is given back at once."""

    events: Generator[Any, None, None]

    def work(self) -> Any:
        """Run the generator."""
        try:
            return super().work()
        finally:
            self.events.close()


def start_worker(
    job: Callable[..., Any],
    *arguments: Any,
    on_result: Callable[[Any], None],
    on_error: Callable[[Exception], None],
    owner: QObject,
    on_end: Callable[[Any], None] | None = None,
) -> Any:
    """Run a function or generator in a worker thread.

    Parameters
    ----------
    job : callable
        Its result, or each thing that it yields but None, goes to `on_result` in the GUI thread.
    *arguments
        For `job`.
    on_result, on_error : callable
        `on_error` takes a `UserError`, which tells also that memory ran out; other errors are napari's to show, with
        their traceback.
    owner : QObject
        Nobody is told anything once it is gone, as when its window was closed.
    on_end : callable, optional
        Called with the worker when it has ended in any way.

    Returns
    -------
    napari worker
        ``quit()`` stops a generator after what it is yielding, and closes it.
    """
    streams = inspect.isgeneratorfunction(job)
    work = _Work(job, arguments, on_result, on_error, on_end, owner)

    def deliver(result: Any) -> None:
        if not work.heard:
            worker.quit()
        elif streams and result is None:  # nothing yet, but a chance to stop
            return
        elif isinstance(result, _Failure):
            work.on_error(result.error)
        else:
            work.on_result(result)

    def end() -> None:
        last = work.on_end if work.heard else None
        work.forget()
        if last is not None:
            last(worker)

    if streams:
        events = job(*arguments)
        worker = create_worker(_guarded_generator, events, _worker_class=_ClosingWorker)
        worker.events = events
        worker.yielded.connect(deliver)
    else:
        worker = create_worker(_guarded_call, work)
        worker.returned.connect(deliver)
    worker.finished.connect(end)
    _make_room()
    worker.start()
    return worker


def answer_or_start(
    job: Callable[..., Any],
    *arguments: Any,
    on_result: Callable[[Any], None],
    on_error: Callable[[Exception], None],
    owner: QObject,
    on_wait: Callable[[bool], None] | None = None,
) -> None:
    """Run a function in a thread; where it is done in a moment, answer before this returns.

    For what takes no time, but for very many files or a network folder that is slow.

    Parameters
    ----------
    job, *arguments, on_result, on_error, owner
        See `start_worker`.
    on_wait : callable, optional
        Told True where it takes longer, and False when it has ended then.
    """
    answer: Future[Any] = Future()

    def run() -> None:
        try:
            answer.set_result(job(*arguments))
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, name="napari-leafseg answer", daemon=True).start()
    wait([answer], MOMENT)
    if not answer.done():
        waits = on_wait or _nothing
        waits(True)
        start_worker(
            answer.result, on_result=on_result, on_error=on_error, owner=owner, on_end=lambda _worker: waits(False)
        )
        return
    try:
        result = answer.result()
    except Exception as error:
        log_error(error)
        told = in_words(error)
        if told is None:
            raise
        on_error(told)
    else:
        on_result(result)


def _guarded_generator(events: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from events
    except Exception as error:
        told = in_words(error)
        if told is None and isinstance(error, RuntimeError):
            unexpected = UnexpectedError(plain_reason(error))
            unexpected.__cause__ = error
            log_error(unexpected)
            raise unexpected from error
        log_error(error)
        if told is None:
            raise
        yield _Failure(told)


def _guarded_call(work: _Work) -> Any:
    try:
        return work.job(*work.arguments)
    except Exception as error:
        log_error(error)
        told = in_words(error)
        if told is None:
            raise
        return _Failure(told)
