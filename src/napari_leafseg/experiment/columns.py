"""What is known of images, in the tables of what was measured on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from napari_leafseg.experiment.metadata import COLUMNS, FIELDS, ImageMetadata, alike

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
    keys = table[by].tolist() if by else [0] * len(table)
    own = _of_pots(table, keys, known)
    for key, day in (days or {}).items():
        rows.setdefault(key, {})["day"] = day
    present = {name for row in (*rows.values(), *own) for name in row}
    names = [name for name in ORDER if name in present] + sorted(present - set(ORDER))
    if not names:
        return table
    result = table.copy()
    at = 1 + max((list(result.columns).index(name) for name in (by, "image") if name in result), default=-1)
    for name in names:
        column = name if name not in table else f"{name}_of_image"
        values = [said.get(name, rows.get(key, {}).get(name)) for key, said in zip(keys, own, strict=True)]
        result.insert(at, column, _series(name, values, table.index))
        at += 1
    return result


def _of_pots(table: pd.DataFrame, keys: Sequence[Any], known: Mapping[Any, ImageMetadata]) -> list[dict[str, Any]]:
    """What is known of each row's plant by its pot, or by its name."""
    by = next((name for name in ("pot", "name") if name in table), "")
    if not by or not any(data.pots for data in known.values()):
        return [{}] * len(table)
    said = {key: data.columns_of_pots() for key, data in known.items()}
    return [said.get(key, {}).get(alike(str(name)), {}) for key, name in zip(keys, table[by], strict=True)]


def _series(name: str, values: list[Any], index: pd.Index) -> pd.Series:
    if name == "day":
        return pd.Series(values, index, dtype=float)
    return pd.Series(["" if value is None else value for value in values], index, dtype=object)
