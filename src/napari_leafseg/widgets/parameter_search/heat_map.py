"""A heat map of SBD over two tunables, with the current point, the best one and the one that is picked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QPointF, Signal
from qtpy.QtWidgets import QWidget

from napari_leafseg.widgets.common.controls import color_axes


class HeatMap(pg.PlotWidget):
    """SBD as color, one tunable to the right, the other upwards.

    Signals
    -------
    picked(int, int)
        Row and column of a cell that was clicked.
    """

    picked = Signal(int, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent, background=None)
        self.setObjectName("heat_map")
        self.setMinimumHeight(260)
        self.setMenuEnabled(False)
        self.setMouseEnabled(x=False, y=False)
        self.hideButtons()
        self._image = pg.ImageItem(axisOrder="row-major")
        self._colors = pg.colormap.get("viridis")
        self._bar = pg.ColorBarItem(colorMap=self._colors, interactive=False, width=12)
        self._bar.setImageItem(self._image, insert_in=self.getPlotItem())
        self.addItem(self._image)
        self._marks = {
            "current": pg.ScatterPlotItem(symbol="o", size=13, pen=pg.mkPen("w", width=2), brush=None),
            "best": pg.ScatterPlotItem(symbol="star", size=17, pen=pg.mkPen("k"), brush=pg.mkBrush("w")),
            "picked": pg.ScatterPlotItem(symbol="s", size=20, pen=pg.mkPen("r", width=2), brush=None),
        }
        for mark in self._marks.values():
            self.addItem(mark)
        self._x: np.ndarray = np.zeros(0)
        self._y: np.ndarray = np.zeros(0)
        self.scene().sigMouseClicked.connect(self._clicked)
        self.setToolTip(
            "○ the values now · ★ the best · click a cell to pick others\n"
            "Colors are estimates at the working scale; “now” and “at best” are scored at the images' own size."
        )
        self.take_colors()

    def take_colors(self) -> None:
        """Draw the axes in the color of the window's text."""
        pen = color_axes(self, self.getAxis("bottom"), self.getAxis("left"), self._bar.axis)
        self._bar.axis.setLabel("SBD (estimate)", color=pen.color().name())

    def changeEvent(self, event: Any) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == event.Type.PaletteChange and hasattr(self, "_marks"):
            self.take_colors()

    def show_titles(self, upwards: str, to_the_right: str) -> None:
        """Name the axes."""
        self.setLabel("bottom", to_the_right)
        self.setLabel("left", upwards)

    def show_values(self, sbd: np.ndarray, rows: tuple[float, ...], columns: tuple[float, ...]) -> None:
        """Show a grid, (rows, columns), evenly spaced."""
        self._x, self._y = np.array(columns), np.array(rows)
        self._image.setImage(sbd, levels=(float(sbd.min()), float(max(sbd.max(), sbd.min() + 1e-3))))
        self._bar.setLevels((float(sbd.min()), float(max(sbd.max(), sbd.min() + 1e-3))))
        width, height = self._step(self._x), self._step(self._y)
        self._image.setRect(
            self._x[0] - width / 2, self._y[0] - height / 2, width * len(self._x), height * len(self._y)
        )
        self.setXRange(self._x[0] - width / 2, self._x[-1] + width / 2, padding=0)
        self.setYRange(self._y[0] - height / 2, self._y[-1] + height / 2, padding=0)

    @staticmethod
    def _step(values: np.ndarray) -> float:
        return float(values[1] - values[0]) if len(values) > 1 else 1.0

    def mark(self, kind: str, x: float | None, y: float = 0.0) -> None:
        """Move a mark ("current", "best", "picked"), or hide it where x is None."""
        points = [] if x is None else [(x, y)]
        self._marks[kind].setData([point[0] for point in points], [point[1] for point in points])

    def place_of(self, row: int, column: int) -> QPointF:
        """Find where a cell's middle lies in the widget, pixels."""
        in_scene = self.getViewBox().mapViewToScene(QPointF(self._x[column], self._y[row]))
        return QPointF(self.mapFromScene(in_scene))

    def _clicked(self, event: Any) -> None:
        if not len(self._x) or not self.getViewBox().sceneBoundingRect().contains(event.scenePos()):
            return
        point = self.getViewBox().mapSceneToView(event.scenePos())
        self.picked.emit(int(np.abs(self._y - point.y()).argmin()), int(np.abs(self._x - point.x()).argmin()))
