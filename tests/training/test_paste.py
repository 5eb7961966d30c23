"""Real leaves and backgrounds in training images."""

import numpy as np
import pytest
from scipy import ndimage

from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.training.banks import BackgroundBank, LeafBank, is_gray
from napari_leafseg.training.paste import _drop_hidden, paste_leaves, real_background, textured_leaves

CONFIG = SceneConfig(size=(224, 224), diameter=(150, 200), border=0.0, blank=0.0, habit="rosette", background="soil")


def make_pair(seed, gray=False):
    scene = synthesize(seed, CONFIG)
    image = scene.image
    if gray:
        image = np.repeat(image.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    return image, scene.labels.astype(np.int32)


@pytest.fixture(scope="module")
def bank():
    return LeafBank([make_pair(seed) for seed in range(4)], [make_pair(seed, gray=True) for seed in range(4, 8)])


@pytest.fixture(scope="module")
def grounds():
    return BackgroundBank([make_pair(seed) for seed in range(4)], [make_pair(seed, gray=True) for seed in range(4, 8)])


def test_leaves_of_colored_and_gray_images_are_kept_apart(bank):
    assert len(bank.colored) > 4
    assert len(bank.gray) > 4
    rng = np.random.default_rng(0)
    assert not any(is_gray(bank.sample(rng, False).image) for _ in range(40))
    assert all(is_gray(bank.sample(rng, True).image) for _ in range(40))


def test_no_gray_leaf_lands_in_a_colored_image():
    only_gray = LeafBank([make_pair(seed, gray=True) for seed in range(4, 8)])
    assert only_gray.sample(np.random.default_rng(0), False) is None


def make_leaf(labels):
    """An image with one long leaf."""
    image = np.full((*labels.shape, 3), (90, 70, 50), np.uint8)
    image[labels > 0] = (60, 160, 40)
    return image


@pytest.mark.parametrize(
    ("box", "beside", "good"),
    [
        ((slice(20, 60), slice(20, 40)), 0, True),
        ((slice(0, 40), slice(20, 40)), 0, False),  # cut by the border
        ((slice(20, 28), slice(20, 30)), 0, False),  # small
        ((slice(20, 60), slice(20, 40)), -1, False),  # what is around is unknown
        ((slice(20, 60), slice(20, 40)), 2, False),  # in the middle of another leaf
    ],
)
def test_only_good_leaves_are_cut_out(box, beside, good):
    labels = np.full((100, 100), beside, np.int32)
    if beside == 2:
        labels[:2] = 0
    labels[box] = 1
    bank = LeafBank([(make_leaf(labels), labels)])
    assert len(bank) == int(good)
    if good:
        cut = bank.colored.sample(np.random.default_rng(0))
        assert cut.area == 800
        assert cut.slender == pytest.approx(2.0, rel=0.1)
        assert (cut.image[..., 1] > 150).all(), "no background in the colors that resampling mixes in"


def test_backgrounds_hold_no_leaf():
    labels = np.zeros((200, 200), np.int32)
    labels[80:110, 90:120] = 1
    image = make_leaf(labels)
    bank = BackgroundBank([(image, labels)])
    assert len(bank.colored) >= 3
    assert max(patch.shape[0] for patches in bank.colored.lists for patch in patches) == 200, "taken whole, mended"
    for patches in bank.colored.lists:
        assert not any((patch[..., 1] > 100).any() for patch in patches)


def test_what_is_not_annotated_and_what_is_green_is_no_background():
    labels = np.zeros((120, 240), np.int32)
    labels[40:60, 40:60] = 1
    image = make_leaf(labels)
    labels[:, 110:] = -1
    image[:, 110:] = (200, 30, 30)
    for bank in (BackgroundBank([(image, labels)]), BackgroundBank(unlabeled=[make_leaf(labels)])):
        for patches in bank.colored.lists:
            for patch in patches:
                assert not (patch[..., 0] > 150).any()
                assert not (patch[..., 1] > 120).any()


@pytest.mark.parametrize("seed", range(10))
def test_pasted_leaves_get_labels_where_they_are_seen(bank, seed):
    image, labels = make_pair(20 + seed)
    labels[:30, :60] = -1
    before = image.copy(), labels.copy()
    result, truth = paste_leaves(np.random.default_rng(seed), image, labels, bank)
    assert np.array_equal(image, before[0])
    assert np.array_equal(labels, before[1])
    assert result.dtype == np.uint8
    assert truth.dtype == np.int32
    new = truth > labels.max()
    hidden = (truth == -1) & (labels >= 0)
    changed = truth != labels
    assert np.array_equal(changed, new | hidden)
    assert not (truth[labels > 0] == 0).any(), "no leaf that can be seen is background"
    areas = np.bincount(truth[truth > 0])
    old = np.bincount(labels[labels > 0], minlength=len(areas))
    for label in np.flatnonzero(old):
        assert areas[label] == old[label] or areas[label] == 0 or areas[label] >= max(20, 0.25 * old[label])
    assert areas[labels.max() + 1 :].max(initial=20) >= 20


def test_only_pasted_leaves_and_their_shadows_change_the_image(bank):
    changed = 0
    for seed in range(6):
        image, labels = make_pair(40 + seed, gray=True)  # no shadows in fluorescence
        result, truth = paste_leaves(np.random.default_rng(seed), image, labels, bank)
        far = ndimage.binary_erosion(truth == labels, iterations=4, border_value=1)
        assert np.array_equal(result[far], image[far])
        changed += int((result != image).any())
        assert is_gray(result)
    assert changed >= 4


def test_a_leaf_hidden_but_for_a_sliver_is_not_annotated():
    labels = np.zeros((40, 40), np.int32)
    labels[10:30, 10:30] = 5
    labels[10:30, 10:13] = 2
    _drop_hidden(labels, {0: 0, 2: 400, 5: 400})
    assert (labels[10:30, 10:13] == -1).all()
    assert (labels[10:30, 13:30] == 5).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_background_is_replaced_and_the_plant_stays(grounds, seed):
    image, labels = make_pair(60 + seed)
    labels[:20, :20] = -1
    result, truth = real_background(np.random.default_rng(seed), image, labels, grounds)
    assert np.array_equal(truth, labels)
    assert np.abs(result[labels != 0].astype(int) - image[labels != 0]).max() <= 1
    assert np.mean((result != image).any(2)[labels == 0]) > 0.8


@pytest.mark.parametrize("gray", [False, True])
def test_textures_change_leaves_alone(bank, gray):
    image, labels = make_pair(70, gray)
    labels[:20, :20] = -1
    result, truth = textured_leaves(np.random.default_rng(0), image, labels, bank)
    assert np.array_equal(truth, labels)
    assert np.array_equal(result[labels <= 0], image[labels <= 0])
    assert np.mean((result != image).any(2)[labels > 0]) > 0.2
    assert is_gray(result) == gray


def test_the_same_generator_gives_the_same_image(bank, grounds):
    image, labels = make_pair(80)
    for paste, things in ((paste_leaves, bank), (real_background, grounds), (textured_leaves, bank)):
        first, again, other = (paste(np.random.default_rng(seed), image, labels, things) for seed in (1, 1, 2))
        assert np.array_equal(first[0], again[0])
        assert np.array_equal(first[1], again[1])
        assert not np.array_equal(first[0], other[0])


def test_images_without_leaves_and_full_of_them(bank, grounds):
    image = np.full((64, 80, 3), (90, 60, 50), np.uint8)
    for value in (0, 1, -1):
        labels = np.full((64, 80), value, np.uint16 if value >= 0 else np.int32)
        for paste, things in ((paste_leaves, bank), (real_background, grounds), (textured_leaves, bank)):
            for seed in range(4):
                result, truth = paste(np.random.default_rng(seed), image, labels, things)
                assert result.shape == image.shape
                assert truth.shape == labels.shape


def test_empty_banks_change_nothing():
    image, labels = make_pair(90)
    rng = np.random.default_rng(0)
    assert np.array_equal(real_background(rng, image, labels, BackgroundBank())[0], image)
    assert np.array_equal(textured_leaves(rng, image, labels, LeafBank())[0], image)
