"""Pieces of foreground that are no plant."""

import numpy as np
import pytest

from napari_leafseg import load_model
from napari_leafseg._opencv import cv2
from napari_leafseg.inference.component_filter import uncertain_components
from napari_leafseg.inference.dense_output import DenseOutput
from napari_leafseg.inference.leaf_prediction import PixelRegion


def image(*pieces, size=80):
    """Foreground with squares of (top, left, side, value)."""
    found = np.zeros((size, size), np.uint8)
    for top, left, side, value in pieces:
        found[top : top + side, left : left + side] = value
    return found


def test_small_and_uncertain_pieces_are_doubtful_whatever_region_they_lie_in():
    plant = image((10, 10, 40, 250), (60, 60, 10, 180), (60, 10, 10, 245))
    elsewhere = image((10, 10, 10, 180), (40, 40, 30, 180))
    found = uncertain_components([plant, elsewhere], 128, 0.92)
    assert np.array_equal(found[0], image((60, 60, 10, 1)).astype(bool))
    assert np.array_equal(found[1], image((10, 10, 10, 1)).astype(bool)), "the larger one is not small"


def test_values_below_the_foreground_are_no_pieces_and_count_in_none():
    plant = image((10, 10, 40, 250), (60, 60, 10, 120), (60, 10, 10, 245))
    assert not uncertain_components([plant], 128, 0.92)[0].any()


def test_no_plant_no_doubt():
    assert not uncertain_components([image()], 128, 0.92)[0].any()


@pytest.mark.parametrize("defaults", [{}, {"min_component_confidence": 0.92}])
def test_a_model_that_says_so_leaves_them_out_and_their_maps_stay(predictor, defaults):
    foreground = image((10, 10, 40, 250), (60, 60, 10, 180))
    maps = DenseOutput(foreground // 2, foreground, np.full((8, 80, 80), 45, np.int8))
    region = PixelRegion(slice(0, 80), slice(0, 80), maps)
    predictor._tiled.filter_regions([region], defaults)
    leaves = region.labels({"seed_threshold": 0.2, "angle": 60, "min_area": 0}) > 0
    assert leaves[30, 30]
    assert leaves[65, 65] == (not defaults)
    assert region.maps.foreground[65, 65] == 180


def test_within_a_given_plant_mask_nothing_is_doubtful(monkeypatch, scene):
    model = load_model("leaf", "cpu")
    monkeypatch.setitem(model.card.defaults, "min_component_confidence", 1.0)
    given = (scene.labels > 0).astype(np.uint8)
    rows, columns = np.nonzero(given)
    top, left = rows.min(), columns.min()
    given[top : top + 9, left : left + 9] = 1  # a corner of the plant's box, apart from it
    (region,) = model.predict(scene.image, mask=given).regions
    shown = region.maps.foreground >= 128
    assert cv2.connectedComponents(shown.astype(np.uint8))[0] > 2
    assert np.array_equal(region.grouped, shown)
