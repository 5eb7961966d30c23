"""What all readers of other programs' files share: limits, classes, and what is told of what was not taken."""

from __future__ import annotations

import json
import math
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg._files import check_regular, read_regular
from napari_leafseg.errors import InputFileError, plain_reason

LARGEST_FILE = 256 * 2**20  # bytes of a JSON, XML or text file
LARGEST_IMAGE = 2**28  # pixels of an image that only the file itself tells the size of
_DECLARED = re.compile(rb"<\?xml[^>]{0,80}?encoding=[\"']([\w.-]+)")
_LEAF = re.compile(r"(?<![a-z])(leaf|leaves|leaflets?|blatt|blätter|feuilles?|hojas?|folhas?|fogli[ae])(?![a-z])")
_NO_LEAF = re.compile(r"(?<![a-z])(no|non|not|without|kein)(?![a-z])")
_OTHERS = re.compile(
    r"(?<![a-z])(pots?|trays?|soil|background|plants?|stems?|petioles?|flowers?|fruits?|roots?|cards?|colou?rcard|"
    r"rulers?|tags?|labels?|ignore|void|crowd|stakes?|cages?|unlabell?ed)(?![a-z])"
)


Sizes = Callable[[list[str]], Mapping[str, tuple[int, ...]]]
"""Returns the shapes, (H, W) or (T, H, W), of those images that are known by these names."""


class Reading:
    """One reading of a file: what the reader may ask, and what it has to tell.

    Parameters
    ----------
    sizes : callable, optional
        See `Sizes`; without it, files are believed what they say of their images.
    classes : collection of str, optional
        Names of the classes that are leaves; by name, see `leaf_classes`, when left out.

    Attributes
    ----------
    left_out : collections.Counter
        What was not taken, in words, and how often.
    unknown : list of str
        Images that are not known.
    refused : list of str
        Sentences on images whose labels do not fit.
    """

    def __init__(self, sizes: Sizes | None = None, classes: Collection[str] | None = None) -> None:
        self._sizes, self._classes = sizes, None if classes is None else set(classes)
        self.left_out: Counter[str] = Counter()
        self.unknown: list[str] = []
        self.refused: list[str] = []
        self._refused: set[str] = set()

    def refuse(self, names: Iterable[str], why: str) -> None:
        """Tell why images that are known do not get their labels."""
        self._refused.update(names)
        self.refused.append(why)

    def ask(self, sizes: Sizes) -> None:
        """Ask this for images from now on."""
        self._sizes = sizes

    def known(self, names: Iterable[str], declared: Mapping[str, Any] | None = None) -> dict[str, tuple[int, ...]]:
        """Find the images among `names` whose labels are to be read, with their shapes.

        Parameters
        ----------
        names : iterable of str
            As the file has them.
        declared : mapping, optional
            Height and width that the file says the images have; refused where they are others.

        Raises
        ------
        InputFileError
            Where neither the program nor the file knows an image's size.
        """
        wanted = list(dict.fromkeys(names))
        said = {name: size for name, size in (declared or {}).items() if size is not None}
        if self._sizes is None:
            missing = [name for name in wanted if name not in said]
            if missing:
                raise InputFileError(f"it does not say how large “{missing[0]}” is: read it with its image")
            return {name: _believable(name, said[name]) for name in wanted}
        found = {}
        sizes = self._sizes(wanted)
        for name in wanted:
            if name not in sizes:
                self.unknown += [] if name in self._refused else [name]
            elif name in said and tuple(said[name]) != tuple(sizes[name]):
                self.refused.append(
                    f"its labels of “{name}” are {_size(said[name])}, the image is {_size(sizes[name])}"
                )
            else:
                found[name] = tuple(sizes[name])
        return found

    def plane(self, name: str, declared: tuple[int, int] | None = None) -> tuple[int, int] | None:
        """Return height and width of the one image that a file is of; None where it is not to be read."""
        return self.planes([name], {name: declared}).get(name)

    def planes(self, names: Iterable[str], declared: Mapping[str, Any] | None = None) -> dict[str, tuple[int, int]]:
        """Find images like `known`, for formats that hold no series."""
        found = {}
        for name, shape in self.known(names, declared).items():
            if len(shape) == 2:
                found[name] = (shape[0], shape[1])
            else:
                self.refused.append(f"“{name}” is a time series, of which such a file holds a single frame")
        return found

    def refuse_doubles(self, names: Sequence[str]) -> set[str]:
        """Refuse the images of a file that has several of one name; returns those names."""
        often = {name: count for name, count in Counter(names).items() if count > 1}
        self.refused += [
            f"{count} of its images are called “{name}”, so that their labels cannot be told apart"
            for name, count in often.items()
        ]
        return set(often)

    def leaves(self, counts: Mapping[str, int]) -> set[str]:
        """Find the classes that are leaves, of those that a file has; "" for shapes without a class."""
        return (leaf_classes(counts) if self._classes is None else self._classes & set(counts)) | {""}

    def leave_out(self, what: str, count: int = 1) -> None:
        """Count what is not taken."""
        if count:
            self.left_out[what] += count

    def notes(self) -> list[str]:
        """Say what was left out, a part of a sentence each."""
        return [f"{count:,} × {what}" for what, count in self.left_out.most_common()]


