"""The dialog that saves all tables: kind of file, form, units, decimal sign, and where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_leafseg._counts import counted
from napari_leafseg._files import write_atomically
from napari_leafseg.errors import UserError
from napari_leafseg.traits.table_files import ENDINGS, TableStyle, write_tables
from napari_leafseg.widgets.common.settings_dialog import SettingsDialog
from napari_leafseg.widgets.common.settings_form import FolderEdit
from napari_leafseg.widgets.common.tables import FORMATS, save_table
from napari_leafseg.widgets.measure.plots import save_figure
from napari_leafseg.widgets.state.preferences import preferences
from napari_leafseg.widgets.state.workers import start_worker

_FORM = "Wide: a column a trait. Long: a row a value, with trait and unit, as ggplot2 and seaborn like it"
_UNITS = "In names: area_px2. In a row: area, and px² below it"
_FOLDER = "Made where it does not exist; files of the same names in it are replaced"


@dataclass(frozen=True)
class TableSettings:
    """What the dialog asks for."""

    ending: Annotated[str, {"label": "File", "choices": [(title, ending) for ending, title in ENDINGS.items()]}] = (
        ".csv"
    )
    form: Annotated[
        Literal["wide", "long"], {"label": "Form", "choices": [("Wide", "wide"), ("Long", "long")], "tooltip": _FORM}
    ] = "wide"
    units: Annotated[
        Literal["suffix", "row"],
        {"label": "Units", "choices": [("In the names", "suffix"), ("In a row", "row")], "tooltip": _UNITS},
    ] = "suffix"
    decimal: Annotated[
        Literal[".", ","], {"label": "Decimals", "choices": [("Point: 1.5", "."), ("Comma: 1,5", ",")]}
    ] = "."
    folder: Annotated[str, {"widget_type": FolderEdit, "label": "Folder", "tooltip": _FOLDER}] = ""

    def style(self) -> TableStyle:
        """Return how tables are written.

        Raises
        ------
        ParameterError
            For what a file of the kind cannot hold.
        """
        units: Literal["suffix", "row"] = "suffix" if self.form == "long" else self.units
        return TableStyle(self.ending, self.form, units, self.decimal)


class TablesDialog(SettingsDialog[TableSettings]):
    """Asks how and where tables are saved, and saves them.

    Parameters
    ----------
    tables : mapping
        By name.
    record : dict
        How they came about.
    """

    def __init__(
        self, tables: Mapping[str, pd.DataFrame], record: dict[str, Any], parent: QWidget | None = None
    ) -> None:
        self._tables, self._record = dict(tables), record
        super().__init__("Save all tables", preferences.filled("tables", TableSettings()), "Save", parent)
        self.setObjectName("tables_dialog")

    def problem(self, settings: TableSettings) -> str:
        """Say what is missing, or does not go together."""
        try:
            settings.style()
        except UserError as error:
            return str(error)
        return "" if settings.folder else "Choose a folder."

    def hint(self, settings: TableSettings) -> str:
        """Say which files it will be."""
        names = [f"{name}{settings.ending}" for name in self._tables]
        if settings.ending == ".xlsx":
            return f"tables.xlsx, with a sheet each: {', '.join(self._tables)}, data_dictionary."
        return f"{', '.join(names)}, data_dictionary{settings.ending}."

    def accept(self) -> None:
        """Save, in a worker."""
        settings = self.form.settings()
        preferences.keep("tables", settings)
        start_worker(
            save_tables, self._tables, settings, self._record,
            on_result=lambda count: show_info(f"Saved {count} in {settings.folder}"),
            on_error=lambda error: show_error(str(error)), owner=self.parent() or self,
        )  # fmt: skip
        super().accept()


def ask_and_save(parent: QWidget, table: pd.DataFrame, name: str, record: dict[str, Any]) -> None:
    """Ask for a file, and save one table in it, in a worker."""
    chosen, _ = QFileDialog.getSaveFileName(
        parent, "Save table", str(Path.home() / f"{name}.csv"), ";;".join(FORMATS.values())
    )
    if chosen:
        start_worker(
            save_table, table, Path(chosen), record, on_result=lambda _none: show_info(f"Saved {chosen}"),
            on_error=lambda error: show_error(str(error)), owner=parent,
        )  # fmt: skip


def ask_and_save_figure(parent: QWidget, figure: QWidget) -> None:
    """Ask for a file, and save a plot in it."""
    chosen, _ = QFileDialog.getSaveFileName(
        parent, "Save figure", str(Path.home() / "figure.png"), "PNG (*.png);;SVG (*.svg)"
    )
    if not chosen:
        return
    try:
        save_figure(figure, Path(chosen))
        show_info(f"Saved {chosen}")
    except UserError as error:
        show_error(str(error))


def save_tables(tables: Mapping[str, pd.DataFrame], settings: TableSettings, record: dict[str, Any]) -> str:
    """Write the tables, a data dictionary, and how they came about; returns how many, in words.

    Raises
    ------
    UserError
        See `write_tables`.
    """
    folder = Path(settings.folder)
    write_tables(folder, tables, settings.style())
    write_atomically(folder / "tables.json", (json.dumps(record, indent=1) + "\n").encode())
    return counted(len(tables), "table")
