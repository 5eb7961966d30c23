"""One long job of a window at a time: started, followed, stopped, and never told to a widget that is gone."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_leafseg.widgets.state.garbage import spare_libraries
from napari_leafseg.widgets.state.workers import start_worker


class JobRunner(QObject):
    """Run one job at a time in a worker thread, for as long as its parent lives.

    Parameters
    ----------
    parent : QObject
        The widget that wants the results. Once it is gone, the job is stopped and nobody is told anything.

    Signals
    -------
    started()
    progress(object)
        What a generator yields.
    result(object)
        What a function returns.
    failed(Exception)
        A `UserError`; other errors are napari's to show, with their traceback.
    finished()
        The job ended in any way; `running` is False again.
    """

    started = Signal()
    progress = Signal(object)
    result = Signal(object)
    failed = Signal(object)
    finished = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._worker: Any = None
        self._waits = False  # what is wanted: a worker pauses and resumes some time later

    @property
    def running(self) -> bool:
        """Whether a job runs, be it paused or about to stop."""
        return self._worker is not None

    def start(self, job: Callable[..., Any], *arguments: Any) -> bool:
        """Run a function or a generator.

        Returns
        -------
        bool
            False where a job is running already: nothing is started then.
        """
        if self.running:
            return False
        streams, self._waits = inspect.isgeneratorfunction(job), False
        heard = self.progress if streams else self.result
        self._worker = start_worker(
            job, *arguments, on_result=heard.emit, on_error=self.failed.emit, on_end=self._end, owner=self
        )
        if streams:
            self._worker.paused.connect(self._paused)
        self.started.emit()
        return True

    def stop(self) -> None:
        """Stop a generator after what it is computing."""
        if self._worker is not None:
            self._worker.quit()

    def pause(self) -> None:
        """Hold a generator after what it is computing."""
        if self._worker is not None:
            self._waits = True
            self._worker.pause()

    def resume(self) -> None:
        """Let the generator go on."""
        if self._worker is not None:
            self._waits = False
            self._worker.resume()

    def _paused(self) -> None:
        if not self._waits and self._worker is not None:  # resumed before it had paused
            self._worker.resume()

    def _end(self, _worker: Any) -> None:
        self._worker = None
        spare_libraries()  # that the first job of a kind loads
        self.finished.emit()
