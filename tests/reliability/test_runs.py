"""A run is a step like any other: what a model found is on the disk, and can be tuned after a restart."""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from napari_leafseg.io import read_image, write_image
from napari_leafseg.project import Project
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.segment.widget import SegmentWidget
from napari_leafseg.widgets.state import layers
from napari_leafseg.widgets.state.napari_private import is_painting
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.project_controller import recoverable_projects
from tests.programs import begin_source
from tests.widgets.answers import trust
from tests.widgets.conftest import _own_settings, plant_image, qtbot  # noqa: F401

from .kept import on_disk, same

pytestmark = pytest.mark.gui


@pytest.fixture
def desk(make_napari_viewer, qtbot, tmp_path, plant_image):  # noqa: F811
    """Images and Segment with one plant in the list."""
    viewer = make_napari_viewer()
    write_image(tmp_path / "a.png", plant_image)
    images, segment = ImagesWidget(viewer), SegmentWidget(viewer)
    for widget in (images, segment):
        viewer.window.add_dock_widget(widget)
    segment.choose_model("leaf-small")
    images.add([tmp_path / "a.png"])
    qtbot.waitUntil(lambda: segment.image is not None)
    yield images, segment
    images.controller.close()
    images.close()
    segment.close()


def run(segment, qtbot):  # noqa: F811
    qtbot.mouseClick(segment.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not segment.job.running and not segment.live.busy)
    return segment.session.binding(segment.image)


def move(segment, qtbot, times=20):  # noqa: F811
    """Move a slider by keys until it has come to rest; returns the labels."""
    binding = segment.session.binding(segment.image)
    steps = len(binding.document.history.done)
    for _ in range(times):
        qtbot.keyClick(segment.panel.rows["angle"].slider, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: not segment.live.busy and len(binding.document.history.done) == steps + 1)
    return binding.layer.data.copy()


def close(images, qtbot):  # noqa: F811
    images.project_bar.actions_by_name["close"].trigger()
    qtbot.waitUntil(lambda: images.controller.project is None)


def restored(segment, qtbot):  # noqa: F811
    """The binding of the image once its labels and its prediction are there again."""
    session = segment.session

    def there():
        binding = session.binding(segment.image) if segment.image is not None else None
        return binding is not None and session.record(segment.image).prediction is not None

    qtbot.waitUntil(there)
    return session.binding(segment.image)


def said():
    return [item.message for item in notification_manager.records]


def test_a_project_is_closed_and_opened_and_tuning_goes_on(desk, qtbot, tmp_path, monkeypatch):  # noqa: F811
    images, segment = desk
    images.controller.create(tmp_path / "p")
    run(segment, qtbot)
    tuned, values = move(segment, qtbot), segment.panel.values()
    count = len(np.unique(tuned)) - 1
    assert "not saved" not in images.list.text(0)
    assert f"{count} leaves" in images.list.text(0)
    close(images, qtbot)
    assert segment.image is None
    assert images.list.count() == len(images.session.images) == len(images.viewer.layers) == 0
    monkeypatch.setattr("napari_leafseg.widgets.segment.jobs.get_predictor", None)  # the network cannot run
    qtbot.waitUntil(lambda: not (tmp_path / "p" / "lock.json").exists())
    images.project_bar.open(tmp_path / "p")
    binding = restored(segment, qtbot)
    assert np.array_equal(binding.layer.data, tuned)
    assert segment.panel.values() == values
    assert f"{count} leaves" in images.list.text(0)
    prediction = segment.session.record(segment.image).prediction
    assert np.array_equal(prediction.labels(**values), tuned)
    other = move(segment, qtbot, 10)
    assert np.array_equal(other, prediction.labels(**segment.panel.values()))
    assert not np.array_equal(other, tuned)
    binding.undo()
    assert segment.panel.values() == values
    assert np.array_equal(binding.layer.data, tuned)
    binding.undo()  # a step of the session before: the sliders go back, too
    assert segment.panel.values() == prediction.defaults()
    record = (tmp_path / "p" / "records" / "a.json").read_text()
    assert '"sha256"' in record
    assert '"precision"' in record


