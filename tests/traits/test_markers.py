"""The scale from printed markers: exact where it can be trusted, refused in words where it cannot."""

import numpy as np
import pytest

from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.traits.markers import ScaleRefused, find_markers, scale_from_markers
from tests.markers import Camera

ARUCO = "DICT_4X4_50"
CORNERS = [(-60, -45, 10, ARUCO, 0), (60, -45, 80, ARUCO, 1), (60, 45, 200, ARUCO, 2), (-60, 45, 300, ARUCO, 3)]


def scale(image, size_mm=20.0, at=None):
    return scale_from_markers(find_markers(image), size_mm, image.shape, at)


@pytest.mark.parametrize("px_per_mm", [1.5, 2.5, 6.0])
@pytest.mark.parametrize("angle", [0, 17, 45])
def test_the_scale_is_within_a_percent_where_the_camera_looks_straight_down(px_per_mm, angle):
    camera = Camera(px_per_mm)
    found = scale(camera.photograph([(20, -10, angle, ARUCO, 7)], seed=angle))
    assert found.px_per_mm == pytest.approx(px_per_mm, rel=0.01)
    assert found.source == "ArUco 4×4 no. 7, 20 mm"


@pytest.mark.parametrize("axis", [0, 50, 120])
def test_it_is_within_three_percent_with_ten_degrees_of_tilt(axis):
    camera = Camera(4.0, tilt=10, axis=axis)
    image = camera.photograph([(-45, 25, 25, ARUCO, 7)], seed=axis)
    middle = (299.5, 399.5)
    found = scale(image)
    assert found.px_per_mm == pytest.approx(camera.scale_at(*middle), rel=0.03)
    assert found.px_per_mm == pytest.approx(4.0, rel=0.03)
    assert 5 < found.slant < 16
    assert not found.note


def test_small_markers_at_the_corners_tell_the_scale_between_them():
    camera = Camera(3.0, tilt=12)
    image = camera.photograph([(x, y, angle, name, number) for x, y, angle, name, number in CORNERS], size_mm=12.0)
    for place in ((300, 400), (200, 250), (420, 600)):
        found = scale(image, 12.0, place)
        assert found.px_per_mm == pytest.approx(camera.scale_at(*place), rel=0.01)
        assert len(found.markers) == 4
    assert found.slant == pytest.approx(12, abs=4)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("DICT_APRILTAG_36h11", "AprilTag 36h11"),
        ("DICT_5X5_100", "ArUco 5×5"),
        ("DICT_ARUCO_ORIGINAL", "ArUco original"),
    ],
)
def test_other_kinds_are_known_by_themselves(name, title):
    found = scale(Camera(4.0).photograph([(0, 0, 30, name, 12)]))
    assert found.markers[0].title == f"{title} no. 12"
    assert found.px_per_mm == pytest.approx(4.0, rel=0.01)


def test_a_marker_beside_a_plant_is_found_and_a_plant_alone_is_none():
    scene = synthesize(5, SceneConfig(size=(600, 800), diameter=(300, 320), background="soil", camera=False))
    assert find_markers(scene.image) == []
    marker = Camera(4.0).photograph([(-75, -50, 12, ARUCO, 3)])
    image = scene.image.copy()
    image[30:170, 30:170] = marker[30:170, 30:170, None]
    assert scale(image, at=(300, 400)).px_per_mm == pytest.approx(4.0, rel=0.01)


def test_a_marker_on_a_small_white_card_on_dark_soil_is_found():
    camera = Camera(4.0)
    image = camera.photograph([(-20, -15, 8, ARUCO, 7)], background=35)
    assert scale(image).px_per_mm == pytest.approx(4.0, rel=0.01)
    y, x = 240, 320  # its middle
    corner = np.full_like(image, 35)
    corner[:120, :120] = image[y - 60 : y + 60, x - 60 : x + 60]
    assert scale(corner).px_per_mm == pytest.approx(4.0, rel=0.01)


def test_no_marker_a_small_one_and_no_size_are_refused():
    with pytest.raises(ScaleRefused, match=r"No marker is found.*white edge"):
        scale(np.full((200, 200), 90, np.uint8))
    with pytest.raises(ScaleRefused, match=r"only 2\d pixels wide.*larger marker"):
        scale(Camera(1.1).photograph([(0, 0, 20, ARUCO, 7)]))
    with pytest.raises(ScaleRefused, match="in millimeters"):
        scale(Camera(4.0).photograph([(0, 0, 20, ARUCO, 7)]), 0.0)


def test_a_slant_that_no_scale_holds_for_is_refused():
    with pytest.raises(ScaleRefused, match=r"slant of about \d\d°.*straight down"):
        scale(Camera(4.0, tilt=32).photograph([(0, 0, 20, ARUCO, 7)]))


def test_a_small_marker_that_lies_far_away_is_told_of():
    found = scale(Camera(1.6).photograph([(-150, 100, 20, ARUCO, 7)]))
    assert "too far from the plants" in found.note
    assert found.px_per_mm == pytest.approx(1.6, rel=0.01)


def test_markers_that_contradict_each_other_are_refused():
    camera = Camera(3.0)
    image = camera.photograph(CORNERS[:3])
    other = Camera(3.6).photograph([(70, 50, 0, ARUCO, 9)])
    image[380:, 520:] = other[380:, 520:]
    with pytest.raises(ScaleRefused, match=r"3 markers contradict each other: (3|2\.99\d*) to 3\.6 px/mm"):
        scale(image)
