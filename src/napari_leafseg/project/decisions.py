"""Decisions about leaves, found again in the labels of today: which hold, and which wait for a leaf."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from napari_leafseg._counts import counted
from napari_leafseg.editing.edit import LeafKey
from napari_leafseg.editing.leaf_places import LeafPlace, find_again
from napari_leafseg.project.measurement_settings import ImageMeasurementSettings

Places = Mapping[int, Mapping[int, LeafPlace]]
"""Where leaves lie: by frame and leaf."""
_TOLD = 4


class FoundAgain(NamedTuple):
    """Decisions by the numbers that leaves have today.

    Attributes
    ----------
    notes : ImageMeasurementSettings
        All decisions, to be kept.
    waiting : frozenset of (frame, leaf)
        Leaves that were not found.
    """

    notes: ImageMeasurementSettings
    waiting: frozenset[LeafKey] = frozenset()

    @property
    def holding(self) -> ImageMeasurementSettings:
        """The decisions that hold: those that do not wait for a leaf."""
        return self._part(lambda key: key not in self.waiting)

    @property
    def waiting_count(self) -> int:
        """How many decisions wait."""
        return _count(self.notes) - _count(self.holding)

    def _part(self, there: Callable[[LeafKey], bool]) -> ImageMeasurementSettings:
        notes = self.notes

        def edges(pairs: Iterable[tuple[LeafKey, LeafKey]]) -> list[tuple[LeafKey, LeafKey]]:
            return [(before, after) for before, after in pairs if there(before) and there(after)]

        return notes.model_copy(
            update={
                "links": edges(notes.links),
                "cuts": edges(notes.cuts),
                "plants": _where(notes.plants, there),
                "pots": _where(notes.pots, there),
            }
        )


def _count(notes: ImageMeasurementSettings) -> int:
    moved = (leaves for said in (notes.plants, notes.pots) for leaves in said.values())
    return len(notes.links) + len(notes.cuts) + sum(map(len, moved))


def decided_leaves(notes: ImageMeasurementSettings) -> set[LeafKey]:
    """Return the leaves that decisions are about, by frame and leaf."""
    found = {key for pair in (*notes.links, *notes.cuts) for key in pair}
    for said in (notes.plants, notes.pots):
        found |= {(frame, leaf) for frame, leaves in said.items() for leaf in leaves}
    return found


def find_leaves(notes: ImageMeasurementSettings, places: Places) -> FoundAgain:
    """Find the leaves of decisions in today's labels, by where they lay.

    A leaf of which that is not known is the one of its number.

    Parameters
    ----------
    notes : ImageMeasurementSettings
    places : mapping
        Where the leaves of today's frames lie; decisions about other frames stay as they are.
    """
    decided: dict[int, set[int]] = {}
    for frame, leaf in decided_leaves(notes):
        if frame in places:
            decided.setdefault(frame, set()).add(leaf)
    moved, waiting = dict[LeafKey, int](), set[LeafKey]()
    for frame, leaves in decided.items():
        known, now = notes.leaves.get(frame, {}), places[frame]
        found = find_again({leaf: known[leaf] for leaf in leaves if leaf in known}, now)
        found |= {leaf: leaf for leaf in leaves - known.keys() if leaf in now and leaf not in found.values()}
        lost = sorted(leaves - found.keys())
        free = (number for number in range(-1, -1_000_000, -1) if number not in leaves)
        for leaf in lost:  # a number that today's labels give to another leaf must not be taken for it
            number = next(free) if leaf in now or leaf in found.values() else leaf
            moved[frame, leaf] = number
            waiting.add((frame, number))
        moved |= {(frame, old): new for old, new in found.items()}
    return FoundAgain(_renumbered(notes, moved, places), frozenset(waiting))


def _renumbered(
    notes: ImageMeasurementSettings, moved: Mapping[LeafKey, int], places: Places
) -> ImageMeasurementSettings:
    """Decisions with other numbers of leaves, and where these lie now."""

    def key(at: LeafKey) -> LeafKey:
        return at[0], moved.get(at, at[1])

    found = notes.model_copy(
        update={
            "links": [(key(before), key(after)) for before, after in notes.links],
            "cuts": [(key(before), key(after)) for before, after in notes.cuts],
            "plants": {frame: {key((frame, leaf))[1]: to for leaf, to in said.items()}
                       for frame, said in notes.plants.items()},
            "pots": {frame: {key((frame, leaf))[1]: to for leaf, to in said.items()}
                     for frame, said in notes.pots.items()},
        }
    )  # fmt: skip
    before = {key((frame, leaf)): place for frame, said in notes.leaves.items() for leaf, place in said.items()
              if (frame, leaf) in moved or frame not in places}  # fmt: skip
    found.leaves = {}
    for (frame, leaf), place in before.items():
        found.leaves.setdefault(frame, {})[leaf] = place
    remember_leaves(found, places)
    return found


def remember_leaves(notes: ImageMeasurementSettings, places: Places) -> None:
    """Note where the leaves lie that decisions are about, given by today's numbers."""
    before, notes.leaves = notes.leaves, {}
    for frame, leaf in sorted(decided_leaves(notes)):
        place = places.get(frame, {}).get(leaf) or before.get(frame, {}).get(leaf)
        if place is not None:
            notes.leaves.setdefault(frame, {})[leaf] = place


