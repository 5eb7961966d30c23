from dataclasses import replace

import numpy as np
import pytest

from napari_leafseg import load_model
from napari_leafseg.inference.calibration import calibrate, calibration_error, fit_calibration, reliability
from napari_leafseg.inference.confidence import leaf_confidence, raw_confidence
from napari_leafseg.models.store.checkpoint import load_checkpoint, save_checkpoint
from napari_leafseg.models.store.model_card import read_card
from napari_leafseg.models.store.zoo import find_model
from napari_leafseg.synthetic import synthesize


def overconfident(count=4000):
    """Leaves that say 0.9 and are right in half of the cases, and so on: the chance is the square."""
    rng = np.random.default_rng(3)
    raw = rng.uniform(0.02, 0.98, count)
    return raw, rng.random(count) < raw**2


def test_fitted_curve_tells_the_chance():
    raw, right = overconfident()
    curve = fit_calibration(raw, right)
    fixed = np.array([calibrate(value, curve) for value in raw])
    assert calibration_error(raw, right) > 0.1
    assert calibration_error(fixed, right) < 0.04
    assert (np.diff(fixed[np.argsort(raw)]) >= 0).all()


def test_what_is_right_at_random_gets_one_confidence():
    rng = np.random.default_rng(0)
    curve = fit_calibration(rng.uniform(0, 1, 3000), rng.random(3000) < 0.3)
    assert calibrate(0.9, curve) == pytest.approx(0.3, abs=0.06)
    assert calibrate(0.1, curve) == pytest.approx(0.3, abs=0.06)


def test_unknown_leaf_stays_unknown():
    assert calibrate(0.0, (1.0, 5.0)) == 0
    assert calibrate(0.4, None) == 0.4


def test_reliability_counts_every_leaf_once():
    raw, right = overconfident(500)
    found = reliability(np.append(raw, 1.0), np.append(right, True))
    assert sum(item.leaves for item in found) == 501
    assert sum(item.leaves * item.right for item in found) == pytest.approx(right.sum() + 1)


def test_card_keeps_the_curve_and_the_prediction_uses_it(tmp_path):
    network, card = load_checkpoint(find_model("leaf"))
    path = tmp_path / "sure.safetensors"
    save_checkpoint(path, network, replace(card, calibration=(0.5, 1.25)))
    assert read_card(path).calibration == (0.5, 1.25)
    prediction = load_model(path, device="cpu").predict(synthesize(11).image)
    labels = prediction.labels()
    raw, sure = raw_confidence(prediction, labels), leaf_confidence(prediction, labels)
    assert labels.max() > 1
    assert sure == {leaf: calibrate(value, (0.5, 1.25)) for leaf, value in raw.items()}
    assert sure != raw
