"""A person's script without ``if __name__ == "__main__"`` runs a batch: its workers open no second window."""

import os
import subprocess
import sys

import pandas as pd
import pytest

from napari_leafseg.io import write_image
from napari_leafseg.synthetic import SceneConfig, synthesize

SCRIPT = """
import os, pathlib, sys
import napari
from qtpy.QtCore import QTimer
from napari_leafseg.widgets.batch.widget import BatchWidget

folder = pathlib.Path(sys.argv[1])
with open(folder / "windows.txt", "a") as file:
    file.write(f"{os.getpid()}\\n")
viewer = napari.Viewer()
batch = BatchWidget(viewer)
viewer.window.add_dock_widget(batch)
batch.form.native("source").setText(str(folder / "images"))
batch.form.native("output").setText(str(folder / "out"))
batch.model_box.setCurrentIndex(batch.model_box.findData("leaf-small"))
batch.form.native("workers").setValue(2)

def ended():
    (folder / "told.txt").write_text(batch.message.text())
    viewer.close()

batch.job.finished.connect(lambda: QTimer.singleShot(0, ended))
QTimer.singleShot(0, batch.run_button.click)
napari.run()
"""


@pytest.mark.timeout(600)
def test_a_script_without_a_guard_runs_a_batch_in_one_window(tmp_path):
    scene = SceneConfig(size=(96, 112), diameter=(60, 85), border=0.0, blank=0.0)
    for seed in range(3):
        write_image(tmp_path / "images" / f"plant{seed}.png", synthesize(400 + seed, scene).image)
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "NAPARI_CONFIG": str(tmp_path / "napari.yaml"),
    }
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "told.txt").read_text() == "3 images done."
    assert len(pd.read_csv(tmp_path / "out" / "images.csv")) == 3
    assert len((tmp_path / "windows.txt").read_text().split()) == 1
