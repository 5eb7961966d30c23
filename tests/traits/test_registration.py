"""The middle of a plant in each image: one point of the plant, whatever single images tell."""

import numpy as np
import pandas as pd
import pytest

from napari_leafseg.traits.registration import plant_middles


def plant(places, middles, growth=1.0, missing=()):
    """A plant of six leaves: where its true middle is in each frame, and where its middle was told to be."""
    turns = np.deg2rad([0, 65, 140, 190, 250, 310])
    rows = []
    for frame, (place, told) in enumerate(zip(places, middles, strict=True)):
        for leaf, turn in enumerate(turns, start=1):
            if (frame, leaf) not in missing:
                reach = (30 + 3 * leaf) * growth**frame
                y, x = place[0] + reach * np.sin(turn), place[1] + reach * np.cos(turn)
                rows.append((frame, leaf, 40.0 * leaf * growth ** (2 * frame), y, x, 120.0 * growth**frame, *told))
    names = ["frame", "leaf", "area_px2", "centroid_y_px", "centroid_x_px", "diameter_px", "center_y_px", "center_x_px"]
    return pd.DataFrame(rows, columns=names)


def test_a_plant_that_stands_still_has_one_middle_though_one_image_tells_another():
    still = [(100, 100)] * 5
    told = [(101, 99), (100, 100), (100, 140), (99, 101), (100, 102)]
    found = plant_middles(plant(still, told, growth=1.1))
    assert found.index.tolist() == [0, 1, 2, 3, 4]
    assert np.allclose(found, found.iloc[0])
    assert np.abs(found.to_numpy() - 100).max() <= 1


@pytest.mark.parametrize("jump", [(50, 0), (-25, 35), (12, -30)])
def test_a_plant_that_was_moved_once_has_its_middle_moved_with_it(jump):
    places = [(100, 100)] * 3 + [(100 + jump[0], 100 + jump[1])] * 3
    told = [place if frame != 4 else (60, 60) for frame, place in enumerate(places)]
    found = plant_middles(plant(places, told, growth=1.05, missing={(2, 3), (5, 1)}))
    assert np.abs(found.to_numpy() - np.array(places)).max() <= 3


def test_a_plant_of_one_leaf_has_a_middle():
    found = plant_middles(plant([(50, 50)] * 3, [(50, 52), (49, 50), (50, 50)]).query("leaf == 1"))
    assert found.to_numpy().tolist() == [[50.0, 50.0]] * 3
