"""Predictions of query-based models: masks in, leaves out for any values, tiles, views, exports."""

import json

import numpy as np
import pytest
import torch
from pycocotools import mask as run_length
from scipy.ndimage import gaussian_filter

from napari_leafseg import load_model
from napari_leafseg.errors import UserError
from napari_leafseg.inference.confidence import leaf_confidence
from napari_leafseg.inference.parameter_search import image_values, model_values, search_parameters
from napari_leafseg.inference.prediction import ModelInfo, StackPrediction
from napari_leafseg.inference.predictor import Predictor
from napari_leafseg.inference.prompts import PredictionModel
from napari_leafseg.inference.query_prediction import MaskRegion, MaskSet, QueryPrediction
from napari_leafseg.inference.query_runner import QueryRunner
from napari_leafseg.inference.tta import TestTimeAugmentation
from napari_leafseg.io.exchange.coco import masks_path, save_coco
from napari_leafseg.metrics import average_precision, score
from napari_leafseg.models.query.base import Candidates, QueryModel
from napari_leafseg.models.query.config import QUERY_SIZES
from napari_leafseg.models.store.model_card import ModelCard
from napari_leafseg.postprocessing.masks import cut_mask
from tests.conftest import discs

INFO = ModelInfo("m", "1", {"score_threshold": 0.3, "min_area_working": 4})


def prediction_of(planes, scores, stride=2, shape=None):
    """What a model says of an image at its own size: `planes` are probabilities at the masks' stride."""
    masks = [
        cut_mask(score, np.round(255 * plane).astype(np.uint8)) for score, plane in zip(scores, planes, strict=True)
    ]
    working = (planes[0].shape[0] * stride, planes[0].shape[1] * stride)
    shape = shape or working
    region = MaskRegion(slice(0, shape[0]), slice(0, shape[1]), MaskSet(working, stride, masks))
    return QueryPrediction(shape, working[0] / shape[0], [region], INFO, source={"name": "p.png"})


def planes_of(labels, stride=2):
    small = labels[::stride, ::stride]
    return [(small == leaf).astype(float) for leaf in np.unique(labels) if leaf]


def test_clear_masks_are_the_leaves():
    truth = discs()
    prediction = prediction_of(planes_of(truth), [0.9, 0.8, 0.7])
    assert score(prediction.labels(), truth).sbd > 0.96
    assert prediction.labels(score_threshold=0.75).max() == 2
    assert prediction.labels(score_threshold=0.95).max() == 0
    assert prediction.labels(min_area=2000).max() == 0
    with pytest.raises(UserError, match="no parameter “angle”"):
        prediction.labels(angle=30)
    with pytest.raises(UserError, match="Score threshold must lie between"):
        prediction.labels(score_threshold=1.5)


def test_a_pixel_goes_to_the_mask_that_is_surest_of_it_and_covered_masks_go():
    left, right = np.zeros((40, 40)), np.zeros((40, 40))
    left[10:30, 5:25], right[10:30, 15:35] = 0.9, 0.6
    prediction = prediction_of([left, right], [0.8, 0.8])
    labels = prediction.labels(overlap=0.0)
    assert labels[40, 20] == labels[40, 40] == 1
    assert labels[40, 60] == 2
    inner = np.zeros((40, 40))
    inner[12:28, 7:23] = 0.5
    covered = prediction_of([left, inner], [0.8, 0.7])
    assert covered.labels(overlap=0.0).max() == 1


def test_doubles_are_suppressed_as_strongly_as_asked():
    plane = planes_of(discs())[0]
    shifted = np.roll(plane, 2, 0)
    prediction = prediction_of([plane, shifted], [0.9, 0.8])
    region = prediction.regions[0]
    values = prediction.defaults()
    assert len(region.chosen({**values, "overlap": 0.0})) == 2
    assert len(region.chosen({**values, "overlap": 4.0})) == 1


def test_lower_mask_thresholds_give_larger_leaves():
    yy, xx = np.mgrid[:60, :60]
    cone = np.clip(1 - np.hypot(yy - 30, xx - 30) / 25, 0, 1)
    prediction = prediction_of([cone], [0.9])
    areas = [int((prediction.labels(mask_threshold=value) > 0).sum()) for value in (0.2, 0.4, 0.6, 0.8)]
    assert areas == sorted(areas, reverse=True)
    wanted = np.pi * (2 * 25 * (1 - 0.4)) ** 2
    assert areas[1] == pytest.approx(wanted, rel=0.03)


@pytest.mark.parametrize("shape", [(240, 240), (90, 90), (121, 133)])
def test_masks_are_enlarged_to_where_they_belong(shape):
    truth = discs()
    prediction = prediction_of(planes_of(truth), [0.9, 0.8, 0.7], shape=shape)
    rows = np.minimum(((np.arange(shape[0]) + 0.5) * 120 / shape[0]).astype(int), 119)
    columns = np.minimum(((np.arange(shape[1]) + 0.5) * 120 / shape[1]).astype(int), 119)
    assert score(prediction.labels(), truth[rows[:, None], columns]).sbd > 0.95


