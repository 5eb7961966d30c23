"""Boxes, and clicks that are not in the leaf, as prompts of the model's own maps."""

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from napari_leafseg import load_model
from napari_leafseg._files import sample_folder
from napari_leafseg.editing import tools
from napari_leafseg.editing.edit import leaf_box
from napari_leafseg.inference.prompts import PredictionModel
from napari_leafseg.io import read_image
from napari_leafseg.synthetic import SceneConfig, synthesize
from tests.editing.test_operations import after, two_discs
from tests.editing.test_tools import deepest


@pytest.fixture(scope="module")
def plant():
    """A synthetic plant and what the bundled model says of it."""
    scene = synthesize(108, SceneConfig(size=(288, 288), diameter=(200, 230), border=0.0, blank=0.0))
    return scene, load_model("leaf").predict(scene.image)


def corners(mask, margin=2):
    box = leaf_box(mask.astype(np.uint16), 1)
    return np.array([[span.start - margin for span in box], [span.stop - 1 + margin for span in box]], float)


def overlap(mask, truth):
    return (mask & truth).sum() / (mask | truth).sum()


def leaves_of(labels, least=300):
    return [leaf for leaf in np.unique(labels)[1:] if (labels == leaf).sum() >= least]


def test_a_box_around_a_leaf_finds_that_leaf_better_than_a_click_in_its_middle(plant):
    scene, prediction = plant
    empty = np.zeros(scene.labels.shape, np.uint16)
    here = tools.Scene(empty, scene.image, PredictionModel(prediction))
    boxes, clicks = [], []
    for leaf in leaves_of(scene.labels):
        truth = scene.labels == leaf
        boxes.append(overlap(after(empty, tools.add_in_box(here, corners(truth), 45.0).edit) > 0, truth))
        clicks.append(overlap(after(empty, tools.add(here, deepest(truth)[None], 45.0).edit) > 0, truth))
    assert len(boxes) >= 4
    assert np.median(boxes) > 0.6
    assert np.mean(boxes) >= np.mean(clicks)


@pytest.mark.parametrize("model", [True, False])
def test_no_pixel_lies_outside_of_the_box_and_other_leaves_keep_theirs(plant, model):
    scene, prediction = plant
    labels = prediction.labels()
    leaf = int(np.bincount(labels[labels > 0]).argmax())
    box = corners(labels == leaf, -6)
    without = np.where(labels == leaf, 0, labels).astype(np.uint16)
    here = tools.Scene(without, scene.image, PredictionModel(prediction) if model else None, largest=60)
    adding = tools.add_in_box(here, box[::-1], 60.0)  # drawn from the lower right
    result = after(without, adding.edit)
    places = np.argwhere(result == 61)
    assert len(places) > 50
    assert (places >= box[0]).all()
    assert (places <= box[1]).all()
    assert np.array_equal(np.where(result == 61, 0, result), without)
    assert adding.edit.tool == "box"


def test_a_box_draws_a_leaf_anew_unless_somebody_verified_it(plant):
    scene, prediction = plant
    labels = prediction.labels()
    leaf = leaves_of(labels)[0]
    eroded = labels.copy()
    ys, xs = np.nonzero(labels == leaf)
    eroded[ys[xs < np.median(xs)], xs[xs < np.median(xs)]] = 0
    box = corners(labels == leaf)
    model = PredictionModel(prediction)
    adding = tools.add_in_box(tools.Scene(eroded, scene.image, model), box, 60.0)
    assert adding.number == leaf
    result = after(eroded, adding.edit)
    assert overlap(result == leaf, labels == leaf) > overlap(eroded == leaf, labels == leaf)
    others = labels != leaf
    assert np.array_equal(result[others & (labels > 0)], labels[others & (labels > 0)])
    locked = tools.add_in_box(tools.Scene(eroded, scene.image, model, frozenset({leaf})), box, 60.0)
    assert locked.number != leaf
    assert np.array_equal(after(eroded, locked.edit) == leaf, eroded == leaf)


def touching(labels):
    """The two leaves whose common border is longest."""
    pairs = np.concatenate(
        [
            np.stack([labels[1:].ravel(), labels[:-1].ravel()], 1),
            np.stack([labels[:, 1:].ravel(), labels[:, :-1].ravel()], 1),
        ]
    )
    pairs = np.sort(pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs > 0).all(1)], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    return found[counts.argmax()]


def test_a_click_that_is_not_in_the_leaf_parts_what_the_embedding_holds_for_one(plant):
    scene, prediction = plant
    labels = prediction.labels()
    first, second = (labels == leaf for leaf in touching(labels))
    (region,) = prediction.regions
    kept, embedding = region.maps.embedding.copy(), region.maps.embedding
    small = region.sample((first + 2 * second).astype(np.uint8)[region.rows, region.columns])
    embedding[:, small > 0] = embedding[:, small == 1].mean(1).astype(np.int8)[:, None]
    empty = np.zeros(labels.shape, np.uint16)
    here = tools.Scene(empty, scene.image, PredictionModel(prediction))
    try:
        adding = tools.add(here, deepest(first)[None], 30.0)
        grown = after(empty, adding.edit) > 0
        less = tools.take_off(here, adding, deepest(second), 30.0)
        result = after(empty, less.edit) > 0
    finally:
        embedding[:] = kept
    assert (grown & second).sum() > 0.8 * second.sum()
    assert (result & second).sum() < 0.2 * second.sum()
    assert (result & first).sum() > 0.8 * first.sum()
    assert less.number == adding.number