Found = Iterator[tuple[str, np.ndarray]]
"""Names of images, as a file has them, and their labels."""


def read_alone(read: Callable[[Path, Reading], Found], path: str | Path, reading: Reading | None = None) -> Any:
    """Read all of a file that no project waits for; what does not fit is an error.

    Returns
    -------
    dict of str to numpy.ndarray

    Raises
    ------
    InputFileError
    """
    reading = reading or Reading()
    try:
        found = dict(read(Path(path), reading))
    finally:
        forget_json()
    if reading.refused:
        raise InputFileError(f"{path}: {reading.refused[0]}.")
    return found


@contextmanager
def explained(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever goes wrong with a file into an `InputFileError` that names it."""
    try:
        yield
    except InputFileError as error:
        raise error if str(path) in str(error) else InputFileError(f"{path}: {error}.") from error
    except KeyError as error:
        raise InputFileError(f"{path} is no {kind}: the entry {plain_reason(error)}.") from error
    except Exception as error:  # damaged files raise anything at all
        if isinstance(error, OSError) and error.errno:
            raise InputFileError(f"Cannot read {path}: {error.strerror}.") from error
        raise InputFileError(f"{path} is no {kind}, or it is damaged{_plain(error)}. Export it again.") from error


@contextmanager
def entry(what: str) -> Iterator[None]:
    """Name the entry of a file with which something goes wrong."""
    try:
        yield
    except InputFileError as error:
        raise InputFileError(f"{what}: {error}") from error
    except KeyError as error:
        raise InputFileError(f"{what}: the entry {plain_reason(error)}") from error
    except Exception as error:
        raise InputFileError(f"{what} is damaged{_plain(error)}. Correct it, or export the file again") from error


def entries(content: Any, name: str) -> list[dict[str, Any]]:
    """Return the entries of a list that a JSON file has."""
    if not isinstance(content, dict):
        raise InputFileError(f"it holds no list “{name}”. Export it again")
    found = content[name]
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise InputFileError(f"its “{name}” is no list of entries. Export it again")
    return found


def _plain(error: Exception) -> str:
    """What a person may understand of an error, in brackets."""
    if isinstance(error, (TypeError, AttributeError, LookupError)):
        return ": it holds something else where numbers or texts belong"
    return f" ({plain_reason(error)})"


def leaf_classes(counts: Mapping[str, int]) -> set[str]:
    """Choose the classes that are leaves by their names.

    The only class; else those that are named after leaves; else all but pots, stems, whole plants and the like.

    Raises
    ------
    InputFileError
        Where that leaves none.
    """
    names = {name for name in counts if name}
    if len(names) < 2:
        return names
    plain = {name: name.casefold().replace("_", " ") for name in names}
    chosen = {name for name in names if _LEAF.search(plain[name]) and not _NO_LEAF.search(plain[name])}
    chosen = chosen or {name for name in names if not _OTHERS.search(plain[name]) and not _NO_LEAF.search(plain[name])}
    if not chosen:
        raise InputFileError(f"which of its classes are leaves is not clear: {', '.join(sorted(names))}. Choose them")
    return chosen


def _believable(name: str, size: Any) -> tuple[int, ...]:
    shape = tuple(int(side) for side in size)
    if min(shape) < 1 or math.prod(shape) > LARGEST_IMAGE:
        raise InputFileError(f"“{name}” would be {_size(shape)} pixels; read it with its image")
    return shape


def _size(shape: Sequence[int]) -> str:
    return " × ".join(f"{side:,}" for side in shape)


def load_text(path: Path) -> str:
    """Read a text file of a sound size: UTF-8, or what its byte order mark or XML declaration says.

    Raises
    ------
    InputFileError
        For what is no file, too large, or no text.
    """
    content = read_regular(path, LARGEST_FILE, whole=True)
    declared = _DECLARED.match(content)
    encoding = "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    if encoding == "utf-8-sig" and declared is not None and declared[1].lower() != b"utf-8":
        encoding = declared[1].decode()
    try:
        return content.decode(encoding)
    except (UnicodeError, LookupError) as error:
        raise InputFileError(f"{path} is no text in UTF-8. Export it again.") from error


def load_json(path: Path) -> Any:
    """Read a JSON file; kept until `forget_json`, not to be changed.

    Raises
    ------
    InputFileError
    """
    status = check_regular(path, LARGEST_FILE)
    return _parsed(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1)
def _parsed(path: Path, _changed: int, _size: int) -> Any:
    content = read_regular(path, LARGEST_FILE, whole=True)
    try:
        try:
            return json.loads(content)
        except UnicodeDecodeError:  # of old Windows programs
            return json.loads(content.decode("cp1252", "replace"))
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputFileError(f"{path} cannot be read as JSON ({plain_reason(error)}). Export it again.") from error


def forget_json() -> None:
    """Free what `load_json` keeps."""
    _parsed.cache_clear()
