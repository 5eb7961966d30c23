"""Leaf measurements, against shapes whose size is known and against scikit-image."""

import numpy as np
import pytest
from skimage.color import rgb2hsv
from skimage.draw import ellipse, polygon2mask
from skimage.measure import regionprops

from napari_leafseg.synthetic import synthesize
from napari_leafseg.synthetic.leaf import LeafShape, half_widths, outline
from napari_leafseg.synthetic.plant import draw_plant
from napari_leafseg.traits import measure_leaves, trace_midrib
from tests.conftest import discs


def draw_leaf(shape, length, turn):
    """A generator's leaf as a mask; its base lies in the middle of the image."""
    corners = outline(shape, 160) * length
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    side = int(2.6 * length)
    return polygon2mask((side, side), corners @ rotation.T + 1.3 * length)


@pytest.mark.parametrize("radius", [12, 30, 80])
def test_discs(radius):
    row = measure_leaves(discs(centers=((100.3, 90.2),), radius=radius, size=200)).iloc[0]
    assert row["area_px2"] == pytest.approx(np.pi * radius**2, rel=0.02)
    assert row["length_px"] == pytest.approx(2 * radius, rel=0.04)
    assert row["width_px"] == pytest.approx(2 * radius, rel=0.04)
    assert row["perimeter_px"] == pytest.approx(2 * np.pi * radius, rel=0.03)
    assert row["roundness"] > 0.93
    assert row["petiole_px"] == 0
    assert row["solidity"] > 0.95
    assert (row["centroid_y_px"], row["centroid_x_px"]) == pytest.approx((100.3, 90.2), abs=0.2)


@pytest.mark.parametrize("turn", np.linspace(0, np.pi, 9))
@pytest.mark.parametrize(("long", "short"), [(60, 20), (40, 30), (120, 25)])
def test_ellipses_turned_and_scaled(long, short, turn):
    labels = np.zeros((300, 300), np.int32)
    labels[ellipse(150.2, 149.7, short, long, rotation=turn)] = 4
    row = measure_leaves(labels).iloc[0]
    assert row["leaf"] == 4
    assert row["area_px2"] == pytest.approx(np.pi * long * short, rel=0.02)
    assert row["length_px"] == pytest.approx(2 * long, rel=0.04)
    assert row["width_px"] == pytest.approx(2 * short, rel=0.04)
    assert row["aspect_ratio"] == pytest.approx(long / short, rel=0.06)


def test_leaves_of_the_generator_turned_and_scaled():
    lengths, widths, petioles = [], [], []
    for seed in range(30):
        for leaf in draw_plant(np.random.default_rng(seed), "rosette").leaves[:4]:
            smooth = {"teeth": 0, "lobes": 0}  # the width of a lobed leaf is a matter of definition
            shape = LeafShape(**{**leaf.shape.__dict__, **smooth})
            left, right = half_widths(shape, np.linspace(0, 1, 400))
            for length, turn in ((70, 0.2), (140, 1.1), (210, 4.0)):
                found = trace_midrib(draw_leaf(shape, length, turn))
                lengths.append(found.length / length - 1)
                widths.append(found.width / ((left + right).max() * length) - 1)
                petioles.append(found.petiole / length - shape.petiole)
    assert np.percentile(np.abs(lengths), 95) < 0.04
    assert np.percentile(np.abs(widths), 95) < 0.04
    assert np.median(np.abs(petioles)) < 0.05


def test_area_of_the_generators_leaves_is_the_polygons():
    for seed in range(5):
        shape = draw_plant(np.random.default_rng(seed), "rosette").leaves[0].shape
        corners = outline(shape, 200) * 150
        y, x = corners.T
        truth = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
        labels = draw_leaf(shape, 150, 0.7).astype(np.int32)
        assert measure_leaves(labels).iloc[0]["area_px2"] == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize("bend", [0.9, 1.5, 2.4])
def test_a_bent_leaf_is_as_long_as_its_midrib(bend):
    shape = LeafShape(width=0.25, petiole=0.2, bend=bend)
    tip = 2 * 160 * np.sin(bend / 2) / bend  # how far the tip lies from the base
    found = trace_midrib(draw_leaf(shape, 160, 0.5))
    assert found.length == pytest.approx(160, rel=0.02)
    assert found.width == pytest.approx(0.25 * 160, rel=0.02)
    assert tip < 0.98 * 160


