"""Plots as SVG that takes its colors from the page, light or dark, and tells each point in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd

from napari_leafseg._counts import counted
from napari_leafseg._extras import require
from napari_leafseg.experiment.growth import TimeAxis, group_curves, group_table, group_titles, with_gaps
from napari_leafseg.pipelines.report.numbers import number

COLORS = 8
"""How many colors of groups the page has; further groups are dashed."""
_WIDTH, _HEIGHT = 400, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 12, 12, 46
_MOST_BARS = 40
_LEFT_OUT = ("sd_",)  # traits that are in groups.csv alone


class Chart(NamedTuple):
    """A plot.

    Attributes
    ----------
    title : str
    svg : str
        Markup, whatever was typed by people escaped.
    """

    title: str
    svg: str


_COUNTED = ("leaves", "images", "image", "leaves in an image")  # titles of axes that have whole numbers only


class _Axes:
    """Turns values into places of the plot, and draws ticks and titles."""

    def __init__(self, x: Sequence[float], y: Sequence[float], x_title: str, y_title: str) -> None:
        MaxNLocator = require("matplotlib.ticker", "A report").MaxNLocator
        low, high, whole = min(0.0, min(y)), max(y), y_title in _COUNTED
        locator = MaxNLocator(5, steps=[1, 2, 5, 10] if whole else [1, 2, 2.5, 5, 10], integer=whole)
        self.y_ticks = locator.tick_values(low, high if high > low else low + 1)
        self.bottom, self.top = float(self.y_ticks[0]), float(self.y_ticks[-1])
        self.left, self.right = (min(x), max(x)) if max(x) > min(x) else (min(x) - 0.5, max(x) + 0.5)
        counts = self.right - self.left >= 3 or x_title in _COUNTED
        ticks = MaxNLocator(7, steps=[1, 2, 5, 10], integer=counts).tick_values(self.left, self.right)
        self.x_ticks = [tick for tick in ticks if self.left - 1e-9 <= tick <= self.right + 1e-9]
        self.titles = x_title, y_title

    def x(self, value: float) -> float:
        share = (value - self.left) / (self.right - self.left)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.bottom) / (self.top - self.bottom)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP), 1)

    def svg(self, content: Sequence[str], words: str) -> str:
        """Return the whole plot; `words` are read aloud in its stead."""
        parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(words)}">']
        decimals = _tick_decimals(self.y_ticks)
        for tick in self.y_ticks:
            parts.append(f'<path class="rule" d="M{_LEFT} {self.y(tick)}H{_WIDTH - _RIGHT}"/>')
            parts.append(_text(_LEFT - 8, self.y(tick) + 4, number(tick, decimals=decimals), "end"))
        decimals = _tick_decimals(self.x_ticks)
        parts += [_text(self.x(tick), _HEIGHT - _BOTTOM + 18, number(tick, decimals=decimals)) for tick in self.x_ticks]
        parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, self.titles[0]))
        middle = (_TOP + _HEIGHT - _BOTTOM) / 2
        parts.append(
            f'<text class="title" transform="translate(14 {middle}) rotate(-90)">{escape(self.titles[1])}</text>'
        )
        return "".join([*parts, *content, "</svg>"])


def _tick_decimals(ticks: Sequence[float] | np.ndarray) -> int:
    """How many digits after the point tell all ticks exactly."""
    return next((digits for digits in range(6) if np.allclose(np.round(ticks, digits), ticks, rtol=0, atol=1e-9)), 6)


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def group_names(by_plant: pd.DataFrame, area: str) -> list[str]:
    """List the groups of genotype and treatment, in the order of their colors."""
    shown = by_plant.dropna(subset=["time", area]) if len(by_plant) else by_plant
    return sorted(group_titles(shown).unique()) if len(shown) else []


def draw_growth(by_plant: pd.DataFrame, area: str, unit: str, axis: TimeAxis) -> list[Chart]:
    """Draw area, leaf count and growth rate over time: mean and spread of each group.

    Parameters
    ----------
    by_plant : pandas.DataFrame
        See `napari_leafseg.experiment.growth.plant_curves`.
    area : str
        Its column of areas.
    unit : str
        Of the areas.
    axis : TimeAxis
    """
    if not len(by_plant):
        return []
    per = "day" if axis.unit != "image" else "image"
    shown = (
        (area, "Leaf area of a plant", f"leaf area ({unit})", unit),
        ("leaves", "Leaves of a plant", "leaves", ""),
        ("relative_growth_rate", "Relative growth rate", f"ln area, per {per}", f"per {per}"),
    )
    order = group_names(by_plant, area)
    found = []
    for column, title, label, point_unit in shown:
        table = group_curves(by_plant, column)
        if len(table):
            found.append(Chart(title, _draw_groups(table, order, title, label, point_unit, axis)))
    return found


def draw_traits(by_plant: pd.DataFrame, area: str, axis: TimeAxis, title_of: Callable[[str], str]) -> list[Chart]:
    """Draw all other traits of plants and the means of those of their leaves over time: mean and spread by group.

    Parameters
    ----------
    by_plant, area, axis
        See `draw_growth`.
    title_of : callable
        Says what a column is in words.
    """
    order, found = group_names(by_plant, area), []
    if len(order) < 2:
        return []
    for trait, table in group_table(by_plant).groupby("trait", sort=False):
        if trait not in (area, "leaves", "relative_growth_rate") and not str(trait).startswith(_LEFT_OUT):
            title = title_of(str(trait))
            found.append(Chart(title[:1].upper() + title[1:], _draw_groups(table, order, title, title, "", axis)))
    return found


def _draw_groups(table: pd.DataFrame, order: list[str], title: str, label: str, unit: str, axis: TimeAxis) -> str:
    low, high = table["mean"] - table["sd"].fillna(0), table["mean"] + table["sd"].fillna(0)
    times = axis.at(table["time"])
    axes = _Axes(times.tolist(), [*low, *high], axis.unit, label)
    parts, dots = [], []
    for group, rows in ((str(name), own) for name, own in table.groupby("group")):
        look = f"g{order.index(group) % COLORS}" + (" dashed" if order.index(group) >= COLORS else "")
        moments = rows["time"].tolist()
        x, mean = with_gaps(moments, rows["mean"].tolist(), moments)
        _, sd = with_gaps(moments, rows["sd"].fillna(0).tolist(), moments)
        for piece in np.ma.clump_unmasked(np.ma.masked_invalid(mean)):
            px = [axes.x(axis.at(value)) for value in x[piece]]
            above = [axes.y(value) for value in (mean + sd)[piece]]
            below = [axes.y(value) for value in (mean - sd)[piece]]
            band = [*zip(px, above, strict=True), *zip(px[::-1], below[::-1], strict=True)]
            parts.append(f'<path class="band {look}" d="{_path(band)}Z"/>')
            line = list(zip(px, (axes.y(value) for value in mean[piece]), strict=True))
            dots.append(f'<path class="line {look}" d="{_path(line)}"/>')
        for time, mean_value, sd_value, plants in zip(moments, rows["mean"], rows["sd"], rows["plants"], strict=True):
            spread = "" if np.isnan(sd_value) else f" ± {number(sd_value)}"
            when = f"{axis.unit} {number(axis.at(time), decimals=0 if axis.unit == 'image' else 1)}"
            words = f"{group}, {when}: {number(mean_value)}{spread} {unit} ({counted(plants, 'plant')})"
            dots.append(
                f'<circle class="dot {look}" cx="{axes.x(axis.at(time))}" cy="{axes.y(mean_value)}" r="3.5">'
                f"<title>{escape(words)}</title></circle>"
            )
    return axes.svg([*parts, *dots], f"{title} over time, mean of {', '.join(order)}")


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def draw_distributions(images: pd.DataFrame, leaf_areas: Sequence[float], unit: str) -> list[Chart]:
    """Draw how leaf counts and areas are distributed over images and leaves; and by group, where these are known."""
    found = []
    titles = group_titles(images)
    if titles.nunique() > 1:
        for column, title, label in (
            ("area", "Leaf area by group", f"leaf area ({unit})"),
            ("count", "Leaves by group", "leaves"),
        ):
            found.append(
                Chart(title, _draw_intervals(images[column], titles, title, label, unit if column == "area" else ""))
            )
    counts = images["count"].to_numpy(float)
    if len(counts):
        bins = np.arange(counts.min(), counts.max() + 2) - 0.5
        bins = bins if len(bins) <= _MOST_BARS else np.histogram_bin_edges(counts, _MOST_BARS)
        found.append(Chart("Leaves in an image", _draw_bars(counts, bins, "leaves in an image", "images", "image")))
    for values, title, label, what in (
        (images["area"].to_numpy(float), "Leaf area in an image", f"leaf area in an image ({unit})", "image"),
        (np.asarray(leaf_areas, float), "Area of a leaf", f"area of a leaf ({unit})", "leaf"),
    ):  # fmt: skip
        values = values[np.isfinite(values)]
        if len(values) > 2:
            bins = np.histogram_bin_edges(values, min(_MOST_BARS, max(5, round(2 * len(values) ** (1 / 3)))))
            found.append(Chart(title, _draw_bars(values, bins, label, "leaves" if what == "leaf" else "images", what)))
    return found


def _draw_bars(values: np.ndarray, bins: np.ndarray, label: str, y_title: str, what: str) -> str:
    heights, edges = np.histogram(values, bins)
    axes = _Axes(edges.tolist(), heights.tolist(), label, y_title)
    parts = []
    for height, begin, end in zip(heights.tolist(), edges[:-1], edges[1:], strict=True):
        width = max(1.0, axes.x(end) - axes.x(begin) - 1)
        whole = float(end - begin) == 1 and float(begin) % 1 == 0.5
        where = number(begin + 0.5, decimals=0) if whole else f"{number(begin)} to {number(end)}"
        parts.append(
            f'<rect class="bar g0" x="{axes.x(begin)}" y="{axes.y(height)}" width="{width:g}" '
            f'height="{axes.y(0) - axes.y(height):g}"><title>{where}: {counted(height, what)}</title></rect>'
        )
    return axes.svg(parts, f"How many times each {label} occurs")


def _draw_intervals(values: pd.Series, titles: pd.Series, title: str, label: str, unit: str) -> str:
    """Mean and spread of each group, side by side."""
    stats = values.groupby(titles).agg(["mean", "std", "size"]).sort_index()
    low, high = stats["mean"] - stats["std"].fillna(0), stats["mean"] + stats["std"].fillna(0)
    axes = _Axes([0.5, len(stats) + 0.5], [*low, *high], "", label)
    axes.x_ticks = []
    parts = []
    for place, row in enumerate(stats.itertuples(), start=1):
        name, mean, sd, count = str(row[0]), float(row[1]), float(row[2]), int(row[3])
        look, x = f"g{(place - 1) % COLORS}", axes.x(place)
        spread = "" if np.isnan(sd) else f" ± {number(sd)}"
        words = f"{name}: {number(mean)}{spread} {unit} ({counted(count, 'image')})"
        if not np.isnan(sd):
            parts.append(f'<path class="line {look}" d="M{x} {axes.y(mean - sd)}V{axes.y(mean + sd)}"/>')
        parts.append(
            f'<circle class="dot {look}" cx="{x}" cy="{axes.y(mean)}" r="5"><title>{escape(words)}</title></circle>'
        )
        if len(stats) <= COLORS:
            parts.append(_text(x, _HEIGHT - _BOTTOM + 18, name if len(name) <= 60 / len(stats) else name[:6] + "…"))
    return axes.svg(parts, f"{title}: mean and spread of {', '.join(map(str, stats.index))}")
