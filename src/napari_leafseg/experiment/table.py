"""A table that somebody made of the images: a row an image, a row a plant, or a row a pot of a tray."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from napari_leafseg._counts import counted, first_few
from napari_leafseg._files import read_regular
from napari_leafseg.errors import InputFileError, UserError
from napari_leafseg.experiment.dates import day_comes_first, is_ambiguous
from napari_leafseg.experiment.metadata import COLUMNS, alike, canonical, check_field

_IMAGE = "image"
_MEANT = {
    _IMAGE: "image file filename file_name image_name image_file path",
    "plant": "plant plant_id plant_name plantid plant_number individual", "genotype": "genotype line accession ecotype",
    "treatment": "treatment condition", "replicate": "replicate rep replication",
    "time": "time date datetime date_time timestamp date_and_time", "day": "day das dag dap day_after_sowing days",
    "pot": "pot pot_position position", "camera": "camera",
}  # fmt: skip
_KNOWN = {word: name for name, words in _MEANT.items() for word in words.split()}
_CLOCK = "time of day"  # of tables with a column for the date and one for the time
_MOST = 100 * 2**20  # bytes of a file


class AmbiguousDates(UserError):
    """Dates of which only a person can say whether they begin with the day."""


@dataclass(frozen=True)
class Table:
    """A table that was read.

    Attributes
    ----------
    name : str
        Of its file.
    key : str
        What its rows are of: "image", "plant" or "pot"; the pot of one tray is “TRAY/POT”.
    rows : dict
        From the image or plant to its values; images as they are written, with or without folders and ending.
    lines : dict
        From the image or plant to the line of the file.
    """

    name: str
    key: str
    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


def read_table(path: str | Path, day_first: bool | None = None) -> Table:
    """Read a table of images, plants or pots: CSV with commas, semicolons or tabs.

    Parameters
    ----------
    path : path
    day_first : bool, optional
        Whether dates like 03/04/2021 begin with the day; found from the whole column when None.

    Raises
    ------
    AmbiguousDates
        When the column of dates leaves that open.
    InputFileError
        When it cannot be read, naming line and column.
    """
    path = Path(path)
    content = _text_of(path)
    frame = _frame(content, path)
    names = _names(frame, path)
    key = next((name for name in (_IMAGE, "plant", "pot") if name in names), "")
    if not key:
        raise InputFileError(
            f"{path.name} has no column “image” with the files’ names, nor “plant” or “pot”. It has "
            f"{', '.join(frame.columns)}."
        )
    if len(names) < 2:
        raise InputFileError(f"{path.name} says nothing of its images: it has the column “{key}” alone.")
    order = _order(frame, names, path, day_first)
    rows: dict[str, dict[str, str]] = {}
    lines: dict[str, int] = {}
    for number, row in enumerate(frame.itertuples(index=False, name=None), start=2):
        texts = dict(zip(names, (str(cell).strip() for cell in row), strict=True))
        who = texts.pop(key)
        if not any(texts.values()) and not who:
            continue
        if not who:
            raise InputFileError(f"{path.name}, line {number}: the column “{key}” is empty. Name the {key} there.")
        who = who.replace("\\", "/") if key == _IMAGE else who
        if key == "pot" and texts.get("tray"):
            who = f"{texts.pop('tray')}/{who}"
        values = {name: _value(name, text, order, path, number, frame, names) for name, text in texts.items()}
        if who in rows and rows[who] != values:
            raise InputFileError(
                f"{path.name}, lines {lines[who]} and {number} say different things of “{who}”. Delete one of them."
            )
        rows[who] = values
        lines.setdefault(who, number)
    if not rows:
        raise InputFileError(f"{path.name} has no rows.")
    return Table(path.name, key, rows, lines)


def _text_of(path: Path) -> str:
    try:
        content = read_regular(path, _MOST)
    except FileNotFoundError as error:
        raise InputFileError(f"There is no file {path}. Check the path.") from error
    except OSError as error:
        raise InputFileError(f"Cannot read {path}: {error.strerror}.") from error
    if content[:4] == b"PK\x03\x04":
        raise InputFileError(f"{path.name} is a spreadsheet, not CSV. Save it as CSV.")
    text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace")
    if "\N{REPLACEMENT CHARACTER}" in text:
        text = content.decode("cp1252", "replace")  # as spreadsheets on Windows write it
    if "\0" in text:
        raise InputFileError(f"{path.name} is no text. Save the table as CSV.")
    return text


def _frame(content: str, path: Path) -> pd.DataFrame:
    """The cells as texts; a line's number is that of its row and 2, also behind lines without cells."""
    first = content.lstrip("\r\n").split("\n", 1)[0]
    between = max(";\t,", key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(content.lstrip("\r\n"), newline=""), delimiter=between, strict=True))
    except csv.Error as error:
        raise InputFileError(f"{path.name} cannot be read as a table: {error}. Save it as CSV again.") from error
    if not rows:
        raise InputFileError(f"{path.name} is empty.")
    header = rows[0]
    while header and not header[-1].strip():
        header = header[:-1]
    cells = []
    for number, row in enumerate(rows[1:], start=2):
        if any(cell.strip() for cell in row[len(header) :]):
            raise InputFileError(
                f"{path.name}, line {number}: there are {len(row)} cells, but {len(header)} columns. Mend it."
            )
        cells.append([*row[: len(header)], *[""] * (len(header) - len(row))])
    return pd.DataFrame(cells, columns=header, dtype=str)


