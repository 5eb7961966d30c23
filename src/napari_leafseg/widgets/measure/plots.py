"""Plots of measurements that one wants to look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QBuffer
from qtpy.QtGui import QImage, QPainter, QPalette
from qtpy.QtSvg import QSvgGenerator
from qtpy.QtWidgets import QWidget

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import ParameterError
from napari_leafseg.pipelines.measure import Measured
from napari_leafseg.traits import area_column
from napari_leafseg.widgets.common.axes import WholeAxis
from napari_leafseg.widgets.common.controls import color_axes
from napari_leafseg.widgets.common.tables import heading
from napari_leafseg.widgets.measure.growth_plots import Color, draw_groups, draw_leaves, draw_plants, time_axis
from napari_leafseg.widgets.measure.picking import PointPicker

PLOTS = {
    "areas": "Area of each leaf",
    "histogram": "Histogram of leaf areas",
    "shape": "Length and width",
    "over time": "Count and area over time",
    "curves": "Growth of each leaf",
    "rates": "Relative growth rate of each leaf",
    "plants": "A trait of each plant",
    "groups": "Mean and spread by genotype and treatment",
    "multiples": "Leaves plant by plant",
    "timeline": "Timeline of leaves, to correct tracks",
}
_COUNTS = ("histogram", "over time")  # plots of how many leaves there are
OF_TRAITS = ("plants", "groups")
"""Those that show any trait."""
OVER_TIME = ("over time", "curves", "rates", "plants", "groups", "multiples", "timeline")
"""Those that need several images."""
_BAR = "#44AA99"
_LINE = "#E69F00"
_NAMED = 12  # so many leaves' numbers have room below their bars


class MeasurePlot(pg.PlotWidget):
    """One of the plots."""

    def __init__(self, parent: QWidget | None = None) -> None:
        axes = {name: WholeAxis(name, whole=False) for name in ("bottom", "left")}
        super().__init__(parent=parent, background=None, axisItems=axes)
        self.setObjectName("measure_plot")
        self.setMinimumHeight(190)
        self.setMenuEnabled(False)
        self._right: pg.ViewBox | None = None
        self.kind = self.trait = ""
        self.colors: Mapping[int, Color] = {}
        self.picker = PointPicker(self)

    def draw(self, kind: str, measured: Measured, colors: Mapping[int, Color] | None = None) -> None:
        """Draw a plot of these tables; leaves that are followed in these colors, by their tracks."""
        self.kind, self.colors = kind, colors or {}
        self._clear()
        self.getAxis("bottom").whole = kind in OVER_TIME and not measured.grouping.dated
        self.getAxis("left").whole = kind in _COUNTS
        leaves = measured.leaves
        area = area_column(leaves)
        if len(leaves):
            getattr(self, f"_draw_{kind.replace(' ', '_')}")(measured, area)
        color_axes(self, *(self.getAxis(name) for name in ("bottom", "left", "right")))
        self.getPlotItem().getViewBox().autoRange()

    def _clear(self) -> None:
        item = self.getPlotItem()
        item.clear()
        self.picker.clear()
        if self._right is not None:
            item.scene().removeItem(self._right)
            self._right = None
        item.showAxis("right", False)
        self.getAxis("bottom").setTicks(None)
        if item.legend is not None:
            item.legend.scene().removeItem(item.legend)
            item.legend = None

    def _label(self, bottom: str, left: str) -> None:
        self.setLabel("bottom", bottom)
        self.setLabel("left", left)

    def _draw_areas(self, measured: Measured, area: str) -> None:
        leaves = measured.leaves
        if measured.series:
            leaves = leaves[leaves["frame"] == leaves["frame"].max()]
        leaves = leaves.sort_values(area, ascending=False)
        self.addItem(pg.BarGraphItem(x=np.arange(len(leaves)), height=leaves[area].to_numpy(), width=0.8, brush=_BAR))
        names = [str(leaf) for leaf in leaves["leaf"]]
        step = -(-len(names) // _NAMED)
        self.getAxis("bottom").setTicks([[(number, names[number]) for number in range(0, len(names), step)]])
        self._label("leaf", heading(area))

    def _draw_histogram(self, measured: Measured, area: str) -> None:
        counts, edges = np.histogram(measured.leaves[area], bins="auto")
        self.addItem(pg.BarGraphItem(x0=edges[:-1], x1=edges[1:], height=counts, brush=_BAR))
        self._label(heading(area), "leaves")

    def _draw_shape(self, measured: Measured, area: str) -> None:
        unit = "_mm" if area.endswith("mm2") else "_px"
        leaves = measured.leaves
        self.plot(leaves[f"width{unit}"].to_numpy(), leaves[f"length{unit}"].to_numpy(), pen=None, symbol="o",
                  symbolSize=8, symbolBrush=_BAR)  # fmt: skip
        self._label(heading(f"width{unit}"), heading(f"length{unit}"))

    def _draw_over_time(self, measured: Measured, area: str) -> None:
        several = sum(len(one.places) > 1 for one in measured.grouping.series) > 1
        if several or ("pot" in measured.by_plant and measured.by_plant["pot"].nunique() > 1):
            draw_plants(self, measured, "leaves")
            return
        axis = time_axis(measured)
        own = measured.by_plant.dropna(subset=["time"]) if len(measured.by_plant) else measured.by_plant
        if not len(own):
            return
        x, count, total = axis.at(own["time"].to_numpy()), own["leaves"].to_numpy(), own[area].to_numpy()
        item = self.getPlotItem()
        legend = item.addLegend(offset=(8, 8), labelTextColor=self.palette().color(QPalette.ColorRole.WindowText))
        ground = self.palette().color(QPalette.ColorRole.Window)
        ground.setAlpha(215)
        legend.setBrush(pg.mkBrush(ground))  # the bars lie below it
        width = 0.7 * float(np.diff(x).min()) if len(x) > 1 else 0.7
        self.addItem(pg.BarGraphItem(x=x, height=count, width=width, brush=_BAR, name="leaves"))
        self._right = pg.ViewBox(enableMenu=False)
        self._right.setZValue(item.getViewBox().zValue() + 1)  # the line lies over the bars
        self._right.setMouseEnabled(x=True, y=False)
        item.showAxis("right")
        item.scene().addItem(self._right)
        self.getAxis("right").linkToView(self._right)
        self._right.setXLink(item)
        line = pg.PlotDataItem(x, total, pen=pg.mkPen(_LINE, width=2), symbol="o", symbolBrush=_LINE, symbolSize=7)
        self._right.addItem(line)
        legend.addItem(line, heading(area))
        self._right.setYRange(0, float(total.max()) * 1.05)
        item.getViewBox().sigResized.connect(self._follow)
        self._follow()
        self._label(axis.unit, "leaves")
        self.setLabel("right", heading(area))

    def _follow(self) -> None:
        """Keep the second scale over the first one."""
        if self._right is not None:
            self._right.setGeometry(self.getPlotItem().getViewBox().sceneBoundingRect())

    def _draw_curves(self, measured: Measured, area: str) -> None:
        draw_leaves(self, measured, area, self.colors)

    def _draw_rates(self, measured: Measured, _area: str) -> None:
        draw_leaves(self, measured, "relative_growth_rate", self.colors)

    def _draw_plants(self, measured: Measured, area: str) -> None:
        draw_plants(self, measured, self._chosen(measured, area))

    def _draw_groups(self, measured: Measured, area: str) -> None:
        draw_groups(self, measured, self._chosen(measured, area))

    def _chosen(self, measured: Measured, area: str) -> str:
        """The trait that is compared; the area where there is no such one."""
        return self.trait if self.trait in measured.by_plant else area


def save_figure(figure: QWidget, path: Path) -> None:
    """Write a plot as PNG or SVG.

    Raises
    ------
    ParameterError
        For another ending, or a folder that cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in {".png", ".svg"}:
        raise ParameterError(f"{path.name}: a figure is saved as .png or .svg. Choose one of these endings.")
    content = QBuffer()
    content.open(QBuffer.OpenModeFlag.WriteOnly)
    if ending == ".svg":
        drawing = QSvgGenerator()
        drawing.setOutputDevice(content)
        drawing.setSize(figure.size())
        drawing.setViewBox(figure.rect())
        painter = QPainter(drawing)
    else:
        image = QImage(figure.size() * 3, QImage.Format.Format_ARGB32)
        image.fill(figure.palette().color(QPalette.ColorRole.Window))
        painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    figure.render(painter)
    painter.end()
    if ending == ".png":
        image.save(content, "PNG")
    write_atomically(path, bytes(content.data()))
