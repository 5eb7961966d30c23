"""The timeline of tracks: a row for each leaf, a square for each day; squares are dragged to the row of their leaf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_leafseg._counts import counted
from napari_leafseg.pipelines.measure import Measured
from napari_leafseg.traits import area_column
from napari_leafseg.widgets.common.controls import allow, color_axes, push_button, wrapped_label
from napari_leafseg.widgets.measure.growth_plots import Color, describe_point, palette_color, time_axis
from napari_leafseg.widgets.measure.picking import PointPicker

_ROW = 18  # pixels a row, at least
_SIZE = 11
_HINT = "Drag a square to the row of its leaf, or to “new”."
_STEPS = {
    Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0),
}  # fmt: skip


class _Lanes(pg.ViewBox):
    """Hands drags that begin on a square to the timeline; all others move the view."""

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self.invertY(True)
        self.timeline: TrackTimeline | None = None

    def mouseDragEvent(self, event: Any, axis: int | None = None) -> None:
        """Move a square, or the view."""
        if self.timeline is None or not self.timeline.dragged(event):
            super().mouseDragEvent(event, axis)


class TrackTimeline(pg.PlotWidget):
    """Rows of squares, joined where they are one leaf.

    Signals
    -------
    chosen(int)
        Row of the table of growth whose square was clicked.
    moved(int, int)
        Such a row, and the track that it and what follows are of; 0 for one of their own.
    undone()
        The last decision is to be taken back.
    """

    chosen = Signal(int)
    moved = Signal(int, int)
    undone = Signal()
    selection_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        lanes = _Lanes()
        self._shown: object = None
        super().__init__(parent=parent, background=None, viewBox=lanes)
        lanes.timeline = self
        self.setObjectName("timeline")
        self.setAccessibleName("Timeline of tracks")
        self.setMenuEnabled(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.tracks: list[int] = []
        self.selected: int | None = None
        self._points = pd.DataFrame(columns=["row", "x", "y", "frame", "leaf", "track", "pot", "lasts"])
        self._drag: int | None = None
        self.picker = PointPicker(self)
        self.picker.chosen.connect(self._clicked)
        self._ring = pg.ScatterPlotItem(size=_SIZE + 6, symbol="s", brush=None)
        self._lane = pg.LinearRegionItem(orientation="horizontal", movable=False)

    def draw(self, measured: Measured, colors: Mapping[int, Color], frame: int) -> None:
        """Show the tracks of the plant that a frame is of; leaves of that frame in their colors on the canvas."""
        kept = self._key(self.selected)
        series = next((one for one in measured.grouping.series if frame in one.places), None)
        if series is None or len(series.places) < 2:
            series = next((one for one in measured.grouping.series if len(one.places) > 1), None)
        places = () if series is None else series.places
        self._points = _points(measured, places)
        self.tracks = list(dict.fromkeys(self._points["track"]))
        item = self.getPlotItem()
        item.clear()
        self.picker.clear()
        self._draw_rows(colors)
        ink = color_axes(self, *(self.getAxis(name) for name in ("bottom", "left"))).color()
        self._ring.setPen(pg.mkPen(ink, width=2))
        self._lane.setBrush(pg.mkBrush(ink.red(), ink.green(), ink.blue(), 45))
        area, axis = area_column(measured.growth), time_axis(measured)
        at = measured.growth.loc[measured.growth["frame"] == frame, "time"]
        if frame in places and len(at) and at.notna().any():
            item.addItem(pg.InfiniteLine(axis.at(float(at.iloc[0])), pen=pg.mkPen(ink, style=Qt.PenStyle.DotLine)))
        item.setLabel("bottom", axis.unit)
        item.setLabel("left", "leaf" if series is None or not series.name else f"leaf of {series.name}")
        self.picker.show(self._points["x"].tolist(), self._points["y"].tolist(), range(len(self._points)),
                         lambda number: describe_point(measured, self._row(number), area))  # fmt: skip
        item.addItem(self._lane, ignoreBounds=True)
        item.addItem(self._ring, ignoreBounds=True)
        self._lane.hide()
        if self._shown != (shown := (places, axis.unit, len(self.tracks))):
            self._shown = shown
            self._look_at_first()
        self._select(self._numbered(kept))

    def _look_at_first(self) -> None:
        """Show the first rows and all days."""
        view = self.getPlotItem().getViewBox()
        rows = max(3.0, view.height() / _ROW)
        view.setYRange(-0.7, min(len(self.tracks) + 0.6, rows), padding=0)
        if len(self._points):
            view.setXRange(
                self._points["x"].min(), max(self._points["x"].max(), self._points["x"].min() + 1), padding=0.06
            )

    def resizeEvent(self, event: Any) -> None:
        """Show as many rows as there is room for."""
        super().resizeEvent(event)
        if self._shown is not None:
            self._look_at_first()

    def _draw_rows(self, colors: Mapping[int, Color]) -> None:
        ticks = [(number, str(track)) for number, track in enumerate(self.tracks)]
        self.getAxis("left").setTicks([[*ticks, (len(ticks), "new")]])
        shown = set(colors) & set(self.tracks)
        brushes = {
            track: pg.mkBrush(*colors.get(track, palette_color(track - 1)), 255 if not shown or track in shown else 110)
            for track in self.tracks
        }
        for track in self.tracks:
            rows, pen = self._points[self._points["track"] == track], pg.mkPen(brushes[track].color(), width=2)
            self.getPlotItem().plot(rows["x"].to_numpy(), rows["y"].to_numpy(), pen=pen)
        lasts = self._points["lasts"].tolist()
        self.getPlotItem().addItem(
            pg.ScatterPlotItem(
                x=self._points["x"].to_numpy(float), y=self._points["y"].to_numpy(float), size=_SIZE,
                symbol=["s" if last else "x" for last in lasts], pen=None,
                brush=[brushes[track] for track in self._points["track"]],
            )
        )  # fmt: skip

    def _row(self, number: int) -> int:
        """The row of the table of growth that a square is of."""
        return int(self._points["row"].iloc[number])

    # -- what is selected --------------------------------------------------------------------------------------------

    def _key(self, number: int | None) -> tuple[int, int] | None:
        """The frame and leaf of a square."""
        if number is None:
            return None
        point = self._points.iloc[number]
        return int(point["frame"]), int(point["leaf"])

    def _numbered(self, key: tuple[int, int] | None) -> int | None:
        """The square of a frame and leaf."""
        if key is None or not len(self._points):
            return None
        found = np.flatnonzero((self._points["frame"] == key[0]) & (self._points["leaf"] == key[1]))
        return int(found[0]) if len(found) else None

    def _select(self, number: int | None) -> None:
        self.selected = number
        one = self._points.iloc[[number]] if number is not None else self._points[:0]
        self._ring.setData(one["x"].to_numpy(float), one["y"].to_numpy(float))
        self.selection_changed.emit()

    def _clicked(self, number: int) -> None:
        self._select(number)
        self.setFocus()
        self.chosen.emit(self._row(number))

    def begins(self) -> bool:
        """Tell whether what is selected is the first of its track; also where nothing is."""
        if self.selected is None:
            return True
        point = self._points.iloc[self.selected]
        return bool(point["x"] <= self._points.loc[self._points["track"] == point["track"], "x"].min())

    # -- moving ------------------------------------------------------------------------------------------------------

    def dragged(self, event: Any) -> bool:
        """Follow a drag that began on a square; returns whether it did."""
        if event.button() != Qt.MouseButton.LeftButton:
            return False
        if event.isStart():
            self._drag = self.picker.nearest(event.buttonDownScenePos())
            if self._drag is not None:
                self._select(self._drag)
        if self._drag is None:
            return False
        event.accept()
        place = self.getPlotItem().getViewBox().mapSceneToView(event.scenePos())
        lane = self._lane_at(place.y(), self._drag)
        self._lane.setVisible(lane is not None)
        if lane is not None:
            self._lane.setRegion((lane - 0.5, lane + 0.5))
        point = self._points.iloc[self._drag]
        self._ring.setData([float(point["x"])], [place.y()])
        if event.isFinish():
            number, self._drag = self._drag, None
            self._lane.hide()
            self._select(number)
            self._move(number, lane)
        return True

    def _lane_at(self, y: float, number: int) -> int | None:
        """The row at a height of the view that a square may go to; one more than there are: a new one."""
        lane = round(y)
        if not 0 <= lane <= len(self.tracks):
            return None
        if lane < len(self.tracks):
            other = self._points.loc[self._points["track"] == self.tracks[lane], "pot"].iloc[0]
            if other != self._points["pot"].iloc[number]:
                return None  # what stands in another pot is another plant
        return lane

    def _move(self, number: int, lane: int | None) -> None:
        if lane is None or lane == int(self._points["y"].iloc[number]):
            return
        track = self.tracks[lane] if lane < len(self.tracks) else 0
        if track or not self.begins():
            self.moved.emit(self._row(number), track)

    def separate(self) -> None:
        """Make what is selected, and what follows it, a leaf of its own."""
        if self.selected is not None and not self.begins():
            self.moved.emit(self._row(self.selected), 0)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Go from square to square by arrows, move with Ctrl; Enter goes there, Delete separates, Ctrl+Z undoes."""
        assert event is not None
        held = event.modifiers() & Qt.KeyboardModifier.ControlModifier
        key = Qt.Key(event.key())
        if key == Qt.Key.Key_Z and held:
            self.undone.emit()
        elif key in _STEPS and len(self._points):
            self._step(*_STEPS[key], bool(held))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.selected is not None:
            self.chosen.emit(self._row(self.selected))
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.separate()
        else:
            super().keyPressEvent(event)

    def _step(self, down: int, right: int, move: bool) -> None:
        if self.selected is None:
            self._select(0)
            return
        point = self._points.iloc[self.selected]
        if move and down:
            self._move(self.selected, self._lane_at(float(point["y"]) + down, self.selected))
            return
        others = self._points
        away = (others["y"] - point["y"]) * down if down else (others["x"] - point["x"]) * right
        rows = others[(away > 0) & ((others["y"] == point["y"]) if right else True)]
        if len(rows):
            near = (rows["y"] - point["y"]).abs() * 1e6 + (rows["x"] - point["x"]).abs()
            self._select(int(near.idxmin()))


