"""How long the window is busy with each correction at 2048 × 2048 with 100 leaves, screen included; target 50 ms.

Run ``xvfb-run -a -s "-screen 0 1600x1000x24" python -m benchmarks.correct``.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QApplication

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
    undone = []
    for name, points in strokes.items():
        widget.tools.choose(tools[name])
        spent = []
        for _ in range(ROUNDS):
            spent.append(timed(lambda points=points: widget._gesture(points, len(points) == 1)))
            undone.append(timed(widget.undo))
        print(f"{name}: median {np.median(spent):.1f} ms, longest {max(spent):.1f} ms")
        widget.tools.choose(None)
    print(f"undo: median {np.median(undone):.1f} ms, longest {max(undone):.1f} ms")
    binding = widget.binding
    assert binding is not None
    binding.verify([45], True)
    spent = []
    for _ in range(ROUNDS):
        binding.document.changed = True
        spent.append(timed(widget.controller.autosave))
    print(
        f"autosave, in the window's thread: median {np.median(spent):.1f} ms, longest {max(spent):.1f} ms (target 20)"
    )
    widget.controller.close()
    viewer.close()
    print(f"{SIDE} × {SIDE}, {len(np.unique(labels)) - 1} leaves")


if __name__ == "__main__":
    main()
