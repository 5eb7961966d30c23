"""Trays of pots: names, places in perspective, what holds for a camera position."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from napari_leafseg.errors import ParameterError
from napari_leafseg.experiment import Described, ImageMetadata, Source
from napari_leafseg.experiment.positions import KnownScale, Positions, Setup, same_position
from napari_leafseg.experiment.tray import Tray, pot_names, pots_by_names

SHAPE = (300, 400)
SLANTED = ((0.1, 0.2), (0.15, 0.8), (0.9, 0.95), (0.85, 0.05))


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("{row:A}{column}", ["A1", "A2", "A3", "B1", "B2", "B3"]),
        ("{column:a}-{row:02}", ["a-01", "b-01", "c-01", "a-02", "b-02", "c-02"]),
        ("{number}", ["1", "2", "3", "4", "5", "6"]),
        ("pot {snake}", ["pot 1", "pot 2", "pot 3", "pot 6", "pot 5", "pot 4"]),
        ("T7_{down:02}", ["T7_01", "T7_03", "T7_05", "T7_02", "T7_04", "T7_06"]),
    ],
)
def test_pots_are_named_by_a_pattern(pattern, names):
    assert list(pot_names(pattern, 2, 3).values()) == names


def test_letters_go_on_after_z():
    assert pot_names("{row:A}", 30, 1)[29, 0] == "AD"


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("{row}", "several pots the name “1”"), ("{rows}{column}", "no part of a pot's name"),
        ("{row:x}{column}", "how “row” is written"), ("{row{column}", "no pattern"), ("", "several pots|no pattern"),
        ("{row}/{column}", "no pattern"), ("{row}{column}", "the name “111”"),
    ],
)  # fmt: skip
def test_patterns_that_cannot_be_used_are_refused(pattern, told):
    with pytest.raises(ParameterError, match=told):
        pot_names(pattern, 12, 12)


def test_points_go_to_the_image_and_back_in_perspective():
    tray = Tray(4, 6, SLANTED)
    corners = tray.to_image([(0, 0), (0, 6), (4, 6), (4, 0)], SHAPE)
    np.testing.assert_allclose(corners, np.array(SLANTED) * SHAPE - 0.5, atol=1e-3)
    points = np.random.default_rng(0).uniform(0, 4, (20, 2))
    np.testing.assert_allclose(tray.to_grid(tray.to_image(points, SHAPE), SHAPE), points, atol=1e-6)
    for pot in tray.pots:
        assert tray.pot_at(*tray.middle(pot, SHAPE), SHAPE) == pot
        assert tray.pot_of_number(tray.number_of(pot)) == pot
    assert tray.pot_at(2, 2, SHAPE) is None


def test_a_crop_holds_its_pot_and_stays_in_the_image():
    tray = Tray(4, 6)
    for pot in tray.pots:
        rows, columns = tray.box(pot, SHAPE)
        (top, left), (bottom, right) = tray.outline(pot, SHAPE).min(0), tray.outline(pot, SHAPE).max(0)
        assert 0 <= rows.start <= max(top, 0)
        assert bottom <= rows.stop <= SHAPE[0]
        assert 0 <= columns.start <= max(left, 0)
        assert right <= columns.stop <= SHAPE[1]


def test_a_tray_of_known_width_gives_the_scale():
    assert Tray(4, 6, width_mm=200.0).px_per_mm(SHAPE) == pytest.approx(2.0)
    assert Tray(4, 6).px_per_mm(SHAPE) is None


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 0}, {"columns": 101}, {"corners": ((0, 0), (1, 1), (0, 1), (1, 0))}, {"corners": ((0, 0),) * 4},
        {"corners": ((0, 0), (0, 1), (1, float("nan")), (1, 0))}, {"width_mm": -1.0}, {"names": "x"},
        {"renamed": {(0, 0): "A2"}},
    ],
)  # fmt: skip
def test_what_is_no_tray_is_refused(change):
    with pytest.raises(ParameterError):
        Tray(**{"rows": 2, "columns": 3, **change})


def test_a_tray_is_read_as_it_was_written():
    tray = Tray(2, 3, SLANTED, "{number}", frozenset({(0, 1)}), 250.0, {(1, 2): "control"})
    assert Tray.from_dict(tray.as_dict()) == tray
    assert tray.name_of[1, 2] == "control"
    assert pots_by_names(tray, ["2", "control"]) == {(0, 1), (1, 2)}
    assert Tray.from_dict({"rows": 2, "columns": 3}) == Tray(2, 3)
    for damaged in (3, {}, {"rows": "x", "columns": 2}, {"rows": 2, "columns": 2, "corners": [1, 2]}):
        with pytest.raises(ParameterError):
            Tray.from_dict(damaged)


def test_a_smaller_tray_forgets_the_pots_that_it_lacks():
    tray = Tray(2, 3, empty=frozenset({(1, 2)}), renamed={(1, 2): "control"})
    assert tray.with_empty((0, 0), True).empty == {(0, 0), (1, 2)}
    small = Tray(1, 3, empty=tray.empty, renamed=tray.renamed)
    assert (small.empty, small.renamed) == (frozenset(), {})


def described(day=None, camera="", source=Source.NAME, **extra):
    time = None if day is None else datetime(2024, 5, day)
    return Described(ImageMetadata(time=time, camera=camera, extra=extra), {"camera": source})


@pytest.fixture
def days():
    """Two cameras on four days, in no order."""
    return {Path(f"c{camera}d{day}"): described(day, str(camera)) for day in (3, 1, 4, 2) for camera in (1, 2)}


def test_a_tray_holds_from_its_image_on_for_its_camera_position(days):
    early, late = Tray(2, 3), Tray(3, 3)
    positions = Positions({Path("c1d2"): early, Path("c1d4"): late})
    setups = positions.setups(days)
    assert [setups[Path(f"c1d{day}")].tray for day in (1, 2, 3, 4)] == [early, early, early, late]
    assert {setups[Path(f"c2d{day}")] for day in (1, 2, 3, 4)} == {Setup()}
    assert same_position(days, Path("c1d3")) == [Path(f"c1d{day}") for day in (1, 2, 3, 4)]


def test_a_camera_that_exif_alone_names_makes_no_position():
    known = {Path("a"): described(1, "X", Source.EXIF), Path("b"): described(2)}
    assert Positions({Path("a"): Tray(2, 3)}).setups(known)[Path("b")].tray == Tray(2, 3)


def test_a_scale_follows_the_size_of_the_image_and_not_its_proportions():
    scale = KnownScale(4.0, "ruler", (600, 800))
    assert scale.at((600, 800)) == 4.0
    assert scale.at((300, 400)) == 2.0
    assert scale.at((600, 600)) is None
    tray = Tray(4, 6, width_mm=100.0)
    assert Setup(tray, scale).px_per_mm((300, 400)) == 2.0
    assert Setup(tray).px_per_mm((300, 400)) == 4.0
    assert Setup(tray, scale).without_scale().px_per_mm((300, 400)) is None
