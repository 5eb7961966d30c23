"""New labels beside verified leaves."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_leafseg.editing.combine import keep_locked
from napari_leafseg.editing.edit import LARGEST_NUMBER
from tests.editing.test_operations import label_maps, two_discs


def test_verified_leaves_stay_others_follow_the_model_and_keep_their_numbers():
    shown = two_discs(gap=6)
    shown[shown == 1], shown[shown == 2] = 11, 12
    proposed = np.roll(two_discs(gap=6), 2, axis=0)  # the model sees all a little lower now
    proposed[2:8, 2:8] = 3
    result = keep_locked(proposed, shown, {11}, largest=40)
    assert np.array_equal(result == 11, shown == 11)
    assert np.array_equal(result == 12, proposed == 2)
    assert np.array_equal(result == 41, proposed == 3)  # a number that was never given
    assert set(np.unique(result)) == {0, 11, 12, 41}  # what is left of the verified leaf, seen again, is no leaf


def test_numbers_are_taken_up_again_only_when_none_is_left():
    shown = np.zeros((20, 20), np.uint16)
    shown[0, 0] = LARGEST_NUMBER
    proposed = np.zeros((20, 20), np.uint16)
    proposed[5:9, 5:9], proposed[12:16, 12:16] = 1, 2
    result = keep_locked(proposed, shown, {LARGEST_NUMBER}, LARGEST_NUMBER)
    assert result[0, 0] == LARGEST_NUMBER
    assert len(np.unique(result)) == 4


@settings(max_examples=60, deadline=None)
@given(proposed=label_maps(), shown=label_maps(), locked=st.sets(st.integers(1, 7)))
def test_frozen_pixels_never_change_and_numbers_stay_unique(proposed, shown, locked):
    result = keep_locked(proposed, shown, locked, 20)
    held = np.isin(shown, list(locked))
    assert np.array_equal(result[held], shown[held])
    assert not np.isin(result[~held], list(locked)).any()
    for number in np.unique(result[~held]):
        if number:  # each of the others is one of the model's leaves
            assert len(np.unique(proposed[(result == number) & ~held])) == 1