def test_without_a_project_it_is_kept_and_offered(desk, qtbot, tmp_path):  # noqa: F811
    images, segment = desk
    binding = run(segment, qtbot)
    controller = images.controller
    assert controller.is_scratch
    assert binding.ref.state == "new"  # nobody reviewed anything
    folder = controller.project.folder
    tuned = move(segment, qtbot)
    controller.close()  # as at the end of the application
    assert recoverable_projects() == [folder]
    images.project_bar.refresh()
    assert images.project_bar.recover.isVisibleTo(images.project_bar)
    qtbot.mouseClick(images.project_bar.recover, Qt.MouseButton.LeftButton)
    assert np.array_equal(restored(segment, qtbot).layer.data, tuned)


def test_a_damaged_prediction_is_told_once_and_the_image_needs_run_again(desk, qtbot, tmp_path):  # noqa: F811
    images, segment = desk
    images.controller.create(tmp_path / "p")
    labels = run(segment, qtbot).layer.data.copy()
    images.controller.close()
    path = tmp_path / "p" / "predictions" / "a.npz"
    path.write_bytes(path.read_bytes()[:-200])
    for _ in range(2):
        images.controller.open(tmp_path / "p")
        qtbot.waitUntil(lambda: segment.image is not None and segment.session.binding(segment.image) is not None)
        qtbot.waitUntil(lambda: not images.controller.predictions._reading)
        assert np.array_equal(segment.session.binding(segment.image).layer.data, labels)
        assert segment.session.record(segment.image).prediction is None
        images.controller.close()
    assert sum("damaged" in sentence and "Run again" in sentence for sentence in said()) == 1
    images.controller.open(tmp_path / "p")
    qtbot.waitUntil(lambda: segment.image is not None and segment.session.binding(segment.image) is not None)
    assert np.array_equal(run(segment, qtbot).layer.data, labels)


def test_the_size_of_all_predictions_is_limited_and_they_can_be_left_out(desk, qtbot, tmp_path):  # noqa: F811
    images, segment = desk
    images.controller.create(tmp_path / "p")
    folder = images.controller.project.predictions
    for number in range(4):
        folder.put(f"image {number}", lambda: bytes(1000))
        assert folder.flush()
        os.utime(folder.path(f"image {number}"), (number + 1, number + 1))
    folder.limit = 2500
    folder.put("image 9", lambda: bytes(1000))
    assert folder.flush()
    assert sorted(path.stem for path in folder.folder.iterdir()) == ["image 3", "image 9"]
    folder.put("image 9", lambda: bytes(3000))
    assert folder.flush()
    assert sorted(path.stem for path in folder.folder.iterdir()) == ["image 3"]
    qtbot.waitUntil(lambda: sum("may have 2,500" in sentence for sentence in said()) == 1)
    images.project_bar.actions_by_name["predictions"].trigger()
    assert not preferences.keep_predictions
    run(segment, qtbot)
    assert folder.flush()
    assert not folder.path("a").exists()


def test_too_little_memory_costs_the_prediction_alone(desk, qtbot, tmp_path, monkeypatch):  # noqa: F811
    def short(*_):
        raise MemoryError

    images, segment = desk
    images.controller.create(tmp_path / "p")
    monkeypatch.setattr("napari_leafseg.inference.kept_prediction.pack_prediction", short)
    binding = run(segment, qtbot)
    project = images.controller.project
    assert project.predictions.flush()
    assert project.writer.flush()
    assert not project.writer.error
    assert same(on_disk(tmp_path / "p", shape=binding.layer.data.shape), binding.document)
    qtbot.waitUntil(lambda: sum("no memory left" in sentence for sentence in said()) == 1)


