"""Data frames as tables that sort, filter and are copied."""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QAbstractTableModel, QItemSelectionModel, QModelIndex, QSortFilterProxyModel, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QTableView, QWidget

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import ParameterError
from napari_leafseg.io.tables import as_csv
from napari_leafseg.traits.table_files import ENDINGS, TableStyle, write_table
from napari_leafseg.widgets.common.controls import present

FORMATS = {ending: f"{kind} (*{ending})" for ending, kind in ENDINGS.items()}


class FrameModel(QAbstractTableModel):
    """A data frame; numbers are shown short and sorted as numbers.

    Signals
    -------
    edited(int, str, str)
        Row, column and new text of a cell that somebody changed; the model itself does not change.
    """

    edited = Signal(int, str, str)

    def __init__(self, parent: QWidget | None = None, editable: tuple[str, ...] = ()) -> None:
        super().__init__(parent)
        self.table = pd.DataFrame()
        self._editable = editable

    def show(self, table: pd.DataFrame) -> None:
        """Show another data frame."""
        self.beginResetModel()
        self.table = table
        self.endResetModel()

    def rowCount(self, _parent: QModelIndex | None = None) -> int:
        """Number of rows."""
        return len(self.table)

    def columnCount(self, _parent: QModelIndex | None = None) -> int:
        """Number of columns."""
        return self.table.shape[1]

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Give a cell as text, or as itself for sorting (`UserRole`)."""
        if not index.isValid():
            return None
        value: Any = self.table.iat[index.row(), index.column()]
        if self.table.columns[index.column()] == FRAME:
            value += 1
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return _text(value)
        if role == Qt.ItemDataRole.UserRole:
            return value.item() if isinstance(value, np.generic) else value
        if role == Qt.ItemDataRole.TextAlignmentRole and isinstance(value, int | float | np.number):
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Name the columns, with units."""
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        if orientation == Qt.Orientation.Vertical:
            return None
        return heading(str(self.table.columns[section]))

    def flags(self, index: QModelIndex) -> Any:
        """Let cells of the editable columns be changed."""
        flags = super().flags(index)
        if index.isValid() and self.table.columns[index.column()] in self._editable:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def setData(self, index: QModelIndex, value: Any, _role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Tell that a cell was changed."""
        if str(value) != self.data(index):
            self.edited.emit(index.row(), str(self.table.columns[index.column()]), str(value))
        return True


_UNITS = {
    "_per_px2": "1/px²", "_per_px": "1/px", "_per_mm2": "1/mm²", "_per_mm": "1/mm",
    "_px2": "px²", "_px": "px", "_mm2": "mm²", "_mm": "mm", "_deg": "°",
}  # fmt: skip


FRAME = "frame"
IMAGE_NUMBER = "image_number"  # what a frame is called on the screen, where it counts from 1


def heading(name: str) -> str:
    """Write a column's name as a person reads it: ``area_mm2`` is "area (mm²)"."""
    name = IMAGE_NUMBER if name == FRAME else name
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} ({unit})"
    return name.replace("_", " ")


