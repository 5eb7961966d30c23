"""Patterns of file names: ``{plant}_{date:%Y-%m-%d}``, with folders as well: ``{genotype}/{plant}/{date}``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from napari_leafseg.errors import UserError
from napari_leafseg.experiment.metadata import FIELDS, LATER, canonical, check_field
from napari_leafseg.io import IMAGE_ENDINGS

_DATE = (
    r"\d{{4}}(?P<s{number}>[-_.]?)[01]\d(?P=s{number})[0-3]\d"
    r"(?:[-_T .]?[0-2]\d(?P<u{number}>[-_.:h]?)[0-5]\d(?:(?P=u{number})[0-5]\d)?)?"
)
_CLOCK = r"[0-2]\d[-_.:h]?[0-5]\d(?:[-_.:m]?[0-5]\d)?"
_DIRECTIVES = {
    "Y": (r"\d{4}", "year"), "y": (r"\d\d", "year of two digits"), "m": (r"\d\d?", "month"),
    "b": (r"[^\W\d_]+", "month’s short name"), "B": (r"[^\W\d_]+", "month’s name"), "d": (r"\d\d?", "day"),
    "j": (r"\d{3}", "day of the year"), "H": (r"\d\d?", "hour"), "I": (r"\d\d?", "hour up to 12"),
    "p": (r"[ap]m", "am or pm"), "M": (r"\d\d?", "minute"), "S": (r"\d\d?", "second"),
    "z": (r"[+-]\d\d:?\d\d|Z", "time zone"),
}  # fmt: skip
_TEXT = {"": r"[^/]+?", "d": r"\d+", "l": r"[^\W\d_]+"}
_WHEN = ("date", "time")
_NUMBERS = ("day", "hours")
_PIECES = re.compile(r"\{([^{}]*)\}|(\*)|([{}])|([^{}*]+)")


class PatternError(UserError):
    """A pattern of file names that cannot be understood."""


class Reading(NamedTuple):
    """What a pattern finds in a path.

    Attributes
    ----------
    name, folders : mapping
        Values from the file's name, and from its folders.
    problem : str
        Why nothing is found, as the end of a sentence; empty where something is.
    """

    name: Mapping[str, str] = {}
    folders: Mapping[str, str] = {}
    problem: str = ""


class _Field(NamedTuple):
    name: str
    fmt: str
    in_folder: bool


@dataclass(frozen=True)
class Pattern:
    """A pattern of file names, ready to be used.

    Attributes
    ----------
    text : str
    """

    text: str
    _fields: tuple[_Field, ...] = field(default=(), repr=False)
    _regex: re.Pattern[str] = field(default=re.compile(""), repr=False)
    _whole: bool = field(default=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Parse a pattern.

        Parameters
        ----------
        text : str
            Fields in braces; ``*`` stands for anything. ``{name:d}`` are digits, ``{name:l}`` letters, ``{name:3}``
            three characters; ``{date}`` is found as people write it, ``{date:%d.%m.%y}`` just so; ``{day}`` and
            ``{hours}`` count from the beginning. Without an ending such as ``.png`` any ending fits.

        Raises
        ------
        PatternError
            Naming what is wrong, and what to write instead.
        """
        return _parsed(text.strip())

    def read(self, path: Path) -> Reading:
        """Read the fields from a path."""
        depth = self.text.count("/") + 1
        parts = [*path.parts[-depth:-1], path.name if self._whole else path.stem]
        found = self._regex.fullmatch("/".join(parts))
        if found is None:
            return Reading(problem="the name does not fit the pattern")
        texts = [found[f"f{number}"] for number in range(len(self._fields))]
        try:
            return _reading(list(zip(self._fields, texts, strict=True)))
        except ValueError as error:
            return Reading(problem=str(error))

    @property
    def names(self) -> list[str]:
        """The fields that it gives."""
        counted = any(one.name in _NUMBERS for one in self._fields)
        dated = any(one.name == "date" or re.search("%[yY]", one.fmt) for one in self._fields)
        names = {"date": "time", "hours": "day", "time": "day" if counted and not dated else "time"}
        return list(dict.fromkeys(names.get(one.name, one.name) for one in self._fields))


@lru_cache(maxsize=64)
def _parsed(text: str) -> Pattern:
    text = text.replace("\\", "/").strip("/")
    if not text:
        raise PatternError("The pattern is empty. Write it like {plant}_{date}.")
    fields: list[_Field] = []
    regex, before = "", ""
    inner = [match.start() for match in re.finditer(r"/(?![^{]*\})", text)]
    last = inner[-1] if inner else -1
    for piece in _PIECES.finditer(text):
        inside, star, brace, plain = piece.groups()
        if brace:
            raise PatternError(_unbalanced(text, piece.start(), brace))
        if plain is not None or star:
            regex += re.escape(plain) if plain is not None else "[^/]*?"
            before = ""
            continue
        one = _field(inside, piece.start() < last)
        if before and one.name not in (*_WHEN, *_NUMBERS) and not one.fmt:
            raise PatternError(
                f"{before} and {{{inside}}} stand side by side: where does the first end? Put what is between them, "
                f"or say what it is made of, like {{{inside}:d}} for digits."
            )
        regex += f"(?P<f{len(fields)}>{_expression(one, inside, len(fields))})"
        fields.append(one)
        before = f"{{{inside}}}" if one.name not in (*_WHEN, *_NUMBERS) and not one.fmt else ""
    _check_fields(fields, text)
    whole = text.lower().endswith(IMAGE_ENDINGS) or text.endswith(".*")
    return Pattern(text, tuple(fields), re.compile(regex, re.I), whole)


