"""The same leaf on the day before and after one on which it was corrected, and the shape that it may have there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.editing.edit import Edit, difference
from napari_leafseg.editing.leaf_places import places_of_labels
from napari_leafseg.experiment import Described, Source, group_series
from napari_leafseg.pipelines.decided import notes_of_frame, places_of_table, plant_overrides, track_edits_of
from napari_leafseg.project.decisions import find_leaves
from napari_leafseg.project.measurement_settings import (
    ALL_IMAGES,
    ImageMeasurementSettings,
    read_measurement_settings,
)
from napari_leafseg.traits import Measurements, measure
from napari_leafseg.traits.tracking import track_series

_FITS = 0.9  # overlap from which on a leaf already has the shape


class SeriesImage(NamedTuple):
    """An image of the list.

    Attributes
    ----------
    path : pathlib.Path
    names : sequence of str
        By which decisions may know it.
    described : Described
    labels : callable or None
        Reads them; None where the image has none, or was reviewed.
    """

    path: Path
    names: Sequence[str]
    described: Described
    labels: Callable[[], np.ndarray] | None


class SameLeaf(NamedTuple):
    """A leaf of a neighboring day.

    Attributes
    ----------
    path : pathlib.Path
    leaf : int
    day : str
        In words.
    growth : float
        How long the plant's other leaves are there, as a share of their length on the day of the correction.
    """

    path: Path
    leaf: int
    day: str
    growth: float = 1.0


def same_leaves(images: Sequence[SeriesImage], at: int, leaf: int, project: Path | None) -> list[SameLeaf]:
    """Find a leaf on the days before and after, by its track.

    Parameters
    ----------
    images : sequence of SeriesImage
        All of the list.
    at : int
        The number of that in which the leaf was corrected.
    leaf : int
    project : pathlib.Path, optional
        Whose decisions about tracks count.
    """
    grouping = group_series([image.described for image in images], [image.path.name for image in images])
    series = next((one for one in grouping.series if at in one.places), None)
    told = any(source != Source.EXIF for source in images[at].described.sources.values())
    if series is None or not told:
        return []  # images are merely beside each other
    own = series.places.index(at)
    there = [place for place in series.places[max(0, own - 1) : own + 2] if images[place].labels is not None]
    if at not in there or len(there) < 2:
        return []
    notes = _decided(project, [images[place].names for place in there])
    frames = []
    for number, place in enumerate(there):
        read = images[place].labels
        assert read is not None
        labels = read()
        moved, _ = plant_overrides(notes_of_frame(notes, number), labels, None, images[place].path.name)
        frames.append(measure(labels, plant_overrides=moved))
    places = {number: places_of_table(item.leaves) for number, item in enumerate(frames)}
    edits = track_edits_of(find_leaves(notes, places).holding)
    tracks = track_series(frames, [range(len(frames))], edits)
    known = {(frame, number): track for frame, number, track in
             zip(tracks["frame"], tracks["leaf"], tracks["track"], strict=True)}  # fmt: skip
    wanted = known.get((there.index(at), leaf))
    grown = [_growth(known, frames, there.index(at), frame, wanted) for frame in range(len(there))]
    return [
        SameLeaf(images[there[frame]].path, int(number), _day(images[there[frame]]), grown[frame])
        for (frame, number), track in sorted(known.items())
        if track == wanted and there[frame] != at
    ]


def _growth(
    tracks: Mapping[tuple[int, int], int], frames: Sequence[Measurements], at: int, other: int, without: int | None
) -> float:
    """How much longer the leaves are that both images show, but for one: the median."""
    areas: list[dict[int, float]] = []
    for frame in (at, other):
        leaves = frames[frame].leaves
        rows = zip(leaves["leaf"], leaves["area_px2"], strict=True)
        areas.append(
            {tracks[frame, leaf]: area for leaf, area in rows if tracks.get((frame, leaf), without) != without}
        )
    both = areas[0].keys() & areas[1].keys()
    return float(np.sqrt(np.median([areas[1][track] / areas[0][track] for track in both]))) if both else 1.0


def _decided(project: Path | None, names: Sequence[Sequence[str]]) -> ImageMeasurementSettings:
    """What was decided about all images, by the numbers that these have here."""
    notes = None if project is None else read_measurement_settings(project).images.get(ALL_IMAGES)
    return (notes or ImageMeasurementSettings()).of_frames(names)


def _day(image: SeriesImage) -> str:
    """When an image was taken, in words; its name where that is not known."""
    data = image.described.metadata
    if data.time is not None:
        return f"{data.time:%b} {data.time.day}"
    return f"day {data.day:g}" if data.day is not None else image.path.name


def propose_shape(
    labels: np.ndarray, leaf: int, shape: np.ndarray, locked: frozenset[int], growth: float = 1.0
) -> Edit | None:
    """Suggest the shape of a leaf that was corrected on another day, laid over this day's middle of the leaf.

    Other leaves keep their pixels.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (H, W), in which the leaf is.
    leaf : int
    shape : numpy.ndarray
        bool (H, W), the leaf as it was corrected.
    locked : frozenset of int
        Leaves that are verified: of these none is changed.
    growth : float
        How much longer leaves are on this day.

    Returns
    -------
    Edit or None
        None where the leaf has this shape already, may not be changed, or is of quite another size.
    """
    place = places_of_labels((labels == leaf).astype(np.uint8)).get(1)
    from_there = places_of_labels(shape.astype(np.uint8)).get(1)
    if place is None or from_there is None or leaf in locked:
        return None
    shift = (place.x - growth * from_there.x, place.y - growth * from_there.y)
    moves = np.array([[growth, 0, shift[0]], [0, growth, shift[1]]])
    size = labels.shape[::-1]
    mask = cv2.warpAffine(shape.astype(np.float32), moves, size, flags=cv2.INTER_LINEAR) >= 0.5
    mask &= (labels == 0) | (labels == leaf)
    both, either = np.count_nonzero(mask & (labels == leaf)), np.count_nonzero(mask | (labels == leaf))
    if both >= _FITS * either or not place.fits(float(np.count_nonzero(mask))):
        return None
    after = np.where(labels == leaf, 0, labels)
    after[mask] = leaf
    return difference(labels, None, after, "shape of a neighboring day")
