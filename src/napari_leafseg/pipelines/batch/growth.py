"""Leaves of a whole experiment followed plant by plant, from the tables of its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from napari_leafseg.experiment import Described, Grouping, Series, Source, add_metadata, group_series
from napari_leafseg.experiment.growth import last_of, plant_curves, summarize_tracks, with_traits
from napari_leafseg.pipelines.batch.decisions import (
    NOTHING_DECIDED,
    Decisions,
    apart_sentences,
    find_decided,
    name_plants,
)
from napari_leafseg.pipelines.decided import places_of_table, track_edits_of
from napari_leafseg.traits import Measurements, area_column
from napari_leafseg.traits.track_edits import TrackEdits
from napari_leafseg.traits.tracking import TrackMemory, growth, track_series

_EMPTY = pd.DataFrame()


class Followed(NamedTuple):
    """An experiment in order of time.

    Attributes
    ----------
    leaves, plants, growth, tracks : pandas.DataFrame
        With what is known of the images; no growth and no tracks where no plant was seen twice.
    grouping : Grouping
        By the images' order.
    by_plant : pandas.DataFrame
        A row a plant and image, see `napari_leafseg.experiment.growth.plant_curves`.
    names : tuple of str
        Of the images, in their order.
    notes : tuple of str
        Decisions of people that are not applied, and why.
    """

    leaves: pd.DataFrame
    plants: pd.DataFrame
    growth: pd.DataFrame
    tracks: pd.DataFrame
    grouping: Grouping
    by_plant: pd.DataFrame = _EMPTY
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def repeated(self) -> list[Series]:
        """The plants that were seen several times."""
        return [one for one in self.grouping.series if len(one.places) > 1 and one.name]


def follow(
    leaves: pd.DataFrame, plants: pd.DataFrame, known: Mapping[str, Described], px_per_mm: Mapping[str, float | None],
    memory: TrackMemory | None = None, decisions: Decisions = NOTHING_DECIDED,
) -> Followed:  # fmt: skip
    """Follow the leaves of each plant over its images, and say in the tables which plant and day a row is of.

    Parameters
    ----------
    leaves, plants : pandas.DataFrame
        Of all images, named in ``image``.
    known : mapping
        What is known of each image, in the images' order.
    px_per_mm : mapping
        The scale of each image; None where its traits are in pixels.
    memory : TrackMemory, optional
        Of series that were followed before.
    decisions : Decisions
        What people decided about tracks and the names of plants.
    """
    names = list(known)
    grouping = group_series(list(known.values()), names)
    days = {names[place]: day for place, day in grouping.day_of().items()}
    of_image = {name: described.metadata for name, described in known.items()}
    curves = tracks = by_plant = _EMPTY
    pixels = _pixels(leaves, plants, names, px_per_mm)
    places = {} if "frame" in leaves else {at: places_of_table(item.leaves) for at, item in enumerate(pixels)}
    decided, said = find_decided(decisions, names, places)
    leaves, plants = (name_plants(table, decided.notes, names) for table in (leaves, plants))
    if len(leaves) and "frame" not in leaves:
        series = [one.places for one in grouping.series if len(one.places) > 1 and _is_series(one.places, known, names)]
        said += apart_sentences(decided.holding, series, names)
        edits = track_edits_of(decided.holding)
        leaves, curves = _followed(leaves, plants, series, names, pixels, grouping, memory, edits)
        if len(curves):
            curves["lasts"] = last_of(curves, series)
            curves = add_metadata(curves, "image", of_image)
            tracks = summarize_tracks(curves, series, area_column(curves))
            by_plant = plant_curves(curves, [one.places for one in grouping.series], area_column(curves))
            number = {name: place for place, name in enumerate(names)}
            numbered = (table.assign(frame=table["image"].map(number)) for table in (leaves, plants))
            by_plant = with_traits(by_plant, *numbered)
            curves = curves.drop(columns="frame")
    leaves, plants = (add_metadata(table, "image", of_image, days) if len(table) else table
                      for table in (leaves, plants))  # fmt: skip
    return Followed(leaves, plants, curves, tracks, grouping, by_plant, tuple(names), tuple(said))


def _is_series(places: Sequence[int], known: Mapping[str, Described], names: Sequence[str]) -> bool:
    """Whether images are of one plant by what is said of them, not just beside each other."""
    first = known[names[places[0]]]
    told = {name for name, source in first.sources.items() if source != Source.EXIF}
    return bool(told)


def _by_image(leaves: pd.DataFrame, plants: pd.DataFrame, names: Sequence[str]) -> list[Measurements]:
    """What was measured, image by image."""
    if not len(leaves):
        return [Measurements(leaves, plants, {}) for _ in names]
    own = {str(name): table for name, table in leaves.groupby("image")}
    own_plants = {str(name): table for name, table in plants.groupby("image")}
    return [Measurements(own.get(name, leaves[:0]), own_plants.get(name, plants[:0]), {}) for name in names]


def _pixels(
    leaves: pd.DataFrame, plants: pd.DataFrame, names: Sequence[str], px_per_mm: Mapping[str, float | None]
) -> list[Measurements]:
    """What tracking compares of each image."""
    measured = _by_image(leaves, plants, names)
    return [_in_pixels(item, px_per_mm.get(name)) for item, name in zip(measured, names, strict=True)]


def _followed(
    leaves: pd.DataFrame, plants: pd.DataFrame, series: list[tuple[int, ...]], names: list[str],
    pixels: list[Measurements], grouping: Grouping, memory: TrackMemory | None, edits: TrackEdits,
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Leaves with their tracks, and how they grow."""
    if not series:
        return leaves, _EMPTY
    metric = _by_image(leaves, plants, names)
    tracks = track_series(pixels, series, edits, memory)
    if not len(tracks):
        return leaves, _EMPTY
    at = {place: number for one in grouping.series for number, place in enumerate(one.places)}
    days = grouping.day_of()
    times = [days.get(place, np.nan) if grouping.dated else float(at[place]) for place in range(len(names))]
    curves = growth(tracks, metric, times)
    curves.insert(0, "image", [names[place] for place in curves["frame"]])
    columns = (tracks[name] for name in ("frame", "leaf", "track"))
    of_leaf = {(names[place], leaf): track for place, leaf, track in zip(*columns, strict=True)}
    leaves = leaves.copy()
    found = [of_leaf.get(key) for key in zip(leaves["image"], leaves["leaf"], strict=True)]
    leaves.insert(1, "track", pd.Series(found, leaves.index, dtype="Int64"))
    return leaves, curves


def _in_pixels(item: Measurements, px_per_mm: float | None) -> Measurements:
    """What tracking compares, in pixels."""
    leaves, plants, scale = item.leaves, item.plants, px_per_mm or 1.0
    if area_column(leaves) == "area_mm2":
        leaves = leaves.assign(area_px2=leaves["area_mm2"] * scale**2)
    if "diameter_mm" in plants:
        plants = plants.assign(diameter_px=plants["diameter_mm"] * scale)
    return Measurements(leaves, plants, {})
