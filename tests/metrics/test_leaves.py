"""The challenge's scores, against plain loops and hand-made cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_leafseg.metrics import best_dice, count_found, foreground_dice, score

LABELS = arrays(np.int32, (6, 7), elements=st.integers(0, 4))


def plain_best_dice(first, second):
    best = []
    for a in set(first[first > 0].tolist()):
        dices = [
            2 * np.sum((first == a) & (second == b)) / (np.sum(first == a) + np.sum(second == b))
            for b in set(second[second > 0].tolist())
        ]
        best.append(max(dices, default=0))
    return float(np.mean(best)) if best and (second > 0).any() else 0.0


@settings(max_examples=200, deadline=None)
@given(LABELS, LABELS)
def test_agrees_with_plain_loops(first, second):
    assert best_dice(first, second) == pytest.approx(plain_best_dice(first, second))
    if first.any() or second.any():
        result = score(first, second)
        assert result.sbd == pytest.approx(min(plain_best_dice(first, second), plain_best_dice(second, first)))
        assert result.dic == len(set(first[first > 0].tolist())) - len(set(second[second > 0].tolist()))


@settings(max_examples=50, deadline=None)
@given(LABELS, st.permutations([1, 2, 3, 4]))
def test_numbering_does_not_matter(labels, order):
    if not labels.any():
        return
    renumbered = np.array([0, *order])[labels] * 7
    assert score(renumbered, labels) == (1.0, 1.0, 1.0, 0)


def test_leaf_split_in_two():
    truth = np.array([[1, 1, 1, 1, 0, 2, 2]])
    prediction = np.array([[1, 1, 3, 3, 0, 2, 2]])
    result = score(prediction, truth)
    assert result.best_dice == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert result.sbd == pytest.approx(min(result.best_dice, (2 / 3 + 1) / 2))
    assert (result.dic, result.abs_dic, result.fbd) == (1, 1, 1.0)


def test_corners_ours_and_the_challenges():
    nothing, leaf = np.zeros((4, 4), int), np.pad(np.ones((2, 2), int), 1)
    assert score(nothing, nothing) == (1.0, 1.0, 1.0, 0)
    assert score(nothing, nothing, challenge=True) == (0.0, 0.0, 0.0, 0)
    assert score(nothing, leaf).sbd == 0
    assert score(leaf, nothing).sbd == 0
    assert score(leaf, np.zeros((5, 5), int), challenge=True).sbd == 0
    with pytest.raises(ValueError, match=r"\(4, 4\).*\(5, 5\)"):
        score(leaf, np.zeros((5, 5), int))
    assert score(leaf * 9, leaf, challenge=True).dic == 8  # it counts by the largest label
    assert score(leaf * 9, leaf).dic == 0
    assert score(leaf.astype(np.uint16), leaf.astype(np.uint8), challenge=True) == score(leaf, leaf, challenge=True)


def test_images_without_background():
    full = np.array([[1, 2], [1, 2]])
    assert score(full, full) == (1.0, 1.0, 1.0, 0)
    assert foreground_dice(full, np.array([[1, 0], [1, 0]])) == pytest.approx(2 / 3)


def test_a_leaf_is_found_when_more_than_half_of_both_is_shared():
    truth = np.zeros((10, 10), np.uint8)
    truth[:5, :8], truth[6:, :4] = 1, 2
    prediction = np.zeros_like(truth)
    prediction[:5, :5], prediction[6:, :2] = 7, 9  # 25 of 40 pixels, and exactly half
    assert count_found(prediction, truth) == (1, 2)
    assert count_found(np.zeros_like(truth), truth) == (0, 2)
    assert count_found(prediction, np.zeros_like(truth)) == (0, 0)
