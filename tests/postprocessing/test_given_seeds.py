"""Leaves that grow from seeds which somebody placed."""

import numpy as np
import pytest

from napari_leafseg.postprocessing.angular import AngularGrouping, quantize


@pytest.fixture
def grouping():
    """Two touching leaves whose embeddings are 90 degrees apart, and a third, apart, of the first one's direction."""
    y, x = np.mgrid[:60, :120].astype(float)
    masks = [np.hypot(y - 30, x - cx) < 14 for cx in (20, 46, 95)]
    masks[1] &= ~masks[0]
    distance, embedding = np.zeros((60, 120), np.float32), np.zeros((2, 60, 120), np.float32)
    embedding[0] = 1
    for mask, cx, direction in zip(masks, (20, 46, 95), ((1, 0), (0, 1), (1, 0)), strict=True):
        distance[mask] = np.clip(1 - np.hypot(y - 30, x - cx) / 15, 0, 1)[mask]
        embedding[:, mask] = np.array(direction)[:, None]
    return AngularGrouping(distance, np.any(masks, axis=0), quantize(embedding)), masks


def agree(found, mask):
    return (found & mask).sum() / (found | mask).sum()


def test_the_models_own_seeds_give_its_own_leaves(grouping):
    grouping, masks = grouping
    own = grouping.labels(0.3)
    given = grouping.labels_of(grouping.seeds(0.3).points)
    assert own.max() == 3
    for mask in masks:
        place = tuple(np.argwhere(mask)[mask.sum() // 2])
        assert agree(given == given[place], own == own[place]) > 0.97
    assert np.array_equal(grouping.labels(0.3), own)  # what is given leaves no trace


def test_a_seed_that_is_deleted_takes_its_leaf_along(grouping):
    grouping, masks = grouping
    points = np.array([[30, 20], [30, 95]])
    found = grouping.labels_of(points)
    assert found.max() == 2
    assert agree(found == found[30, 20], masks[0]) > 0.9
    assert not found[30, 52]


def test_a_seed_that_is_added_parts_a_leaf_near_it(grouping):
    grouping, masks = grouping
    found = grouping.labels_of(np.array([[30, 85], [30, 105], [30, 20], [30, 46]]))
    assert found.max() == 4
    assert found[30, 84] != found[30, 106]
    left, right = (found == found[30, 84]), (found == found[30, 106])
    assert agree(left | right, masks[2]) > 0.9
    assert min(left.sum(), right.sum()) > 0.3 * masks[2].sum()


def test_a_seed_that_is_dragged_within_its_leaf_changes_little_and_one_on_the_soil_is_left_out(grouping):
    grouping, masks = grouping
    found = grouping.labels_of(np.array([[26, 24], [30, 46], [2, 2]]))
    assert found.max() == 2
    assert agree(found == found[26, 24], masks[0]) > 0.9
    assert grouping.labels_of(np.zeros((0, 2), int)).max() == 0
