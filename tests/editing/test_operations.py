"""Corrections: what each does, and what all must leave alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_leafseg.editing import operations as ops
from napari_leafseg.editing.edit import LARGEST_NUMBER, difference, leaf_at, leaf_box, next_number
from napari_leafseg.errors import UserError


def two_discs(gap=0):
    """Leaf 1 left, leaf 2 right, touching when gap is 0."""
    y, x = np.mgrid[:60, :100]
    labels = np.zeros((60, 100), np.uint16)
    labels[np.hypot(y - 30, x - 30) < 18] = 1
    labels[np.hypot(y - 30, x - 64 - gap) < 18] = 2
    return labels


def after(labels, edit):
    result = labels.copy()
    edit.apply(result)
    return result


@st.composite
def label_maps(draw):
    """Random leaves, touching, holed and in pieces, in 40 × 50 pixels."""
    seed, count = draw(st.integers(0, 10_000)), draw(st.integers(1, 7))
    rng = np.random.default_rng(seed)
    labels = np.zeros((40, 50), np.uint16)
    y, x = np.mgrid[:40, :50]
    for leaf in range(1, count + 1):
        cy, cx, a, b = rng.uniform(0, 40), rng.uniform(0, 50), rng.uniform(2, 14), rng.uniform(2, 10)
        labels[((y - cy) / a) ** 2 + ((x - cx) / b) ** 2 < 1] = leaf
    labels[rng.random(labels.shape) < draw(st.sampled_from([0.0, 0.03]))] = 0
    return labels


def strokes(rng):
    start, stop = rng.uniform(-3, 45, 2), rng.uniform(-3, 55, 2)
    return np.linspace(start, stop, int(rng.integers(2, 12))) + rng.normal(0, 0.5, (1, 2))


IMAGE = np.random.default_rng(5).integers(0, 255, (40, 50, 3)).astype(np.uint8)
# each takes labels, two leaves and a generator; gives the edit and the leaves that it may change
OPERATIONS = {
    "add": lambda lab, a, b, rng: (ops.draw_polygon(lab, rng.uniform(0, 40, (5, 2)), 99, {a}, False), {99}),
    "lasso over": lambda lab, a, b, rng: (
        ops.draw_polygon(lab, rng.uniform(0, 40, (5, 2)), 99, {a}), {99} | set(range(1, 8)) - {a}
    ),
    "delete": lambda lab, a, b, rng: (ops.delete(lab, a), {a}),
    "merge": lambda lab, a, b, rng: (ops.merge(lab, a, b), {a, b}),
    "split by stroke": lambda lab, a, b, rng: (ops.split_by_stroke(lab, a, strokes(rng), 20), {a} | set(range(21, 40))),
    "split by points": lambda lab, a, b, rng: (
        ops.split_by_points(lab, a, rng.uniform(0, 45, (6, 2)), image=IMAGE, taken=20), {a} | set(range(21, 40))
    ),
    "border": lambda lab, a, b, rng: (ops.move_border(lab, a, strokes(rng), IMAGE, {b}), set(range(1, 8)) - {b} | {a}),
    "front": lambda lab, a, b, rng: (ops.to_front(lab, a, b), {a, b}),
    "fill": lambda lab, a, b, rng: (ops.fill_holes(lab, a), {a}),
    "smooth": lambda lab, a, b, rng: (ops.smooth(lab, a), {a}),
    "largest": lambda lab, a, b, rng: (ops.keep_largest(lab, a), {a}),
    "fill all": lambda lab, a, b, rng: (ops.fill_holes(lab), set(range(1, 8))),
    "smooth all": lambda lab, a, b, rng: (ops.smooth(lab), set(range(1, 8))),
    "largest all": lambda lab, a, b, rng: (ops.keep_largest(lab), set(range(1, 8))),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=40, deadline=None)
@given(labels=label_maps(), a=st.integers(1, 7), b=st.integers(1, 7), seed=st.integers(0, 1000))
def test_every_operation_leaves_the_rest_alone_and_is_undone_bit_for_bit(name, labels, a, b, seed):
    before = labels.copy()
    edit, allowed = OPERATIONS[name](labels, a, b, np.random.default_rng(seed))
    assert np.array_equal(labels, before)  # pure
    if edit is None:
        return
    edit.apply(labels)
    changed = labels != before
    assert changed.any()
    touched = set(np.union1d(labels[changed], before[changed]).tolist()) - {0}
    assert touched <= allowed
    if not name.startswith(("add", "lasso", "border", "fill", "smooth")):
        assert not ((before == 0) & (labels != 0)).any()  # background stays background
    new = set(np.unique(labels).tolist()) - set(np.unique(before).tolist())
    assert new.isdisjoint(np.unique(before).tolist())
    edit.revert(labels)
    assert np.array_equal(labels, before)


def test_split_by_a_stroke_parts_a_leaf_where_it_is_cut_even_by_a_short_stroke():
    labels = np.where(two_discs() > 0, 5, 0).astype(np.uint16)
    result = after(labels, ops.split_by_stroke(labels, 5, np.array([[26.0, 48], [33, 48]])))
    assert sorted(np.unique(result)) == [0, 5, 6]
    assert np.array_equal(result > 0, labels > 0)
    assert np.mean(result[:, 50:][labels[:, 50:] > 0] == result[30, 66]) == 1
    assert result[30, 30] != result[30, 66]
    assert ops.split_by_stroke(labels, 5, np.array([[2.0, 2], [2, 9]])) is None
    assert ops.split_by_stroke(labels, 5, np.array([[30.0, 48]])) is None


def test_split_by_points_follows_the_narrows_the_edges_or_the_model():
    labels = np.where(two_discs() > 0, 5, 0).astype(np.uint16)
    points = np.array([[30.0, 20], [30, 80]])
    parted = after(labels, ops.split_by_points(labels, 5, points))
    assert np.mean((parted == parted[30, 20])[:, :46][labels[:, :46] > 0]) > 0.97
    image = np.zeros((60, 100, 3), np.uint8)
    image[:, 60:] = 200
    by_edge = after(labels, ops.split_by_points(labels, 5, points, image=image))
    elevation = np.zeros((60, 100), np.float32)
    elevation[:, 39:42] = 1
    by_model = after(labels, ops.split_by_points(labels, 5, points, elevation=lambda box: elevation[box]))
    assert abs(int(np.flatnonzero(by_model[30] == by_model[30, 20])[-1]) - 40) <= 1
    assert abs(int(np.flatnonzero(by_edge[30] == by_edge[30, 20])[-1]) - 60) <= 12
    assert ops.split_by_points(labels, 5, points[:1]) is None


def test_the_border_snaps_to_the_true_edge_outwards_and_inwards():
    y, x = np.mgrid[:80, :80]
    truth = np.hypot(y - 40, x - 40) < 25
    image = np.where(truth[..., None], (40, 160, 50), (120, 90, 70)).astype(np.uint8)
    stroke = np.stack([40 + 27 * np.sin(t := np.linspace(-0.9, 0.9, 25)), 40 + 27 * np.cos(t)], 1)  # 2 px off
    for wrong in (truth & (x < 50), truth | ((x > 40) & (np.abs(y - 40) < 12) & (x < 76))):
        labels = wrong.astype(np.uint16)
        result = after(labels, ops.move_border(labels, 1, stroke, image)) == 1
        dice = 2 * (result & truth).sum() / (result.sum() + truth.sum())
        assert dice > 0.97 > 2 * (wrong & truth).sum() / (wrong.sum() + truth.sum()) - 0.01


def test_a_stroke_beside_the_image_adds_no_leaf():
    labels = two_discs()
    image = np.zeros((*labels.shape, 3), np.uint8)
    outside = np.array([[-30.0, -20], [-25, -40]])
    for edit in (
        ops.move_border(labels, 1, outside, image), ops.split_by_stroke(labels, 1, outside),
        ops.draw_polygon(labels, np.array([[-9.0, -9], [-9, -5], [-5, -5]]), 9),
    ):  # fmt: skip
        assert edit is None or set(np.unique(after(labels, edit))) <= {0, 1, 2}


def test_the_border_takes_nothing_of_a_frozen_neighbor():
    labels = two_discs(gap=4)
    stroke = np.array([[20.0, 46], [24, 56], [30, 60], [36, 56], [40, 46]])
    taken = after(labels, ops.move_border(labels, 1, stroke))
    assert (taken == 2).sum() < (labels == 2).sum()
    kept = after(labels, ops.move_border(labels, 1, stroke, locked={2}))
    assert (kept == 2).sum() == (labels == 2).sum()
    assert (kept == 1).sum() > (labels == 1).sum()


def test_front_gives_the_overlap_to_the_leaf_in_front():
    y, x = np.mgrid[:60, :100]
    labels = np.zeros((60, 100), np.uint16)
    labels[np.hypot(y - 30, x - 40) < 22] = 1
    labels[np.hypot(y - 30, x - 62) < 22] = 2  # drawn over 1
    whole = np.hypot(y - 30, x - 40) < 22
    front = after(labels, ops.to_front(labels, 1, 2))
    lost = whole & (labels == 2)
    assert (front[lost] == 1).mean() > 0.3
    assert np.array_equal(front == 0, labels == 0)


def test_smoothing_rounds_and_holes_fill():
    labels = two_discs(gap=6)
    rough = labels.copy()
    rough[28:33, 25:30] = 0
    rough[10, 30:34] = 1
    filled = after(rough, ops.fill_holes(rough, 1))
    assert (filled[28:33, 25:30] == 1).all()
    smoothed = after(filled, ops.smooth(filled, 1))
    assert smoothed[10, 32] == 0
    assert abs(int((smoothed == 1).sum()) - int((labels == 1).sum())) < 25
    pieces = labels.copy()
    pieces[2:5, 2:5] = 1
    assert ndimage.label(after(pieces, ops.keep_largest(pieces)) == 1)[1] == 1
    assert ops.keep_largest(labels) is None
    assert ops.fill_holes(labels) is None


def test_finding_leaves_and_numbers():
    labels = two_discs(gap=5)
    assert leaf_at(labels, 30, 30) == 1
    assert leaf_at(labels, 30, 49) == 0
    assert leaf_at(labels, 30, 49, reach=6) == 1
    assert leaf_at(labels, -4, 500) == 0
    assert leaf_box(labels, 7) is None
    assert leaf_box(labels, 1, margin=100) == (slice(0, 60), slice(0, 100))
    assert next_number(labels) == 3
    assert next_number(labels, taken=9) == 10  # a deleted leaf's number is not given again
    assert next_number(labels, taken=LARGEST_NUMBER) == 3
    labels[0, 0] = LARGEST_NUMBER
    with pytest.raises(UserError, match=r"65,536"):
        next_number(labels)


def test_an_edit_is_trimmed_to_what_changes():
    labels = two_discs()
    box = (slice(10, 40), slice(10, 90))
    assert difference(labels, box, labels[box], "none") is None
    edit = ops.merge(labels, 1, 2)
    assert edit.leaves == (1, 2)
    assert edit.gained == (1,)
    assert edit.box[1].start >= 46
