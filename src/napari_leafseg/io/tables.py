"""Tables that other programs open."""

from __future__ import annotations

import re

import pandas as pd

# No writer puts a carriage return in quotes, and every reader begins a line there; Excel refuses the others.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")
_FORMULA = ("=", "+", "-", "@")


def harmless(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which no text begins like a formula, which a spreadsheet would run: ``'`` is put before it.

    Numbers stay as they are.
    """
    result = table.copy(deep=False)
    result.columns = [_escaped(name) for name in table.columns]
    for position, kind in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_datetime64_any_dtype(kind):
            result.isetitem(position, table.iloc[:, position].map(_escaped).array)
    return result


def _escaped(value: object) -> object:
    if not isinstance(value, str):
        return value
    value = _CONTROL.sub(" ", value)
    return f"'{value}" if value.lstrip().startswith(_FORMULA) else value


def as_csv(table: pd.DataFrame, separator: str = ",", decimal: str = ".") -> str:
    """Return a table as text: numbers with seven digits, no formulas, see `harmless`."""
    return harmless(table).to_csv(index=False, float_format="%.7g", sep=separator, decimal=decimal)
