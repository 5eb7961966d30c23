"""Dates and times as people, cameras and spreadsheets write them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from datetime import datetime

_LOG = logging.getLogger(__name__)
_TIME = r"(?:[\sT,_]+(?P<hour>\d{1,2})[:.h](?P<minute>\d{2})(?:[:.](?P<second>\d{2}))?(?:\.\d+)?\s*(?P<half>[ap]m)?)?"
_YEAR_FIRST = re.compile(rf"(?P<year>\d{{4}})[-/._:](?P<one>\d{{1,2}})[-/._:](?P<two>\d{{1,2}}){_TIME}", re.I)
_YEAR_LAST = re.compile(
    rf"(?P<one>\d{{1,2}})(?P<between>[-/.])(?P<two>\d{{1,2}})(?P=between)(?P<year>\d{{4}}|\d{{2}}){_TIME}", re.I
)
_EARLIEST, _LATEST = 1900, 2200


class AmbiguousDate(ValueError):
    """A date that may be the third of April or the fourth of March."""


def read_moment(text: str, day_first: bool | None = None) -> datetime:
    """Read a date, with or without a time of day and a time zone.

    Parameters
    ----------
    text : str
        "2021-05-03", "2021-05-03T11:05:00+02:00", "3.5.2021 11:05", "5/13/2021 1:05 pm", …
    day_first : bool, optional
        What "03/04/2021" means; dates with points begin with the day.

    Raises
    ------
    AmbiguousDate
        When nothing says which number is the day.
    ValueError
        When it is no date, in words.
    """
    text = text.strip()
    found = _of_iso(text) or _of_numbers(text, day_first)
    if found is None:
        raise ValueError(f"“{text}” is no date; write it like 2021-05-03 or 2021-05-03 11:05")
    if not _EARLIEST <= found.year <= _LATEST:
        raise ValueError(f"“{text}” lies in the year {found.year}")
    return found


def _of_iso(text: str) -> datetime | None:
    if not re.match(r"\d{4}-?\d\d-?\d\d(?!\d)|\d{8}T", text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:  # a time of day in other words, perhaps
        _LOG.debug("%s: %s", text, error)
        return None


def _of_numbers(text: str, day_first: bool | None) -> datetime | None:
    found = _YEAR_FIRST.fullmatch(text)
    if found is not None:
        month, day = int(found["one"]), int(found["two"])
    else:
        found = _YEAR_LAST.fullmatch(text)
        if found is None:
            return None
        one, two = int(found["one"]), int(found["two"])
        first = True if found["between"] == "." else day_first
        if first is None:
            first = day_comes_first([text])
        if first is None:
            raise AmbiguousDate(f"“{text}” may begin with the day or with the month")
        day, month = (one, two) if first else (two, one)
    year = int(found["year"]) + (2000 if len(found["year"]) == 2 else 0)
    hour = int(found["hour"] or 0)
    if found["half"]:
        hour = hour % 12 + (12 if found["half"].lower() == "pm" else 0)
    try:
        return datetime(year, month, day, hour, int(found["minute"] or 0), int(found["second"] or 0))
    except ValueError as error:
        raise ValueError(f"“{text}” is no date: {error}") from error


def is_ambiguous(text: str) -> bool:
    """Tell whether nothing in a date says which number is the day."""
    try:
        read_moment(text)
    except ValueError as error:
        return isinstance(error, AmbiguousDate)
    return False


def day_comes_first(texts: Iterable[str]) -> bool | None:
    """Tell whether dates like 13/5/2021 begin with the day; None where all may begin with either, or they disagree."""
    found = [match for match in map(_YEAR_LAST.fullmatch, (text.strip() for text in texts)) if match is not None]
    day = any(int(match["one"]) > 12 for match in found)
    month = any(int(match["two"]) > 12 for match in found)
    return None if day == month and not _all_alike(found) else day or not month


def _all_alike(found: list[re.Match[str]]) -> bool:
    """Whether it does not matter: 4/4/2021."""
    return bool(found) and all(match["one"] == match["two"] for match in found)


def write_moment(moment: datetime) -> str:
    """Write a time as tables have it: 2021-05-03, with the time of day where it is not midnight, and the zone."""
    if moment.tzinfo is None and (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return moment.date().isoformat()
    return moment.isoformat(" ", "seconds" if moment.second else "minutes")