def _names(frame: pd.DataFrame, path: Path) -> list[str]:
    """The fields that the columns are."""
    found: list[str] = []
    for column in map(str, frame.columns):
        clean = re.sub(r"[\s-]+", "_", column.strip().lower())
        name = _KNOWN.get(clean, "")
        if not name:
            near = difflib.get_close_matches(clean, [*_MEANT, *COLUMNS.values()], n=1, cutoff=0.75)
            if near:
                raise InputFileError(
                    f"{path.name} has a column “{column}”, which is unknown. Is “{near[0]}” meant? Rename or delete it."
                )
            try:
                name = check_field(column)
            except ValueError as error:
                raise InputFileError(f"{path.name} has a column that cannot be used: {error}.") from error
        if name == "time" and "time" in found and clean in ("time", "date"):
            name = _CLOCK
        found.append(name)
    doubled = [name for name in found if found.count(name) > 1]
    if doubled:
        both = [str(column) for column, name in zip(frame.columns, found, strict=True) if name == doubled[0]]
        raise InputFileError(
            f"{path.name} says the {doubled[0]} twice, in the columns {' and '.join(both)}. Delete one of them."
        )
    if _CLOCK in found:
        at, day = found.index(_CLOCK), found.index("time")
        clock, date = (day, at) if str(frame.columns[at]).strip().lower() == "date" else (at, day)
        frame.iloc[:, day] = (frame.iloc[:, date].str.strip() + " " + frame.iloc[:, clock].str.strip()).str.strip()
        frame.drop(columns=frame.columns[at], inplace=True)
        del found[at]
    return found


def _order(frame: pd.DataFrame, names: list[str], path: Path, day_first: bool | None) -> bool | None:
    if "time" not in names or day_first is not None:
        return day_first
    at = names.index("time")
    texts = frame.iloc[:, at].tolist()
    found = day_comes_first(texts)
    if found is not None:
        return found
    ways = {way: number for number, text in enumerate(texts, start=2) if (way := day_comes_first([text])) is not None}
    if len(ways) == 2:
        raise InputFileError(
            f"{path.name}, column “{frame.columns[at]}”: line {ways[True]} begins with the day, line {ways[False]} "
            "with the month. Write all dates like 2021-05-03."
        )
    for number, text in enumerate(texts, start=2):
        if is_ambiguous(text):
            raise AmbiguousDates(
                f"{path.name}, line {number}: “{text.strip()}” may begin with the day or with the month, and no "
                "other date of the column tells. Say which, or write dates like 2021-05-03."
            )
    return None


def _value(
    name: str, text: str, order: bool | None, path: Path, line: int, frame: pd.DataFrame, names: list[str]
) -> str:
    try:
        return canonical(name, text, order)
    except ValueError as error:
        column = frame.columns[names.index(name)]
        raise InputFileError(f"{path.name}, line {line}, column “{column}”: {error}.") from error


