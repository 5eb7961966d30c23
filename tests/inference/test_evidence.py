"""What the maps tell of a leaf, how it is weighed into a confidence, and leaves of low confidence that are left out."""

import io
import json
import math
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from napari_leafseg._opencv import cv2
from napari_leafseg.inference.calibration import FOUND, RIGHT, fit_confidence
from napari_leafseg.inference.confidence import leaf_confidence
from napari_leafseg.inference.dense_output import DISTANCE_ONE, DenseOutput
from napari_leafseg.inference.evidence import leaf_evidence
from napari_leafseg.inference.kept_prediction import pack_prediction, unpack_prediction
from napari_leafseg.inference.leaf_prediction import BEST_SEED, PUBLISHED, WATERSHED, LeafPrediction, PixelRegion
from napari_leafseg.inference.prediction import ModelInfo
from napari_leafseg.models.confidence import ConfidenceWeights

BY_FOREGROUND = ConfidenceWeights(offset=0.0, evidence={"foreground": (0.75, 0.05, 2.0)})


@pytest.fixture
def maps():
    """Three leaves: two that touch, and a flat one at some distance of which the network is unsure."""
    y, x = np.mgrid[:80, :140].astype(float)
    distance, foreground = np.zeros((80, 140)), np.zeros((80, 140), np.uint8)
    embedding = np.zeros((2, 80, 140), np.int8)
    embedding[0] = 127
    for cx, radius, height, sure, direction in (
        (25, 20, 1, 250, (127, 0)),
        (62, 20, 1, 240, (0, 127)),
        (115, 12, 0.6, 150, (127, 0)),
    ):
        mask = (np.hypot(y - 40, x - cx) < radius) & (foreground == 0)
        distance[mask] = height * (1 - np.hypot(y - 40, x - cx) / (radius + 1))[mask]
        foreground[mask] = sure
        embedding[:, mask] = np.array(direction, np.int8)[:, None]
    return DenseOutput(np.round(distance * DISTANCE_ONE).astype(np.uint8), foreground, embedding)


def predict(maps, weights=BY_FOREGROUND, **defaults):
    info = ModelInfo("m", "1", defaults, kind="distance_embedding", confidence=weights)
    height, width = maps.distance.shape
    return LeafPrediction((height, width), 1.0, [PixelRegion(slice(0, height), slice(0, width), maps)], info)


def plain_evidence(labels, maps, leaf):
    """The same, leaf by leaf and pixel by pixel."""
    smooth = cv2.GaussianBlur(maps.distance.astype(np.float32), (0, 0), 1.0) / DISTANCE_ONE
    inside = np.argwhere(labels == leaf)
    area = len(inside)
    spread = np.cov(inside.T, bias=True) + np.eye(2) / 12
    squares = np.linalg.eigvalsh(spread)
    around, low = [], []
    for y, x in inside:
        for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            place = y + down, x + right
            if 0 <= place[0] < labels.shape[0] and 0 <= place[1] < labels.shape[1] and labels[place] != leaf:
                around.append(place)
                if labels[place]:
                    low.append(min(smooth[y, x], smooth[place]))
    top = max(smooth[tuple(place)] for place in inside)
    return {
        "log_share": math.log(area / max(np.bincount(labels.ravel())[1:])),
        "height": top,
        "plateau": np.mean([smooth[tuple(place)] for place in inside]) / top,
        "foreground": np.mean([maps.foreground[tuple(place)] for place in inside]) / 255,
        "compactness": area / (4 * math.pi * math.sqrt(np.prod(squares))),
        "elongation": math.log(squares[1] / squares[0]),
        "passes": np.mean(low) / top if low else 0.0,
        "outline": len(around) / math.sqrt(area),
    }


def test_evidence_is_that_of_a_loop_over_pixels(maps):
    labels = predict(maps).labels(grouping=WATERSHED, seed_threshold=0.3)
    assert labels.max() == 3
    found = leaf_evidence(labels, maps.distance, maps.foreground)
    for leaf in (1, 2, 3):
        wanted = plain_evidence(labels, maps, leaf)
        assert set(wanted) == set(found)
        for name, value in wanted.items():
            assert found[name][leaf - 1] == pytest.approx(value, rel=1e-5, abs=1e-5), name


def test_evidence_of_nothing_is_nothing(maps):
    assert {len(value) for value in leaf_evidence(maps.distance * 0, maps.distance, maps.foreground).values()} == {0}


