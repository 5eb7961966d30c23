"""Tracks corrected on the timeline: squares dragged, keys, undo; what was decided is the images', whatever the list."""

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QPalette
from qtpy.QtWidgets import QApplication

from napari_leafseg.io import write_image
from napari_leafseg.project import Project
from napari_leafseg.project.document import Document
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.measure.widget import MeasureWidget
from tests.conftest import discs
from tests.widgets.test_growth import settle, show

DAYS = (1, 2, 3, 5)


@pytest.fixture
def folder(tmp_path):
    """A project of one plant of three leaves on four days, and one in which the first day has no labels."""
    for name in ("p", "later"):
        with Project.create(tmp_path / name) as project:
            for day in DAYS:
                labels = discs(radius=8 + day).astype(np.uint16)
                path = tmp_path / f"oak_2021-05-0{day}.png"
                write_image(path, np.repeat(labels[..., None] * 20, 3, -1).astype(np.uint8))
                (ref,) = project.add_images([path])
                if (name, day) != ("later", DAYS[0]):
                    project.save(ref, Document(labels))
            assert project.writer.flush()
    return tmp_path


def opened(viewer, qtbot, folder, name="p"):
    images, widget = ImagesWidget(viewer), MeasureWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    viewer.window.add_dock_widget(widget, name="Measure")
    widget.controller.open(folder / name)
    images.go_to(images.session.images[1])
    widget.series_box.setChecked(True)
    qtbot.waitUntil(lambda: widget.measured is not None and widget.measured.series and widget.binding is not None)
    settle(widget, qtbot)
    show(widget, "timeline")
    qtbot.wait(50)
    return widget


@pytest.fixture
def widget(make_napari_viewer, qtbot, folder):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 860)
    return opened(viewer, qtbot, folder)


def tracks(widget):
    """The leaves of each track, day by day."""
    growth = widget.measured.growth.sort_values(["track", "time"])
    return sorted([(int(time), int(leaf)) for time, leaf in zip(rows["time"], rows["leaf"], strict=True)]
                  for _, rows in growth.groupby("track"))  # fmt: skip


def place(widget, number=None, lane=None):
    """Where a square is on the timeline; or its day in another row."""
    plot = widget.timeline.plot
    point = plot._points.iloc[number]
    view = plot.getPlotItem().getViewBox()
    return plot.mapFromScene(view.mapViewToScene(QPointF(point["x"], point["y"] if lane is None else lane)))


def square(widget, time, leaf):
    points = widget.timeline.plot._points
    growth = widget.measured.growth.iloc[points["row"]]
    return int(np.flatnonzero((growth["time"] == time) & (growth["leaf"] == leaf))[0])


def drag(widget, qtbot, start, stop):
    """Drag with the left button held, as the mouse does."""
    port, left, none = widget.timeline.plot.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    qtbot.mousePress(port, left, pos=start)
    for share in (0.2, 0.4, 0.6, 0.8, 1.0):
        qtbot.wait(20)  # pyqtgraph passes over moves that come within a hundredth of a second
        at = QPointF(start + (stop - start) * share)
        QApplication.sendEvent(port, QMouseEvent(QEvent.Type.MouseMove, at, Qt.MouseButton.NoButton, left, none))
    qtbot.mouseRelease(port, left, pos=stop)
    settle(widget, qtbot)


STRAIGHT = [[(day, leaf) for day in (0, 1, 2, 4)] for leaf in (1, 2, 3)]


def test_a_square_dragged_to_another_row_exchanges_what_follows(widget, qtbot):
    assert tracks(widget) == STRAIGHT
    plot = widget.timeline.plot
    number = square(widget, 2, 2)
    own, other = int(plot._points["y"].iloc[number]), int(plot._points["y"].iloc[square(widget, 2, 3)])
    drag(widget, qtbot, place(widget, number), place(widget, number, other))
    assert tracks(widget) == [STRAIGHT[0], [*STRAIGHT[1][:2], *STRAIGHT[2][2:]], [*STRAIGHT[2][:2], *STRAIGHT[1][2:]]]
    assert own != other
    assert plot._key(plot.selected) == (2, 2)
    assert widget.timeline.undo_button.isEnabled()
    qtbot.mouseClick(widget.timeline.undo_button, Qt.MouseButton.LeftButton)
    settle(widget, qtbot)
    assert tracks(widget) == STRAIGHT
    assert not widget.timeline.undo_button.isEnabled()


def test_a_square_dragged_to_the_empty_row_is_a_leaf_of_its_own(widget, qtbot):
    number = square(widget, 2, 2)
    drag(widget, qtbot, place(widget, number), place(widget, number, 3))
    assert tracks(widget) == [STRAIGHT[0], STRAIGHT[1][:2], STRAIGHT[2], STRAIGHT[1][2:]]
    assert len(widget.timeline.plot.tracks) == 4


def test_a_drag_beside_the_squares_moves_the_view_alone(widget, qtbot):
    view = widget.timeline.plot.getPlotItem().getViewBox()
    before = view.viewRange()
    start = (place(widget, square(widget, 2, 3)) + place(widget, square(widget, 4, 3))) / 2  # no square is near
    drag(widget, qtbot, start, place(widget, square(widget, 1, 1)))
    assert view.viewRange() != before
    assert tracks(widget) == STRAIGHT


