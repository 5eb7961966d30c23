"""Leaves followed from day to day: tracks, growth."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from napari_leafseg._same import Same
from napari_leafseg.editing.edit import LeafKey
from napari_leafseg.traits.measure import Measurements, area_column
from napari_leafseg.traits.plant_tracks import EXACT, GAP, plant_tracks
from napari_leafseg.traits.registration import plant_middles
from napari_leafseg.traits.track_edits import Edge, TrackEdits, apply_edits

_GROWTH = (
    "plant_track", "track", "frame", "time", "leaf", "age", "absolute_growth_rate", "relative_growth_rate",
)  # fmt: skip
_OF_LEAF = ["plant", "leaf", "area_px2", "centroid_y_px", "centroid_x_px"]
_OF_PLANT = ["plant", "center_y_px", "center_x_px", "diameter_px"]
_AZIMUTH, _RADIUS, _AREA = 3.0, 0.6, 0.3
_CUTOFF = 1.5
_MOST = 20_000  # frames whose hashes are remembered


def track_leaves(frames: Sequence[Measurements], track_edits: TrackEdits | None = None) -> pd.DataFrame:
    """Follow every leaf through a time series.

    A leaf keeps its direction from the middle of its rosette while it grows: the linear assignment (LapTrack; Fukai and
    Kawaguchi 2022, after Jaqaman et al. 2008) compares azimuth, the logarithms of its distance from the middle and of
    its area. Plants are followed first (`plant_tracks`); then the middle of each is found from all frames together
    (`plant_middles`). A leaf may be missing for two frames.

    Parameters
    ----------
    frames : sequence of Measurements
        In pixels, one a frame.
    track_edits : TrackEdits, optional

    Returns
    -------
    pandas.DataFrame
        A row for each leaf of each frame: ``frame``, ``leaf``, ``track``, ``plant_track``. Tracks are numbered in the
        order in which leaves emerge, larger leaves first, plant by plant.
    """
    nodes = _nodes(frames, track_edits)
    if not len(nodes):
        return pd.DataFrame(columns=["frame", "leaf", "track", "plant_track"])
    edges: set[Edge] = set()
    for _, plant in nodes.groupby("plant_track"):
        edges |= _edges(_registered(plant))
    if track_edits is not None:
        edges = apply_edits(edges, track_edits)
    chain = _chains(edges, nodes)
    result = nodes[["frame", "leaf"]].copy()
    result["track"] = [chain[frame, leaf] for frame, leaf in zip(nodes["frame"], nodes["leaf"], strict=True)]
    result["plant_track"] = nodes["plant_track"].to_numpy()
    return result.reset_index(drop=True)


class TrackMemory:
    """Tracks of series that were followed before: one of which nothing changed is not followed again.

    Parameters
    ----------
    known : mapping, optional
        From a series' key to its tracks.

    Attributes
    ----------
    used : dict
        What was asked since it was made.
    """

    def __init__(self, known: Mapping[str, pd.DataFrame] | None = None) -> None:
        self._known, self.used = dict(known or {}), dict[str, pd.DataFrame]()
        self._digests: dict[tuple[Same, Same], bytes] = {}

    def tracks(self, frames: Sequence[Measurements], track_edits: TrackEdits) -> pd.DataFrame:
        """Return what `track_leaves` gives."""
        key = hashlib.sha1(repr(track_edits).encode() + b"|".join(map(self._digest_of, frames))).hexdigest()
        found = self.used.get(key, self._known.get(key))
        if found is None:
            found = track_leaves(frames, track_edits)
        self.used[key] = found
        return found.copy()

    def forget_unused(self) -> None:
        """Keep what was asked since the last call alone."""
        self._known, self.used = self.used, {}

    def _digest_of(self, item: Measurements) -> bytes:
        """A hash of a frame, which is worked out once for each table."""
        tables = Same(item.leaves), Same(item.plants)
        known = self._digests.get(tables)
        if known is None:
            if len(self._digests) >= _MOST:
                self._digests.clear()
            known = self._digests[tables] = _digest(item)
        return known


def _digest(item: Measurements) -> bytes:
    """A hash of all of a frame that tracks follow from."""
    told = hashlib.sha1()
    for table, names in ((item.leaves, _OF_LEAF), (item.plants, _OF_PLANT)):
        if len(table):
            told.update(np.ascontiguousarray(table[names].to_numpy(float)).tobytes())
        told.update(b"|")
    return told.digest()


def track_series(
    frames: Sequence[Measurements], series: Iterable[Sequence[int]], track_edits: TrackEdits | None = None,
    memory: TrackMemory | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Follow the leaves of several series, each by itself.

    Parameters
    ----------
    frames : sequence of Measurements
    series : iterable of sequence of int
        For each series the numbers of its frames, in order of time.
    track_edits : TrackEdits, optional
        By the numbers of the frames.
    memory : TrackMemory, optional
        Of series that were followed before.

    Returns
    -------
    pandas.DataFrame
        As `track_leaves` gives it; tracks and plants of different series have different numbers.
    """
    edits, found, track, plant = track_edits or TrackEdits(), list[pd.DataFrame](), 0, 0
    memory = memory or TrackMemory()
    for places in series:
        at = {place: number for number, place in enumerate(places)}
        moved = [(at[frame], leaf) for frame, leaf in edits.moved if frame in at]
        own = TrackEdits(_renumbered(edits.links, at), _renumbered(edits.cuts, at), moved)
        tracks = memory.tracks([frames[place] for place in places], own)
        if not len(tracks):
            continue
        tracks["frame"] = [places[number] for number in tracks["frame"]]
        tracks["track"], tracks["plant_track"] = tracks["track"] + track, tracks["plant_track"] + plant
        track, plant = int(tracks["track"].max()), int(tracks["plant_track"].max())
        found.append(tracks)
    return pd.concat(found, ignore_index=True) if found else track_leaves([])


