"""The watershed grouping: what the distance map parts and the embedding joins."""

import numpy as np
import pytest

from napari_leafseg.postprocessing import AngularGrouping, WatershedGrouping, quantize
from napari_leafseg.postprocessing.basins import ASIDE, STEEPNESS, UNKNOWN, _Border, border_turns, join

SHAPE = (40, 200)


def turned(angles):
    """Embeddings in the plane, of these angles in degrees: int8 (2, H, W)."""
    turn = np.deg2rad(np.broadcast_to(angles, SHAPE))
    return quantize(np.stack([np.cos(turn), np.sin(turn)]))


@pytest.fixture
def strap():
    """A long leaf with four peaks: (distance, foreground)."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    foreground = (abs(y - 20) < 10) & (x > 5) & (x < 195)
    distance = (1 - abs(y - 20) / 10) * (0.9 + 0.1 * np.cos((x - 25) * 2 * np.pi / 50))
    return np.where(foreground, distance, 0).astype(np.float32), foreground


def test_a_long_leaf_along_which_the_embedding_comes_round_is_one(strap):
    distance, foreground = strap
    embedding = turned(np.linspace(0, 300, SHAPE[1]))
    assert AngularGrouping(distance, foreground, embedding).labels(0.4, 60).max() > 1
    found = WatershedGrouping(distance, foreground, embedding).labels(0.4, 60)
    assert found.max() == 1
    assert np.array_equal(found > 0, foreground)


@pytest.mark.parametrize(("jump", "leaves"), [(20, 1), (45, 1), (65, 2), (120, 2)])
def test_a_jump_of_the_embedding_parts_what_the_distance_map_does_not(strap, jump, leaves):
    distance, foreground = strap
    embedding = turned(np.where(np.arange(SHAPE[1]) < 100, 0, jump))
    found = WatershedGrouping(distance, foreground, embedding).labels(0.4, 60)
    assert found.max() == leaves
    if leaves > 1:
        assert found[20, 90] != found[20, 110]
        assert found[20, 10] == found[20, 90]


@pytest.mark.parametrize(("dip", "leaves"), [(0.1, 1), (0.3, 1), (0.6, 2), (0.9, 2)])
def test_the_deeper_the_dip_the_more_alike_both_sides_must_be(strap, dip, leaves):
    distance, foreground = strap
    distance = distance * (1 - dip * np.exp(-((np.arange(SHAPE[1]) - 100) ** 2) / 50))
    embedding = turned(np.where(np.arange(SHAPE[1]) < 100, 0, 30))
    found = WatershedGrouping(distance, foreground, embedding).labels(0.3, 60)
    assert len({found[20, 80], found[20, 120]}) == leaves


def test_a_wider_angle_joins_more_and_never_parts(strap):
    distance, foreground = strap
    embedding = turned(np.cumsum(np.random.default_rng(0).normal(0, 12, SHAPE[1])))
    grouping = WatershedGrouping(distance, foreground, embedding)
    before = grouping.labels(0.1, 1)
    counts = [before.max()]
    for angle in range(5, 76, 5):
        after = grouping.labels(0.1, angle)
        pairs = {(int(a), int(b)) for a, b in zip(before.ravel(), after.ravel(), strict=True)}
        assert len(pairs) == before.max() + (not foreground.all())  # each part lies in one
        before = after
        counts.append(after.max())
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_low_and_small_leaves_are_left_out(strap):
    distance, foreground = strap
    distance = np.where(np.arange(SHAPE[1]) < 50, 0.3 * distance, distance)
    embedding = turned(np.where(np.arange(SHAPE[1]) < 46, 0, 150))
    grouping = WatershedGrouping(distance, foreground, embedding)
    assert grouping.labels(0.2, 60).max() == 2
    assert len(grouping.seeds(0.2, 60).points) == 2
    high = grouping.labels(0.5, 60)
    assert high.max() == len(grouping.seeds(0.5, 60).points) == 1
    assert not high[20, 30]
    assert grouping.labels(0.2, 60, smallest=1500).max() == 1


def test_turns_are_those_of_a_plain_loop():
    rng = np.random.default_rng(1)
    basins = np.repeat(np.repeat(rng.integers(0, 4, (4, 5)), 8, 0), 8, 1)
    basins[:, :4] = 0
    embedding = rng.normal(size=(3, *basins.shape))
    embedding = quantize(embedding / np.linalg.norm(embedding, axis=0))
    wanted = {}
    for y, x in np.ndindex(*basins.shape):
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            a, b = (y, x), (y + down, x + right)
            near = y - down * ASIDE, x - right * ASIDE
            far = b[0] + down * ASIDE, b[1] + right * ASIDE
            if not all(0 <= row < 32 and 0 <= column < 40 for row, column in (b, near, far)):
                continue
            pair = basins[a], basins[b]
            if 0 in pair or pair[0] == pair[1] or (basins[near], basins[far]) != pair:
                continue
            cosine = embedding[:, near[0], near[1]].astype(int) @ embedding[:, far[0], far[1]].astype(int) / 127**2
            wanted.setdefault(tuple(sorted(map(int, pair))), []).append(cosine)
    found = border_turns(basins, embedding)
    assert wanted
    assert found.keys() == wanted.keys()
    for pair, cosines in wanted.items():
        assert found[pair][1] == len(cosines)
        assert found[pair][0] / len(cosines) == pytest.approx(np.degrees(np.arccos(np.mean(cosines))))


def test_parts_are_joined_in_the_order_of_a_plain_search():
    """The cheapest pair of all, looked for anew after each join."""
    rng = np.random.default_rng(2)
    heights = np.sort(rng.uniform(0.5, 1, 9))[::-1].astype(np.float32)
    borders = {
        (a, b): _Border(float(rng.uniform(0, heights[b - 1])), float(rng.uniform(0, 600)), int(rng.integers(0, 12)))
        for a in range(1, 10)
        for b in range(a + 1, 10)
        if rng.uniform() < 0.5
    }
    merges = join(heights, borders)
    parts = {part: {part} for part in range(1, 10)}

    def cost(a, b):
        between = [borders[min(p, q), max(p, q)] for p in parts[a] for q in parts[b]
                   if (min(p, q), max(p, q)) in borders]  # fmt: skip
        if not between:
            return None
        length = sum(border.length for border in between)
        turn = sum(border.turn for border in between) / length if length else UNKNOWN
        low = min(max(heights[p - 1] for p in parts[a]), max(heights[q - 1] for q in parts[b]))
        return turn + STEEPNESS * (float(low) - max(border.saddle for border in between))

    for found in merges:
        costs = {(a, b): cost(a, b) for a in parts for b in parts if a < b}
        cheapest = min((value, pair) for pair, value in costs.items() if value is not None)
        assert found[0] == pytest.approx(cheapest[0])
        assert {found[1], found[2]} == set(cheapest[1])
        parts[found[1]] |= parts.pop(found[2])
    assert all(cost(a, b) is None for a in parts for b in parts if a < b)


def test_given_seeds_that_are_its_own_give_its_own_leaves(strap):
    distance, foreground = strap
    embedding = turned(np.where(np.arange(SHAPE[1]) < 100, 0, 120))
    grouping = WatershedGrouping(distance, foreground, embedding)
    own = grouping.labels(0.4, 60)
    found = grouping.labels_of(grouping.seeds(0.4, 60).points, 60)
    assert own.max() == 2
    assert np.array_equal(found, own)
    one = grouping.labels_of(np.array([[20, 30]]), 60)  # the other one's seed was deleted: so is its leaf
    assert np.array_equal(one > 0, own == own[20, 30])
    again = grouping.labels_of(np.array([[18, 60], [20, 170], [0, 0], [99, 7]]), 60)  # dragged; two beside the plant
    assert {tuple(np.unique(again[own == leaf])) for leaf in (1, 2)} == {(1,), (2,)}


@pytest.mark.parametrize("second", [(20, 110), (20, 30)])
def test_a_seed_that_is_added_parts_a_leaf_also_within_a_basin(strap, second):
    distance, foreground = strap
    grouping = WatershedGrouping(distance, foreground, turned(0))
    assert grouping.labels(0.4, 60).max() == 1
    found = grouping.labels_of(np.array([[20, 22], second]), 60)
    assert found.max() == 2
    assert found[20, 22] != found[second]
    assert np.array_equal(found > 0, foreground)


def test_nothing_is_found_where_there_is_no_leaf():
    empty = WatershedGrouping(np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, bool), turned(0))
    assert not empty.labels().any()
    assert not empty.labels_of(np.array([[3, 3]])).any()
    assert empty.seeds(0.1).points.shape == (0, 2)
