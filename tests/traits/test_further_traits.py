"""Landmarks, bends, colors in classes, symmetry, and traits that others bring."""

import numpy as np
import pandas as pd
import pytest
from skimage.draw import disk, ellipse

from napari_leafseg.errors import UserError
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.traits import extra, measure
from napari_leafseg.traits.color import ColorClasses, measure_color_classes
from napari_leafseg.traits.extra import all_traits, load_trait, register_trait
from napari_leafseg.traits.leaves import measure_leaves
from napari_leafseg.traits.midrib import trace_midrib


def with_petiole():
    """A leaf along the rows: a petiole of 30 pixels, then a blade of 60."""
    labels = np.zeros((60, 140), np.int32)
    labels[28:32, 20:52] = 1
    rows, columns = ellipse(29.5, 80, 18, 31)
    labels[rows, columns] = 1
    return labels


def arc(radius, degrees, width=7):
    """A band along a part of a circle."""
    rows, columns = np.indices((2 * radius + 30, 2 * radius + 30)) - (radius + 15)
    distance, angle = np.hypot(rows, columns), np.rad2deg(np.arctan2(rows, columns)) % 360
    return (np.abs(distance - radius) <= width / 2) & (angle <= degrees)


def test_landmarks_lie_at_base_petiole_and_tip():
    labels = with_petiole()
    row = measure_leaves(labels, centers={1: (29.5, 0.0)}).iloc[0]
    assert row[["base_y_px", "base_x_px"]].to_numpy(float) == pytest.approx([29.5, 20], abs=2.5)
    assert row[["tip_y_px", "tip_x_px"]].to_numpy(float) == pytest.approx([29.5, 111], abs=2.5)
    assert row["blade_base_y_px"] == pytest.approx(29.5, abs=2.5)
    assert 20 + row["petiole_px"] == pytest.approx(row["blade_base_x_px"], abs=2)
    assert 45 < row["blade_base_x_px"] < 58
    assert row["straight_length_px"] == pytest.approx(91, abs=3)
    away = measure_leaves(labels, centers={1: (29.5, 139.0)}).iloc[0]
    assert away["base_x_px"] == pytest.approx(row["tip_x_px"], abs=0.1)


@pytest.mark.parametrize("degrees", [40, 80, 110])
def test_the_bend_of_a_band_is_its_angle(degrees):
    midrib = trace_midrib(arc(100, degrees))
    assert midrib.bend == pytest.approx(degrees, rel=0.2)
    length = np.deg2rad(degrees) * 100
    assert np.deg2rad(midrib.bend) / midrib.length == pytest.approx(np.deg2rad(degrees) / length, rel=0.2)


def test_a_straight_leaf_does_not_bend():
    rows, columns = ellipse(40, 40, 12, 35)
    mask = np.zeros((80, 80), bool)
    mask[rows, columns] = True
    assert trace_midrib(mask).bend < 8


@pytest.mark.parametrize("radius", [8, 20, 40])
def test_convexity_tells_lobes(radius):
    labels = np.zeros((100, 200), np.int32)
    labels[disk((50, 50), radius)] = 1
    labels[disk((50, 140), radius)] = 2
    labels[49:52, 140:] = 0  # a slit from the middle to the edge
    whole, slit = measure_leaves(labels)["convexity"]
    assert whole > 0.96
    assert slit < 0.87


def test_colors_are_green_yellow_brown_or_none():
    colors = {"green": (60, 140, 40), "yellow": (200, 190, 40), "brown": (120, 70, 30), "gray": (120, 120, 118),
              "dark": (8, 15, 6)}  # fmt: skip
    pixels = np.repeat(np.array(list(colors.values()), np.uint8), [10, 20, 30, 40, 50], axis=0)
    areas = measure_color_classes(np.zeros(len(pixels), int), 1, pixels).iloc[0]
    assert areas.to_dict() == {"green_area_px2": 10, "yellow_area_px2": 20, "brown_area_px2": 30}
    other = ColorClasses(green=(65, 180), yellow=(50, 65), brown=(0, 40), least_value=0.0)
    assert measure_color_classes(np.zeros(len(pixels), int), 1, pixels, other).iloc[0]["green_area_px2"] == 60


def test_color_areas_become_square_millimeters():
    labels = np.zeros((40, 40), np.int32)
    labels[10:30, 10:30] = 1
    image = np.full((40, 40, 3), (60, 140, 40), np.uint8)
    leaves = measure(labels, image, 2.0).leaves
    assert leaves["green_area_mm2"].tolist() == leaves["area_mm2"].tolist() == [100.0]


@pytest.mark.parametrize(("angles", "even"), [((0, 90, 180, 270), 1.0), ((0, 120, 240), 1.0), ((0, 0), 0.0)])
def test_symmetry_of_a_rosette(angles, even):
    labels = np.zeros((300, 300), np.int32)
    for leaf, degrees in enumerate(angles, start=1):
        for reach in range(30, 90, 3):
            spread = 12 * (leaf - 1) if len(set(angles)) == 1 else 0
            middle = (150 - np.sin(np.deg2rad(degrees)) * reach + spread, 150 + np.cos(np.deg2rad(degrees)) * reach)
            labels[disk(middle, 5)] = leaf
    from napari_leafseg.traits.plants import measure_plants

    plants = measure_plants(labels, dict.fromkeys(range(1, len(angles) + 1), 1), {1: (150.0, 150.0)})
    assert plants["symmetry"].iloc[0] == pytest.approx(even, abs=0.05)


