"""Seedlings, straps, stands, shrubs, twigs; moss, glare and fluorescence."""

import hashlib

import numpy as np
import pytest
import yaml

from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.synthetic.kinds import KINDS
from napari_leafseg.training.data_config import DataConfig

TTA_PRESETS = ("moss", "foliage", "glare", "fluorescence")
MIXED = yaml.safe_load("""
- {share: 0.26, scene: {size: [448, 448], diameter: [130, 440], moss: 0.15, glare: 0.1}}
- {share: 0.05, scene: {size: [448, 448], diameter: [170, 440], background: paper, pots: 0.9}}
- {share: 0.08, scene: {size: [448, 448], diameter: [90, 260], plants: [2, 6], moss: 0.15}}
- {share: 0.06, scene: {size: [448, 448], diameter: [150, 440], fluorescence: 1.0, blank: 0.0}}
- {share: 0.03, scene: {size: [448, 448], diameter: [120, 440], kind: petioles, fluorescence: 1.0, blank: 0.0}}
- {share: 0.08, scene: {size: [448, 448], diameter: [130, 440], kind: petioles, moss: 0.3, glare: 0.1}}
- {share: 0.07, scene: {size: [448, 448], diameter: [24, 420], plants: [1, 6], kind: seedlings, moss: 0.3}}
- {share: 0.03, scene: {size: [448, 448], diameter: [250, 500], kind: pinnate, moss: 0.1, glare: 0.1}}
- {share: 0.04, scene: {size: [448, 448], diameter: [300, 620], kind: strap, border: 0.4, blank: 0.03, glare: 0.1}}
- {share: 0.05, scene: {size: [448, 448], diameter: [300, 620], kind: strap-side,
  border: 0.3, blank: 0.03, foliage: 0.1}}
- {share: 0.01, scene: {size: [448, 448], diameter: [320, 560], kind: needles, border: 0.3, blank: 0.03}}
- {share: 0.08, scene: {size: [448, 448], diameter: [90, 240], kind: stand, blank: 0.05, moss: 0.15, glare: 0.2}}
- {share: 0.08, scene: {size: [448, 448], diameter: [300, 560], kind: shrub,
  border: 0.4, blank: 0.03, moss: 0.15, foliage: 0.25, glare: 0.3}}
- {share: 0.06, scene: {size: [448, 448], diameter: [300, 620], kind: twig,
  border: 0.4, blank: 0.03, foliage: 0.35, glare: 0.25}}
- {share: 0.02, scene: {size: [448, 448], diameter: [80, 300], plants: [0, 0], moss: 0.5, foliage: 0.1}}
""")  # fmt: skip


def check(scene, config):
    present = np.unique(scene.labels)
    assert np.array_equal(present[present > 0], np.arange(1, present.max() + 1))
    assert scene.image.shape == (*config.size, 3)
    assert scene.image.dtype == np.uint8
    assert scene.labels.dtype == np.uint16
    assert np.all(scene.plants[scene.labels > 0] > 0)
    assert len(scene.identities) == present.max() + 1
    areas = np.bincount(scene.labels.ravel())[1:]
    assert areas.size == 0 or areas.min() >= config.smallest_leaf


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_with_a_label_for_every_leaf(kind):
    leaves = 0
    for seed in range(6):
        config = SceneConfig(size=(176, 200), diameter=(90, 170), plants=(1, 3), kind=kind)
        scene = synthesize(seed, config)
        check(scene, config)
        leaves += int(scene.labels.max())
    assert leaves >= 12


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_the_same_seed_gives_the_same_scene(kind):
    config = SceneConfig(size=(128, 128), diameter=(90, 120), kind=kind, moss=0.5, foliage=0.5, glare=0.5)
    first, again, other = (synthesize(seed, config) for seed in (3, 3, 4))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)
    assert not np.array_equal(first.image, other.image)


def test_labels_of_straps_do_not_change_between_machines_and_versions():
    config = SceneConfig(size=(128, 128), diameter=(90, 120), kind="strap-side", blank=0.0)
    assert hashlib.sha256(synthesize(1, config).labels.tobytes()).hexdigest()[:16] == "15dcc59f7c7368d8"


@pytest.mark.parametrize("look", TTA_PRESETS)
def test_looks_change_the_image_and_not_the_labels(look):
    plain = SceneConfig(size=(160, 160), diameter=(110, 150), blank=0.0, camera=False)
    before, after = synthesize(7, plain), synthesize(7, plain.model_copy(update={look: 1.0}))
    assert np.array_equal(before.labels, after.labels)
    assert not np.array_equal(before.image, after.image)
    changed = np.abs(before.image.astype(int) - after.image).max(2) > 3
    on, off = changed[before.labels > 0].mean(), changed[before.labels == 0].mean()
    if look in ("moss", "foliage"):
        assert off > 3 * on
    elif look == "glare":
        assert on > 0.02
        assert off == 0


def test_fluorescence_is_gray_bright_on_dark():
    for seed in range(4):
        config = SceneConfig(size=(160, 160), diameter=(110, 150), fluorescence=1.0, border=0.0)
        scene = synthesize(seed, config)
        check(scene, config)
        assert np.array_equal(scene.image[..., 0], scene.image[..., 2])
        assert scene.image[scene.labels > 0].mean() > 2.5 * scene.image[scene.labels == 0].mean()


def test_seedlings_have_two_to_five_leaves():
    for seed in range(8):
        scene = synthesize(seed, SceneConfig(size=(200, 200), diameter=(150, 180), kind="seedlings", border=0.0))
        assert 1 <= scene.labels.max() <= 5


def test_a_stand_has_dozens_of_leaves_of_many_plants():
    scenes = [synthesize(s, SceneConfig(size=(256, 256), diameter=(50, 80), kind="stand", blank=0)) for s in range(4)]
    assert min(int(scene.labels.max()) for scene in scenes) > 30
    assert min(len(np.unique(scene.plants)) for scene in scenes) > 8


def test_straps_are_long_and_narrow():
    scene = synthesize(2, SceneConfig(size=(256, 256), diameter=(240, 250), kind="strap", border=0.0, blank=0.0))
    ratios = []
    for label in range(1, int(scene.labels.max()) + 1):
        points = np.argwhere(scene.labels == label)
        long, short = np.sqrt(np.linalg.eigvalsh(np.cov(points.T)))[::-1]
        ratios.append(long / short)
    assert np.median(ratios) > 4


def test_no_plants_of_a_kind_give_no_labels():
    for kind in KINDS:
        scene = synthesize(3, SceneConfig(size=(96, 96), plants=(0, 0), kind=kind, fluorescence=0.5, glare=1.0))
        assert not scene.labels.any()


def test_the_mixture_of_all_kinds_is_a_recipe():
    """The shares that a model for any plant is trained with; each scene draws."""
    data = DataConfig(scenes=MIXED)
    assert sum(item.share for item in data.scenes) == pytest.approx(1.0)
    assert {item.scene.kind for item in data.scenes} == {None, *KINDS}
    for seed, item in enumerate(data.scenes):
        config = item.scene.model_copy(update={"size": (128, 128), "diameter": (50, 120)})
        check(synthesize(seed, config), config)
