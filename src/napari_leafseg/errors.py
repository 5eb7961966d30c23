"""Errors that are meant for a person."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


class UserError(Exception):
    """Something the user can mend; the message says what is wrong with which file or layer, and what to do."""


class InputFileError(UserError):
    """An image, labels file or folder that cannot be read or written, or does not fit its image."""


class ModelError(UserError):
    """A model, checkpoint or device that is not there or does not fit."""


class ProjectError(UserError):
    """A project that cannot be opened or written, or lacks what is asked of it."""


class ParameterError(UserError):
    """A value, option or setting that is unknown or out of its range."""


class DownloadError(UserError):
    """Something that cannot be fetched: names the address, the reason and what to do."""


class NotEnoughMemory(UserError):
    """Something that takes more memory than there is."""


def install_command(extra: str) -> str:
    """Return the command that installs what an extra of this package brings."""
    return f'pip install "napari-leafseg[{extra}]"'


# how libraries say it that raise no MemoryError: torch and oneDNN on a CPU, CUDA, C++, OpenCV, the system's threads
_SHORT = (
    "out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "insufficient memory",
    "bad_alloc", "bad allocation", "could not create a primitive", "could not create a memory", "unable to allocate",
    "can't start new thread",
)  # fmt: skip


def short_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out, whichever library raised it."""
    if isinstance(error, MemoryError | NotEnoughMemory) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, UserError):
        return False
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    return any(words in str(error).lower() for words in _SHORT)


def in_words(error: Exception) -> UserError | None:
    """Return what a person is told of an error of a library; None where nothing is known of it."""
    if isinstance(error, UserError):
        return error
    if not short_of_memory(error):
        return None
    told = NotEnoughMemory(
        "There is too little memory for this. Close other programs, or take a smaller image or fewer at a time."
    )
    told.__cause__ = error
    return told


def plain_reason(error: BaseException, path: Any = None) -> str:
    """Say what an error of Python or of a library means, without its quotes, numbers and class names.

    Parameters
    ----------
    error : BaseException
        An `OSError` is told by what the system says and the file's name, a `KeyError` by what is missing, a
        `pydantic.ValidationError` by each entry that does not fit; any other by its own words.
    path : object, optional
        The file that the message names already: it is not named again.

    Returns
    -------
    str
        Without a full stop at its end.
    """
    words = _reason(error)
    if path is None:
        return words
    words = words.removesuffix(f" ({path})").removeprefix(f"{path}: ")
    return re.sub(rf"(?<![\w/\\]){re.escape(str(path))}(?![\w/\\]|\.\w)", "it", words)


def _reason(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error).rstrip(".")
    entries = getattr(error, "errors", None)
    if type(error).__name__ == "ValidationError" and callable(entries):
        return "; ".join(dict.fromkeys(_entry_reasons(entries())))
    if isinstance(error, KeyError) and error.args:
        return f"“{error.args[0]}” is missing"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    if isinstance(error, UnicodeDecodeError):
        return f"it is no text in UTF-8: see byte {error.start + 1}"
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is not None and problem:  # of a YAML file
        return f"line {mark.line + 1}, column {mark.column + 1}: {_in_own_words(problem)}"
    lines = str(error).strip().splitlines()
    return _in_own_words(lines[0][:_LONGEST].rstrip(".")) if lines else _UNKNOWN


_UNKNOWN = "the reason is not known"
_WORDS = (
    (r"module '([^']*)' has no attribute '([^']*)'", r"“\1” has no “\2”"),
    (r".*(object is not|object has no attribute|object does not|indices must be|values to unpack|not iterable).*",
     "it is not laid out as it should be"),
    (r"(?:invalid literal for int\(\) with base \d+|could not convert string to float): '(.*)'", r"“\1” is no number"),
    (r"found character '\\t' that cannot start any token", "a tab where spaces are needed"),
    (r"could not determine a constructor for the tag 'tag:yaml.org,2002:(.*)'", r"the tag “!!\1” is not known"),
    (r"could not determine a constructor for the tag '(.*)'", r"the tag “\1” is not known"),
    (r"found unhashable key", "a name must be a text"),
    (r"'<stream end>'", "the end of the file"),
    (r"(?<!\w)'([^']*)'(?!\w)", r"“\1”"),
)  # fmt: skip