def _text(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        number = float(value)
        return "" if np.isnan(number) else f"{number:.4g}" if abs(number) < 1e4 else f"{number:.0f}"
    return str(value)


class _Filter(QSortFilterProxyModel):
    """Rows that meet a condition, as pandas reads it (``area_px2 > 100 and leaf != 3``)."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSortRole(Qt.ItemDataRole.UserRole)
        self._kept: set[int] | None = None

    def keep(self, rows: set[int] | None) -> None:
        """Show these rows of the source only; all when None."""
        self._kept = rows
        self.invalidateFilter()

    def filterAcceptsRow(self, row: int, _parent: QModelIndex) -> bool:
        """Tell whether a row is shown."""
        return self._kept is None or row in self._kept


class FrameView(QTableView):
    """A table of a data frame.

    Signals
    -------
    row_chosen(int)
        Row of the data frame that the user went to.
    """

    row_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None, editable: tuple[str, ...] = ()) -> None:
        super().__init__(parent)
        self.frame = FrameModel(self, editable)
        self.proxy = _Filter(self)
        self.proxy.setSourceModel(self.frame)
        self.setModel(self.proxy)
        self.setSortingEnabled(True)
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        present(self.verticalHeader()).setVisible(False)
        present(self.verticalHeader()).setDefaultSectionSize(22)
        present(self.horizontalHeader()).setDefaultSectionSize(84)
        present(self.selectionModel()).currentRowChanged.connect(self._moved)
        self._silent = False

    @property
    def table(self) -> pd.DataFrame:
        """The data frame."""
        return self.frame.table

    def show_table(self, table: pd.DataFrame) -> None:
        """Show a data frame; sorting, column widths, selected rows and scroll position stay."""
        across, down = present(self.horizontalScrollBar()).value(), present(self.verticalScrollBar()).value()
        fresh, chosen = list(table.columns) != list(self.table.columns), self._keys(self.chosen_rows())
        self._silent = True
        self.frame.show(table)
        self._select([row for row, key in enumerate(self._keys()) if key in chosen] if chosen else [])
        self._silent = False
        if fresh:
            self.resizeColumnsToContents()
        present(self.horizontalScrollBar()).setValue(across)
        present(self.verticalScrollBar()).setValue(down)

    def _keys(self, rows: list[int] | None = None) -> list[tuple[Any, ...]]:
        """What tells rows apart, whatever was measured: image, frame, and leaf or plant."""
        columns = [name for name in ("image", "frame", "leaf") if name in self.table]
        names = columns if "leaf" in columns else [*columns, *({"plant"} & set(self.table.columns))]
        table = self.table[names] if rows is None else self.table[names].iloc[rows]
        return list(table.itertuples(index=False, name=None)) if names else []

    def _select(self, rows: list[int]) -> None:
        """Select rows of the data frame; nothing is scrolled."""
        model, flags = present(self.selectionModel()), QItemSelectionModel.SelectionFlag
        shown = [self.proxy.mapFromSource(self.frame.index(row, 0)) for row in rows]
        for index in (index for index in shown if index.isValid()):
            model.select(index, flags.Select | flags.Rows)  # type: ignore[call-overload]
            model.setCurrentIndex(index, flags.NoUpdate)

    def filter(self, condition: str) -> str:
        """Show rows that meet a condition; returns a sentence when it cannot be read."""
        condition = condition.strip()
        if not condition:
            self.proxy.keep(None)
            return ""
        try:
            numbered = self._named().reset_index(drop=True)
            self.proxy.keep(set(numbered.query(condition).index))
        except Exception as error:  # pandas raises anything at all for what somebody is still typing
            self.proxy.keep(None)
            unknown = re.search(r"name '(\w+)' is not defined", str(error))
            if unknown is not None:
                return f"There is no column {unknown[1]}. {self._columns_like(unknown[1])}"
            return f"Cannot read the condition: {error}"
        return ""

    def _named(self) -> pd.DataFrame:
        """The table with what the screen shows of it: images are counted from 1."""
        return self.table.assign(**{IMAGE_NUMBER: self.table[FRAME] + 1}) if FRAME in self.table else self.table

    def _columns_like(self, word: str) -> str:
        """Name the columns whose name holds a word or is close to it; all where there is none."""
        names = [str(name) for name in self._named().columns if name != FRAME]
        close = difflib.get_close_matches(word.lower(), names, n=6, cutoff=0.6)
        near = sorted({name for name in names if word.lower() in name} | set(close), key=lambda name: (len(name), name))
        return f"Columns: {', '.join(near[:6] or names)}."

    def shown(self) -> pd.DataFrame:
        """Return the rows that are shown, in their order."""
        rows = [self.proxy.mapToSource(self.proxy.index(row, 0)).row() for row in range(self.proxy.rowCount())]
        return self.table.iloc[rows]

    def chosen_rows(self) -> list[int]:
        """Return the rows of the data frame that are selected."""
        return sorted({self.proxy.mapToSource(index).row() for index in present(self.selectionModel()).selectedRows()})

    def choose(self, row: int) -> None:
        """Go to a row of the data frame, without telling."""
        index = self.proxy.mapFromSource(self.frame.index(row, 0))
        if index.isValid():
            self._silent = True
            self.selectRow(index.row())
            self.scrollTo(index)
            self._silent = False

    def _moved(self, index: QModelIndex, _before: QModelIndex) -> None:
        if index.isValid() and not self._silent:
            self.row_chosen.emit(self.proxy.mapToSource(index).row())


def as_text(table: pd.DataFrame) -> str:
    """Write a table separated by tabs, for the clipboard."""
    return as_csv(table, "\t")


def save_table(table: pd.DataFrame, path: Path, record: dict[str, Any]) -> None:
    """Write a table as CSV, TSV, Excel or Parquet, by its ending, and a record beside it as JSON; whole or not at all.

    Raises
    ------
    ParameterError
        For another ending, or a folder that cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise ParameterError(f"{path.name}: a table is saved as {', '.join(FORMATS)}. Choose one of these endings.")
    write_table(path, table, TableStyle(ending))
    write_atomically(path.with_suffix(".json"), (json.dumps(record, indent=1) + "\n").encode())