@pytest.mark.parametrize("grouping", [BEST_SEED, WATERSHED])
def test_leaves_of_low_confidence_are_left_out_and_their_seeds_with_them(maps, grouping):
    prediction = predict(maps, grouping=grouping, seed_threshold=0.3)
    every, sure = prediction.labels(), prediction.labels(min_confidence=0.5)
    confidence = leaf_confidence(prediction, every)
    assert every.max() == 3
    low = [leaf for leaf, value in confidence.items() if value < 0.5]
    assert [every[40, 115]] == low
    assert set(np.unique(sure)) == {0, 1, 2}
    assert np.array_equal(sure > 0, (every > 0) & (every != low[0]))
    assert len(prediction.seeds()) == 3
    kept = predict(maps, grouping=grouping, seed_threshold=0.3, min_confidence=0.5)
    assert np.array_equal(kept.labels(), sure)
    assert kept.seeds().round().tolist() == [seed for seed in prediction.seeds().round().tolist() if seed[1] < 100]


def test_who_sets_a_seed_gets_its_leaf(maps):
    prediction = predict(maps, grouping=WATERSHED, min_confidence=0.5)
    assert prediction.labels()[40, 115] == 0
    assert prediction.labels_of_seeds(np.array([[40.0, 115.0]]))[40, 115] > 0


def test_the_published_grouping_keeps_its_leaves(maps):
    prediction = predict(maps, grouping=PUBLISHED, seed_threshold=0.3)
    assert np.array_equal(prediction.labels(min_confidence=0.95), prediction.labels())
    assert prediction.labels().any()


def test_without_weights_the_raw_confidence_counts(maps):
    prediction = predict(maps, None, grouping=WATERSHED, seed_threshold=0.3)
    confidence = leaf_confidence(prediction, prediction.labels())
    least = (min(confidence.values()) + sorted(confidence.values())[1]) / 2
    assert prediction.labels(min_confidence=least).max() == 2
    curved = predict(maps, None, grouping=WATERSHED, seed_threshold=0.3)
    curved.regions[0].model = replace(curved.model, calibration=(1.0, 8.0))
    assert curved.labels(min_confidence=least).max() == 3, "the curve says that all are right"


def test_a_sliver_in_another_region_does_not_make_a_leaf_doubtful(maps):
    whole = predict(maps, grouping=WATERSHED, seed_threshold=0.3)
    labels = whole.labels()
    blank = DenseOutput(*(np.zeros_like(plane[..., :20]) for plane in maps))
    beside = PixelRegion(slice(0, 80), slice(0, 20), blank)
    both = LeafPrediction((80, 140), 1.0, [*whole.regions, beside], whole.model)
    assert (labels[:, :20] > 0).any()
    assert leaf_confidence(both, labels) == leaf_confidence(whole, labels)


def test_a_kept_prediction_weighs_as_before(maps):
    prediction = predict(maps, grouping=WATERSHED, seed_threshold=0.3, min_confidence=0.5)
    again = unpack_prediction(pack_prediction(prediction))
    assert again.model == prediction.model
    assert np.array_equal(again.labels(), prediction.labels())
    assert leaf_confidence(again, again.labels()) == leaf_confidence(prediction, prediction.labels())


def test_versions_that_know_no_weights_say_that_a_kept_prediction_is_newer(maps):
    for weights, number in ((BY_FOREGROUND, 2), (None, 1)):
        with zipfile.ZipFile(io.BytesIO(pack_prediction(predict(maps, weights)))) as archive:
            header = json.loads(archive.read("header.json"))
        assert header["format"] == number
        assert ("confidence" in header["model"]) == (weights is not None)


def test_the_fit_finds_what_tells_right_leaves_from_others():
    rng = np.random.default_rng(0)
    evidence = {"height": rng.normal(0.7, 0.1, 6000), "outline": rng.normal(6, 2, 6000)}
    odds = 1.0 + 1.5 * (evidence["height"] - 0.7) / 0.1
    noise = rng.logistic(size=6000)
    dice = np.where(odds + noise > 0, 0.9, np.where(odds + noise > -1.2, 0.6, 0.1))
    weights, behind = fit_confidence(evidence, dice)
    assert weights.evidence["height"][2] == pytest.approx(1.5, abs=0.25)  # shrunk a little
    assert abs(weights.evidence["outline"][2]) < 0.1
    assert behind == pytest.approx(1.2, abs=0.2)
    chance = weights.chance(evidence)
    for low, high in ((0, 0.2), (0.4, 0.6), (0.8, 1)):
        group = (chance >= low) & (chance < high)
        assert (dice[group] > RIGHT).mean() == pytest.approx(chance[group].mean(), abs=0.07)
    assert FOUND < RIGHT


def test_evidence_far_beyond_the_fit_counts_no_more():
    far, farther = (BY_FOREGROUND.chance({"height": np.zeros(1), "foreground": np.array([v])}) for v in (0.95, 5.0))
    assert far == farther
