"""A batch that goes on in a folder and is told less than the one before: what the experiment knows holds."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from napari_leafseg.cli import app
from napari_leafseg.experiment.gather import gather
from napari_leafseg.experiment.positions import Positions
from napari_leafseg.experiment.tray import Tray
from napari_leafseg.io import write_image
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.correcting import make_project, update_experiment
from napari_leafseg.pipelines.batch.run import run_batch
from napari_leafseg.project.measurement_settings import ImageMeasurementSettings, read_measurement_settings
from napari_leafseg.synthetic import SceneConfig, synthesize

SETTINGS = BatchSettings(model="leaf-small", device="cpu", tta="fast", threads=1)
SCENE = SceneConfig(size=(96, 112), diameter=(60, 85), border=0.0, blank=0.0)
TRAY = Tray(1, 2)


@pytest.fixture
def folder(tmp_path):
    """A tray with two plants, on two days, and a table of genotypes."""
    for day in (1, 2):
        pots = np.concatenate([synthesize(400 + pot, SCENE).image for pot in (0, 1)], 1)
        write_image(tmp_path / "plants" / f"tray_2026-05-0{day}.png", pots)
    (tmp_path / "t.csv").write_text("image,genotype\ntray_2026-05-01.png,wt\ntray_2026-05-02.png,wt\n")
    return tmp_path


def run(folder, settings=SETTINGS, **options):
    events = list(run_batch([folder / "plants"], folder / "out", settings, workers=0, **options))
    assert not [event.result["error"] for event in events if event.result and "error" in event.result]
    done = [event for event in events if event.result is not None]
    return [event.note for event in events if event.note], all(event.skipped for event in done)


def table(folder, name):
    return pd.read_csv(folder / "out" / f"{name}.csv")


def test_tray_table_and_scale_hold_when_they_are_left_out(folder):
    known = partial(gather, table=folder / "t.csv")
    scaled = SETTINGS.model_copy(update={"px_per_mm": 4.0})
    run(folder, scaled, known=known, setups=TRAY)
    before = {name: table(folder, name) for name in ("leaves", "plants", "growth", "tracks")}
    notes, skipped = run(folder)
    assert skipped
    for name, content in before.items():
        pd.testing.assert_frame_equal(table(folder, name), content)
    assert "The scale is as before, 4.0 px/mm (batch.json)." in notes
    assert "Plants and dates as before: what a table or a person says of 2 images (batch.json)." in notes
    assert any(note.startswith("Trays as before (batch.json).") and "--tray none" in note for note in notes)
    _, skipped = run(folder, setups=Positions())
    assert not skipped
    assert "pot" not in table(folder, "leaves")
    assert run(folder)[1]  # and it is known that there is none
    assert "pot" not in table(folder, "leaves")


def test_what_the_project_says_holds_in_the_next_batch(folder):
    run(folder, setups=TRAY)
    list(make_project(folder / "out"))
    kept = folder / "out" / "project" / "positions.json"
    content = json.loads(kept.read_text())
    for entry in content["images"].values():
        entry["tray"]["renamed"] = [[0, 0, "control"]]
    kept.write_text(json.dumps(content))
    notes, _ = run(folder)
    assert any("Trays as before (project/positions.json)" in note for note in notes)
    assert set(table(folder, "leaves")["pot"]) <= {"control", "A2"}


def test_other_settings_than_before_are_said(folder):
    run(folder)
    notes, skipped = run(folder, SETTINGS.model_copy(update={"values": {"angle": 40.0}}))
    assert not skipped
    assert "Other settings than before: values angle 40 (before: as the model has them)." in notes


def test_scales_typed_in_the_project_hold_in_update_and_batch(folder):
    run(folder, SETTINGS.model_copy(update={"px_per_mm": 4.0}))
    list(make_project(folder / "out"))
    in_pixels = {name: area * 16 for name, area in table(folder, "leaves").groupby("image")["area_mm2"].sum().items()}
    project = folder / "out" / "project"
    settings = read_measurement_settings(project)
    settings.px_per_mm = 5.0
    settings.images["tray_2026-05-02.png"] = ImageMeasurementSettings(px_per_mm=8.0)
    settings.write(project)
    events = list(update_experiment(folder / "out", workers=0))
    assert any("typed" in event.note for event in events)

    def scales():
        areas = table(folder, "leaves").groupby("image")["area_mm2"].sum()
        return [(in_pixels[name] / areas[name]) ** 0.5 for name in in_pixels]

    assert scales() == pytest.approx([5.0, 8.0], rel=1e-3)
    record = json.loads((folder / "out" / "labels" / "tray_2026-05-02_label.json").read_text())
    assert record["px_per_mm"] == 8.0
    assert record["scale_source"] == "a person, who typed it for this image"
    assert all(event.skipped for event in update_experiment(folder / "out", workers=0) if event.result is not None)
    _, skipped = run(folder)
    assert skipped
    notes, _ = run(folder, SETTINGS.model_copy(update={"px_per_mm": 10.0}))
    assert scales() == pytest.approx([10.0, 8.0], rel=1e-3)
    assert any("5.0 px/mm are typed" in note for note in notes)


def test_decisions_of_single_images_of_earlier_versions_are_in_the_tables(folder):
    run(folder)
    list(make_project(folder / "out"))
    project, leaf = folder / "out" / "project", int(table(folder, "leaves")["leaf"].iloc[0])
    settings = read_measurement_settings(project)
    settings.images["tray_2026-05-01.png"] = ImageMeasurementSettings(plants={0: {leaf: 7}}, names={7: "Anna"})
    settings.write(project)
    list(update_experiment(folder / "out", workers=0))
    leaves = table(folder, "leaves")
    moved = leaves[leaves["plant"] == 7]
    assert moved[["image", "leaf", "name"]].to_numpy().tolist() == [["tray_2026-05-01", leaf, "Anna"]]


@pytest.mark.slow
def test_from_the_command_line(folder):
    (folder / "tray.json").write_text(json.dumps(TRAY.as_dict()))
    command = ["batch", str(folder / "plants"), "--output", str(folder / "out"), "--model", "leaf-small", "--workers",
               "0", "--device", "cpu", "--tta", "fast"]  # fmt: skip
    runner = CliRunner()
    assert runner.invoke(app, [*command, "--tray", str(folder / "tray.json")]).exit_code == 0
    again = runner.invoke(app, command)
    assert again.exit_code == 0, again.output
    assert "as before" in again.output
    assert set(table(folder, "leaves")["pot"].dropna()) <= {"A1", "A2"}
    assert runner.invoke(app, [*command, "--tray", "none"]).exit_code == 0
    assert "pot" not in table(folder, "leaves")


def test_own_traits_and_limits_of_colors_of_the_project_are_in_the_tables(folder):
    run(folder)
    list(make_project(folder / "out"))
    (folder / "mine.py").write_text("def twice(mask, image):\n    return 2 * mask.sum()\n")
    settings = read_measurement_settings(folder / "out" / "project")
    settings.traits, settings.color_limits = (f"{folder / 'mine.py'}:twice",), (0.0, 0.0, 360.0, 0.0, 0.0)
    settings.write(folder / "out" / "project")
    list(update_experiment(folder / "out", workers=0))
    leaves = table(folder, "leaves")
    assert leaves["twice"].tolist() == (2 * leaves["area_px2"]).tolist()
    assert leaves["green_area_px2"].tolist() == leaves["area_px2"].tolist()
    assert run(folder)[1]
    settings.traits, settings.color_limits = (), (0.0, 360.0, 360.0, 0.0, 0.0)
    settings.write(folder / "out" / "project")
    list(update_experiment(folder / "out", workers=0))
    leaves = table(folder, "leaves")
    assert "twice" not in leaves, "what was taken out of Measure again"
    assert leaves["yellow_area_px2"].tolist() == leaves["area_px2"].tolist()
    assert run(folder)[1]
    command = ["batch", str(folder / "plants"), "--output", str(folder / "x"), "--color-limits", "70,65"]
    assert "where yellow and green begin" in str(CliRunner().invoke(app, command).exception)
