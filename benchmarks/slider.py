"""A person drags the angle slider: 60 real mouse events in 2 seconds; prints the pauses of the event loop.

Needs a screen, real or virtual. Run with ``make benchmark``.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import napari
import numpy as np
from qtpy.QtCore import QElapsedTimer, QPoint, QSettings, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QStyle, QStyleOptionSlider

from benchmarks.record import add_record_option, write_result
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.widgets.segment.widget import SegmentWidget


def settle(widget: SegmentWidget) -> None:
    """Wait for prediction and labels."""
    while widget.job.running or widget.live.busy:
        QTest.qWait(5)


def drag(widget: SegmentWidget, events: int = 60, seconds: float = 2.0) -> tuple[np.ndarray, int]:
    """Drag the angle slider; returns pauses between turns of the event loop (ms) and the number of labels shown."""
    slider = widget.panel.rows["angle"].slider
    shown: list[float] = []
    widget.live.ready.connect(lambda result: shown.append(result.values["angle"]))
    gaps: list[float] = []
    clock = QElapsedTimer()
    clock.start()
    ticker = QTimer()
    ticker.setTimerType(Qt.TimerType.PreciseTimer)
    ticker.timeout.connect(lambda: gaps.append(clock.nsecsElapsed() / 1e6) or clock.restart())
    ticker.start(1)
    middle = slider.height() // 2
    option = QStyleOptionSlider()
    slider.initStyleOption(option)
    control, part = QStyle.ComplexControl.CC_Slider, QStyle.SubControl.SC_SliderHandle
    start = slider.style().subControlRect(control, option, part, slider).center()
    QTest.mousePress(slider, Qt.MouseButton.LeftButton, pos=start)
    begin = time.perf_counter()
    for event in range(events):
        x = round(slider.width() * (0.55 + 0.35 * np.sin(event / 6)))
        QTest.mouseMove(slider, QPoint(x, middle))
        while time.perf_counter() < begin + (event + 1) * seconds / events:
            QApplication.processEvents()
    QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=QPoint(x, middle))
    settle(widget)
    ticker.stop()
    labels = widget.session.labels_layer(widget.image).data
    prediction = widget.session.record(widget.image).prediction
    assert len(shown) > 2, "the slider did not move"
    assert np.array_equal(labels, prediction.labels(**widget.panel.values())), "the last value did not win"
    return np.array(gaps), len(shown)


def main() -> None:
    """Measure on a small and on a large image."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_record_option(parser, "slider")
    options, rows = parser.parse_args(), []
    settings = tempfile.TemporaryDirectory()  # a person's own settings stay as they are
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, settings.name)
    viewer = napari.Viewer()
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment")
    viewer.window._qt_window.resize(1500, 950)
    for size in (512, 2048):
        config = SceneConfig(
            size=(size, size), diameter=(0.85 * size, 0.9 * size), border=0.0, blank=0.0, background="soil"
        )
        viewer.add_image(synthesize(108, config).image, name=f"plant {size}", rgb=True)
        widget.run()
        settle(widget)
        drag(widget)  # warm up
        gaps, shown = drag(widget)
        median, most = (round(float(value), 1) for value in np.percentile(gaps, (50, 99)))
        rows.append({"image": f"{size} × {size}", "label images shown": shown} | {
            "median pause, ms": median, "99 %, ms": most, "longest, ms": round(float(gaps.max()), 1)})  # fmt: skip
        print(rows[-1], flush=True)
    viewer.close()
    if options.record:
        write_result(options.record, rows)


if __name__ == "__main__":
    main()