def _points(measured: Measured, places: tuple[int, ...]) -> pd.DataFrame:
    """A row for each square: which row of the table of growth it is of, and where it is shown."""
    growth = measured.growth.reset_index(drop=True)
    own = growth[growth["frame"].isin(places) & growth["time"].notna()]
    points = own[["frame", "leaf", "track", "plant_track", "lasts"]].copy()
    points["pot"] = own.get("pot", "")
    points["row"], points["x"] = own.index, time_axis(measured).at(own["time"])
    first = points.groupby("track")["x"].transform("min")
    points = points.assign(first=first).sort_values(["plant_track", "first", "track", "x"]).reset_index(drop=True)
    points["y"] = pd.factorize(points["track"])[0]
    return points


class TimelinePanel(QWidget):
    """The timeline, and its buttons."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.plot = TrackTimeline()
        column.addWidget(self.plot, 1)
        column.addWidget(wrapped_label("timeline_hint", _HINT))
        row = QHBoxLayout()
        tip = "The selected square and what follows it are another leaf than what is before (Delete)"
        self.separate_button = push_button("separate", "A leaf of its own from here", self.plot.separate, tip)
        self.undo_button = push_button(
            "undo_tracks", "Undo", self.plot.undone.emit, "Take back the last decision (Ctrl+Z)"
        )
        row.addWidget(self.separate_button, 1)
        row.addWidget(self.undo_button)
        column.addLayout(row)
        self.forget_button = push_button("forget_waiting", "")
        self.forget_button.setToolTip("Decisions about leaves that are not found, as the line above says")
        self.forget_button.hide()
        column.addWidget(self.forget_button)
        self.plot.selection_changed.connect(self._selected)
        self.show_decisions(False, 0)
        self._selected()

    def show_decisions(self, possible: bool, waiting: int) -> None:
        """Say whether there is a decision to take back, and how many wait for leaves."""
        self.forget_button.setText(f"Forget {counted(waiting, 'decision')} that {'waits' if waiting == 1 else 'wait'}")
        self.forget_button.setVisible(waiting > 0)
        allow(self.undo_button, "" if possible else "Nothing was decided yet")

    def _selected(self) -> None:
        first = self.plot.begins()
        allow(self.separate_button, "Select a square that is not the first of its row" if first else "")