def _renumbered(edges: Iterable[Edge], at: Mapping[int, int]) -> list[Edge]:
    """Edges within a series, by the numbers that its frames have in it, the earlier end first."""
    inside = [(before, after) for before, after in edges if before[0] in at and after[0] in at]
    moved = [sorted(((at[a[0]], a[1]), (at[b[0]], b[1]))) for a, b in inside]
    return [(before, after) for before, after in moved]


def _nodes(frames: Sequence[Measurements], track_edits: TrackEdits | None = None) -> pd.DataFrame:
    """Leaves of all frames with their plants' tracks and middles."""
    full = [(number, item) for number, item in enumerate(frames) if len(item.leaves)]
    if not full:
        return pd.DataFrame()
    plants = pd.concat([item.plants.assign(frame=number) for number, item in full], ignore_index=True)
    plants = plants[plants["leaves"] > 0].reset_index(drop=True) if "leaves" in plants else plants
    leaves = pd.concat([item.leaves.assign(frame=number) for number, item in full], ignore_index=True)
    moved = set(track_edits.moved if track_edits is not None else ())
    leaves["moved"] = [key in moved for key in zip(leaves["frame"], leaves["leaf"], strict=True)]
    plants["plant_track"] = plant_tracks(plants, leaves)
    wanted = plants[["frame", "plant_track", *_OF_PLANT]]
    return leaves[["frame", *_OF_LEAF, "moved"]].merge(wanted, on=["frame", "plant"])


def _registered(plant: pd.DataFrame) -> pd.DataFrame:
    """A plant's leaves as the assignment compares them."""
    middles = plant_middles(plant)
    y = plant["centroid_y_px"] - plant["frame"].map(middles["center_y_px"])
    x = plant["centroid_x_px"] - plant["frame"].map(middles["center_x_px"])
    azimuth = np.arctan2(y, x)
    return pd.DataFrame(
        {
            "frame": plant["frame"],
            "leaf": plant["leaf"],
            "c0": _AZIMUTH * np.cos(azimuth),
            "c1": _AZIMUTH * np.sin(azimuth),
            "c2": _RADIUS * np.log(np.maximum(np.hypot(y, x), 2)),
            "c3": _AREA * np.log(plant["area_px2"]),
        }
    ).round(EXACT)