def match_table(
    table: Table, paths: Sequence[Path], plants: Mapping[Path, str] | None = None
) -> tuple[dict[Path, dict[str, str]], list[str]]:
    """Find the images that the rows of a table are of.

    Parameters
    ----------
    table : Table
    paths : sequence of pathlib.Path
    plants : mapping, optional
        The plant of each image as it is known without the table, for tables of plants.

    Returns
    -------
    values : dict
        By image.
    notes : list of str
        What fits on one side alone.

    Raises
    ------
    InputFileError
        When no row fits, when a row fits several images, or when there are both rows without an image and images
        without a row: then a name is written wrongly.
    """
    found = _match_plants(table, paths, plants or {}) if table.key == "plant" else _match_images(table, paths)
    taken = set(found.values())
    lost = [who for who in table.rows if who not in taken]
    bare = [path.name for path in paths if path not in found]
    what = "image" if table.key == _IMAGE else "plant"
    rows = f"{counted(len(lost), 'row')} of {table.name} {'names' if len(lost) == 1 else 'name'} no {what} that is here"
    without = f"{counted(len(bare), 'image')} {'has' if len(bare) == 1 else 'have'} no row"
    if lost and bare:
        line = f"line {table.lines[lost[0]]}"
        near = difflib.get_close_matches(lost[0], bare, n=1)
        hint = f" Is {near[0]} meant in {line}?" if near else ""
        raise InputFileError(
            f"{rows}: {first_few(lost)} ({line}{' on' if len(lost) > 1 else ''}); and {without}: "
            f"{first_few(bare)}.{hint} Mend the names, or give each image a row."
        )
    notes = [f"{rows}: {first_few(lost)}."] if lost else []
    notes += [f"{without} in {table.name}: {first_few(bare)}."] if bare else []
    return {path: dict(table.rows[who]) for path, who in found.items()}, notes


def match_pots(table: Table, pots: Collection[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return what a table says of the pots of trays, or of plants with names, and what fits on one side alone.

    Parameters
    ----------
    table : Table
        Of plants or pots.
    pots : collection of str
        The names that are known.
    """
    known = {alike(pot): pot for pot in pots}
    lost = [who for who in table.rows if alike(who).rpartition("/")[2] not in known]
    bare = sorted(pot for pot in pots if alike(pot) not in {alike(who).rpartition("/")[2] for who in table.rows})
    rows = f"{counted(len(lost), 'row')} of {table.name} {'names' if len(lost) == 1 else 'name'} no pot that is here"
    without = f"{counted(len(bare), 'pot')} {'has' if len(bare) == 1 else 'have'} no row in {table.name}"
    notes = [f"{rows}: {first_few(lost)}."] if lost else []
    values = {known.get(alike(who), who): dict(said) for who, said in table.rows.items()}
    return values, notes + ([f"{without}: {first_few(bare)}."] if bare else [])


def fits_pots(table: Table, pots: Collection[str], plants: Collection[str]) -> bool:
    """Tell whether the rows of a table are of pots rather than of the plants of images.

    Parameters
    ----------
    table : Table
    pots : collection of str
        The names that are known of pots, and of plants in images of several.
    plants : collection of str
        The plants that images are known to show.
    """
    if table.key == "pot":
        return True
    rows = {alike(who) for who in table.rows}
    return table.key == "plant" and not rows & set(map(alike, plants)) and bool(rows & set(map(alike, pots)))


def _match_images(table: Table, paths: Sequence[Path]) -> dict[Path, str]:
    tails: dict[tuple[str, ...], list[Path]] = {}
    depth = max((len(PurePosixPath(who).parts) for who in table.rows), default=1)
    for path in paths:
        parts = path.parts
        for length in range(1, min(depth, len(parts)) + 1):
            folders = tuple(part.lower() for part in parts[-length:-1])
            for name in {path.name.lower(), path.stem.lower()}:
                tails.setdefault((*folders, name), []).append(path)
    found: dict[Path, str] = {}
    for who in table.rows:
        fitting = tails.get(tuple(part.lower() for part in PurePosixPath(who).parts), [])
        if len(fitting) > 1:
            both = " and ".join(str(path) for path in fitting[:2])
            raise InputFileError(
                f"{table.name}, line {table.lines[who]}: “{who}” may be {both}. Write the folder before the name."
            )
        for path in fitting:
            found[path] = who
    return found


def _match_plants(table: Table, paths: Sequence[Path], plants: Mapping[Path, str]) -> dict[Path, str]:
    if not any(plants.get(path) for path in paths):
        raise InputFileError(
            f"{table.name} is of plants, and it is not known which plant each image shows. Give a pattern with "
            "{plant}, or a column “image”."
        )
    known = {alike(who): who for who in table.rows}
    return {path: known[alike(plants[path])] for path in paths if alike(plants.get(path, "")) in known}
