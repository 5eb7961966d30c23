"""Which images of an experiment a person should look at first, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from napari_leafseg._counts import counted
from napari_leafseg.experiment import Series
from napari_leafseg.pipelines.report.numbers import number, percent
from napari_leafseg.project.review import count_jumps

UNCERTAIN = 0.3
"""A leaf whose confidence is lower is uncertain, as in the contact sheet."""
_OUTLYING = 3.5  # robust deviations, see Iglewicz and Hoaglin 1993
_FEWEST = 8  # areas that say what is usual
_SHORTEST = 3  # images of a plant from which on its neighbors in time say something
_NEIGHBORS = 4  # of these that an image is compared with
_LEAST_SPREAD = 0.1  # of ln(area): plants that grow evenly differ by as much
_LEAST_FACTOR = {"series": 1.5, "experiment": 2.5}
_TO_DEVIATION = 1.4826  # of a normal distribution, from the median absolute deviation

Kind = Literal["empty", "jump", "area", "uncertain", "border"]
KINDS: dict[Kind, str] = {
    "empty": "no leaf found", "jump": "jump in leaf count", "area": "unusual area", "uncertain": "uncertain leaves",
    "border": "cut by the border",
}  # fmt: skip
"""What is looked for, in words; the weightiest first."""
_WEIGHTS: dict[Kind, float] = {"empty": 5, "jump": 4, "area": 3, "uncertain": 2, "border": 1}


class Reason(NamedTuple):
    """Why an image should be looked at.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    text : str
        A sentence with the figures.
    weight : float
        The larger, the earlier.
    """

    kind: Kind
    text: str
    weight: float


def find_reasons(
    images: pd.DataFrame, leaves: pd.DataFrame, repeated: Sequence[Series], unit: str
) -> dict[int, list[Reason]]:
    """Find the images that should be looked at first.

    Parameters
    ----------
    images : pandas.DataFrame
        A row an image: ``name``, ``count``, ``area``, ``at_border``.
    leaves : pandas.DataFrame
        Of all images, named in ``image``; with ``confidence`` where that is known.
    repeated : sequence of Series
        The plants that were seen several times; their places are rows of `images`.
    unit : str
        Of the areas.

    Returns
    -------
    dict of int to list of Reason
        By the row of `images`, the one to be looked at first at the beginning, weightiest reasons first.
    """
    counts = images["count"].tolist()
    found: dict[int, list[Reason]] = {}

    def add(place: int, kind: Kind, text: str, more: float = 0.0) -> None:
        found.setdefault(place, []).append(Reason(kind, text, _WEIGHTS[kind] + min(more, 0.9)))

    for place, count in enumerate(counts):
        if not count:
            add(place, "empty", "No leaf was found.")
    for one in repeated:
        for place, middle in _jumps(one.places, counts).items():
            count = counts[place]
            if count:
                text = f"{counted(count, 'leaf')}, where the images before and after have about {middle:,}."
                add(place, "jump", text, abs(count - middle) / max(count, middle, 1))
    for place, (text, factor) in _unusual_areas(images["area"].to_numpy(float), repeated, unit).items():
        add(place, "area", text, abs(np.log(factor)) / 5)
    for place, (text, share) in _uncertain(images["name"], leaves).items():
        add(place, "uncertain", text, share)
    for place, cut in enumerate(images["at_border"]):
        if not pd.isna(cut) and cut:
            text = f"{counted(int(cut), 'leaf')} {'is' if cut == 1 else 'are'} cut by the border of the image."
            add(place, "border", text, float(cut) / max(counts[place], 1))
    ordered = sorted(found, key=lambda place: (-sum(reason.weight for reason in found[place]), place))
    return {place: sorted(found[place], key=lambda reason: -reason.weight) for place in ordered}


def _uncertain(names: pd.Series, leaves: pd.DataFrame) -> dict[int, tuple[str, float]]:
    """Images with leaves of low confidence, and which share of theirs that is."""
    if "confidence" not in leaves:
        return {}
    place_of = {name: place for place, name in enumerate(names)}
    known = leaves.dropna(subset=["confidence"])
    sizes = known.groupby("image").size()
    found = {}
    for name, own in known[known["confidence"] < UNCERTAIN].groupby("image")["confidence"]:
        if name in place_of:
            what = f"{len(own):,} of {counted(int(sizes[name]), 'leaf')} {'is' if len(own) == 1 else 'are'} uncertain"
            which = "its confidence is" if len(own) == 1 else "the lowest confidence is"
            found[place_of[name]] = f"{what}: {which} {percent(own.min())}.", len(own) / int(sizes[name])
    return found


def _jumps(places: Sequence[int], counts: Sequence[int]) -> dict[int, int]:
    """Images of a plant whose leaf count jumps, and what those around have; the one that jumps most is no neighbor."""
    left, found = list(places), dict[int, int]()
    while jumps := count_jumps([counts[place] for place in left]):
        worst = max(jumps, key=lambda at: abs(counts[left[at]] - jumps[at]))
        found[left[worst]] = jumps[worst]
        del left[worst]
    return found


def _unusual_areas(areas: np.ndarray, repeated: Sequence[Series], unit: str) -> dict[int, tuple[str, float]]:
    """Images whose area is far from what the plant's others, or else the experiment's, let expect; and the factor."""
    logs = np.log(np.where(areas > 0, areas, np.nan))
    long = [one for one in repeated if len(one.places) >= _SHORTEST]
    expected = _far_from_neighbors(logs, long)
    alone = np.setdiff1d(np.flatnonzero(np.isfinite(logs)), [place for one in long for place in one.places])
    if len(alone) >= _FEWEST:
        middle = float(np.median(logs[alone]))
        limit = _limit(logs[alone] - middle, "experiment")
        expected |= {int(place): middle for place in alone if abs(logs[place] - middle) > limit}
    followed = {place for one in long for place in one.places}
    found = {}
    for place, usual in expected.items():
        factor = float(np.exp(logs[place] - usual))
        before = "the images before and after let expect" if place in followed else "the middle image has"
        how = f"{factor:,.1f} times" if factor > 1 else f"only {percent(factor)} of"
        beside = number(float(np.exp(usual)), unit)
        found[place] = f"The area, {number(areas[place], unit)}, is {how} what {before} ({beside}).", factor
    return found


def _limit(away: np.ndarray, kind: str) -> float:
    """From which difference of ln(area) on an area is unusual among others, whose differences are given."""
    spread = max(_TO_DEVIATION * float(np.median(np.abs(away))) if len(away) else 0.0, _LEAST_SPREAD)
    return max(_OUTLYING * spread, float(np.log(_LEAST_FACTOR[kind])))


def _far_from_neighbors(logs: np.ndarray, repeated: Sequence[Series]) -> dict[int, float]:
    """What the neighbors in time let expect, of the images that are far from it; the farthest is nobody's neighbor."""
    curves = []
    for one in repeated:
        kept = [(place, time) for place, time in zip(one.places, one.days or range(len(one.places)), strict=True)
                if np.isfinite(logs[place])]  # fmt: skip
        curves.append((np.array([place for place, _ in kept], int), np.array([time for _, time in kept], float)))
    differences = [_away(times, logs[places]) for places, times in curves]
    limit = _limit(np.concatenate([*differences, np.empty(0)]), "series")
    found: dict[int, float] = {}
    for (places, times), away in zip(curves, differences, strict=True):
        while len(away) and np.abs(away).max() > limit:
            worst = int(np.abs(away).argmax())
            found[int(places[worst])] = float(
                logs[places[worst]] - away[worst] * (2 if worst in (0, len(away) - 1) else 1)
            )
            places, times = np.delete(places, worst), np.delete(times, worst)
            away = _away(times, logs[places])
    return found


def _away(times: np.ndarray, logs: np.ndarray) -> np.ndarray:
    """How far each image of a plant is from what those nearest in time let expect.

    That is the line (Theil-Sen) through four of them, which no single one bends. A first and a last image lie beyond
    theirs, where growth may be as fast as between any two of them: only half of what is beyond that counts.
    """
    if len(times) < _SHORTEST:
        return np.zeros(len(times))
    at = np.arange(len(times))[:, None]
    width = min(_NEIGHBORS + 1, len(times))
    near = np.clip(at - _NEIGHBORS // 2, 0, len(times) - width) + np.arange(width)
    near = near[near != at].reshape(len(times), width - 1)
    t, y = times[near], logs[near]
    one, other = np.triu_indices(width - 1, 1)
    slopes = (y[:, other] - y[:, one]) / (t[:, other] - t[:, one])
    away = logs - np.median(y, axis=1) - np.median(slopes, axis=1) * (times - np.median(t, axis=1))
    for end, beside in ((0, 0), (-1, -1)):
        reached = y[end, beside] + slopes[end] * (times[end] - t[end, beside])
        low, high = reached.min(), reached.max()
        away[end] = (logs[end] - np.clip(logs[end], low, high)) / 2
    return away
