"""Growth in real time, of numbers that are known."""

import numpy as np
import pandas as pd
import pytest

from napari_leafseg.experiment.growth import group_curves, last_of, plant_curves, summarize_tracks, with_gaps

SERIES = [(0, 2, 4, 6), (1, 3, 5, 7)]
DAYS = (0.0, 1.0, 3.0, 4.0)


@pytest.fixture
def growth():
    """Two plants: leaf 1 doubles each day, leaf 2 emerges on day 3, leaf 3 is seen once, leaf 4 on the last day."""
    rows = []
    for plant, places in enumerate(SERIES):
        for place, day in zip(places, DAYS, strict=True):
            leaves = {1: 100 * 2**day * (1 + plant)}
            leaves |= {2: 10 * day} if day >= 3 else {}
            leaves |= {3: 5.0} if day == 1 else {}
            leaves |= {4: 3.0} if day == 4 else {}
            for leaf, area in leaves.items():
                rows.append(
                    {"plant_track": plant + 1, "track": 4 * plant + leaf, "frame": place, "time": day + plant / 100,
                     "leaf": leaf, "area_mm2": area, "age": 0.0, "genotype": ("wt", "ko")[plant]}
                )  # fmt: skip
    table = pd.DataFrame(rows).sort_values(["track", "time"]).reset_index(drop=True)
    return table.assign(lasts=last_of(table, SERIES))


def test_leaves_of_a_day_are_flagged(growth):
    lasts = growth.groupby("track")["lasts"].first()
    assert lasts.index[~lasts].tolist() == [3, 7]
    few = growth[growth["frame"].isin([0, 2])]
    assert last_of(few, [(0, 2)]).all()


def test_emergence_and_growth_of_each_leaf(growth):
    found = summarize_tracks(growth, SERIES, "area_mm2").set_index("track")
    assert np.isnan(found.loc[1, "emerged"])
    assert found.loc[[2, 4, 6], "emerged"].tolist() == [3, 4, 3.01]
    assert found.loc[1, "growth_rate"] == pytest.approx(np.log(2))
    assert np.isnan(found.loc[3, "growth_rate"])
    assert found["images"].tolist() == [4, 2, 1, 1] * 2
    assert found["largest_area_mm2"].tolist()[:4] == [1600, 40, 5, 3]
    assert found["genotype"].tolist() == ["wt"] * 4 + ["ko"] * 4
    assert "age" not in found


def test_plants_over_time(growth):
    found = plant_curves(growth, SERIES, "area_mm2")
    first = found[found["series"] == 0]
    assert first["leaves"].tolist() == [1, 1, 2, 3]
    assert first["area_mm2"].tolist() == [100, 200, 830, 1643]
    assert first["relative_growth_rate"].tolist()[1:3] == pytest.approx([np.log(2), np.log(4.15) / 2])
    assert found["genotype"].tolist() == ["wt"] * 4 + ["ko"] * 4


def test_mean_and_spread_of_groups(growth):
    plants = plant_curves(growth, SERIES, "area_mm2")
    each = group_curves(plants, "leaves")
    assert each.groupby("group")["mean"].apply(list).to_dict() == {"ko": [1, 1, 2, 3], "wt": [1, 1, 2, 3]}
    assert each["sd"].isna().all()
    together = group_curves(plants.assign(genotype="wt"), "area_mm2")
    assert together["plants"].tolist() == [2] * 4  # 0.01 day apart is one time
    assert together["time"].tolist() == pytest.approx([0.005, 1.005, 3.005, 4.005])
    assert together["mean"].iloc[0] == 150
    assert together["sd"].iloc[0] == pytest.approx(np.std([100, 200], ddof=1))
    assert group_curves(plants.drop(columns="genotype"), "leaves")["group"].unique().tolist() == ["all"]


def test_missing_days_are_gaps():
    x, y = with_gaps([0, 1, 3, 4], [1, 2, 3, 4], [0, 1, 3, 4])  # no image on day 2
    assert np.isnan(y).tolist() == [False, False, True, False, False]
    x, y = with_gaps([0, 1, 3], [1, 2, 3], [0, 1, 2, 3])  # the leaf was not seen on day 2
    assert np.isnan(y).tolist() == [False, False, True, False]
    assert x.tolist() == [0, 1, 2, 3]
    _, y = with_gaps([0, 1, 2], [1, 2, 3], [0, 1, 2])
    assert not np.isnan(y).any()


def test_nothing_grows_where_nothing_is():
    nothing = pd.DataFrame(columns=["plant_track", "track", "frame", "time", "leaf", "area_px2", "age"])
    assert len(last_of(nothing, [])) == 0
    table = nothing.assign(lasts=False)
    assert len(summarize_tracks(table, [], "area_px2")) == 0
    plants = plant_curves(table, [], "area_px2")
    assert len(group_curves(plants, "area_px2")) == 0