def test_an_autosave_leaves_a_stroke_and_a_drag_that_are_under_way_alone(desk, qtbot, tmp_path):  # noqa: F811
    images, segment = desk
    images.controller.create(tmp_path / "p")
    binding = run(segment, qtbot)
    shape, layer, project = binding.layer.data.shape, binding.layer, images.controller.project
    binding.verify([1], True)
    assert binding.document.changed
    with layer.block_history():
        layer.brush_size = 9
        layer.paint((20, 20), 77)
        assert is_painting(layer)
        images.controller.autosave()
        assert project.writer.flush()
        assert 77 not in on_disk(tmp_path / "p", shape=shape).labels
    assert project.writer.flush()
    assert same(on_disk(tmp_path / "p", shape=shape), binding.document)
    before = layer.data.copy()
    other = before.copy()
    other[other == 2] = 0
    binding.verify([1], False)
    binding.show_tuned(other, (slice(0, shape[0]), slice(0, shape[1])), {}, {})
    images.controller.autosave()
    assert project.writer.flush()
    found = on_disk(tmp_path / "p", shape=shape)
    assert np.array_equal(found.labels, before)
    images.controller.close()  # what is under way becomes a step
    assert np.array_equal(on_disk(tmp_path / "p", shape=shape).labels, other)


RNG = np.random.default_rng(5)
ARRAYS = {
    "uint8": (RNG.integers(0, 255, (60, 50)).astype(np.uint8), False),
    "uint16": (RNG.integers(0, 65535, (60, 50)).astype(np.uint16), False),
    "float32": (RNG.normal(size=(60, 50)).astype(np.float32), False),
    "float64": (RNG.normal(size=(60, 50)), False),
    "bool": (RNG.random((60, 50)) > 0.5, False),
    "uint8 color": (RNG.integers(0, 255, (60, 50, 3)).astype(np.uint8), True),
    "uint16 color": (RNG.integers(0, 65535, (60, 50, 3)).astype(np.uint16), True),
    "float color": (RNG.random((60, 50, 3)).astype(np.float32), True),
    "series of one": (RNG.integers(0, 255, (1, 60, 50)).astype(np.uint8), False),
    "series": (RNG.integers(0, 65535, (4, 60, 50)).astype(np.uint16), False),
    "series of three": (RNG.integers(0, 255, (3, 60, 50)).astype(np.uint8), False),
    "float series": (RNG.normal(size=(5, 60, 50)).astype(np.float32), False),
    "color series": (RNG.integers(0, 255, (4, 60, 50, 3)).astype(np.uint8), True),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_images_of_layers_without_a_file_survive_exactly(desk, qtbot, tmp_path, kind):  # noqa: F811
    images, _segment = desk
    images.controller.create(tmp_path / "p")
    array, rgb = ARRAYS[kind]
    image = images.viewer.add_image(array, name="plate", rgb=rgb)
    shape = array.shape[:-1] if rgb else array.shape
    labels = np.zeros(shape, np.uint16)
    labels[..., 10:30, 10:30] = 3
    layers.show_new_labels(images.session, image, labels, "segment with test")
    ref = images.session.record(image).ref
    images.controller.close()
    path = images.controller.project or Project.open(tmp_path / "p")
    found = read_image(path.path_of(ref), path.read_options).array
    path.close()
    shown, again_rgb = layers.displayed(found)
    assert again_rgb == rgb
    assert np.array_equal(np.asarray(shown), array[0] if kind == "series of one" else array)
    images.controller.open(tmp_path / "p")
    images.list.setCurrentRow(images.list.count() - 1)
    qtbot.waitUntil(lambda: any(layer.name.endswith(" leaves") for layer in images.viewer.layers))
    (layer,) = (layer for layer in images.viewer.layers if layer.name.endswith(" leaves"))
    assert np.array_equal(layer.data, labels[0] if kind == "series of one" else labels)


def test_an_image_exchanged_while_the_model_works_gets_no_labels_of_the_old_one(desk, qtbot, monkeypatch):  # noqa: F811
    _images, segment = desk
    from napari_leafseg.widgets.segment import widget as module

    real, seen, go_on = module.predict_job, threading.Event(), threading.Event()

    def slow(*arguments):
        for event in real(*arguments):
            if event.prediction is not None:
                seen.set()
                go_on.wait(60)
            yield event

    monkeypatch.setattr(module, "predict_job", slow)
    qtbot.mouseClick(segment.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(seen.is_set)
    segment.image.data = np.full((100, 90, 3), 80, np.uint8)
    go_on.set()
    qtbot.waitUntil(lambda: not segment.job.running and not segment.live.busy)
    assert segment.session.labels_layer(segment.image) is None
    assert segment.session.record(segment.image).prediction is None
    assert any("another image while the model worked" in sentence for sentence in said())


def test_an_image_exchanged_afterwards_is_tuned_no_more(desk, qtbot):  # noqa: F811
    _images, segment = desk
    run(segment, qtbot)
    assert segment.panel.rows
    segment.image.data = np.full((100, 90, 3), 80, np.uint8)
    assert segment.session.record(segment.image).prediction is None


def test_labels_for_other_images_leave_a_run_and_the_view_alone(desk, qtbot, tmp_path, monkeypatch, plant_image):  # noqa: F811
    from qtpy.QtWidgets import QFileDialog

    images, segment = desk
    images.controller.create(tmp_path / "p")
    write_image(tmp_path / "b.png", plant_image[::-1])
    images.add([tmp_path / "b.png"])
    images.list.setCurrentRow(1)
    qtbot.waitUntil(lambda: segment.image is not None and segment.image.name == "b")
    labels = run(segment, qtbot).layer.data.copy()
    given = np.zeros(labels.shape, np.uint16)
    given[5:30, 5:30] = 4
    write_image(tmp_path / "a_label.png", given)
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(tmp_path / "a_label.png")], ""))
    answer = trust(qtbot, "Draft")
    images.project_bar.actions_by_name["labels"].trigger()
    answer.check()
    qtbot.waitUntil(lambda: images.controller.project is None)
    qtbot.waitUntil(lambda: images.controller.project is not None)
    qtbot.waitUntil(lambda: "b leaves" in images.viewer.layers)
    assert images.list.currentRow() == 1
    assert np.array_equal(images.viewer.layers["b leaves"].data, labels)
    qtbot.waitUntil(lambda: "1 leaf" in images.list.text(0))