def test_a_click_that_is_not_in_the_leaf_rules_out_what_the_embedding_tells_apart(plant):
    _scene, prediction = plant
    labels = prediction.labels()
    first, second = (labels == leaf for leaf in touching(labels))
    model = PredictionModel(prediction)

    def grown(*away):
        full = np.zeros(labels.shape, bool)
        mask, box = model.growth(deepest(first)[None], np.array(away).reshape(-1, 2)).mask(75.0)
        full[box] = mask
        return full

    alone, told = grown(), grown(deepest(second))
    assert (told <= alone).all()
    assert (told & first).sum() > 0.9 * (alone & first).sum()
    assert not told[tuple(deepest(second).astype(int))]


def test_without_a_prediction_a_click_takes_off_what_lies_behind_a_narrow_place():
    discs = two_discs() > 0
    image = np.where(discs[..., None], (60, 150, 60), (110, 90, 70)).astype(np.uint8)
    empty = np.zeros(discs.shape, np.uint16)
    here = tools.Scene(empty, image)
    adding = tools.add(here, np.array([[30.0, 28]]), 45.0)
    assert after(empty, adding.edit)[30, 68]
    less = after(empty, tools.take_off(here, adding, np.array([30.0, 68]), 45.0).edit)
    assert less[30, 28]
    assert not less[30, 68]
    assert abs(int((less > 0).sum()) - int((two_discs() == 1).sum())) < 120
    boxed = tools.add_in_box(here, np.array([[10.0, 5], [50, 90]]), 60.0)
    again = tools.take_off(here, boxed, np.array([30.0, 68]), 60.0)
    assert not after(empty, again.edit)[30, 68]
    assert after(empty, again.edit).any()


def test_a_box_of_no_size_adds_nothing(plant):
    scene, prediction = plant
    here = tools.Scene(np.zeros(scene.labels.shape, np.uint16), scene.image, PredictionModel(prediction))
    assert tools.add_in_box(here, np.array([[50.0, 50], [51, 90]]), 45.0).edit is None
    assert tools.add_in_box(here, np.array([[-50.0, -50], [-20, -9]]), 45.0).edit is None


@pytest.mark.parametrize("labeled", [True, False])
def test_what_grows_by_color_beyond_any_leaf_is_refused_with_what_to_do(labeled):
    y, x = np.mgrid[:400, :500]
    image = np.full((400, 500, 3), (120, 95, 70), np.uint8)
    leaf, pot = np.hypot(y - 90, x - 90) < 20, np.hypot(y - 290, x - 290) < 55
    image[leaf], image[pot] = (50, 150, 60), (60, 60, 70)
    labels = np.where(leaf & labeled, 1, 0).astype(np.uint16)
    here = tools.Scene(labels, image, None, largest=1)
    bare = tools.add(here, np.array([[200.0, 150.0]]), 45.0)  # ground that goes on and on
    assert bare.edit is None
    assert "Lasso" in bare.refused
    on_pot = tools.add(here, np.array([[290.0, 290.0]]), 45.0)  # has an edge, but is no leaf beside such leaves
    assert (on_pot.edit is None) == bool(on_pot.refused) == labeled
    small = tools.add(tools.Scene(np.zeros_like(labels), image), np.array([[90.0, 90.0]]), 45.0)
    assert not small.refused
    assert overlap(after(np.zeros_like(labels), small.edit) > 0, leaf) > 0.65
    boxed = tools.add_in_box(here, np.array([[230.0, 230.0], [350.0, 350.0]]), 45.0)  # somebody said how large it is
    assert boxed.edit is not None


@pytest.mark.parametrize("name", ["rosette_soil", "opposite", "seedling", "compound", "growth/day04"])
def test_without_labels_leaves_grow_and_ground_does_not(name):
    """At the angle that is usual, on images as they are: soil, mesh and gravel have edges everywhere."""
    image = read_image(sample_folder() / f"{name}.png").array[..., :3]
    truth = tifffile.imread(sample_folder() / f"{name}_label.tif")
    scene, rng = tools.Scene(np.zeros(truth.shape, np.uint16), image), np.random.default_rng(0)
    leaves = [ndimage.distance_transform_edt(truth == leaf) for leaf in np.unique(truth)[1:]]
    large = sorted(leaves, key=lambda depth: -depth.max())[:6]
    seeds = [np.array(np.unravel_index(depth.argmax(), depth.shape), float) for depth in large]
    assert all(tools.add(scene, seed[None], 45.0).edit is not None for seed in seeds)
    bare = np.argwhere(ndimage.distance_transform_edt(truth == 0) > 0.12 * min(truth.shape))
    found = [tools.add(scene, place[None].astype(float), 45.0) for place in rng.choice(bare, 12)]
    assert sum(adding.edit is None for adding in found) >= 10
    assert all("Lasso" in adding.refused for adding in found if adding.edit is None)
