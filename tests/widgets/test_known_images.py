"""What is known of plants in the window: with a project, and before there is one."""

import json

import numpy as np
import pytest

from napari_leafseg.io import write_image
from napari_leafseg.project import Project
from napari_leafseg.project.document import Document
from napari_leafseg.project.experiment_file import FILE
from napari_leafseg.project.measurement_settings import MeasurementSettings, read_measurement_settings
from napari_leafseg.widgets.images.widget import ImagesWidget
from napari_leafseg.widgets.measure.widget import MeasureWidget
from napari_leafseg.widgets.state.known_images import ExperimentStore
from napari_leafseg.widgets.state.project_controller import ProjectController
from napari_leafseg.widgets.state.session import Session
from tests.conftest import discs

NAMES = [f"2019-10-{day}-11-05_{plant}.png" for day in (22, 24) for plant in (11, 17)]


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        write_image(tmp_path / "images" / name, np.zeros((120, 120, 3), np.uint8))
    return tmp_path / "images"


@pytest.fixture
def images(viewer, qtbot, folder):
    """A window that lists the images."""
    images = ImagesWidget(viewer)
    qtbot.addWidget(images)
    images.add([folder])
    qtbot.waitUntil(lambda: len(images.session.images) == 4 and bool(images.session.image_layers()))
    return images


def store_of(viewer):
    return ExperimentStore.of(Session.of(viewer))


def test_names_say_which_plant_without_a_question(viewer, images, folder):
    known = store_of(viewer).known()
    assert [known.of(folder / name).metadata.plant for name in NAMES] == ["11", "17", "11", "17"]
    assert known is store_of(viewer).known()
    assert known.of(None).metadata.plant == known.of(folder / "x.png").metadata.plant == ""


def test_what_was_said_goes_into_a_project_and_comes_back(viewer, qtbot, images, folder, tmp_path):
    store = store_of(viewer)
    experiment = store.experiment.copy()
    experiment.pattern = "{date}_{pot}"
    experiment.set_by_hand(folder / NAMES[0], "genotype", "wt")
    with qtbot.waitSignal(store.changed):
        store.replace(experiment)
    assert store.known().of(folder / NAMES[0]).metadata.pot == "11"
    controller = ProjectController.of(Session.of(viewer))
    controller.create(tmp_path / "p")
    controller.project.writer.flush()
    content = json.loads((tmp_path / "p" / FILE).read_text())
    assert content["pattern"] == "{date}_{pot}"
    assert list(content["images"].values()) == [{"hand": {"genotype": "wt"}}]
    controller.close()
    store.replace(type(experiment)())
    controller.open(tmp_path / "p")
    assert store.experiment == experiment
    experiment = experiment.copy()
    experiment.set_by_hand(folder / NAMES[1], "genotype", "ko")
    store.replace(experiment)
    controller.save_elsewhere(tmp_path / "other")
    assert store.experiment == experiment
    controller.project.writer.flush()
    assert len(json.loads((tmp_path / "other" / FILE).read_text())["images"]) == 2
    controller.close()
    Project.create(tmp_path / "empty").close()
    controller.open(tmp_path / "empty")
    assert store.experiment == type(experiment)()


def test_nothing_is_written_where_nothing_was_said(viewer, images, tmp_path):
    store_of(viewer)
    controller = ProjectController.of(Session.of(viewer))
    controller.create(tmp_path / "p")
    controller.project.writer.flush()
    assert not (tmp_path / "p" / FILE).exists()


def test_the_file_of_a_later_version_is_told_and_not_touched(viewer, errors, folder, tmp_path):
    with Project.create(tmp_path / "p") as project:
        project.add_images([folder])
    later = '{"format": 99}'
    (tmp_path / "p" / FILE).write_text(later)
    store, controller = store_of(viewer), ProjectController.of(Session.of(viewer))
    controller.open(tmp_path / "p")
    assert "newer version" in errors[0]
    experiment = store.experiment.copy()
    experiment.set_by_hand(folder / NAMES[0], "genotype", "wt")
    store.replace(experiment)
    controller.project.writer.flush()
    assert (tmp_path / "p" / FILE).read_text() == later