def _in_own_words(text: str) -> str:
    """Put what Python and YAML say most often in words, and quotes as this program has them."""
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text)
    return text


_MAPPING = "a list of names and values"
_KINDS = {
    "int": "a whole number", "float": "a number", "finite_number": "a finite number", "string": "a text",
    "bool": "true or false", "list": "a list", "tuple": "a list", "dict": _MAPPING,
    "model": _MAPPING, "date": "a date", "datetime": "a date and time", "path": "a path",
    "url": "an address", "none_required": "nothing",
}  # fmt: skip
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"), "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"), "less_than": ("lt", "less than"),
    "multiple_of": ("multiple_of", "a multiple of"),
}  # fmt: skip
_LENGTHS = {"too_short": ("min_length", "at least"), "too_long": ("max_length", "at most")}
_LONGEST = 200  # characters of a library's own words
_SHOWN = 40  # characters of a value
_CHOICE = re.compile(
    r"str|int|float|bool|none|[a-z-]+\[.*\]"
)  # what pydantic adds to a place that may be of several kinds


def _entry_reasons(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say what is wrong with each entry; one that may be of several kinds has an error for each of them."""
    places: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for item in items:
        place = tuple(part for part in item["loc"] if not _CHOICE.fullmatch(str(part)))
        places.setdefault(place, []).append({**item, "loc": place})
    for place, here in places.items():
        kinds = [kind for item in here if (kind := _wanted(item))]
        own = [item for item in here if not _wanted(item)]
        deeper = any(len(other) > len(place) and other[: len(place)] == place for other in places)
        if isinstance(here[0].get("input"), Mapping) and (own or deeper):
            kinds = []  # it is of the kind that has entries
        if kinds:
            yield f"{_name(place)} must be {' or '.join(dict.fromkeys(kinds))}, not {_shown(here[0].get('input'))}"
        yield from map(entry_reason, own)


def _wanted(item: Mapping[str, Any]) -> str:
    """What an entry must be; "" where something else is wrong with it."""
    kind = item["type"]
    if kind in ("literal_error", "enum"):
        return str(item.get("ctx", {}).get("expected", "another")).replace("'", "")
    return _KINDS.get(kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_from_float"), "")


def _name(place: Sequence[Any]) -> str:
    return f"“{'.'.join(map(str, place))}”" if place else "it"


def _shown(value: Any) -> str:
    """A value that does not fit, in words where Python would write it in its own way."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return _MAPPING
    if isinstance(value, (list, tuple, set)):
        return "a list"
    if isinstance(value, bytes):
        return "something else"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"“{text[:_SHOWN]}{'…' if len(text) > _SHOWN else ''}”"


def entry_reason(item: Mapping[str, Any]) -> str:
    """Say what is wrong with one entry.

    Parameters
    ----------
    item : mapping
        An error of `pydantic.ValidationError.errors`: its type, place, input, message and context.

    Returns
    -------
    str
        Names the entry; without a full stop at its end.
    """
    kind, context = item["type"], item.get("ctx", {})
    where, given = _name(item["loc"]), _shown(item.get("input"))
    if kind == "missing":
        return f"{where} is missing"
    if kind == "extra_forbidden":
        return f"{where} is not known"
    if kind == "invalid_key":
        return f"{where} must be in quotes, as each name is a text"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{where} must be {words} {context[name]}, not {given}"
    for ending, (name, words) in _LENGTHS.items():
        if kind.endswith(ending):
            things = "characters" if kind.startswith("string") else "entries"
            return f"{where} must have {words} {context[name]} {things}"
    wanted = _wanted(item)
    if wanted:
        return f"{where} must be {wanted}, not {given}"
    words = str(item["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{where}: {words}" if item["loc"] else words
