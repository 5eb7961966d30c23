"""The grid of a tray on the canvas: its corners are dragged, a click on a pot marks it as empty."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image, Points
from qtpy.QtCore import QObject, Signal

from napari_leafseg.errors import ParameterError
from napari_leafseg.experiment.tray import Tray
from napari_leafseg.widgets.measure.handles import Handles, plane_shape
from napari_leafseg.widgets.state.layers import geometry
from napari_leafseg.widgets.state.session import Session

_LINE, _CROSS = "yellow", "red"


class TrayGrid(QObject):
    """Shows a tray over an image while it is edited.

    Parameters
    ----------
    session : Session
    image : napari.layers.Image
    tray : Tray
    parent : QObject

    Signals
    -------
    changed()
        Somebody dragged a corner or clicked a pot.
    removed()
        Somebody deleted one of the layers.
    """

    changed = Signal()
    removed = Signal()

    def __init__(self, session: Session, image: Image, tray: Tray, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self.image, self.tray = session, image, tray
        self.shape = plane_shape(image)
        selection = session.viewer.layers.selection
        active = selection.active
        self._names: Points = session.viewer.add_layer(
            Points(np.zeros((0, 2)), ndim=2, name="tray names", size=1, face_color="transparent",
                   border_color="transparent", metadata=session.mark(image, "tray"), **geometry(image, 2))
        )  # fmt: skip
        selection.active = active  # which the handles bring back
        self.handles = Handles(session, image, "tray", "tray", self)
        self.handles.moved.connect(self._moved)
        self.handles.rested.connect(self._rested)
        self.handles.clicked.connect(self._clicked)
        self.handles.removed.connect(self.removed)
        self.show(tray)

    def show(self, tray: Tray) -> None:
        """Show another tray."""
        self.tray = tray
        corners = np.array(tray.corners) * self.shape - 0.5
        segments, crosses = _lines(tray, self.shape), _crosses(tray, self.shape)
        colors = [_LINE] * len(segments) + [_CROSS] * len(crosses)
        self.handles.show(corners, np.concatenate([segments, crosses]), colors)
        self._write_names()

    def close(self) -> None:
        """Take the grid away."""
        if self._names in self._session.viewer.layers:
            self._session.viewer.layers.remove(self._names)
        self.handles.close()
        self.deleteLater()

    def _write_names(self) -> None:
        names = [self.tray.name_of[pot] for pot in self.tray.pots]
        middles = np.array([self.tray.middle(pot, self.shape) for pot in self.tray.pots])
        self._names.data = middles
        self._names.text = {"string": {"array": np.array(names)}, "color": "white", "size": 9}

    def _moved(self) -> None:
        """Follow a corner that is being dragged, as long as the four make a tray."""
        corners = tuple((float(y), float(x)) for y, x in (self.handles.points + 0.5) / self.shape)
        try:
            self.tray = replace(self.tray, corners=corners)
        except ParameterError:
            self.handles.dots.data = self.handles.points  # the grid waits until they do
            return
        segments, crosses = _lines(self.tray, self.shape), _crosses(self.tray, self.shape)
        colors = [_LINE] * len(segments) + [_CROSS] * len(crosses)
        self.handles.show(self.handles.points, np.concatenate([segments, crosses]), colors)

    def _rested(self) -> None:
        self.show(self.tray)
        self.changed.emit()

    def _clicked(self, at: Any) -> None:
        pot = self.tray.pot_at(float(at[0]), float(at[1]), self.shape)
        if pot is not None:
            self.show(self.tray.with_empty(pot, pot not in self.tray.empty))
            self.changed.emit()


def _lines(tray: Tray, shape: tuple[int, int]) -> np.ndarray:
    """The lines between pots, (N, 2, 2); they are straight in any perspective."""
    rows, columns = tray.rows, tray.columns
    ends = [((row, 0), (row, columns)) for row in range(rows + 1)]
    ends += [((0, column), (rows, column)) for column in range(columns + 1)]
    return tray.to_image(ends, shape).reshape(-1, 2, 2)


def _crosses(tray: Tray, shape: tuple[int, int]) -> np.ndarray:
    """Two lines across each empty pot, (N, 2, 2)."""
    low, high = 0.2, 0.8
    ends = [
        ((row + low, column + a), (row + high, column + b))
        for row, column in sorted(tray.empty)
        for a, b in ((low, high), (high, low))
    ]
    return tray.to_image(ends, shape).reshape(-1, 2, 2)
