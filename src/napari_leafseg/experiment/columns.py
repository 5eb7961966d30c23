"""What is known of images, in the tables of what was measured on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from napari_leafseg.experiment.metadata import COLUMNS, FIELDS, ImageMetadata

ORDER = [COLUMNS.get(name, name) for name in FIELDS]
"""The columns of the fields that have a meaning, in their order."""


def add_metadata(
    table: pd.DataFrame, by: str, known: Mapping[Any, ImageMetadata], days: Mapping[Any, float] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Add what is known of the images to a table, behind the column that names them; nothing where nothing is.

    Parameters
    ----------
    table : pandas.DataFrame
    by : str
        The column that tells the image; empty for a table of a single image, whose key is 0.
    known : mapping
        From that column's values to what is known.
    days : mapping, optional
        From that column's values to the day of the experiment, where it follows from dates.
    """
    rows = {key: data.columns() for key, data in known.items()}
    for key, day in (days or {}).items():
        rows.setdefault(key, {})["day"] = day
    present = {name for row in rows.values() for name in row}
    names = [name for name in ORDER if name in present] + sorted(present - set(ORDER))
    if not names:
        return table
    result = table.copy()
    at = 1 + max((list(result.columns).index(name) for name in (by, "image") if name in result), default=-1)
    for name in names:
        column = name if name not in table else f"{name}_of_image"
        values = [rows.get(key, {}).get(name) for key in (table[by] if by else [0] * len(table))]
        result.insert(at, column, _series(name, values, table.index))
        at += 1
    return result


def _series(name: str, values: list[Any], index: pd.Index) -> pd.Series:
    if name == "day":
        return pd.Series(values, index, dtype=float)
    return pd.Series(["" if value is None else value for value in values], index, dtype=object)
