"""Colors by a card of 24 patches."""

import numpy as np
import pytest

from napari_leafseg.errors import ParameterError
from napari_leafseg.experiment.color_correction import ColorCorrection
from napari_leafseg.traits import color_card
from napari_leafseg.traits.color_card import CardRefused, correct_by_card, find_card
from tests.cards import LEAF, WARM, scene


@pytest.mark.parametrize("angle", [0, 8, 100])
def test_a_leaf_has_its_own_color_again(angle):
    image = scene(angle=angle)
    leaf = image[320:460, 470:630].reshape(-1, 3)
    assert abs(leaf.mean(0) - LEAF).max() > 15
    found = correct_by_card(find_card(image))
    corrected = found.correction.apply(image)[320:460, 470:630].reshape(-1, 3)
    assert abs(corrected.mean(0) - LEAF).max() < 4
    assert found.after < 2 < found.before
    assert "after the correction" in found.sentence


def test_where_the_colors_are_right_they_stay():
    image = scene(light=np.eye(3), exposure=0.97)
    corrected = correct_by_card(find_card(image)).correction.apply(image)
    assert abs(corrected.astype(int) - image)[320:460, 470:630].mean() < 4


def test_what_cannot_be_trusted_is_refused(monkeypatch):
    with pytest.raises(CardRefused, match=r"No color card is found.*24 patches"):
        correct_by_card(find_card(np.full((300, 400, 3), 90, np.uint8)))
    card = find_card(scene())
    bright = color_card.Card(np.minimum(card.patches * 1.6, 255), card.corners)
    with pytest.raises(CardRefused, match="overexposed"):
        correct_by_card(bright)
    with pytest.raises(CardRefused, match="do not get darker"):
        correct_by_card(color_card.Card(card.patches[::-1], card.corners))
    mixed = card.patches.copy()
    mixed[:18] = mixed[:18][::-1]
    with pytest.raises(CardRefused, match="still off by"):
        correct_by_card(color_card.Card(mixed, card.corners))
    monkeypatch.delattr(color_card.cv2, "ccm")
    with pytest.raises(CardRefused, match="OpenCV 5"):
        find_card(scene())


def test_a_correction_is_read_as_it_was_written():
    correction = correct_by_card(find_card(scene(light=WARM))).correction
    assert ColorCorrection.from_dict(correction.as_dict()) == correction
    for damaged in (3, {}, {"matrix": [[1, 2, 3]]}, {"matrix": [[0, 0, 0]] * 4}, {"matrix": [["x"] * 3] * 4}):
        with pytest.raises(ParameterError):
            ColorCorrection.from_dict(damaged)
