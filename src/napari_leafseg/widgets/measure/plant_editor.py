"""What people decide about plants, tracks and names, from the tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd
from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QMenu, QWidget

from napari_leafseg.errors import UserError
from napari_leafseg.experiment.tray import Tray
from napari_leafseg.pipelines.decided import track_edits_of
from napari_leafseg.pipelines.measure import Measured
from napari_leafseg.project.decisions import FoundAgain, Places, find_leaves, forget_waiting, take_tracks
from napari_leafseg.project.measurement_settings import ImageMeasurementSettings
from napari_leafseg.widgets.common.controls import present

if TYPE_CHECKING:
    from napari_leafseg.traits.track_edits import TrackEdits


class PlantEditor(QObject):
    """Write down to which plant a leaf belongs, which leaves are one, and what plants are called.

    Parameters
    ----------
    name : callable
        Returns the notes' name of what is measured.
    settings : callable
        Returns the notes of it.
    tray : callable
        Returns the tray that holds for it.
    change_tray : callable
        Takes another one in its place.
    places : callable
        Returns where the leaves of the tables lie, by frame and leaf.
    parent : QObject

    Signals
    -------
    changed()
        Something was decided.
    """

    changed = Signal()

    def __init__(
        self,
        name: Callable[[], str],
        settings: Callable[[], ImageMeasurementSettings],
        tray: Callable[[], Tray | None],
        change_tray: Callable[[Tray], None],
        places: Callable[[], Places],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._name, self._settings, self._tray, self._change_tray = name, settings, tray, change_tray
        self._places = places
        self._before: dict[str, list[ImageMeasurementSettings]] = {}  # each decision about tracks, by name

    def menu(self, parent: QWidget, measured: Measured | None, chosen: list[int]) -> QMenu:
        """Return what can be done with the chosen rows of the table of leaves."""
        menu = QMenu(parent)
        if measured is None:
            return menu
        rows = measured.leaves.iloc[chosen]
        if not len(rows):
            return menu
        move = present(menu.addMenu("Move to plant"))
        tray = self._tray()
        if tray is not None:
            for pot in tray.pots:
                name = tray.name_of[pot]
                present(move.addAction(name)).triggered.connect(lambda _on=False, name=name: self._move_pot(rows, name))
        known = sorted({int(plant) for plant in measured.leaves["plant"]}) if tray is None else []
        for plant in [*known, max(known) + 1] if known else []:
            title = f"{plant}" if plant in known else f"{plant} (new)"
            present(move.addAction(title)).triggered.connect(lambda _on=False, plant=plant: self._move(rows, plant))
        if measured.series and len(rows) == 1 and "track" in rows:
            cut = present(menu.addAction("Cut its track before here"))
            cut.triggered.connect(lambda _on=False: self._cut(measured.leaves, rows.iloc[0]))
        if measured.series and len(rows) == 2 and rows["frame"].nunique() == 2 and _of_one_series(measured, rows):
            link = present(menu.addAction("These are one leaf"))
            link.triggered.connect(lambda _on=False: self._link(rows))
        return menu

    def _move(self, rows: pd.DataFrame, plant: int) -> None:
        plants = self._settings().plants
        for _, row in rows.iterrows():
            plants.setdefault(int(row.get("frame", 0)), {})[int(row["leaf"])] = plant
        self.changed.emit()

    def _move_pot(self, rows: pd.DataFrame, name: str) -> None:
        pots = self._settings().pots
        for _, row in rows.iterrows():
            pots.setdefault(int(row.get("frame", 0)), {})[int(row["leaf"])] = name
        self.changed.emit()

    def move_in_time(self, measured: Measured, row: int, track: int) -> None:
        """Say that a leaf and what follows it is of another track, or of one of its own.

        Parameters
        ----------
        measured : Measured
        row : int
            Of the table of growth.
        track : int
            0 for one of its own.
        """
        growth = measured.growth
        leaf = growth.iloc[row]
        order = next(one.places for one in measured.grouping.series if leaf["frame"] in one.places)
        nodes = {
            number: [_node(one) for _, one in growth[growth["track"] == number].sort_values("time").iterrows()]
            for number in (leaf["track"], track)
        }
        self._edit_tracks(lambda tracks: tracks.move(_node(leaf), nodes[leaf["track"]], nodes[track], order))

    @property
    def can_undo(self) -> bool:
        """Whether a decision about tracks can be taken back."""
        return bool(self._before.get(self._name()))

    def undo_tracks(self) -> None:
        """Take the last decision about tracks back."""
        if self.can_undo:
            notes = self._settings()
            before = self._before[self._name()].pop().of_frames([[name] for name in notes.frames])
            take_tracks(notes, find_leaves(before, self._places()).notes)  # whose numbers may be of earlier labels
            self.changed.emit()

    def forget_waiting(self, found: FoundAgain) -> None:
        """Forget the decisions that wait for leaves that are not found; can be undone as others."""
        notes, kept = self._settings(), forget_waiting(found)
        self._before.setdefault(self._name(), []).append(notes.model_copy(deep=True))
        for name in ("links", "cuts", "plants", "pots", "leaves"):
            setattr(notes, name, getattr(kept, name))
        self.changed.emit()

    def forget_steps(self) -> None:
        """Keep no steps: another project is open."""
        self._before.clear()

    def _cut(self, table: pd.DataFrame, row: pd.Series) -> None:
        same = [other for _, other in table[table["track"] == row["track"]].iterrows()]  # in order of time
        at = [_node(other) for other in same].index(_node(row))
        if at:
            self._edit_tracks(lambda tracks: tracks.cut(_node(same[at - 1]), _node(row)))

    def _link(self, rows: pd.DataFrame) -> None:
        first, second = (row for _, row in rows.iterrows())  # in order of time, as the table is
        self._edit_tracks(lambda tracks: tracks.link(_node(first), _node(second)))

    def _edit_tracks(self, change: Callable[[TrackEdits], None]) -> None:
        notes = self._settings()
        tracks = track_edits_of(notes)
        change(tracks)
        if (tracks.links, tracks.cuts) == (notes.links, notes.cuts):
            return
        self._before.setdefault(self._name(), []).append(notes.model_copy(deep=True))
        notes.links, notes.cuts = tracks.links, tracks.cuts
        self.changed.emit()

    def name_plant(self, plant: int, text: str, of_one: bool = False) -> None:
        """Give a plant, or its pot, a name; its number, or the tray's name for it, where the text is empty.

        Parameters
        ----------
        plant : int
        text : str
        of_one : bool
            The name holds for the first of the frames alone.
        """
        tray = self._tray()
        if tray is not None and 1 <= plant <= tray.rows * tray.columns:
            try:
                self._change_tray(tray.with_name(tray.pot_of_number(plant), text))
            except UserError as error:
                show_error(str(error))
                self.changed.emit()  # shows the name as it is
            return
        notes = self._settings()
        names = notes.image_names.setdefault(0, {}) if of_one else notes.names
        names[plant] = text.strip() or str(plant)
        self.changed.emit()


def _of_one_series(measured: Measured, rows: pd.DataFrame) -> bool:
    return any(set(rows["frame"]) <= set(one.places) for one in measured.grouping.series)


def _node(row: pd.Series) -> tuple[int, int]:
    return int(row["frame"]), int(row["leaf"])
