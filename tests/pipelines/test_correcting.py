"""Experiments whose labels are corrected in a project, and measured again where they were."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from napari_leafseg.cli import app
from napari_leafseg.editing.edit import difference
from napari_leafseg.errors import UserError
from napari_leafseg.io import read_labels, write_image
from napari_leafseg.pipelines.batch import run as running
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.correcting import experiment_of, make_project, read_about, update_experiment
from napari_leafseg.pipelines.batch.rerun import read_records
from napari_leafseg.pipelines.batch.rerun import rerun as rerun_record
from napari_leafseg.pipelines.batch.run import run_batch
from napari_leafseg.project import Project
from napari_leafseg.project.background import mark_reviewed
from napari_leafseg.synthetic import SceneConfig, synthesize
from tests.again import Again

SETTINGS = BatchSettings(model="leaf-small", device="cpu", tta="fast", px_per_mm=4.0, threads=1)
SCENE = SceneConfig(size=(96, 112), diameter=(60, 85), border=0.0, blank=0.0)


def measured(folder):
    for seed in range(3):
        write_image(
            folder / "plants" / f"plant{seed % 2}_2026-05-0{seed // 2 + 1}.png", synthesize(400 + seed, SCENE).image
        )
    list(run_batch([folder / "plants"], folder / "out", SETTINGS, workers=0))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Again(tmp_path_factory.mktemp("experiment"), measured)


@pytest.fixture
def experiment(made):
    """Three images of two days, measured."""
    return made.folder() / "out"


@pytest.fixture
def done(monkeypatch):
    """The names of images that are measured from now on."""
    names, original = [], running.process_image
    monkeypatch.setattr(
        running, "process_image", lambda task, **rest: names.append(task.name) or original(task, **rest)
    )
    return names


def project_of(experiment):
    list(make_project(experiment))
    return experiment / "project"


def remove_a_leaf(folder, name):
    """Take the first leaf of an image away, as a person does; returns its number."""
    with Project.open(folder) as project:
        ref = project.ref(name)
        with project.opened_document(ref, project.read_labels(ref).shape) as document:
            leaf = document.leaves()[0]
            document.commit(
                difference(document.labels, None, np.where(document.labels == leaf, 0, document.labels), "remove")
            )
            ref.state = "in progress"
            project.save(ref, document)
        project.save_list()
    return leaf


def test_the_project_has_the_images_labels_and_settings_of_the_experiment(experiment):
    folder = project_of(experiment)
    assert experiment_of(folder) == experiment
    with Project.open(folder) as project:
        assert [ref.state for ref in project.images] == ["new"] * 3
        for ref in project.images:
            assert np.array_equal(project.read_labels(ref), read_labels(experiment / "labels" / f"{ref.id}_label.tif"))
            assert json.loads(project.record_path(ref).read_text())["model"]["name"] == "leaf-small"
    assert json.loads((folder / "measure.json").read_text())["px_per_mm"] == 4.0
    assert json.loads((folder / "experiment.json").read_text())["pattern"] == "plant{plant}_{date:%Y-%m-%d}"


def test_only_what_was_corrected_is_measured_again(experiment, done):
    folder, name = project_of(experiment), "plant1_2026-05-01"
    before = pd.read_csv(experiment / "leaves.csv")
    list(update_experiment(experiment, workers=0))
    assert done == []
    leaf = remove_a_leaf(folder, name)
    *_, last = update_experiment(experiment, workers=0)
    assert done == [name]
    assert last.report == experiment / "report.html"
    after = pd.read_csv(experiment / "leaves.csv")
    gone = (before["image"] == name) & (before["leaf"] == leaf)
    assert gone.sum() == 1
    kept = before[~gone].reset_index(drop=True)
    assert after[["image", "leaf", "area_mm2", "confidence"]].equals(kept[["image", "leaf", "area_mm2", "confidence"]])
    assert leaf not in read_labels(experiment / "labels" / f"{name}_label.tif")
    list(update_experiment(experiment, workers=0))
    assert done == [name]


def test_verified_leaves_are_told_and_have_no_confidence_of_a_model(experiment):
    folder, name = project_of(experiment), "plant0_2026-05-01"
    with Project.open(folder) as project:
        assert mark_reviewed(project, project.ref(name))
    list(update_experiment(experiment, workers=0))
    leaves = pd.read_csv(experiment / "leaves.csv")
    own = leaves["image"] == name
    assert leaves.loc[own, "verified"].all()
    assert leaves.loc[own, "confidence"].isna().all()
    assert not leaves.loc[~own, "verified"].any()
    assert leaves.loc[~own, "confidence"].between(0, 1).all()
    record = json.loads((experiment / "labels" / f"{name}_label.json").read_text())
    assert record["corrections"]["project"] == str(folder)
    assert record["corrections"]["reviewed"] is True


def test_a_record_of_corrected_labels_gives_what_the_model_found_and_says_so(experiment):
    name = "plant1_2026-05-01"
    found = read_labels(experiment / "labels" / f"{name}_label.tif")
    remove_a_leaf(project_of(experiment), name)
    list(update_experiment(experiment, workers=0))
    (record,) = read_records(experiment / "labels" / f"{name}_label.json")
    again = rerun_record(record)
    assert again.same is None
    assert np.array_equal(again.labels, found)
    assert "corrected in" in again.differs[0]


def test_a_batch_that_goes_on_keeps_what_was_corrected(experiment, done):
    name = "plant1_2026-05-01"
    remove_a_leaf(project_of(experiment), name)
    images = experiment.parent / "plants"
    events = list(run_batch([images], experiment, SETTINGS, workers=0))
    assert done == [name]
    assert any("1 image measured as corrected or reviewed" in event.note for event in events)
    other = SETTINGS.model_copy(update={"values": {"angle": 30.0}})
    list(run_batch([images], experiment, other, workers=0))
    record = json.loads((experiment / "labels" / f"{name}_label.json").read_text())
    assert "corrections" in record


def test_what_is_not_corrected_follows_the_experiment(experiment):
    folder, name = project_of(experiment), "plant0_2026-05-01"
    leaf = remove_a_leaf(folder, "plant1_2026-05-01")
    other = SETTINGS.model_copy(update={"values": {"min_area_working": 400.0}})
    list(run_batch([experiment.parent / "plants"], experiment, other, workers=0))
    project_of(experiment)
    with Project.open(folder) as project:
        assert leaf not in project.read_labels(project.ref("plant1_2026-05-01"))
        fresh = read_labels(experiment / "labels" / f"{name}_label.tif")
        assert np.array_equal(project.read_labels(project.ref(name)), fresh)


def test_steps_that_are_newer_than_the_labels_count(experiment):
    """As after a killed window: the journal has the step, the label image does not."""
    folder, name = project_of(experiment), "plant1_2026-05-01"
    path = folder / "labels" / f"{name}.tif"
    before = path.read_bytes()
    leaf = remove_a_leaf(folder, name)
    path.write_bytes(before)
    list(update_experiment(experiment, workers=0))
    assert leaf not in read_labels(experiment / "labels" / f"{name}_label.tif")


def test_the_project_may_be_open_meanwhile(experiment):
    folder, name = project_of(experiment), "plant1_2026-05-01"
    leaf = remove_a_leaf(folder, name)
    with Project.open(folder):
        list(update_experiment(experiment, workers=0))
    assert leaf not in read_labels(experiment / "labels" / f"{name}_label.tif")


def test_another_model_is_refused(experiment):
    about = json.loads((experiment / "batch.json").read_text())
    (experiment / "batch.json").write_text(json.dumps(about | {"digest": "0" * 16}))
    with pytest.raises(UserError, match="another one than when out was measured"):
        list(update_experiment(experiment, workers=0))


@pytest.mark.parametrize("text", ["{", "[1]", '{"images": 5}', '{"format": 99}'])
def test_tables_are_not_written_without_plants_and_dates_that_cannot_be_read(experiment, text):
    before = (experiment / "plants.csv").read_bytes()
    (project_of(experiment) / "experiment.json").write_text(text)
    with pytest.raises(UserError, match=r"experiment\.json"):
        list(update_experiment(experiment, workers=0))
    assert (experiment / "plants.csv").read_bytes() == before


def test_an_image_with_a_damaged_record_is_named_in_words(experiment, caplog):
    (experiment / "labels" / "plant1_2026-05-01_label.json").write_text('{"image": 5}')
    list(make_project(experiment))
    assert "plant1_2026-05-01 is left out of the project" in caplog.text
    assert "(it is not laid out as it should be)" in caplog.text


def test_a_folder_without_an_experiment_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no measured experiment"):
        list(make_project(tmp_path))


def test_from_the_command_line(experiment):
    run = CliRunner()
    made = run.invoke(app, ["correct", str(experiment)])
    assert made.exit_code == 0, made.output
    assert str(experiment / "project") in made.output.replace("\n", "")
    leaf = remove_a_leaf(experiment / "project", "plant1_2026-05-01")
    done = run.invoke(app, ["update", str(experiment)])
    assert done.exit_code == 0, done.output
    assert "1 image measured again" in done.output
    assert leaf not in read_labels(experiment / "labels" / "plant1_2026-05-01_label.tif")


def tables_of(place):
    return {path.name: path.read_text() for path in sorted(place.glob("*.csv"))}


@pytest.mark.parametrize("harm", ["nothing", "gone", "damaged", "exchanged"])
def test_joined_tables_are_what_each_images_table_says(experiment, harm):
    list(update_experiment(experiment, workers=0))
    before, joined = tables_of(experiment), experiment / "parts" / "joined"
    assert {path.name for path in joined.iterdir()} >= {"leaves.parquet", "leaves.json", "tracks.parquet"}
    for path in list(joined.iterdir()):
        if harm == "gone":
            path.unlink()
        elif harm == "damaged":
            path.write_bytes(path.read_bytes()[:50])
        elif harm == "exchanged" and path.suffix == ".parquet":
            pd.read_parquet(path).iloc[:1].to_parquet(path, index=False)
    list(update_experiment(experiment, workers=0))
    assert tables_of(experiment) == before


def test_tables_in_another_form(experiment, tmp_path):
    run = CliRunner()
    told = run.invoke(app, ["tables", str(experiment), "--output", str(tmp_path / "excel"), "--file", "xlsx"])
    assert told.exit_code == 0, told.output
    sheets = pd.read_excel(tmp_path / "excel" / "out.xlsx", sheet_name=None)
    assert {"leaves", "plants", "growth", "images", "data_dictionary"} <= set(sheets)
    assert len(sheets["leaves"]) == len(pd.read_csv(experiment / "leaves.csv"))
    where = str(tmp_path / "long")
    told = run.invoke(app, ["tables", str(experiment), "--output", where, "--form", "long", "--decimal-comma"])
    assert told.exit_code == 0, told.output
    long = pd.read_csv(tmp_path / "long" / "leaves.csv", sep=";", decimal=",")
    areas = long[long["trait"] == "area"].set_index(["image", "leaf"])["value"].sort_index()
    wide = pd.read_csv(experiment / "leaves.csv").set_index(["image", "leaf"])["area_mm2"].sort_index()
    assert np.allclose(areas, wide)
    before = tables_of(experiment)
    for place in (experiment, experiment.parent):
        with pytest.raises(UserError):
            run.invoke(app, ["tables", str(place), "--output", str(experiment)], catch_exceptions=False)
    assert tables_of(experiment) == before


def seen(events):
    """The images of a run: whether each was taken as corrected, or why it was not done."""
    results = [event.result for event in events if event.result is not None]
    return {item["name"]: item.get("error", "correction" in item) for item in results}


NAME = "plant0_2026-05-01"
ONE_CORRECTED = {NAME: True, "plant0_2026-05-02": False, "plant1_2026-05-01": False}


@pytest.mark.parametrize("moved", ["experiment", "images", "both", "link"])
def test_what_was_corrected_counts_where_the_experiment_or_its_images_were_moved(experiment, moved):
    root, before = experiment.parent, len(pd.read_csv(experiment / "leaves.csv"))
    remove_a_leaf(project_of(experiment), NAME)
    place = experiment
    if moved == "experiment":
        (root / "kept").mkdir()
        place = experiment.rename(root / "kept" / "trial")
    elif moved == "images":
        (root / "plants").rename(root / "photos")
        with Project.open(experiment / "project") as project:
            project.relink(root / "photos")
    elif moved == "both":
        (root / "new").mkdir()
        (root / "plants").rename(root / "new" / "plants")
        place = experiment.rename(root / "new" / "out")
    else:
        (root / "a" / "b").mkdir(parents=True)
        place = root / "a" / "b" / "link"
        place.symlink_to(experiment)
    assert seen(update_experiment(place, workers=0)) == ONE_CORRECTED
    leaves = pd.read_csv(place / "leaves.csv")
    assert len(leaves) == before - 1
    assert set(leaves["plant_id"]) == {0, 1}
    list(make_project(place))
    with Project.open(place / "project") as project:
        assert [ref.state for ref in project.images] == ["in progress", "new", "new"]


def test_images_that_are_gone_keep_what_was_measured(experiment):
    before = (experiment / "leaves.csv").read_text()
    for path in (experiment.parent / "plants").iterdir():
        path.unlink()
    assert set(seen(update_experiment(experiment, workers=0)).values()) == {False}
    assert (experiment / "leaves.csv").read_text() == before


def test_tables_and_report_tell_which_images_were_corrected(experiment):
    assert "corrected" not in pd.read_csv(experiment / "images.csv")
    remove_a_leaf(project_of(experiment), NAME)
    list(update_experiment(experiment, workers=0))
    images = pd.read_csv(experiment / "images.csv", keep_default_na=False)
    assert images.set_index("name")["corrected"].to_dict() == {
        name: "corrected" * one for name, one in ONE_CORRECTED.items()
    }
    page = (experiment / "report.html").read_text()
    assert "corrected or reviewed" in page
    assert '"title": "Corrected"' in page


def test_an_image_that_was_exchanged_is_not_measured_with_the_old_leaves(experiment):
    remove_a_leaf(project_of(experiment), NAME)
    write_image(experiment.parent / "plants" / f"{NAME}.png", synthesize(700, SCENE).image)
    found = seen(update_experiment(experiment, workers=0))
    assert "another image than the one whose leaves were corrected" in found.pop(NAME)
    assert set(found.values()) == {False}


def test_a_trait_that_changed_is_named(experiment, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def spots(mask, image):\n    return 1")
    settings = BatchSettings(**{**SETTINGS.model_dump(), "traits": (f"{file}:spots",)})
    list(run_batch([experiment.parent / "plants"], experiment, settings, workers=0))
    file.write_text("def spots(mask, image):\n    return 2")
    with pytest.raises(UserError, match="A trait of yours is another one"):
        list(update_experiment(experiment))


def test_an_experiment_of_which_nothing_was_done_is_brought_up_to_date(tmp_path):
    (tmp_path / "plants").mkdir()
    file = tmp_path / "plants" / "one.png"
    file.write_bytes(b"no image")
    list(run_batch([tmp_path / "plants"], tmp_path / "out", SETTINGS, workers=0))
    with pytest.raises(UserError, match=r"no image that was done; errors\.csv says why"):
        list(make_project(tmp_path / "out"))
    write_image(file, synthesize(400, SCENE).image)
    assert seen(update_experiment(tmp_path / "out", workers=0)) == {"one": False}


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"files": 5}, "“files” must be a list of names and values, not “5”"),
        ({"files": {"day01": 5}}, "“files.day01” must be a text, not “5”"),
        ({"known": {"day01": 5}}, "“known.day01” must be a list of names and values, not “5”"),
        ({"known": {"day01": {"dreamed": {}}}}, "“known.day01.dreamed” is not known"),
        ({"setups": {"day01": 5}}, "“setups.day01” must be a list of names and values, not “5”"),
        ({"place": 5}, "“place” must be a text, not “5”"),
        ({"pattern": 5}, "“pattern” must be a text, not “5”"),
        ({"model": 5}, "“model” must be a list of names and values, not “5”"),
        ({"settings": {"threads": "many"}}, "“settings.threads” must be a whole number, not “many”"),
    ],
)
def test_what_is_wrong_in_batch_json_is_named(tmp_path, entries, words):
    (tmp_path / "batch.json").write_text(json.dumps({"settings": {}} | entries))
    with pytest.raises(UserError) as caught:
        read_about(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'batch.json'} cannot be used ({words}). Run the batch again."


@pytest.mark.parametrize(
    ("text", "words"), [("5", "it must be a list of names and values, not “5”"), ("{}", "“settings” is missing")]
)
def test_a_batch_json_of_another_kind_is_told_in_words(tmp_path, text, words):
    (tmp_path / "batch.json").write_text(text)
    with pytest.raises(UserError) as caught:
        read_about(tmp_path)
    assert words in str(caught.value)