def take_tracks(notes: ImageMeasurementSettings, other: ImageMeasurementSettings) -> None:
    """Take the decisions about tracks of other notes, whose leaves have today's numbers, in the place of one's own.

    Leaves that wait get numbers that none has here.
    """
    taken = {key for key in decided_leaves(notes.model_copy(update={"links": [], "cuts": []})) if key[1] < 0}
    moved = dict[LeafKey, LeafKey]()
    for frame, leaf in sorted({key for pair in (*other.links, *other.cuts) for key in pair if key[1] < 0}):
        number = next(n for n in range(leaf, -1_000_000, -1) if (frame, n) not in taken)
        taken.add((frame, number))
        moved[frame, leaf] = frame, number
        place = other.leaves.get(frame, {}).get(leaf)
        if place is not None:
            notes.leaves.setdefault(frame, {})[number] = place
    notes.links, notes.cuts = (
        [(moved.get(before, before), moved.get(after, after)) for before, after in pairs]
        for pairs in (other.links, other.cuts)
    )


def forget_waiting(found: FoundAgain) -> ImageMeasurementSettings:
    """Return the decisions without those that wait for a leaf."""
    return find_leaves(found.holding, {}).notes


def waiting_sentences(found: FoundAgain, names: Sequence[str], of_all: bool = True) -> list[str]:
    """Say which decisions are not applied, and why.

    Parameters
    ----------
    found : FoundAgain
    names : sequence of str
        Of the frames; decisions about others are of images that are not here.
    of_all : bool
        Whether these are to be spoken of.
    """
    frames = {*decided_frames(found.notes)}
    gone = sorted(frame for frame in frames if frame >= len(names))
    apart = {(frame, leaf) for frame, leaf in decided_leaves(found.notes) if frame in gone}
    sentences = []
    waiting = [text for keys, text in _decisions(found.notes, names) if keys & found.waiting and not keys & apart]
    if waiting:
        sentences.append(f"{_wait(len(waiting), 'for a leaf that is not found')}: {_few(waiting)}.")
    away = [text for keys, text in _decisions(found.notes, names) if keys & apart]
    if away and of_all:
        sentences.append(f"{_wait(len(away), 'for an image that is not here')}: {_few(away)}.")
    return sentences


def decided_frames(notes: ImageMeasurementSettings) -> set[int]:
    """Return the frames that decisions are about."""
    return {frame for frame, _ in decided_leaves(notes)}


def _wait(count: int, what: str) -> str:
    return f"{counted(count, 'decision')} {'waits' if count == 1 else 'wait'} {what}"


def _few(texts: Sequence[str]) -> str:
    return "; ".join(texts[:_TOLD]) + (f"; and {len(texts) - _TOLD} more" if len(texts) > _TOLD else "")


def _decisions(notes: ImageMeasurementSettings, names: Sequence[str]) -> Iterator[tuple[set[LeafKey], str]]:
    """Each decision: its leaves, and what was decided."""

    def leaf(key: LeafKey) -> str:
        frame, number = key
        name = names[frame] if frame < len(names) else notes.frames[frame] if frame < len(notes.frames) else f"{frame}"
        place = notes.leaves.get(frame, {}).get(number)
        if number < 0 and place is not None:
            return f"the leaf that was at x {place.x:.0f}, y {place.y:.0f} of {name}"
        return f"a leaf of {name}" if number < 0 else f"leaf {number} of {name}"

    for before, after in notes.links:
        yield {before, after}, f"{leaf(before)} is {leaf(after)}"
    for before, after in notes.cuts:
        yield {before, after}, f"{leaf(before)} is not {leaf(after)}"
    for frame, said in notes.plants.items():
        for number, plant in said.items():
            yield {(frame, number)}, f"{leaf((frame, number))} is of plant {plant}"
    for frame, pots in notes.pots.items():
        for number, pot in pots.items():
            yield {(frame, number)}, f"{leaf((frame, number))} is of pot {pot}"


def _where(said: Mapping[int, Mapping[int, object]], there: Callable[[LeafKey], bool]) -> dict[int, dict[int, object]]:
    kept = {frame: {leaf: to for leaf, to in leaves.items() if there((frame, leaf))} for frame, leaves in said.items()}
    return {frame: leaves for frame, leaves in kept.items() if leaves}
