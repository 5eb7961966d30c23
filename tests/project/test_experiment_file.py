"""What is known of plants, kept with a project."""

import json

import numpy as np
import pytest
from PIL import Image

from napari_leafseg.experiment import Experiment
from napari_leafseg.project import Project
from napari_leafseg.project.elsewhere import copy_elsewhere
from napari_leafseg.project.experiment_file import (
    FILE,
    KeptExperiment,
    experiment_content,
    load_experiment,
    write_experiment,
)


@pytest.fixture
def project(tmp_path):
    for folder in ("wt", "ko"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / folder / "a.png")
    with Project.create(tmp_path / "p") as project:
        project.add_images([tmp_path / "wt" / "a.png", tmp_path / "ko" / "a.png"])
        yield project


@pytest.fixture
def kept(project):
    first, second = (project.path_of(ref) for ref in project.images)
    experiment = Experiment("{genotype}/{plant}")
    experiment.table[first] = {"treatment": "dry", "time": "2021-05-03T11:05:00"}
    experiment.exif[second] = {"camera": "D 90"}
    experiment.set_by_hand(first, "genotype", "")
    return KeptExperiment(experiment, others={"gone": {"hand": {"plant": "7"}}})


def test_all_is_read_as_it_was_written(project, kept):
    assert load_experiment(project) == KeptExperiment()
    write_experiment(project.folder, experiment_content(kept, project))
    assert load_experiment(project) == kept


def test_it_goes_with_a_project_that_is_saved_elsewhere(project, kept, tmp_path):
    write_experiment(project.folder, experiment_content(kept, project))
    *_, last = copy_elsewhere(project, tmp_path / "other", {})
    with last.project as other:
        found = load_experiment(other)
    assert found == kept


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda content: content.update(pattern="{plant"), 2),
        (lambda content: content.update(pattern=3), 2),
        (lambda content: content.update(images=[]), 0),
        (lambda content: content["images"]["a"].update(hand=3), 2),
        (lambda content: content["images"]["a"]["table"].update(time="soon"), 2),
        (lambda content: content["images"]["a"]["table"].update(treatment=["x"]), 2),
        (lambda content: content["images"].update(a="x"), 1),
    ],
)
def test_a_damaged_value_is_one_told_problem(project, kept, change, left):
    content = json.loads(experiment_content(kept, project))
    change(content)
    text = json.dumps(content)
    (project.folder / FILE).write_text(text)
    found = load_experiment(project)
    assert "damaged" in found.problem
    assert str(project.folder / FILE) in found.problem
    known = {path for layer in found.experiment.layers.values() for path in layer}
    assert len(known) == left
    assert (project.folder / f"{FILE}.damaged").read_text() == text
    assert found.writable


@pytest.mark.parametrize("content", [b"{", b"[]", b"3", b"\xff\xfe", b""])
def test_a_damaged_file_never_costs_the_project(project, content):
    (project.folder / FILE).write_bytes(content)
    assert "damaged" in load_experiment(project).problem
    assert (project.folder / f"{FILE}.damaged").read_bytes() == content


def test_the_file_of_a_later_version_is_left_alone(project):
    (project.folder / FILE).write_text('{"format": 99, "plants": {}}')
    found = load_experiment(project)
    assert "newer version" in found.problem
    assert not found.writable


def test_any_text_can_be_written(project, kept):
    path = project.path_of(project.images[0])
    kept.experiment.set_by_hand(path, "plant", "größer \ud800")
    write_experiment(project.folder, experiment_content(kept, project))
    assert load_experiment(project) == kept


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1], "is damaged in 1 place: all of it. What is damaged is left out"),
        ({"images": {"IMG": {"hand": {"time": "never"}}}}, "is damaged in 1 place: “time” of “IMG”."),
        ({"pattern": 5, "images": 5}, "is damaged in 2 places, the first is: the pattern ("),
    ],
)
def test_what_is_damaged_is_counted_and_named_in_words(project, content, words):
    name = project.images[0].id
    (project.folder / FILE).write_text(json.dumps(content).replace("IMG", name))
    assert words.replace("IMG", name) in load_experiment(project).problem
