"""Axes of plots."""

from __future__ import annotations

import pyqtgraph as pg


class WholeAxis(pg.AxisItem):
    """An axis of what is counted: while `whole`, it has ticks at whole numbers only.

    Parameters
    ----------
    orientation : str
    whole : bool
    """

    def __init__(self, orientation: str, whole: bool = True) -> None:
        super().__init__(orientation)
        self.whole = whole

    def tickSpacing(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, float]]:
        """Return how far apart ticks are, the widest first."""
        levels: list[tuple[float, float]] = super().tickSpacing(minVal, maxVal, size)
        if not self.whole:
            return levels
        return [level for level in levels if level[0] >= 1] or [(1.0, 0.0)]
