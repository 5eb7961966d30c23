"""Two viewers with a job each, of which one is closed meanwhile: its widgets hear nothing, the other's do."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qtpy import QtCore
from qtpy.compat import isalive
from qtpy.QtWidgets import QApplication

from napari_leafseg.io import write_image
from napari_leafseg.project.review import Tally
from napari_leafseg.widgets.batch.widget import BatchWidget
from napari_leafseg.widgets.correct.widget import CorrectWidget
from napari_leafseg.widgets.finetune.suggestions import ImageSuggestions
from napari_leafseg.widgets.finetune.widget import FinetuneWidget
from napari_leafseg.widgets.images.project_bar import ProjectBar
from napari_leafseg.widgets.images.thumbnails import Thumbnails
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.measure.widget import MeasureWidget
from napari_leafseg.widgets.models.widget import ModelsWidget
from napari_leafseg.widgets.parameter_search.widget import ParameterSearchWidget
from napari_leafseg.widgets.segment.saving import LabelSaver
from napari_leafseg.widgets.segment.widget import SegmentWidget
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.image_record import ListedImage
from napari_leafseg.widgets.state.session import Session

WIDGETS = "napari_leafseg.widgets"
CANVAS = ("mouse_drag_callbacks", "mouse_wheel_callbacks", "mouse_move_callbacks")


@dataclass(frozen=True)
class Case:
    """A job of a widget: what is run, how it is started, and which method is told what it gives.

    `make` takes a viewer or session, `start` the widget and a folder of its own, `heard` names a method of `listener`.
    """

    job: str
    make: Callable[[Any], Any]
    start: Callable[[Any, Any], Any]
    listener: type
    heard: str
    streams: bool = True
    value: Any = None


def _predict(widget, _folder):
    widget.viewer.add_image(np.zeros((20, 20, 3), np.uint8), rgb=True)
    widget.run()


def _labels(widget):
    image = widget.viewer.add_image(np.zeros((20, 20, 3), np.uint8), rgb=True)
    return layers.show_new_labels(widget.session, image, np.ones((20, 20), np.uint16), "segment with test")


def _save(widget, folder):
    _labels(widget)
    widget.saver.folder = folder
    widget.save()


def _live(widget, _folder):
    widget.live.request(widget.image, None, {}, lambda: None)


def _add(widget, folder):
    write_image(folder / "a.png", np.zeros((20, 20, 3), np.uint8))
    widget.add([folder / "a.png"])


def _measure(widget, _folder):
    _labels(widget)
    widget.show()
    widget.refresh()


def _finetune(widget, folder):
    widget.controller.create(folder / "project")
    widget.start()


def _keep(widget, folder):
    widget.controller.create(folder / "project")
    widget._waiting = widget.wanted("mine")
    widget.keep()


def _count(widget, folder):
    widget.controller.create(folder / "project")
    widget.count()


def _rank(widget, folder):
    widget.session.images.append(ListedImage(folder / "a.png"))
    widget.rank("leaf")


def _delete(widget, _folder):
    widget.view.choose(0)
    widget.delete()


def _bar(viewer):
    return ProjectBar(Session.of(viewer))


def _suggestions(viewer):
    return ImageSuggestions(Session.of(viewer))


EVENT = SimpleNamespace(
    done=0, total=2, message="", name="", kind="started", prediction=None, search=None, measured=None
)
CASES = {
    "predict": Case("segment.widget.predict_job", SegmentWidget, _predict, SegmentWidget, "_progress", value=EVENT),
    "labels": Case("segment.live._compute", SegmentWidget, _live, SegmentWidget, "_show_live", False),
    "save": Case("segment.saving.save_job", SegmentWidget, _save, LabelSaver, "_saved", False),
    "load": Case("images.widget.load_job", ImagesWidget, _add, ImagesWidget, "_loaded", False),
    "thumbnails": Case("images.thumbnails.thumbnail_job", ImagesWidget, _add, Thumbnails, "_show", value=1),
    "transfer": Case(
        "images.project_bar.transfer_job", _bar, lambda bar, _folder: bar.job.start(project_bar_job(), (), ""),
        ProjectBar, "_progress", value=(EVENT, ""),
    ),
    "fine-tune": Case(
        "finetune.widget.finetune_job", FinetuneWidget, _finetune, FinetuneWidget, "_progress", value=EVENT
    ),
    "keep": Case("finetune.widget.keep_job", FinetuneWidget, _keep, FinetuneWidget, "_progress", value=EVENT),
    "count": Case("finetune.widget.tally", FinetuneWidget, _count, FinetuneWidget, "_counted", False, Tally()),
    "rank": Case("finetune.suggestions.rank_job", _suggestions, _rank, ImageSuggestions, "_looked", value=1),
    "measure": Case("measure.widget.measure_job", MeasureWidget, _measure, MeasureWidget, "_progress", value=EVENT),
    "parameter search": Case(
        "parameter_search.widget.tune_job", ParameterSearchWidget, lambda widget, _folder: widget.run(),
        ParameterSearchWidget, "_progress", value=EVENT,
    ),
    "models": Case(
        "models.widget.projects_using", ModelsWidget, _delete, ModelsWidget, "_delete", False, {}
    ),
}  # fmt: skip


def project_bar_job():
    """The job as it is patched now."""
    from napari_leafseg.widgets.images import project_bar

    return project_bar.transfer_job


@pytest.mark.parametrize("name", list(CASES))
def test_a_closed_viewer_hears_nothing_of_its_job_and_the_other_one_does(
    name, make_napari_viewer, qtbot, monkeypatch, tmp_path
):
    case, go, begun, ended, heard = CASES[name], threading.Event(), [], [], []

    def wait():
        begun.append(1)
        assert go.wait(30)

    def function(*_arguments):
        wait()
        ended.append(1)
        return case.value

    def generator(*_arguments):
        try:
            wait()
            yield case.value
        finally:
            ended.append(1)

    monkeypatch.setattr(f"{WIDGETS}.{case.job}", generator if case.streams else function)
    monkeypatch.setattr(case.listener, case.heard, lambda self, *_what: heard.append(self))
    monkeypatch.setattr(ParameterSearchWidget, "_images", lambda self: [])
    monkeypatch.setattr("napari_leafseg.widgets.segment.widget.layers.show_overlay", lambda *_: None)
    viewers, widgets = [], []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        viewers.append(make_napari_viewer())
        widgets.append(case.make(viewers[-1]))
        case.start(widgets[-1], folder)
    qtbot.waitUntil(lambda: len(begun) >= 2)
    heard.clear()  # what widgets tell themselves when they are made
    closed, other = widgets
    try:
        closed.deleteLater()
        viewers[0].close()
        QApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
        assert not heard
    finally:
        go.set()
    qtbot.waitUntil(lambda: len(ended) == len(begun) and bool(heard))
    qtbot.wait(100)  # what is still on its way
    listeners = {other, *other.findChildren(case.listener)}
    assert set(heard) <= listeners
    other.deleteLater()


WHOLE = (
    ImagesWidget, SegmentWidget, CorrectWidget, MeasureWidget, FinetuneWidget, ParameterSearchWidget, BatchWidget,
    ModelsWidget,
)  # fmt: skip


@pytest.mark.parametrize("kind", WHOLE, ids=lambda kind: kind.__name__)
def test_a_widget_that_was_taken_away_hears_nothing_of_its_viewer(kind, viewer, qtbot):
    session = Session.of(viewer)
    widget = kind(viewer)
    dock = viewer.window.add_dock_widget(widget)
    image = viewer.add_image(np.zeros((20, 20, 3), np.uint8), rgb=True)
    binding = layers.show_new_labels(session, image, np.ones((20, 20), np.uint16), "segment with test")
    viewer.window.remove_dock_widget(dock)
    widget.deleteLater()
    QApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
    assert not isalive(widget)
    viewer.layers.selection.active = image
    binding.verify([1], True)
    for signal in (session.images_changed, session.models_changed, session.project_changed):
        signal.emit()
    session.layer_state_changed.emit(image)
    session.parameters_suggested.emit("leaf", {"angle": 30.0})
    session.model_wanted.emit("leaf")
    for key in list(viewer.keymap.values()):
        key(viewer)
    for moved in viewer.mouse_drag_callbacks:
        press = SimpleNamespace(type="mouse_press", button=1, position=(5, 5), pos=(5, 5), modifiers=())
        list(moved(viewer, press) or ())
    viewer.add_image(np.zeros((20, 20)))
    viewer.layers.clear()
    qtbot.wait(400)  # bursts come to rest


@pytest.mark.parametrize("kind", [SegmentWidget, CorrectWidget, MeasureWidget, FinetuneWidget])
def test_a_widget_whose_dock_was_closed_with_its_cross_is_given_back(make_napari_viewer, qtbot, kind):
    viewer = make_napari_viewer()
    before = [len(getattr(viewer, name)) for name in CANVAS]
    alive = []
    for _ in range(3):
        dock = viewer.window.add_dock_widget(kind(viewer), name="widget")
        alive.append(weakref.ref(dock.inner_widget()))
        qtbot.wait(10)
        viewer.window.remove_dock_widget(dock)
        del dock
    qtbot.waitUntil(lambda: gc.collect() >= 0 and sum(found() is not None for found in alive) <= 1, timeout=60_000)
    if alive[-1]() is None:
        assert [len(getattr(viewer, name)) for name in CANVAS] == before
