"""Points of a plot that are named under the mouse, and chosen by a click."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QPalette

_NEAR = 12.0  # pixels


class PointPicker(QObject):
    """Tell which point of a plot is under the mouse.

    Parameters
    ----------
    plot : pyqtgraph.PlotWidget

    Signals
    -------
    chosen(int)
        Somebody clicked a point; the number that was given with it.
    """

    chosen = Signal(int)

    def __init__(self, plot: pg.PlotWidget) -> None:
        super().__init__(plot)
        self._plot = plot
        self._x = self._y = np.zeros(0)
        self._numbers: list[int] = []
        self._describe: Callable[[int], str] = str
        self.label = pg.TextItem(fill=pg.mkBrush(20, 22, 28, 225), color="#FFFFFF")
        self.ring = pg.ScatterPlotItem(size=13, brush=None)
        for item in (self.label, self.ring):
            item.setZValue(100)
        plot.scene().sigMouseMoved.connect(self._moved)
        plot.scene().sigMouseClicked.connect(self._clicked)

    def clear(self) -> None:
        """Forget all points."""
        self._x = self._y = np.zeros(0)
        self._numbers = []
        self._hide()

    def show(
        self, x: Sequence[float], y: Sequence[float], numbers: Sequence[int], describe: Callable[[int], str]
    ) -> None:
        """Take over points, their numbers, and what says in words which each is."""
        self._x, self._y = np.asarray(x, float), np.asarray(y, float)
        self._numbers, self._describe = [int(number) for number in numbers], describe
        self.ring.setPen(pg.mkPen(self._plot.palette().color(QPalette.ColorRole.WindowText), width=2))
        for item in (self.label, self.ring):
            self._plot.addItem(item, ignoreBounds=True)
        self._hide()

    def _hide(self) -> None:
        self.label.setVisible(False)
        self.ring.setVisible(False)

    def nearest(self, place: Any) -> int | None:
        """Return which point lies at a place of the scene; None where none is near."""
        view = self._plot.getPlotItem().getViewBox()
        if not len(self._x) or not view.sceneBoundingRect().contains(place):
            return None
        point, (wide, high) = view.mapSceneToView(place), view.viewPixelSize()
        away = np.hypot((self._x - point.x()) / wide, (self._y - point.y()) / high)
        if np.isnan(away).all():
            return None
        at = int(np.nanargmin(away))
        return at if away[at] <= _NEAR else None

    def _moved(self, place: Any) -> None:
        at = self.nearest(place)
        if at is None:
            self._hide()
            return
        view = self._plot.getPlotItem().getViewBox()
        (left, right), (low, high) = view.viewRange()
        right_half, upper_half = self._x[at] > (left + right) / 2, self._y[at] > (low + high) / 2
        self.label.setText(self._describe(self._numbers[at]))
        self.label.setAnchor((1.05 if right_half else -0.05, -0.2 if upper_half else 1.2))
        self.label.setPos(self._x[at], self._y[at])
        self.ring.setData([self._x[at]], [self._y[at]])
        self.label.setVisible(True)
        self.ring.setVisible(True)

    def _clicked(self, event: Any) -> None:
        at = self.nearest(event.scenePos())
        if at is not None:
            event.accept()
            self.chosen.emit(self._numbers[at])
