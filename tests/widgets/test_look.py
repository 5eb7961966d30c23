"""What one sees: outlines as wide at any zoom, neighbors that differ, three layers, the plant in view, features."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_leafseg.editing.edit import Edit
from napari_leafseg.io import write_image
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.colors import (
    PALETTE,
    color_leaves,
    find_neighbors,
    leaf_colors,
    paint_leaves,
)
from napari_leafseg.widgets.state.look import Look, features_job
from napari_leafseg.widgets.state.overlays import outline_leaf
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import KEY, Session
from napari_leafseg.widgets.state.view import fit_plant


def wheel(count: int = 12, size: int = 200) -> np.ndarray:
    """Labels of leaves like slices of a pie, each with two neighbors, around one in the middle."""
    y, x = np.mgrid[:size, :size] - size / 2
    labels = (1 + ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * count).astype(int) % count).astype(np.uint16)
    radius = np.hypot(y, x)
    labels[radius > 0.45 * size] = 0
    labels[radius < 0.15 * size] = count + 1
    return labels


def assert_apart(neighbors, colors):
    pairs = [(a, b) for a in neighbors for b in neighbors[a]]
    assert pairs
    assert min(DIFFERENCE[colors[a], colors[b]] for a, b in pairs) > 23


# how colors look to people without the cones for green, and for red (Machado, Oliveira and Fernandes 2009), linear RGB
NO_GREEN = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))
NO_RED = ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998))


def as_seen(colors, vision):
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(vision).T, 0, 1)
    return np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)


def differences(colors):
    """CIEDE2000 between each two colors; 2.3 is just seen side by side, of large areas."""
    lab = rgb2lab(np.asarray(colors, float)[None])[0]
    return deltaE_ciede2000(lab[:, None], lab[None])


DIFFERENCE = differences(PALETTE)


def test_each_two_colors_of_the_palette_are_clearly_apart():
    others = np.array([[1.0, 1, 1], [1, 1, 0]])  # of the leaf under review, and of what is proposed
    pairs = np.triu_indices(len(PALETTE), 1)
    assert DIFFERENCE[pairs].min() > 23
    assert differences([*PALETTE, *others])[:-2, -2:].min() > 17
    for vision in (NO_GREEN, NO_RED):
        assert differences(as_seen(PALETTE.astype(float), vision))[pairs].min() > 11


def test_neighbors_get_colors_that_nobody_mixes_up():
    labels = wheel()
    neighbors = find_neighbors(labels)
    assert neighbors[13] == set(range(1, 13))
    assert {2, 13} <= neighbors[1]
    colors = color_leaves(neighbors)
    assert_apart(neighbors, colors)
    picture = paint_leaves(labels)
    assert (picture[labels == 0] == 0).all()
    assert len({tuple(color) for color in picture[labels > 0]}) == len({colors[leaf] for leaf in neighbors})


def test_leaves_near_each_other_are_neighbors_and_those_apart_are_not():
    labels = np.zeros((60, 60), np.uint16)
    labels[10:20, 10:20], labels[10:20, 22:30], labels[40:50, 40:50] = 1, 2, 3
    assert find_neighbors(labels) == {1: {2}, 2: {1}, 3: set()}


def test_a_leaf_keeps_its_color_while_its_neighbors_allow_it():
    labels = wheel()
    before = color_leaves(find_neighbors(labels))
    labels[:30, :60] = 40  # a new leaf
    neighbors = find_neighbors(labels)
    after = color_leaves(neighbors, before)
    assert {leaf: after[leaf] for leaf in before if leaf in neighbors} == before
    assert_apart(neighbors, after)
    alike = {**after, 40: after[next(iter(neighbors[40]))]}  # it grew until it touched a leaf of its color
    again = color_leaves(neighbors, alike)
    assert_apart(neighbors, again)
    assert sum(again[leaf] != alike[leaf] for leaf in neighbors) == 1


def test_colormaps_hold_any_number_and_end_with_white():
    colormap = leaf_colors({1: 3, 300: 5})
    assert np.allclose(colormap.map(1)[:3], PALETTE[3])
    assert np.allclose(colormap.map(300)[:3], PALETTE[5])
    assert np.allclose(colormap.map(0), 0)
    assert len(colormap.colors) > 360
    assert np.allclose(colormap.colors[-1], 1)


def test_features_tell_of_each_leaf():
    found = features_job(wheel(4), None, {2: 7})
    table = found.table
    assert found.confidence == []
    assert table["index"].tolist() == table["leaf"].tolist() == [1, 2, 3, 4, 5]
    assert table["area_px2"].sum() == (wheel(4) > 0).sum()
    assert table["track"][1] == 7
    assert np.isnan(table["track"][0])
    assert len(features_job(np.zeros((9, 9), np.uint16), None, {}).table) == 0


@pytest.fixture
def shown(make_napari_viewer, qtbot):
    """A viewer on the screen with an image and its leaves: (viewer, session, image, binding)."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1000, 700)
    labels = wheel()
    image = viewer.add_image(np.full((*labels.shape, 3), 60, np.uint8), rgb=True, name="plant")
    session = Session.of(viewer)
    binding = layers.show_new_labels(session, image, labels, "segment with test")
    qtbot.waitUntil(lambda: Look.of(session).of_binding(binding).settled)
    yield viewer, session, image, binding
    ProjectController.of(session).close()


