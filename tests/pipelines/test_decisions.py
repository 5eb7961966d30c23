"""What people decided in the window about tracks, plants and pots, in the tables that an experiment writes."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import tifffile
from typer.testing import CliRunner

from napari_leafseg.cli import app
from napari_leafseg.experiment import Experiment
from napari_leafseg.experiment.positions import Setup
from napari_leafseg.experiment.tray import Tray
from napari_leafseg.io import read_image, write_image
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.correcting import make_project, update_experiment
from napari_leafseg.pipelines.batch.run import run_batch
from napari_leafseg.pipelines.measure import Frame, measure_job
from napari_leafseg.project import Project
from napari_leafseg.project.decisions import remember_leaves
from napari_leafseg.project.measurement_settings import ImageMeasurementSettings, read_measurement_settings
from napari_leafseg.synthetic import SceneConfig, synthesize

SETTINGS = BatchSettings(model="leaf-small", device="cpu", tta="fast", px_per_mm=4.0, threads=1)
SCENE = SceneConfig(size=(96, 112), diameter=(60, 85), border=0.0, blank=0.0)
SAME = ["track", "plant", "leaf", "area_mm2", "azimuth_deg", "day"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two plants on two days, measured; a project in which they are corrected."""
    folder = tmp_path_factory.mktemp("decisions")
    for day in (1, 2):
        for plant in (0, 1):
            write_image(folder / "plants" / f"plant{plant}_2026-05-0{day}.png", synthesize(400 + plant, SCENE).image)
    list(run_batch([folder / "plants"], folder / "out", SETTINGS, workers=0))
    list(make_project(folder / "out"))
    return folder / "out"


@pytest.fixture
def experiment(made):
    """The same without any decision."""
    settings = read_measurement_settings(made / "project")
    settings.images.clear()
    settings.write(made / "project")
    return made


def in_the_window(place, notes, tray=None):
    """What *Measure* shows of all images, and the notes as it keeps them."""
    with Project.open(place / "project") as project:
        paths = [project.path_of(ref) for ref in project.images]
        ids = [ref.id for ref in project.images]
        labels = [project.read_labels(ref) for ref in project.images]
    known = Experiment("plant{plant}_{date:%Y-%m-%d}").describe(paths)
    frames = [
        Frame(name, partial(np.asarray, plane), lambda path=path: read_image(path).array, path=path)
        for name, plane, path in zip(ids, labels, paths, strict=True)
    ]
    notes = notes.of_frames([[name] for name in ids])
    *_, last = measure_job(frames, notes, 4.0, known=known.__getitem__, setup_of=lambda _frame: Setup(tray))
    return last.measured


def decide(place, change, tray=None):
    """Decide something in the window, and keep it in the project; returns what the window shows then."""
    notes = ImageMeasurementSettings()
    before = in_the_window(place, notes, tray)
    notes = notes.of_frames([[name] for name in before.leaves.groupby("frame")["image"].first().sort_index()])
    change(notes, before)
    remember_leaves(notes, before.places)
    settings = read_measurement_settings(place / "project")
    settings.images["*"] = notes
    settings.write(place / "project")
    return in_the_window(place, notes, tray)


def table(place, name):
    return pd.read_csv(place / f"{name}.csv", dtype={"name": str})


def assert_same(place, window):
    """The window's tables and the experiment's say the same."""
    for ours, theirs, columns, keys in (
        (table(place, "leaves"), window.leaves, SAME, ["image", "leaf"]),
        (table(place, "plants"), window.plants, ["plant", "name", "leaves", "area_mm2"], ["image", "plant"]),
    ):
        ours, theirs = (one.set_index(keys, drop=False).sort_index()[columns] for one in (ours, theirs))
        pd.testing.assert_frame_equal(ours, theirs, check_dtype=False, check_names=False)
    rates = ["track", "time", "age", "area_mm2", "relative_growth_rate"]
    ours, theirs = (one[rates].reset_index(drop=True) for one in (table(place, "growth"), window.growth))
    pd.testing.assert_frame_equal(ours, theirs, check_dtype=False)


