"""Collections of garbage pass over what stays, and over nothing once a window is closed."""

import gc
import weakref

import pytest

from napari_leafseg.widgets.main.panel import open_panel
from napari_leafseg.widgets.state import garbage


@pytest.fixture
def real(viewer, monkeypatch):
    """A viewer whose window does as it does without tests; the collector is as it was before, afterwards."""
    monkeypatch.setattr(garbage, "gc", gc)
    monkeypatch.setattr(garbage, "_spared", 0)
    gc.unfreeze()
    yield viewer
    gc.freeze()


def idle_panel(viewer, qtbot):
    """The tabs, all made."""
    panel = open_panel(viewer, "segment")
    qtbot.waitUntil(lambda: len(panel.steps) == 5 and not panel._rest.isActive())
    return panel


def test_an_idle_window_spares_all_that_is_loaded(real, qtbot):
    everything = len(gc.get_objects())
    idle_panel(real, qtbot)
    assert gc.get_freeze_count() > 100_000
    assert len(gc.get_objects()) < everything / 4


def test_a_job_that_loads_libraries_has_them_spared(real, qtbot, monkeypatch):
    panel = idle_panel(real, qtbot)
    before = gc.get_freeze_count()
    kept = [[number] for number in range(1000)]
    panel.step("segment").job._end(None)
    assert gc.get_freeze_count() < before + 1000  # no module is new
    monkeypatch.setattr(garbage, "_spared", garbage._spared - 500)
    panel.step("segment").job._end(None)
    assert gc.get_freeze_count() >= before + len(kept)


def test_a_closed_window_is_garbage_like_any_other(make_napari_viewer, real, qtbot):
    other = make_napari_viewer()
    idle_panel(other, qtbot)
    assert gc.get_freeze_count() > 0
    gone = weakref.ref(other)
    other.close()
    assert gc.get_freeze_count() == 0
    del other
    qtbot.wait(50)
    gc.collect()
    assert gone() is None
