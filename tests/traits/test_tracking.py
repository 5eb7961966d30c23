"""Leaves followed through growth series whose leaves are known."""

import json

import numpy as np
import pytest

from napari_leafseg.synthetic import SceneConfig, growth_series, synthesize
from napari_leafseg.traits import measure, tracking
from napari_leafseg.traits.track_edits import TrackEdits
from napari_leafseg.traits.tracking import growth, track_leaves
from tests.conftest import discs

CONFIG = SceneConfig(size=(320, 320), diameter=(270, 290), border=0.0, blank=0.0, camera=False)


def edges_of(frames, leaves, names):
    """Links between consecutive appearances."""
    found, last = set(), {}
    for frame, leaf, name in sorted(zip(frames, leaves, names, strict=True)):
        if name in last:
            found.add((last[name], (frame, leaf)))
        last[name] = (frame, leaf)
    return found


@pytest.fixture(scope="module")
def series():
    """Eight series that the metric was not chosen on."""
    return [growth_series(seed, 8, CONFIG) for seed in range(300, 308)]


@pytest.fixture(scope="module")
def measured(series):
    """The same, measured by their true masks."""
    return [[measure(scene.labels.astype(np.int32)) for scene in scenes] for scenes in series]


def links_of(series, measured):
    """Share of the true links that is found, and of those found that is right."""
    right, found, wanted = 0, 0, 0
    for scenes, frames in zip(series, measured, strict=True):
        tracks = track_leaves(frames)
        truth = [scenes[frame].identities[leaf] for frame, leaf in zip(tracks["frame"], tracks["leaf"], strict=True)]
        ours = edges_of(tracks["frame"], tracks["leaf"], tracks["track"])
        theirs = edges_of(tracks["frame"], tracks["leaf"], truth)
        right, found, wanted = right + len(ours & theirs), found + len(ours), wanted + len(theirs)
    assert wanted > 400
    return right / wanted, right / found


def test_links_of_synthetic_series_with_true_masks(series, measured):
    assert min(links_of(series, measured)) >= 0.95


def moved(frame, down, right):
    """Measurements of the same plant elsewhere in the image."""
    tables = {}
    for name in ("leaves", "plants"):
        table = getattr(frame, name)
        by = {"_y_px": down, "_x_px": right}
        tables[name] = table.assign(
            **{column: table[column] + by[column[-5:]] for column in table if column[-5:] in by}
        )
    return frame._replace(**tables)


def test_links_of_series_whose_pots_were_moved_once(series, measured):
    frames = [[moved(frame, 40, 25) if day >= 4 else frame for day, frame in enumerate(one)] for one in measured]
    assert min(links_of(series, frames)) >= 0.92


def moving(shift):
    """Three leaves around a middle that moves, and a fourth that comes later."""
    frames = []
    for day in range(5):
        y, x = 60 + shift * day, 60
        spots = [(y - 30, x), (y + 20, x + 25), (y + 20, x - 25)] + ([(y, x + 40)] if day >= 3 else [])
        frames.append(measure(discs(centers=tuple(spots), radius=9 + day, size=180), gap=45))
    return frames


@pytest.mark.parametrize("shift", [0, 6])
def test_tracks_are_numbered_as_leaves_emerge(shift):
    tracks = track_leaves(moving(shift))
    assert tracks.groupby("track").size().tolist() == [5, 5, 5, 2]
    assert tracks.groupby("track")["leaf"].nunique().tolist() == [1, 1, 1, 1]


def test_a_leaf_may_be_missing_for_a_day():
    frames = moving(0)
    labels = discs(centers=((30, 60), (80, 85), (80, 35)), radius=11, size=180)
    labels[labels == 2] = 0
    frames[2] = measure(labels, gap=45)
    tracks = track_leaves(frames)
    lost = tracks[tracks["leaf"] == 2]
    assert lost["track"].nunique() == 1
    assert lost["frame"].tolist() == [0, 1, 3, 4]


@pytest.mark.parametrize(("degrees", "tracks"), [(0, 4), (15, 4), (45, 5), (60, 5)])
def test_a_leaf_that_is_lost_is_not_one_that_emerges_in_another_direction(degrees, tracks):
    """Leaves keep their direction: within some degrees it is the same one, farther off one died and one was born."""
    frames = []
    for day in range(4):
        around = [0, 70, 140, 230 + (degrees if day >= 2 else 0)]
        spots = [(90 + 50 * np.sin(turn), 90 + 50 * np.cos(turn)) for turn in np.deg2rad(around)]
        labels = discs(centers=tuple(spots[:3]), radius=10, size=180)
        labels[discs(centers=(spots[3],), radius=10, size=180) > 0] = 4 if day < 2 else 5
        labels[discs(centers=((90, 90),), radius=5, size=180) > 0] = 9  # the youngest, in the middle
        frames.append(measure(labels, gap=60))
    found = track_leaves(frames)
    found = found[found["leaf"] != 9]
    assert found["plant_track"].nunique() == 1
    assert found["track"].nunique() == tracks
    assert found[found["leaf"] < 4].groupby("leaf")["track"].nunique().tolist() == [1, 1, 1]  # these stay


