"""Measure heavy use, each once: ``python -m benchmarks.load [NAME …]``; those that open windows take a screen (Xvfb).

Large images, long series, many leaves, many files; widgets opened and closed, two viewers, *Run* and stop: what they
take, and whether memory and threads are back where they were. Prints a line of JSON for each; docs/reliability.md
holds the figures.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import add_record_option, write_result

_SIDE, _FRAMES, _LEAVES, _FILES, _TIMES, _STOPS = 20_000, 500, 2_000, 10_000, 100, 50


def memory() -> float:
    """Return the memory of this process, MB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def threads() -> int:
    """Count the threads of this process that Python knows."""
    return threading.active_count()


def large_image(folder: Path) -> dict[str, Any]:
    """Draw on an image of 20,000 × 20,000, save it and open it again; segment it at 5 % of its size."""
    from napari_leafseg.editing import operations as ops
    from napari_leafseg.pipelines.predictors import get_predictor
    from napari_leafseg.project import Project
    from napari_leafseg.synthetic import SceneConfig, synthesize

    scene = synthesize(5, SceneConfig(size=(1000, 1000), plants=(6, 6), diameter=(200, 260)))
    image = np.kron(scene.image, np.ones((_SIDE // 1000, _SIDE // 1000, 1), np.uint8))
    began = time.perf_counter()
    prediction = get_predictor("leaf-small", "cpu").predict(image, scale=0.05)
    predicted = time.perf_counter() - began
    began = time.perf_counter()
    labels = prediction.labels().astype(np.uint16)
    found, seconds = int(labels.max()), time.perf_counter() - began
    del image, prediction
    with Project.create(folder / "project") as project:
        ref = project.add_known(folder / "plate.tif")
        document = project.open_document(ref, labels.shape)
        document.commit(ops.difference(document.labels, None, labels, "segment"), verify=False)
        corners = np.array([[100.0, 100], [100, 900], [900, 900], [900, 100]])
        began = time.perf_counter()
        document.commit(ops.draw_polygon(document.labels, corners, found + 1))
        stroke = time.perf_counter() - began
        began = time.perf_counter()
        project.save(ref, document)
        copied = time.perf_counter() - began
        assert project.writer.flush(1200)
        saved = time.perf_counter() - began
        expected = document.labels[:: _SIDE // 100].copy()
        del document, labels
    began = time.perf_counter()
    with Project.open(folder / "project") as project:
        again = project.open_document(project.images[0], (_SIDE, _SIDE))
        assert np.array_equal(again.labels[:: _SIDE // 100], expected)
    return {
        "leaves": found, "segment_s": predicted, "labels_s": seconds, "stroke_s": stroke, "snapshot_s": copied,
        "saved_s": saved, "opened_s": time.perf_counter() - began,
    }  # fmt: skip


def long_series(folder: Path) -> dict[str, Any]:
    """Draw in all frames of a series of 500, save and open it; segment it frame by frame."""
    from napari_leafseg.editing import operations as ops
    from napari_leafseg.pipelines.predictors import get_predictor
    from napari_leafseg.project import Project
    from napari_leafseg.synthetic import SceneConfig, synthesize

    image = synthesize(3, SceneConfig(size=(256, 256), diameter=(180, 220))).image
    began = time.perf_counter()
    prediction = get_predictor("leaf-small", "cpu").predict(np.broadcast_to(image, (_FRAMES, *image.shape)), scale=0.5)
    predicted, before = time.perf_counter() - began, memory()
    labels = prediction.labels().astype(np.uint16)
    assert labels.shape == (_FRAMES, 256, 256)
    with Project.create(folder / "project") as project:
        ref = project.add_known(folder / "series.tif")
        document = project.open_document(ref, labels.shape)
        began = time.perf_counter()
        for frame in range(_FRAMES):
            edit = ops.draw_polygon(document.plane(frame), np.array([[5.0, 5], [5, 60], [60, 60]]), 9)
            assert edit is not None
            document.commit(replace(edit, frame=frame))
        edits = (time.perf_counter() - began) / _FRAMES
        began = time.perf_counter()
        project.save(ref, document)
        assert project.writer.flush(600)
        saved = time.perf_counter() - began
    began = time.perf_counter()
    with Project.open(folder / "project") as project:
        again = project.open_document(project.images[0], labels.shape)
        assert len(again.history) == _FRAMES
    return {
        "segment_s": predicted, "kept_MB": before, "edit_ms": 1000 * edits, "saved_s": saved,
        "opened_s": time.perf_counter() - began,
    }  # fmt: skip


def many_leaves(folder: Path) -> dict[str, Any]:
    """Measure, correct, export and import an image of 2,000 leaves."""
    from napari_leafseg.editing import operations as ops
    from napari_leafseg.io import write_image
    from napari_leafseg.project import Project
    from napari_leafseg.project.transfer import export_labels, import_labels
    from napari_leafseg.traits import measure

    across, size = 50, 40
    down = _LEAVES // across
    y, x = np.mgrid[:size, :size]
    leaf = (y - size / 2) ** 2 + ((x - size / 2) * 1.6) ** 2 < (0.45 * size) ** 2
    numbers = np.arange(1, _LEAVES + 1, dtype=np.uint16).reshape(down, across)
    labels = np.kron(numbers, leaf.astype(np.uint16))
    image = np.where(labels[..., None] > 0, np.uint8(90), np.uint8(30)) * np.ones(3, np.uint8)
    write_image(folder / "many.png", image)
    result: dict[str, Any] = {"leaves": len(np.unique(labels)) - 1}
    began = time.perf_counter()
    measured = measure(labels, image)
    result["measure_s"] = time.perf_counter() - began
    assert len(measured.leaves) == _LEAVES
    with Project.create(folder / "project") as project:
        (ref,) = project.add_images([folder / "many.png"])
        document = project.open_document(ref, labels.shape)
        document.commit(ops.difference(document.labels, None, labels, "segment"), verify=False)
        began = time.perf_counter()
        for number in range(100):
            y0, x0 = 15.0 * number % 1000, 17.0 * number % 1000
            document.commit(ops.draw_polygon(document.labels, np.array([[y0, x0], [y0, x0 + 30], [y0 + 30, x0]]), 7))
        result["edit_ms"] = 10 * (time.perf_counter() - began)
        project.save(ref, document)
        assert project.writer.flush(120)
        for form in ("coco", "imagej", "geojson"):
            began = time.perf_counter()
            list(export_labels(project, folder / form, form))
            result[f"export_{form}_s"] = time.perf_counter() - began
        began = time.perf_counter()
        list(import_labels(project, [folder / "coco" / "leaves.json"], replace=True))
        result["import_coco_s"] = time.perf_counter() - began
    return result


def many_files(folder: Path) -> dict[str, Any]:
    """Find 10,000 image files, make them a project, open it."""
    from napari_leafseg.io import list_images, write_image
    from napari_leafseg.project import Project

    write_image(folder / "images" / "0.png", np.zeros((8, 8, 3), np.uint8))
    content = (folder / "images" / "0.png").read_bytes()
    for number in range(1, _FILES):
        (folder / "images" / f"{number}.png").write_bytes(content)
    result: dict[str, Any] = {}
    began = time.perf_counter()
    paths = list_images([folder / "images"])
    result["found_s"] = time.perf_counter() - began
    began = time.perf_counter()
    with Project.create(folder / "project") as project:
        project.add_all([(path, "") for path in paths])
        assert project.writer.flush(120)
    result["added_s"] = time.perf_counter() - began
    began = time.perf_counter()
    with Project.open(folder / "project") as project:
        assert len(project.images) == _FILES
    result["opened_s"] = time.perf_counter() - began
    return result


def _widgets() -> list[Any]:
    from napari_leafseg.widgets.batch.widget import BatchWidget
    from napari_leafseg.widgets.correct.widget import CorrectWidget
    from napari_leafseg.widgets.finetune.widget import FinetuneWidget
    from napari_leafseg.widgets.images.widget import ImagesWidget
    from napari_leafseg.widgets.measure.widget import MeasureWidget
    from napari_leafseg.widgets.segment.widget import SegmentWidget

    return [ImagesWidget, SegmentWidget, CorrectWidget, MeasureWidget, FinetuneWidget, BatchWidget]


def _wait(until: Callable[[], bool], seconds: float = 300.0) -> None:
    from qtpy.QtCore import QCoreApplication, QEvent
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while True:
        QApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        if until():
            return
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.005)


def widgets(_folder: Path) -> dict[str, Any]:
    """Open and close every dock widget 100 times."""
    import napari

    viewer = napari.Viewer(show=True)
    result: dict[str, Any] = {}
    for number in range(_TIMES + 10):
        if number == 10:  # by then all that stays is there
            result |= {"before_MB": memory(), "threads_before": threads()}
        for kind in _widgets():
            dock = viewer.window.add_dock_widget(kind(viewer), name=kind.__name__)
            _wait(lambda: True)
            viewer.window.remove_dock_widget(dock)
            dock.close()
            dock.deleteLater()
        _wait(lambda: True)
    _wait(lambda: threads() <= result["threads_before"], 30)
    result |= {"after_MB": memory(), "threads_after": threads()}
    viewer.close()
    return result


def two_viewers(_folder: Path) -> dict[str, Any]:
    """Open and close a second viewer with widgets 20 times beside a first one, which goes on as before."""
    import napari

    from napari_leafseg.synthetic import synthesize

    first = napari.Viewer(show=True)
    kept = [kind(first) for kind in _widgets()[:3]]
    for widget in kept:
        first.window.add_dock_widget(widget)
    first.add_image(synthesize(3).image, name="plant")
    result: dict[str, Any] = {}
    for number in range(25):
        if number == 5:
            result |= {"before_MB": memory(), "threads_before": threads()}
        second = napari.Viewer(show=True)
        for kind in _widgets()[:3]:
            second.window.add_dock_widget(kind(second))
        second.add_image(np.zeros((64, 64, 3), np.uint8))
        _wait(lambda: True)
        second.close()
        _wait(lambda: True)
    result |= {"after_MB": memory(), "threads_after": threads(), "layers_of_the_first": len(first.layers)}
    first.close()
    return result


def run_and_stop(_folder: Path) -> dict[str, Any]:
    """Press *Run* and *Stop* 50 times; then a run to its end."""
    import napari

    from napari_leafseg.synthetic import SceneConfig, synthesize
    from napari_leafseg.widgets.segment.widget import SegmentWidget

    viewer = napari.Viewer(show=True)
    segment = SegmentWidget(viewer)
    viewer.window.add_dock_widget(segment)
    viewer.add_image(synthesize(3, SceneConfig(size=(256, 256), diameter=(180, 220))).image, name="plant")
    rng, result = np.random.default_rng(0), dict[str, Any]()
    for number in range(_STOPS + 5):
        if number == 5:
            result |= {"before_MB": memory(), "threads_before": threads()}
        segment.run()
        end = time.monotonic() + float(rng.uniform(0, 0.5))
        _wait(lambda end=end: time.monotonic() > end or not segment.job.running)
        segment.stop()
        _wait(lambda: not segment.job.running)
    result |= {"after_MB": memory(), "threads_after": threads()}
    segment.run()
    _wait(lambda: not segment.job.running)
    result["layers"] = [layer.name for layer in viewer.layers]
    viewer.close()
    return result


ALL: dict[str, Callable[[Path], dict[str, Any]]] = {
    job.__name__: job for job in (large_image, long_series, many_leaves, many_files, widgets, two_viewers, run_and_stop)
}


def main() -> None:
    """Measure what is named, or all; each in turn, with the peak so far."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ALL))
    add_record_option(parser, "load")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.names or ALL:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            found = ALL[name](Path(folder))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
            found |= {"seconds": time.perf_counter() - began, "peak_MB": peak}
            rounded = {key: round(value, 2) if isinstance(value, float) else value for key, value in found.items()}
            print(json.dumps({"what": name, **rounded}), flush=True)
            rows += [{"what": name, "figure": key, "value": value} for key, value in rounded.items()]
    if options.record is not None:
        write_result(options.record, rows)


if __name__ == "__main__":
    main()
