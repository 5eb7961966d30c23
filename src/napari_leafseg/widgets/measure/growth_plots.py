"""Plots over time: leaves, plants, means of groups, each plant by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyqtgraph as pg
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QScrollArea, QWidget

from napari_leafseg.experiment.growth import TimeAxis, group_curves, whose, with_gaps
from napari_leafseg.pipelines.measure import Measured
from napari_leafseg.traits import area_column
from napari_leafseg.widgets.common.axes import WholeAxis
from napari_leafseg.widgets.common.controls import color_axes
from napari_leafseg.widgets.common.tables import heading
from napari_leafseg.widgets.state.colors import PALETTE

Color = tuple[int, int, int]
_GRAY = (130, 134, 144)
_PANEL = (150, 110)  # pixels of the smallest small multiple
_MOST = 60  # small multiples


def palette_color(number: int) -> Color:
    """Return a color that people with any color vision can tell from those of the numbers near it."""
    red, green, blue = (round(255 * float(part)) for part in PALETTE[number % len(PALETTE)])
    return red, green, blue


def time_axis(measured: Measured) -> TimeAxis:
    """Return the axis of times of what was measured."""
    return TimeAxis.of(measured.growth, measured.grouping.dated)


def rate_title(measured: Measured) -> str:
    """Return the title of an axis of relative growth rates, whose times stay in days."""
    return f"relative growth rate (1/{'day' if measured.grouping.dated else 'image'})"


def moments_of(measured: Measured) -> dict[int, list[float]]:
    """Return the times of all images of the plant that a frame shows, by frame."""
    days, found = measured.grouping.day_of(), dict[int, list[float]]()
    for one in measured.grouping.series:
        times = [days.get(place, np.nan) for place in one.places]
        if not measured.grouping.dated:
            times = [float(number) for number in range(len(one.places))]
        known = [time for time in times if not np.isnan(time)]
        found |= dict.fromkeys(one.places, known)
    return found


def _each(table: pd.DataFrame, column: str) -> list[tuple[int, pd.DataFrame]]:
    """The rows of each number in a column."""
    groups: Any = table.groupby(column)
    return [(int(number), rows) for number, rows in groups]


def draw_leaves(plot: Any, measured: Measured, value: str, colors: Mapping[int, Color]) -> None:
    """Draw a curve for each leaf that lasts: in its color on the canvas, gray where it is not there.

    Leaves that do not last are crosses. Where a leaf or an image is missing, its curve has a gap.
    """
    table = measured.growth
    if not len(table):
        return
    axis = time_axis(measured)
    times_of, known = moments_of(measured), table[value].notna().to_numpy() & table["time"].notna().to_numpy()
    shown = dict(_each(table[known], "track"))
    alone = not set(colors) & set(shown)  # none of them is on the canvas
    for track in sorted(shown, key=lambda track: track in colors):
        rows = shown[track]
        color = colors.get(track, palette_color(track - 1) if alone else _GRAY)
        lasts, bold = bool(rows["lasts"].iloc[0]), alone or track in colors
        x, y = with_gaps(rows["time"].tolist(), rows[value].tolist(), times_of[int(rows["frame"].iloc[0])])
        pen = pg.mkPen(color, width=2 if bold else 1) if lasts else None
        plot.plot(axis.at(x), y, connect="finite", pen=pen, symbol="o" if lasts else "x", symbolSize=5 if bold else 3,
                  symbolBrush=color, symbolPen=None if lasts else pg.mkPen(color))  # fmt: skip
    numbers = np.flatnonzero(known)
    plot.picker.show(axis.at(table["time"].to_numpy()[known]), table[value].to_numpy()[known], numbers,
                     lambda row: describe_point(measured, row, value))  # fmt: skip
    plot.setLabel("bottom", axis.unit)
    plot.setLabel("left", heading(value) if value.startswith("area") else rate_title(measured))


def describe_point(measured: Measured, row: int, value: str) -> str:
    """Tell in words which leaf a point is, when, and its value."""
    point = measured.growth.iloc[row]
    axis = time_axis(measured)
    plant = f"plant {point['plant_id']}, " if point.get("plant_id") else ""
    when = f"{axis.unit} {axis.at(point['time']):.4g}"
    title = heading(value)
    shown = f"{point[value]:,.0f}" if abs(point[value]) >= 100 else f"{point[value]:.3g}"
    doubt = "" if point["lasts"] else "\nseen once: it may be no leaf"
    unit_of = title[title.find("(") + 1 : -1] if "(" in title else "per day" if measured.grouping.dated else "per image"
    return f"{plant}leaf {int(point['track'])}, {when}\n{shown} {unit_of}{doubt}"


def draw_plants(plot: Any, measured: Measured, value: str) -> None:
    """Draw a curve for each plant."""
    axis = time_axis(measured)
    times_of, own = moments_of(measured), measured.by_plant
    plants = list(own.groupby(whose(own), sort=False)) if len(own) else []
    if 1 < len(plants) <= len(PALETTE):
        text = plot.palette().color(QPalette.ColorRole.WindowText)
        plot.getPlotItem().addLegend(offset=(8, 8), labelTextColor=text)
    for number, (key, rows) in enumerate(plants):
        rows = rows.dropna(subset=["time", value])
        if not len(rows):
            continue
        x, y = with_gaps(rows["time"].tolist(), rows[value].tolist(), times_of[int(rows["frame"].iloc[0])])
        series, *pot = np.atleast_1d(np.array(key, dtype=object)).tolist()
        name = " ".join(filter(None, (measured.grouping.series[series].name, *pot))) or None
        color = palette_color(number)
        plot.plot(axis.at(x), y, connect="finite", pen=pg.mkPen(color, width=2), symbol="o", symbolSize=5,
                  symbolBrush=color, symbolPen=None, name=name if len(plants) <= len(PALETTE) else None)  # fmt: skip
    plot.setLabel("bottom", axis.unit)
    plot.setLabel("left", heading(value))


def draw_groups(plot: Any, measured: Measured, value: str) -> None:
    """Draw mean and spread (one standard deviation) of plants by genotype and treatment."""
    table = group_curves(measured.by_plant, value) if len(measured.by_plant) else pd.DataFrame()
    axis = time_axis(measured)
    plot.setLabel("bottom", axis.unit)
    plot.setLabel("left", heading(value))
    if not len(table):
        return
    text = plot.palette().color(QPalette.ColorRole.WindowText)
    plot.getPlotItem().addLegend(offset=(8, 8), labelTextColor=text)
    for number, (group, rows) in enumerate(table.groupby("group")):
        color, name = palette_color(number), f"{group} (n = {int(rows['plants'].max())})"
        x, mean = with_gaps(rows["time"].tolist(), rows["mean"].tolist(), rows["time"].tolist())
        _, sd = with_gaps(rows["time"].tolist(), rows["sd"].fillna(0).tolist(), rows["time"].tolist())
        for piece in np.ma.clump_unmasked(np.ma.masked_invalid(mean)):
            low, high = (pg.PlotCurveItem(axis.at(x[piece]), (mean + sign * sd)[piece]) for sign in (-1, 1))
            plot.addItem(pg.FillBetweenItem(low, high, brush=pg.mkBrush(*color, 60)))
        plot.plot(axis.at(x), mean, connect="finite", pen=pg.mkPen(color, width=3), symbol="o", symbolSize=6,
                  symbolBrush=color, symbolPen=None, name=name)  # fmt: skip


class SmallMultiples(QScrollArea):
    """A small plot for each plant, all with the same axes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("small_multiples")
        self.setWidgetResizable(True)
        self.grid = pg.GraphicsLayoutWidget()
        self.grid.setBackground(None)
        self.setWidget(self.grid)
        self.panels: list[pg.PlotItem] = []

    def draw(self, measured: Measured, colors: Mapping[int, Color]) -> None:
        """Draw the leaves of each plant."""
        self.grid.clear()
        self.panels = []
        table, area = measured.growth, area_column(measured.growth)
        several = [one for one in measured.grouping.series if len(one.places) > 1][:_MOST]
        if not len(table) or not several:
            return
        across = max(1, min(len(several), (present_width(self) or 440) // _PANEL[0]))
        rows = -(-len(several) // across)
        self.grid.setMinimumHeight(rows * _PANEL[1])
        axis = time_axis(measured)
        times_of = moments_of(measured)
        for number, one in enumerate(several):
            axes = {"bottom": WholeAxis("bottom", whole=not measured.grouping.dated)}
            panel = self.grid.addPlot(number // across, number % across, title=one.name or "all images", axisItems=axes)
            panel.setMenuEnabled(False)
            own = table[table["frame"].isin(one.places) & table["lasts"] & table["time"].notna()]
            for track, leaf in _each(own, "track"):
                x, y = with_gaps(leaf["time"].tolist(), leaf[area].tolist(), times_of[one.places[0]])
                color = colors.get(track, palette_color(track - 1))
                panel.plot(axis.at(x), y, connect="finite", pen=pg.mkPen(color, width=1.5))
            if self.panels:
                panel.setXLink(self.panels[0])
                panel.setYLink(self.panels[0])
            self.panels.append(panel)
            color_axes(self.grid, panel.getAxis("bottom"), panel.getAxis("left"))
            panel.setTitle(
                one.name or "all images", size="8pt", color=self.palette().color(QPalette.ColorRole.WindowText)
            )
        shown = table[table["lasts"] & table["time"].notna()]
        self.panels[0].setXRange(axis.at(shown["time"].min()), axis.at(shown["time"].max()))
        self.panels[0].setYRange(0, shown[area].max())


def present_width(area: QScrollArea) -> int:
    """Return the width that there is inside a scroll area."""
    viewport = area.viewport()
    return 0 if viewport is None else viewport.width()
