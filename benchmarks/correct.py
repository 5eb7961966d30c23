"""How long the window is busy with each correction at 2048 × 2048 with 100 leaves, screen included; target 50 ms.

Run ``xvfb-run -a -s "-screen 0 1600x1000x24" python -m benchmarks.correct``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QApplication

from benchmarks.record import add_record_option, write_result
from benchmarks.test_editing import SIDE, middle, off, paint_field
from napari_leafseg.editing.tools import TOOLS
from napari_leafseg.widgets.correct.widget import CorrectWidget
from napari_leafseg.widgets.state import layers, project_controller

ROUNDS = 7


def timed(job: Callable[[], object]) -> float:
    """Milliseconds of a job, with everything that it makes the window do at once."""
    start = time.perf_counter()
    job()
    taken = time.perf_counter() - start
    QApplication.processEvents()
    return 1000 * taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_record_option(parser, "correct")
    options = parser.parse_args()
    times: dict[str, list[float]] = {}
    folder = tempfile.mkdtemp()
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)
    project_controller.unsaved_folder = lambda: Path(folder) / "unsaved"
    labels, image = paint_field()
    viewer = napari.Viewer()
    widget = CorrectWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Correct")
    layer = viewer.add_image(image, name="field", rgb=True)
    layers.show_new_labels(widget.session, layer, labels, "segment")
    widget.act_on_all("verify")
    widget.undo()
    at = middle(labels, 45)
    tools = {tool.name: tool for tool in TOOLS}
    strokes = {
        "split": np.array([off(at, -90, 0), off(at, 90, 0)]),
        "merge": np.array([at, off(at, 0, 200)]),
        "border": at + np.array([[-84.0, -50], [-92, 0], [-84, 50]]),
        "lasso": at + np.array([[-80.0, -80], [-80, 80], [80, 80], [80, -80]]),
        "front": np.array([at, off(at, 0, 200)]),
        "add": off(at, 0, 60)[None],
    }
    for name, points in strokes.items():
        widget.tools.choose(tools[name])
        times[name] = []
        for _ in range(ROUNDS):
            times[name].append(timed(lambda points=points: widget._gesture(points, len(points) == 1)))
            times.setdefault("undo", []).append(timed(widget.undo))
        widget.tools.choose(None)
    binding = widget.binding
    assert binding is not None
    binding.verify([45], True)
    times["autosave, in the window's thread"] = []
    for _ in range(ROUNDS):
        binding.document.changed = True
        times["autosave, in the window's thread"].append(timed(widget.controller.autosave))
    widget.controller.close()
    viewer.close()
    print(f"{SIDE} × {SIDE}, {len(np.unique(labels)) - 1} leaves")
    rows = [{"correction": name, "median, ms": round(float(np.median(spent)), 1), "longest, ms": round(max(spent), 1)}
            for name, spent in times.items()]  # fmt: skip
    print(*rows, sep="\n")
    if options.record:
        write_result(options.record, rows)


if __name__ == "__main__":
    main()
