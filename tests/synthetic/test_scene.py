"""Synthetic plants."""

import hashlib

import numpy as np
import pytest
from pydantic import ValidationError

from napari_leafseg._samples import write_samples
from napari_leafseg.io import read_image, read_labels
from napari_leafseg.synthetic import SceneConfig, growth_series, synthesize
from napari_leafseg.synthetic.background import KINDS
from napari_leafseg.synthetic.plant import GOLDEN_ANGLE, draw_plant
from tests.conftest import REPOSITORY

SMALL = SceneConfig(size=(128, 128), diameter=(70, 120), border=0.0, blank=0.0)


def test_same_seed_gives_the_same_scene_and_another_seed_another():
    first, again, other = synthesize(5, SMALL), synthesize(5, SMALL), synthesize(6, SMALL)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)
    assert not np.array_equal(first.labels, other.labels)


def test_labels_do_not_change_between_machines_and_versions():
    digest = hashlib.sha256(synthesize(11, SMALL).labels.tobytes()).hexdigest()[:16]
    assert digest == "6dae35b584be1502"


def test_sample_data_is_what_the_command_makes(tmp_path):
    steps = list(write_samples(tmp_path))
    assert steps[-1][0] == steps[-1][1]
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    kept = sorted(path.relative_to(REPOSITORY / "sample_data") for path in (REPOSITORY / "sample_data").rglob("*.*"))
    assert made == kept
    for name in made:
        if name.suffix == ".tif":
            assert np.array_equal(read_labels(tmp_path / name), read_labels(REPOSITORY / "sample_data" / name)), name
        else:
            new = read_image(tmp_path / name).array.astype(int)
            old = read_image(REPOSITORY / "sample_data" / name).array.astype(int)
            assert np.abs(new - old).max() <= 2, name


@pytest.mark.parametrize("seed", range(12))
def test_labels_are_consecutive_and_lie_on_plants(seed):
    config = SceneConfig(size=(160, 200), diameter=(60, 150), plants=(1, 3))
    scene = synthesize(seed, config)
    present = np.unique(scene.labels)
    assert np.array_equal(present, np.arange(present.max() + 1)) or present.min() > 0
    assert scene.image.shape == (160, 200, 3)
    assert scene.image.dtype == np.uint8
    assert np.all(scene.plants[scene.labels > 0] > 0)
    areas = np.bincount(scene.labels.ravel())[1:]
    assert areas.size == 0 or areas.min() >= config.smallest_leaf


def test_no_plants_gives_no_labels():
    scene = synthesize(3, SceneConfig(size=(96, 96), plants=(0, 0)))
    assert not scene.labels.any()
    assert scene.image.std() > 0


@pytest.mark.parametrize("diameter", [60, 1500])
def test_plants_of_60_and_of_1500_pixels(diameter):
    size = int(diameter * 1.2)
    config = SceneConfig(size=(size, size), diameter=(diameter, diameter), habit="rosette", border=0.0, blank=0.0)
    ys, xs = np.nonzero(synthesize(8, config).labels)
    extent = max(np.ptp(ys), np.ptp(xs))
    assert 0.55 * diameter < extent <= 1.1 * diameter


@pytest.mark.parametrize("kind", KINDS)
def test_every_background_is_drawn_without_coloring_labels(kind):
    scene = synthesize(2, SceneConfig(size=(96, 96), diameter=(50, 60), background=kind))
    assert scene.image.std() > 2


def test_leaves_under_others_are_hidden_by_them():
    """The drawing order is the occlusion order: no leaf keeps pixels that a later one covers."""
    scene = synthesize(4, SceneConfig(size=(200, 200), diameter=(180, 190), habit="rosette", border=0.0, camera=False))
    assert scene.labels.max() >= 3
    assert np.bincount(scene.labels.ravel())[1:].sum() == np.count_nonzero(scene.plants)


def test_habits_place_leaves_as_they_should():
    rosette = draw_plant(np.random.default_rng(0), "rosette", leaves=8)
    turns = np.diff([leaf.azimuth for leaf in rosette.leaves])
    assert np.allclose(np.abs(turns), GOLDEN_ANGLE, atol=1.0)
    pairs = draw_plant(np.random.default_rng(0), "opposite", leaves=6).leaves
    assert abs(abs(pairs[1].azimuth - pairs[0].azimuth) - np.pi) < 1.0
    compound = draw_plant(np.random.default_rng(3), "compound", leaves=6)
    assert len(compound.leaves) > 6


def test_a_plant_grows():
    series = growth_series(102, 5, SceneConfig(size=(200, 200), diameter=(170, 180), background="soil"))
    areas = [np.count_nonzero(scene.labels) for scene in series]
    counts = [int(scene.labels.max()) for scene in series]
    assert areas == sorted(areas)
    assert areas[-1] > 3 * areas[0]
    assert counts[-1] > counts[0]


def test_unknown_entries_are_refused():
    with pytest.raises(ValidationError, match="backgruond"):
        SceneConfig(backgruond="soil")
