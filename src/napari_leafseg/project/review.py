"""How far the review is, and its order: the least certain first."""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from napari_leafseg._counts import counted
from napari_leafseg.editing.edit import LeafKey
from napari_leafseg.editing.history import Step
from napari_leafseg.errors import UserError
from napari_leafseg.project.document import Document
from napari_leafseg.project.files import ImageRef
from napari_leafseg.project.labels_file import read_labels_file
from napari_leafseg.project.store import Project

_LOG = logging.getLogger(__name__)
_COUNTED: dict[tuple[Path, str, str, tuple[int, ...]], tuple[int, int]] = {}

_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)(?:[-_T .]?([0-2]\d)[-_.:h]?([0-5]\d))?(?!\d)")
_NUMBER = re.compile(r"\d+")
_SHORTEST_SERIES = 3
_JUMP = 0.25  # of the leaves that images before and after have

Filter = Literal["unverified", "verified", "all"]


@dataclass(frozen=True)
class Progress:
    """How far the review is: leaves verified of all of one image, images done of all."""

    leaves: int
    leaves_total: int
    images: int
    images_total: int

    def __str__(self) -> str:
        leaves = f"{self.leaves} of {counted(self.leaves_total, 'leaf')} here, " if self.leaves_total else ""
        return f"Reviewed: {leaves}{self.images} of {counted(self.images_total, 'image')}"


@dataclass(frozen=True)
class Tally:
    """What a project holds to learn from.

    Attributes
    ----------
    whole, whole_leaves : int
        Images that were reviewed as a whole, and the leaves in them.
    partly, partly_leaves : int
        Images of which only some leaves were verified, and these leaves.
    changed : int
        Leaves among these that a person drew or changed.
    unreadable : tuple of str
        Images whose labels cannot be read, each with the reason.
    """

    whole: int = 0
    whole_leaves: int = 0
    partly: int = 0
    partly_leaves: int = 0
    changed: int = 0
    unreadable: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [
            f"{counted(images, f'{kind} image')} ({counted(leaves, what)})"
            for images, kind, leaves, what in (
                (self.whole, "reviewed", self.whole_leaves, "leaf"),
                (self.partly, "partly corrected", self.partly_leaves, "verified leaf"),
            )
            if images
        ]
        return " and ".join(parts)

    @property
    def leaves(self) -> int:
        """All leaves to learn from."""
        return self.whole_leaves + self.partly_leaves

    @property
    def trouble(self) -> str:
        """What cannot be read, as a sentence; empty where all can."""
        return f"Not counted, as their labels cannot be read: {'; '.join(self.unreadable)}" if self.unreadable else ""


def tally(project: Project, marks: Mapping[str, int]) -> Tally:
    """Count what a project holds to learn from, as the screen shows it where an image is open.

    Parameters
    ----------
    project : Project
    marks : mapping of str to int
        Verified leaves of the images that are open, by the images' names: newer than what is saved.
    """
    project.writer.flush()
    counts = dict.fromkeys(("whole", "whole_leaves", "partly", "partly_leaves", "changed"), 0)
    unreadable = []
    for ref in list(project.images):
        try:
            whole = ref.state == "done"
            marked = 0 if whole else marks[ref.id] if ref.id in marks else _marks_in(project.labels_path(ref))
            if not whole and not marked:
                continue
            leaves, changed = _count(project, ref)
        except (UserError, OSError) as error:
            _LOG.warning("The labels of “%s” are not counted: %s", ref.id, error)
            unreadable.append(f"“{ref.id}” ({error})")
            continue
        kind = "whole" if whole else "partly"
        counts[kind] += 1
        counts[f"{kind}_leaves"] += leaves if whole else marked
        counts["changed"] += changed
    return Tally(**counts, unreadable=tuple(unreadable))


def changed_by_hand(document: Document) -> set[LeafKey]:
    """Return the leaves that a person drew or changed; not those of a draft, or that a model has found anew since."""
    found: set[LeafKey] = set()
    for step in document.history.done:
        touched = {(edit.frame or 0, leaf) for edit in step.edits for leaf in edit.leaves}
        found = found - touched if is_by_model(step) or step.info.get("draft") else found | touched
    return _leaves_of(document) & found


def is_by_model(step: Step) -> bool:
    """Tell whether a model, or its sliders, made a step."""
    return "run" in step.info or step.tool == "tune" or step.tool.startswith("segment with ")


def is_touched(document: Document) -> bool:
    """Tell whether something that a person did is in effect: not only what a model found, or nothing at all."""
    return bool(document.verified) or any(not is_by_model(step) for step in document.history.done)


