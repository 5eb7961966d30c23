"""What is known of each pot of a tray: from a table, in every table that is written, and by group."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest

from napari_leafseg.experiment import Experiment
from napari_leafseg.experiment.gather import gather
from napari_leafseg.experiment.growth import group_curves
from napari_leafseg.experiment.positions import Setup
from napari_leafseg.experiment.tray import Tray
from napari_leafseg.io import read_labels, write_image
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.correcting import make_project, update_experiment
from napari_leafseg.pipelines.batch.run import run_batch
from napari_leafseg.pipelines.measure import Frame, measure_job
from napari_leafseg.project.measurement_settings import ImageMeasurementSettings
from napari_leafseg.synthetic import SceneConfig, synthesize

SETTINGS = BatchSettings(model="leaf-small", device="cpu", tta="fast", threads=1, px_per_mm=4.0)
SCENE = SceneConfig(size=(96, 112), diameter=(60, 85), border=0.0, blank=0.0)
TRAY = Tray(1, 2)
GENOTYPES = {"A1": "wt", "A2": "ko"}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A tray of two genotypes on three days, measured with a table of its pots."""
    folder = tmp_path_factory.mktemp("pots")
    for day in (1, 2, 3):
        pots = np.concatenate([synthesize(400 + pot, SCENE).image for pot in (0, 1)], 1)
        write_image(folder / "plants" / f"tray_2026-05-0{day}.png", pots)
    (folder / "pots.csv").write_text("pot;genotype;batch\na1;wt;x\nA2;ko;y\nB7;ko;y\n")
    known = partial(gather, table=folder / "pots.csv", pots=["A1", "A2"])
    events = list(run_batch([folder / "plants"], folder / "out", SETTINGS, workers=0, known=known, setups=TRAY))
    return folder, [event.note for event in events if event.note]


def table(folder, name):
    return pd.read_csv(folder / "out" / f"{name}.csv")


def test_each_pot_has_its_genotype_in_every_table(done):
    folder, notes = done
    for name in ("leaves", "plants", "growth", "tracks"):
        found = table(folder, name)
        assert found.groupby("pot")["genotype"].agg(["first", "nunique"]).to_numpy().tolist() == [["wt", 1], ["ko", 1]]
        assert set(found["batch"]) == {"x", "y"}
    assert "1 row of pots.csv names no pot that is here: B7." in notes


def test_every_trait_is_compared_by_group_in_table_and_report(done):
    folder, _ = done
    groups, leaves = table(folder, "groups"), table(folder, "leaves")
    assert {"area_mm2", "leaves", "length_mm", "diameter_mm", "mean_hue", "green_area_mm2"} <= set(groups["trait"])
    first = leaves[(leaves["image"] == "tray_2026-05-01") & (leaves["genotype"] == "ko")]
    own = groups[(groups["group"] == "ko") & (groups["time"] == 0) & (groups["trait"] == "length_mm")]
    assert own["mean"].tolist() == pytest.approx([first["length_mm"].mean()])
    assert own["plants"].tolist() == [1]
    page = (folder / "out" / "report.html").read_text()
    further = page[page.index('<details id="further">') : page.index('<div id="plants">')]
    assert all(f"<figcaption>{title}</figcaption>" in further for title in ("Length (mm)", "Diameter (mm)", "Mean hue"))
    assert "wt, day 0" in further
    names = page[page.index('"growth": ') :] if '"growth": ' in page else page
    assert "A1" in names
    assert "A2" in names


def test_it_goes_with_the_project_and_holds_when_the_batch_goes_on(done):
    folder, _ = done
    before = table(folder, "growth")
    list(run_batch([folder / "plants"], folder / "out", SETTINGS, workers=0))
    pd.testing.assert_frame_equal(table(folder, "growth"), before)
    list(make_project(folder / "out"))
    kept = folder / "out" / "project" / "experiment.json"
    content = json.loads(kept.read_text())
    assert content["pots"]["A2"]["genotype"] == "ko"
    content["pots"]["A2"]["genotype"] = "ko2"
    kept.write_text(json.dumps(content))
    list(update_experiment(folder / "out", workers=0))
    assert set(table(folder, "growth")["genotype"]) == {"wt", "ko2"}


def test_the_window_says_the_same_and_groups_are_of_pots(done):
    folder, _ = done
    paths = sorted((folder / "plants").glob("*.png"))
    experiment = Experiment("tray_{date}", pots={name: {"genotype": said} for name, said in GENOTYPES.items()})
    known = experiment.describe(paths)
    frames = [
        Frame(path.stem, partial(read_labels, folder / "out" / "labels" / f"{path.stem}_label.tif"), lambda: None,
              path=path)
        for path in paths
    ]  # fmt: skip
    *_, last = measure_job(frames, ImageMeasurementSettings(), 4.0, known=known.__getitem__,
                           setup_of=lambda _frame: Setup(TRAY))  # fmt: skip
    measured = last.measured
    for found in (measured.leaves, measured.plants, measured.growth, measured.followed, measured.by_plant):
        said = found.groupby("pot")["genotype"].unique()
        assert {pot: list(names) for pot, names in said.items()} == {name: [of] for name, of in GENOTYPES.items()}
    groups = group_curves(measured.by_plant, "area_mm2")
    assert groups.groupby("group")["plants"].unique().map(list).to_dict() == {"wt": [1], "ko": [1]}


def test_two_pots_of_a_genotype_are_two_plants_of_a_group(done):
    by_plant = pd.DataFrame(
        {"series": 0, "frame": [0, 0, 1, 1], "time": [0.0, 0, 1, 1], "pot": ["A1", "A2"] * 2, "genotype": "wt",
         "leaves": [1, 3, 2, 4]}
    )  # fmt: skip
    groups = group_curves(by_plant, "leaves")
    assert groups["plants"].tolist() == [2, 2]
    assert groups["mean"].tolist() == [2.0, 3.0]
    assert groups["sd"].tolist() == pytest.approx([2**0.5, 2**0.5])
