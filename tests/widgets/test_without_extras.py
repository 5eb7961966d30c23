"""In the window, too, what is missing is named with its extra, and nothing else stops working."""

import cv2
import numpy as np
import pandas as pd
from qtpy.QtCore import Qt

from napari_leafseg.errors import install_command
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.measure.save_tables import TablesDialog
from napari_leafseg.widgets.segment.model_list import PURPOSE
from napari_leafseg.widgets.segment.widget import SegmentWidget
from tests.without import hide


def test_a_model_that_lacks_its_package_is_listed_and_says_so(viewer, plant_image, qtbot, errors, monkeypatch):
    hide(monkeypatch, "transformers")
    viewer.add_image(plant_image, name="plant", rgb=True)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment")
    row = widget.model_box.findData("mask2former")
    assert install_command("query") in widget.model_box.itemData(row, PURPOSE)
    assert "pip install" not in widget.model_box.itemData(widget.model_box.findData("solov2"), PURPOSE)
    widget.choose_model("mask2former")
    assert install_command("query") in widget.model_text.text()
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(errors) and not widget.job.running)
    assert "A Mask2Former needs the package transformers, which is not installed" in errors[0]
    assert install_command("query") in errors[0]
    assert "Traceback" not in errors[0]


def test_an_image_whose_package_is_missing_says_so_in_the_list(viewer, qtbot, errors, monkeypatch, tmp_path):
    hide(monkeypatch, "imagecodecs")
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((64, 64, 3), 40_000, np.uint16))
    widget = ImagesWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Images")
    widget.add([tmp_path / "deep.png"])
    qtbot.waitUntil(lambda: widget.list.model().rowCount() == 1)
    qtbot.mouseClick(
        widget.list.viewport(), Qt.MouseButton.LeftButton,
        pos=widget.list.visualRect(widget.list.model().index(0, 0)).center(),
    )  # fmt: skip
    qtbot.waitUntil(lambda: bool(errors))
    assert "deep.png is a PNG image with 16 bits a color, which needs the package imagecodecs" in errors[0]
    assert install_command("formats") in errors[0]


def test_tables_as_parquet_are_refused_before_they_are_saved(qtbot, monkeypatch):
    hide(monkeypatch, "pyarrow")
    dialog = TablesDialog({"leaves": pd.DataFrame({"leaf": [1]})}, {})
    qtbot.addWidget(dialog)
    box = dialog.form.native("ending")
    box.setCurrentIndex(max(box.findData(".parquet"), box.findText("Parquet")))
    assert install_command("batch") in dialog.message.text()
    assert not dialog.accept_button.isEnabled()