def test_base_and_tip_and_azimuth():
    mask = draw_leaf(LeafShape(width=0.5, petiole=0.35), 100, 0.0)  # points down, base at 130, 130
    found = trace_midrib(mask)
    assert np.hypot(*(found.base - (130, 130))) < 4
    assert np.hypot(*(found.tip - (230, 130))) < 4
    assert np.allclose(found.from_center((240.0, 130.0)).base, found.tip)
    assert found.from_center((240.0, 130.0)).petiole == 0
    labels = mask.astype(int)
    assert measure_leaves(labels, centers={1: (130.0, 130.0)}).iloc[0]["azimuth_deg"] == pytest.approx(270, abs=2)
    assert measure_leaves(labels.T.copy(), centers={1: (130.0, 130.0)}).iloc[0]["azimuth_deg"] % 360 == pytest.approx(
        0, abs=2
    )


def test_it_agrees_with_scikit_image_where_it_has_the_trait():
    labels = synthesize(3).labels.astype(np.int32)
    table = measure_leaves(labels).set_index("leaf")
    for region in regionprops(labels):
        row = table.loc[region.label]
        assert row["area_px2"] == region.area
        assert row["perimeter_px"] == pytest.approx(region.perimeter_crofton)
        assert row["solidity"] == pytest.approx(region.solidity)
        assert (row["centroid_y_px"], row["centroid_x_px"]) == pytest.approx(region.centroid)


def test_color_mean_and_spread():
    labels = discs(centers=((20, 20), (20, 60)), radius=10, size=80)
    image = np.zeros((80, 80, 3), np.uint8)
    image[labels == 1] = (10, 200, 30)
    rng = np.random.default_rng(0)
    image[labels == 2] = rng.integers(0, 255, (np.count_nonzero(labels == 2), 3))
    table = measure_leaves(labels, image).set_index("leaf")
    first = table.loc[1]
    assert [first[f"mean_{name}"] for name in ("red", "green", "blue")] == pytest.approx([10, 200, 30])
    assert first["sd_green"] == pytest.approx(0, abs=1e-6)
    hue, saturation, value = rgb2hsv(np.array([[[10, 200, 30]]], np.uint8))[0, 0]
    assert [first["mean_hue"] / 360, first["mean_saturation"], first["mean_value"]] == pytest.approx(
        [hue, saturation, value]
    )
    assert first["mean_excess_green"] == pytest.approx((400 - 40) / 240)
    assert first["mean_green_leaf_index"] == pytest.approx((400 - 40) / 440)
    assert first["mean_ngrdi"] == pytest.approx(190 / 210)
    inside = image[labels == 2].astype(float)
    assert table.loc[2, "mean_red"] == pytest.approx(inside[:, 0].mean())
    assert table.loc[2, "sd_blue"] == pytest.approx(inside[:, 2].std())


def test_the_mean_of_two_reds_is_red():
    image = np.array([[[255, 0, 20], [255, 20, 0]]], np.uint8)
    row = measure_leaves(np.ones((1, 2), int), image).iloc[0]
    assert min(row["mean_hue"], 360 - row["mean_hue"]) < 1


def test_confidence_and_verified_marks():
    labels = discs()
    table = measure_leaves(labels, confidence={1: 0.5}, verified=[2]).set_index("leaf")
    assert table.loc[1, "confidence"] == 0.5
    assert np.isnan(table.loc[2, "confidence"])
    assert table["verified"].tolist() == [leaf == 2 for leaf in table.index]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_leaves_of_few_pixels(count):
    labels = np.zeros((5, 5), int)
    labels[2, 1 : 1 + count] = 1
    row = measure_leaves(labels, np.ones((5, 5, 3), np.uint8)).iloc[0]
    assert row["area_px2"] == count
    assert np.isfinite(row.to_numpy(float)).all()


def test_no_leaves_give_an_empty_table_with_the_same_columns():
    image = np.zeros((20, 20, 3), np.uint8)
    empty = measure_leaves(np.zeros((20, 20), int), image, {}, {}, [])
    assert len(empty) == 0
    full = measure_leaves(np.eye(20, dtype=int), image, {1: (0.0, 0.0)}, {}, [])
    assert list(empty.columns) == list(full.columns)
