"""Which images show one plant, in order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from napari_leafseg._counts import counted
from napari_leafseg.experiment.metadata import LATER, Described, Source

_SECONDS = 86400.0  # of a day
_TOGETHER = ("genotype", "treatment", "replicate")
_FURTHER = ("tray", "group")


@dataclass(frozen=True)
class Series:
    """The images of one plant, in order of time.

    Attributes
    ----------
    name : str
        Of the plant; empty where nothing is known of any image.
    places : tuple of int
        Numbers of its images among all.
    days : tuple of float, optional
        When each was taken, in days since the experiment began; None where that is not known of all.
    """

    name: str
    places: tuple[int, ...]
    days: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Grouping:
    """All series of an experiment, and what is to be said of them."""

    series: tuple[Series, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def dated(self) -> bool:
        """Whether times are known of a series that has several images."""
        several = [one for one in self.series if len(one.places) > 1]
        return any(one.days is not None for one in several)

    def day_of(self) -> dict[int, float]:
        """Return the day of each image whose day is known, by its number."""
        return {place: day for one in self.series if one.days for place, day in zip(one.places, one.days, strict=True)}


def key_of(known: Described) -> tuple[str, ...]:
    """Return what tells a plant from others; all empty where nothing does.

    Plants of one name are different ones where genotype, treatment, replicate, tray, group or camera differ; a camera
    that EXIF alone names tells nothing, as images lose their EXIF.
    """
    data = known.metadata
    camera = "" if known.sources.get("camera") == Source.EXIF else data.camera
    own = data.plant or data.pot
    return (*(getattr(data, name) for name in _TOGETHER), *(data.extra.get(name, "") for name in _FURTHER), own, camera)


def group_series(described: Sequence[Described], names: Sequence[str]) -> Grouping:
    """Group images by plant, and sort each plant's by time.

    Images of which nothing is known that tells plants apart are one series, in their order, where that holds for all;
    else each is by itself.

    Parameters
    ----------
    described : sequence of Described
    names : sequence of str
        Of the images, for what is said.
    """
    keys = [key_of(known) for known in described]
    groups: dict[tuple[str, ...], list[int]] = {}
    lone = []
    for place, key in enumerate(keys):
        if any(key) or not any(map(any, keys)):
            groups.setdefault(key, []).append(place)
        else:
            lone.append(place)
    start = _start(described)
    found, notes = [], []
    for key, places in groups.items():
        ordered, days, note = _ordered(places, described, start)
        title = " ".join(part for part in key if part)
        found.append(Series(title, tuple(ordered), days))
        if note:
            notes.append(f"{title or 'The series'}: {note}")
    found += [Series(names[place], (place,)) for place in lone]
    if lone:
        few = ", ".join(names[place] for place in lone[:4]) + (" …" if len(lone) > 4 else "")
        notes.append(f"{counted(len(lone), 'image')} of no known plant, not followed over time: {few}.")
    return Grouping(tuple(found), tuple(notes))


def _start(described: Sequence[Described]) -> datetime | None:
    """The first moment of all; None where there is none, or some are given with a time zone and some without."""
    times = [known.metadata.time for known in described if known.metadata.time is not None]
    if not times or len({moment.tzinfo is None for moment in times}) > 1:
        return None
    return min(times)


def _ordered(
    places: list[int], described: Sequence[Described], start: datetime | None
) -> tuple[list[int], tuple[float, ...] | None, str]:
    """Places in order of time, the days, and why there are none."""
    data = [described[place].metadata for place in places]
    counted_days = [item.day for item in data]
    if all(day is not None for day in counted_days) and len(set(counted_days)) == len(places):
        pairs = sorted((float(day or 0), place) for day, place in zip(counted_days, places, strict=True))
        return [place for _, place in pairs], tuple(day for day, _ in pairs), ""
    times = [item.time for item in data]
    known = [moment for moment in times if moment is not None]
    if known and start is not None and len(known) == len(places):
        pairs = sorted(((moment - start).total_seconds() / _SECONDS, place)
                       for moment, place in zip(known, places, strict=True))  # fmt: skip
        ordered, days = [place for _, place in pairs], tuple(day for day, _ in pairs)
        if all(one < other for one, other in pairwise(days)):
            return ordered, days, ""
        return ordered, None, "two images of one moment, so growth is drawn over their order."
    steps = [item.extra.get(LATER, "") for item in data]
    if len(places) > 1 and all(step.isdigit() for step in steps):
        return [place for _, place in sorted(zip(map(int, steps), places, strict=True))], None, ""
    if known and len(known) == len(places):
        return places, None, "some times have a time zone and some have none, so growth is drawn over their order."
    if known:
        return places, None, f"{counted(len(places) - len(known), 'image')} without a date, so all keep their order."
    return places, None, ""
