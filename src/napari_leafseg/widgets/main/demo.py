"""The demonstration: a growth series, segmented by itself, with its curves; without a person it leaves results."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import QEventLoop, Qt, QTimer
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QLabel, QVBoxLayout

from napari_leafseg._counts import counted
from napari_leafseg._files import resource_folder, write_atomically
from napari_leafseg._samples import SERIES, SERIES_TITLE, open_series, series_files
from napari_leafseg.errors import UserError
from napari_leafseg.experiment import Experiment
from napari_leafseg.io.tables import as_csv
from napari_leafseg.pipelines.measure import Measured, MeasureEvent, measure_job
from napari_leafseg.project.measurement_settings import ImageMeasurementSettings
from napari_leafseg.widgets.common.base import LeafsegWidget
from napari_leafseg.widgets.common.controls import burst_timer
from napari_leafseg.widgets.common.job_runner import JobRunner
from napari_leafseg.widgets.main.docks import dock_of, keep_title
from napari_leafseg.widgets.main.panel import open_panel
from napari_leafseg.widgets.measure.frames import frames_of
from napari_leafseg.widgets.measure.plots import MeasurePlot
from napari_leafseg.widgets.segment.widget import SegmentWidget
from napari_leafseg.widgets.state.known_images import KnownImages
from napari_leafseg.widgets.state.napari_private import leave_sides_to_docks, main_window, spare_pyqt5_notice

_PATIENCE_S = 600
_HINT = "Move “Clustering angle”: leaves and curves follow. The slider under the image goes from day to day."


class GrowthView(LeafsegWidget):
    """Shows each leaf's area over the days, anew whenever the leaves change.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    object_name = "napari-leafseg-growth"
    minimum_width = 200

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.measured: Measured | None = None
        self._again = False
        self.words = QLabel("The leaves of each day are being found …")
        self.words.setObjectName("words")
        self.words.setWordWrap(True)
        self.plot = MeasurePlot()
        self.plot.setMinimumHeight(120)
        column = QVBoxLayout(self)
        column.addWidget(self.words)
        column.addWidget(self.plot, 1)
        self.job = JobRunner(self)
        self.job.progress.connect(self._progress)
        self.job.finished.connect(self._ended)
        self._soon = burst_timer(self, self.refresh)
        self.listen(self.session.layer_state_changed, self._ask)

    @property
    def busy(self) -> bool:
        """Whether what is shown is not yet that of the leaves on the screen."""
        return self._soon.isActive() or self.job.running

    def _ask(self, _what: Any = None) -> None:
        self._soon.start()

    def refresh(self) -> None:
        """Measure again, in the background; the newest wish wins."""
        binding = self.session.focused_binding()
        if binding is None:
            return
        frames, files = frames_of(self.session, binding), series_files()
        if binding.image.name == SERIES_TITLE and len(frames) == len(files):  # whose file names say the day
            frames = [replace(frame, path=file) for frame, file in zip(frames, files, strict=True)]
        known = KnownImages(Experiment(), files)
        self._again = not self.job.start(measure_job, frames, ImageMeasurementSettings(), None, None, known.of)
        if self._again:
            self.job.stop()

    def _progress(self, event: MeasureEvent) -> None:
        if event.measured is not None:
            self.measured = event.measured
            self.plot.draw("curves", self.measured)
            self.words.setText(f"<b>The growth of each leaf.</b> {_HINT}")

    def _ended(self) -> None:
        if self._again:
            self._ask()


def open_window() -> tuple[napari.Viewer, SegmentWidget, GrowthView]:
    """Open napari with our tabs, the growth series, and a place for its curves."""
    spare_pyqt5_notice()
    viewer = napari.Viewer(title="napari-leafseg")
    window = main_window(viewer)
    window.resize(1500, 950)
    window.setWindowIcon(QIcon(str(resource_folder() / "icons" / "leaf.svg")))
    segment = open_panel(viewer, "segment").step("segment")
    assert isinstance(segment, SegmentWidget)
    growth = GrowthView(viewer)
    dock = viewer.window.add_dock_widget(growth, name="Growth", area="bottom")
    keep_title(dock, "Growth")
    leave_sides_to_docks(viewer)
    for data, options, _kind in open_series():
        viewer.add_image(data, **options)
    QTimer.singleShot(0, lambda: window.resizeDocks([dock_of(growth)], [280], Qt.Orientation.Vertical))
    return viewer, segment, growth


def run_demo(output: Path | None = None) -> None:
    """Open the demonstration.

    Parameters
    ----------
    output : path, optional
        Do the main job without a person: segment the series, move the angle there and back, leave labels, traits and
        a screenshot here, and close.

    Raises
    ------
    UserError
        When the job does not end within ten minutes.
    """
    viewer, segment, growth = open_window()
    if output is None:
        QTimer.singleShot(0, segment.run)
        segment.job.finished.connect(lambda: _show_last_day(viewer))
        napari.run()
        return
    segment.run_button.click()
    wait_for(lambda: not segment.job.running and not segment.live.busy and _leaves(segment), "the leaves")
    angle = segment.panel.rows["angle"]
    for move in (lambda: angle.set(angle.value + 5), angle.reset.click):
        move()
        wait_for(lambda: not segment.live.busy, "the slider")
    growth.refresh()
    wait_for(lambda: growth.measured is not None and not growth.busy, "the growth curves")
    _show_last_day(viewer)
    _leave_results(viewer, segment, growth, output)
    viewer.close()


def _show_last_day(viewer: napari.Viewer) -> None:
    viewer.dims.set_current_step(0, viewer.dims.nsteps[0] - 1)


def _leaves(segment: SegmentWidget) -> bool:
    return segment.image is not None and segment.session.labels_layer(segment.image) is not None


def wait_for(done: Callable[[], bool], what: str, patience: float = _PATIENCE_S) -> None:
    """Let the window live until something is done.

    Parameters
    ----------
    done : callable
    what : str
        For the error.
    patience : float
        Seconds.

    Raises
    ------
    UserError
        When it is not done by then.
    """
    loop, timer = QEventLoop(), QTimer()
    end = time.monotonic() + patience

    def look() -> None:
        if done() or time.monotonic() > end:
            loop.quit()

    timer.timeout.connect(look)
    timer.start(50)
    loop.exec_() if hasattr(loop, "exec_") else loop.exec()
    timer.stop()
    if not done():
        raise UserError(f"The window waited {patience:.0f} s for {what} in vain.")


def _leave_results(viewer: napari.Viewer, segment: SegmentWidget, growth: GrowthView, output: Path) -> None:
    from napari_leafseg.io import label_path, write_labels

    image = segment.image
    assert image is not None
    layer, item = segment.session.labels_layer(image), segment.session.record(image)
    assert layer is not None
    assert item.prediction is not None
    assert growth.measured is not None
    write_labels(
        label_path(output, SERIES), layer.data, {**item.prediction.record(**item.parameters), "count": item.count}
    )
    write_atomically(output / f"{SERIES}_traits.csv", as_csv(growth.measured.leaves).encode())
    viewer.screenshot(str(output / "screenshot.png"), canvas_only=False, flash=False)
    days, leaves = len(layer.data), growth.measured.leaves["track"].nunique()
    print(f"{days} days, {counted(leaves, 'leaf')} followed. Screenshot, labels and traits are in {output}/")
