"""Take the documentation's screenshots, of the program itself: ``python -m benchmarks.screenshots [NAME …]``.

It works with settings, models and projects of its own in a temporary folder.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from benchmarks.screenshot_record import record, texts_of

if TYPE_CHECKING:
    from napari_leafseg.widgets.segment.widget import SegmentWidget

_OUTPUT = Path(__file__).parents[1] / "docs" / "images"
_SAMPLES = Path(__file__).parents[1] / "sample_data"
_SIZE = (1366, 768)
_OWN = ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
_STEPS = 60  # of the fine-tuning that is shown
_BRIGHT, _OWN_COLORS = 85, 64  # difference of a pixel's channels from which on it is bright; colors of such pixels
_PATIENCE_S = 3600  # a busy machine trains slowly
_TEXTS: dict[str, list[str]] = {}  # of the widgets, before anything is open


class Studio:
    """A window with the images of the growth series, and what is needed to show it.

    Parameters
    ----------
    folder : pathlib.Path
        Where the images are copied to.
    """

    def __init__(self, folder: Path) -> None:
        import napari

        from napari_leafseg.widgets.main.panel import open_panel
        from napari_leafseg.widgets.state.napari_private import main_window, spare_pyqt5_notice

        spare_pyqt5_notice()
        self._open = open_panel
        self.viewer = napari.Viewer(title="napari-leafseg")
        self.window = main_window(self.viewer)
        self.window.resize(*_SIZE)
        _TEXTS.update(texts_of(self.viewer))
        self.panel = open_panel(self.viewer, "segment")
        self.folder = folder
        self.wait(1.5)
        folder.mkdir()
        for path in sorted((_SAMPLES / "growth").glob("day??.png")):
            shutil.copy(path, folder)

    @property
    def segment(self) -> SegmentWidget:
        """The tab *Segment*."""
        from napari_leafseg.widgets.segment.widget import SegmentWidget

        widget = self.panel.step("segment")
        assert isinstance(widget, SegmentWidget)
        return widget

    @property
    def images(self) -> Any:
        """The list of images."""
        from qtpy.QtWidgets import QApplication

        from napari_leafseg.widgets.images.widget import ImagesWidget

        return next(widget for widget in QApplication.allWidgets() if isinstance(widget, ImagesWidget))

    def add_images(self) -> None:
        """Put the series into the list, and show its last day."""
        self.images.add([self.folder])
        self.until(lambda: len(self.viewer.layers) > 0)
        self.images.go_to(self.images.session.images[-1])
        self.until(lambda: not self.images.loader.running and not self.images.thumbnails.running)

    def run_all(self) -> None:
        """Segment every image."""
        self.segment.run_all_button.button.click()
        self.until(lambda: all(entry.count for entry in self.images.session.images))
        self.until(lambda: self.binding() is not None)
        self.wait(2)

    def run(self) -> None:
        """Segment the image that is shown."""
        self.segment.run_button.click()
        self.wait(0.2)
        self.until(lambda: not self.segment.job.running and not self.segment.live.busy and self.binding() is not None)
        self.wait(1)

    def binding(self) -> Any:
        """The labels of the image that is shown."""
        image = self.segment.image
        return None if image is None else self.segment.session.binding(image)

    def step(self, name: str) -> Any:
        """Bring a tab to the front."""
        self._open(self.viewer, name)
        self.wait(1)
        return self.panel.step(name)

    @staticmethod
    def wait(seconds: float) -> None:
        """Let the window live for a while."""
        from qtpy.QtWidgets import QApplication

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    @staticmethod
    def until(done: Callable[[], bool]) -> None:
        """Let the window live until something is done."""
        from napari_leafseg.widgets.main.demo import wait_for

        wait_for(done, "a screenshot", _PATIENCE_S)

    def shot(self) -> np.ndarray:
        """Return the window as it is, RGB uint8."""
        self.wait(1)
        return np.asarray(self.viewer.screenshot(canvas_only=False, flash=False))[..., :3]

    def canvas(self) -> np.ndarray:
        """Return the canvas as it is, RGB uint8."""
        self.wait(0.5)
        return np.asarray(self.viewer.screenshot(canvas_only=True, flash=False))[..., :3]


def with_few_colors(shot: np.ndarray) -> Image.Image:
    """Return a screenshot in 256 colors, 64 of them of bright ones: few pixels are outlines, whose colors tell much."""
    image, spread = Image.fromarray(shot), np.ptp(shot.astype(np.int16), axis=2)
    bright = Image.fromarray(shot[spread > _BRIGHT][None]) if (spread > _BRIGHT).any() else image
    found = [image.quantize(256 - _OWN_COLORS), bright.quantize(_OWN_COLORS, method=Image.Quantize.MAXCOVERAGE)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for part in found for value in (part.getpalette() or [])])
    return image.quantize(palette=palette, dither=Image.Dither.NONE)


def _save(name: str, shot: np.ndarray) -> None:
    """Write a screenshot with 256 colors, which the window hardly needs."""
    image = with_few_colors(shot)
    path = _OUTPUT / f"{name}.png"
    image.save(path, optimize=True)
    record(name, _TEXTS)
    print(f"{path}: {shot.shape[1]} × {shot.shape[0]}, {path.stat().st_size / 1000:.0f} kB", flush=True)


def tutorial_start(studio: Studio) -> None:
    """Show the list before anything is in it."""
    _save("tutorial_start", studio.shot())


def tutorial_slider(studio: Studio) -> None:
    """Show what a small clustering angle does."""
    studio.add_images()
    studio.run()
    studio.segment.panel.rows["angle"].set(5)
    studio.wait(0.5)
    studio.until(lambda: not studio.segment.live.busy)
    _save("tutorial_slider", studio.shot())


def tutorial_growth(studio: Studio) -> None:
    """Show the curves of the leaves over the days."""
    studio.add_images()
    studio.run_all()
    widget = studio.step("measure")
    widget.series_box.setChecked(True)
    studio.until(lambda: widget.measured is not None and widget.measured.series and not widget.job.running)
    studio.wait(1)
    _save("tutorial_growth", studio.shot())


def window(studio: Studio) -> None:
    """Show the list, the leaves and the sliders; then the contact sheet."""
    studio.add_images()
    studio.run_all()
    _save("window", studio.shot())
    studio.images.show_sheet()
    studio.wait(1)
    _save("contact_sheet", studio.shot())


def correct_review(studio: Studio) -> None:
    """Show the least certain leaf of the review."""
    studio.add_images()
    studio.run_all()
    studio.step("correct").review.step(1)
    studio.wait(1)
    _save("correct_review", studio.shot())


def correct_split(studio: Studio) -> None:
    """Show two leaves that are one, and after two clicks of *Split*."""
    from napari_leafseg.editing.tools import TOOLS

    studio.add_images()
    studio.run()
    binding, correct = studio.binding(), studio.step("correct")
    labels = np.asarray(binding.layer.data)
    touching = _touching(labels)
    centers = [np.argwhere(labels == leaf).mean(0) for leaf in touching]
    tools = {tool.name: tool for tool in TOOLS}
    correct.tools.choose(tools["merge"])
    correct.tools._use(tools["merge"], binding, np.array(centers), False)
    rows, columns = np.nonzero(np.isin(labels, touching))
    studio.viewer.camera.center = (rows.mean(), columns.mean())
    studio.viewer.camera.zoom = 0.55 * studio.canvas().shape[0] / max(np.ptp(rows), np.ptp(columns))
    before = studio.canvas()
    correct.tools.choose(tools["split"])
    for center in centers:
        correct.tools._use(tools["split"], binding, np.array([center]), True)
    after = studio.canvas()
    middle, half = before.shape[1] // 2, before.shape[0] // 2
    cut = slice(max(0, middle - half), middle + half)
    _save("correct_split", np.hstack([before[:, cut], np.full((before.shape[0], 8, 3), 255, np.uint8), after[:, cut]]))


def _touching(labels: np.ndarray) -> list[int]:
    """Find the two leaves with the longest common border."""
    beside, below = np.stack([labels[:, 1:], labels[:, :-1]], -1), np.stack([labels[1:], labels[:-1]], -1)
    pairs = np.concatenate([beside.reshape(-1, 2), below.reshape(-1, 2)])
    pairs = np.sort(pairs[(pairs > 0).all(1) & (pairs[:, 0] != pairs[:, 1])], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    return [int(leaf) for leaf in found[counts.argmax()]]


def finetune(studio: Studio) -> None:
    """Show what a short fine-tuning with four corrected images brought."""
    from napari_leafseg.io import read_labels
    from napari_leafseg.widgets.finetune.widget import FinetuneWidget

    studio.add_images()
    studio.run_all()
    for entry in studio.images.session.images[-4:]:
        studio.images.go_to(entry)
        studio.until(lambda entry=entry: studio.images.session.layer_of(entry) is studio.segment.image is not None)
        studio.until(lambda: studio.binding() is not None)
        truth = read_labels(_SAMPLES / "growth" / f"{entry.path.stem}_label.tif")
        binding = studio.binding()
        binding.layer.data_setitem(np.nonzero(truth >= 0), truth.ravel())
        studio.segment.controller.set_state(binding, "done")
        studio.wait(1)
    widget = studio.step("finetune")
    as_shown = FinetuneWidget.wanted
    FinetuneWidget.wanted = lambda self, name: as_shown(self, name).model_copy(update={"steps": _STEPS})  # type: ignore[method-assign]
    studio.until(widget.start_button.isEnabled)
    widget.start_button.click()
    studio.wait(2)
    studio.until(lambda: not widget.job.running)
    studio.wait(3)
    _save("finetune", studio.shot())


def measure(studio: Studio) -> None:
    """Show the table of leaves beside the image."""
    studio.add_images()
    studio.run()
    widget = studio.step("measure")
    studio.until(lambda: widget.measured is not None and not widget.job.running)
    studio.wait(1)
    _save("measure", studio.shot())


def query(studio: Studio) -> None:
    """Show a query-based model."""
    studio.segment.choose_model("solov2")
    studio.add_images()
    studio.run()
    _save("query", studio.shot())


def models(studio: Studio) -> None:
    """Show the list of models."""
    from napari_leafseg.widgets.main.dialogs import open_dialog

    dialog = open_dialog(studio.viewer, "models")
    dialog.resize(860, 460)
    studio.wait(2)
    dialog.inner.view.selectRow(0)
    studio.wait(1)
    shot = dialog.grab()
    with tempfile.TemporaryDirectory() as place:
        shot.save(f"{place}/models.png")
        _save("models", np.asarray(Image.open(f"{place}/models.png").convert("RGB")))


SCREENSHOTS: dict[str, Callable[[Studio], None]] = {
    "tutorial_start": tutorial_start, "tutorial_slider": tutorial_slider, "tutorial_growth": tutorial_growth,
    "window": window, "correct_review": correct_review, "correct_split": correct_split, "finetune": finetune,
    "measure": measure, "query": query, "models": models,
}  # fmt: skip


def main(names: list[str]) -> None:
    """Take some of the screenshots, each in a process of its own; all when none is named."""
    import subprocess

    for name in names or SCREENSHOTS:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
            own = {variable: f"{place}/{variable}" for variable in _OWN}
            environment = {**os.environ, **own, "NAPARI_CONFIG": f"{place}/napari.yaml", "LEAFSEG_SCREENSHOT": place}
            subprocess.run([sys.executable, "-m", "benchmarks.screenshots", name], env=environment, check=True)


if __name__ == "__main__":
    if "LEAFSEG_SCREENSHOT" in os.environ:
        SCREENSHOTS[sys.argv[1]](Studio(Path(os.environ["LEAFSEG_SCREENSHOT"]) / "plants"))
        os._exit(0)  # the window goes as it stands
    main(sys.argv[1:])