def test_corrected_tracks_are_in_the_tables(experiment):
    automatic = table(experiment, "growth")["track"].nunique()

    def change(notes, before):
        own = before.leaves[before.leaves["frame"] == 0]["leaf"].tolist()
        notes.cuts.append(((0, own[0]), (1, own[0])))
        notes.links.append(((0, own[1]), (1, own[2])))

    window = decide(experiment, change)
    events = list(update_experiment(experiment, workers=0))
    assert_same(experiment, window)
    assert table(experiment, "growth")["track"].nunique() > automatic
    assert all(event.skipped for event in events if event.result is not None)
    joined = pd.read_csv(experiment / "tracks.csv")
    assert len(joined) == window.followed.shape[0]


def test_leaves_moved_to_another_plant_and_names_are_in_the_tables(experiment):
    def change(notes, before):
        leaf = int(before.leaves["leaf"].iloc[0])
        notes.plants[0] = {leaf: 2}
        notes.names |= {1: "Anna", 2: "Bert"}

    window = decide(experiment, change)
    list(update_experiment(experiment, workers=0))
    assert_same(experiment, window)
    plants = table(experiment, "plants")
    assert plants[plants["image"] == "plant0_2026-05-01"]["name"].tolist() == ["Anna", "Bert"]
    assert "name" in table(experiment, "leaves")


def test_leaves_moved_to_another_pot_are_in_the_tables(experiment):
    tray = Tray(rows=1, columns=2, corners=((0, 0), (0, 1), (1, 1), (1, 0)))
    first, second = (tray.name_of[pot] for pot in tray.pots)

    def change(notes, before):
        leaf = int(before.leaves[before.leaves["pot"] == first]["leaf"].iloc[0])
        notes.pots[0] = {leaf: second}
        notes.pots[1] = {int(before.leaves[before.leaves["frame"] == 1]["leaf"].iloc[0]): "gone"}

    window = decide(experiment, change, tray)
    events = list(run_batch([experiment.parent / "plants"], experiment, SETTINGS, workers=0, setups=tray))
    assert_same(experiment, window)
    told = [event.note for event in events if "which its tray has not" in event.note]
    assert told == ["Leaves of plant0_2026-05-02 were moved to gone, which its tray has not: not applied."]
    assert told[0] in window.notes


def test_tracks_of_images_that_show_no_plant_are_named(experiment):
    decide(experiment, lambda notes, _before: notes.links.append(((0, 1), (2, 1))))
    *_, last = [event.note for event in update_experiment(experiment, workers=0) if event.note]
    assert last.startswith("Tracks were corrected in plant0_2026-05-01, plant1_2026-05-01; nothing says")


def test_a_decision_that_fits_nothing_is_named(experiment):
    def change(notes, before):
        notes.links.append(((0, 1), (1, 60_000)))

    decide(experiment, change)
    said = CliRunner().invoke(app, ["update", str(experiment), "--workers", "0"])
    assert said.exit_code == 0, said.output
    plain = " ".join(said.output.split())
    assert "1 decision waits for a leaf that is not found: leaf 1 of plant0_2026-05-01 is leaf 60000 of" in plain


def test_decisions_are_found_again_in_labels_with_other_numbers(experiment):
    """A new run gives all leaves other numbers: what was decided follows them."""

    def change(notes, before):
        own = before.leaves[before.leaves["frame"] == 1]["leaf"].tolist()
        notes.links.append(((0, own[0]), (1, own[1])))

    window = decide(experiment, change)
    notes = read_measurement_settings(experiment / "project").images["*"]
    (_, (_, leaf)) = notes.links[0]
    with Project.open(experiment / "project") as project:
        assert project.images[1].id == "plant0_2026-05-02"
        ref = project.images[1]
        path = project.labels_path(ref)
        before = path.read_bytes()
        labels = project.read_labels(ref)
        tifffile.imwrite(path, np.where(labels > 0, labels.max() + 1 - labels, 0).astype(np.uint16))
    try:
        again = in_the_window(experiment, notes)
        assert again.decided.notes.links != notes.links
        shown = [one.leaves[one.leaves["frame"] != 1][["image", "leaf", "track"]] for one in (window, again)]
        pd.testing.assert_frame_equal(*shown)
        moved = again.leaves[again.leaves["frame"] == 1].set_index("leaf")["track"]
        was = window.leaves[window.leaves["frame"] == 1].set_index("leaf")["track"]
        assert moved.rename(index=lambda number: labels.max() + 1 - number).sort_index().tolist() == was.tolist()
        assert was[leaf] == moved[labels.max() + 1 - leaf]
    finally:
        path.write_bytes(before)
