"""Targets, crops, configuration and the loop."""

import json

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_leafseg.errors import UserError
from napari_leafseg.models.checkpoint import load_checkpoint
from napari_leafseg.models.distance_embedding import DistanceEmbeddingNet
from napari_leafseg.models.normalise import standardise
from napari_leafseg.synthetic import SceneConfig
from napari_leafseg.training.augment import change_colours, expose_for_plants, random_crop, true_plants
from napari_leafseg.training.config import DataConfig, LossConfig, SceneShare, TrainingConfig, read_training_config
from napari_leafseg.training.data import ImagePool, draw_batch, drop_small
from napari_leafseg.training.loop import compute_losses, learning_rate, train
from napari_leafseg.training.targets import distance_target
from tests.conftest import REPOSITORY, discs

TINY = TrainingConfig(
    name="t",
    model="tiny",
    data=DataConfig(count=4, scenes=(SceneShare(share=1, scene=SceneConfig(size=(64, 64), diameter=(40, 60))),)),
    steps=6, batch=2, crop=48, warm_up=2, validate_every=3, validation_count=2, save_every=2, mixed_precision=False,
)  # fmt: skip


def drive(config, folder, until=None):
    events = []
    for event in train(config, folder):
        events.append(event)
        if until is not None and event.kind == "saved" and event.step >= until:
            break
    return events


def test_distance_target_is_one_in_the_middle_of_every_leaf_and_parts_touching_ones():
    labels = discs()
    labels[labels == 0] = 0
    target = distance_target(labels)
    for leaf in (1, 2, 3):
        assert target[labels == leaf].max() == pytest.approx(1)
    assert not target[labels == 0].any()
    two = np.zeros((20, 40), np.int32)
    two[5:15, 5:20], two[5:15, 20:35] = 1, 2
    assert target.dtype == np.float32
    parted = distance_target(two)
    assert parted[10, 19] < 0.3
    assert parted[10, 11] > 0.75


def test_a_plant_view_shows_the_whole_plant_at_the_size_that_prediction_aims_at(tmp_path):
    data = DataConfig(
        count=6,
        scenes=(SceneShare(share=1, scene=SceneConfig(size=(200, 200), diameter=(50, 150), blank=0, border=0)),),
    )
    config = TINY.model_copy(
        update={
            "data": data,
            "batch": 12,
            "crop": 96,
            "diameter": 70.0,
            "plant_views": 1.0,
            "plant_view_spread": 0.0,
            "elsewhere": 0.0,
        }
    )
    pool = ImagePool(tmp_path, data)
    assert list(pool.fill())[-1] == (6, 6)
    sizes = []
    for truth in draw_batch(pool, config, 0)["labels"].numpy():
        (plant,) = true_plants(truth)
        sizes.append(plant.size)
        assert min(plant.top, plant.left) > 0
        assert max(plant.bottom, plant.right) < 96
    assert np.median(sizes) == pytest.approx(70, abs=4)
    assert max(sizes) - min(sizes) < 20


def test_a_plant_view_is_exposed_for_dark_leaves_and_measured_around_the_plant():
    rng = np.random.default_rng(0)
    labels = np.zeros((96, 96), np.int32)
    labels[30:60, 30:60] = 1
    dark = np.full((96, 96, 3), 250, np.uint8)
    dark[25:65, 25:65] = 12
    dark[30:60, 30:60] = (20, 44, 15)
    exposed, statistics = expose_for_plants(rng, dark, labels, true_plants(labels))
    assert 170 < exposed[45, 45, 1] < 255
    contrast = [
        float(view[45, 45, 1] - view[27, 45, 1]) for view in (standardise(exposed, statistics), standardise(dark))
    ]
    assert contrast[0] > 1.0
    assert contrast[1] < 0.5


def test_distance_target_agrees_with_scipy():
    labels = discs()
    exact = np.zeros(labels.shape)
    for leaf in (1, 2, 3):
        inside = ndimage.distance_transform_edt(np.pad(labels == leaf, 1))[1:-1, 1:-1]
        exact += inside / inside.max()
    assert np.abs(distance_target(labels) - exact).max() < 0.12  # it leaves out one row of boundary pixels


def test_small_leaves_can_be_left_out():
    labels = discs()
    labels[:3, :3] = 4
    assert distance_target(labels)[:2, :2].any()
    assert not distance_target(labels, smallest=25)[:3, :3].any()
    assert drop_small(labels, 25).max() == 3


@pytest.mark.parametrize("seed", range(8))
def test_crops_keep_image_and_labels_together(seed):
    labels = discs(200, ((60, 60), (60, 140), (140, 100)), 30)
    image = np.repeat((labels * 60).astype(np.uint8)[..., None], 3, 2)
    piece, truth = random_crop(np.random.default_rng(seed), image, labels, 96, 0.6 + seed % 5 / 5)
    assert piece.shape == (96, 96, 3)
    assert truth.shape == (96, 96)
    assert np.mean(np.abs(piece[..., 0].astype(int) - truth * 60) <= 8) > 0.93


def test_colours_change_but_not_the_range():
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    results = [change_colours(np.random.default_rng(seed), image) for seed in range(20)]
    assert any(not np.array_equal(result, image) for result in results)
    assert all(result.min() >= 0 and result.max() <= 255 for result in results)


