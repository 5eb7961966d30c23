"""The list of projects, and which models they use."""

import json

import numpy as np
import pytest

from napari_leafseg.io import write_image
from napari_leafseg.project import Project, recent_projects


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(recent_projects, "data_folder", lambda: tmp_path / "data")
    return tmp_path / "data"


def make(folder, models):
    """A project whose images' leaves were found by these models."""
    folder.parent.mkdir(exist_ok=True, parents=True)
    paths = []
    for number in range(len(models)):
        paths.append(folder.parent / f"{folder.name}{number}.png")
        write_image(paths[-1], np.full((32, 32, 3), number, np.uint8))
    with Project.create(folder) as project:
        for ref, model in zip(project.add_images(paths), models, strict=True):
            document = project.open_document(ref, (32, 32))
            document.info["model"] = {"name": model, "version": "1"}
            project.save(ref, document)


def test_projects_are_known_once_made_or_opened_the_last_first_until_they_are_gone(tmp_path, folder):
    make(tmp_path / "a", ["leaf"])
    make(tmp_path / "b", [])
    assert recent_projects.recent_projects() == [tmp_path / "b", tmp_path / "a"]
    Project.open(tmp_path / "a").close()
    assert recent_projects.recent_projects() == [tmp_path / "a", tmp_path / "b"]
    (tmp_path / "a" / "project.json").unlink()
    assert recent_projects.recent_projects() == [tmp_path / "b"]
    (folder / "projects.json").write_text("[")
    assert recent_projects.recent_projects() == []


def test_models_of_projects(tmp_path):
    make(tmp_path / "a", ["mine", "mine", "leaf"])
    make(tmp_path / "b", ["leaf"])
    assert recent_projects.projects_using("mine") == {tmp_path / "a": 2}
    assert recent_projects.projects_using("leaf") == {tmp_path / "b": 1, tmp_path / "a": 1}
    assert recent_projects.projects_using("other") == {}
    next((tmp_path / "b" / "records").glob("*.json")).write_text(json.dumps([1]))
    assert recent_projects.projects_using("leaf") == {tmp_path / "a": 1}


def test_a_list_that_cannot_be_written_is_no_reason_to_stop(tmp_path, folder):
    folder.write_text("a file where the folder should be")
    make(tmp_path / "a", [])
    assert (tmp_path / "a" / "project.json").exists()


@pytest.mark.parametrize("content", ["[", "{}", "null", '{"a": [1]}', "\x00"])
def test_a_damaged_list_is_put_aside_and_a_new_one_begun(tmp_path, folder, content):
    make(tmp_path / "a", [])
    (folder / "projects.json").write_text(content)
    make(tmp_path / "b", [])
    assert recent_projects.recent_projects() == [tmp_path / "b"]
    assert (folder / "projects.json.damaged").read_text() == content
    (folder / "projects.json").write_text(content)
    make(tmp_path / "c", [])
    assert (folder / "projects.json.damaged2").read_text() == content
    assert recent_projects.last_project(tmp_path / "c") is None


def test_the_last_project_is_one_that_somebody_chose(tmp_path):
    make(tmp_path / "chosen", [])
    make(tmp_path / "unsaved" / "2026", [])
    assert recent_projects.last_project(tmp_path / "unsaved") == tmp_path / "chosen"
