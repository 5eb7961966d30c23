"""Opening and saving by napari's own menus, by drag and drop, and by its plugin manager."""

import json
from pathlib import Path

import npe2
import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_leafseg.errors import ParameterError
from napari_leafseg.io import read_image, read_labels, write_image, write_labels
from napari_leafseg.io.exchange.formats import FORMATS, ExchangeFormat, read_format
from napari_leafseg.io.exchange.reading import Reading
from napari_leafseg.io.label_arrays import renumbered
from napari_leafseg.project import Project
from napari_leafseg.project.transfer import import_masks
from napari_leafseg.widgets.napari_files import get_reader
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session
from tests.conftest import REPOSITORY

SHAPE = (50, 60)


@pytest.fixture
def manifest():
    return npe2.PluginManifest.from_file(REPOSITORY / "src" / "napari_leafseg" / "napari.yaml")


@pytest.fixture
def labels():
    array = np.zeros(SHAPE, np.uint16)
    array[5:20, 5:30], array[25:40, 10:50] = 2, 5
    array[10:12, 10:12] = 0
    return array


@pytest.fixture
def pair(tmp_path, labels):
    folder = tmp_path / "plants"
    write_image(folder / "a.png", np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8))
    write_labels(folder / "a_label.tif", labels, {"image": {"name": "a.png"}})
    return folder


def named(manifest):
    """The formats that have a writer of their own in napari's dialog, by its command."""
    writers = {w.command: w.command.split("save_")[1].replace("_", "-") for w in manifest.contributions.writers}
    return {command: name for command, name in writers.items() if name not in {"pair", "by-ending"}}


def test_every_format_has_a_writer(manifest):
    assert len(set(named(manifest).values())) >= 10
    assert set(named(manifest).values()) <= set(FORMATS)
    (other,) = [w for w in manifest.contributions.writers if w.command.endswith("save_by_ending")]
    assert other.filename_extensions == []  # napari offers it for any name
    commands = {command.id for command in manifest.contributions.commands}
    assert {item.command for item in (*manifest.contributions.writers, *manifest.contributions.readers)} <= commands
    for writer in manifest.contributions.writers:
        form = FORMATS.get(named(manifest).get(writer.command, ""))
        assert form is None or set(writer.filename_extensions) <= set(form.suffixes)


def test_a_format_without_a_writer_of_its_own_is_saved_by_its_ending(manifest, tmp_path, labels, monkeypatch):
    def write(folder, items):
        for item in items:
            (folder / f"{item.name}.dots").write_text(str(item.labels.max()))

    monkeypatch.setitem(FORMATS, "dots", ExchangeFormat("dots", "Dots", (".dots",), write))
    save = npe2_command(manifest, "napari-leafseg.save_by_ending")
    assert save(str(tmp_path / "a.dots"), labels, {"name": "a leaves"}) == [str(tmp_path / "a.dots")]
    assert (tmp_path / "a.dots").read_text() == "5"
    with pytest.raises(ParameterError, match=r"Choose one of: .*\.dots"):
        save(str(tmp_path / "a.oak"), labels, {})
    assert [path.name for path in tmp_path.iterdir()] == ["a.dots"]


def command_of(manifest, form):
    return next((c for c, name in named(manifest).items() if name == form), "napari-leafseg.save_by_ending")


@pytest.mark.parametrize("form", [name for name, fmt in FORMATS.items() if fmt.read])
def test_a_labels_layer_is_saved_and_comes_back(viewer, tmp_path, labels, manifest, form):
    command = command_of(manifest, form)
    ending = FORMATS[form].suffixes[0]
    layer = viewer.add_labels(labels.astype(int), name="../my/plant? leaves")
    path = tmp_path / "out" / f"a{ending}"
    save = npe2_command(manifest, command)
    assert save(str(path), *layer.as_layer_data_tuple()[:2]) == [str(path)]
    assert [item.name for item in tmp_path.iterdir()] == ["out"]
    ((_, found),) = read_format(path, Reading(lambda names: dict.fromkeys(names, SHAPE)))
    assert np.array_equal(found, renumbered(labels) if FORMATS[form].loses else labels)


def npe2_command(manifest, command):
    name = next(item.python_name for item in manifest.contributions.commands if item.id == command)
    return npe2.manifest.utils.import_python_name(name)


