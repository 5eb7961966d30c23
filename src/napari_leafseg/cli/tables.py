"""The command that writes an experiment's tables in other forms: ``tables``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from napari_leafseg._console import out
from napari_leafseg._counts import counted
from napari_leafseg.cli.common import app
from napari_leafseg.errors import InputFileError

_NAMES = ("leaves", "plants", "growth", "tracks", "groups", "images")


class FileKind(StrEnum):
    """Kinds of files for tables."""

    CSV = "csv"
    TSV = "tsv"
    EXCEL = "xlsx"
    PARQUET = "parquet"


class Form(StrEnum):
    """A column a trait, or a row a value."""

    WIDE = "wide"
    LONG = "long"


@app.command()
def tables(
    experiment: Annotated[Path, typer.Argument(help="Folder that batch wrote.")],
    output: Annotated[Path, typer.Option(help="Folder for the tables and a data dictionary.")],
    file: Annotated[FileKind, typer.Option(help="Kind of file; Excel has a sheet for each table.")] = FileKind.CSV,
    form: Annotated[Form, typer.Option(help="wide: a column a trait; long: a row a value.")] = Form.WIDE,
    units_row: Annotated[bool, typer.Option("--units-row", help="Units in a row below the names.")] = False,
    decimal_comma: Annotated[bool, typer.Option("--decimal-comma", help="1,5 instead of 1.5; cells with ;.")] = False,
) -> None:
    """Write an experiment's tables in the form that another program likes."""
    import pandas as pd

    from napari_leafseg.traits.table_files import TableStyle, write_tables

    style = TableStyle(
        f".{file.value}", form.value, "row" if units_row and form is Form.WIDE else "suffix",
        "," if decimal_comma else ".",
    )  # fmt: skip
    found = {name: experiment / f"{name}.csv" for name in _NAMES}
    if not found["leaves"].is_file():
        raise InputFileError(f"{experiment} holds no measured experiment (leaves.csv). Choose a batch's folder.")
    if output.resolve() == experiment.resolve():
        raise InputFileError("These files belong to the experiment, which needs them. Choose another folder.")
    filled = {name: path for name, path in found.items() if path.is_file() and path.stat().st_size > 1}
    read = {name: pd.read_csv(path, float_precision="round_trip") for name, path in filled.items()}
    written = write_tables(output, read, style, experiment.resolve().name)
    out.print(f"{counted(len(read), 'table')} in {escape(', '.join(map(str, written)))}", soft_wrap=True)
