"""Leaf measurements."""

import numpy as np
import pytest

from napari_leafseg.traits import measure_leaves
from tests.conftest import discs


def test_a_disc_is_measured_as_a_disc():
    labels = discs(centres=((60, 50),), radius=30) * 3
    image = np.dstack([np.where(labels > 0, value, 0) for value in (10, 20, 30)]).astype(np.uint8)
    row = measure_leaves(labels, image).iloc[0]
    assert row["leaf"] == 3
    assert row["area_px2"] == np.count_nonzero(labels)
    assert row["perimeter_px"] == pytest.approx(2 * np.pi * 30, rel=0.03)
    assert row["major_axis_px"] == pytest.approx(60, rel=0.03)
    assert (row["centroid_y_px"], row["centroid_x_px"]) == pytest.approx((60, 50))
    assert [row[f"mean_{name}"] for name in ("red", "green", "blue")] == [10, 20, 30]


def test_no_leaves_give_an_empty_table():
    assert len(measure_leaves(np.zeros((20, 20), int), np.zeros((20, 20, 3), np.uint8))) == 0
