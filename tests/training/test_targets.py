"""The distance target, against plain loops, and symmetric."""

import numpy as np
import pytest

from napari_leafseg.training.targets import distance_target


def plain_target(labels, smallest):
    """Every leaf's distance to what is no leaf or boundary, over its own maximum."""
    height, width = labels.shape
    inside = np.zeros(labels.shape, bool)
    kept = np.where(np.isin(labels, [n for n in np.unique(labels) if (labels == n).sum() >= smallest]), labels, 0)
    for y in range(height):
        for x in range(width):
            around = kept[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            inside[y, x] = kept[y, x] > 0 and (around == kept[y, x]).all()
    outside, result = np.argwhere(~inside), np.zeros(labels.shape)
    for y, x in np.argwhere(inside):
        result[y, x] = np.sqrt(((outside - (y, x)) ** 2).sum(1).min())
    for leaf in np.unique(kept[kept > 0]):
        own = (kept == leaf) & inside
        if own.any():
            result[own] /= result[own].max()
    return result


def labels_of(seed):
    rng = np.random.default_rng(seed)
    labels = np.zeros((40, 44), np.int32)
    for leaf in range(1, 9):
        y, x, tall, wide = (*rng.integers(0, 32, 2), *rng.integers(3, 14, 2))
        labels[y : y + tall, x : x + wide] = leaf
    return labels


@pytest.mark.parametrize("seed", range(4))
def test_it_agrees_with_plain_loops_and_is_mirrored_with_its_labels(seed):
    labels = labels_of(seed)
    found = distance_target(labels, 25)
    np.testing.assert_allclose(found, plain_target(labels, 25), atol=1e-5)
    for way in (np.fliplr, np.flipud, np.rot90, np.transpose):
        np.testing.assert_array_equal(distance_target(way(labels), 25), way(found))


def test_both_sides_of_a_border_are_removed():
    labels = np.ones((9, 12), np.int32)
    labels[:, 6:] = 2
    found = distance_target(labels)
    assert not found[:, 5:7].any()
    assert found[:, :5].all()
    assert found[:, 7:].all()