MODULE = '''
import numpy as np

def spots(mask, image):
    """Number of red pixels."""
    return (image[mask][:, 0] > 200).sum()

def thickness_px(mask, image):
    return 8.0

def broken(mask, image):
    raise ZeroDivisionError("no leaf")
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MODULE)
    return path


@pytest.fixture
def plant():
    labels = np.zeros((40, 60), np.int32)
    labels[10:20, 10:20] = 1
    labels[10:20, 30:50] = 4
    image = np.zeros((40, 60, 3), np.uint8)
    image[12:14, 12:14, 0] = 255
    image[5, 5, 0] = 255
    return labels, image


def test_a_function_of_somebody_is_a_column(file, plant):
    functions = all_traits([f"{file}:spots", f"{file}:thickness_px"])
    assert list(functions) == ["spots", "thickness_px"]
    leaves = measure(*plant, 2.0, extra=functions.values()).leaves
    assert leaves["spots"].tolist() == [4, 0]
    assert leaves["thickness_mm"].tolist() == [4.0, 4.0]


def test_a_registered_function_is_measured_wherever_leaves_are(plant, monkeypatch):
    monkeypatch.setattr(extra, "_REGISTERED", {})

    @register_trait
    def pixels(mask, image):
        return mask.sum()

    assert measure(*plant).leaves["pixels"].tolist() == [100, 200]


def test_packages_bring_traits(plant, monkeypatch):
    class Entry:
        value = "somebody:height"

        @staticmethod
        def load():
            def height(mask, image):
                return len(mask)

            return height

    class Broken(Entry):
        @staticmethod
        def load():
            raise ImportError("gone")

    monkeypatch.setattr(extra, "entry_points", lambda group: [Broken, Entry] if group == extra.GROUP else [])
    extra._of_packages.cache_clear()
    try:
        assert measure(*plant).leaves["height"].tolist() == [10, 10]
    finally:
        extra._of_packages.cache_clear()


def test_a_function_that_writes_into_what_it_gets_changes_nothing(plant):
    def wipe(mask, image):
        mask[:], image[:] = False, 9
        return 1.0

    labels, image = plant
    before = image.copy()
    assert measure(labels, image, extra=[wipe]).leaves["wipe"].tolist() == [1.0, 1.0]
    assert np.array_equal(image, before)


def test_what_has_no_name_of_its_own_has_the_one_it_is_loaded_by(file, plant):
    file.write_text(
        f"{MODULE}\nfrom functools import partial\nalias, several = spots, partial(lambda n, mask, image: n, 3)\n"
    )
    leaves = measure(*plant, extra=all_traits([f"{file}:alias", f"{file}:several"]).values()).leaves
    assert leaves[["alias", "several"]].to_numpy().tolist() == [[4, 3], [0, 3]]


def test_a_trait_is_measured_again_once_its_file_changed_and_from_any_folder(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    relative, whole = (BatchSettings(traits=(f"{place}:spots",)) for place in ("mine.py", file))
    assert relative == whole
    before = relative.digest()
    file.write_text(MODULE.replace("200", "100"))
    assert relative.digest() != before


def test_what_fails_names_function_and_leaf(file, plant):
    with pytest.raises(UserError, match=r"“broken” cannot be measured on leaf 1: no leaf\."):
        measure(*plant, extra=[load_trait(f"{file}:broken")])


@pytest.mark.parametrize(
    ("text", "why"),
    [("spots", "names no trait"), ("gone.py:spots", "there is no file"), ("{file}:nothing", "nothing"),
     ("no_such_module:f", "No module named"), ("{file}:np", "is no function"), ("math:hypot", None)],
)  # fmt: skip
def test_what_cannot_be_loaded_is_refused_with_the_reason(file, text, why):
    text = text.format(file=file)
    if why is None:
        assert load_trait(text)(3.0, 4.0) == 5.0
        return
    with pytest.raises(UserError, match=why):
        load_trait(text)


@pytest.mark.parametrize("name", ["area_px2", "length", "mean_area", "confidence", "unit", "pot_of_image"])
def test_names_of_other_columns_are_taken(name):
    def function(mask, image):
        return 1.0

    function.__name__ = name
    with pytest.raises(UserError, match="there is a column of that name"):
        register_trait(function)


def test_no_leaf_gives_no_row_and_all_columns(file):
    leaves = measure_leaves(
        np.zeros((20, 20), np.int32), np.zeros((20, 20, 3), np.uint8), extra=[load_trait(f"{file}:spots")]
    )
    assert isinstance(leaves, pd.DataFrame)
    assert len(leaves) == 0
    assert {"tip_y_px", "bend_deg", "green_area_px2", "spots"} <= set(leaves)
