"""What the report says of an experiment, as plain values: headline figures, a row an image, curves of plants."""

from __future__ import annotations

import math
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from napari_leafseg._counts import counted
from napari_leafseg.experiment.columns import ORDER
from napari_leafseg.experiment.growth import TimeAxis, group_titles, whose
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.growth import Followed
from napari_leafseg.pipelines.report.attention import UNCERTAIN, Reason
from napari_leafseg.pipelines.report.charts import COLORS, group_names
from napari_leafseg.pipelines.report.numbers import decimals_for, number, percent
from napari_leafseg.traits import area_column

_OURS = {"name", "path", "count", "plants", "area", "scale", "seconds", "at_border", "notes", "record"}
_TITLES = {"plant_id": "Plant", "date": "Date", "day": "Day"}


class Source(NamedTuple):
    """What a report is made of.

    Attributes
    ----------
    place : pathlib.Path
        The experiment's folder, into which the report is written.
    images : pandas.DataFrame
        A row an image that was done, as in ``images.csv``.
    followed : Followed
        Leaves, plants and growth.
    failed : list of dict
        ``name`` and ``error`` of what could not be done.
    settings : BatchSettings
    """

    place: Path
    images: pd.DataFrame
    followed: Followed
    failed: list[dict[str, Any]]
    settings: BatchSettings

    @property
    def unit(self) -> str:
        """The unit of areas."""
        metric = self.settings.metric or area_column(self.followed.leaves) == "area_mm2"
        return "mm²" if metric else "px²"


class Figure(NamedTuple):
    """A headline figure: a number and what it is of."""

    value: str
    words: str
    bad: bool = False


def time_axis(followed: Followed) -> TimeAxis:
    """Return the axis of times of what was followed."""
    return TimeAxis.of(followed.growth, followed.grouping.dated)


def summarize(source: Source) -> list[Figure]:
    """Return the headline figures."""
    images, followed = source.images, source.followed
    found = [_figure(len(images), "image")]
    if followed.repeated:
        plants = [one for one in followed.grouping.series if one.name]
        found.append(_figure(len(plants), "plant"))
        if followed.grouping.dated:
            days = [day for one in followed.grouping.series for day in one.days or ()]
            axis = time_axis(followed)
            span = axis.factor * (max(days) - min(days))
            found.append(Figure(number(span, decimals=0), axis.unit if round(span) == 1 else f"{axis.unit}s"))
    else:
        found.append(_figure(int(images["plants"].sum()), "plant"))
    found.append(_figure(int(images["count"].sum()), "leaf"))
    if len(images):
        found.append(Figure(number(float(images["area"].median()), source.unit), "median leaf area of an image"))
    if "confidence" in followed.leaves and followed.leaves["confidence"].notna().any():
        low = float((followed.leaves["confidence"].dropna() < UNCERTAIN).mean())
        found.append(Figure(percent(low), "of the leaves are uncertain"))
    if "corrected" in images:
        found.append(Figure(f"{int((images['corrected'] != '').sum()):,}", "corrected or reviewed"))
    if source.failed:
        found.append(Figure(f"{len(source.failed):,}", "not done", True))
    return found


def _figure(count: int, noun: str) -> Figure:
    value, _, words = counted(count, noun).partition(" ")
    return Figure(value, words)


def describe_images(source: Source, reasons: Mapping[int, Sequence[Reason]]) -> dict[str, Any]:
    """Return the columns of the table, its rows, and what else the page shows of each image."""
    images, leaves = source.images, source.followed.leaves
    known = [name for name in images.columns if name not in _OURS]
    known = [name for name in ORDER if name in known] + [name for name in known if name not in ORDER]
    lowest = pd.Series(dtype=float)
    if "confidence" in leaves:
        lowest = leaves.groupby("image")["confidence"].min()
    columns = [_column("Image", images["name"])]
    columns += [_column(_TITLES.get(name, name.replace("_", " ").capitalize()), images[name]) for name in known]
    columns.append(_column("Leaves", images["count"], decimals=0))
    if (images["plants"] != 1).any():
        columns.append(_column("Plants in it", images["plants"], decimals=0))
    columns.append(_column(f"Area ({source.unit})", images["area"]))
    if len(lowest):
        columns.append(_column("Lowest confidence", images["name"].map(lowest), kind="percent"))
    looked = pd.Series([len(reasons.get(place, ())) for place in range(len(images))], dtype=int)
    columns.append(_column("To look at", looked, decimals=0))
    return {
        "columns": [{key: value for key, value in one.items() if key != "values"} for one in columns],
        "rows": [list(row) for row in zip(*(one["values"] for one in columns), strict=True)],
        "names": images["name"].tolist(),
        "notes": {place: text for place, text in enumerate(images["notes"]) if text},
        "reasons": {place: [reason.text for reason in own] for place, own in reasons.items()},
        "commands": [rerun_command(record) for record in images["record"]],
        "records": images["record"].tolist(),
    }


def _column(title: str, values: pd.Series, kind: str = "", decimals: int | None = None) -> dict[str, Any]:
    """A column: its values as JSON takes them, None where there is none."""
    kind = kind or ("number" if pd.api.types.is_numeric_dtype(values) else "text")
    if kind == "text":
        texts = ["" if pd.isna(value) else str(value) for value in values]
        return {"title": title, "kind": kind, "values": texts}
    plain = [None if pd.isna(value) else float(value) for value in values]
    there = [value for value in plain if value is not None]
    if decimals is None:
        decimals = 0 if all(value.is_integer() for value in there) else decimals_for(there)
    rounded = [None if value is None or not math.isfinite(value) else float(f"{value:.7g}") for value in plain]
    return {"title": title, "kind": kind, "decimals": decimals, "values": rounded}


def rerun_command(record: str) -> str:
    """Return the command that makes the labels of an image again, in the experiment's folder."""
    words = ["napari-leafseg", "rerun", record]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def describe_plants(source: Source) -> dict[str, Any]:
    """Return the curve of each plant that was seen several times."""
    followed, axis = source.followed, time_axis(source.followed)
    table = followed.by_plant
    if not len(table):
        return {"unit": source.unit, "axis": axis.unit, "plants": []}
    area = area_column(table)
    order = group_names(table, area)
    plants = []
    known = table.assign(group=group_titles(table)).dropna(subset=["time", area])
    each: Any = known.groupby(whose(known))
    for (series, *own), rows in each:
        group = str(rows["group"].iloc[0])
        color = order.index(group) % COLORS
        times = [float(f"{axis.at(time):.6g}") for time in rows["time"]]
        values = [float(f"{value:.7g}") for value in rows[area]]
        name = " ".join(filter(None, (followed.grouping.series[int(series)].name, *map(str, own))))
        one = {"name": name, "group": group, "color": color}
        plants.append(one | {"places": rows["frame"].astype(int).tolist(), "times": times, "values": values})
    return {"unit": source.unit, "axis": axis.unit, "plants": plants}