def _edges(leaves: pd.DataFrame) -> set[Edge]:
    """Links between consecutive appearances of a leaf."""
    from laptrack import LapTrack

    if leaves["frame"].nunique() < 2:
        return set()
    cutoff = _CUTOFF**2
    tracker = LapTrack(cutoff=cutoff, gap_closing_cutoff=cutoff, gap_closing_max_frame_count=GAP)
    tracked, _, _ = tracker.predict_dataframe(
        leaves, ["c0", "c1", "c2", "c3"], frame_col="frame", only_coordinate_cols=False
    )
    edges: set[Edge] = set()
    for _, track in tracked.reset_index().groupby("track_id"):
        ordered = track.sort_values("frame")
        nodes = [(int(frame), int(leaf)) for frame, leaf in zip(ordered["frame"], ordered["leaf"], strict=True)]
        edges |= set(itertools.pairwise(nodes))
    return edges


def _chains(edges: set[Edge], nodes: pd.DataFrame) -> dict[LeafKey, int]:
    """Number of the track of each leaf."""
    after = dict(edges)
    begun = {node for _, node in edges}
    rows = nodes.sort_values(["plant_track", "frame", "area_px2"], ascending=[True, True, False])
    known = {(int(frame), int(leaf)) for frame, leaf in zip(rows["frame"], rows["leaf"], strict=True)}
    tracks: dict[LeafKey, int] = {}
    number = 0
    for frame, leaf in zip(rows["frame"], rows["leaf"], strict=True):
        node = (int(frame), int(leaf))
        if node in begun and any(edge[1] == node and edge[0] in known for edge in edges):
            continue
        number += 1
        while node in known and node not in tracks:
            tracks[node] = number
            node = after.get(node, (-1, -1))
    return tracks


def stacked(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return tables of several frames as one, with the frame's number in ``frame``; empty ones have no rows in it."""
    full = [(number, table) for number, table in enumerate(tables) if len(table)]
    whole = pd.concat([table for _, table in full] or list(tables[:1]), ignore_index=True)
    return whole.assign(frame=np.repeat([number for number, _ in full], [len(table) for _, table in full]))


def growth(tracks: pd.DataFrame, frames: Sequence[Measurements], times: Sequence[float] | None = None) -> pd.DataFrame:
    """Return the area of each tracked leaf over time, and how fast it grows.

    Parameters
    ----------
    tracks : pandas.DataFrame
        From `track_leaves`.
    frames : sequence of Measurements
    times : sequence of float, optional
        Of each frame, for example days; frame numbers when None.

    Returns
    -------
    pandas.DataFrame
        ``plant_track``, ``track``, ``frame``, ``time``, ``leaf``, the area (px2 or mm2), ``age`` (time since the leaf
        was seen first), ``absolute_growth_rate`` and ``relative_growth_rate`` (difference of the area, and of
        ln(area), to the appearance before over that of time; NaN at the first), sorted by track and time.
    """
    moments = np.arange(len(frames), dtype=float) if times is None else np.asarray(times, float)
    area = next(filter(None, (area_column(item.leaves) for item in frames)), "area_px2")
    if not len(tracks):
        return pd.DataFrame(columns=[*_GROWTH[:5], area, *_GROWTH[5:]])
    leaves = stacked([item.leaves for item in frames])
    pot = [name for name in ("pot", "name") if name in leaves][:1]
    table = tracks.merge(leaves[["frame", "leaf", area, *pot]], on=["frame", "leaf"])
    for name in pot:  # of images without a tray, or whose plants have no names
        table[name] = table[name].fillna("")
    table["time"] = moments[table["frame"].to_numpy(int)]
    table = table.sort_values(["plant_track", "track", "time"]).reset_index(drop=True)
    by_track = table.groupby("track")
    table["age"] = table["time"] - by_track["time"].transform("first")
    passed = by_track["time"].diff()
    table["absolute_growth_rate"] = by_track[area].diff() / passed
    table["relative_growth_rate"] = np.log(table[area] / by_track[area].shift()) / passed
    return table[[*_GROWTH[:2], *pot, *_GROWTH[2:5], area, *_GROWTH[5:]]]
