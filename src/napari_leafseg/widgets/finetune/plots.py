"""The curves of a fine-tuning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtWidgets import QWidget

from napari_leafseg.widgets.common.axes import WholeAxis
from napari_leafseg.widgets.common.controls import burst_timer, color_axes

_COLORS = ("#E69F00", "#56B4E9", "#CC79A7", "#44AA99", "#D55E00", "#F0E442", "#999999")
_AROUND = 12  # pixels: of the numbers and the name of the upward axis
_A_LINE = 4  # names above the curves


class DecadeAxis(pg.AxisItem):
    """Write 1, 2 and 5 of each decade of a logarithmic axis; other numbers would lie over each other."""

    def logTickStrings(self, values: Any, scale: float, spacing: float) -> list[str]:
        """Return the texts of ticks."""
        texts = super().logTickStrings(values, scale, spacing)
        digits = (f"{10 ** float(value):.0e}"[0] for value in values)
        return [text if digit in "125" else "" for text, digit in zip(texts, digits, strict=True)]


class CurvePlot(pg.PlotWidget):
    """Curves by name, over steps.

    Parameters
    ----------
    title : str
        Of the upward axis.
    logarithmic : bool
    """

    def __init__(self, title: str, logarithmic: bool = False, parent: QWidget | None = None) -> None:
        axes = {"bottom": WholeAxis("bottom")} | ({"left": DecadeAxis("left")} if logarithmic else {})
        super().__init__(parent=parent, background=None, axisItems=axes)
        self.setFixedHeight(170)
        self.setMenuEnabled(False)
        self.setMouseEnabled(x=False, y=False)
        self.hideButtons()
        self.setLabel("left", title)
        self.setLabel("bottom", "step")
        self.getPlotItem().setLogMode(y=logarithmic)
        self._logarithmic = logarithmic
        self._points: dict[str, tuple[list[float], list[float]]] = {}
        self._curves: dict[str, pg.PlotDataItem] = {}
        self._soon = burst_timer(self, self._draw)  # a graphics card makes more steps a second than one can see
        metrics = self.fontMetrics()  # the same in all plots, so that their steps lie below each other
        self.getAxis("left").setWidth(metrics.height() + metrics.horizontalAdvance("0.0005") + _AROUND)
        self.take_colors()

    def take_colors(self) -> None:
        """Draw the axes in the color of the window's text."""
        self._text = color_axes(self, self.getAxis("left"), self.getAxis("bottom")).color().name()
        self._name_curves()

    def _name_curves(self) -> None:
        """Say above the curves, where it covers none, which is which."""
        names = [
            f"<span style='color:{_COLORS[at % len(_COLORS)]}'>■</span> {name}" for at, name in enumerate(self._curves)
        ]
        lines = [names] if len(names) <= _A_LINE else [names[: (len(names) + 1) // 2], names[(len(names) + 1) // 2 :]]
        text = "<br>".join("&nbsp;&nbsp; ".join(line) for line in lines)
        self.setTitle(text or None, size="8pt", color=self._text)

    def changeEvent(self, event: Any) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == event.Type.PaletteChange and hasattr(self, "_text"):
            self.take_colors()

    def show_steps(self, steps: int) -> None:
        """Set how far the axis reaches from the beginning."""
        self.setXRange(0, steps, padding=0.02)

    def clear_curves(self) -> None:
        """Take all curves away."""
        self._points, self._curves = {}, {}
        self.getPlotItem().clear()
        self._name_curves()

    @property
    def drawn(self) -> bool:
        """Whether there is a curve."""
        return bool(self._curves)

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
                self._curves[name] = self.plot(pen=pen, symbol=symbol, symbolSize=7)
                self._name_curves()
        if not self._soon.isActive():
            self._soon.start()

    def _draw(self) -> None:
        """Show all points, with an axis that fits them."""
        for name, curve in self._curves.items():
            curve.setData(*self._points[name])
        values = np.array([value for _, ys in self._points.values() for value in ys])
        if self._logarithmic:
            values = np.log10(values)
        if len(values):
            margin = max(0.1 * float(np.ptp(values)), 0.05 if self._logarithmic else 0.005)
            self.setYRange(float(values.min()) - margin, float(values.max()) + margin, padding=0)

    def values(self, name: str) -> list[float]:
        """Return what a curve shows."""
        return list(self._points.get(name, ([], []))[1])
