"""The screenshots in the docs are of widgets that say what today's say."""

import os
import shutil
from pathlib import Path

from benchmarks import screenshot_record
from qtpy.QtWidgets import QPushButton

from napari_leafseg.widgets.main.panel import open_panel


def test_no_screenshot_shows_other_buttons_and_words_than_the_widgets_have(viewer):
    shutil.rmtree(Path(os.environ["XDG_DATA_HOME"]) / "napari-leafseg", ignore_errors=True)  # others' recent projects
    texts = screenshot_record.texts_of(viewer)
    assert "Run" in texts["segment"]
    assert any(text.startswith("Split") for text in texts["correct"])
    looks = {name: screenshot_record.look_hash(name, texts) for name in screenshot_record.SHOWN}
    outdated = screenshot_record.outdated(looks)
    assert outdated == [], f'take these screenshots again: make pictures NAMES="{" ".join(outdated)}"'
    panel = open_panel(viewer)
    QPushButton("Another", panel.step("measure"))
    changed = screenshot_record.texts_of(viewer)
    again = {name: screenshot_record.look_hash(name, changed) for name in screenshot_record.SHOWN}
    assert screenshot_record.outdated(again) == ["measure", "tutorial_growth"]