def test_all_of_it_by_keys(widget, qtbot):
    plot = widget.timeline.plot
    plot.setFocus()
    qtbot.keyClick(plot, Qt.Key.Key_Right)
    assert plot.selected == 0
    assert not widget.timeline.separate_button.isEnabled()
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Right, Qt.Key.Key_Right):
        qtbot.keyClick(plot, key)
    moved = plot._key(plot.selected)
    qtbot.keyClick(plot, Qt.Key.Key_Delete)
    settle(widget, qtbot)
    assert len(tracks(widget)) == 4
    assert plot._key(plot.selected) == moved
    qtbot.keyClick(plot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    settle(widget, qtbot)
    assert tracks(widget) == STRAIGHT
    qtbot.keyClick(plot, Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
    settle(widget, qtbot)
    assert len(tracks(widget)) == 3
    assert tracks(widget) != STRAIGHT
    qtbot.keyClick(plot, Qt.Key.Key_Return)
    session = widget.session
    qtbot.waitUntil(lambda: session.focus() is not None
                    and session.entry_of(session.focus()).path.name == "oak_2021-05-03.png")  # fmt: skip


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_what_is_selected_can_be_seen_on_any_background(widget, qtbot, theme):
    widget.viewer.theme = theme
    QApplication.processEvents()
    widget.timeline.plot.draw(widget.measured, {}, 0)
    widget.timeline.plot._select(0)
    ring, ground = widget.timeline.plot._ring.opts["pen"].color(), widget.palette().color(QPalette.ColorRole.Window)
    assert abs(ring.lightness() - ground.lightness()) > 100


def test_a_click_goes_to_leaf_and_day(widget, qtbot):
    number = square(widget, 4, 2)
    qtbot.mouseClick(widget.timeline.plot.viewport(), Qt.MouseButton.LeftButton, pos=place(widget, number))
    session = widget.session
    qtbot.waitUntil(lambda: session.focus() is not None
                    and session.entry_of(session.focus()).path.name == "oak_2021-05-05.png")  # fmt: skip


def test_decisions_are_kept_by_image_whatever_comes_before(make_napari_viewer, qtbot, folder):
    """An image that is labeled later, and comes first in the list, shifts the numbers of all frames."""
    widget = opened(make_napari_viewer(show=True), qtbot, folder, "later")
    plot = widget.timeline.plot
    plot._select(square(widget, 1, 2))
    plot.separate()
    settle(widget, qtbot)
    assert tracks(widget) == [[(0, 1), (1, 1), (3, 1)], [(0, 2)], [(0, 3), (1, 3), (3, 3)], [(1, 2), (3, 2)]]
    widget.controller.close()
    with Project.open(folder / "later") as project:
        project.save(project.images[0], Document(discs(radius=9).astype(np.uint16)))
        assert project.writer.flush()
    widget.controller.open(folder / "later")
    qtbot.waitUntil(lambda: widget.measured is not None and len(widget.measured.leaves) == 12)
    settle(widget, qtbot)
    assert tracks(widget) == [STRAIGHT[0], STRAIGHT[1][:2], STRAIGHT[2], STRAIGHT[1][2:]]


def run_again(widget, qtbot, change):
    """Give the image on the screen the labels of a new run, as *Segment* does."""
    binding = widget.binding
    binding.replace(change(binding.document.labels.copy()), "segment with another")
    widget.refresh()
    settle(widget, qtbot)


def test_decisions_follow_their_leaves_through_a_new_run(widget, qtbot, folder):
    plot = widget.timeline.plot
    number = square(widget, 1, 2)  # of the image on the screen
    other = int(plot._points["y"].iloc[square(widget, 1, 3)])
    drag(widget, qtbot, place(widget, number), place(widget, number, other))
    exchanged = [STRAIGHT[0], [(0, 2), (1, 3), (2, 3), (4, 3)], [(0, 3), (1, 2), (2, 2), (4, 2)]]
    assert tracks(widget) == exchanged
    run_again(widget, qtbot, lambda labels: np.array([0, 3, 1, 2], labels.dtype)[labels])
    moved = [[(time, {1: 3, 2: 1, 3: 2}[leaf] if time == 1 else leaf) for time, leaf in one] for one in exchanged]
    assert tracks(widget) == sorted(moved)
    run_again(widget, qtbot, lambda labels: np.where(labels == 1, 0, labels))  # the leaf that was moved
    assert "waits" in widget.summary.text() or "wait for a leaf" in widget.summary.text()
    assert widget.timeline.forget_button.isVisible()
    qtbot.mouseClick(widget.timeline.undo_button, Qt.MouseButton.LeftButton)  # also when its leaves have other numbers
    settle(widget, qtbot)
    assert "wait" not in widget.summary.text()
    assert sorted(map(len, tracks(widget))) == [3, 4, 4]


def test_decisions_that_wait_can_be_forgotten(widget, qtbot):
    plot = widget.timeline.plot
    plot._select(square(widget, 1, 2))
    plot.separate()
    settle(widget, qtbot)
    run_again(widget, qtbot, lambda labels: np.where(labels == 2, 0, labels))
    assert "1 decision waits for a leaf that is not found" in widget.summary.text()
    qtbot.mouseClick(widget.timeline.forget_button, Qt.MouseButton.LeftButton)
    settle(widget, qtbot)
    assert "decision" not in widget.summary.text()
    assert not widget.timeline.forget_button.isVisible()