def test_rate_rises_stays_and_falls():
    config = TINY.model_copy(update={"steps": 100, "warm_up": 10, "decay": 0.5})
    rates = [learning_rate(config, step) for step in range(100)]
    assert rates[0] < rates[9] == rates[40]
    assert rates[40] > rates[75] > rates[99]
    assert rates[99] < 0.02 * rates[40]


def test_losses_train_both_networks_and_the_foreground():
    network = DistanceEmbeddingNet(TINY.network())
    labels = torch.from_numpy(np.stack([discs(48, ((14, 14), (14, 35), (36, 24)), 9)])).long()
    batch = {
        "image": torch.randn(1, 3, 48, 48),
        "labels": labels,
        "distance": torch.from_numpy(distance_target(labels[0].numpy()))[None, None],
    }
    losses = compute_losses(network, batch, LossConfig())
    assert set(losses) == {"distance", "within", "between", "foreground", "total"}
    losses["total"].backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [name for name in without if "bias" not in name] == []


def test_training_learns_a_few_images(tmp_path):
    config = TINY.model_copy(
        update={"steps": 60, "validation_count": 0, "save_every": 60, "plant_views": 0.0, "zoom": (1.0, 1.0)}
    )
    totals = [event.values["total"] for event in drive(config, tmp_path) if event.kind == "step"]
    assert np.mean(totals[-10:]) < 0.8 * np.mean(totals[:5])


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(tmp_path):
    whole = drive(TINY, tmp_path / "whole")
    drive(TINY, tmp_path / "parts", until=2)
    rest = drive(TINY, tmp_path / "parts")
    losses = {
        name: {event.step: event.values["total"] for event in events if event.kind == "step"}
        for name, events in (("whole", whole), ("rest", rest))
    }
    # the last bit of a sum differs from run to run, and a few steps multiply it
    for step, tolerance in ((3, 1e-3), (4, 3e-3), (5, 3e-2), (6, 3e-2)):
        assert losses["rest"][step] == pytest.approx(losses["whole"][step], rel=tolerance), step
    assert load_checkpoint(tmp_path / "parts" / "t.safetensors")[1].provenance["steps"] == 6
    optimiser = torch.load(tmp_path / "parts" / "state.pt", weights_only=True)["optimiser"]
    assert {float(kept["step"]) for kept in optimiser["state"].values()} == {6.0}  # its moments went on, too
    assert [event.step for event in rest if event.kind == "step"] == [3, 4, 5, 6]
    assert whole[-1].kind == rest[-1].kind == "finished"


def test_checkpoints_carry_configuration_metrics_and_provenance(tmp_path):
    drive(TINY, tmp_path)
    _, card = load_checkpoint(tmp_path / "t.safetensors")
    assert card.config == TINY.network()
    assert 0 <= card.metrics["sbd"] <= 1
    assert card.provenance["steps"] == 6
    assert card.provenance["training"]["data"]["seed"] == TINY.data.seed
    assert "torch" in card.provenance["software"]
    curves = [json.loads(line) for line in (tmp_path / "curves.jsonl").read_text().splitlines()]
    assert [line["step"] for line in curves if "total" in line] == [1, 2, 3, 4, 5, 6]


def test_another_models_run_is_not_overwritten(tmp_path):
    drive(TINY, tmp_path)
    other = TINY.model_copy(update={"model": "small"})
    with pytest.raises(UserError, match="another model"):
        drive(other, tmp_path)


def test_batches_depend_on_seed_and_step_only(tmp_path):
    pool = ImagePool(tmp_path, TINY.data)
    list(pool.fill())
    again = ImagePool(tmp_path, TINY.data)
    assert list(again.fill())[-1] == (4, 4)
    first, second = draw_batch(pool, TINY, 3), draw_batch(again, TINY, 3)
    assert all(torch.allclose(first[key], second[key], atol=1e-6) for key in first)
    assert not torch.equal(first["image"], draw_batch(pool, TINY, 4)["image"])


def test_own_pictures_join_in(tmp_path):
    config = DataConfig(count=2, scenes=TINY.data.scenes, folder=str(REPOSITORY / "sample_data"), folder_share=1.0)
    pool = ImagePool(tmp_path, config)
    list(pool.fill())
    shapes = {pool.draw(np.random.default_rng(seed))[0].shape for seed in range(12)}
    assert (128, 128, 3) in shapes


def test_configurations_are_read_and_mistakes_named(tmp_path):
    assert (
        read_training_config(REPOSITORY / "resources" / "training" / "leaf.yaml").network().kind == "distance_embedding"
    )
    path = tmp_path / "c.yaml"
    path.write_text("stesp: 3\nbatch: 0\n")
    with pytest.raises(UserError, match=r"stesp.*batch|batch.*stesp"):
        read_training_config(path)
    path.write_text("a: [")
    with pytest.raises(UserError, match="not a YAML"):
        read_training_config(path)
    with pytest.raises(UserError, match=r"none\.yaml"):
        read_training_config(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="no model size"):
        TrainingConfig(model="huge").network()
