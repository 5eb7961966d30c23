"""Labels that follow the sliders: the newest values win, nothing queues up, the GUI thread never computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_leafseg.editing.combine import keep_verified
from napari_leafseg.widgets.state.refresh import Box, changed_box
from napari_leafseg.widgets.state.workers import start_worker


@dataclass
class LabelResult:
    """Labels for some values, and where they differ from what is shown."""

    target: Any
    values: dict[str, float]
    labels: np.ndarray
    box: Box | None
    count: int
    seeds: np.ndarray | None
    version: int = -1


@dataclass(frozen=True)
class DisplayedLabels:
    """What is on the screen when labels are asked for.

    Attributes
    ----------
    labels : numpy.ndarray
        (H, W) or (T, H, W).
    locked : frozenset of (frame, leaf)
        Verified leaves, which nothing changes.
    largest, version : int
        Largest number ever given; number of the last step.
    """

    labels: np.ndarray
    locked: frozenset[tuple[int, int]] = frozenset()
    largest: int = 0
    version: int = -1


class LiveLabels(QObject):
    """Computes labels in a worker; asked again while busy, it remembers only the newest values.

    Signals
    -------
    ready(LabelResult)
    failed(Exception)
    idle()
        The newest values are on the screen.
    """

    ready = Signal(object)
    failed = Signal(object)
    idle = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wanted: tuple[Any, ...] | None = None
        self._worker: Any = None

    @property
    def busy(self) -> bool:
        """Whether a computation is running or waiting."""
        return self._worker is not None or self._wanted is not None

    def request(
        self,
        target: Any,
        prediction: Any,
        values: dict[str, float],
        shown: Callable[[], DisplayedLabels | None],
        with_seeds: bool = False,
        given: np.ndarray | None = None,
    ) -> None:
        """Ask for labels for these values.

        Parameters
        ----------
        target : object
            Handed back with the result.
        prediction : Prediction
        values : dict
        shown : callable
            Returns what is on the screen: to find what changes, and what must not.
        with_seeds : bool
            Also give the seeds.
        given : numpy.ndarray, optional
            Seeds that somebody placed, see `seed_points`; the model's own when None.
        """
        self._wanted = (target, prediction, dict(values), shown, with_seeds, given)
        if self._worker is None:
            self._start()

    def cancel(self) -> None:
        """Forget what is wanted; what is being computed is thrown away."""
        self._wanted = None
        self._worker = None

    def _start(self) -> None:
        assert self._wanted is not None
        target, prediction, values, shown, with_seeds, given = self._wanted
        self._wanted = None
        ticket = self._worker = object()
        start_worker(
            _compute, target, prediction, values, shown(), with_seeds, given,
            on_result=lambda result: self._finish(ticket, self.ready, result),
            on_error=lambda error: self._finish(ticket, self.failed, error),
            owner=self,
        )  # fmt: skip

    def _finish(self, ticket: object, signal: Any, result: Any) -> None:
        if ticket is not self._worker:
            return  # canceled
        self._worker = None
        signal.emit(result)
        if self._worker is None and self._wanted is not None:
            self._start()
        elif self._worker is None:
            self.idle.emit()


def _compute(
    target: Any,
    prediction: Any,
    values: dict[str, float],
    shown: DisplayedLabels | None,
    with_seeds: bool,
    given: np.ndarray | None,
) -> LabelResult:
    labels = prediction.labels(**values) if given is None else prediction.labels_of_seeds(given, **values)
    same = shown is not None and shown.labels.shape == labels.shape
    if shown is not None and same:
        labels = keep_verified(labels, shown.labels, shown.locked, shown.largest)
    box = changed_box(shown.labels, labels) if shown is not None and same else tuple(slice(0, n) for n in labels.shape)
    count = sum(int(np.count_nonzero(np.bincount(plane.ravel())[1:])) for plane in prediction.planes(labels))
    seeds = None
    if with_seeds and given is None:
        seeds = seed_points(prediction, values)
    return LabelResult(target, values, labels, box, count, seeds, -1 if shown is None else shown.version)


def seed_points(prediction: Any, values: dict[str, float]) -> np.ndarray:
    """Return seeds as points: (N, 2), or (N, 3) with the frame first for a time series."""
    chosen = {
        name: values[name] for name in ("seed_threshold", "angle", "grouping", "min_confidence") if name in values
    }
    points = [np.insert(frame.seeds(**chosen), 0, number, axis=1) for number, frame in enumerate(prediction.frames)]
    return np.concatenate(points)[:, -len(prediction.shape) :]
