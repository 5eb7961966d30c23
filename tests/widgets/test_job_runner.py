"""One long job at a time, and nobody told who is gone."""

import gc
import threading
import time
import weakref

import pytest
from qtpy import QtCore
from qtpy.QtWidgets import QApplication, QWidget

from napari_leafseg.errors import UserError
from napari_leafseg.widgets.batch.widget import BatchWidget
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.state.workers import start_worker


class Listener(QWidget):
    """A widget that notes what it is told."""

    def __init__(self):
        super().__init__()
        self.told = []
        self.job = JobRunner(self)
        self.job.started.connect(lambda: self.told.append("started"))
        self.job.progress.connect(lambda value: self.told.append(("progress", value)))
        self.job.result.connect(lambda value: self.told.append(("result", value)))
        self.job.failed.connect(lambda error: self.told.append(("failed", str(error))))
        self.job.finished.connect(lambda: self.told.append("finished"))


@pytest.fixture
def listener(qtbot):
    widget = Listener()
    qtbot.addWidget(widget)
    return widget


def numbers(count):
    """Numbers, each of which is told."""
    yield from range(count)


def refuse():
    """Fail as users make jobs fail."""
    raise UserError("There are no images.")


def test_a_job_is_told_from_start_to_finish(listener, qtbot):
    assert listener.job.start(numbers, 2)
    assert listener.job.running
    assert not listener.job.start(numbers, 9)  # one at a time
    qtbot.waitUntil(lambda: not listener.job.running, timeout=10000)
    assert listener.told == ["started", ("progress", 0), ("progress", 1), "finished"]
    listener.told.clear()
    listener.job.start(pow, 2, 5)
    qtbot.waitUntil(lambda: not listener.job.running, timeout=10000)
    assert listener.told == ["started", ("result", 32), "finished"]
    listener.told.clear()
    listener.job.start(refuse)
    qtbot.waitUntil(lambda: not listener.job.running, timeout=10000)
    assert listener.told == ["started", ("failed", "There are no images."), "finished"]


def test_a_job_waits_goes_on_and_stops(listener, qtbot):
    def endless():
        while True:
            yield 1

    listener.job.start(endless)
    qtbot.waitUntil(lambda: len(listener.told) > 2, timeout=10000)
    listener.job.pause()
    assert listener.job.running
    listener.job.resume()
    listener.job.stop()
    qtbot.waitUntil(lambda: not listener.job.running, timeout=10000)
    assert listener.told[-1] == "finished"


def test_a_widget_that_is_gone_is_told_nothing_and_its_job_stops(qtbot):
    go = threading.Event()

    def patient():
        yield 1
        go.wait(20)
        while True:
            yield 2
            time.sleep(0.01)

    widget = Listener()
    told = widget.told
    widget.job.start(patient)
    worker = widget.job._worker
    qtbot.waitUntil(lambda: ("progress", 1) in told, timeout=10000)
    known = len(told)
    widget.deleteLater()
    QApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
    del widget
    go.set()
    qtbot.waitUntil(lambda: not worker.is_running, timeout=20000)
    QApplication.processEvents()
    assert len(told) == known


def test_of_two_viewers_the_closed_one_hears_nothing(make_napari_viewer, qtbot, monkeypatch, tmp_path):
    go = threading.Event()

    def job(*_given):
        from napari_leafseg.pipelines.batch.run import BatchEvent

        yield BatchEvent(0, 2, "one")
        go.wait(20)
        yield BatchEvent(2, 2, "two")

    monkeypatch.setattr("napari_leafseg.widgets.batch.widget.batch_job", job)
    widgets = []
    for number in range(2):
        viewer = make_napari_viewer()
        widget = BatchWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Batch")
        widget.form.native("source").setText(str(tmp_path))
        widget.form.native("output").setText(str(tmp_path / str(number)))
        widget.run()
        widgets.append(widget)
    closed, other = widgets
    qtbot.waitUntil(lambda: all("one" in widget.message.text() for widget in widgets), timeout=20000)
    heard = []
    monkeypatch.setattr(BatchWidget, "_time_left", lambda self, event: heard.append((self, event.message)) or "")
    viewer_of_closed = closed.viewer
    closed.deleteLater()
    viewer_of_closed.close()
    QApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
    go.set()
    qtbot.waitUntil(lambda: not other.job.running, timeout=20000)
    QApplication.processEvents()
    assert heard == [(other, "two")]
    assert not other.stop_button.isEnabled()


def test_resumed_before_it_has_paused_it_goes_on(listener, qtbot):
    busy, go = threading.Event(), threading.Event()

    def slow():
        busy.set()
        go.wait(20)
        yield 1
        yield 2

    listener.job.start(slow)
    assert busy.wait(20)
    listener.job.pause()
    listener.job.resume()
    go.set()
    qtbot.waitUntil(lambda: not listener.job.running)
    assert listener.told[1:] == [("progress", 1), ("progress", 2), "finished"]


def test_a_stopped_job_gives_back_what_it_holds_in_its_own_thread(listener, qtbot):
    closed = []

    def holder():
        try:
            while True:
                yield 1
        finally:
            closed.append(threading.current_thread() is threading.main_thread())

    listener.job.start(holder)
    qtbot.waitUntil(lambda: len(listener.told) > 2)
    listener.job.stop()
    qtbot.waitUntil(lambda: not listener.job.running)
    assert closed == [False]


def test_a_short_job_does_not_wait_for_long_ones(qtbot):
    pool = QtCore.QThreadPool.globalInstance()
    pool.setMaxThreadCount(2)  # a machine of two cores
    owner, go, found = QtCore.QObject(), threading.Event(), []
    try:
        for _ in range(6):
            start_worker(go.wait, 60, on_result=lambda _: None, on_error=found.append, owner=owner)
        start_worker(lambda: "short", on_result=found.append, on_error=found.append, owner=owner)
        qtbot.waitUntil(lambda: found == ["short"], timeout=10000)
    finally:
        go.set()
    assert pool.waitForDone(10000)


class Work:
    """What a job works on, and who is told of it."""

    def __init__(self, owner):
        self.owner, self.told = owner, []

    def call(self, _work):
        return 1

    def stream(self, _work):
        yield 1

    def fail(self, _work):
        raise UserError("It failed.")


@pytest.mark.parametrize("how", ["call", "stream", "fail"])
def test_a_job_that_ended_is_forgotten_while_its_window_lives(make_napari_viewer, qtbot, how):
    viewer = make_napari_viewer()  # napari keeps the workers that were begun while it has a window
    work, told = Work(QtCore.QObject()), []
    alive = [weakref.ref(work), weakref.ref(work.owner)]
    start_worker(
        getattr(work, how), work, on_result=work.told.append, on_error=work.told.append, owner=work.owner,
        on_end=lambda _worker, work=work: told.append(len(work.told)),
    )  # fmt: skip
    qtbot.waitUntil(lambda: told == [1], timeout=20_000)
    del work
    qtbot.waitUntil(lambda: gc.collect() >= 0 and [ref for ref in alive if ref() is not None] == [], timeout=20_000)
    assert viewer is not None
