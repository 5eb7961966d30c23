"""Figures of a model in words, and which model suits an image."""

from dataclasses import replace

import pytest

from napari_leafseg.models.store.quality import better_model, explain_quality, found_words
from napari_leafseg.models.store.zoo import describe_model


@pytest.mark.parametrize(("share", "words"), [(0.84, "8"), (0.97, "9"), (1, "10"), (0.04, "0")])
def test_a_share_is_said_in_leaves_and_never_rounded_up_to_all(share, words):
    card = replace(describe_model("leaf"), metrics={"found_synthetic": share, "sbd_fluorescence": 0.7})
    assert found_words(card) == f"finds {words} of 10 leaves"
    assert found_words(card, gray=True) == "outlines 70 % right"
    assert f"Finds {words} of 10 leaves in color (synthetic plants); none" in explain_quality(card)


def test_sbd_is_explained_and_what_was_not_measured_is_not_made_up():
    assert "SBD 0.92 color" in explain_quality(describe_model("leaf"))
    assert "symmetric best Dice" in explain_quality(describe_model("leaf"))
    bare = replace(describe_model("leaf"), metrics={})
    assert found_words(bare) == ""
    assert explain_quality(bare) == "Nothing was measured of it."


def test_a_model_for_color_is_not_proposed_for_gray():
    assert better_model("leaf-small", gray=True) == "leaf"
    assert better_model("leaf", gray=True) is None
    assert better_model("leaf", gray=False) is None
    assert better_model("leaf-fluorescence", gray=True) is None
    assert better_model("sotr", gray=False) == "leaf"
    assert better_model("no such model", gray=True) is None
