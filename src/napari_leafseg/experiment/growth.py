"""Growth of leaves and plants in real time: which leaves last, when they emerge, means of groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

_SHORTEST = 3  # images of a plant from which on a leaf that is seen once is doubted
_GAP = 1.5  # times the usual interval: something is missing in between
_TOGETHER = 0.25  # of the usual interval: one moment of several plants
_NUMBERING = {
    "plant", "leaf", "track", "plant_track", "frame", "series", "time", "age", "day", "azimuth_deg", "moment",
    "confidence",
}  # fmt: skip
_WHOSE = ("pot", "name")  # what tells the plants of one image apart
GROUPS = ("genotype", "treatment")
"""Fields by which plants are compared."""


class TimeAxis(NamedTuple):
    """What times are multiplied by on an axis, their unit ("day", "hour" or "image"), and where the axis begins."""

    factor: float
    unit: str
    first: int = 0

    @classmethod
    def of(cls, growth: pd.DataFrame, dated: bool) -> TimeAxis:
        """Return a table's axis: days, hours where it takes less than two of them; without dates images, from 1."""
        if not dated:
            return cls(1.0, "image", 1)
        times = growth["time"] if len(growth) else pd.Series(dtype=float)
        return cls(24.0, "hour") if len(times) and times.max() - times.min() < 2 else cls(1.0, "day")

    def at(self, times: Any) -> Any:
        """Return where times lie on the axis."""
        return self.factor * times + self.first


def last_of(growth: pd.DataFrame, series: Sequence[Sequence[int]]) -> pd.Series:
    """Tell of each row whether its leaf lasts, and is no mistake of a day.

    A leaf that was seen once, in a plant that was seen three times or more, does not last, unless it was seen in the
    last image: it may just have emerged.

    Parameters
    ----------
    growth : pandas.DataFrame
        With ``track`` and ``frame``.
    series : sequence of sequence of int
        The frames of each plant, in order of time.
    """
    if not len(growth):
        return pd.Series([], growth.index, dtype=bool)
    length = {place: len(places) for places in series for place in places}
    ends = {places[-1] for places in series if len(places)}
    seen = growth.groupby("track")["frame"].transform("nunique")
    last = growth["frame"].isin(ends).groupby(growth["track"]).transform("any")
    short = growth["frame"].map(length) < _SHORTEST
    return (seen > 1) | last.astype(bool) | short


def summarize_tracks(growth: pd.DataFrame, series: Sequence[Sequence[int]], area: str) -> pd.DataFrame:
    """Return a row for each leaf that was followed: when it emerged, how long it was seen, how fast it grew.

    Parameters
    ----------
    growth : pandas.DataFrame
        See `napari_leafseg.traits.tracking.growth`; with ``lasts``.
    series : sequence of sequence of int
        The frames of each plant, in order of time.
    area : str
        The column of areas.

    Returns
    -------
    pandas.DataFrame
        ``emerged`` is the time of the first image that shows the leaf, empty where that is its plant's first;
        ``growth_rate`` is the slope of ln(area) over all its images.
    """
    if not len(growth):
        return pd.DataFrame()
    starts = {places[0] for places in series if len(places)}
    fixed = [name for name in growth.columns if name not in _CHANGING and not name.startswith("area_")]
    by_track = growth.groupby("track")
    first = by_track.nth(0).set_index("track").sort_index()
    table = first[["plant_track"]].copy()
    table.insert(1, "track", table.index)
    table[fixed] = first[fixed]
    table["emerged"] = first["time"].mask(first["frame"].isin(starts))
    table["last_seen"] = by_track.nth(-1).set_index("track")["time"]
    table["images"], table[f"largest_{area}"] = by_track.size(), by_track[area].max()
    table["growth_rate"], table["lasts"] = _slopes(growth, area), first["lasts"].astype(bool)
    return table.reset_index(drop=True)


