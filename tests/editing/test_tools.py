"""The tools as gestures, with and without a prediction; and a simulated annotator in small."""

import numpy as np
import pytest
from benchmarks.annotator import run, summary

from napari_leafseg import load_model
from napari_leafseg.editing import tools
from napari_leafseg.editing.grow import ColorGrowth
from napari_leafseg.inference.confidence import leaf_confidence
from napari_leafseg.inference.prompts import PredictionModel
from napari_leafseg.synthetic import SceneConfig, synthesize
from tests.editing.test_operations import after, two_discs


@pytest.fixture(scope="module")
def plant():
    """A synthetic plant and what the bundled model says of it, enlarged twice over the working scale."""
    scene = synthesize(108, SceneConfig(size=(288, 288), diameter=(200, 230), border=0.0, blank=0.0))
    return scene, load_model("leaf").predict(scene.image)


def deepest(mask):
    from napari_leafseg._opencv import cv2

    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    return np.array(np.unravel_index(int(depth.argmax()), depth.shape), float)


def test_a_click_grows_the_leaf_under_it_and_the_angle_widens_it(plant):
    scene, prediction = plant
    good = []
    for leaf in range(1, scene.labels.max() + 1):
        truth = scene.labels == leaf
        if truth.sum() < 300:
            continue
        growth = PredictionModel(prediction).growth(deepest(truth)[None])
        sizes = []
        for angle in (8, 25, 50):
            mask, box = growth.mask(angle)
            assert mask.shape == (box[0].stop - box[0].start, box[1].stop - box[1].start)
            sizes.append(mask.sum())
        assert sizes[0] <= 1.02 * sizes[1] <= 1.05 * sizes[2]
        grown = np.zeros(truth.shape, bool)
        mask, box = growth.mask(30)
        grown[box] = mask
        good.append(2 * (grown & truth).sum() / (grown.sum() + truth.sum()))
    assert len(good) >= 4
    assert np.median(good) > 0.7


def test_color_growth_fills_an_even_leaf_and_stops_at_its_edge():
    y, x = np.mgrid[:120, :160]
    disc = np.hypot(y - 60, x - 70) < 25
    rng = np.random.default_rng(0)
    image = np.where(disc[..., None], (50, 150, 60), (120, 90, 70)) + rng.normal(0, 6, (120, 160, 3))
    growth = ColorGrowth(np.clip(image, 0, 255).astype(np.uint8), np.array([[60.0, 70], [65, 75]]))
    grown = np.zeros(disc.shape, bool)
    mask, box = growth.mask(45)
    grown[box] = mask
    assert (grown & disc).sum() / (grown | disc).sum() > 0.85
    assert growth.mask(10)[0].sum() < mask.sum()


def test_add_on_the_background_adds_and_on_a_leaf_parts_it(plant):
    scene, prediction = plant
    labels = prediction.labels()
    leaf = int(np.bincount(labels[labels > 0]).argmax())
    place = deepest(labels == leaf)
    without = np.where(labels == leaf, 0, labels).astype(np.uint16)
    here = tools.Scene(without, scene.image, PredictionModel(prediction), largest=30)
    adding = tools.add(here, place[None], 60.0)
    result = after(without, adding.edit)
    assert adding.number == 31
    back = (result == 31) & (labels == leaf)
    assert back.sum() > 0.7 * (labels == leaf).sum()
    assert np.array_equal(np.where(result == 31, 0, result), without)  # other leaves keep every pixel
    joined = np.where(labels > 0, 1, 0).astype(np.uint16)
    parted = tools.add(tools.Scene(joined, scene.image, PredictionModel(prediction)), place[None], 45.0)
    assert parted.growth is None
    assert sorted(np.unique(after(joined, parted.edit))) == [0, 1, 2]
    locked = tools.Scene(joined, scene.image, PredictionModel(prediction), frozenset({1}))
    assert tools.add(locked, place[None], 45.0).edit is None  # a verified leaf is not parted by a click


def test_without_a_prediction_a_click_parts_a_leaf_at_its_narrows():
    labels = np.where(two_discs() > 0, 4, 0).astype(np.uint16)
    image = np.where(labels[..., None] > 0, (60, 150, 60), (110, 90, 70)).astype(np.uint8)
    adding = tools.add(tools.Scene(labels, image), np.array([[30.0, 68]]), 45.0)
    parted = after(labels, adding.edit)
    assert parted[30, 68] != parted[30, 28]
    assert abs(int((parted == parted[30, 28]).sum()) - int((two_discs() == 1).sum())) < 80


def test_a_drag_merges_all_leaves_on_its_way():
    labels = two_discs(gap=3)
    labels[2:9, 60:75] = 7
    scene = tools.Scene(labels, np.zeros((*labels.shape, 3), np.uint8))
    result = labels.copy()
    for edit in tools.merge(scene, np.array([[30.0, 30], [30, 70], [5, 67]])):
        edit.apply(result)
    assert sorted(np.unique(result)) == [0, 1]
    assert tools.merge(scene, np.array([[30.0, 30], [35, 30]])) == []


def test_a_lasso_draws_a_new_leaf_or_the_old_one_anew():
    labels = two_discs(gap=6)
    scene = tools.Scene(labels, np.zeros((*labels.shape, 3), np.uint8), largest=5)
    new = after(labels, tools.lasso(scene, np.array([[2.0, 2], [2, 9], [9, 9], [9, 2]])))
    assert (new == 6).sum() == 64
    around = 30 + 15 * np.stack([np.sin(t := np.linspace(0, 6.2, 40)), np.cos(t)], 1)
    redrawn = after(labels, tools.lasso(scene, around))
    assert 6 not in redrawn
    assert 0 < (redrawn == 1).sum() < (labels == 1).sum()
    assert np.array_equal(redrawn == 2, labels == 2)
    over = np.array([[20.0, 30], [20, 75], [40, 75], [40, 30]])
    held = tools.Scene(labels, scene.image, locked=frozenset({2}), largest=5)
    assert np.array_equal(after(labels, tools.lasso(held, over)) == 2, labels == 2)


def test_strokes_find_the_leaf_that_is_meant():
    labels = two_discs(gap=6)
    assert tools.leaf_under(labels, np.array([[30.0, 20], [30, 50]])) == 1
    assert tools.leaf_under(labels, np.array([[2.0, 2], [3, 3]])) == 0
    assert tools.leaf_beside(labels, np.array([[14.0, 24], [10, 30], [14, 36]])) == 1
    assert tools.front(tools.Scene(labels, np.zeros((60, 100, 3), np.uint8)), np.array([[2.0, 2], [3, 3]])) is None


def test_confidence_is_lower_for_leaves_that_are_wrong(plant):
    _scene, prediction = plant
    labels = prediction.labels()
    right = leaf_confidence(prediction, labels)
    assert set(right) == set(np.unique(labels)) - {0}
    assert all(0 <= value <= 1 for value in right.values())
    y, x = np.nonzero(labels == 0)
    wrong = labels.copy()
    wrong[y[:400], x[:400]] = 90
    joined = np.where(labels > 0, 1, 0)
    assert leaf_confidence(prediction, wrong)[90] < min(right.values())
    assert leaf_confidence(prediction, joined)[1] < np.median(list(right.values()))


@pytest.mark.slow
@pytest.mark.night
def test_an_annotator_needs_far_fewer_interactions_with_the_tools_than_with_a_brush():
    results = run(count=6, say=False)
    assert summary(results)["tools"]["reached"] == 1
    needed = {kind: sum(item.interactions for item in found) for kind, found in results.items()}
    assert 0 < 3 * needed["tools"] <= needed["brush"]
