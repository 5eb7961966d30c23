"""A file of a project that keeps what people decided beside the labels; what of it cannot be used is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from napari_leafseg._counts import counted
from napari_leafseg._files import read_json
from napari_leafseg.errors import UserError, plain_reason

FORMAT = 1


@dataclass(kw_only=True)
class KeptFile:
    """What a project's file says of its images.

    Attributes
    ----------
    others : dict
        What is said of images that are not in the list, by their names; they may come back.
    problem : str
        What of the file cannot be used, as a sentence; empty where all can.
    writable : bool
        False for the file of a later version, which must stay as it is.
    """

    others: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    writable: bool = True


_Kept = TypeVar("_Kept", bound=KeptFile)
Understand = Callable[[Any, Mapping[str, Path], _Kept], list[str]]


def read_kept(
    path: Path, listed: Mapping[str, Path], kept: _Kept, understand: Understand[_Kept], what: str, newer: str
) -> _Kept:
    """Read a file; of a damaged one, what can be used.

    Parameters
    ----------
    path : pathlib.Path
    listed : mapping
        Where the images of the list are, by their names.
    kept : KeptFile
        An empty one, which is filled.
    understand : callable
        Takes the content, `listed` and `kept`; fills it and returns the faults, in words.
    what : str
        What the file is about, as in “trays and scales”.
    newer : str
        The sentence on what is not done with the file of a newer version.
    """
    if not path.exists():
        return kept
    try:
        content = read_json(path)
    except (OSError, UserError) as error:
        kept.problem = f"{path} is damaged: {what} have to be set again: {plain_reason(error, path)}."
        return kept
    if isinstance(content, dict) and isinstance(content.get("format"), int) and content["format"] > FORMAT:
        said = f"{path} was made by a newer version of napari-leafseg."
        kept.problem = f"{said} {newer}; update napari-leafseg to use them."
        kept.writable = False
        return kept
    faults = understand(content, listed, kept)
    if faults:
        first = ": " if len(faults) == 1 else ", the first is: "
        kept.problem = (
            f"{path} is damaged in {counted(len(faults), 'place')}{first}{faults[0]}. What is damaged is left out; the "
            f"file as it was is kept as {path.name}.damaged. See whether {what} are right."
        )
    return kept
