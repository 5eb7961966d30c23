"""Windows and projects that are closed while their disk cannot be written: nothing a person made goes with them."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_leafseg.errors import ProjectError
from napari_leafseg.io import write_image
from napari_leafseg.project import Project, elsewhere, rescue
from napari_leafseg.project import writer as writer_module
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.state import project_controller as controller_module
from napari_leafseg.widgets.state.project_controller import recoverable_projects
from tests.conftest import REPOSITORY
from tests.widgets.conftest import _own_settings, errors, qtbot  # noqa: F401

from .kept import SHAPE, draw, image, on_disk, same
from .test_window import brush, run, show

WINDOW = (120, 160)


@pytest.fixture
def full(monkeypatch):
    """Fills the disks of folders, until they are taken from the list."""
    folders, real = [], os.fsync

    def fsync(handle):
        number = os.fstat(handle).st_ino
        for folder in folders:
            if any(path.stat().st_ino == number for path in (folder, *folder.rglob("*")) if path.exists()):
                raise OSError(28, "No space left on device", str(folder))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(writer_module, "RETRY", 0.05)
    yield folders
    folders.clear()


@pytest.fixture
def answer(monkeypatch):
    """Presses a button of the questions that come, by its words; gives what was asked."""
    asked = []

    def press(words):
        for box in QApplication.topLevelWidgets():
            if isinstance(box, QMessageBox) and box.isVisible():
                asked.append(box.text())
                next(button for button in box.buttons() if button.text().replace("&", "") in words).click()

    def start(*words):
        timer = QTimer()
        timer.timeout.connect(lambda: press(words))
        timer.start(20)
        start.timer = timer
        return asked

    yield start
    start.timer.stop()


@pytest.fixture
def work(make_napari_viewer, qtbot, tmp_path):  # noqa: F811
    """A window with a project, two leaves on its disk; napari's fixture closes it once more at the end."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1000, 700)
    viewer.window._qt_window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    write_image(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (*WINDOW, 3)).astype(np.uint8))
    images = ImagesWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    images.controller.create(tmp_path / "p")
    layer, hand = show(images, qtbot, tmp_path)
    binding = run(images, layer)
    assert images.controller.project.writer.flush()
    yield images, binding, hand
    images.controller.close()


def close(images):
    """Close the window as its button does."""
    return images.viewer.window._qt_window.close()


@pytest.mark.gui
@pytest.mark.parametrize("folder_is_gone", [False, True])
def test_a_window_closed_while_its_disk_is_full_keeps_all_and_the_next_start_offers_it(
    work, full, answer, tmp_path, qtbot, make_napari_viewer, folder_is_gone  # noqa: F811
):  # fmt: skip
    images, binding, hand = work
    if folder_is_gone:
        (tmp_path / "p").rename(tmp_path / "elsewhere")
    else:
        full.append(tmp_path / "p")
    brush(binding, hand, 80, 100, 40)
    wanted, document = binding.layer.data.copy(), binding.document
    asked = answer("Close, and keep it")
    assert close(images)
    assert len(asked) == 1
    (kept,) = recoverable_projects()
    found = on_disk(kept, shape=WINDOW)
    assert np.array_equal(found.labels, wanted)
    assert same(found, document)
    full.clear()
    again = ImagesWidget(make_napari_viewer())
    assert "“p”" in again.project_bar.recover.text()
    assert str(tmp_path / "p") in again.project_bar.recover.toolTip()
    again.project_bar.recover.click()
    assert again.controller.project.folder == kept
    again.controller.close()
    again.close()


@pytest.mark.gui
def test_whoever_stays_loses_nothing_and_goes_on(work, full, answer, tmp_path, qtbot):  # noqa: F811
    images, binding, hand = work
    full.append(tmp_path / "p")
    brush(binding, hand, 80, 100, 40)
    asked = answer("Stay")
    assert not close(images)
    assert "No space left" in asked[0]
    assert images.viewer.window._qt_window.isVisible()
    full.clear()
    brush(binding, hand, 80, 40, 41)
    assert images.controller.project.writer.flush()
    assert same(on_disk(tmp_path / "p", shape=WINDOW), binding.document)
    assert close(images)
    assert len(asked) == 1
    assert not recoverable_projects()


@pytest.mark.gui
def test_a_window_stays_where_its_work_can_be_kept_nowhere(work, full, answer, tmp_path):
    images, binding, hand = work
    full.extend([tmp_path / "p", tmp_path / "unsaved"])
    brush(binding, hand, 80, 100, 40)
    asked = answer("Close, and keep it", "OK")
    assert not close(images)
    assert len(asked) == 2
    assert "The window stays open" in asked[1]
    full.clear()
    assert images.controller.project.folder == tmp_path / "p"
    assert images.controller.project.writer.flush()
    assert same(on_disk(tmp_path / "p", shape=WINDOW), binding.document)


