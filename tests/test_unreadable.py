"""Files that cannot be read are named: in the log, and where they hide something from a person, to that person."""

import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_leafseg import cli
from napari_leafseg.errors import UserError
from napari_leafseg.finetuning import config
from napari_leafseg.io import write_image
from napari_leafseg.models.store import user_models, zoo
from napari_leafseg.pipelines.batch import find, marker
from napari_leafseg.project import Project, recent_projects
from napari_leafseg.project.lock import Lock
from napari_leafseg.project.review import tally
from napari_leafseg.training.loop import read_curves


@pytest.fixture(autouse=True)
def _listen(caplog):
    caplog.set_level(logging.INFO, "napari_leafseg")


def test_labels_that_are_not_counted(tmp_path, caplog):
    with Project.create(tmp_path / "p") as project:
        for name in ("good", "bad"):
            write_image(tmp_path / f"{name}.png", np.zeros((20, 20, 3), np.uint8))
        for ref in project.add_images([tmp_path / "good.png", tmp_path / "bad.png"]):
            document = project.open_document(ref, (20, 20))
            document.labels[5:9, 5:9] = 1
            project.save(ref, document)
            ref.state = "done"
            project.release_document(ref, document)  # what nobody works on is read
        project.writer.flush()
        assert tally(project, {}).trouble == ""
        project.labels_path(project.images[1]).write_bytes(b"no image")
        found = tally(project, {})
    assert (found.whole, len(found.unreadable)) == (1, 1)
    assert found.trouble.startswith("Not counted, as their labels cannot be read: “bad” (")
    assert "The labels of “bad” are not counted" in caplog.text


def test_a_model_whose_card_is_damaged(tmp_path, monkeypatch, caplog):
    for place in (zoo, user_models):
        monkeypatch.setattr(place, "user_folder", lambda: tmp_path)
    (tmp_path / "torn.safetensors").write_bytes(b"no weights")
    row = next(row for row in user_models.describe_models() if row["model"] == "torn")
    whole = next(row for row in user_models.describe_models() if row["model"] == "leaf")
    assert row.keys() == whole.keys()
    assert (row["whose"], row["SBD"]) == ("yours", "cannot be read")
    assert str(tmp_path / "torn.safetensors") in row["description"]
    assert str(tmp_path / "torn.safetensors") in caplog.text


def test_a_fine_tuning_that_cannot_go_on(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(config, "_root", lambda: tmp_path)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "session.json").write_text('{"settings": {"na')
    assert config.resumable_runs() == []
    assert str(tmp_path / "torn") in caplog.text


def test_a_lock(tmp_path, caplog):
    assert Lock(tmp_path).owner() is None
    assert caplog.text == ""  # nobody has it: nothing to say
    (tmp_path / "lock.json").write_text("{")
    assert Lock(tmp_path).owner() is None
    assert str(tmp_path / "lock.json") in caplog.text


def test_the_list_of_projects_and_their_records(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(recent_projects, "data_folder", lambda: tmp_path)
    assert recent_projects.recent_projects() == []
    assert caplog.text == ""
    (tmp_path / "projects.json").write_text("[")
    assert recent_projects.recent_projects() == []
    assert str(tmp_path / "projects.json") in caplog.text
    (tmp_path / "records").mkdir()
    (tmp_path / "project.json").touch()
    (tmp_path / "records" / "a.json").write_text("{}")
    (tmp_path / "projects.json").write_text(json.dumps([str(tmp_path)]))
    assert recent_projects.projects_using("leaf") == {}
    assert str(tmp_path / "records" / "a.json") in caplog.text


def test_a_list_of_projects_that_cannot_be_written(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setattr(recent_projects, "data_folder", lambda: tmp_path / "file")
    recent_projects.remember_project(tmp_path / "project")
    assert f"The project {tmp_path / 'project'} is not put on the list" in caplog.text


def test_the_record_of_an_image(tmp_path, caplog):
    write_image(tmp_path / "a.png", np.zeros((20, 20, 3), np.uint8))
    with Project.create(tmp_path / "p") as project:
        (ref,) = project.add_images([tmp_path / "a.png"])
        project.save(ref, project.open_document(ref, (20, 20)))
        project.writer.flush()
        project.record_path(ref).write_text("{")
        project.open_document(ref, (20, 20))
        assert f"The record {project.record_path(ref)} is damaged" in caplog.text


def test_a_marker_of_a_batch(tmp_path, caplog):
    task = find.Task(str(tmp_path / "a.png"), "a")
    assert marker.cached_result(tmp_path, task, "digest") is None
    assert caplog.text == ""
    path = marker.marker_path(tmp_path, "a")
    path.parent.mkdir()
    path.write_text("{")
    assert marker.cached_result(tmp_path, task, "digest") is None
    assert str(path) in caplog.text


def test_a_line_of_the_curves(tmp_path, caplog):
    (tmp_path / "curves.jsonl").write_text('{"step": 1}\n{"step": 2, "lo')
    assert read_curves(tmp_path) == [{"step": 1}]
    assert "curves.jsonl was cut short" in caplog.text


def test_a_batch_logs_mistakes_and_errors_of_its_processes(tmp_path):
    """In a process that has no log yet, as Dask's workers."""
    (tmp_path / "a.png").write_bytes(b"no image")
    write_image(tmp_path / "b.png", np.zeros((20, 20, 3), np.uint8))
    code = (
        "import sys; from napari_leafseg.pipelines.batch import image_task as place\n"
        "from napari_leafseg.pipelines.engine import _finish_work\n"
        "from napari_leafseg.pipelines.batch.config import BatchSettings\n"
        "place.get_predictor = lambda *a: [][1]\n"
        "for name in 'ab':\n"
        "    task = place.Task(f'{sys.argv[1]}/{name}.png', name)\n"
        "    work = lambda task: place.process_image(task, sys.argv[1], BatchSettings(device='cpu'), 'digest')\n"
        "    try:\n"
        "        _finish_work(work, task)\n"
        "    except place.InputFileError:\n"
        "        pass\n"
    )
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code, tmp_path], env=environment, capture_output=True, timeout=120)
    assert b"IndexError" in run.stderr  # goes on to whoever asked
    text = (tmp_path / "napari-leafseg" / "log" / "napari-leafseg.log").read_text()
    assert "[batch " in text
    assert "InputFileError" in text
    assert "a.png" in text
    assert text.count("Traceback") == 1
    assert "IndexError" in text


def test_a_training_that_cannot_be_saved_is_told(tmp_path, monkeypatch):
    from napari_leafseg.training import loop

    def full(config, output, device):
        yield loop.TrainingEvent("unsaved", 1, config.steps, message=str(UserError("Cannot write: the disk is full.")))

    monkeypatch.setattr(loop, "train", full)
    (tmp_path / "x.yaml").write_text("{}")
    arguments = ["train", str(tmp_path / "x.yaml"), "--output", str(tmp_path), "--device", "cpu"]
    result = CliRunner().invoke(cli.app, arguments)
    assert "Error: Cannot write: the disk is full." in result.output
