"""What is known of many images, gathered from names, a table and EXIF in one go."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from napari_leafseg._counts import counted, first_few
from napari_leafseg.experiment.exif import exif_of
from napari_leafseg.experiment.experiment import Experiment
from napari_leafseg.experiment.guess import guess_pattern
from napari_leafseg.experiment.metadata import COLUMNS, FIELDS, Described
from napari_leafseg.experiment.patterns import Pattern, PatternError
from napari_leafseg.experiment.table import fits_pots, match_pots, match_table, read_table


def gather(
    paths: Sequence[Path],
    pattern: str | None = None,
    table: str | Path | None = None,
    day_first: bool | None = None,
    pots: Collection[str] = (),
) -> tuple[Experiment, list[str]]:
    """Gather what is known of images; EXIF is read where nothing else says when any of them was taken.

    Parameters
    ----------
    paths : sequence of pathlib.Path
    pattern : str, optional
        Of their names; "" for none, None for the one that is guessed.
    table : path, optional
        See `read_table`.
    day_first : bool, optional
        See `read_table`.
    pots : collection of str
        Names of the pots of trays that are known.

    Returns
    -------
    experiment : Experiment
    notes : list of str
        What a person should know.

    Raises
    ------
    UserError
        When the pattern or the table cannot be used, or fits no image.
    """
    experiment, notes = Experiment(pattern), list[str]()
    if pattern is None:
        found = guess_pattern(paths)
        experiment.pattern = found.pattern
        if found.question:
            choices = " or ".join(f"“{text}”" for text in found.alternatives)
            notes.append(f"{found.question.removesuffix('Choose the pattern that is right.')}Give {choices}.")
    elif pattern:
        notes += _fit(Pattern.parse(pattern), paths)
    if table is not None:
        read, plants = read_table(table, day_first), experiment.plants(paths)
        if fits_pots(read, pots, [*plants.values()]):
            experiment.pots, more = match_pots(read, pots) if pots else (dict(read.rows), [])
        else:
            experiment.table, more = match_table(read, paths, plants)
        notes += more
    known = experiment.describe(paths)
    undated = [path for path in paths if known[path].metadata.time is None and known[path].metadata.day is None]
    experiment.exif = {path: values for path, values in exif_of(undated) if values}
    return experiment, notes


def _fit(pattern: Pattern, paths: Sequence[Path]) -> list[str]:
    """Tell which names do not fit a pattern; refuse one that fits none."""
    problems = {path: found for path in paths if (found := pattern.read(path).problem)}
    if not problems:
        return []
    first, problem = next(iter(problems.items()))
    if len(problems) == len(paths):
        names = counted(len(paths), "name")
        raise PatternError(f"The pattern {pattern.text} fits none of {names}: {first.name}, {problem}.")
    names = first_few([path.name for path in problems])
    fit = "does" if len(problems) == 1 else "do"
    return [f"{counted(len(problems), 'name')} {fit} not fit {pattern.text}: {names}."]


def as_table(known: dict[Path, Described]) -> pd.DataFrame:
    """Return what is known of images as a table that `read_table` reads, a row an image."""
    rows = [{"image": path.name, **described.metadata.columns()} for path, described in known.items()]
    present = {name for row in rows for name in row}
    fields = [COLUMNS.get(name, name) for name in FIELDS]
    further = sorted(present - set(fields) - {"image"})
    return pd.DataFrame(rows, columns=["image", *(name for name in fields if name in present), *further]).fillna("")