_CHANGING = {
    "plant_track", "track", "frame", "time", "leaf", "age", "absolute_growth_rate", "relative_growth_rate", "date",
    "day", "image", "lasts", "timepoint",
}  # fmt: skip


def _slopes(growth: pd.DataFrame, area: str) -> pd.Series:
    """The slope of ln(area) over time, by least squares, of each track that was seen at two times or more."""
    known = growth[growth["time"].notna() & (growth[area] > 0)]
    times = known["time"] - known.groupby("track")["time"].transform("mean")
    logs = np.log(known[area])
    over, moved = (times * logs).groupby(known["track"]).sum(), (times**2).groupby(known["track"]).sum()
    return over / moved.where(moved > 0)


def plant_curves(growth: pd.DataFrame, series: Sequence[Sequence[int]], area: str) -> pd.DataFrame:
    """Return the leaves and the area of each plant, or each pot, over time; leaves that do not last are left out.

    Returns
    -------
    pandas.DataFrame
        ``series`` (the plant's number), ``frame``, ``time``, ``leaves``, the area, ``relative_growth_rate`` and what is
        known of the plant.
    """
    of_frame = {place: number for number, places in enumerate(series) for place in places}
    kept = growth[growth["lasts"]] if len(growth) else growth
    if not len(kept):
        return pd.DataFrame(columns=["series", "frame", "time", "leaves", area, "relative_growth_rate"])
    known = [name for name in (*GROUPS, "plant_id", "replicate", *_WHOSE) if name in kept]
    each = ["frame", *(name for name in _WHOSE if name in kept)]
    by_frame = kept.groupby(each)
    table = by_frame[["time", *(name for name in known if name not in each)]].first().reset_index()
    table.insert(0, "series", table["frame"].map(of_frame))
    table["leaves"], table[area] = by_frame.size().to_numpy(), by_frame[area].sum().to_numpy()
    table = table.sort_values([*whose(table), "time"]).reset_index(drop=True)
    own = table.groupby(whose(table))
    table["relative_growth_rate"] = np.log(table[area] / own[area].shift()) / own["time"].diff()
    return table


def whose(table: pd.DataFrame) -> list[str]:
    """Return the columns that tell plants apart: the series; where several stand in one image, the pot or the name."""
    return ["series", *(name for name in _WHOSE if name in table)]


def with_traits(by_plant: pd.DataFrame, leaves: pd.DataFrame, plants: pd.DataFrame) -> pd.DataFrame:
    """Add what was measured of each plant, and the means of what was measured of its leaves.

    Parameters
    ----------
    by_plant : pandas.DataFrame
        See `plant_curves`.
    leaves, plants : pandas.DataFrame
        With ``frame``.
    """
    if not len(by_plant) or "frame" not in leaves:
        return by_plant
    each = ["frame", *whose(by_plant)[1:]]
    found = by_plant
    for table in (plants, leaves):
        if len(table) and set(each) <= set(table):
            names = [name for name in _measured(table) if name not in found]
            found = found.merge(table.groupby(each)[names].mean().reset_index(), on=each, how="left")
    return found


def _measured(table: pd.DataFrame) -> list[str]:
    """The columns that are traits: numbers, but for those that only number or place something."""
    numbers = table.select_dtypes("number").columns
    return [name for name in numbers if name not in _NUMBERING and not name.endswith(("_y_px", "_x_px"))]


def traits_of(by_plant: pd.DataFrame) -> list[str]:
    """Return the columns of plants over time that can be compared between groups."""
    return [name for name in _measured(by_plant) if by_plant[name].notna().any()]