def test_save_selected_layers_of_the_menu_uses_our_writer(viewer, tmp_path, labels):
    layer = viewer.add_labels(labels, name="a leaves")
    viewer.layers.selection = {layer}
    written = viewer.layers.save(str(tmp_path / "a.xml"), selected=True, plugin="napari-leafseg")
    assert written == [str(tmp_path / "a.xml")]
    ((name, found),) = read_format(tmp_path / "a.xml")
    assert name == "a.png"
    assert np.array_equal(found, labels)


def test_an_image_and_its_labels_are_saved_together(viewer, tmp_path, labels, pair):
    viewer.add_image(read_image(pair / "a.png").array, rgb=True)
    viewer.add_labels(labels)
    written = viewer.layers.save(str(tmp_path / "b.png"), plugin="napari-leafseg")
    assert sorted(Path(path).name for path in written) == ["b.png", "b_label.tif"]
    assert np.array_equal(read_image(tmp_path / "b.png").array, read_image(pair / "a.png").array)
    assert np.array_equal(read_labels(tmp_path / "b_label.tif"), labels)


@pytest.mark.parametrize("name", ["a_label.tif", "a_label.json"])
def test_a_label_image_or_record_opens_with_its_image_and_is_recorded(viewer, qtbot, pair, labels, name):
    viewer.open(str(pair / name), plugin="napari-leafseg")
    assert [layer.name for layer in viewer.layers] == ["a", "a leaves"]
    session = Session.of(viewer)
    assert np.array_equal(viewer.layers["a leaves"].data, labels)
    binding = session.binding(viewer.layers["a"])
    assert session.entry_of(viewer.layers["a"]).path == pair / "a.png"
    binding.verify([2], True)
    controller = ProjectController.of(session)
    assert controller.project is None or controller.project.writer.flush()
    with pytest.raises(Exception, match="has labels"):
        viewer.open(str(pair / name), plugin="napari-leafseg")
    assert len(viewer.layers) == 2
    controller.close()


def test_a_project_opens_by_drag_and_drop_of_its_folder(viewer, qtbot, tmp_path, pair, labels):
    with Project.create(tmp_path / "p") as project:
        list(import_masks(project, pair))
    assert get_reader(str(tmp_path / "p")) is not None
    assert get_reader(str(pair)) is None
    viewer.open(str(tmp_path / "p"), plugin="napari-leafseg")
    session = Session.of(viewer)
    qtbot.waitUntil(lambda: "a leaves" in viewer.layers, timeout=10000)
    controller = ProjectController.of(session)
    assert controller.project.folder == tmp_path / "p"
    assert np.array_equal(viewer.layers["a leaves"].data, labels)
    controller.close()


def test_dropping_project_json_on_the_canvas_opens_the_project(viewer, qtbot, tmp_path, pair):
    with Project.create(tmp_path / "p") as project:
        list(import_masks(project, pair))
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "p" / "project.json"))])
    point = QPointF(50, 50)
    position = point if "6" in __import__("qtpy").API_NAME else point.toPoint()
    event = QDropEvent(
        position, Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    viewer.window._qt_viewer.dropEvent(event)
    qtbot.waitUntil(lambda: "a leaves" in viewer.layers, timeout=10000)
    ProjectController.of(Session.of(viewer)).close()


def test_without_a_window_a_project_gives_layers(tmp_path, pair, labels):
    with Project.create(tmp_path / "p") as project:
        list(import_masks(project, pair))
    read = get_reader(str(tmp_path / "p" / "project.json"))
    (image, options, kind), (found, _, second) = read(str(tmp_path / "p" / "project.json"))
    assert (kind, second) == ("image", "labels")
    assert options["rgb"]
    assert image.shape == (*SHAPE, 3)
    assert np.array_equal(found, labels)


def test_other_files_are_none_of_ours(tmp_path):
    for name in ("a.tif", "leaves.json", "a_label_x.tif"):
        (tmp_path / name).write_text("")
        assert get_reader(str(tmp_path / name)) is None
    (tmp_path / "a_label.json").write_text(json.dumps([1]))
    read = get_reader(str(tmp_path / "a_label.json"))
    with pytest.raises(Exception, match=r"a_label\.json is no record"):
        read(str(tmp_path / "a_label.json"))
