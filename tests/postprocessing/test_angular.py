"""Grouping, on embeddings made by hand."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_leafseg.metrics import score
from napari_leafseg.postprocessing import AngularGrouping, GroupingOptions, find_peaks, quantize
from napari_leafseg.training.targets import distance_target
from tests.conftest import discs


def ideal(labels: np.ndarray, directions: dict[int, int] | None = None, dimensions: int = 8, noise: float = 0.0):
    """Distance, foreground and embedding of a perfect network; leaf k points along axis `directions[k]`."""
    embedding = np.zeros((dimensions, *labels.shape), np.float32)
    embedding[-1] = 1
    for leaf in np.unique(labels[labels > 0]):
        axis = (directions or {}).get(int(leaf), (int(leaf) - 1) % (dimensions - 1))
        embedding[:, labels == leaf] = np.eye(dimensions, dtype=np.float32)[axis][:, None]
    if noise:
        embedding += noise * np.random.default_rng(0).normal(size=embedding.shape).astype(np.float32)
        embedding /= np.linalg.norm(embedding, axis=0)
    return distance_target(labels), labels > 0, quantize(embedding)


def touching() -> np.ndarray:
    """Three leaves that touch each other, one of them small."""
    labels = np.zeros((80, 100), np.int32)
    labels[10:60, 10:45], labels[10:60, 45:80], labels[60:70, 30:45] = 1, 2, 3
    return labels


def test_perfect_maps_give_the_truth():
    for labels in (discs(), touching()):
        result = AngularGrouping(*ideal(labels)).labels(0.45, 45)
        assert score(result, labels) == (1.0, 1.0, 1.0, 0)
        assert np.array_equal(np.unique(result), np.arange(4))


def test_noise_is_survived():
    result = AngularGrouping(*ideal(touching(), noise=0.15)).labels(0.45, 45)
    assert score(result, touching()).sbd > 0.97


def test_leaves_apart_that_share_a_direction_stay_apart():
    labels = discs()
    result = AngularGrouping(*ideal(labels, {1: 0, 2: 0, 3: 0})).labels(0.45, 45)
    assert score(result, labels).sbd == 1.0


def test_a_leaf_is_connected_to_its_seed():
    labels = discs(centers=((30, 30), (85, 85)))
    distance, foreground, embedding = ideal(labels, {1: 0, 2: 0})
    distance[labels == 2] *= 0.05  # too flat for a seed
    result = AngularGrouping(distance, foreground, embedding, GroupingOptions(border=0)).labels(0.45, 45)
    assert result.max() == 1
    assert not result[labels == 2].any()


def test_two_peaks_are_one_leaf_unless_direction_or_a_valley_parts_them():
    labels = np.zeros((40, 100), np.int32)
    labels[10:30, 5:95] = 1
    distance, foreground, embedding = ideal(labels)
    distance[:, 45:55] *= 0.95
    assert len(AngularGrouping(distance, foreground, embedding).seeds(0.3).points) == 1
    turned = embedding.copy()
    turned[:, :, 50:] = quantize(np.eye(8, dtype=np.float32)[3])[:, None, None]
    assert AngularGrouping(distance, foreground, turned).labels(0.3, 45).max() == 2
    distance[:, 45:55] *= 0.5
    parted = AngularGrouping(distance, foreground, embedding).labels(0.3, 45)
    assert parted.max() == 2
    assert np.count_nonzero(parted == 1) == pytest.approx(900, abs=100)  # each pixel goes home to its own hill


def test_small_leaves_and_specks_are_dropped_holes_are_filled():
    labels = discs()
    labels[30, 30] = 0  # a hole that is not even foreground
    maps = ideal(labels)
    grouping = AngularGrouping(*maps)
    full = grouping.labels(0.2, 45)
    assert full[30, 30] == full[30, 33] > 0
    assert grouping.labels(0.2, 45, smallest=np.count_nonzero(labels == 1) + 50).max() == 0


def test_a_leaf_lying_on_another_is_no_hole():
    labels = discs(centers=((60, 60),), radius=40)
    inner = discs(centers=((60, 60),), radius=8) > 0
    labels[inner] = 2
    result = AngularGrouping(*ideal(labels)).labels(0.2, 45)
    assert score(result, labels) == (1.0, 1.0, 1.0, 0)


@settings(max_examples=25, deadline=None)
@given(st.floats(5, 74), st.floats(0.1, 1), st.floats(0.15, 0.95))
def test_a_wider_angle_never_loses_foreground_and_a_lower_threshold_never_loses_seeds(angle, more, threshold):
    grouping = AngularGrouping(*ideal(touching(), noise=0.3), GroupingOptions(border=0))
    narrow, wide = grouping.labels(threshold, angle), grouping.labels(threshold, min(75, angle + 20 * more))
    assert np.count_nonzero(wide) >= np.count_nonzero(narrow)
    assert len(grouping.seeds(threshold * 0.7).points) >= len(grouping.seeds(threshold).points)


def test_the_order_of_questions_does_not_matter():
    maps = ideal(touching(), noise=0.25)
    used = AngularGrouping(*maps)
    for threshold, angle in ((0.9, 20), (0.2, 70), (0.5, 10)):
        used.labels(threshold, angle)
    assert np.array_equal(used.labels(0.45, 45), AngularGrouping(*maps).labels(0.45, 45))


def test_cosines_agree_with_floating_point():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(8, 30, 30)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=0)
    from napari_leafseg.postprocessing.angular import _scores

    direction = quantize(vectors)[:, 4, 4].astype(np.int16)
    exact = np.einsum("eyx,e->yx", vectors, vectors[:, 4, 4])
    assert np.abs(_scores(quantize(vectors), direction) / 127**2 - exact).max() < 0.02


def test_no_foreground_gives_no_leaf():
    empty = np.zeros((30, 30), np.int32)
    grouping = AngularGrouping(*ideal(empty))
    assert grouping.labels().max() == 0
    assert grouping.seeds(0.1).points.shape == (0, 2)


def test_peaks_are_sorted_and_far_enough_apart():
    points, heights = find_peaks(distance_target(discs()), discs() > 0)
    assert len(points) >= 3
    assert np.all(np.diff(heights) <= 0)
    assert heights[0] == pytest.approx(1.0)
    for y, x in points[:3]:
        assert min(np.hypot(y - a, x - b) for a, b in ((30, 30), (30, 90), (85, 60))) <= 3


def test_two_threads_do_not_mix_their_answers(monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    maps = ideal(touching(), noise=0.2)
    maps[0][touching() == 2] *= 0.6  # so that the threshold decides how many leaves there are
    maps[0][touching() == 3] *= 0.4
    shared = AngularGrouping(*maps)
    questions = [(0.2 + 0.1 * (k % 6), 30 + k) for k in range(20)]
    expected = [AngularGrouping(*maps).labels(*question) for question in questions]
    assert len({int(wanted.max()) for wanted in expected}) == 3
    assign = AngularGrouping._assign

    def assign_and_dawdle(self, count):
        assign(self, count)
        time.sleep(0.005)  # long enough for another thread to ask something else

    monkeypatch.setattr(AngularGrouping, "_assign", assign_and_dawdle)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda question: shared.labels(*question), questions))
    for answer, wanted in zip(answers, expected, strict=True):
        assert np.array_equal(answer, wanted)


def test_a_seed_wins_nothing_that_it_is_not_connected_to():
    """A leaf in the box of an angular one of the same direction, without the bonus for its own hill."""
    labels = np.zeros((80, 80), np.int32)
    labels[5:25, 5:75] = labels[5:75, 5:25] = 1
    labels[45:70, 45:70] = 2
    maps = ideal(labels, {1: 0, 2: 0})
    maps[0][labels == 2] *= 0.6  # the angular leaf's seed comes first
    result = AngularGrouping(*maps, GroupingOptions(home=0.0)).labels(0.2, 45)
    assert np.count_nonzero(result[labels == 2]) == 25 * 25
    assert len(np.unique(result[labels == 2])) == 1
    assert not np.isin(result[labels == 1], result[50, 50]).any()


def fan() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One leaf whose directions turn away from its seed's, pixel by pixel; and by how many degrees, (H, W)."""
    turned = np.zeros((31, 240))
    turned[:, 40:] = np.minimum(0.4 * np.arange(200), 80)
    embedding = np.zeros((4, *turned.shape), np.float32)
    embedding[0], embedding[1] = np.cos(np.deg2rad(turned)), np.sin(np.deg2rad(turned))
    y, x = np.mgrid[: turned.shape[0], : turned.shape[1]]
    distance = np.exp(-np.hypot(y - 15, x - 20) / 50).astype(np.float32)  # one peak, where nothing is turned
    return distance, np.ones(turned.shape, bool), quantize(embedding), turned