def _count(project: Project, ref: ImageRef) -> tuple[int, int]:
    """Count the leaves of an image to learn from, and those among them that a person changed."""
    open_document = project.live_document(ref)
    if open_document is not None:
        return _count_of(open_document, ref.state)
    times = tuple(path.stat().st_mtime_ns if path.exists() else 0
                  for path in (project.labels_path(ref), project.journal_path(ref)))  # fmt: skip
    key = project.folder, ref.id, ref.state, times
    if key not in _COUNTED:
        _COUNTED[key] = _count_of(project.read_document(ref, project.read_labels(ref).shape), ref.state)
    return _COUNTED[key]


def _count_of(document: Document, state: str) -> tuple[int, int]:
    leaves = _leaves_of(document)
    if state != "done":
        leaves &= set(document.verified)
    return len(leaves), len(leaves & changed_by_hand(document))


def _leaves_of(document: Document) -> set[LeafKey]:
    return {(frame, leaf) for frame in range(document.frames) for leaf in document.leaves(frame)}


def _marks_in(path: Path) -> int:
    return len(read_labels_file(path, pixels=False)[1].verified) if path.exists() else 0


def leaf_queue(
    confidence: Mapping[int, float], leaves: Collection[int], verified: Collection[int], show: Filter = "unverified"
) -> list[int]:
    """Return leaves in the order of review.

    Parameters
    ----------
    confidence : mapping of int to float
        0 to 1; leaves without one come first.
    leaves, verified : collection of int
    show : {"unverified", "verified", "all"}
    """
    chosen = [leaf for leaf in leaves if show == "all" or (leaf in verified) == (show == "verified")]
    return sorted(chosen, key=lambda leaf: (confidence.get(leaf, 0.0), leaf))


def image_order(confidence: Mapping[str, float]) -> list[str]:
    """Return images in the order of review.

    Parameters
    ----------
    confidence : mapping of str to float
        Confidence of each image's least certain leaf that nobody verified; 1 where all are verified.
    """
    return sorted(confidence, key=lambda name: (confidence[name], name))


def image_date(path: Path) -> float:
    """Return when an image was taken: as its name says, else when its file was written; seconds since 1970.

    Parameters
    ----------
    path : pathlib.Path
    """
    for found in _DATE.finditer(path.stem):
        try:
            return datetime.datetime(*(int(part) for part in found.groups() if part)).timestamp()  # type: ignore[arg-type]
        except ValueError as error:  # digits that are no date
            _LOG.debug("%s: %s", path.name, error)
    try:
        return path.stat().st_mtime
    except OSError as error:
        _LOG.debug("%s has no date: %s", path, error)
        return 0.0


@lru_cache(maxsize=50_000)
def natural_key(name: str) -> str:
    """Return a key that sorts names with their numbers by value."""
    return _NUMBER.sub(lambda found: found[0].zfill(16), name.lower())


def series_name(path: Path) -> tuple[Path, str]:
    """Return what images of one series have in common: the folder, and the name without date or last number."""
    stem = path.stem
    found = _DATE.search(stem)
    if found is None:
        numbers = list(_NUMBER.finditer(stem))
        found = numbers[-1] if numbers else None
    return path.parent, stem if found is None else stem[: found.start()] + stem[found.end() :]


def find_jumps(counts: Mapping[Path, int]) -> dict[Path, int]:
    """Find images with far more or fewer leaves than those before and after in their series; see `count_jumps`."""
    series: dict[tuple[Path, str], list[Path]] = {}
    for path in counts:
        series.setdefault(series_name(path), []).append(path)
    found: dict[Path, int] = {}
    for paths in series.values():
        paths.sort(key=lambda path: natural_key(path.name))
        found |= {paths[at]: middle for at, middle in count_jumps([counts[path] for path in paths]).items()}
    return found


def count_jumps(counts: Sequence[int]) -> dict[int, int]:
    """Find images of a series with far more or fewer leaves than those before and after.

    Parameters
    ----------
    counts : sequence of int
        Leaves of each image, in order of time.

    Returns
    -------
    dict of int to int
        By the image's place, the middle count of its neighbors.
    """
    found: dict[int, int] = {}
    if len(counts) < _SHORTEST_SERIES:
        return found
    for at, count in enumerate(counts):
        near = [*counts[max(0, at - 2) : at], *counts[at + 1 : at + 3]]
        if at in (0, len(counts) - 1):  # growth goes on as it was
            first, second = near if at == 0 else near[::-1]
            near.append(2 * first - second)
        middle = float(np.median(near))
        slack = max(1.0, _JUMP * middle)
        if not min(near) - slack <= count <= max(near) + slack:
            found[at] = round(middle)
    return found
