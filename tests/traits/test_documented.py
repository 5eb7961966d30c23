"""docs/traits.md has a formula for every column, and every length is turned into millimeters."""

import re

import numpy as np
import pandas as pd
import pytest

from napari_leafseg.traits.measure import in_millimeters, measure
from tests.conftest import REPOSITORY, discs

PAGE = (REPOSITORY / "docs" / "traits.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def measured():
    labels = discs()
    leaves = [1, 2, 3]
    image = np.full((*labels.shape, 3), 90, np.uint8)
    return measure(labels, image, names={1: "a"}, confidence=dict.fromkeys(leaves, 1.0), verified=leaves)


def rows(heading):
    """Names in the first cells of the table of a section; ``mean_…`` stands for whatever begins so."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)[1]
    return [name for line in section.splitlines() if line.startswith("| `") for name in
            re.findall(r"`([^`]+)`", line.split("|")[1])]  # fmt: skip


def undocumented(table, heading):
    known = rows(heading)
    plain = {name: re.sub(r"_(per_)?px\d*$", "", name) for name in table.columns}
    return [
        name
        for name, short in plain.items()
        if not {name, short} & set(known)
        and not any(item.endswith("…") and name.startswith(item[:-1]) for item in known)
    ]


def test_every_column_of_leaves_has_its_formula(measured):
    assert undocumented(measured.leaves, "A leaf") == ["leaf"]
    assert undocumented(measured.leaves.assign(spikes=1), "A leaf") == ["leaf", "spikes"]


def test_every_column_of_plants_has_its_formula(measured):
    assert undocumented(measured.plants, "A plant") == ["plant"]


def test_no_pixels_are_left_where_the_scale_is_known(measured):
    for table in (measured.leaves, measured.plants):
        left = [name for name in in_millimeters(table, 2.0) if "px" in name]
        assert all(name.endswith(("_y_px", "_x_px")) for name in left)


@pytest.mark.parametrize(
    ("name", "shown", "value"),
    [
        ("length_px", "length_mm", 4.0), ("area_px2", "area_mm2", 2.0), ("volume_px3", "volume_mm3", 1.0),
        ("curvature_per_px", "curvature_per_mm", 16.0), ("density_per_px2", "density_per_mm2", 32.0),
        ("centroid_y_px", "centroid_y_px", 8.0), ("solidity", "solidity", 8.0), ("pxs", "pxs", 8.0),
    ],
)  # fmt: skip
def test_the_unit_is_in_the_name(name, shown, value):
    table = in_millimeters(pd.DataFrame({name: [8.0]}), 2.0)
    assert table.to_dict("list") == {shown: [value]}
