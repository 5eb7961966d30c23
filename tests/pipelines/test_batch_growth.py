"""An experiment's tables: which plant and day a row is of, and leaves followed plant by plant."""

from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from napari_leafseg.errors import UserError
from napari_leafseg.experiment import Experiment
from napari_leafseg.experiment.gather import as_table, gather
from napari_leafseg.io import write_image
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.growth import follow
from napari_leafseg.pipelines.batch.run import run_batch
from napari_leafseg.synthetic import SceneConfig, growth_series, synthesize
from napari_leafseg.traits import measure
from tests.pipelines.test_measure import CONFIG, DAYS, measured

SETTINGS = BatchSettings(model="leaf-small", device="cpu", tta="fast", values={"angle": 50.0}, px_per_mm=4.0, threads=1)
SCENE = SceneConfig(size=(96, 112), diameter=(60, 85), border=0.0, blank=0.0)
NAMES = [f"2019-10-{day}-11-05_{plant}" for day in (22, 24) for plant in (11, 17)]


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        seed = 400 + (name.endswith("17"))
        write_image(tmp_path / "plants" / f"{name}.png", synthesize(seed, SCENE).image)
    return tmp_path / "plants"


def tables(out):
    return {path.stem: pd.read_csv(path) for path in out.glob("*.csv") if path.stat().st_size > 2}


def test_every_table_says_which_plant_and_day(folder, tmp_path):
    out = tmp_path / "out"
    list(run_batch([folder], out, SETTINGS, workers=0))
    found = tables(out)
    for name in ("leaves", "plants", "growth", "images"):
        assert set(found[name]["plant_id"]) == {11, 17}
        assert found[name]["date"].str.startswith("2019-10-2").all()
    assert found["images"]["day"].tolist() == [0, 0, 2, 2]
    growth, leaves = found["growth"], found["leaves"]
    assert sorted(growth["time"].unique()) == [0, 2]
    assert (growth.groupby("track")["plant_id"].nunique() == 1).all()
    both = leaves.merge(growth[["image", "leaf", "track"]], on=["image", "leaf"], suffixes=("", "_there"))
    assert len(both) == len(leaves)
    assert (both["track"] == both["track_there"]).all()
    # the same image again: each of its leaves is one of those before
    assert growth["track"].nunique() == len(growth) / 2


def test_other_names_need_no_new_segmentation(folder, tmp_path):
    out = tmp_path / "out"
    list(run_batch([folder], out, SETTINGS, workers=0))
    (tmp_path / "t.csv").write_text("plant;genotype\n11;wt\n17;ko\n18;ko\n")
    known = partial(gather, pattern="{date}_{plant}", table=tmp_path / "t.csv")
    events = list(run_batch([folder], out, SETTINGS, workers=0, known=known))
    assert all(event.skipped for event in events if event.result is not None)
    assert [event.note for event in events if event.note] == ["1 row of t.csv names no plant that is here: 18."]
    assert tables(out)["growth"].groupby("plant_id")["genotype"].first().tolist() == ["wt", "ko"]
    list(run_batch([folder], out, SETTINGS, workers=0, known=lambda _paths: (Experiment(""), [])))
    assert "plant_id" not in tables(out)["leaves"]
    assert not (out / "growth.csv").exists()


def test_a_table_that_cannot_be_used_costs_no_work(folder, tmp_path):
    (tmp_path / "t.csv").write_text("image,genotype\nx.png,wt\n")
    for said, options in (("Mend the names", {"table": tmp_path / "t.csv"}),
                          ("fits none of 4 names", {"pattern": "day{day}"})):  # fmt: skip
        with pytest.raises(UserError, match=said):
            list(run_batch([folder], tmp_path / "out", SETTINGS, workers=0, known=partial(gather, **options)))
    assert not (tmp_path / "out" / "parts").exists()


@pytest.mark.parametrize("px_per_mm", [None, 3.0])
def test_leaves_are_followed_as_in_the_window(px_per_mm):
    plants = {11: growth_series(300, len(DAYS), CONFIG), 17: growth_series(301, len(DAYS), CONFIG)}
    paths = [Path(f"/data/2019-10-{day}-11-05_{plant}.jpg") for day in DAYS for plant in plants]
    labels = [plants[plant][number].labels for number in range(len(DAYS)) for plant in plants]
    parts = [(path.stem, measure(plane, px_per_mm=px_per_mm)) for path, plane in zip(paths, labels, strict=True)]
    leaves, tables = (pd.concat([getattr(item, kind).assign(image=name) for name, item in parts], ignore_index=True)
                      for kind in ("leaves", "plants"))  # fmt: skip
    described = Experiment().describe(paths)
    known = {path.stem: described[path] for path in paths}
    found = follow(leaves, tables, known, dict.fromkeys(known, px_per_mm))
    window = measured(labels, paths)
    key = window.leaves.assign(image=window.leaves["image"].str.removesuffix(".jpg")).set_index(["image", "leaf"])
    ours = found.leaves.set_index(["image", "leaf"])
    assert ours["track"].to_dict() == key["track"].to_dict()
    assert ours["day"].to_dict() == key["day"].to_dict()
    assert found.growth["relative_growth_rate"].tolist() == pytest.approx(
        window.growth["relative_growth_rate"].tolist(), nan_ok=True
    )


def test_images_that_are_merely_beside_each_other_are_not_followed():
    parts = [(f"IMG_{number}", measure(growth_series(300, 1, CONFIG)[0].labels)) for number in range(2)]
    leaves, plants = (pd.concat([getattr(item, kind).assign(image=name) for name, item in parts], ignore_index=True)
                      for kind in ("leaves", "plants"))  # fmt: skip
    paths = {name: Path(f"{name}.jpg") for name, _ in parts}
    taken = {path: {"time": f"2021-05-0{day}T00:00:00"} for day, path in enumerate(paths.values(), 1)}
    described = Experiment("", {}, taken).describe(list(paths.values()))
    found = follow(leaves, plants, {name: described[path] for name, path in paths.items()}, {})
    assert len(found.growth) == 0
    assert "track" not in found.leaves


def test_what_is_known_is_a_table_to_be_completed(tmp_path):
    paths = [Path(f"{name}.png") for name in NAMES]
    experiment, notes = gather(paths)
    table = as_table(experiment.describe(paths))
    assert (notes, list(table.columns)) == ([], ["image", "plant_id", "date"])
    table.assign(genotype=["wt", "ko"] * 2).to_csv(tmp_path / "t.csv", index=False)
    again, notes = gather(paths, "", tmp_path / "t.csv")
    assert notes == []
    assert [known.metadata.columns() for known in again.describe(paths).values()] == [
        {**known.metadata.columns(), "genotype": genotype}
        for known, genotype in zip(experiment.describe(paths).values(), ["wt", "ko"] * 2, strict=True)
    ]