def drawn(viewer, background=60) -> np.ndarray:
    """Pixels of the canvas where leaves are drawn."""
    QApplication.processEvents()
    picture = viewer.screenshot(flash=False)[..., :3].astype(int)
    return (np.abs(picture - background).max(2) > 12) & (picture.max(2) > 0)


def line_width(row: np.ndarray) -> list[int]:
    """Lengths of the runs in a row of the canvas."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
    return (edges[1::2] - edges[::2]).tolist()


def test_outlines_are_two_screen_pixels_at_any_zoom_and_one_key_fills(shown, qtbot):
    viewer, session, _image, binding = shown
    viewer.layers.selection.active = binding.layer
    assert binding.layer.contour == 0  # napari's own is in pixels of the image
    for zoom in (0.8, 3, 12):
        viewer.camera.zoom = zoom
        viewer.camera.center = (0, 110, 100 + 86)
        row = drawn(viewer)[drawn(viewer).shape[0] // 2]
        # the middle row runs through the leaf's right end, where it ends against the soil
        assert line_width(row)[-1] in (2, 3), zoom
    native = viewer.window._qt_viewer.canvas.native
    viewer.camera.zoom = 3
    lines = drawn(viewer).sum()
    qtbot.keyClick(native, Qt.Key.Key_0)
    assert not preferences.outline
    assert drawn(viewer).sum() > 4 * lines
    qtbot.keyClick(native, Qt.Key.Key_0)
    assert drawn(viewer).sum() == lines
    outline_leaf(session, binding, 5)  # in white
    assert (viewer.screenshot(flash=False)[..., :3] == 255).all(2).sum() > 40
    assert len(viewer.layers) == 2


def told(viewer):
    """What napari's status bar says of what is under the mouse."""
    return viewer.status["value"] if isinstance(viewer.status, dict) else viewer.status


def test_colors_and_features_follow_an_edit(shown, qtbot):
    viewer, session, _image, binding = shown
    look = Look.of(session).of_binding(binding)
    viewer.layers.selection.active = binding.layer
    before, textures = dict(look.colors), []
    binding.layer.events.set_data.connect(lambda _event: textures.append(1))
    assert_apart(find_neighbors(binding.document.labels), before)
    box = (slice(10, 40), slice(80, 120))
    old = binding.plane[box].copy()
    viewer.cursor.position, viewer.mouse_over_canvas = (20, 100), True
    viewer.update_status_from_cursor()
    under = binding.plane[20, 100]
    assert f"leaf: {under}, area_px2" in told(viewer)
    binding.perform(Edit("paint", box, old, np.full_like(old, 20)))
    assert told(viewer).endswith("20; leaf: 20")  # at once, and not what was known of the leaf that was there
    qtbot.waitUntil(lambda: look.settled and 20 in look.colors)
    assert {leaf: look.colors[leaf] for leaf in before} == before
    assert_apart(find_neighbors(binding.document.labels), look.colors)
    assert not textures  # no pixel was sent again for the colors
    features = binding.layer.features
    assert features.set_index("leaf").loc[20, "area_px2"] == (binding.plane == 20).sum()
    assert "leaf: 20, area_px2: 1200" in told(viewer)  # though the mouse was not moved
    viewer.cursor.position = (1, 1)
    viewer.update_status_from_cursor()
    assert told(viewer).endswith("0")  # nothing is said of the background


