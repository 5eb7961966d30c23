"""Which pattern the names of many files follow, found from the names themselves."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from napari_leafseg._counts import counted
from napari_leafseg.experiment.patterns import Pattern, PatternError
from napari_leafseg.experiment.tokens import Token, order_of, tokens_of

_LOG = logging.getLogger(__name__)
_MOST = 2000  # names that are looked at
_SHARE = 0.5  # of the names that must follow a pattern
_GENOTYPES = {
    "wt", "wildtype", "wild-type", "col", "col0", "col-0", "ler", "ler0", "ler-0", "ws", "cvi", "mut", "mutant", "ko",
    "oe", "ox",
}  # fmt: skip
_TREATMENTS = {
    "control", "ctrl", "ctl", "drought", "dry", "salt", "nacl", "heat", "cold", "mock", "treated", "untreated",
    "watered", "wet", "stress", "stressed", "shade", "dark", "light", "highlight", "lowlight", "ww", "wd", "hl", "ll",
}  # fmt: skip
_TIMES = {"date", "day", "hours", "timepoint"}
_ASK = "Dates like {} may begin with the day or with the month. Choose the pattern that is right."


@dataclass(frozen=True)
class Guess:
    """A pattern that was found, and what is to be asked.

    Attributes
    ----------
    pattern : str
        Empty where none was found.
    fitting, total : int
        How many of the names follow it.
    question : str
        What only a person can say; empty where nothing is.
    alternatives : tuple of str
        The patterns to choose from then.
    """

    pattern: str = ""
    fitting: int = 0
    total: int = 0
    question: str = ""
    alternatives: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.question:
            return self.question
        if not self.pattern:
            return "The file names follow no pattern that is known."
        return f"{self.pattern} fits {self.fitting:,} of {counted(self.total, 'name')}"


def guess_pattern(paths: Sequence[Path]) -> Guess:
    """Find the pattern that file names follow.

    A date, a day, and words such as ``plant3``, ``rep1`` or ``wt`` are known by themselves; what is left and differs is
    the plant.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        All images of the experiment; what differs between them tells fields from words.
    """
    total = len(paths)
    looked = list(paths[:: max(1, total // _MOST)])
    if not looked:
        return Guess()
    day_first = order_of(path.stem for path in looked)
    if day_first is not None:
        return _counted(_pattern(looked, day_first), paths)
    found = tuple(dict.fromkeys(filter(None, (_pattern(looked, first) for first in (True, False)))))
    if len(found) < 2:
        return _counted(found[0] if found else "", paths)
    example = next(token.text for token in tokens_of(looked[0].stem) if token.kind == "date")
    return Guess(total=total, question=_ASK.format(example), alternatives=found)


def _counted(text: str, paths: Sequence[Path]) -> Guess:
    try:
        pattern = Pattern.parse(text) if text else None
    except PatternError as error:  # words beside one another that no rule tells apart
        _LOG.debug("The names follow no pattern: %s", error)
        pattern = None
    fitting = 0 if pattern is None else sum(not pattern.read(path).problem for path in paths)
    if pattern is None or fitting < _SHARE * len(paths):
        return Guess(total=len(paths))
    return Guess(text, fitting, len(paths))


def _pattern(paths: Sequence[Path], day_first: bool) -> str:
    """The pattern of most of the names; empty where they say nothing."""
    cut = {path: tokens_of(path.stem, day_first) for path in paths}
    shapes = Counter(tuple(token.shape for token in tokens) for tokens in cut.values())
    shape = max(shapes, key=lambda key: (shapes[key], len(key)))
    alike = [path for path in paths if tuple(token.shape for token in cut[path]) == shape]
    columns = [list(column) for column in zip(*(cut[path] for path in alike), strict=True)]
    kinds = [_kind(column) for column in columns]
    levels = _levels(alike)
    folder_kinds = [_kind(level) for level in levels]
    _name_rest(columns, kinds, levels, folder_kinds)
    known = {*kinds, *folder_kinds} - {"", "*"}
    if not known or known == {"timepoint"}:
        return ""
    folders = [_folder(level, kind) for level, kind in zip(levels, folder_kinds, strict=True)]
    while folders and folders[0] == "*":
        folders = folders[1:]
    return "/".join([*folders, _joined(columns, kinds)])


def _kind(column: list[Token]) -> str:
    """The field that a part of all names is; empty where its words do not say it, "=" where they are all the same."""
    kinds = {token.kind for token in column}
    texts = {token.text.lower() for token in column}
    if kinds == {"pot"} and len({text[0] for text in texts}) == 1 and len(texts) > 1 and min(texts)[0] in "dpt":
        return {"d": "day", "p": "plant", "t": "timepoint"}[min(texts)[0]]
    if len(kinds) == 1 and "" not in kinds:
        return kinds.pop()
    if texts & _GENOTYPES:
        return "genotype"
    if texts & _TREATMENTS:
        return "treatment"
    return "=" if len(texts) == 1 else ""


def _levels(paths: Sequence[Path]) -> list[list[Token]]:
    """The names of the folders, from the outermost that differs; empty where the files do not lie equally deep."""
    parents = [path.parent for path in paths]
    try:
        common = Path(os.path.commonpath(parents))
    except ValueError as error:  # on several drives
        _LOG.debug("Folders tell nothing: %s", error)
        return []
    inner = [parent.relative_to(common).parts for parent in parents]
    if len({len(parts) for parts in inner}) != 1:
        return []
    return [[_whole(text) for text in level] for level in zip(*inner, strict=True)]


def _whole(text: str) -> Token:
    """The name of a folder as one token."""
    tokens = tokens_of(text)
    return tokens[0]._replace(text=text) if len(tokens) == 1 and tokens[0].kind else Token(text)


def _name_rest(
    columns: list[list[Token]], kinds: list[str], levels: list[list[Token]], folder_kinds: list[str]
) -> None:
    """Say what the parts are that do not say it themselves, in place."""
    known = {*kinds, *folder_kinds}
    timed = bool(known & _TIMES)
    parts = [number for number, kind in enumerate(kinds) if kind == ""]
    if not timed and parts and _is_number(columns[parts[-1]]):
        others = [_texts(columns[number]) for number in range(len(columns)) if number != parts[-1]]
        who = list(zip(*others, *map(_texts, levels), strict=True))
        if who and 1 < len(set(who)) < len(who):  # each of them several times
            kinds[parts.pop()] = "timepoint"
            timed = True
    parts = [number for number in parts if not (timed and _is_counter(columns, kinds, number))]
    if not timed and not known & {"plant", "pot"}:
        return
    if not known & {"plant", "pot"}:
        if not parts and "genotype" not in known:
            parts = [number for number, kind in enumerate(kinds) if kind == "=" and _may_be_plant(columns[number][0])]
        for number in _last_run(parts):
            kinds[number] = "plant"
            known.add("plant")
    elif "group" not in known:
        for number in _last_run([number for number in parts if not _is_number(columns[number])])[:1]:
            kinds[number] = "group"
            known.add("group")
    for number, kind in enumerate(kinds):
        kinds[number] = kind or "*"
    names = [name for name in ("plant", "genotype", "treatment", "group") if name not in known]
    if "pot" in known and "plant" in names:
        names.remove("plant")
    if "plant" not in names:
        names = [name for name in names if name == "group"]  # which it is, only a person can say
    for number in reversed(range(len(levels))):
        if folder_kinds[number] == "":
            folder_kinds[number] = names.pop(0) if names else "*"


def _texts(column: list[Token]) -> list[str]:
    return [token.text.lower() for token in column]


def _is_number(column: list[Token]) -> bool:
    return all(token.text.isdigit() for token in column)


def _last_run(numbers: list[int]) -> list[int]:
    """The last of the numbers, with those right before it."""
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), lambda at: at[1] - at[0])]
    return runs[-1] if runs else []


def _is_counter(columns: list[list[Token]], kinds: list[str], number: int) -> bool:
    """Whether a number is another one in every name of several times, and so none of a plant that is seen again."""
    texts = _texts(columns[number])
    times = {text for at, kind in enumerate(kinds) if kind in _TIMES for text in _texts(columns[at])}
    return _is_number(columns[number]) and len(texts) > 2 and len(set(texts)) == len(texts) and len(times) > 1


def _may_be_plant(token: Token) -> bool:
    return any(letter.isdigit() for letter in token.text)


def _folder(level: list[Token], kind: str) -> str:
    if kind == "=":
        return level[0].text
    if kind == "*" or not level[0].kind:
        return "*" if kind == "*" else f"{{{kind}}}"
    return level[0].pattern


def _joined(columns: list[list[Token]], kinds: list[str]) -> str:
    """The pattern of the file's name; a run of parts that are one field is one field."""
    text = ""
    for number, (column, kind) in enumerate(zip(columns, kinds, strict=True)):
        first = column[0]
        if number and kind == kinds[number - 1] and kind in ("plant", "*") and not first.kind:
            continue
        if kind == "=":
            piece = first.text
        elif first.kind and first.kind != "pot":
            piece = first.pattern
        elif first.kind == "pot" and kind != "pot":
            piece = f"{first.text[0]}{{{kind}}}"
        else:
            piece = "*" if kind == "*" else f"{{{kind}}}"
        text += first.before + piece
    return text
