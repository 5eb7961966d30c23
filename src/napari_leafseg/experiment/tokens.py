"""Parts of file names that say by themselves what they are: dates, days, words such as ``plant3``."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from napari_leafseg.experiment.dates import day_comes_first

_LOG = logging.getLogger(__name__)
_YEAR_FIRST = re.compile(
    r"(?<!\d)(?:19|20)\d\d(?P<a>[-_.]?)[01]\d(?P=a)[0-3]\d"
    r"(?:(?P<t>[-_T .]?)[0-2]\d(?P<u>[-_.:h]?)[0-5]\d(?P<v>(?P=u)[0-5]\d)?)?(?!\d)"
)
_YEAR_LAST = re.compile(r"(?<!\d)(?P<one>[0-3]?\d)(?P<a>[-_.])(?P<two>[0-3]?\d)(?P=a)(?P<year>(?:19|20)\d\d)(?!\d)")
_KEYWORDS = {
    "day": r"days?|das|dag|dap|dpi|d", "hours": r"hours?|hrs?|h", "plant": r"plants?|pl|p",
    "replicate": r"replicate|rep|r", "pot": r"pots?", "tray": r"trays?", "camera": r"cameras?|cam",
    "timepoint": r"timepoint|frame|tp|t|f",
}  # fmt: skip
_PIECES = {name: re.compile(rf"(?P<word>(?:{words})-?)\d+", re.I) for name, words in _KEYWORDS.items()}
_APART = re.compile(r"(?<![^\W_])(plants?|days?|das|dag|hours?|replicate|rep|pots?|trays?|cam|frame)[_ -](?=\d)", re.I)
_AFTER = {
    "hours": re.compile(r"\d+(?P<word>h|hrs?|hours?)", re.I),
    "day": re.compile(r"\d+(?P<word>d|days?|das)", re.I),
}
_POT = re.compile(r"[A-P]\d{1,2}")
_JOIN = "\N{WORD JOINER}"  # stands for the separator between a word and its number


class Token(NamedTuple):
    """A part of a name.

    Attributes
    ----------
    text : str
    kind : str
        The field that it is; empty where only other names tell.
    pattern : str
        What a pattern has in its place.
    before : str
        What separates it from the token before.
    """

    text: str
    kind: str = ""
    pattern: str = ""
    before: str = ""

    @property
    def shape(self) -> tuple[str, str]:
        """What names of one pattern have in common here."""
        return self.before, self.pattern.lower() if self.kind not in ("", "pot") else ""


def order_of(names: Iterable[str]) -> bool | None:
    """Tell whether dates that end in the year begin with the day; None where the names leave it open."""
    texts = [f"{found['one']}/{found['two']}/{found['year']}" for found in map(_YEAR_LAST.search, names) if found]
    return True if not texts else day_comes_first(texts)


def tokens_of(name: str, day_first: bool = True) -> list[Token]:
    """Cut a name, without ending, into its parts."""
    found: list[Token] = []
    date = _date(name, day_first)
    pieces = [(name, None)] if date is None else [(name[: date[0]], None), ("", date), (name[date[1] :], None)]
    joints = r"[_ .+]+" if re.search(r"[_ .+]", _APART.sub("", "".join(text for text, _ in pieces))) else r"[-_ .+]+"
    waiting = ""
    for text, when in pieces:
        if when is not None:
            found.append(Token(name[when[0] : when[1]], "date", f"{{date:{when[2]}}}", waiting))
            waiting = ""
            continue
        text = _APART.sub(lambda match: match[0][:-1] + _JOIN + match[0][-1] + _JOIN, text)
        for piece in re.split(rf"({joints})(?!{_JOIN})", text):
            if re.fullmatch(joints, piece):
                waiting += piece
            elif piece:
                found.append(_token(piece.replace(_JOIN, ""), waiting))
                waiting = ""
    return found


def _date(name: str, day_first: bool) -> tuple[int, int, str] | None:
    """Where the date is, and how it is written."""
    for found in _YEAR_FIRST.finditer(name):
        clock = f"{found['t']}%H{found['u']}%M" if found["t"] is not None else ""
        clock += f"{found['u']}%S" if found["v"] is not None else ""
        fmt = f"%Y{found['a']}%m{found['a']}%d{clock}"
        if _fits(found[0], fmt):
            return found.start(), found.end(), fmt
        short = re.match(r"\d{4}([-_.]?)\d\d\1\d\d(?!\d)", found[0])  # what follows is no time of day
        fmt = f"%Y{found['a']}%m{found['a']}%d"
        if short and _fits(short[0], fmt):
            return found.start(), found.start() + short.end(), fmt
    for found in _YEAR_LAST.finditer(name):
        fmt = f"%d{found['a']}%m{found['a']}%Y" if day_first else f"%m{found['a']}%d{found['a']}%Y"
        if _fits(found[0], fmt):
            return found.start(), found.end(), fmt
    return None


def _fits(text: str, fmt: str) -> bool:
    try:
        datetime.strptime(text, fmt)
    except ValueError as error:
        _LOG.debug("%s is no date: %s", text, error)
        return False
    return True


def _token(text: str, before: str) -> Token:
    if _POT.fullmatch(text):
        return Token(text, "pot", "{pot}", before)
    for name, regex in _PIECES.items():
        found = regex.fullmatch(re.sub(r"[_ ](?=\d)", "-", text))
        if found is not None:
            word = text[: len(found["word"])]
            return Token(text, name, f"{word}{{{name}}}", before)
    for name, regex in _AFTER.items():
        found = regex.fullmatch(text)
        if found is not None:
            return Token(text, name, f"{{{name}}}{found['word']}", before)
    return Token(text, before=before)
