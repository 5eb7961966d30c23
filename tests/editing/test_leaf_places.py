"""Leaves found again by where they lay."""

import numpy as np
import pytest

from napari_leafseg.editing.leaf_places import LeafPlace, find_again, places_of_labels

LONG = LeafPlace(100, 100, 400, 0, 50)  # 50 long from left to right, 10 wide


@pytest.mark.parametrize(
    ("other", "found"),
    [
        pytest.param(LONG, True, id="itself"),
        pytest.param(LeafPlace(101, 103, 430), True, id="drawn anew"),
        pytest.param(LeafPlace(100, 88, 200), True, id="a half of it"),
        pytest.param(LeafPlace(110, 100, 400), False, id="the one beside it"),
        pytest.param(LeafPlace(100, 150, 400), False, id="the one before it"),
        pytest.param(LeafPlace(100, 100, 1100), False, id="much larger"),
        pytest.param(LeafPlace(100, 100, 100), False, id="a scrap of it"),
    ],
)
def test_a_leaf_is_where_it_was(other, found):
    assert find_again({4: LONG}, {7: other}) == ({4: 7} if found else {})


def test_leaves_that_exchanged_their_numbers_are_told_apart():
    there = {1: LeafPlace(10, 10, 80), 2: LeafPlace(10, 40, 80)}
    assert find_again(there, {1: there[2], 2: there[1]}) == {1: 2, 2: 1}


def test_no_leaf_is_found_twice():
    there = {1: LeafPlace(10, 10, 80), 2: LeafPlace(10, 14, 80)}
    assert find_again(there, {5: LeafPlace(10, 11, 90)}) == {1: 5}


def test_of_two_halves_the_one_with_the_number_is_it():
    assert find_again({4: LONG}, {4: LeafPlace(100, 113, 200), 9: LeafPlace(100, 88, 200)}) == {4: 4}


def test_places_of_labels():
    labels = np.zeros((20, 30), np.uint16)
    labels[2:5, 10:13], labels[10:12, 0:4] = 3, 7
    assert places_of_labels(labels) == {3: LeafPlace(3, 11, 9), 7: LeafPlace(10.5, 1.5, 8)}
    assert places_of_labels(np.zeros((4, 4), int)) == {}
