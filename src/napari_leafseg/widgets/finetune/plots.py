"""What one looks at while a model is fine-tuned: curves, and a held-out image before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QLabel, QWidget

from napari_leafseg._opencv import cv2
from napari_leafseg.widgets.common.controls import burst_timer, color_axes

_COLORS = ("#E69F00", "#56B4E9", "#CC79A7", "#44AA99", "#D55E00", "#F0E442", "#999999")
_SIDE = 180


class CurvePlot(pg.PlotWidget):
    """Curves by name, over steps.

    Parameters
    ----------
    title : str
        Of the upward axis.
    logarithmic : bool
    """

    def __init__(self, title: str, logarithmic: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent, background=None)
        self.setFixedHeight(170)
        self.setMenuEnabled(False)
        self.setMouseEnabled(x=False, y=False)
        self.hideButtons()
        self.setLabel("left", title)
        self.setLabel("bottom", "step")
        self.getPlotItem().setLogMode(y=logarithmic)
        self.legend = self.addLegend(offset=(-5, -5), labelTextSize="8pt")
        self._points: dict[str, tuple[list[float], list[float]]] = {}
        self._curves: dict[str, pg.PlotDataItem] = {}
        self._soon = burst_timer(self, self._draw)  # a graphics card makes more steps a second than one can see
        self.getAxis("left").setWidth(54)
        self.take_colors()

    def take_colors(self) -> None:
        """Axes in the color of the window's text."""
        pen = color_axes(self, self.getAxis("left"), self.getAxis("bottom"))
        self.legend.setLabelTextColor(pen.color())

    def changeEvent(self, event: Any) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == event.Type.PaletteChange and hasattr(self, "legend"):
            self.take_colors()

    def show_steps(self, steps: int) -> None:
        """How far the axis reaches from the beginning."""
        self.setXRange(0, steps, padding=0.02)

    def clear_curves(self) -> None:
        """Take all curves away."""
        self._points, self._curves = {}, {}
        self.getPlotItem().clear()
        self.legend.clear()

    def add(self, step: float, values: dict[str, float], marks: bool = False) -> None:
        """Add a point to each curve; a curve is made at its first point."""
        for name, value in values.items():
            if not np.isfinite(value):
                continue
            xs, ys = self._points.setdefault(name, ([], []))
            xs.append(step)
            ys.append(max(value, 1e-6))
            if name not in self._curves:
                pen = pg.mkPen(_COLORS[len(self._curves) % len(_COLORS)], width=2)
                symbol = "o" if marks else None
                self._curves[name] = self.plot(pen=pen, name=name, symbol=symbol, symbolSize=7)
        if not self._soon.isActive():
            self._soon.start()

    def _draw(self) -> None:
        """Show all points."""
        for name, curve in self._curves.items():
            curve.setData(*self._points[name])

    def values(self, name: str) -> list[float]:
        """What a curve shows."""
        return list(self._points.get(name, ([], []))[1])


class PreviewLabel(QLabel):
    """An image with the outlines of its leaves."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setMinimumSize(_SIDE, _SIDE)

    def show_image(self, image: np.ndarray) -> None:
        """Show uint8 (H, W, 3)."""
        data = np.ascontiguousarray(image)
        height, width = data.shape[:2]
        self.setPixmap(QPixmap.fromImage(QImage(data.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)))


def outlined(image: np.ndarray, labels: np.ndarray, around: np.ndarray) -> np.ndarray:
    """A small image of leaves' outlines; no work for the window's thread.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (H, W, 3).
    labels : numpy.ndarray
        Integer (H, W).
    around : numpy.ndarray
        bool (H, W); cut to where it is not empty.

    Returns
    -------
    numpy.ndarray
        uint8, its longer side 180.
    """
    rows, columns = np.flatnonzero(around.any(1)), np.flatnonzero(around.any(0))
    if len(rows):
        pad = 4 + (rows[-1] - rows[0] + columns[-1] - columns[0]) // 20
        box = (
            slice(max(0, int(rows[0] - pad)), int(rows[-1] + pad + 1)),
            slice(max(0, int(columns[0] - pad)), int(columns[-1] + pad + 1)),
        )
        image, labels = image[box], labels[box]
    factor = _SIDE / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    small = cv2.resize(
        np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    )
    plane = cv2.resize(labels.astype(np.uint16), size, interpolation=cv2.INTER_NEAREST)
    edge = np.zeros(plane.shape, bool)
    edge[:, 1:] |= plane[:, 1:] != plane[:, :-1]
    edge[1:] |= plane[1:] != plane[:-1]
    small[edge] = (255, 60, 200)
    return small