@pytest.mark.gui
def test_a_program_that_closes_the_viewer_is_not_asked(work, full, tmp_path):
    images, binding, hand = work
    full.append(tmp_path / "p")
    brush(binding, hand, 80, 100, 40)
    wanted = binding.layer.data.copy()
    images.viewer.close()
    (kept,) = recoverable_projects()
    assert np.array_equal(on_disk(kept, shape=WINDOW).labels, wanted)


@pytest.mark.gui
def test_a_window_that_was_closed_gives_its_project_up(work, qtbot, tmp_path):  # noqa: F811
    images, binding, hand = work
    brush(binding, hand, 80, 100, 40)
    wanted = binding.layer.data.copy()
    assert close(images)

    def free():
        try:
            with Project.open(tmp_path / "p") as project:
                return np.array_equal(project.read_labels(project.images[0]), wanted)
        except ProjectError:
            return False

    qtbot.waitUntil(free)


@pytest.mark.gui
def test_a_project_says_that_later_work_on_it_is_kept(work, full, tmp_path, monkeypatch):
    images, binding, hand = work
    told = []
    monkeypatch.setattr("napari_leafseg.widgets.state.project_controller.show_warning", told.append)
    full.append(tmp_path / "p")
    brush(binding, hand, 80, 100, 40)
    kept = images.controller.close()
    assert len(told) == 1
    full.clear()
    images.controller.open(tmp_path / "p")
    assert str(kept) in told[1]


@pytest.mark.gui
def test_a_clock_that_goes_back_hinders_nobody(make_napari_viewer, monkeypatch, tmp_path):
    moment = controller_module.datetime.datetime(2026, 10, 25, 2, 30)

    class Clock(controller_module.datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return moment

    monkeypatch.setattr(controller_module.datetime, "datetime", Clock)
    places = set()
    for _ in range(3):
        images = ImagesWidget(make_napari_viewer())
        images.controller.ensure_project()
        places.add(images.controller.project.folder)
        images.controller.close()
        images.close()
    assert len(places) == 3


@pytest.mark.gui
def test_a_new_project_takes_nothing_from_one_that_cannot_be_written(work, full, tmp_path, qtbot):  # noqa: F811
    images, binding, hand = work
    full.append(tmp_path / "p")
    brush(binding, hand, 80, 100, 40)
    images.controller.create(tmp_path / "new")
    qtbot.waitUntil(lambda: len(recoverable_projects()) == 1)
    brush(binding, hand, 80, 40, 41)
    assert images.controller.project.writer.flush()
    assert same(on_disk(tmp_path / "new", shape=WINDOW), binding.document)
    assert 40 in on_disk(recoverable_projects()[0], shape=WINDOW).labels


@pytest.mark.gui
def test_a_disk_that_does_not_answer_is_said_and_closing_keeps_what_is_in_memory(
    work, answer, tmp_path, qtbot, monkeypatch, errors  # noqa: F811
):  # fmt: skip
    images, binding, hand = work
    for module in (writer_module, rescue):
        monkeypatch.setattr(module, "_PATIENCE", 0.1)
    monkeypatch.setattr(writer_module, "_STALLED", 0.1)
    going = threading.Event()
    images.controller.project.writer.put(lambda: going.wait(60))
    brush(binding, hand, 80, 100, 40)
    wanted = binding.layer.data.copy()
    try:
        images.controller.autosave()
        qtbot.wait(150)
        images.controller.autosave()
        assert any("does not answer" in error for error in errors)
        assert "cannot be written" in images.project_bar.name.text()

        def no_reading(*_what):
            raise AssertionError("read from a disk that does not answer")

        monkeypatch.setattr(elsewhere, "_copy_files", no_reading)
        answer("Close, and keep it")
        assert close(images)
        (kept,) = recoverable_projects()
        assert np.array_equal(on_disk(kept, shape=WINDOW).labels, wanted)
    finally:
        going.set()


def test_a_program_hears_that_not_everything_could_be_written(tmp_path, full):
    def session():
        with Project.create(tmp_path / "p") as project:
            (ref,) = project.add_images([image(tmp_path / "a.png")])
            document = project.open_document(ref, SHAPE)
            full.append(tmp_path / "p")
            draw(document, 1)

    with pytest.raises(ProjectError, match="Not everything could be written"):
        session()


@pytest.mark.slow
def test_what_waits_is_written_before_the_interpreter_ends(tmp_path):
    image(tmp_path / "a.png")
    program = """
import sys
from pathlib import Path
from napari_leafseg.project import Project
from tests.reliability.kept import SHAPE, draw
project = Project.create(Path(sys.argv[1]) / "p")
(ref,) = project.add_images([Path(sys.argv[1]) / "a.png"])
document = project.open_document(ref, SHAPE)
for leaf in range(1, 40):
    draw(document, leaf, y=2.0 + leaf % 5)
project.save(ref, document)
"""
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=True, cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY)])},
    )  # fmt: skip
    assert len(on_disk(tmp_path / "p").history.done) == 39