@pytest.fixture
def folder(tmp_path):
    """Three images of one folder, the last one far smaller."""
    for number, size in enumerate((300, 300, 60)):
        pixels = np.random.default_rng(number).integers(40, 90, (size, size, 3), np.uint8)
        write_image(tmp_path / f"plant{number}.png", pixels)
    return tmp_path


def corners(viewer):
    """What the canvas shows: top, left, bottom, right in pixels of the image."""
    native = viewer.window._qt_viewer.canvas.native
    half = np.array([native.height(), native.width()]) / 2 / viewer.camera.zoom
    middle = np.array(viewer.camera.center)[-2:]
    return (*(middle - half), *(middle + half))


def test_three_layers_at_most_and_all_comes_back(shown, qtbot, folder):
    viewer, session, visitor, _binding = shown
    images = ImagesWidget(viewer)
    qtbot.addWidget(images)
    images.add([folder])

    def showing(name):
        return lambda: (
            any(layer.name == name and layer.visible for layer in viewer.layers) and not images.loader.running
        )

    def ours():
        return [x.name for x in viewer.layers if KEY in x.metadata or session.entry_of(x) is not None]

    qtbot.waitUntil(showing("plant0"))
    image = viewer.layers["plant0"]
    labels = np.zeros((300, 300), np.uint16)
    labels[20:60, 200:260], labels[70:90, 210:250] = 1, 2
    binding = layers.show_new_labels(session, image, labels, "segment with test")
    binding.verify([1], True)
    kept = binding.document.number
    visitor_layers = [visitor.name, "plant leaves"]
    others = [name for name in ours() if name not in visitor_layers]
    assert set(others) == {"plant0", "plant0 leaves"}
    for row, name in ((1, "plant1"), (2, "plant2")):
        images.list.setCurrentRow(row)
        qtbot.waitUntil(showing(name))
        assert [x for x in ours() if x not in visitor_layers] == [name]
        assert set(visitor_layers) <= {layer.name for layer in viewer.layers}
    top, left, bottom, right = corners(viewer)  # the small image fills the canvas
    assert max(bottom - top, right - left) < 4 * 60
    assert top < 30 < bottom
    assert session.images[0].count == 2
    assert Look.of(session).of_binding(binding) is None  # its labels take no memory any more
    images.list.setCurrentRow(0)
    qtbot.waitUntil(lambda: session.binding(session.layer_of(session.images[0])) is not None)
    back = session.binding(session.layer_of(session.images[0]))
    assert np.array_equal(back.document.labels, labels)
    assert back.document.verified == {(0, 1)}
    assert back.document.number == kept
    qtbot.waitUntil(lambda: corners(viewer)[1] > 100)  # the plant's place, not the whole image
    back.undo()
    assert back.document.verified == set()
    assert len([x for x in ours() if x not in visitor_layers]) <= 3


def test_the_view_goes_to_the_plant(shown):
    viewer, session, image, binding = shown
    viewer.camera.center, viewer.camera.zoom = (0, 900, 900), 0.1
    binding.layer.data[:] = 0
    binding.layer.data[150:180, 20:40] = 1
    fit_plant(session, image)
    top, left, bottom, right = corners(viewer)
    assert top < 150 < 180 < bottom < 200
    assert left < 20 < 40 < right


def test_one_leaf_of_all_images_is_outlined_in_white(viewer):
    session = Session.of(viewer)
    first, second = (
        layers.show_new_labels(session, viewer.add_image(np.zeros((200, 200)), name=name), wheel(), "segment with test")
        for name in "ab"
    )
    look = Look.of(session)

    def white():
        return [look.of_binding(binding).outlines.reviewed for binding in (first, second)]

    outline_leaf(session, first, 3)
    assert white() == [3, 0]
    outline_leaf(session, second, 5)
    assert white() == [0, 5]
    outline_leaf(session, second, 0)
    assert white() == [0, 0]
