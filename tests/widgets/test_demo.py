"""The demonstration does the main job by itself."""

import numpy as np
import pandas as pd
import tifffile
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_leafseg.widgets.main.demo import run_demo


def test_demo_leaves_screenshot_labels_and_traits(tmp_path, mock_app_model, qtbot):
    run_demo(tmp_path / "demo-output")
    made = sorted(path.name for path in (tmp_path / "demo-output").iterdir())
    stem = "growth"
    assert made == [f"{stem}_label.json", f"{stem}_label.tif", f"{stem}_traits.csv", "screenshot.png"]
    labels = tifffile.imread(tmp_path / "demo-output" / f"{stem}_label.tif")
    traits = pd.read_csv(tmp_path / "demo-output" / f"{stem}_traits.csv")
    assert labels.ndim == 3
    assert len(traits) == sum(len(np.unique(day)) - 1 for day in labels) > 0
    assert traits["track"].nunique() > 1
    assert traits["area_px2"].sum() == (labels > 0).sum()
    assert Image.open(tmp_path / "demo-output" / "screenshot.png").size[0] > 1000
    assert sorted(traits["day"].unique()) == [1, 2, 3, 4, 5, 6]
    QApplication.processEvents()
