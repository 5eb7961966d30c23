"""How late the window is while a model is fine-tuned and somebody paints with the mouse; target 50 ms, 99 of 100 times.

Run ``xvfb-run -a -s "-screen 0 1600x1000x24" python -m benchmarks.painting [--seconds 60]
[--window 1500 950]`` (drawn by software, a large window costs more than the painting). A timer asks for 100 turns
of the event loop a second and notes how late each comes: while painting alone, then while painting and training. Also:
how long *Start* takes to the first point of a curve, with the mouse at rest and while painting, and *Stop* to the end
of the worker.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, QSettings, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from benchmarks.query_models import frames
from benchmarks.record import add_record_option, write_result
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.widgets.finetune.widget import FinetuneWidget
from napari_leafseg.widgets.state import layers, project_controller

TICK = 10  # milliseconds
SIDE = 1024


class Clock:
    """Notes how late each turn of the event loop comes, in milliseconds."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.late.append(max(0.0, 1000 * (now - self._last) - TICK))
        self._last = now

    def begin(self) -> None:
        """Forget what was noted."""
        self.late, self._last = [], time.perf_counter()

    def row(self, what: str) -> dict[str, str | float]:
        """Sum up what was noted."""
        half, most = (round(float(value), 1) for value in np.percentile(self.late, (50, 99)))
        return {"while": what, "median, ms": half, "99 %, ms": most, "longest, ms": round(max(self.late), 1)}


class Brush:
    """Paints with mouse events on the canvas, a stroke every half second."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self.native = viewer.window._qt_viewer.canvas.native
        self.rng = np.random.default_rng(0)
        self.place = np.zeros(2)
        self.step = 0
        self._timer = QTimer()
        self._timer.timeout.connect(self._move)

    def start(self) -> None:
        self._timer.start(16)  # as often as a mouse tells

    def stop(self) -> None:
        self._timer.stop()

    def _move(self) -> None:
        size = np.array([self.native.width(), self.native.height()])
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        phase = self.step % 32
        if phase == 0:
            self.place = size * self.rng.uniform(0.25, 0.75, 2)
            self._send(QEvent.Type.MouseMove, none, none)
            self._send(QEvent.Type.MouseButtonPress, left, left)
        elif phase == 31:
            self._send(QEvent.Type.MouseButtonRelease, left, none)
        else:
            self.place = np.clip(self.place + self.rng.normal(0, 6, 2), 0.2 * size, 0.8 * size)
            self._send(QEvent.Type.MouseMove, none, left)
        self.step += 1

    def _send(self, kind: QEvent.Type, button: Qt.MouseButton, buttons: Qt.MouseButton) -> None:
        where = QPoint(*(int(value) for value in self.place))
        globally = QPointF(self.native.mapToGlobal(where))
        event = QMouseEvent(kind, QPointF(where), globally, button, buttons, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(self.native, event)


def spin(ready: Callable[[], bool], seconds: float) -> float:
    """Let the window live until something is so; returns the seconds."""
    start = time.perf_counter()
    while time.perf_counter() - start < seconds and not ready():
        QApplication.processEvents()
        time.sleep(0.0005)
    return time.perf_counter() - start


def start_to_first_point(widget: FinetuneWidget) -> float:
    """Press *Start*; seconds until a curve has a point."""
    widget.event = None
    widget.start_button.click()
    return spin(lambda: widget.event is not None and widget.event.kind in {"held_out", "step"}, 60)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--window", type=int, nargs=2, default=(1500, 950), help="width and height")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    add_record_option(parser, "painting")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(folder))
    project_controller.unsaved_folder = lambda: folder / "unsaved"
    os.environ["XDG_DATA_HOME"] = str(folder)  # models and sessions, for the process that trains as well
    viewer = napari.Viewer()
    viewer.window.resize(*options.window)
    widget = FinetuneWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Fine-tune")
    for number, (image, truth) in enumerate(frames(options.data)):
        layer = viewer.add_image(image, name=f"frame {number}", rgb=True)
        layers.show_new_labels(widget.session, layer, truth.astype(np.uint16), "segment")
        binding = widget.session.binding(layer)
        assert binding is not None
        widget.controller.track(binding)
        widget.controller.set_state(binding, "done")
        layer.visible = binding.layer.visible = False  # as in the list of images: the others are hidden
    scene = synthesize(1, SceneConfig(size=(SIDE, SIDE), diameter=(300, 400), plants=(4, 4)))
    layer = viewer.add_image(scene.image, name="to paint on", rgb=True)
    layers.show_new_labels(widget.session, layer, scene.labels.astype(np.uint16), "segment")
    labels = widget.session.labels_layer(layer)
    viewer.layers.selection.active = labels
    labels.mode, labels.brush_size, labels.selected_label = "paint", 12, 1
    viewer.reset_view()
    spin(lambda: False, 2)
    before = labels.data.copy()
    clock, brush = Clock(), Brush(viewer)
    brush.start()
    spin(lambda: False, 2)
    clock.begin()
    spin(lambda: False, options.seconds / 2)
    rows = [clock.row("painting")]
    print(rows[-1], flush=True)
    brush.stop()
    spin(lambda: widget.start_button.isEnabled(), 5)
    print(f"first point after        {start_to_first_point(widget):.1f} s", flush=True)
    brush.start()
    spin(lambda: widget.event.kind == "step", 60)
    clock.begin()
    begun = widget.event.done
    spin(lambda: False, options.seconds)
    rows.append(clock.row("painting and training"))
    print(rows[-1], f"{widget.event.done - begun} steps", flush=True)
    widget.stop_button.click()
    print(f"Stop took                {spin(lambda: not widget.job.running, 30):.1f} s", flush=True)
    print(f"Go on, painting: after   {start_to_first_point(widget):.1f} s", flush=True)
    widget.stop_button.click()
    spin(lambda: not widget.job.running, 30)
    print(f"{np.count_nonzero(labels.data != before)} pixels painted")
    size = "{} × {}".format(*options.window)
    if options.record:
        write_result(options.record, [{"window": size} | row for row in rows])
    widget.controller.close()
    viewer.close()


if __name__ == "__main__":
    main()
