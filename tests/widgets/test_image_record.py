"""What is known of an image: one owner, and its end with the image."""

import gc
import weakref

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtWidgets import QApplication

from napari_leafseg.io import write_image
from napari_leafseg.project import Project
from napari_leafseg.widgets.correct.scene import frame_rgb
from napari_leafseg.widgets.correct.widget import CorrectWidget
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.segment.widget import SegmentWidget
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.image_record import ImageRecord, ReviewState, describe
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session


def leaf(value=1):
    """Labels with one leaf, 40 × 50."""
    labels = np.zeros((40, 50), np.uint16)
    labels[10:30, 10:40] = value
    return labels


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({}, "not segmented"),
        ({"confidence": 0.304}, "not segmented, least certain leaf 0.30"),
        ({"count": 1, "exported": False}, "1 leaf"),
        ({"count": 7, "exported": True}, "7 leaves, exported"),
        ({"review": ReviewState.IN_PROGRESS}, "in progress"),
        ({"review": ReviewState.DONE, "confidence": 0.3}, "reviewed"),
        ({"review": ReviewState.DONE, "count": 7, "exported": True}, "7 leaves, exported · reviewed"),
        ({"review": ReviewState.IN_PROGRESS, "count": 7, "exported": False}, "7 leaves · in progress"),
        ({"review": ReviewState.DONE, "missing": True}, "image not found"),
        ({"missing": True, "error": "It cannot be read."}, "cannot be used"),
    ],
)
def test_the_list_says_how_things_stand(state, words):
    assert describe(ImageRecord(**state)) == words


def test_saving_leaves_a_reviewed_image_reviewed(viewer, qtbot, tmp_path):
    image = np.full((40, 50, 3), 90, np.uint8)
    image[10:30, 10:40] = (40, 150, 50)  # one color all over would be refused
    write_image(tmp_path / "a.png", image)
    images, segment, correct = ImagesWidget(viewer), SegmentWidget(viewer), CorrectWidget(viewer)
    for widget in (images, segment, correct):
        qtbot.addWidget(widget)
    images.add([tmp_path / "a.png"])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=10000)
    session = images.session
    layers.show_new_labels(session, viewer.layers[0], leaf(), "segment with test")
    correct.done_button.click()
    (record,) = session.images
    assert record.review is ReviewState.DONE
    assert not record.waits
    segment.save()
    qtbot.waitUntil(lambda: bool(record.exported), timeout=10000)
    assert record.review is ReviewState.DONE
    assert not record.waits
    assert images.list.text(0) == "a.png\n1 leaf, exported · reviewed"
    (ref,) = correct.controller.project.images
    assert ref.state == "done"
    correct.binding.undo()
    assert record.exported is False  # the file is not what is on the screen any more
    correct.controller.close()
    for widget in (images, segment, correct):
        widget.close()


def test_removed_images_are_given_up(viewer, qtbot):
    session = Session.of(viewer)
    widget = CorrectWidget(viewer)
    qtbot.addWidget(widget)
    alive = []
    for number in range(8):
        image = viewer.add_image(np.eye(40, 50, number, np.float32), name=f"image {number}")
        binding = layers.show_new_labels(session, image, leaf(), "segment with test")
        binding.verify([1], True)
        viewer.layers.selection.active = binding.layer
        frame_rgb(session, binding)
        assert {"marks", "rgb"} <= session.record(image).cache.keys()
        alive += [weakref.ref(item) for item in (image, binding, binding.layer, binding.document)]
    assert sum(ref() is not None for ref in alive) == 32
    del image, binding
    ProjectController.of(session).close()
    viewer.layers.clear()
    QApplication.processEvents()
    for _ in range(3):
        gc.collect()
    assert [ref() for ref in alive if ref() is not None] == []
    assert len(session._records) == 0
    widget.close()


def test_a_new_document_inherits_nothing_of_a_dead_one(viewer, tmp_path):
    session = Session.of(viewer)
    controller = ProjectController.of(session)
    controller.create(tmp_path / "project")
    first = viewer.add_image(np.full((40, 50), 1, np.uint8), name="first")
    binding = layers.show_new_labels(session, first, leaf(), "segment with test")
    controller.track(binding)
    kept = binding.ref
    assert kept is not None
    first_key = session.record(first).key
    session.viewer.layers.clear()
    assert session.bindings() == []
    second = viewer.add_image(np.full((40, 50), 2, np.uint8), name="second")
    assert session.record(second).key != first_key
    other = layers.show_new_labels(session, second, leaf(2), "segment with test")
    controller.track(other)
    assert other.ref is not kept
    assert other.ref.id != kept.id
    controller.close()
    project = Project.open(tmp_path / "project")
    assert project.read_labels(kept).max() == 1
    assert project.read_labels(other.ref or project.images[-1]).max() == 2
    project.close()


def test_a_layer_shown_again_finds_its_record_and_another_layer_gets_a_new_key(viewer):
    session = Session.of(viewer)
    image = Image(np.zeros((40, 50), np.uint8), name="a")
    record = ImageRecord()
    session.bind(image, record)
    key = record.key
    session.bind(image, record)
    assert record.key == key
    assert session.record(image) is record
    again = Image(np.zeros((40, 50), np.uint8), name="a")
    session.bind(again, record)
    assert record.key != key  # labels of the old layer are not taken for the new one's
    assert record.layer is again


def test_autosave_ends_with_its_session(make_napari_viewer):
    viewer = make_napari_viewer()
    controller = ProjectController(Session.of(viewer))
    controller._session = lambda: None  # the session went with its viewer, the timer is still there
    controller.autosave()
    assert not controller._timer.isActive()
