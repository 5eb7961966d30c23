"""Decisions about leaves after a run gave these other numbers: found again, or waiting."""

from napari_leafseg.editing.leaf_places import LeafPlace
from napari_leafseg.project.decisions import (
    decided_leaves,
    find_leaves,
    forget_waiting,
    remember_leaves,
    take_tracks,
    waiting_sentences,
)
from napari_leafseg.project.measurement_settings import (
    ImageMeasurementSettings,
    MeasurementSettings,
    read_measurement_settings,
)

A, B, C = (LeafPlace(10.0, x, 80.0) for x in (10.0, 40.0, 70.0))
DAYS = {0: {1: A, 2: B, 3: C}, 1: {1: A, 2: B, 3: C}}
NAMES = ["mo.png", "tu.png"]


def decided(**said):
    notes = ImageMeasurementSettings(frames=NAMES, **said)
    remember_leaves(notes, DAYS)
    return notes


def test_a_link_follows_its_leaves_to_their_new_numbers():
    notes = decided(links=[((0, 1), (1, 2))], plants={1: {3: 2}}, pots={0: {2: "A1"}})
    assert notes.leaves == {0: {1: A, 2: B}, 1: {2: B, 3: C}}
    moved = LeafPlace(12.0, 41.0, 90.0)
    found = find_leaves(notes, {0: {5: A, 1: moved}, 1: {1: C, 2: A, 9: B}})
    assert found.notes.links == found.holding.links == [((0, 5), (1, 9))]
    assert found.notes.plants == {1: {1: 2}}
    assert found.notes.pots == {0: {1: "A1"}}
    assert found.notes.leaves == {0: {1: moved, 5: A}, 1: {1: C, 9: B}}
    assert (found.waiting_count, waiting_sentences(found, NAMES)) == (0, [])


def test_a_link_whose_leaf_is_gone_waits_and_is_not_another_leafs():
    notes = decided(links=[((0, 1), (1, 2))], cuts=[((0, 3), (1, 3))])
    found = find_leaves(notes, {0: DAYS[0], 1: {2: A, 3: C}})  # what was 2 is gone; 2 is what was 1
    assert found.holding.links == []
    assert found.holding.cuts == [((0, 3), (1, 3))]
    assert found.notes.links == [((0, 1), (1, -1))]
    assert waiting_sentences(found, NAMES) == [
        "1 decision waits for a leaf that is not found: leaf 1 of mo.png is the leaf that was at x 40, y 10 of tu.png."
    ]
    back = find_leaves(found.notes, DAYS)  # undone
    assert (back.notes.links, back.waiting_count) == (notes.links, 0)
    assert back.notes.leaves == notes.leaves
    kept = forget_waiting(found)
    assert (kept.links, kept.cuts) == ([], notes.cuts)
    assert decided_leaves(kept) == {(0, 3), (1, 3)}
    assert kept.leaves == {0: {3: C}, 1: {3: C}}


def test_what_earlier_versions_kept_is_of_the_numbers():
    found = find_leaves(ImageMeasurementSettings(frames=NAMES, links=[((0, 1), (1, 2)), ((0, 2), (1, 8))]), DAYS)
    assert found.holding.links == [((0, 1), (1, 2))]
    assert found.notes.leaves == {0: {1: A, 2: B}, 1: {2: B}}
    assert waiting_sentences(found, NAMES) == [
        "1 decision waits for a leaf that is not found: leaf 2 of mo.png is leaf 8 of tu.png."
    ]


def test_decisions_about_images_that_are_not_here_stay_and_are_told():
    notes = decided(links=[((0, 1), (1, 2))]).of_frames([["mo.png"], ["we.png"]])
    found = find_leaves(notes, {0: DAYS[0], 1: DAYS[1]})
    assert found.notes.links == [((0, 1), (2, 2))]
    assert found.notes.leaves[2] == {2: B}
    assert waiting_sentences(found, ["mo.png", "we.png"]) == [
        "1 decision waits for an image that is not here: leaf 1 of mo.png is leaf 2 of tu.png."
    ]


def test_undoing_after_a_run_takes_todays_numbers():
    before = decided(links=[((0, 1), (1, 2)), ((0, 2), (1, 1))])
    now = {0: DAYS[0], 1: {1: B, 2: C}}  # the first leaf is gone, others moved up
    notes = find_leaves(decided(links=[((0, 3), (1, 3))], plants={1: {1: 2}}), now).notes
    assert notes.plants == {1: {-1: 2}}
    take_tracks(notes, find_leaves(before, now).notes)
    assert notes.links == [((0, 1), (1, 1)), ((0, 2), (1, -2))]
    assert notes.leaves[1][-1] == notes.leaves[1][-2] == A


def test_where_leaves_lay_is_kept_in_the_file(tmp_path):
    notes = MeasurementSettings(images={"*": decided(links=[((0, 1), (1, 2))]), "x": ImageMeasurementSettings()})
    notes.write(tmp_path)
    assert read_measurement_settings(tmp_path) == notes
    assert '"leaves"' in (tmp_path / "measure.json").read_text()
    MeasurementSettings(images={"x": ImageMeasurementSettings(plants={0: {1: 2}})}).write(tmp_path)
    assert '"leaves"' not in (tmp_path / "measure.json").read_text()
