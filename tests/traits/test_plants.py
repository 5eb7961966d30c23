"""Leaves gathered into plants, rosette centers, whole plants, units."""

import numpy as np
import pytest

from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.traits import gather_leaves, measure, measure_plants, rosette_center, trace_leaves
from tests.conftest import discs


def test_leaves_near_each_other_are_one_plant_numbered_as_one_reads():
    labels = discs(centers=((20, 110), (20, 124), (24, 20), (80, 30), (84, 44)), radius=6, size=140)
    plants = gather_leaves(labels)
    assert plants == {1: 2, 2: 2, 3: 1, 4: 3, 5: 3}
    assert len(set(gather_leaves(labels, gap=1).values())) == 5
    assert set(gather_leaves(labels, gap=300).values()) == {1}
    assert gather_leaves(labels, plant_overrides={5: 7, 99: 1})[5] == 7
    assert gather_leaves(labels * 0) == {}


@pytest.mark.parametrize("seed", [2, 5, 7])
def test_plants_of_a_synthetic_tray(seed):
    config = SceneConfig(
        size=(480, 640), diameter=(110, 150), plants=(6, 6), border=0.0, blank=0.0, habit="rosette", camera=False
    )
    scene = synthesize(seed, config)
    plants = gather_leaves(scene.labels)
    truth = {leaf: int(np.bincount(scene.plants[scene.labels == leaf]).argmax()) for leaf in plants}
    together = [(a, b) for a in plants for b in plants if a < b]
    same = [(plants[a] == plants[b]) == (truth[a] == truth[b]) for a, b in together]
    assert np.mean(same) > 0.97


def test_the_center_of_a_rosette_is_where_its_leaves_point_from():
    errors = []
    for seed in range(12):
        config = SceneConfig(size=(300, 300), diameter=(220, 260), border=0.0, blank=0.0, habit="rosette", camera=False)
        labels = synthesize(seed, config).labels.astype(np.int32)
        leaves = [int(leaf) for leaf in np.unique(labels) if leaf]
        y, x = rosette_center(labels, leaves, trace_leaves(labels))
        drawn = np.array(np.nonzero(labels)).mean(1)
        errors.append(min(np.hypot(y - drawn[0], x - drawn[1]), 99))
    assert np.median(errors) < 20


def test_the_center_of_three_strips_is_where_they_meet():
    labels = np.zeros((101, 101), np.int32)
    for leaf, turn in enumerate((0.3, 2.2, 4.0), start=1):
        along = np.linspace(12, 45, 200)
        for aside in np.linspace(-4, 4, 30):
            y = 50 + along * np.sin(turn) + aside * np.cos(turn)
            x = 50 + along * np.cos(turn) - aside * np.sin(turn)
            labels[y.astype(int), x.astype(int)] = leaf
    assert rosette_center(labels, [1, 2, 3], trace_leaves(labels)) == pytest.approx((50, 50), abs=1.5)


def test_measurements_of_a_plant():
    labels = np.zeros((60, 80), np.int32)
    labels[10:30, 10:40] = 3
    labels[10:30, 40:60] = 8
    labels[30:40, 10:20] = 9
    table = measure_plants(labels, {3: 1, 8: 1, 9: 1}, {1: (20.0, 30.0)}, {1: "A1"})
    row = table.iloc[0]
    assert (row["plant"], row["name"], row["leaves"]) == (1, "A1", 3)
    assert row["area_px2"] == 600 + 400 + 100
    assert row["hull_area_px2"] == pytest.approx(20 * 50 + (10 + 50) / 2 * 10, rel=0.12)
    assert row["compactness"] == pytest.approx(row["area_px2"] / row["hull_area_px2"])
    assert row["diameter_px"] == pytest.approx(np.hypot(30, 50))


def test_millimeters():
    labels = discs(centers=((40, 40),), radius=20, size=80)
    pixels, metric = measure(labels), measure(labels, px_per_mm=4.0, names={1: "pot 7"})
    assert metric.leaves.loc[0, "area_mm2"] == pytest.approx(pixels.leaves.loc[0, "area_px2"] / 16)
    assert metric.leaves.loc[0, "length_mm"] == pytest.approx(pixels.leaves.loc[0, "length_px"] / 4)
    assert metric.plants.loc[0, "diameter_mm"] == pytest.approx(pixels.plants.loc[0, "diameter_px"] / 4)
    assert metric.leaves.loc[0, "centroid_y_px"] == pixels.leaves.loc[0, "centroid_y_px"]
    assert metric.leaves.loc[0, "name"] == "pot 7"
    assert not [name for name in metric.leaves.columns if name.endswith(("_px2", "length_px"))]


def test_an_empty_image_gives_empty_tables():
    empty = measure(np.zeros((10, 10), int), np.zeros((10, 10, 3), np.uint8))
    assert len(empty.leaves) == len(empty.plants) == 0
    assert "area_px2" in empty.leaves
    assert "area_px2" in empty.plants
