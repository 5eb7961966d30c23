"""A leaf that was corrected is offered on the days before and after."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_leafseg.io import write_image
from napari_leafseg.pipelines.neighbors import propose_shape
from napari_leafseg.project import Project
from napari_leafseg.project.document import Document
from napari_leafseg.widgets.correct.widget import CorrectWidget
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.state.colors import PALETTE
from napari_leafseg.widgets.state.image_record import ReviewState
from napari_leafseg.widgets.state.napari_private import native_canvas
from napari_leafseg.widgets.state.preferences import preferences
from tests.conftest import discs

DAYS = (21, 22, 23)


@pytest.fixture
def widget(make_napari_viewer, qtbot, tmp_path):
    """One plant of three leaves on three days; the last day is reviewed. The second day is on the screen."""
    with Project.create(tmp_path / "p") as project:
        for day in DAYS:
            path = tmp_path / f"oak_2021-10-{day}.png"
            labels = discs(radius=8 + day - 20).astype(np.uint16)
            write_image(path, np.repeat(labels[..., None] * 20, 3, -1).astype(np.uint8))
            (ref,) = project.add_images([path])
            project.save(ref, Document(labels))
        project.images[2].state = "done"
        project.save_list()
        assert project.writer.flush()
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 860)
    images, widget = ImagesWidget(viewer), CorrectWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    viewer.window.add_dock_widget(widget, name="Correct")
    widget.controller.open(tmp_path / "p")
    images.go_to(images.session.images[1])
    qtbot.waitUntil(lambda: widget.binding is not None and at(widget) == 22)
    return widget


def at(widget):
    return int(widget.session.entry_of(widget.binding.image).path.stem[-2:])


def correct(widget):
    """Give the second leaf half of its pixels more, as a brush does."""
    binding = widget.binding
    from napari_leafseg.editing.edit import difference

    leaf = np.argwhere(binding.plane == 2)
    low, high = leaf.min(0), leaf.max(0)
    after = binding.plane.copy()
    box = after[low[0] : high[0] + 1, low[1] : high[1] + 1]
    box[box == 0] = 2
    binding.perform(difference(binding.plane, None, after, "draw"))


def link(widget, qtbot, text):
    """Click on a link of the line, which is the mouse's way to activate it."""
    line = widget.neighbors.line
    qtbot.waitUntil(lambda: text in line.text(), timeout=20_000)
    line.setFocus()
    qtbot.keyClick(line, Qt.Key.Key_Tab)
    qtbot.keyClick(line, Qt.Key.Key_Return)


def arrive(widget, qtbot):
    correct(widget)
    link(widget, qtbot, "Oct 21")
    qtbot.waitUntil(lambda: widget.binding is not None and at(widget) == 21)
    qtbot.waitUntil(lambda: widget.neighbors.proposing)
    return widget.binding


def key(widget, qtbot, which):
    canvas = native_canvas(widget.viewer)
    canvas.setFocus()
    qtbot.keyClick(canvas, which)


def test_a_corrected_leaf_is_offered_where_nobody_reviewed_it(widget, qtbot):
    correct(widget)
    line = widget.neighbors.line
    qtbot.waitUntil(lambda: "Leaf 2 of " in line.text() and "was corrected" in line.text(), timeout=20_000)
    assert "Oct 21" in line.text()
    assert "Oct 23" not in line.text()  # which is reviewed
    assert at(widget) == 22


def test_enter_takes_the_shape_in_one_step_that_can_be_undone(widget, qtbot):
    corrected = np.count_nonzero(widget.binding.plane == 2)
    binding = arrive(widget, qtbot)
    before = binding.plane.copy()
    assert any("proposal" in layer.name for layer in widget.viewer.layers)
    key(widget, qtbot, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not widget.neighbors.proposing)
    assert at(widget) == 21  # Enter has not accepted the image
    assert np.count_nonzero(binding.plane == 2) > corrected
    assert not any("proposal" in layer.name for layer in widget.viewer.layers)
    others = np.isin(before, (1, 3))
    assert np.array_equal(binding.plane[others], before[others])
    qtbot.mouseClick(widget.undo_button, Qt.MouseButton.LeftButton)
    assert np.array_equal(binding.plane, before)


def test_escape_leaves_the_leaf_as_it_is(widget, qtbot):
    binding = arrive(widget, qtbot)
    before = binding.plane.copy()
    key(widget, qtbot, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not widget.neighbors.proposing)
    assert np.array_equal(binding.plane, before)
    assert not any("proposal" in layer.name for layer in widget.viewer.layers)


