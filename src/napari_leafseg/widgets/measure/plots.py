"""Plots of measurements that one wants to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyqtgraph as pg
from qtpy.QtCore import QBuffer
from qtpy.QtGui import QImage, QPainter, QPalette
from qtpy.QtSvg import QSvgGenerator
from qtpy.QtWidgets import QWidget

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import ParameterError
from napari_leafseg.pipelines.measure import Measured
from napari_leafseg.traits import area_column
from napari_leafseg.widgets.common.controls import color_axes
from napari_leafseg.widgets.common.tables import heading

PLOTS = {
    "areas": "Area of each leaf",
    "histogram": "Histogram of leaf areas",
    "shape": "Length and width",
    "over time": "Count and area over time",
    "curves": "Growth of each leaf",
}
_BAR = "#44AA99"
_LINE = "#E69F00"
_NAMED = 12  # so many leaves' numbers have room below their bars


class MeasurePlot(pg.PlotWidget):
    """One of the plots."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent, background=None)
        self.setObjectName("measure_plot")
        self.setMinimumHeight(190)
        self.setMenuEnabled(False)
        self._right: pg.ViewBox | None = None
        self.kind = ""

    def draw(self, kind: str, measured: Measured) -> None:
        """Draw a plot of these tables."""
        self.kind = kind
        self._clear()
        leaves = measured.leaves
        area = area_column(leaves)
        if len(leaves):
            getattr(self, f"_draw_{kind.replace(' ', '_')}")(measured, area)
        color_axes(self, *(self.getAxis(name) for name in ("bottom", "left", "right")))
        self.getPlotItem().getViewBox().autoRange()

    def _clear(self) -> None:
        item = self.getPlotItem()
        item.clear()
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
        leaves = measured.leaves if measured.series else measured.leaves.assign(frame=0)
        by_frame = leaves.groupby("frame")
        count, total = by_frame.size(), by_frame[area].sum()
        item = self.getPlotItem()
        legend = item.addLegend(offset=(8, 8), labelTextColor=self.palette().color(QPalette.ColorRole.WindowText))
        bars = pg.BarGraphItem(x=count.index.to_numpy(), height=count.to_numpy(), width=0.7, brush=_BAR, name="leaves")
        self.addItem(bars)
        self._right = pg.ViewBox()
        item.showAxis("right")
        item.scene().addItem(self._right)
        self.getAxis("right").linkToView(self._right)
        self._right.setXLink(item)
        line = pg.PlotDataItem(total.index.to_numpy(), total.to_numpy(), pen=pg.mkPen(_LINE, width=2), symbol="o",
                               symbolBrush=_LINE, symbolSize=7)  # fmt: skip
        self._right.addItem(line)
        legend.addItem(line, heading(area))
        self._right.setYRange(0, float(total.max()) * 1.05)
        item.getViewBox().sigResized.connect(self._follow)
        self._follow()
        self._label("frame", "leaves")
        self.setLabel("right", heading(area))

    def _follow(self) -> None:
        """Keep the second scale over the first one."""
        if self._right is not None:
            self._right.setGeometry(self.getPlotItem().getViewBox().sceneBoundingRect())

    def _draw_curves(self, measured: Measured, area: str) -> None:
        table = measured.growth if len(measured.growth) else pd.DataFrame({"track": [], "time": [], area: []})
        tracks = list(table.groupby("track"))
        for number, (_track, rows) in enumerate(tracks):
            self.plot(rows["time"].to_numpy(), rows[area].to_numpy(), symbol="o", symbolSize=4,
                      pen=pg.mkPen(pg.intColor(number, max(9, len(tracks))), width=2))  # fmt: skip
        self._label("frame", heading(area))

    def save(self, path: Path) -> None:
        """Write the plot as PNG or SVG.

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
            drawing.setSize(self.size())
            drawing.setViewBox(self.rect())
            painter = QPainter(drawing)
        else:
            image = QImage(3 * self.size(), QImage.Format.Format_ARGB32)
            image.fill(self.palette().color(QPalette.ColorRole.Window))
            painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.render(painter)
        painter.end()
        if ending == ".png":
            image.save(content, "PNG")
        write_atomically(path, bytes(content.data()))
