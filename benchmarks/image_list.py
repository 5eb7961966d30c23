"""The list of images: pauses of the event loop during *Run all*, and the contact sheet's frames while it is scrolled.

Needs a screen, real or virtual. Run with ``make benchmark``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QElapsedTimer, QSettings, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from benchmarks.record import add_record_option, write_result
from napari_leafseg.io import write_image
from napari_leafseg.pipelines import thumbnails
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.widgets.images.thumbnails import Request
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.segment.widget import SegmentWidget
from napari_leafseg.widgets.state.image_record import ListedImage

IMAGES, CELLS, SECONDS = 8, 5_000, 4.0


class Pauses:
    """Measure pauses between turns of the event loop, ms."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self._clock = QElapsedTimer()
        self._clock.start()
        self._ticker = QTimer()
        self._ticker.setTimerType(Qt.TimerType.PreciseTimer)
        self._ticker.timeout.connect(self._tick)
        self._ticker.start(1)

    def _tick(self) -> None:
        self.gaps.append(self._clock.nsecsElapsed() / 1e6)
        self._clock.restart()

    def row(self, what: str) -> dict[str, object]:
        """Stop, and tell what was measured."""
        self._ticker.stop()
        gaps = np.array(self.gaps)
        median, most = np.percentile(gaps, (50, 99))
        return {
            "what": what, "median pause, ms": round(float(median), 1), "99 %, ms": round(float(most), 1),
            "longest, ms": round(float(gaps.max()), 1),
        }  # fmt: skip


def wait(done: Callable[[], bool]) -> None:
    """Let the window live until something is done."""
    while not done():
        QTest.qWait(5)


def measure_run_all(images: ImagesWidget, segment: SegmentWidget, folder: Path) -> dict[str, object]:
    """Run all images while somebody goes through the list."""
    for number in range(IMAGES):
        config = SceneConfig(size=(700, 700), diameter=(500, 600), border=0.0, blank=0.0, background="soil")
        write_image(folder / f"plant{number:02d}.png", synthesize(100 + number, config).image)
    images.add([folder])
    wait(lambda: segment.image is not None and not images.thumbnails.running)
    segment.run()  # the model is loaded once
    wait(lambda: not segment.job.running and not segment.live.busy)
    pauses, run = Pauses(), segment.run_all_button.run
    QTest.mouseClick(segment.run_all_button.button, Qt.MouseButton.LeftButton)
    while run.running:
        QTest.keyClick(images.list, Qt.Key.Key_Down if images.list.currentRow() < IMAGES - 1 else Qt.Key.Key_Home)
        QTest.qWait(700)
    return pauses.row(f"Run all, {IMAGES} images of 700 × 700")


def measure_sheet(images: ImagesWidget) -> dict[str, object]:
    """Scroll a contact sheet of many images up and down; the thumbnails come from the disk's cache."""
    small = synthesize(108, SceneConfig(size=(192, 192), border=0.0, blank=0.0)).image
    folder = Path(images.session.images[0].path).parent
    images.session.images[:] = [ListedImage(folder / f"{number:05d}.png") for number in range(CELLS)]
    for number, entry in enumerate(images.session.images):
        entry.exported, entry.count, entry.confidence, entry.date = (
            True,
            number % 17,
            (number * 7919 % CELLS) / CELLS,
            0.0,
        )
    images.session.images_changed.emit()
    images.thumbnails._request = lambda entry: Request(entry.path, entry.version, None)  # type: ignore[method-assign]
    kept = folder / "thumbnail.jpg"
    thumbnails.keep_thumbnail(kept, small)
    thumbnails.kept_file = lambda *_: kept  # type: ignore[assignment]
    images.show_sheet()
    assert images.sheet is not None
    view = images.sheet.view
    bar = view.verticalScrollBar()
    assert bar is not None
    QTest.qWait(500)
    frames, begun = 0, time.perf_counter()
    pauses = Pauses()
    while (passed := time.perf_counter() - begun) < SECONDS:
        bar.setValue(round(bar.maximum() * abs(np.sin(passed))))
        view.viewport().repaint()  # type: ignore[union-attr]
        frames += 1
        QApplication.processEvents()
    row = pauses.row(f"Contact sheet of {CELLS} images, scrolled")
    return row | {"frames a second": round(frames / SECONDS, 1)}


def main() -> None:
    """Measure both at 1600 × 1000."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_record_option(parser, "image_list")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, place)
        viewer = napari.Viewer()
        images, segment = ImagesWidget(viewer), SegmentWidget(viewer)
        viewer.window.add_dock_widget(images, name="Images", area="left")
        viewer.window.add_dock_widget(segment, name="Segment", area="right")
        viewer.window._qt_window.resize(1600, 1000)
        rows = [measure_run_all(images, segment, Path(place) / "images"), measure_sheet(images)]
        for row in rows:
            print(row, flush=True)
        images.controller.close()
        viewer.close()
    if options.record:
        write_result(options.record, rows)


if __name__ == "__main__":
    main()
