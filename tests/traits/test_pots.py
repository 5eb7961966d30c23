"""Leaves belong to the pots of a tray."""

import numpy as np
import pytest

from napari_leafseg.experiment.tray import Tray
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.traits import measure, trace_leaves
from napari_leafseg.traits.pots import pots_of_leaves
from napari_leafseg.traits.tracking import growth, track_series
from tests.conftest import discs

CELL = 160
CONFIG = SceneConfig(
    size=(400, 400), border=0, blank=0, camera=False, distractors=False, pots=0, background="plain",
    diameter=(1.9 * CELL, 2.0 * CELL),
)  # fmt: skip


@pytest.fixture(scope="module")
def crowded():
    """Six rosettes twice as wide as their pots, not quite in the middle; and each leaf's pot."""
    rng = np.random.default_rng(3)
    labels, pots = np.zeros((2 * CELL, 3 * CELL), np.uint16), {}
    for row in range(2):
        for column in range(3):
            plant = synthesize(40 + 3 * row + column, CONFIG).labels
            y, x = np.nonzero(plant)
            numbers = plant[y, x] + len(pots)
            pots |= dict.fromkeys(np.unique(numbers), (row, column))
            place = np.array([row + 0.5, column + 0.5]) * CELL + rng.normal(0, 0.05 * CELL, 2)
            y, x = y - (y.min() + y.max()) // 2 + int(place[0]), x - (x.min() + x.max()) // 2 + int(place[1])
            free = (y >= 0) & (y < labels.shape[0]) & (x >= 0) & (x < labels.shape[1])
            free[free] = labels[y[free], x[free]] == 0
            labels[y[free], x[free]] = numbers[free]
    sizes = np.bincount(labels.ravel(), minlength=len(pots) + 1)
    return labels, {leaf: pot for leaf, pot in pots.items() if sizes[leaf] >= 40}


def test_leaves_that_reach_over_belong_to_the_plant_from_which_they_come(crowded):
    labels, pots = crowded
    found = pots_of_leaves(labels, Tray(2, 3), trace_leaves(labels))
    right = sum(found.get(leaf) == pot for leaf, pot in pots.items())
    assert right >= 0.97 * len(pots)
    tray = Tray(2, 3)
    most = {}
    for leaf in pots:
        cells, counts = np.unique(
            np.floor(tray.to_grid(np.argwhere(labels == leaf), labels.shape)), axis=0, return_counts=True
        )
        most[leaf] = tuple(cells[counts.argmax()])
    over = [leaf for leaf, pot in pots.items() if most[leaf] != pot]
    assert over, "no leaf lies mostly in another pot: the test is too easy"
    assert right >= sum(most[leaf] == pot for leaf, pot in pots.items())


def test_touching_plants_are_apart_and_have_the_numbers_of_their_pots(crowded):
    labels, _ = crowded
    assert len(measure(labels).plants) < 6
    found = measure(labels, tray=Tray(2, 3))
    assert found.plants["plant"].tolist() == [1, 2, 3, 4, 5, 6]
    assert found.plants["pot"].tolist() == ["A1", "A2", "A3", "B1", "B2", "B3"] == found.plants["name"].tolist()
    assert set(found.leaves["pot"]) == set(found.plants["pot"])


def test_empty_pots_have_no_row_and_bare_ones_have_no_leaves():
    labels = discs(centers=((25, 25), (25, 125)), radius=12, size=150).astype(np.uint16)[:100]
    tray = Tray(2, 3, empty=frozenset({(1, 1)}))
    plants = measure(labels, px_per_mm=2.0, tray=tray).plants
    assert plants["pot"].tolist() == ["A1", "A2", "A3", "B1", "B3"]
    assert plants["leaves"].tolist() == [1, 0, 1, 0, 0]
    assert plants["area_mm2"].tolist() == pytest.approx([448 / 4, 0, 448 / 4, 0, 0], rel=0.05)
    nothing = measure(np.zeros((100, 150), np.uint16), tray=tray).plants
    assert nothing["leaves"].tolist() == [0] * 5


def test_no_leaf_that_reaches_into_another_pot_is_that_of_an_empty_one():
    labels = np.zeros((100, 200), np.uint16)
    labels[40:60, 70:150] = 1  # most of it in the second pot
    midribs = trace_leaves(labels)
    assert pots_of_leaves(labels, Tray(1, 2), midribs) == {1: (0, 1)}
    assert pots_of_leaves(labels, Tray(1, 2, empty=frozenset({(0, 1)})), midribs) == {1: (0, 0)}


def test_leaves_outside_of_the_tray_are_numbered_after_its_pots():
    labels = discs(centers=((25, 25), (25, 125)), radius=12, size=150).astype(np.uint16)
    half = Tray(1, 2, ((0, 0), (0, 0.5), (1, 0.5), (1, 0)))
    found = measure(labels, tray=half)
    assert found.leaves[["plant", "pot"]].to_numpy().tolist() == [[1, "A1"], [3, ""]]


def test_a_decision_of_a_person_comes_before_the_grid():
    labels = discs(centers=((25, 25), (25, 125)), radius=12, size=150).astype(np.uint16)
    found = measure(labels, tray=Tray(1, 3), plant_overrides={1: 2})
    assert found.leaves["pot"].tolist() == ["A2", "A3"]


def test_plants_are_followed_by_their_pots_over_days():
    near = discs(centers=((25, 40), (25, 110)), radius=10, size=150).astype(np.uint16)[:50]
    moved = discs(centers=((25, 10), (25, 60), (25, 110)), radius=10, size=150).astype(np.uint16)[:50]
    frames = [measure(labels, tray=Tray(1, 3)) for labels in (near, moved)]
    assert [frame.plants["leaves"].tolist() for frame in frames] == [[1, 0, 1], [1, 1, 1]]
    tracks = track_series(frames, [(0, 1)])
    curves = growth(tracks, frames)
    assert curves.groupby("plant_track")["pot"].nunique().tolist() == [1, 1, 1]
    assert curves.groupby("pot")["frame"].nunique().to_dict() == {"A1": 2, "A2": 1, "A3": 2}
