"""A window of its own process: it runs a model, moves a slider, says what is on the screen, and waits to be killed."""

import sys
import time
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.segment.widget import SegmentWidget


def until(said, patience=300):
    end = time.monotonic() + patience
    while not said():
        if time.monotonic() > end:
            raise SystemExit(f"waited for too long: {said}")
        QApplication.processEvents()
        time.sleep(0.01)


def tell(images, segment, values):
    """Everything that was told to be on the disk is there now; then say what the screen shows."""
    binding = segment.session.binding(segment.image)
    until(lambda: images.controller.project.writer.flush(0.01) and images.controller.project.predictions.flush(0.01))
    np.save(Path(sys.argv[1]) / "shown.npy", binding.layer.data)
    print("shown", images.controller.project.folder, values, flush=True)


def main():
    image, project, moment = Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    viewer = napari.Viewer()
    images, segment = ImagesWidget(viewer), SegmentWidget(viewer)
    for widget in (images, segment):
        viewer.window.add_dock_widget(widget)
    segment.choose_model("leaf-small")
    if project != "-":
        images.controller.create(Path(project))
    images.add([image])
    until(lambda: segment.image is not None)
    QTest.mouseClick(segment.run_button, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(5, 5))
    until(lambda: not segment.job.running and not segment.live.busy)
    binding = segment.session.binding(segment.image)
    if moment == "slider":
        for _ in range(20):
            QTest.keyClick(segment.panel.rows["angle"].slider, Qt.Key.Key_Left)
        until(lambda: not segment.live.busy and not binding.unfinished and len(binding.document.history.done) == 2)
    tell(images, segment, segment.panel.values()["angle"])
    while True:
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main()
