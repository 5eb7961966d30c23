"""What is measured of many images: plants followed apart, over dates."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from napari_leafseg.experiment import Experiment
from napari_leafseg.pipelines.measure import Frame, measure_job
from napari_leafseg.project.measurement_settings import ImageMeasurementSettings
from napari_leafseg.synthetic import SceneConfig, growth_series
from tests.conftest import discs

CONFIG = SceneConfig(size=(160, 160), diameter=(130, 140), border=0.0, blank=0.0, camera=False)
DAYS = (22, 23, 24, 25, 27)


def measured(labels, paths, notes=None, experiment=None):
    """Measure label images as the files of a list."""
    known = (experiment or Experiment()).describe(paths)
    frames = [
        Frame(path.name, partial(np.asarray, plane), lambda: None, path=path)
        for path, plane in zip(paths, labels, strict=True)
    ]
    *_, last = measure_job(frames, notes or ImageMeasurementSettings(), 2.0, known=known.__getitem__)
    return last.measured


@pytest.fixture(scope="module")
def two_plants():
    """Two plants on five days, in one folder, sorted by name."""
    plants = {11: growth_series(300, len(DAYS), CONFIG), 17: growth_series(301, len(DAYS), CONFIG)}
    paths = [Path(f"/data/2019-10-{day}-11-05_{plant}.jpg") for day in DAYS for plant in plants]
    scenes = [plants[plant][number] for number in range(len(DAYS)) for plant in plants]
    return scenes, paths, measured([scene.labels for scene in scenes], paths)


def test_two_plants_in_one_folder_are_two_growth_series_over_dates(two_plants):
    _, _, found = two_plants
    assert [(one.name, one.places) for one in found.grouping.series] == [
        ("11", (0, 2, 4, 6, 8)), ("17", (1, 3, 5, 7, 9))
    ]  # fmt: skip
    growth = found.growth
    assert sorted(growth["time"].unique()) == [0, 1, 2, 3, 5]
    assert growth.groupby("plant_id")["time"].nunique().tolist() == [5, 5]
    assert (growth.groupby("track")["plant_id"].nunique() == 1).all()
    assert (growth.groupby("plant_track")["plant_id"].nunique() == 1).all()
    assert growth["date"].iloc[0].startswith("2019-10-22")


def test_every_leaf_is_followed_as_if_its_plant_were_alone(two_plants):
    scenes, paths, found = two_plants
    alone = measured([scene.labels for scene in scenes[::2]], paths[::2])
    own = found.leaves[found.leaves["plant_id"] == "11"].reset_index(drop=True)
    assert own["track"].tolist() == alone.leaves["track"].tolist()
    assert own["day"].tolist() == alone.leaves["day"].tolist()


def test_tables_carry_what_is_known_and_are_in_order_of_time(two_plants):
    _, _, found = two_plants
    assert list(found.leaves.columns[:8]) == [
        "frame", "image", "plant_id", "date", "day", "track", "plant", "leaf"
    ]  # fmt: skip
    assert found.plants["plant_id"].tolist() == ["11"] * 5 + ["17"] * 5
    assert found.plants.groupby("plant_id")["day"].apply(list).tolist() == [[0, 1, 2, 3, 5]] * 2


def test_growth_rates_are_those_of_real_time():
    labels = [discs(radius=radius) for radius in (10, 12, 15)]
    paths = [Path(f"p_2021-05-{day}.png") for day in ("03", "01", "06")]  # in any order
    found = measured(labels, paths)
    first = found.growth[found.growth["track"] == 1]
    areas = [np.count_nonzero(discs(radius=radius) == 1) / 4 for radius in (12, 10, 15)]
    assert first["time"].tolist() == [0, 2, 5]
    assert first["area_mm2"].tolist() == pytest.approx(areas)
    assert first["absolute_growth_rate"].tolist()[1:] == pytest.approx(np.diff(areas) / [2, 3])
    assert first["relative_growth_rate"].tolist()[1:] == pytest.approx(np.diff(np.log(areas)) / [2, 3])


def test_corrections_of_tracks_hold_within_their_plant():
    labels = [discs(radius=radius) for radius in (10, 10, 11, 11)]
    paths = [Path(f"{plant}_d{day}.png") for day in (1, 2) for plant in "ab"]
    assert measured(labels, paths).leaves["track"].nunique() == 6
    cut = ImageMeasurementSettings(cuts=[((0, 2), (2, 2))])
    found = measured(labels, paths, cut).leaves
    assert found.groupby("plant_id")["track"].nunique().tolist() == [4, 3]


def test_without_names_that_say_something_all_is_as_it_was():
    labels = [discs(radius=radius) for radius in (10, 11, 12)]
    found = measured(labels, [Path(f"IMG_{number}.png") for number in range(3)])
    assert list(found.leaves.columns[:5]) == ["frame", "image", "track", "plant", "leaf"]
    assert found.growth["time"].unique().tolist() == [0, 1, 2]
    single = measured(labels[:1], [Path("plant3_d1.png")])
    assert list(single.leaves.columns[:4]) == ["plant_id", "day", "plant", "leaf"]
    assert single.leaves["plant_id"].tolist() == ["3"] * 3