@pytest.mark.parametrize(
    ("moment", "project"),
    [
        ("run", "p"), ("slider", "-"),
        pytest.param("run", "-", marks=pytest.mark.night), pytest.param("slider", "p", marks=pytest.mark.night),
    ],
)  # fmt: skip
def test_a_killed_window_loses_no_run(tmp_path, plant_image, qtbot, make_napari_viewer, moment, project):  # noqa: F811
    data, place = tmp_path / "data", str(tmp_path / "p") if project == "p" else "-"
    data.mkdir()
    write_image(tmp_path / "a.png", plant_image)
    script = Path(__file__).with_name("run_window.py")
    source = f"import os; os.environ.update(XDG_DATA_HOME={str(data)!r}, XDG_CONFIG_HOME={str(data)!r})\n"
    process = begin_source(source + script.read_text(), str(data), str(tmp_path / "a.png"), place, moment)
    line = next((line for line in map(bytes.decode, process.stdout) if line.startswith("shown ")), "")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert line
    folder, angle = line.removeprefix("shown ").rsplit(" ", 1)
    shown = np.load(data / "shown.npy")
    viewer = make_napari_viewer()
    images, segment = ImagesWidget(viewer), SegmentWidget(viewer)
    for widget in (images, segment):
        viewer.window.add_dock_widget(widget)
    images.controller.open(Path(folder), is_scratch=project == "-")
    binding = restored(segment, qtbot)
    assert np.array_equal(binding.layer.data, shown)
    assert segment.panel.values()["angle"] == float(angle)
    prediction = segment.session.record(segment.image).prediction
    assert np.array_equal(prediction.labels(**segment.panel.values()), shown)
    assert len(binding.document.history.done) == (2 if moment == "slider" else 1)
    images.controller.close()
    images.close()
    segment.close()