@pytest.mark.parametrize("angle", [15, 30, 45, 60, 75])
def test_the_angle_is_meant_in_degrees(angle):
    """Also the widest one: what lies a degree within it belongs to the leaf, what lies a degree beyond does not."""
    *maps, turned = fan()
    leaf = AngularGrouping(*maps, GroupingOptions(border=0)).labels(0.45, angle) > 0
    assert leaf[turned <= angle - 1].all()
    assert not leaf[turned >= angle + 1].any()


@pytest.mark.parametrize("allowed", [20, 40, 60])
def test_the_angle_that_makes_two_peaks_one_leaf_is_meant_in_degrees(allowed):
    y, x = np.mgrid[:40, :120]
    hills = [np.exp(-np.hypot(y - 20, x - middle) / 400).astype(np.float32) for middle in (30, 90)]
    distance = np.maximum(*hills)

    def leaves(turned):
        embedding = np.zeros((4, *distance.shape), np.float32)
        embedding[0, :, :60] = 1
        embedding[0, :, 60:], embedding[1, :, 60:] = np.cos(np.deg2rad(turned)), np.sin(np.deg2rad(turned))
        options = GroupingOptions(merge_angle=allowed, valley=-10.0)  # as good as no valley between them
        return len(AngularGrouping(distance, distance > 0, quantize(embedding), options).seeds(0.3).points)

    assert leaves(allowed - 1.5) == 1
    assert leaves(allowed + 1.5) == 2
