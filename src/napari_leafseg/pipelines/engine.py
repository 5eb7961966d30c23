"""Run a function over images: here or in several processes, resumable, with errors image by image."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from napari_leafseg._log import log_error
from napari_leafseg.errors import UserError, in_words, plain_reason
from napari_leafseg.pipelines.processes import default_workers, open_pool
from napari_leafseg.pipelines.step import Step

Item = TypeVar("Item")
Result = TypeVar("Result")


Work = Callable[[Item], Any]


@dataclass(frozen=True)
class RunEvent(Generic[Item, Result]):
    """Progress over items.

    Attributes
    ----------
    done : float
        Items, with the share of the one that is being done.
    total : int
    message : str
    item : object or None
        The one that just ended.
    result : object or None
        What `work` made of it.
    error : UserError or None
        Why it could not be done.
    skipped : bool
        It had been done before.
    current : object or None
        The one that is being done.
    """

    done: float
    total: int
    message: str
    item: Item | None = None
    result: Result | None = None
    error: UserError | None = None
    skipped: bool = False
    current: Item | None = None


def run_over(
    items: Sequence[Item],
    work: Work[Item],
    *,
    name: Callable[[Item], str] = str,
    cached: Callable[[Item], Any] | None = None,
    collect: bool = False,
    workers: int | None = 0,
    scheduler: str | None = None,
    device: str = "auto",
) -> Generator[RunEvent[Item, Any], None, None]:
    """Run a function over items; may be stopped after any event.

    Parameters
    ----------
    items : sequence
        Images, or what stands for them; picklable where several processes work.
    work : callable
        Takes an item; returns the result, or is a generator of `Step` that does. Picklable as well.
    name : callable
        An item's name, for messages.
    cached : callable, optional
        The result of an item that had been done before; None where it is to be done.
    collect : bool
        Whether an item that cannot be done yields its error and the others go on; else the error is raised.
    workers : int or None
        Processes on this machine; 0 works in this one, None takes `default_workers`.
    scheduler : str, optional
        Address of a Dask scheduler: the work is done by its workers, which see the same files.
    device : str
        What the workers compute on, which decides how many there are.
    """
    total, done, left = len(items), 0, []
    for item in items:
        known = None if cached is None else cached(item)
        if known is None:
            left.append(item)
            continue
        done += 1
        yield RunEvent(done, total, f"{name(item)}: done before", item, known, skipped=True)
    if not left:
        return
    if scheduler is None and workers == 0:
        outcomes = _here(left, work)
    else:
        yield RunEvent(done, total, "Starting the workers")
        outcomes = _there(left, work, min(workers or default_workers(device), len(left)), scheduler)
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            if isinstance(outcome, RunEvent):
                words = "" if outcome.item is None else f"{name(outcome.item)} ({done + 1} of {total}): "
                yield RunEvent(done + outcome.done, total, words + outcome.message, current=outcome.item)
                continue
            done += 1
            item, result, problem = outcome
            if problem is not None and not collect:
                raise problem
            log_error(problem)
            error = _user_error(name(item), problem)
            yield RunEvent(done, total, name(item) if error is None else str(error), item, result, error)


def finish(steps: Generator[Step, None, Result]) -> Result:
    """Run a generator of steps to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("Result", end.value)


_Outcome = tuple[Any, Any, Exception | None]


def _here(items: Sequence[Any], work: Work[Any]) -> Generator[RunEvent[Any, Any] | _Outcome, None, None]:
    for item in items:
        try:
            outcome = work(item)
            if isinstance(outcome, Generator):
                outcome = yield from _progress(item, outcome)
        except Exception as error:
            yield item, None, error
        else:
            yield item, outcome, None


def _progress(item: Any, steps: Generator[Step, None, Any]) -> Generator[RunEvent[Any, Any], None, Any]:
    with contextlib.closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value
            yield RunEvent(step.share, 1, step.message, item)


def _there(
    items: Sequence[Any], work: Work[Any], workers: int, scheduler: str | None
) -> Generator[RunEvent[Any, Any] | _Outcome, None, None]:
    with open_pool(workers, scheduler) as pool, contextlib.closing(pool.map(_finish_work, work, items)) as outcomes:
        for outcome in outcomes:
            yield RunEvent(0, 1, "Working") if outcome is None else outcome


def _finish_work(work: Work[Any], item: Any) -> Any:
    try:
        outcome = work(item)
        return finish(outcome) if isinstance(outcome, Generator) else outcome
    except Exception as error:
        log_error(error)  # in the log of the process that did the work
        raise


def _user_error(name: str, error: Exception | None) -> UserError | None:
    if error is None or isinstance(error, UserError):
        return error
    told = in_words(error)
    problem = UserError(f"{name} could not be done: {plain_reason(told or error)}.")
    problem.__cause__ = error
    return problem
