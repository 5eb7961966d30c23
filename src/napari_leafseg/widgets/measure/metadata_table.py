"""The table of *Plants and dates*: edited by hand, filled from a spreadsheet's cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QFont, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QApplication, QTableView, QWidget

from napari_leafseg.experiment import FIELDS, Described, Source
from napari_leafseg.experiment.dates import day_comes_first, write_moment
from napari_leafseg.experiment.metadata import canonical
from napari_leafseg.widgets.common.controls import present

_TITLES = {"time": "date", "day": "day"}
_SOURCES = {
    Source.HAND: "typed here", Source.TABLE: "from the table", Source.NAME: "from the file’s name",
    Source.FOLDER: "from the folder’s name", Source.EXIF: "from EXIF",
}  # fmt: skip


class Change(NamedTuple):
    """A cell that is to hold another text."""

    path: Path
    field: str
    text: str


class MetadataModel(QAbstractTableModel):
    """What is known of images, a row an image; or of pots, a row a pot.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        The rows.
    names : mapping
        What the first column says of them.
    parent : QWidget, optional
    fields : sequence of str
        The columns that are always there.
    title : str
        Of the first column.

    Signals
    -------
    changed(list)
        Somebody changed cells; the model itself does not.
    refused(str)
        Why a text cannot be taken.
    """

    changed = Signal(list)
    refused = Signal(str)

    def __init__(
        self, paths: Sequence[Path], names: Mapping[Path, str], parent: QWidget | None = None,
        fields: Sequence[str] = FIELDS, title: str = "image",
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self.paths, self._names, self._title = list(paths), names, title
        self._fixed, self.fields = list(fields), list(fields)
        self._known: Mapping[Path, Described] = {}

    def show(self, known: Mapping[Path, Described]) -> None:
        """Show what is known."""
        there = self.fields[len(self._fixed) :]
        said = {name for one in known.values() for name in (*one.metadata.extra, *one.sources)}
        further = sorted((said - set(self._fixed) - (set(FIELDS) if self._fixed == [*FIELDS] else set())) | set(there))
        if further != there:
            self.beginResetModel()
            self._known, self.fields = known, [*self._fixed, *further]
            self.endResetModel()
            return
        self._known = known
        if self.paths:
            self.dataChanged.emit(self.index(0, 0), self.index(self.rowCount() - 1, self.columnCount() - 1))

    def rowCount(self, _parent: QModelIndex | None = None) -> int:
        """Number of images."""
        return len(self.paths)

    def columnCount(self, _parent: QModelIndex | None = None) -> int:
        """Number of fields, and the image's name."""
        return 1 + len(self.fields)

    def text(self, row: int, column: int) -> str:
        """Return what a cell shows."""
        path = self.paths[row]
        if column == 0:
            return self._names[path]
        data = self._known.get(path, Described()).metadata
        name = self.fields[column - 1]
        if name == "time":
            return "" if data.time is None else write_moment(data.time)
        if name == "day":
            return "" if data.day is None else f"{data.day:.6g}"
        return str(getattr(data, name) if name in FIELDS else data.extra.get(name, ""))

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Give a cell's text; what was typed is bold, and the tool tip says who says it."""
        if not index.isValid():
            return None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return self.text(index.row(), index.column())
        path = self.paths[index.row()]
        if index.column() == 0:
            return str(path) if role == Qt.ItemDataRole.ToolTipRole else None
        source = self._known.get(path, Described()).sources.get(self.fields[index.column() - 1])
        if role == Qt.ItemDataRole.ToolTipRole:
            return None if source is None else _SOURCES[source]
        if role == Qt.ItemDataRole.FontRole and source == Source.HAND:
            font = QFont()
            font.setBold(True)
            return font
        return None

    def headerData(self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Name the columns."""
        if role != Qt.ItemDataRole.DisplayRole or orientation == Qt.Orientation.Vertical:
            return None
        name = self._title if section == 0 else self.fields[section - 1]
        return _TITLES.get(name, name).replace("_", " ")

    def flags(self, index: QModelIndex) -> Any:
        """Let all be changed but the images' names."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsEditable if index.isValid() and index.column() else flags

    def setData(self, index: QModelIndex, value: Any, _role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Take what somebody typed."""
        if str(value) != self.text(index.row(), index.column()):
            self.fill({(index.row(), index.column()): str(value)})
        return True

    def fill(self, cells: Mapping[tuple[int, int], str]) -> None:
        """Take texts of cells: all of them or, where one cannot be used, none."""
        dates = [text for (_, column), text in cells.items() if column and self.fields[column - 1] == "time"]
        day_first, changes = day_comes_first(dates), []
        for (row, column), text in cells.items():
            if not column:
                continue
            name = self.fields[column - 1]
            try:
                changes.append(Change(self.paths[row], name, canonical(name, text, day_first)))
            except ValueError as error:
                where = f"{self.text(row, 0)}, {_TITLES.get(name, name)}: {error}."
                self.refused.emit(where if len(cells) == 1 else f"{where} Nothing was changed.")
                return
        if changes:
            self.changed.emit(changes)


class MetadataView(QTableView):
    """Shows the table; cells are copied, pasted and emptied as in a spreadsheet.

    Signals
    -------
    undo_wanted()
        Somebody pressed Ctrl+Z.
    """

    undo_wanted = Signal()

    def __init__(self, model: MetadataModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("metadata_table")
        self.cells = model
        self.setModel(model)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        present(self.verticalHeader()).setVisible(False)
        present(self.verticalHeader()).setDefaultSectionSize(22)
        present(self.horizontalHeader()).setDefaultSectionSize(86)
        self.setColumnWidth(0, 220)
        if "time" in model.fields:
            self.setColumnWidth(1 + model.fields.index("time"), 130)
        self.setToolTip("")

    def keyPressEvent(self, event: Any) -> None:
        """Copy, paste and empty the chosen cells."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif event.matches(QKeySequence.StandardKey.Paste):
            self.paste()
        elif event.matches(QKeySequence.StandardKey.Undo):
            self.undo_wanted.emit()
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.cells.fill({(index.row(), index.column()): "" for index in self.selectedIndexes()})
        else:
            super().keyPressEvent(event)

    def _block(self) -> tuple[range, range]:
        """Rows and columns around the chosen cells."""
        chosen = self.selectedIndexes() or [self.currentIndex()]
        rows, columns = [index.row() for index in chosen], [index.column() for index in chosen]
        return range(min(rows), max(rows) + 1), range(min(columns), max(columns) + 1)

    def copy(self) -> None:
        """Copy the chosen cells, separated by tabs."""
        rows, columns = self._block()
        if rows[0] >= 0:
            lines = ("\t".join(self.cells.text(row, column) for column in columns) for row in rows)
            present(QApplication.clipboard()).setText("\n".join(lines))

    def paste(self) -> None:
        """Write the clipboard's cells from the first chosen one on; again and again where more are chosen."""
        text = present(QApplication.clipboard()).text().rstrip("\r\n")
        lines = [line.split("\t") for line in text.replace("\r\n", "\n").split("\n")]
        rows, columns = self._block()
        if not text or rows[0] < 0:
            return
        high, wide = len(lines), max(map(len, lines))
        down = range(rows[0], rows[0] + max(high, len(rows) // high * high))
        across = range(columns[0], columns[0] + max(wide, len(columns) // wide * wide))
        cells = {}
        for at, row in enumerate(down):
            line = lines[at % high]
            for beside, column in enumerate(across):
                if row < self.cells.rowCount() and column < self.cells.columnCount() and beside % wide < len(line):
                    cells[row, column] = line[beside % wide]
        self.cells.fill(cells)
