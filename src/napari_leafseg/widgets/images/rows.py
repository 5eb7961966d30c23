"""The images as rows of a model: sorted, filtered, and what each says of itself."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QObject, Qt

from napari_leafseg._counts import counted
from napari_leafseg.project.review import natural_key
from napari_leafseg.widgets.common.background_run import WAITING
from napari_leafseg.widgets.state.image_record import ListedImage, ReviewState, describe
from napari_leafseg.widgets.state.session import Session

ENTRY = Qt.ItemDataRole.UserRole
SURE, FAIR = 0.6, 0.3  # confidences from which on a bar is green, and orange
ORDERS = {
    "list": "As added", "name": "Name", "date": "Date", "confidence": "Least certain first",
}  # fmt: skip


class RowState(Enum):
    """What the icon of a row says."""

    NEW = "not segmented"
    WAITING = "waiting for its turn"
    RUNNING = "being computed"
    SEGMENTED = "segmented, not reviewed"
    IN_PROGRESS = "review in progress"
    REVIEWED = "reviewed"
    TROUBLE = "cannot be done"


def row_state(entry: ListedImage) -> RowState:
    """Return the state that a row's icon shows."""
    if entry.error or entry.missing or entry.trouble:
        return RowState.TROUBLE
    if entry.task:
        return RowState.WAITING if entry.task == WAITING else RowState.RUNNING
    if entry.review is ReviewState.DONE:
        return RowState.REVIEWED
    if entry.review is ReviewState.IN_PROGRESS:
        return RowState.IN_PROGRESS
    return RowState.SEGMENTED if entry.has_leaves else RowState.NEW


def confidence_of(entry: ListedImage) -> float | None:
    """Return the confidence that a row shows: of the least certain leaf that nobody verified."""
    return 1.0 if entry.review is ReviewState.DONE else entry.confidence


def _by_name(entry: ListedImage) -> str:
    return natural_key(entry.path.name)


def _by_date(entry: ListedImage) -> tuple[float, str]:
    return (float("inf") if entry.date is None else entry.date, entry.path.name)


def _by_confidence(entry: ListedImage) -> tuple[bool, float, str]:
    sure = confidence_of(entry)
    return (sure is None, 2.0 if sure is None else sure, entry.path.name)


_KEYS: dict[str, Callable[[ListedImage], Any]] = {"name": _by_name, "date": _by_date, "confidence": _by_confidence}


class ImageRows(QAbstractListModel):
    """Show the images of a session as rows.

    Parameters
    ----------
    session : Session
    order : str
        One of `ORDERS`.
    wanted : callable, optional
        Says which images have a row; all of them where none is given.
    """

    def __init__(
        self, session: Session, order: str = "list", wanted: Callable[[ListedImage], bool] | None = None,
        parent: QObject | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self.session, self.order, self.words = session, order if order in ORDERS else "list", ""
        self.wanted = wanted
        self.entries: list[ListedImage] = []
        self._rows: dict[Path, int] = {}

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        """Return how many images there are."""
        return 0 if parent.isValid() else len(self.entries)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a row says, its tool tip, or its image."""
        if not index.isValid() or index.row() >= len(self.entries):
            return None
        entry = self.entries[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return f"{entry.path.name}\n{describe(entry)}"
        if role == ENTRY:
            return entry
        return self.tip(entry) if role == Qt.ItemDataRole.ToolTipRole else None

    @staticmethod
    def tip(entry: ListedImage) -> str:
        """Return all that is known of an image, in lines."""
        if entry.error or entry.trouble:
            return entry.error or entry.trouble
        lines = [str(entry.path), f"{describe(entry)} ({row_state(entry).value})"]
        if entry.confidence is not None and entry.has_leaves:
            colors = f"green from {SURE:g}, orange from {FAIR:g}, red below"
            lines.append(f"Bar: how certain the model is of the least certain leaf, {entry.confidence:.2f} ({colors})")
        lines.extend(warnings(entry))
        model = {} if entry.facts is None else entry.facts.record.get("model", {})
        if model:
            lines.append(f"Leaves from “{model.get('name')}”")
        return "\n".join(lines)

    def row_of(self, entry: ListedImage | None) -> int:
        """Return the row of an image; -1 where it has none."""
        return -1 if entry is None else self._rows.get(entry.path, -1)

    # -- changing ----------------------------------------------------------------------------------------------------

    def sort_by(self, order: str) -> None:
        """Sort by one of `ORDERS`."""
        self.order = order
        self.arrange()

    def filter_by(self, words: str) -> None:
        """Show images whose name or state has all of these words."""
        self.words = words
        self.arrange()

    def refresh(self) -> None:
        """Show changed states; rows that came or went as well."""
        if self._arranged() != self.entries:
            self.arrange()
        elif self.entries:
            self.dataChanged.emit(self.index(0), self.index(len(self.entries) - 1))

    def show(self, entry: ListedImage) -> None:
        """Show that an image's state changed."""
        row = self.row_of(entry)
        if row >= 0:
            self.dataChanged.emit(self.index(row), self.index(row))

    def arrange(self) -> None:
        """Sort and filter; who points at an image goes on doing so."""
        self.layoutAboutToBeChanged.emit()
        before = [(index, index.data(ENTRY)) for index in self.persistentIndexList()]
        self.entries = self._arranged()
        self._rows = {entry.path: row for row, entry in enumerate(self.entries)}
        for index, entry in before:
            row = self.row_of(entry)
            same = row >= 0 and self.entries[row] is entry  # not the image of a project that was opened
            self.changePersistentIndex(index, self.index(row) if same else QModelIndex())
        self.layoutChanged.emit()

    def _arranged(self) -> list[ListedImage]:
        entries = list(self.session.images)
        if self.wanted is not None:
            entries = [entry for entry in entries if self.wanted(entry)]
        words = self.words.lower().split()
        if words:
            entries = [entry for entry in entries if all(word in self._searched(entry) for word in words)]
        return sorted(entries, key=_KEYS[self.order]) if self.order in _KEYS else entries

    @staticmethod
    def _searched(entry: ListedImage) -> str:
        return f"{entry.path.name} {describe(entry)}".lower()


def warnings(entry: ListedImage) -> list[str]:
    """Say what is odd about an image's leaves."""
    found = []
    if entry.jumped is not None:
        found.append(f"{counted(entry.count, 'leaf')}, but {entry.jumped} before and after it")
    at_border = 0 if entry.facts is None else entry.facts.at_border
    if at_border:
        found.append(f"{at_border} {'leaf touches' if at_border == 1 else 'leaves touch'} the border of the image")
    return found
