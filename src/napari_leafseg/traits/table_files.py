"""Tables as other programs like them: wide or long, units in names or in a row, decimal commas, sheets of one file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from napari_leafseg._extras import installed, require
from napari_leafseg._files import write_atomically
from napari_leafseg.errors import ParameterError
from napari_leafseg.io.tables import as_csv, harmless
from napari_leafseg.traits.dictionary import data_dictionary, split_unit

ENDINGS = {".csv": "CSV", ".tsv": "TSV", ".xlsx": "Excel", ".parquet": "Parquet"}
DICTIONARY = "data_dictionary"
_MOST_ROWS = 1_048_575  # of a sheet, below its title
_NAMES = {
    "image", "frame", "plant", "leaf", "track", "plant_track", "time", "day", "timepoint", "replicate", "series",
}  # fmt: skip


@dataclass(frozen=True)
class TableStyle:
    """How tables are written.

    Attributes
    ----------
    ending : str
        One of `ENDINGS`.
    form : str
        "wide", a column a trait, or "long", a row a value: ``trait``, ``value``, ``unit``.
    units : str
        "suffix" of the columns' names, or a "row" of their own below the names.
    decimal : str
        "." or ","; with a comma, cells are parted by semicolons.
    """

    ending: str = ".csv"
    form: Literal["wide", "long"] = "wide"
    units: Literal["suffix", "row"] = "suffix"
    decimal: Literal[".", ","] = "."

    def __post_init__(self) -> None:
        if self.ending not in ENDINGS:
            raise ParameterError(f"A table is saved as {', '.join(ENDINGS)}, not as “{self.ending}”.")
        if self.ending == ".parquet" and not installed("pyarrow"):
            require("pyarrow", "A Parquet table", "Or choose CSV.", kind=ParameterError)
        if self.ending == ".parquet" and self.units == "row":
            raise ParameterError("Parquet has no row for units: leave them in the columns' names.")


def write_tables(
    folder: Path, tables: Mapping[str, pd.DataFrame], style: TableStyle, name: str = "tables"
) -> list[Path]:
    """Write tables, and a data dictionary of their columns; each file whole or not at all.

    Parameters
    ----------
    folder : path
    tables : mapping
        By name: that of the file, or of the sheet.
    style : TableStyle
    name : str
        Of an Excel file, which holds them all.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    UserError
        When a sheet has no room for a table, or the folder cannot be written.
    """
    filled = {key: table for key, table in tables.items() if len(table.columns)}
    told = data_dictionary({key: list(table.columns) for key, table in filled.items()})
    shaped = {key: long_form(table) if style.form == "long" else table for key, table in filled.items()}
    if style.ending == ".xlsx":
        target = folder / f"{name}.xlsx"
        write_atomically(target, _sheets(shaped | {DICTIONARY: told}, style, target))
        return [target]
    written = []
    for key, table in (shaped | {DICTIONARY: told}).items():
        written.append(folder / f"{key}{style.ending}")
        write_atomically(written[-1], _content(table, style, style.units == "row" and key != DICTIONARY))
    return written


def write_table(path: Path, table: pd.DataFrame, style: TableStyle) -> None:
    """Write one table into a file of that name, without a data dictionary."""
    shaped = long_form(table) if style.form == "long" else table
    if style.ending == ".xlsx":
        content = _sheets({"Sheet1": shaped}, style, path)
    else:
        content = _content(shaped, style, style.units == "row")
    write_atomically(path, content)


def _content(table: pd.DataFrame, style: TableStyle, units: bool) -> bytes:
    """The content of a CSV, TSV or Parquet file."""
    if style.ending == ".parquet":
        return bytes(table.to_parquet(index=False))
    separator = "\t" if style.ending == ".tsv" else ";" if style.decimal == "," else ","
    names, row = names_and_units(table)
    text = as_csv(table.set_axis(names, axis=1) if units else table, separator, style.decimal)
    if units:
        head, _, rest = text.partition("\n")
        text = f"{head}\n{separator.join(row)}\n{rest}"
    return text.encode()


def _sheets(tables: Mapping[str, pd.DataFrame], style: TableStyle, path: Path) -> bytes:
    for name, table in tables.items():
        if len(table) > _MOST_ROWS:
            most = f"{_MOST_ROWS + 1:,} at most. Choose CSV."
            raise ParameterError(f"{path.name}: the table “{name}” has {len(table):,} rows, and a sheet {most}")
    buffer = io.BytesIO()
    with pd.ExcelWriter(buffer) as writer:
        for name, table in tables.items():
            shown = _units_below(table) if style.units == "row" and name != DICTIONARY else table
            harmless(shown).to_excel(writer, sheet_name=name, index=False, freeze_panes=(1, 0))
    return buffer.getvalue()


def is_name(table: pd.DataFrame, column: str) -> bool:
    """Tell whether a column says of what a row is, and is no measurement."""
    return column in _NAMES or not pd.api.types.is_numeric_dtype(table[column])


def long_form(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each value: the columns that say of what, then ``trait``, ``value``, ``unit``.

    Values that are not known have no row.
    """
    if "trait" in table:  # a row a value already
        return table
    names = [column for column in table.columns if is_name(table, column)]
    traits = [column for column in table.columns if column not in names]
    yes_or_no = {column: float for column in traits if pd.api.types.is_bool_dtype(table[column])}  # 1 and 0
    numbers = table.reset_index(drop=True).astype(yes_or_no).reset_index(names="_row")
    long = numbers.melt(["_row", *names], traits, "_column", "value").dropna(subset="value")
    long["value"] = long["value"].astype(float)  # verified or not is 1 or 0
    order = {column: place for place, column in enumerate(traits)}
    long = long.sort_values(["_row", "_column"], key=lambda keys: keys.map(order) if keys.name == "_column" else keys)
    units = {column: split_unit(column) for column in traits}
    long.insert(len(names) + 2, "trait", [units[column][0] for column in long["_column"]])
    long["unit"] = [units[column][1] for column in long["_column"]]
    return long.drop(columns=["_row", "_column"]).reset_index(drop=True)


def names_and_units(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the columns' names without units, where these keep them apart, and the units."""
    split = [split_unit(str(column)) for column in table.columns]
    short = [name for name, _ in split]
    names = [name if short.count(name) == 1 else str(at) for name, at in zip(short, table.columns, strict=True)]
    return names, [unit for _, unit in split]


def _units_below(table: pd.DataFrame) -> pd.DataFrame:
    """The table with units in its first row."""
    names, units = names_and_units(table)
    rows = table.astype(object).where(table.notna(), None)
    below = pd.concat([pd.DataFrame([units], columns=table.columns, dtype=object), rows])
    return below.set_axis(names, axis=1).reset_index(drop=True)
