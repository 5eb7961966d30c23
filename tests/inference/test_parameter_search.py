"""The parameter search: what it scores, and what it suggests."""

import numpy as np
import pytest

from napari_leafseg.errors import UserError
from napari_leafseg.inference.dense_output import DenseOutput
from napari_leafseg.inference.leaf_prediction import LeafPrediction, PixelRegion
from napari_leafseg.inference.parameter_search import image_values, model_values, search_parameters
from napari_leafseg.inference.prediction import ModelInfo
from napari_leafseg.metrics import score
from napari_leafseg.postprocessing import quantize
from napari_leafseg.training.targets import distance_target
from tests.conftest import discs

INFO = ModelInfo("m", "1", {"seed_threshold": 0.45, "angle": 45, "min_area_working": 16})


def prediction_of(labels, noise=0.0, scale=1.0, corner=(0, 0), shape=None, seed=0):
    """What a network says of an image whose part at `corner` holds these leaves."""
    rng = np.random.default_rng(seed)
    table = np.concatenate([np.zeros((1, 8)), np.linalg.qr(rng.normal(size=(8, 8)))[0]])
    embedding = table[labels % 9].transpose(2, 0, 1) + noise * rng.normal(size=(8, *labels.shape))
    embedding /= np.maximum(np.linalg.norm(embedding, axis=0), 1e-6)
    distance = (200 * distance_target(labels)).astype(np.uint8)
    maps = DenseOutput(distance, (labels > 0).astype(np.uint8) * 255, quantize(embedding))
    size = [round(length / scale) for length in labels.shape]
    place = [slice(start, start + length) for start, length in zip(corner, size, strict=True)]
    return LeafPrediction(
        shape or tuple(size), scale, [PixelRegion(place[0], place[1], maps)], INFO, source={"name": "p"}
    )


def swept(*arguments, **options):
    events = list(search_parameters(*arguments, **options))
    assert all(event.search is None for event in events[:-1])
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert events[-1].done == events[-1].total
    return events[-1].search


def test_the_grid_holds_the_scores_of_the_labels_themselves():
    truth = discs()
    predictions = [prediction_of(truth, noise=0.25, seed=seed) for seed in range(2)]
    search = swept(predictions, [truth, truth], rows=(0.3, 0.6, 0.9), columns=(10, 30, 60), smallest=(0, 30))
    assert search.images == 2
    assert search.leaves == 2 * len(np.unique(truth[truth > 0]))
    for row, threshold in enumerate(search.rows):
        for column, angle in enumerate(search.columns):
            results = [
                score(item.labels(seed_threshold=threshold, angle=angle, min_area=0), truth) for item in predictions
            ]
            assert search.sbd[row, column, 0] == pytest.approx(np.mean([item.sbd for item in results]), abs=1e-9)
            assert search.abs_dic[row, column, 0] == np.mean([item.abs_dic for item in results])
    assert np.ptp(search.sbd[:, :, 0]) > 0.1
    current = [item.labels(seed_threshold=0.45, angle=45, min_area=16) for item in predictions]
    assert search.current_sbd == pytest.approx(np.mean([score(item, truth).sbd for item in current]))


def test_it_suggests_wider_angles_for_a_noisy_embedding_and_keeps_values_that_cannot_be_bettered():
    truth = discs()
    noisy = swept(
        [prediction_of(truth, noise=0.3)], [truth], {"seed_threshold": 0.45, "angle": 10, "min_area_working": 16}
    )
    assert noisy.best["angle"] > 30
    assert noisy.best_sbd > noisy.current_sbd + 0.1
    assert noisy.gains == (pytest.approx(noisy.best_sbd - noisy.current_sbd),)
    perfect = swept([prediction_of(truth)], [truth])
    assert perfect.current_sbd == pytest.approx(1, abs=0.02)
    assert perfect.best == perfect.current


def test_its_values_tell_everything_that_it_was_made_with():
    truth = discs()
    search = swept([prediction_of(truth, noise=0.3)], [truth], {"angle": 10, "min_confidence": 0.02})
    assert search.fixed == {"min_confidence": 0.02}
    assert search.best_sbd > search.current_sbd
    assert search.best["min_confidence"] == 0.02


def test_small_leaves_are_taken_out_as_the_labels_do_it():
    truth = np.zeros((60, 60), np.int32)
    truth[5:35, 5:30], truth[5:30, 35:55], truth[45:53, 20:28] = 1, 2, 3
    wanted = np.where(truth == 3, 0, truth)
    options = {"smallest": (0.0, 65.0), "columns": (45,), "rows": (0.4,)}
    search = swept([prediction_of(truth)], [wanted], **options)
    assert search.abs_dic[0, 0].tolist() == [1, 0]
    assert search.best_index == (0, 0, 1)


def test_a_image_at_another_scale_with_leaves_outside_the_predicted_part():
    working = discs()
    big = np.kron(working, np.ones((2, 2), np.int64)).astype(np.int32)
    truth = np.zeros((big.shape[0] + 50, big.shape[1] + 10), np.int32)
    truth[50:, 10:] = big
    truth[5:25, 5:25] = 99  # no region sees this leaf
    prediction = prediction_of(working, scale=0.5, corner=(50, 10), shape=truth.shape)
    search = swept([prediction], [truth], columns=(45,), rows=(0.45,), smallest=(0,))
    exact = score(prediction.labels(seed_threshold=0.45, angle=45, min_area=0), truth)
    assert exact.dic == -1
    assert search.abs_dic[0, 0, 0] == 1
    assert search.sbd[0, 0, 0] == pytest.approx(exact.sbd, abs=0.02)
    values = {"seed_threshold": 0.5, "angle": 40.0, "min_area_working": 12.0}
    assert image_values(values, prediction)["min_area"] == 48
    assert model_values(prediction, seed_threshold=0.5, angle=40.0, min_area=48) == {
        **values, "grouping": 0.0, "min_confidence": 0.0
    }  # fmt: skip


def test_without_leaves_or_with_the_wrong_labels_it_says_what_to_do():
    truth = discs()
    prediction = prediction_of(truth)
    with pytest.raises(UserError, match="mark it as reviewed"):
        next(search_parameters([prediction], [np.zeros_like(truth)]))
    with pytest.raises(UserError, match="labels of p are"):
        next(search_parameters([prediction], [truth[:-1]]))