def test_images_of_one_name_in_two_folders_keep_apart_in_tables(viewer, qtbot, tmp_path):
    with Project.create(tmp_path / "p") as project:
        for number, genotype in enumerate(("ko", "wt")):
            for day in (1, 2):
                path = tmp_path / genotype / f"day{day}.png"
                labels = discs(radius=9 + day + number).astype(np.uint16)
                write_image(path, np.repeat(labels[..., None] * 40, 3, -1).astype(np.uint8))
                (ref,) = project.add_images([path])
                project.save(ref, Document(labels))
        project.writer.flush()
    images, widget = ImagesWidget(viewer), MeasureWidget(viewer)
    viewer.window.add_dock_widget(images, name="Images")
    viewer.window.add_dock_widget(widget, name="Measure")
    viewer.window.show()
    widget.controller.open(tmp_path / "p")
    widget.series_box.setChecked(True)
    qtbot.waitUntil(lambda: widget.measured is not None and widget.measured.series)
    leaves = widget.measured.leaves
    assert leaves["image"].unique().tolist() == ["ko/day1.png", "ko/day2.png", "wt/day1.png", "wt/day2.png"]
    assert "<b>6 leaves</b> of 2 plants followed over 4 images, 24 hours" in widget.summary.text()
    row = int(np.flatnonzero((leaves["image"] == "wt/day2.png") & (leaves["leaf"] == 3))[0])
    widget.leaves.selectRow(row)
    session = Session.of(viewer)
    qtbot.waitUntil(lambda: session.focus() is not None and session.entry_of(session.focus()).path.parent.name == "wt")
    assert session.entry_of(session.focus()).path == tmp_path / "wt" / "day2.png"


def test_what_was_said_while_nothing_can_be_written_goes_along_elsewhere(viewer, qtbot, images, folder, tmp_path):
    measure = MeasureWidget(viewer)
    qtbot.addWidget(measure)
    controller = ProjectController.of(Session.of(viewer))
    controller.create(tmp_path / "p")
    project = controller.project
    assert project.writer.flush()
    with project.writer.held():  # as on a disk that is slow
        experiment = store_of(viewer).experiment.copy()
        experiment.set_by_hand(folder / NAMES[0], "genotype", "wt")
        store_of(viewer).replace(experiment)
        measure.settings_store.notes.px_per_mm = 7.5
        measure.settings_store.keep()
        *_, last = controller.copy_elsewhere(tmp_path / "q")
    with last.project as other:
        assert other.writer.flush()
    assert read_measurement_settings(tmp_path / "q").px_per_mm == 7.5
    assert "wt" in (tmp_path / "q" / FILE).read_text()


def test_scale_and_pots_stay_with_the_project_that_they_are_of(viewer, qtbot, images, tmp_path):
    write_image(tmp_path / "others" / "x.png", np.zeros((40, 40, 3), np.uint8))
    with Project.create(tmp_path / "other") as other:
        other.add_images([tmp_path / "others"])
    measure = MeasureWidget(viewer)
    qtbot.addWidget(measure)
    controller = ProjectController.of(Session.of(viewer))
    measure.settings_store.notes.px_per_mm = 7.5  # before there is a project
    controller.create(tmp_path / "p")
    assert controller.project.writer.flush()
    assert read_measurement_settings(tmp_path / "p").px_per_mm == 7.5
    controller.open(tmp_path / "other")
    assert measure.settings_store.notes.px_per_mm is None
    measure.settings_store.keep()
    assert controller.project.writer.flush()
    assert read_measurement_settings(tmp_path / "other").px_per_mm is None
    MeasurementSettings(px_per_mm=2.0).write(tmp_path / "p")  # by another window, meanwhile
    controller.open(tmp_path / "p")
    assert measure.settings_store.notes.px_per_mm == 2.0
