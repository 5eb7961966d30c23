"""A dock widget that is taken out of the window is forgotten, with all that it made."""

import gc
import weakref

import napari
import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, QEvent

from napari_leafseg.widgets.batch.widget import BatchWidget
from napari_leafseg.widgets.correct.widget import CorrectWidget
from napari_leafseg.widgets.finetune.widget import FinetuneWidget
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.measure.widget import MeasureWidget
from napari_leafseg.widgets.models.widget import ModelsWidget
from napari_leafseg.widgets.segment.widget import SegmentWidget

KINDS = [ImagesWidget, SegmentWidget, CorrectWidget, MeasureWidget, FinetuneWidget, BatchWidget, ModelsWidget]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_widget_is_forgotten(viewer, qtbot, kind):
    def opened_and_closed():
        widget = kind(viewer)
        dock = viewer.window.add_dock_widget(widget, name="x")
        qtbot.wait(1)
        viewer.window.remove_dock_widget(dock)
        dock.close()
        dock.deleteLater()
        return weakref.ref(widget)

    known = [opened_and_closed() for _ in range(3)]

    def forgotten():
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()
        return sum(widget() is not None for widget in known) <= 1  # napari knows the one that was active last

    qtbot.waitUntil(forgotten)


def test_a_closed_viewer_is_forgotten_with_its_widgets(mock_app_model, qtbot):
    def opened_and_closed():
        viewer = napari.Viewer(show=False)
        widgets = [kind(viewer) for kind in (ImagesWidget, SegmentWidget, CorrectWidget)]
        for number, widget in enumerate(widgets):
            viewer.window.add_dock_widget(widget, name=str(number))
        viewer.add_image(np.zeros((40, 40, 3), np.uint8))
        qtbot.wait(1)
        viewer.close()
        return [weakref.ref(thing) for thing in (viewer, *widgets)]

    known = [opened_and_closed(), opened_and_closed()]

    def forgotten():
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()
        return not any(thing() for thing in known[0])  # napari knows the viewer that was active last

    qtbot.waitUntil(forgotten)