def test_a_correction_that_is_taken_back_is_offered_no_more(widget, qtbot):
    line = widget.neighbors.line
    correct(widget)
    qtbot.waitUntil(lambda: "Oct 21" in line.text(), timeout=20_000)
    qtbot.mouseClick(widget.undo_button, Qt.MouseButton.LeftButton)
    assert line.text() == ""
    assert not widget.neighbors._soon.isActive()
    qtbot.mouseClick(widget.redo_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Oct 21" in line.text(), timeout=20_000)


def review(widget, place):
    """Mark an image as reviewed, as the list's menu does."""
    widget.session.images[place].review = ReviewState.DONE
    widget.session.images_changed.emit()


def test_a_neighbor_that_is_reviewed_meanwhile_is_offered_no_more(widget, qtbot):
    line = widget.neighbors.line
    correct(widget)
    qtbot.waitUntil(lambda: "Oct 21" in line.text(), timeout=20_000)
    review(widget, 0)
    assert line.text() == ""


def test_a_link_to_an_image_that_was_reviewed_is_refused_with_words(widget, qtbot):
    line = widget.neighbors.line
    correct(widget)
    qtbot.waitUntil(lambda: "Oct 21" in line.text(), timeout=20_000)
    widget.session.images[0].review = ReviewState.DONE  # of which nobody told
    link(widget, qtbot, "Oct 21")
    assert line.text() == "oak_2021-10-21 is reviewed: its leaves stay as they are."
    assert at(widget) == 22


def test_a_proposal_goes_once_its_image_is_reviewed(widget, qtbot):
    arrive(widget, qtbot)
    review(widget, 0)
    assert not widget.neighbors.proposing
    assert not any("proposal" in layer.name for layer in widget.viewer.layers)


def test_a_proposal_is_seen_beside_leaves_of_any_color(widget, qtbot):
    arrive(widget, qtbot)
    (layer,) = (layer for layer in widget.viewer.layers if "proposal" in layer.name)
    below, above = layer.edge_color[0, :3], layer.edge_color[-1, :3]
    assert layer.edge_width[0] > layer.edge_width[-1]
    leaves = np.concatenate([PALETTE, PALETTE])
    for line in (below, above):
        assert np.linalg.norm(leaves - line, axis=1).min() > 0.3
    assert np.linalg.norm(below - above) > 1.5  # on dark and on bright ground


def test_what_is_said_of_an_image_goes_with_it(widget, qtbot):
    images = widget.session.images
    widget.neighbors.finder.go_to_leaf(images[0], 2, "the first")  # as a link does
    widget.neighbors._asked_for, widget.neighbors._shape = (images[0].path, 2), discs(radius=9) == 2
    qtbot.waitUntil(lambda: widget.neighbors.line.text() == "This is leaf 2 here.")
    widget.neighbors.finder.go_to_leaf(images[1], 2, "the second")
    qtbot.waitUntil(lambda: widget.binding is not None and at(widget) == 22)
    assert widget.neighbors.line.text() == ""


def test_links_are_seen_on_light_and_on_dark(widget, qtbot):
    line = widget.neighbors.line
    correct(widget)
    qtbot.waitUntil(lambda: "Oct 21" in line.text(), timeout=20_000)
    before = line.text()
    widget.viewer.theme = "light"
    ink = line.palette().color(line.foregroundRole()).name()
    qtbot.waitUntil(lambda: f'<a href="0" style="color: {ink}">' in line.text())
    assert line.text() != before


def test_nothing_is_offered_when_it_is_off(widget, qtbot):
    box = widget.neighbors.offer_box
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))
    assert not preferences.offer_neighbors
    correct(widget)
    assert not widget.neighbors._soon.isActive()
    preferences.offer_neighbors = True


def test_a_verified_leaf_and_one_of_this_shape_have_no_proposal():
    labels = discs(radius=9)
    shape = discs(radius=11) == 2
    assert propose_shape(labels, 2, shape, frozenset({2})) is None
    assert propose_shape(labels, 2, labels == 2, frozenset()) is None
    assert propose_shape(labels, 2, discs(radius=4) == 2, frozenset()) is None  # of quite another size
    grown = propose_shape(labels, 2, discs(radius=6) == 2, frozenset(), 2.0)
    whole = labels.copy()
    grown.apply(whole)
    assert np.count_nonzero(whole == 2) == pytest.approx(4 * np.count_nonzero(discs(radius=6) == 2), rel=0.15)
    edit = propose_shape(labels, 2, np.roll(shape, (5, -3), (0, 1)), frozenset())
    after = labels.copy()
    edit.apply(after)
    assert np.array_equal(after == 2, shape & np.isin(labels, (0, 2)))
