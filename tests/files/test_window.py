"""The same files in the window: layers, questions, and where labels lie."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile
from napari.layers import Image
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QComboBox, QDialogButtonBox

from napari_leafseg.io import ReadOptions, write_image
from napari_leafseg.pipelines.batch.rerun import read_records, rerun
from napari_leafseg.project.document import Document
from napari_leafseg.widgets.images.channels_dialog import ChannelsDialog
from napari_leafseg.widgets.images.reader import image_reader, read_layers
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.segment.widget import SegmentWidget
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.session import Session, image_data, labels_shape
from tests.files.cases import GRAY, RGB, case_file
from tests.widgets.conftest import *  # noqa: F403

pytestmark = pytest.mark.gui
SERIES = ("ij_t3_grey.tif", "tif_pages5_grey.tif", "tif_pages3_grey.tif")


@pytest.fixture
def widget(viewer):
    widget = ImagesWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Images")
    return widget


def _answer(qtbot, accept=True, **choices):
    """Answer the next question for channels by mouse and keys."""
    asked = []

    def act():
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, ChannelsDialog):
            QTimer.singleShot(50, act)
            return
        asked.append(dialog)
        for name, text in choices.items():
            qtbot.keyClicks(dialog.findChild(QComboBox, name), text)
        button = QDialogButtonBox.StandardButton.Ok if accept else QDialogButtonBox.StandardButton.Cancel
        qtbot.mouseClick(dialog.findChild(QDialogButtonBox).button(button), Qt.MouseButton.LeftButton)

    QTimer.singleShot(0, act)
    return asked


@pytest.mark.parametrize("name", SERIES)
def test_a_gray_series_is_a_series(widget, viewer, qtbot, tmp_path, name):
    widget.add([case_file(name, tmp_path)])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1 and not widget.thumbnails.running)
    assert viewer.layers[0].data.shape[1:] == (128, 128)
    data, series = image_data(viewer.layers[0])
    assert series
    assert data.shape[1:] == (128, 128, 1)
    assert not widget.session.images[0].error


@pytest.mark.parametrize(
    "name", ["png_la.png", "jpg_cmyk.jpg", "phone.heic", "tif_float_nan_border.tif", "ij_z5_grey.tif"]
)
def test_an_image_is_one_layer(widget, viewer, qtbot, tmp_path, name):
    widget.add([case_file(name, tmp_path)])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1 and not widget.thumbnails.running)
    assert viewer.layers[0].ndim == 2
    assert image_data(viewer.layers[0])[0].shape[:2] == (128, 128)
    assert not widget.session.images[0].error


def test_channels_are_asked_for_and_kept_with_the_project(widget, viewer, qtbot, tmp_path):
    many = np.stack([GRAY, *RGB.transpose(2, 0, 1)])
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.ome.tif", many, photometric="minisblack",
                         metadata={"axes": "CYX", "Channel": {"Name": ["NIR", "R", "G", "B"]}})  # fmt: skip
    widget.controller.create(tmp_path / "project")
    asked = _answer(qtbot, red="2", green="3", blue="4")
    widget.add([tmp_path / "a.ome.tif", tmp_path / "b.ome.tif"])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1 and not widget.thumbnails.running)
    assert np.array_equal(viewer.layers[0].data, RGB)
    assert "a.ome.tif" in asked[0].findChildren(QComboBox)[0].parent().layout().itemAt(0).widget().text()
    qtbot.mouseClick(widget.next_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: [layer.name for layer in viewer.layers] == ["b.ome"])
    assert np.array_equal(viewer.layers[0].data, RGB)  # nobody was asked again
    assert len(asked) == 1
    widget.controller.close()
    widget.session.read_options = ReadOptions()
    widget.controller.open(tmp_path / "project")
    assert widget.session.read_options.by_count == {4: (2, 3, 4)}
    qtbot.waitUntil(lambda: len(viewer.layers) == 1 and not widget.thumbnails.running)
    assert np.array_equal(viewer.layers[0].data, RGB)
    asked = _answer(qtbot, kind="One", red="1")
    assert widget._ask_channels(widget.session.images[0])
    qtbot.waitUntil(
        lambda: len(viewer.layers) == 1 and viewer.layers[0].data.ndim == 2 and not widget.thumbnails.running
    )
    assert np.array_equal(viewer.layers[0].data, GRAY)
    assert widget.controller.project.read_options.by_count == {4: (1,)}


def test_an_image_whose_channels_nobody_chose_says_why(widget, viewer, qtbot, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("napari_leafseg.widgets.images.widget.show_error", shown.append)
    asked = _answer(qtbot, accept=False)
    widget.add([case_file("ome_5ch.ome.tif", tmp_path)])
    qtbot.waitUntil(lambda: bool(shown) and not widget.thumbnails.running)
    assert asked
    assert "5 channels" in shown[0]
    assert widget.session.images[0].error


def test_what_a_folder_held_besides_is_said(widget, viewer, qtbot, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("napari_leafseg.widgets.images.widget.show_warning", shown.append)
    write_image(tmp_path / "a.png", RGB)
    (tmp_path / "b.czi").write_bytes(b"ZISRAWFILE")
    widget.add([tmp_path])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1 and not widget.thumbnails.running)
    assert shown == ["Not taken: b.czi (formats of microscope makers, export them as OME-TIFF)."]


TURNED = {
    "rotate": 30,
    "shear": [0.2],
    "scale": (2, 3),
    "translate": (5, 6),
    "affine": [[1, 0.1, 3], [0, 1, 4], [0, 0, 1]],
}


@pytest.mark.parametrize("series", [False, True])
def test_labels_lie_on_the_plant_however_the_image_is_turned(viewer, series):
    session = Session.of(viewer)
    if series:
        affine = np.eye(4)
        affine[1:, 1:] = TURNED["affine"]
        turn = np.eye(3)
        turn[1:, 1:] = [[0.8, -0.6], [0.6, 0.8]]
        options = {"rotate": turn, "shear": [0, 0, 0.2], "scale": (1, 2, 3), "affine": affine}
        image = viewer.add_layer(Image(np.stack([GRAY] * 3), **options))
    else:
        image = viewer.add_layer(Image(RGB, rgb=True, **TURNED))
    shape = (3, 128, 128) if series else (128, 128)
    binding = layers.add_labels(session, image, Document(np.zeros(shape, np.uint16)))
    overlay = layers.show_overlay(session, image, "seeds", np.array([[1, 20, 100]] if series else [[20, 100]]))
    place = (1, 20, 100) if series else (20, 100)

    def together():
        world = image.data_to_world(place)
        return np.allclose(binding.layer.data_to_world(place), world) and np.allclose(
            overlay.data_to_world(place), world
        )

    assert together()
    for name, value in (("scale", (1, 4, 5)), ("translate", (0, 7, 9)), ("affine", np.eye(4)), ("rotate", 45)):
        before = image.data_to_world(place)
        if name == "rotate":
            value = np.eye(3)
            value[1:, 1:] = [[0, -1], [1, 0]]
        value = value if series else value[1:] if isinstance(value, tuple) else np.asarray(value)[1:, 1:]
        setattr(image, name, value)
        assert not np.allclose(before, image.data_to_world(place))
        assert together(), name
    (flat,) = (Image(GRAY, **layers.geometry(image, 2)),)
    assert np.allclose(flat.data_to_world(place[-2:]), image.data_to_world(place)[-2:])


def test_labels_lie_right_on_an_image_of_several_resolutions(viewer):
    session = Session.of(viewer)
    levels = [RGB, RGB[::2, ::2], RGB[::4, ::4]]
    image = viewer.add_image(levels, multiscale=True, rgb=True, scale=(2, 3), translate=(5, 6), rotate=30)
    data, series = image_data(image)
    assert not series
    assert np.array_equal(data, RGB)
    image.data_level = 2  # as when somebody zooms out
    labels = np.zeros(labels_shape(image), np.uint16)
    labels[100:110, 20:30] = 1
    binding = layers.show_new_labels(session, image, labels, "segment")
    assert binding.layer.data.shape == (128, 128)
    for place in ((0, 0), (100, 20), (127, 127)):
        assert np.allclose(binding.layer.data_to_world(place), image.data_to_world(place))
    assert binding.layer.get_value(image.data_to_world((105, 25)), world=True) == 1
    assert binding.layer.get_value(image.data_to_world((20, 105)), world=True) == 0
    image.scale = (4, 4)
    assert np.allclose(binding.layer.data_to_world((100, 20)), image.data_to_world((100, 20)))


def test_the_record_tells_which_channels_and_plane_were_read(widget, viewer, qtbot, tmp_path):
    many = np.stack([GRAY, *RGB.transpose(2, 0, 1)])
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.stack([many, many // 2]), photometric="minisblack", metadata={"axes": "ZCYX"})
    widget.session.choose_read_options(ReadOptions(by_count={4: (2, 3, 4)}, z=1))
    widget.add([path])
    qtbot.waitUntil(lambda: len(viewer.layers) == 1 and not widget.thumbnails.running)
    segment = SegmentWidget(viewer)
    viewer.window.add_dock_widget(segment, name="Segment")
    qtbot.mouseClick(segment.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not segment.job.running and not segment.live.busy, timeout=120000)
    qtbot.mouseClick(segment.save_button, Qt.MouseButton.LeftButton)
    record = tmp_path / "leaves" / "a.ome_label.json"
    qtbot.waitUntil(record.exists, timeout=20000)
    (item,) = read_records(record)
    assert (item.content["image"]["channels"], item.content["image"]["z"]) == ([2, 3, 4], 1)
    assert rerun(item, tmp_path, "cpu").same


def test_a_dropped_file_is_read_as_everywhere(viewer, tmp_path):
    path = case_file("jpg_cmyk.jpg", tmp_path)
    assert image_reader(str(tmp_path)) is None
    assert image_reader(str(tmp_path / "a_label.tif")) is None  # opened with their image
    assert image_reader(str(path)) is read_layers
    ((array, options, kind),) = read_layers(str(path))
    assert array.shape == (128, 128, 3)
    assert options == {"name": "jpg_cmyk", "rgb": True}
    assert kind == "image"
    viewer.open(str(case_file("ij_t3_grey.tif", tmp_path)), plugin="napari-leafseg")
    assert viewer.layers[0].data.shape == (3, 128, 128)


def test_labels_of_layers_and_of_twins_are_written_where_they_belong(viewer, qtbot, tmp_path):
    segment, widget = SegmentWidget(viewer), ImagesWidget(viewer)
    image = viewer.add_image(RGB, name="../../evil: 1?", rgb=True)
    assert segment.saver._stem(image) == "_.._evil_ 1_"
    for name in ("plant.png", "plant.bmp", "day2/plant.png", "other.png"):
        write_image(tmp_path / name, RGB)
    widget.add([tmp_path / name for name in ("plant.png", "plant.bmp", "day2/plant.png", "other.png")])
    shown = []
    for entry in widget.session.images:
        layer = Image(RGB, rgb=True)
        widget.session.bind(layer, entry)
        shown.append(layer)
    beside = [segment.saver._stem(layer) for layer in shown]
    assert beside == ["plant_png", "plant_bmp", "plant", "other"]
    segment._folder = tmp_path
    assert len(set(map(segment.saver._stem, shown))) == 4
    qtbot.waitUntil(lambda: not widget.thumbnails.running and not widget.loader.running)
    segment.close()
    widget.close()


def _zeros(path):
    path.write_bytes(bytes(5000))


def _cut(path):
    tifffile.imwrite(path, RGB.transpose(2, 0, 1), photometric="minisblack", metadata={"axes": "CYX"}, ome=True)
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("zeros.png", _zeros, "filled with zeros"),
        ("cut.ome.tif", _cut, "damaged or cut off"),
        ("empty.jpg", lambda path: path.touch(), "is empty"),
        ("pipe.png", lambda path: os.mkfifo(path), "a pipe or device"),
        ("folder.png", lambda path: path.mkdir(), "holds no image"),
        ("link.png", lambda path: path.symlink_to("gone.png"), "a link to gone.png"),
        ("gone.png", lambda path: None, "There is no file"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="no pipes in folders there")
def test_what_is_no_image_is_said_with_the_reason(widget, viewer, qtbot, tmp_path, name, make, words):
    make(tmp_path / name)
    notification_manager.records.clear()
    widget.add([tmp_path / name])
    qtbot.waitUntil(lambda: bool(notification_manager.records))
    (record,) = notification_manager.records
    assert name in record.message
    assert words in record.message
    assert not viewer.layers
