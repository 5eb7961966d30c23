"""The demonstration: napari on the sample plants, with our dock widgets; without a person it does the job itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import QEventLoop, Qt, QTimer
from qtpy.QtGui import QIcon

from napari_leafseg._files import resource_folder, write_atomically
from napari_leafseg._samples import sample_images
from napari_leafseg.errors import UserError
from napari_leafseg.io.tables import harmless
from napari_leafseg.widgets.correct.widget import CorrectWidget
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.segment.widget import SegmentWidget
from napari_leafseg.widgets.state.napari_private import main_window

_PATIENCE_S = 180


def open_window(show: bool = True) -> tuple[napari.Viewer, ImagesWidget, SegmentWidget]:
    """Open napari with our widgets and the sample plants in the list."""
    viewer = napari.Viewer(title="napari-leafseg", show=show)
    images, segment = ImagesWidget(viewer), SegmentWidget(viewer)
    upper = viewer.window.add_dock_widget(images, name="Images", area="right")
    lower = viewer.window.add_dock_widget(segment, name="Segment", area="right")
    viewer.window.add_dock_widget(CorrectWidget(viewer), name="Correct", area="right", tabify=True)
    main_window(viewer).resize(1500, 950)
    main_window(viewer).setWindowIcon(QIcon(str(resource_folder() / "icons" / "leaf.svg")))

    def arrange() -> None:
        main_window(viewer).resizeDocks([upper, lower], [270, 620], Qt.Orientation.Vertical)
        lower.raise_()

    QTimer.singleShot(0, arrange)
    images.add(sample_images())
    return viewer, images, segment


def run_demo(output: Path | None = None) -> None:
    """Open the demonstration.

    Parameters
    ----------
    output : path, optional
        Do the main job without a person: segment the first plant, move the angle there and back, leave labels, traits
        and a screenshot here, and close.

    Raises
    ------
    UserError
        When the job does not end within three minutes.
    """
    viewer, _images, segment = open_window()
    if output is None:

        def run_once(_event: Any) -> None:
            viewer.layers.events.inserted.disconnect(run_once)
            QTimer.singleShot(0, segment.run)

        viewer.layers.events.inserted.connect(run_once)
        napari.run()
        return
    _wait(lambda: segment.image is not None, "the first plant to be loaded")
    segment.run_button.click()
    _wait(lambda: not segment.job.running and not segment.live.busy and _leaves(segment), "the leaves")
    angle = segment.panel.rows["angle"]
    for move in (lambda: angle.set(angle.value + 5), angle.reset.click):
        move()
        _wait(lambda: not segment.live.busy, "the slider")
    _leave_results(viewer, segment, output)
    viewer.close()


def _leaves(segment: SegmentWidget) -> bool:
    return segment.image is not None and segment.session.labels_layer(segment.image) is not None


def _wait(done: Callable[[], bool], what: str) -> None:
    """Let the window live until something is done."""
    loop, timer = QEventLoop(), QTimer()
    end = time.monotonic() + _PATIENCE_S

    def look() -> None:
        if done() or time.monotonic() > end:
            loop.quit()

    timer.timeout.connect(look)
    timer.start(50)
    loop.exec_() if hasattr(loop, "exec_") else loop.exec()
    timer.stop()
    if not done():
        raise UserError(f"The demonstration waited {_PATIENCE_S} s for {what} in vain.")


def _leave_results(viewer: napari.Viewer, segment: SegmentWidget, output: Path) -> None:
    from napari_leafseg.io import label_path, to_rgb8, write_labels
    from napari_leafseg.traits import measure

    image = segment.image
    assert image is not None
    layer, item = segment.session.labels_layer(image), segment.session.record(image)
    assert layer is not None
    assert item.prediction is not None
    record = {**item.prediction.record(**item.parameters), "count": item.count}
    write_labels(label_path(output, image.name), layer.data, record)
    table = harmless(measure(layer.data, to_rgb8(image.data)).leaves)
    write_atomically(output / f"{image.name}_traits.csv", table.to_csv(index=False, float_format="%.7g").encode())
    viewer.screenshot(str(output / "screenshot.png"), canvas_only=False, flash=False)
    print(f"{image.name}: {item.count} leaves. Screenshot, labels and traits are in {output}/")