def _unbalanced(text: str, at: int, brace: str) -> str:
    if brace == "{":
        return f"The brace before “{text[at + 1 : at + 16]}” is never closed. Write a field like {{plant}}."
    return f"There is a “}}” behind “{text[max(0, at - 15) : at]}” that closes nothing. Write a field like {{plant}}."


def _field(inside: str, in_folder: bool) -> _Field:
    name, _, fmt = inside.partition(":")
    try:
        name = check_field(name)
    except ValueError as error:
        raise PatternError(f"{{{inside}}}: {error}.") from error
    known = (*FIELDS, "date", "hours", LATER)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        if near:
            raise PatternError(f"There is no field {{{name}}}. Is {{{near[0]}}} meant?")
    return _Field(name, fmt, in_folder)


def _check_fields(fields: list[_Field], text: str) -> None:
    if not fields:
        raise PatternError(f"“{text}” names no field. Write it like {{plant}}_{{date}}.")
    seen = set[str]()
    for one in fields:
        if one.name in seen and one.name not in _WHEN:
            raise PatternError(f"{{{one.name}}} is there twice. Use * for what is to be passed over.")
        seen.add(one.name)
    said = "".join(one.fmt or {"date": "%Y%m%d%H%M", "time": "%H%M"}[one.name] for one in fields if one.name in _WHEN)
    if not said:
        return
    parts = set(re.findall(r"%(\w)", said))
    dated = parts & set("Yy") and ((parts & {"m", "b", "B"} and "d" in parts) or "j" in parts)
    if not dated and not ("day" in seen and not parts & set("YymbBdj")):
        lacks = "year, %Y" if not parts & set("Yy") else "month, %m" if not parts & set("mbB") else "day, %d"
        raise PatternError(f"The date in “{text}” has no {lacks}. Add it, or use {{day}} for days since the beginning.")


def _expression(one: _Field, inside: str, number: int) -> str:
    if one.name in _WHEN:
        if not one.fmt:
            return _CLOCK if one.name == "time" else _DATE.format(number=number)
        return _of_format(one.fmt, inside)
    if one.name in _NUMBERS:
        if one.fmt not in ("", "d"):
            raise PatternError(f"{{{inside}}}: {one.name} is a number and takes no “{one.fmt}”. Write {{{one.name}}}.")
        return r"\d+(?:[.,]\d+)?" if not one.fmt else r"\d+"
    if one.fmt.isdigit() and 0 < int(one.fmt) < 200:
        return rf"[^/]{{{int(one.fmt)}}}"
    if one.fmt not in _TEXT:
        raise PatternError(
            f"{{{inside}}}: “{one.fmt}” is unknown. Use d for digits, l for letters, or a number of characters."
        )
    return _TEXT[one.fmt]


def _of_format(fmt: str, inside: str) -> str:
    if "%" not in fmt:
        raise PatternError(f"{{{inside}}}: write a date’s parts with %, like %Y-%m-%d.")
    regex, narrow = "", re.findall(r"%[mdHIMS](?=%)", fmt)
    for piece in re.finditer(r"%(.?)|([^%]+)", fmt):
        letter, plain = piece.groups()
        if plain is not None:
            regex += re.escape(plain)
            continue
        if letter not in _DIRECTIVES:
            known = ", ".join(f"%{name} {words}" for name, (_, words) in _DIRECTIVES.items())
            raise PatternError(f"{{{inside}}}: “%{letter}” is no part of a date. There are {known}.")
        found = _DIRECTIVES[letter][0]
        regex += r"\d\d" if found == r"\d\d?" and narrow else f"(?:{found})"
    return regex


def _reading(found: Iterable[tuple[_Field, str]]) -> Reading:
    """Turn the texts of the fields into values; raises ValueError for what is no date."""
    values: dict[bool, dict[str, str]] = {False: {}, True: {}}
    when: list[tuple[_Field, str]] = []
    days, counted_in = 0.0, None
    for one, text in found:
        if one.name in _WHEN:
            when.append((one, text))
        elif one.name in _NUMBERS:
            days += float(text.replace(",", ".")) / (24 if one.name == "hours" else 1)
            counted_in = one.in_folder
        else:
            values[one.in_folder][one.name] = canonical(one.name, text)
    if when:
        moment, dated = _moment(when)
        if dated:
            values[when[-1][0].in_folder]["time"] = moment.isoformat()
        else:
            days += moment.hour / 24 + moment.minute / 1440 + moment.second / 86400
    if counted_in is not None:
        values[counted_in]["day"] = f"{days:.10g}"
    return Reading(values[False], values[True])


def _moment(when: list[tuple[_Field, str]]) -> tuple[datetime, bool]:
    texts, formats = [], []
    for one, text in when:
        fmt = one.fmt
        if not fmt:
            digits = re.sub(r"\D", "", text)
            text = digits
            clock = {8: "", 12: "%H%M", 14: "%H%M%S"} if one.name == "date" else {4: "%H%M", 6: "%H%M%S"}
            fmt = ("%Y%m%d" if one.name == "date" else "") + clock[len(digits)]
        texts.append(text)
        formats.append(fmt)
    fmt = " ".join(formats)
    try:
        return datetime.strptime(" ".join(texts), fmt), bool(re.search("%[Yy]", fmt))
    except ValueError as error:
        raise ValueError(f"“{' '.join(text for _, text in when)}” is no date") from error
