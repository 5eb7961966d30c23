"""What *Measure* computes, in a worker: tables of leaves, plants and growth."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from napari_leafseg._counts import counted
from napari_leafseg._same import Same
from napari_leafseg.editing.leaf_places import LeafPlace
from napari_leafseg.experiment import Described, Grouping, add_metadata, group_series
from napari_leafseg.experiment.growth import group_table, last_of, plant_curves, summarize_tracks, with_traits
from napari_leafseg.experiment.positions import Setup
from napari_leafseg.io import to_rgb8
from napari_leafseg.pipelines.decided import notes_of_frame, places_of_table, plant_overrides, track_edits_of
from napari_leafseg.pipelines.engine import run_over
from napari_leafseg.project.decisions import FoundAgain, Places, find_leaves, waiting_sentences
from napari_leafseg.project.measurement_settings import ImageMeasurementSettings, MeasurementSettings
from napari_leafseg.traits import Measurements, area_column, in_millimeters, measure
from napari_leafseg.traits.color import ColorClasses
from napari_leafseg.traits.extra import TraitFunction, all_traits, trait_digest
from napari_leafseg.traits.tracking import TrackMemory, growth, stacked, track_series

_NOTHING_SET = Setup()


class OwnTraits(NamedTuple):
    """What is measured beside the usual, and which colors are green, yellow and brown.

    Attributes
    ----------
    functions : tuple of callable
        See `napari_leafseg.traits.extra`.
    classes : ColorClasses, optional
    key : str
        Another one where something else is measured.
    """

    functions: tuple[TraitFunction, ...] = ()
    classes: ColorClasses | None = None
    key: str = ""

    @classmethod
    def of(cls, notes: MeasurementSettings) -> OwnTraits:
        """Load what a project has of them.

        Raises
        ------
        ParameterError
            When a function cannot be loaded.
        """
        classes = None if notes.color_limits is None else ColorClasses.of_limits(*notes.color_limits)
        key = " ".join([*map(trait_digest, notes.traits), str(notes.color_limits)])
        return cls(tuple(all_traits(notes.traits).values()), classes, key)


@dataclass
class Frame:
    """An image to be measured.

    Attributes
    ----------
    name : str
    labels, image : callable
        Read (H, W) labels and the (H, W) or (H, W, C) image, or None.
    prediction : Prediction or None
        For the leaves' confidence.
    verified : set of int
    key : str
        Names the image's pixels in a `MeasureCache`; what has none is measured each time.
    path : pathlib.Path, optional
        Of its file.
    """

    name: str
    labels: Callable[[], np.ndarray]
    image: Callable[[], Any]
    prediction: Any = None
    verified: set[int] = field(default_factory=set)
    key: str = ""
    path: Path | None = None


class MeasureCache:
    """Remember what was measured and followed, so that only images whose labels changed are measured again.

    Attributes
    ----------
    tracks : TrackMemory
    """

    def __init__(self, most: int = 5000) -> None:
        self._most = most
        self.tracks = TrackMemory()
        self._measured: dict[Hashable, Measurements] = {}
        self._metric: dict[Hashable, Measurements] = {}  # by table and scale
        self._finished: dict[Hashable, Measurements] = {}  # with what is verified, of images without a prediction
        self._confidence: dict[Hashable, tuple[weakref.ref[Any], dict[int, float]]] = {}

    def measure(
        self, frame: Frame, labels: np.ndarray, plants: Mapping[int, int] | None, names: Mapping[int, str],
        setup: Setup = _NOTHING_SET, own: OwnTraits | None = None,
    ) -> Measurements:  # fmt: skip
        """Measure a frame, or say what is known of it."""
        digest = hashlib.sha1(np.ascontiguousarray(labels).data).digest()
        decided = tuple(sorted((plants or {}).items())), tuple(sorted(names.items()))
        key = frame.key, digest, labels.shape, *decided, setup.without_scale(), "" if own is None else own.key
        whole = (*key, frozenset(frame.verified))
        if frame.prediction is None and whole in self._finished:
            return self._finished[whole]
        known = self._measured.get(key)
        if known is None:
            raw = frame.image()
            image = None if raw is None else to_rgb8(np.asarray(raw), frame.name)
            if image is not None and setup.color is not None:
                image = setup.color.apply(image)
            extra, classes = (None, None) if own is None else (own.functions, own.classes)
            known = measure(
                labels, image, None, plants, names, {}, frame.verified, extra=extra, tray=setup.tray, classes=classes
            )
            self._keep(self._measured, key, known)
        leaves = known.leaves.copy()
        leaves["verified"] = [leaf in frame.verified for leaf in leaves["leaf"]]
        if frame.prediction is None:
            leaves = leaves.drop(columns="confidence")
        else:
            confidence = self._confidence_of(frame, labels, (frame.key, digest))
            leaves["confidence"] = [confidence.get(leaf, np.nan) for leaf in leaves["leaf"]]
        found = Measurements(leaves, known.plants, known.midribs)
        if frame.prediction is None:
            self._keep(self._finished, whole, found)
        return found

    def in_unit(self, item: Measurements, px_per_mm: float | None) -> Measurements:
        """Return measurements in millimeters, or as they are where no scale is known."""
        if px_per_mm is None:
            return item
        key = Same(item), px_per_mm
        known = self._metric.get(key)
        if known is None:
            leaves, plants = (in_millimeters(table, px_per_mm) for table in (item.leaves, item.plants))
            known = Measurements(leaves, plants, item.midribs)
            self._keep(self._metric, key, known)
        return known

    def _confidence_of(self, frame: Frame, labels: np.ndarray, key: Hashable) -> dict[int, float]:
        from napari_leafseg.inference.confidence import leaf_confidence

        known = self._confidence.get(key)
        if known is not None and known[0]() is frame.prediction:
            return known[1]
        found = leaf_confidence(frame.prediction, labels)
        self._keep(self._confidence, key, (weakref.ref(frame.prediction), found))
        return found

    def _keep(self, kept: dict[Hashable, Any], key: Hashable, value: Any) -> None:
        if isinstance(key, tuple) and not key[0]:
            return
        while len(kept) >= self._most:
            del kept[next(iter(kept))]
        kept[key] = value


class _PlacesOf(Mapping[int, dict[int, LeafPlace]]):
    """Where the leaves of measured frames lie, found out frame by frame where it is asked."""

    def __init__(self, measured: Sequence[Measurements]) -> None:
        self._measured, self._known = measured, dict[int, dict[int, LeafPlace]]()

    def __getitem__(self, frame: int) -> dict[int, LeafPlace]:
        if frame not in self._known:
            if not 0 <= frame < len(self._measured):
                raise KeyError(frame)
            self._known[frame] = places_of_table(self._measured[frame].leaves)
        return self._known[frame]

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, int) and 0 <= frame < len(self._measured)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._measured)))

    def __len__(self) -> int:
        return len(self._measured)


@dataclass(frozen=True)
class Measured:
    """Tables of an image or series.

    Attributes
    ----------
    leaves, plants : pandas.DataFrame
        With a column ``frame`` (and ``image``) for a series.
    growth : pandas.DataFrame
        Empty for a single image.
    tracks : numpy.ndarray
        (N, 4) track, frame, y, x, as napari's Tracks layer has them.
    series : bool
    grouping : Grouping
        Which frames show one plant, in order of time.
    followed, by_plant, groups : pandas.DataFrame
        A row a leaf that was followed, a row a plant and image, and mean and spread of each trait by genotype and
        treatment; see `napari_leafseg.experiment.growth`.
    notes : tuple of str
        What a person should know of scale, pots, and decisions that are not applied.
    decided : FoundAgain, optional
        What people decided, by the numbers that leaves have now.
    places : mapping
        Where the leaves lie, by frame and leaf.
    """

    leaves: pd.DataFrame
    plants: pd.DataFrame
    growth: pd.DataFrame
    tracks: np.ndarray
    series: bool
    grouping: Grouping = field(default_factory=Grouping)
    followed: pd.DataFrame = field(default_factory=pd.DataFrame)
    by_plant: pd.DataFrame = field(default_factory=pd.DataFrame)
    groups: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: tuple[str, ...] = ()
    decided: FoundAgain | None = None
    places: Places = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """How many decisions wait for leaves."""
        return 0 if self.decided is None else self.decided.waiting_count


@dataclass(frozen=True)
class MeasureEvent:
    """Progress; the last event holds the tables."""

    done: int
    total: int
    message: str
    measured: Measured | None = None


def measure_job(
    frames: list[Frame], notes: ImageMeasurementSettings, px_per_mm: float | None, cache: MeasureCache | None = None,
    known: Callable[[Path | None], Described] | None = None, setup_of: Callable[[Frame], Setup] | None = None,
    settings: MeasurementSettings | None = None,
) -> Iterator[MeasureEvent]:  # fmt: skip
    """Measure frames; several are one series, or one for each plant, whose leaves are followed.

    Parameters
    ----------
    frames : list of Frame
    notes : ImageMeasurementSettings
    px_per_mm : float, optional
        Where no other scale is known of an image.
    cache : MeasureCache, optional
    known : callable, optional
        Says what is known of the plant in a file.
    setup_of : callable, optional
        Says which tray and scale hold for an image.
    settings : MeasurementSettings, optional
        Which traits of one's own are measured, and the limits of colors.
    """
    cache = cache or MeasureCache()
    setups = [Setup() if setup_of is None else setup_of(frame) for frame in frames]
    pixels: list[Measurements] = []
    scales: list[float | None] = []
    unfit: list[str] = []
    own = None if settings is None else OwnTraits.of(settings)
    work = partial(_measure, notes, setups, cache, own)
    for event in run_over(list(enumerate(frames)), work, name=lambda item: item[1].name):
        if event.result is not None:
            measured, shape, sentences = event.result
            unfit += sentences
            pixels.append(measured)
            scales.append(setups[len(scales)].px_per_mm(shape) or px_per_mm)
        yield MeasureEvent(int(event.done), len(frames) + 1, f"Measuring {event.message}")
    described = [Described() if known is None else known(frame.path) for frame in frames]
    scales, said = _one_unit(scales, frames)
    metric = [cache.in_unit(item, scale) for item, scale in zip(pixels, scales, strict=True)]
    places = _PlacesOf(pixels)
    decided = find_leaves(notes, places)
    tables = _tables(frames, pixels, metric, described, decided.holding, cache.tracks)
    cache.tracks.forget_unused()
    said += [*_in_empty_pots(frames, pixels, setups), *unfit]
    said += waiting_sentences(decided, [frame.name for frame in frames], of_all=len(frames) > 1)
    done = replace(tables, notes=tuple(said), decided=decided, places=places)
    yield MeasureEvent(len(frames) + 1, len(frames) + 1, "Done", done)


def _one_unit(scales: list[float | None], frames: list[Frame]) -> tuple[list[float | None], list[str]]:
    """Give all images no scale where one has none, as one table has one unit; and what is to be said of that."""
    without = [frame.name for frame, scale in zip(frames, scales, strict=True) if scale is None]
    if not without or len(without) == len(frames):
        return scales, []
    few = ", ".join(without[:3]) + (" …" if len(without) > 3 else "")
    return [None] * len(scales), [f"In pixels, as no scale is known of {counted(len(without), 'image')}: {few}."]


def _in_empty_pots(frames: list[Frame], measured: list[Measurements], setups: list[Setup]) -> list[str]:
    """What is to be said of pots that are marked as empty and show leaves."""
    found = dict[str, str]()
    for frame, item, setup in zip(frames, measured, setups, strict=True):
        if setup.tray is not None:
            empty = {setup.tray.name_of[pot] for pot in setup.tray.empty}
            found |= {str(pot): frame.name for pot in item.plants["pot"] if pot in empty}
    if not found:
        return []
    pots = ", ".join(list(found)[:6]) + (" …" if len(found) > 6 else "")
    return [f"Leaves in pots that are marked as empty: {pots} ({next(iter(found.values()))})."]


def _tables(
    frames: list[Frame], pixels: list[Measurements], metric: list[Measurements], described: list[Described],
    notes: ImageMeasurementSettings, memory: TrackMemory,
) -> Measured:  # fmt: skip
    """Follow leaves, and put the tables together, plant by plant in order of time."""
    series = len(frames) > 1
    grouping = group_series(described, [frame.name for frame in frames])
    order = [place for one in grouping.series for place in one.places]
    days, of_image = grouping.day_of(), {place: item.metadata for place, item in enumerate(described)}
    leaves, plants = (_joined([getattr(item, kind) for item in metric], frames, order) for kind in ("leaves", "plants"))
    curves, points = pd.DataFrame(), np.zeros((0, 4))
    if series:
        edits = track_edits_of(notes)
        tracks = track_series(pixels, [one.places for one in grouping.series], edits, memory)
        if len(tracks):
            keys = dict(zip(zip(tracks["frame"], tracks["leaf"], strict=True), tracks["track"], strict=True))
            leaves.insert(2, "track", [int(keys[key]) for key in zip(leaves["frame"], leaves["leaf"], strict=True)])
            curves = add_metadata(growth(tracks, metric, _moments(grouping, len(frames))), "frame", of_image)
            curves["lasts"] = last_of(curves, [one.places for one in grouping.series])
            points = leaves[["track", "frame", "centroid_y_px", "centroid_x_px"]].to_numpy(float)
            points = points[np.lexsort((points[:, 1], points[:, 0]))]
    leaves, plants = (add_metadata(table, "frame" if series else "", of_image, days) for table in (leaves, plants))
    followed = by_plant = pd.DataFrame()
    if len(curves):
        places, area = [one.places for one in grouping.series], area_column(curves)
        followed, by_plant = summarize_tracks(curves, places, area), plant_curves(curves, places, area)
        by_plant = with_traits(by_plant, leaves, plants)
    return Measured(leaves, plants, curves, points, series, grouping, followed, by_plant, group_table(by_plant))


def _moments(grouping: Grouping, frames: int) -> list[float]:
    """When each frame was: days where they are known of any series, else its place in its own."""
    if grouping.dated:
        days = grouping.day_of()
        return [days.get(place, np.nan) for place in range(frames)]
    at = {place: number for one in grouping.series for number, place in enumerate(one.places)}
    return [float(at[place]) for place in range(frames)]


def _measure(
    notes: ImageMeasurementSettings,
    setups: list[Setup],
    cache: MeasureCache,
    own: OwnTraits | None,
    item: tuple[int, Frame],
) -> tuple[Measurements, tuple[int, ...], list[str]]:
    """Measurements of an image, its shape, and decisions that do not fit its tray."""
    number, frame = item
    labels, setup = frame.labels(), setups[number]
    moved, unfit = plant_overrides(notes_of_frame(notes, number), labels, setup.tray, frame.name)
    names = notes.names_in(number) if setup.tray is None else {}
    if setup.tray is None and (notes.names or notes.image_names):
        names = names or {0: ""}  # so that all tables have the column
    return cache.measure(frame, labels, moved, names, setup, own), labels.shape, unfit


def _joined(tables: list[pd.DataFrame], frames: list[Frame], order: list[int]) -> pd.DataFrame:
    if len(tables) == 1:
        return tables[0]
    whole = stacked([tables[number] for number in order])
    numbers = np.array(order)[whole.pop("frame").to_numpy(int)]
    whole.insert(0, "frame", numbers)
    whole.insert(1, "image", [frames[number].name for number in numbers])
    return whole