def test_full_masks_overlap_and_reach_coco_whole(tmp_path):
    left, right = np.zeros((40, 40)), np.zeros((40, 40))
    left[10:30, 5:25], right[10:30, 15:35] = 1.0, 1.0
    prediction = prediction_of([left, right], [0.9, 0.7])
    masks = prediction.full_masks(overlap=0.0)
    assert [round(item[0], 2) for item in masks] == [0.9, 0.7]
    target = masks_path(tmp_path / "plant_label.tif")
    assert target.name == "plant_masks.json"
    save_coco(target, prediction.coco(overlap=0.0))
    content = json.loads(target.read_text())
    planes = [run_length.decode(item["segmentation"]) for item in content["annotations"]]
    assert [item["score"] for item in content["annotations"]] == [0.9, 0.7]
    assert (planes[0] & planes[1]).sum() == pytest.approx(10 * 20 * 4, rel=0.1)
    assert content["images"] == [{"id": 1, "file_name": "p.png", "height": 80, "width": 80}]


def test_confidence_is_high_where_a_mask_agrees():
    truth = discs()
    prediction = prediction_of(planes_of(truth), [0.9, 0.8, 0.7])
    labels = prediction.labels()
    assert list(leaf_confidence(prediction, labels).values()) == pytest.approx([0.9, 0.8, 0.7], abs=0.05)
    wrong = np.zeros_like(labels)
    wrong[:40, 50:70] = 1
    assert leaf_confidence(prediction, wrong)[1] < 0.2


def test_a_click_gives_the_best_mask_there_and_ridges_lie_between_leaves():
    truth = discs(centers=((60, 40), (60, 76)))
    prediction = prediction_of([gaussian_filter(plane, 1.5) for plane in planes_of(truth)], [0.9, 0.8])
    model = PredictionModel(prediction)
    growth = model.growth(np.array([[60.0, 40.0]]))
    mask, box = growth.mask(40)
    full = np.zeros(truth.shape, bool)
    full[box] = mask
    assert (full & (truth == 1)).sum() / (full | (truth == 1)).sum() > 0.9
    sizes = [growth.mask(angle)[0].sum() for angle in (10, 40, 70)]
    assert sizes == sorted(sizes)
    assert model.growth(np.array([[5.0, 5.0]])) is None
    ridges = model.elevation((slice(40, 80), slice(20, 100)))
    assert ridges[20, 30:42].max() > ridges[20, 20] + 0.5  # between the leaves, and within one


def test_the_search_finds_the_values_that_score_best():
    truth = discs()
    noise = np.zeros((60, 60))
    noise[40:56, 2:18] = 1
    prediction = prediction_of([*planes_of(truth), noise], [0.9, 0.8, 0.7, 0.5])
    search = list(search_parameters([prediction], [truth], smallest=(0.0, 16.0)))[-1].search
    assert (search.row.name, search.column.name) == ("score_threshold", "overlap")
    assert 0.5 < search.best["score_threshold"] <= 0.7
    assert search.best_sbd > search.current_sbd
    assert "score threshold 0." in search.describe(search.best)
    values = model_values(prediction, score_threshold=0.4)
    assert image_values(values, prediction)["mask_threshold"] == 0.5
    exact = score(prediction.labels(score_threshold=search.rows[0], overlap=search.columns[2], min_area=0), truth).sbd
    assert search.sbd[0, 2, 0] == pytest.approx(exact, abs=0.02)


class Bright(QueryModel):
    """Says that each bright spot of the image is a leaf; knows nothing else."""

    def __init__(self, limit=10**9):
        torch.nn.Module.__init__(self)
        self.config = QUERY_SIZES["solov2"]
        self.limit, self.seen = limit, []

    stride, mask_stride = 16, 2

    def candidates(self, images):
        import cv2

        if images.shape[-1] > self.limit:
            raise torch.OutOfMemoryError("too large")
        self.seen.append(tuple(images.shape[-2:]))
        found = []
        for image in images:
            small = (image[0, ::2, ::2] > 0.5).numpy().astype(np.uint8)
            count, pieces = cv2.connectedComponents(small)
            masks = [torch.from_numpy((pieces == number).astype(np.float32)) for number in range(1, count)]
            scores = torch.linspace(0.9, 0.6, len(masks)) if masks else torch.zeros(0)
            found.append(Candidates(scores, torch.stack(masks) if masks else torch.zeros(0, *small.shape)))
        return found


def spots(size=700):
    centers = [(y, x) for y in range(40, size - 20, 70) for x in range(40, size - 20, 70)]
    return discs(size, tuple(centers), 18)


def test_tiles_find_every_leaf_once():
    truth = spots()
    image = np.where(truth > 0, 255, 0).astype(np.uint8)[..., None].repeat(3, 2)
    network = Bright()
    tiled = QueryRunner(network, torch.device("cpu"), print)
    found = tiled.maps(image, (100.0, 100.0))
    assert len(network.seen) > 1
    assert max(max(shape) for shape in network.seen) <= 512
    region = tiled.build_region(slice(0, 700), slice(0, 700), [found], None)
    labels = region.labels({"score_threshold": 0.1, "mask_threshold": 0.5, "overlap": 0.0, "min_area": 0})
    assert labels.max() == truth.max()
    assert score(labels, truth).sbd > 0.95


