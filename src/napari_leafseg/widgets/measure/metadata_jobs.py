"""What *Plants and dates* works out: what is known of images, tables, EXIF."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from napari_leafseg._counts import counted
from napari_leafseg.experiment import (
    AmbiguousDates,
    Described,
    Experiment,
    Grouping,
    Pattern,
    group_series,
    guess_pattern,
    match_table,
    read_table,
)
from napari_leafseg.experiment.exif import read_exif
from napari_leafseg.experiment.table import fits_pots, match_pots

_EACH = 25  # images of which EXIF is read between two reports


class Found(NamedTuple):
    """What follows from an experiment."""

    known: dict[Path, Described]
    grouping: Grouping
    pattern: str
    said: str
    alternatives: tuple[str, ...]


@dataclass(frozen=True)
class ExifRead:
    """EXIF of images, once all of it is read."""

    done: int
    values: dict[Path, dict[str, str]]


def find_out(experiment: Experiment, paths: Sequence[Path], names: Mapping[Path, str]) -> Found:
    """Tell what is known of images, and how well the pattern fits."""
    said, alternatives, pattern = "", tuple[str, ...](), experiment.pattern
    if pattern is None:
        guess = guess_pattern(paths)
        pattern, said, alternatives = guess.pattern, str(guess), guess.alternatives
        if pattern:
            said = f"Guessed from the names; fits {guess.fitting:,} of {counted(guess.total, 'name')}."
    known = replace(experiment, pattern=pattern).describe(paths)
    if pattern and not said:
        parsed = Pattern.parse(pattern)
        problems = [f"{path.name}: {problem}" for path in paths if (problem := parsed.read(path).problem)]
        said = f"The pattern fits {len(paths) - len(problems):,} of {counted(len(paths), 'name')}"
        said += f", not {problems[0]}." if problems else "."
    return Found(
        known, group_series(list(known.values()), [names[path] for path in paths]), pattern, said, alternatives
    )


def read_all_exif(paths: Sequence[Path]) -> Iterator[ExifRead]:
    """Read the EXIF of many images."""
    values = {}
    for number, path in enumerate(paths, start=1):
        found = read_exif(path)
        if found:
            values[path] = found
        if number % _EACH == 0 or number == len(paths):
            yield ExifRead(number, dict(values) if number == len(paths) else {})


def match(
    path: Path, day_first: bool | None, experiment: Experiment, paths: Sequence[Path], pots: Sequence[str]
) -> tuple[Callable[[Experiment], None], list[str]] | str:
    """Return what puts a table's values into an experiment, and notes; or the question what dates begin with."""
    try:
        table, plants = read_table(path, day_first), experiment.plants(paths)
        of_pots = fits_pots(table, pots, [*plants.values()])
        values, notes = match_pots(table, pots) if of_pots else match_table(table, paths, plants)
        return partial(_put, "pots" if of_pots else "table", values), notes
    except AmbiguousDates as error:
        return str(error)


def _put(layer: str, values: Any, experiment: Experiment) -> None:
    setattr(experiment, layer, values)


def described_series(grouping: Grouping) -> str:
    """Tell in words which plants were found, and when they were seen."""
    several = [one for one in grouping.series if len(one.places) > 1]
    if not several:
        return "No plant is seen twice: nothing is followed over time."
    counts = sorted({len(one.places) for one in several})
    seen = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    plants = counted(len(several), "plant") if several[0].name or len(several) > 1 else "One plant"
    dated = sum(one.days is not None for one in several)
    when = "dates known" if dated == len(several) else f"dates known of {dated}" if dated else "no dates"
    return "  ·  ".join([f"{plants}, seen {seen} times, {when}", *grouping.notes])