def group_table(by_plant: pd.DataFrame) -> pd.DataFrame:
    """Return mean and spread of all traits of plants by genotype and treatment over time, a row a value.

    Returns
    -------
    pandas.DataFrame
        ``group``, ``time``, ``trait``, ``mean``, ``sd`` (of the plants, n − 1) and ``plants``.
    """
    columns = ["group", "time", "trait", "mean", "sd", "plants"]
    known = by_plant.dropna(subset=["time"]) if len(by_plant) else by_plant
    traits = traits_of(known) if len(known) else []
    if not traits:
        return pd.DataFrame(columns=columns)
    known = known.assign(group=group_titles(known), moment=_moments(known["time"], known["series"]))
    each = known.groupby(["group", "moment", *whose(known)], as_index=False)[["time", *traits]].mean()
    by_group = each.groupby(["group", "moment"])
    values = {"mean": by_group[traits].mean(), "sd": by_group[traits].std(), "plants": by_group[traits].count()}
    stacked = {name: table.rename_axis("trait", axis=1).stack(future_stack=True) for name, table in values.items()}
    found = pd.DataFrame(stacked).reset_index()
    times = by_group["time"].mean()
    found["time"] = [times[key] for key in zip(found["group"], found["moment"], strict=True)]
    return found[found["plants"] > 0][columns].reset_index(drop=True)


def group_curves(plants: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return mean and spread of plants by genotype and treatment over time.

    Parameters
    ----------
    plants : pandas.DataFrame
        See `plant_curves`.
    value : str
        The column.

    Returns
    -------
    pandas.DataFrame
        ``group``, ``time``, ``mean``, ``sd`` (of the plants, n − 1; empty for one) and ``plants`` (how many). Images
        that lie closer than a quarter of the usual interval are of one time.
    """
    known = plants.dropna(subset=["time", value])
    if not len(known):
        return pd.DataFrame(columns=["group", "time", "mean", "sd", "plants"])
    known = known.assign(group=group_titles(known), moment=_moments(known["time"], known["series"]))
    each = known.groupby(["group", "moment", *whose(known)], as_index=False).agg(
        time=("time", "mean"), value=(value, "mean")
    )
    found = each.groupby(["group", "moment"]).agg(
        time=("time", "mean"), mean=("value", "mean"), sd=("value", "std"), plants=("value", "size")
    )
    return found.reset_index().drop(columns="moment")


def group_titles(table: pd.DataFrame) -> pd.Series:
    """Name the group of each row by genotype and treatment; "all" where neither is known of any row."""
    names = [name for name in GROUPS if name in table and table[name].astype(str).str.len().any()]
    if not names:
        return pd.Series("all", table.index)
    titles = table[names[0]].astype(str)
    for name in names[1:]:
        titles = titles + " " + table[name].astype(str)
    return titles.str.strip().replace("", "not said")


def _moments(times: pd.Series, series: pd.Series) -> np.ndarray:
    """Number of the moment of each image; several plants are taken one after another."""
    steps = times.groupby(series).apply(lambda own: own.sort_values().diff()).to_numpy()
    steps = steps[steps > 0]
    near = _TOGETHER * float(np.median(steps)) if len(steps) else 0.0
    order = np.argsort(times.to_numpy(), kind="stable")
    ordered = times.to_numpy()[order]
    numbers = np.concatenate([[0], np.cumsum(np.diff(ordered) > near)])
    result = np.empty(len(times), int)
    result[order] = numbers
    return result


def with_gaps(
    times: Sequence[float], values: Sequence[float], moments: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return a curve with NaN where something is missing: an image of the series, or more time than usual.

    Parameters
    ----------
    times, values : sequence of float
        Of the curve, in order.
    moments : sequence of float
        Of all images of the series, in order.
    """
    known = np.unique(np.asarray(moments, float))
    usual = float(np.median(np.diff(known))) if len(known) > 1 else np.inf
    x, y = list[float](), list[float]()
    for time, value in zip(times, values, strict=True):
        if x:
            between = np.count_nonzero((known > x[-1]) & (known < time))
            if between or time - x[-1] > _GAP * usual:
                x.append((x[-1] + time) / 2)
                y.append(np.nan)
        x.append(float(time))
        y.append(float(value))
    return np.array(x), np.array(y)