def test_short_memory_means_smaller_tiles_and_is_said():
    said = []
    tiled = QueryRunner(Bright(limit=300), torch.device("cpu"), said.append)
    image = np.where(spots(500) > 0, 255, 0).astype(np.uint8)[..., None].repeat(3, 2)
    found = tiled.maps(image, (100.0, 100.0))
    assert len(found.masks) == spots(500).max()
    assert "ran out of memory; going on in tiles of 256 pixels" in said[0]


def test_views_and_sizes_add_masks_where_they_belong():
    truth = spots(200)
    image = np.where(truth > 0, 255, 0).astype(np.uint8)[..., None].repeat(3, 2)
    tiled = QueryRunner(Bright(), torch.device("cpu"), print, views=8)
    found = tiled.maps(image, (100.0, 100.0))
    assert len(found.masks) == 8 * truth.max()
    larger = tiled.maps(np.kron(image, np.ones((2, 2, 1), np.uint8)), (100.0, 100.0))
    region = tiled.build_region(slice(0, 200), slice(0, 200), [found, larger], None)
    values = {"score_threshold": 0.1, "mask_threshold": 0.5, "overlap": 10.0, "min_area": 0}
    assert region.labels(values).max() == truth.max()
    assert score(region.labels(values), truth).sbd > 0.9


def test_the_search_goes_by_masks_where_the_backbone_knows_no_distance_map():
    network = Bright()
    network.backbone = torch.nn.Module()
    network.backbone.plants = lambda images: None
    truth = np.zeros((400, 400), int)
    truth[150:250, 180:260] = 1
    image = np.where(truth > 0, 255, 60).astype(np.uint8)[..., None].repeat(3, 2)
    prediction = Predictor(network, ModelCard("bright", "1", network.config, target_diameter=100.0), "cpu").predict(
        image
    )
    (region,) = prediction.regions
    assert region.rows.start < 150 < 250 < region.rows.stop
    assert region.rows.start > 60
    assert score(prediction.labels(score_threshold=0.1), truth).sbd > 0.9


@pytest.mark.parametrize("name", ["condinst", "solov2", "sotr", "mask2former"])
def test_the_bundled_models_segment_a_plant_live_and_repeatably(name, scene):
    predictor = load_model(name, "cpu")
    prediction = predictor.predict(scene.image)
    assert score(prediction.labels(), scene.labels).sbd > 0.6
    assert np.array_equal(prediction.labels(), predictor.predict(scene.image).labels())
    assert {tunable.name for tunable in prediction.tunables} == {
        "score_threshold", "mask_threshold", "overlap", "min_area"
    }  # fmt: skip
    masks = prediction.full_masks(score_threshold=0.05, min_area=0)
    assert average_precision([(scene.labels, masks)]).ap50 > 0.4
    record = prediction.record(score_threshold=0.4)
    assert record["parameters"]["score_threshold"] == 0.4
    assert record["model"]["name"] == name
    confidence = prediction.confidence()
    assert confidence.shape == scene.labels.shape
    assert confidence[scene.labels > 0].mean() > 3 * confidence[scene.labels == 0].mean()


def test_series_and_looks(scene):
    predictor = load_model("solov2", "cpu", TestTimeAugmentation(views=2))
    stack = predictor.predict(np.stack([scene.image[:128, :128], scene.image[64:192, 64:192]]))
    assert isinstance(stack, StackPrediction)
    assert stack.layers == ("confidence",)
    assert stack.labels(score_threshold=0.2).shape == (2, 128, 128)
    assert stack.record()["tta"] == {"views": 2, "scales": [1.0]}


def test_a_box_gives_the_mask_that_fills_it_and_a_click_that_is_not_in_the_leaf_rules_masks_out():
    truth = discs(centers=((60, 40), (60, 76)))
    both = gaussian_filter((truth[::2, ::2] > 0).astype(float), 1.5)
    prediction = prediction_of([both, *(gaussian_filter(plane, 1.5) for plane in planes_of(truth))], [0.95, 0.8, 0.7])
    model = PredictionModel(prediction)

    def grown(growth):
        full = np.zeros(truth.shape, bool)
        mask, box = growth.mask(40)
        full[box] = mask
        return full

    def iou(mask, wanted):
        return (mask & wanted).sum() / (mask | wanted).sum()

    click, other = np.array([[60.0, 40.0]]), np.array([[60.0, 80.0]])
    assert iou(grown(model.growth(click)), truth > 0) > 0.9
    assert iou(grown(model.growth(click, other)), truth == 1) > 0.9
    for leaf in (1, 2):
        rows, columns = np.flatnonzero((truth == leaf).any(1)), np.flatnonzero((truth == leaf).any(0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        assert iou(grown(model.growth_in(box, 40)), truth == leaf) > 0.9
    assert model.growth_in((slice(0, 9), slice(100, 109)), 40) is None