def test_two_plants_are_followed_apart():
    frames = []
    for day in range(3):
        spots = [(y, x + column) for column in (0, 150) for y, x in ((40, 40), (75, 65), (75, 35))]
        frames.append(measure(discs(centers=tuple(spots), radius=9 + day, size=280), gap=45))
    tracks = track_leaves(frames)
    assert tracks.groupby("plant_track")["track"].nunique().tolist() == [3, 3]
    assert tracks.groupby("track").size().tolist() == [3] * 6


@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize(("moved", "plants"), [(10, 2), (90, 3), (150, 3)])
def test_a_plant_that_is_lost_is_not_one_that_comes_up_elsewhere(moved, plants, missing):
    """Plants stay in their pots, also those that were not found for a day: pots farther off hold others."""
    frames = []
    for day in range(4):
        spots = [(y, x) for y, x in ((40, 40), (75, 65), (75, 35))]
        away = 160 + (moved if day >= 2 else 0)
        spots += [(y, x + away) for y, x in spots] if not (missing and day == 2) else []
        frames.append(measure(discs(centers=tuple(spots), radius=9, size=400), gap=45))
    assert track_leaves(frames)["plant_track"].nunique() == plants


def test_corrections_hold_when_leaves_are_tracked_again():
    frames = moving(0)
    track_edits = TrackEdits()
    track_edits.cut((1, 1), (2, 1))
    tracks = track_leaves(frames, track_edits)
    assert tracks["track"].nunique() == 5
    track_edits.link((1, 1), (2, 2))  # leaf 2's own link into frame 2 gives way
    tracks = track_leaves(frames, track_edits).set_index(["frame", "leaf"])["track"]
    assert tracks[1, 1] == tracks[2, 2] == tracks[4, 2]
    assert tracks[1, 2] != tracks[2, 2]
    again = TrackEdits.from_dict(json.loads(json.dumps(track_edits.as_dict())))
    assert again == track_edits
    assert track_leaves(frames, again).set_index(["frame", "leaf"])["track"].equals(tracks)
    track_edits.link((1, 1), (2, 1))
    assert track_edits.cuts == []
    assert track_leaves(frames, track_edits)["track"].nunique() == 4


def test_growth_of_a_leaf():
    frames = moving(0)
    table = growth(track_leaves(frames), frames, times=[0, 2, 4, 6, 8])
    first = table[table["track"] == 1]
    areas = first["area_px2"].to_numpy()
    assert first["age"].tolist() == [0, 2, 4, 6, 8]
    assert np.isnan(first["relative_growth_rate"].iloc[0])
    assert first["relative_growth_rate"].to_numpy()[1:] == pytest.approx(np.log(areas[1:] / areas[:-1]) / 2)
    late = table[table["track"] == 4]
    assert late["age"].tolist() == [0, 2]
    metric = [measure(discs(radius=9 + day), px_per_mm=2.0) for day in range(2)]
    assert "area_mm2" in growth(track_leaves([measure(discs(radius=9 + day)) for day in range(2)]), metric)


def test_empty_frames_and_a_single_one():
    empty = measure(np.zeros((40, 40), int))
    assert len(track_leaves([empty, empty])) == 0
    assert len(growth(track_leaves([empty]), [empty])) == 0
    single = track_leaves([measure(discs())])
    assert sorted(single["track"]) == [1, 2, 3]
    assert len(track_leaves([empty, measure(discs()), empty])) == 3


def test_only_series_that_changed_are_followed_again(monkeypatch):
    frames = [*moving(0), *moving(0)]
    series, followed = [tuple(range(5)), tuple(range(5, 10))], []
    original = tracking.track_leaves
    monkeypatch.setattr(
        tracking, "track_leaves", lambda own, edits=None: followed.append(len(own)) or original(own, edits)
    )
    memory = tracking.TrackMemory()
    first = tracking.track_series(frames, series, memory=memory)
    memory.forget_unused()
    second = tracking.track_series(frames, series, memory=memory)
    assert first.equals(second)
    assert len(followed) == 1  # both series are the same
    shifted = frames[7].leaves["centroid_y_px"] + [30.0, *[0.0] * (len(frames[7].leaves) - 1)]
    frames[7] = frames[7]._replace(leaves=frames[7].leaves.assign(centroid_y_px=shifted))
    changed = tracking.track_series(frames, series, memory=memory)
    assert len(followed) == 2
    edits = TrackEdits(cuts=[((0, 1), (1, 1))])
    tracking.track_series(frames, series, edits, memory)
    assert len(followed) == 3
    assert changed.equals(tracking.track_series(frames, series))


def test_the_same_leaves_with_other_numbers_are_the_same_tracks():
    """As after a new run of the model: middles that differ by what computers round must not part plants."""
    labels = synthesize(400, SceneConfig(size=(96, 112), diameter=(60, 85), border=0.0, blank=0.0)).labels
    last = labels.max() + 1
    tracks = track_leaves([measure(labels), measure(np.where(labels > 0, last - labels, 0))])
    first, second = (rows.set_index("leaf")["track"] for _, rows in tracks.groupby("frame"))
    assert second.rename(index=lambda leaf: last - leaf).sort_index().to_dict() == first.to_dict()
