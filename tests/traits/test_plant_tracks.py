"""Plants followed over days, also where somebody gave leaves to another plant in one image."""

import numpy as np
import pytest

from napari_leafseg.io import read_labels
from napari_leafseg.traits import measure
from napari_leafseg.traits.track_edits import TrackEdits
from napari_leafseg.traits.tracking import track_leaves
from tests.conftest import REPOSITORY, discs
from tests.traits.test_tracking import edges_of


@pytest.fixture(scope="module")
def labels():
    """A growth series of a rosette whose new leaves cover the old ones."""
    folder = REPOSITORY / "tests" / "data" / "growth"
    return [read_labels(folder / f"day{day:02d}_label.tif").astype(np.int32) for day in range(1, 7)]


@pytest.fixture(scope="module")
def frames(labels):
    return [measure(plane) for plane in labels]


def links_without(tracks, gone):
    """Links of the leaves that nobody moved."""
    found = edges_of(tracks["frame"], tracks["leaf"], tracks["track"])
    return {link for link in found if not set(link) & gone}


@pytest.mark.parametrize("day", range(6))
def test_leaves_moved_to_another_plant_in_one_image_leave_the_tracks_of_the_others_as_they_were(labels, frames, day):
    by_size = frames[day].leaves.sort_values("area_px2", ascending=False)["leaf"].tolist()
    before = track_leaves(frames)
    for moved in ([by_size[0]], by_size[1:3]):
        edited = list(frames)
        edited[day] = measure(labels[day], plant_overrides=dict.fromkeys(moved, 2))
        gone = {(day, leaf) for leaf in moved}
        tracks = track_leaves(edited, TrackEdits(moved=sorted(gone)))
        assert len(links_without(before, gone) - links_without(tracks, gone)) <= 1
        own = tracks.set_index(["frame", "leaf"])["plant_track"]
        assert {own[key] for key in gone} == {2}
        assert set(own.drop(sorted(gone))) == {1}


@pytest.mark.parametrize("leaves", [(2, 7), (1, 2), (1, 5)])
def test_leaves_that_fell_off_in_one_image_do_not_take_their_rosette_along(labels, frames, leaves):
    """Their middle may be nearer to that of the rosette on other days than its own middle is without them."""
    edited = [*frames[:3], measure(labels[3], plant_overrides=dict.fromkeys(leaves, 2)), *frames[4:]]
    own = track_leaves(edited).set_index(["frame", "leaf"])["plant_track"]
    assert {own[3, leaf] for leaf in leaves} == {2}
    assert set(own.drop([(3, leaf) for leaf in leaves])) == {1}


def two_plants(swapped=False):
    """Three leaves at the left, three at the right; the two plants may have each other's numbers."""
    spots = [(y, x + column) for column in (0, 150) for y, x in ((40, 40), (75, 65), (75, 35))]
    numbers = {1: 2, 2: 2, 3: 2, 4: 1, 5: 1, 6: 1}
    return measure(
        discs(centers=tuple(spots), radius=9, size=280), gap=45, plant_overrides=numbers if swapped else None
    )


def test_a_plant_all_of_whose_leaves_were_moved_is_the_plant_that_was_named():
    frames = [two_plants(), two_plants(swapped=True), two_plants()]
    by_leaves = track_leaves(frames).set_index(["frame", "leaf"])["plant_track"]
    assert [by_leaves[frame, 1] for frame in range(3)] == [1, 1, 1]
    said = TrackEdits(moved=[(1, leaf) for leaf in range(1, 7)])
    decided = track_leaves(frames, said).set_index(["frame", "leaf"])["plant_track"]
    assert [decided[frame, 1] for frame in range(3)] == [1, 2, 1]
    assert [decided[frame, 4] for frame in range(3)] == [2, 1, 2]


def test_plants_without_leaves_in_common_are_linked_by_their_middles():
    frames = []
    for day in range(3):
        middle = 100 + 12 * day  # leaves of 5 pixels that are elsewhere around a middle that hardly moves
        turns = np.deg2rad([90 * day, 90 * day + 180])
        spots = [(100 + 14 * np.sin(turn), middle + 14 * np.cos(turn)) for turn in turns]
        frames.append(measure(discs(centers=tuple(spots), radius=5, size=240), gap=45))
    tracks = track_leaves(frames)
    assert tracks["plant_track"].nunique() == 1
