"""Targets, crops, configuration and the loop."""

import json
from contextlib import closing

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_leafseg.errors import UserError
from napari_leafseg.inference import device as devices
from napari_leafseg.inference.predictor import Predictor
from napari_leafseg.io import write_image, write_labels
from napari_leafseg.models.distance_embedding.config import SIZES
from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingNet
from napari_leafseg.models.normalize import standardize
from napari_leafseg.models.store.checkpoint import load_checkpoint
from napari_leafseg.synthetic import SceneConfig
from napari_leafseg.training import loop
from napari_leafseg.training.augment import change_colors, expose_for_plants, random_crop, true_plants
from napari_leafseg.training.config import LossConfig, TrainingConfig, read_training_config
from napari_leafseg.training.data import SyntheticDataset, draw_batch, drop_small
from napari_leafseg.training.data_config import DataConfig, SceneShare
from napari_leafseg.training.loop import learning_rate, train
from napari_leafseg.training.losses import compute_losses
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
            "target_diameter": 70.0,
            "plant_views": 1.0,
            "plant_view_spread": 0.0,
            "elsewhere": 0.0,
        }
    )
    pool = SyntheticDataset(tmp_path, data)
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
        float(view[45, 45, 1] - view[27, 45, 1]) for view in (standardize(exposed, statistics), standardize(dark))
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


def test_colors_change_but_not_the_range():
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    results = [change_colors(np.random.default_rng(seed), image) for seed in range(20)]
    assert any(not np.array_equal(result, image) for result in results)
    assert all(result.min() >= 0 and result.max() <= 255 for result in results)


def test_color_mixing_keeps_gray_gray_and_grays_some():
    gray = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, 2).repeat(2, 1)
    colored = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    for seed in range(40):
        result = change_colors(np.random.default_rng(seed), gray).astype(int)
        assert (np.diff(result, axis=0) >= 0).all()  # brighter stays brighter
    grayed = [change_colors(np.random.default_rng(seed), colored) for seed in range(200)]
    assert 2 <= sum(bool((np.ptp(result.astype(int), axis=2) == 0).all()) for result in grayed) <= 16


@pytest.mark.parametrize("fast", [True, False])
def test_training_is_in_bfloat16_only_where_that_is_fast(monkeypatch, tmp_path, fast):
    monkeypatch.setattr(devices, "fast_bfloat16", lambda: fast)
    seen = []

    def spy(*arguments):
        seen.append(torch.is_autocast_enabled("cpu"))
        return compute_losses(*arguments)

    monkeypatch.setattr(loop, "compute_losses", spy)
    for mixed in (True, False):
        config = TINY.model_copy(update={"steps": 1, "mixed_precision": mixed, "validation_count": 0})
        for _ in train(config, tmp_path / str(mixed)):
            pass
    assert seen == [fast, False]


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


@pytest.fixture
def one_thread():
    """Sums are made in one order, whatever else the machine does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(tmp_path, one_thread):
    # sums differ in their last bits from run to run; at a small rate a few steps do not multiply that
    config = TINY.model_copy(update={"learning_rate": 2e-4})
    whole = drive(config, tmp_path / "whole")
    drive(config, tmp_path / "parts", until=2)
    rest = drive(config, tmp_path / "parts")
    losses = {
        name: {event.step: event.values["total"] for event in events if event.kind == "step"}
        for name, events in (("whole", whole), ("rest", rest))
    }
    # the last bit of a sum differs from run to run, and a few steps multiply it
    for step, tolerance in ((3, 1e-3), (4, 3e-3), (5, 3e-2), (6, 3e-2)):
        assert losses["rest"][step] == pytest.approx(losses["whole"][step], rel=tolerance), step
    assert load_checkpoint(tmp_path / "parts" / "t.safetensors")[1].provenance["steps"] == 6
    optimizer = torch.load(tmp_path / "parts" / "state.pt", weights_only=True)["optimizer"]
    assert {float(kept["step"]) for kept in optimizer["state"].values()} == {6.0}  # its moments went on, too
    assert [event.step for event in rest if event.kind == "step"] == [3, 4, 5, 6]
    assert whole[-1].kind == rest[-1].kind == "finished"


def test_a_run_that_is_closed_between_two_saves_goes_on_with_the_next_step(tmp_path, monkeypatch):
    config = TINY.model_copy(update={"save_every": 100, "validate_every": 100})

    def steps(last):
        """Train on to a step and close the run there; the steps that were made."""
        made = []
        with closing(train(config, tmp_path)) as events:
            for event in events:
                made += [event.step] if event.kind == "step" else []
                if made and made[-1] == last:
                    return made
        return made

    assert steps(2) == [1, 2]
    assert steps(3) == [3]
    real = loop._Run.train_step
    monkeypatch.setattr(loop._Run, "train_step", lambda run, batch: {**real(run, batch), "total": float("nan")})
    assert steps(5) == [4, 5]  # the losses ran away: nothing of this is kept
    monkeypatch.setattr(loop._Run, "train_step", real)
    assert steps(None) == [4, 5, 6]


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
    pool = SyntheticDataset(tmp_path, TINY.data)
    list(pool.fill())
    again = SyntheticDataset(tmp_path, TINY.data)
    assert list(again.fill())[-1] == (4, 4)
    first, second = draw_batch(pool, TINY, 3), draw_batch(again, TINY, 3)
    assert all(torch.allclose(first[key], second[key], atol=1e-6) for key in first)
    assert not torch.equal(first["image"], draw_batch(pool, TINY, 4)["image"])


def test_own_images_join_in(tmp_path):
    config = DataConfig(count=2, scenes=TINY.data.scenes, folder=str(REPOSITORY / "sample_data"), folder_share=1.0)
    pool = SyntheticDataset(tmp_path, config)
    list(pool.fill())
    shapes = {pool.sample(np.random.default_rng(seed))[0].shape for seed in range(12)}
    assert (128, 128, 3) in shapes


def test_configurations_are_read_and_mistakes_named(tmp_path):
    assert (
        read_training_config(REPOSITORY / "resources" / "training" / "leaf-small.yaml").network().kind
        == "distance_embedding"
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


VARIANTS = {
    "cascaded": {},
    "parallel": {"layout": "parallel"},
    "shared encoder": {"layout": "shared"},
    "auxiliary embedding": {"auxiliary_embedding": True},
    "stopped gradient": {"stop_gradient": True},
    "as published": {"foreground_head": False, "refine_distance": False, "distance_scale": 10.0, "head_dropout": 0.5},
    **{f"E = {size}": {"embedding": size} for size in (8, 16, 32, 64)},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_trains_saves_and_predicts(variant, tmp_path):
    network = SIZES["tiny"].model_copy(update=VARIANTS[variant])
    config = TINY.model_copy(update={"model": network, "steps": 2, "validation_count": 0, "save_every": 2})
    losses = [event.values for event in drive(config, tmp_path) if event.kind == "step"]
    assert np.isfinite(losses[-1]["total"])
    assert ("auxiliary" in losses[-1]) == network.auxiliary_embedding
    loaded, card = load_checkpoint(tmp_path / "t.safetensors")
    assert card.config == network
    prediction = Predictor(loaded, card).predict(np.random.default_rng(0).integers(0, 99, (40, 60, 3), np.uint8), 1.0)
    assert prediction.labels().shape == (40, 60)


def gradient_of_first(variant, term):
    torch.manual_seed(0)
    network = DistanceEmbeddingNet(SIZES["tiny"].model_copy(update={"refine_distance": False, **variant})).train()
    labels = torch.from_numpy(discs()[None, :32, :32].astype(np.int64))
    batch = {
        "image": torch.randn(1, 3, 32, 32),
        "labels": labels,
        "distance": torch.from_numpy(distance_target(labels[0].numpy()))[None, None],
    }
    losses = compute_losses(network, batch, LossConfig())
    return torch.autograd.grad(losses[term], list(network.distance_net.parameters()), allow_unused=True)


def test_the_gradient_reaches_the_first_network_only_where_it_is_to():
    def reaches(variant):
        return any(item is not None and bool(item.any()) for item in gradient_of_first(variant, "within"))

    assert reaches({})
    assert not reaches({"stop_gradient": True})
    assert not reaches({"layout": "parallel"})
    assert reaches({"layout": "shared"})
    assert not reaches({"layout": "shared", "stop_gradient": True})


def test_the_auxiliary_embedding_trains_the_first_network_and_is_not_computed_in_use():
    variant = {"auxiliary_embedding": True, "stop_gradient": True}
    assert any(item is not None and bool(item.any()) for item in gradient_of_first(variant, "auxiliary"))
    network = DistanceEmbeddingNet(SIZES["tiny"].model_copy(update=variant)).eval()
    assert network(torch.zeros(1, 3, 32, 32)).auxiliary is None


def test_staged_training_trains_the_first_network_and_then_freezes_it(tmp_path):
    config = TINY.model_copy(
        update={"steps": 4, "staged": 0.5, "save_every": 1, "validation_count": 0, "average": 0.0, "weight_decay": 0.0}
    )
    states = []
    for event in train(config, tmp_path):
        if event.kind == "saved":
            states.append(torch.load(tmp_path / "state.pt", weights_only=True)["network"])
        if event.kind == "step":
            assert ("within" in event.values) == (event.step > 2)

    def changed(part, before, after):
        return any(
            not torch.equal(states[before][key], states[after][key]) for key in states[0] if key.startswith(part)
        )

    assert changed("distance_net", 0, 1)
    assert not changed("embedding_net", 0, 1)
    assert not changed("distance_net", 1, 3)
    assert changed("embedding_net", 1, 3)


def test_whole_images_keep_their_aspect_and_what_is_beside_them_is_not_annotated(tmp_path):
    labels = np.zeros((40, 80), np.uint16)
    labels[10:30, 10:30] = 7
    image = np.zeros((40, 80, 3), np.uint8)
    image[labels > 0] = 200
    write_image(tmp_path / "a.png", image)
    write_labels(tmp_path / "a_label.png", labels)
    data = DataConfig(count=0, folder=str(tmp_path))
    config = TINY.model_copy(
        update={"data": data, "whole_images": True, "augment": False, "crop": 64, "smallest_leaf": 4}
    )
    pool = SyntheticDataset(tmp_path / "pool", data)
    assert list(pool.fill()) == []
    batch = draw_batch(pool, config, 0)
    truth = batch["labels"][0].numpy()
    assert (truth[32:] == -1).all()
    assert (truth[:32] >= 0).all()
    assert np.count_nonzero(truth == 7) == 16 * 16
    assert not batch["image"][0, :, 32:].any()
    assert batch["image"][0, 0, 10, 10] > batch["image"][0, 0, 30, 60]
    with pytest.raises(UserError, match="called b"):
        list(SyntheticDataset(tmp_path / "pool", data.model_copy(update={"stems": ("b",)})).fill())


def test_a_configuration_without_any_image_is_refused():
    with pytest.raises(ValueError, match="a folder, or both"):
        TrainingConfig(data=DataConfig(count=0))


def test_the_papers_rate_falls_in_stairs():
    config = TrainingConfig(schedule="steps", learning_rate=1e-4, warm_up=0, steps=20_000)
    assert [learning_rate(config, step) for step in (0, 4999, 5000, 10_000)] == pytest.approx(
        [1e-4, 1e-4, 0.9e-4, 0.81e-4]
    )


def test_dropping_small_leaves_keeps_what_is_not_annotated():
    labels = np.array([[-1, 1, 2, 2, 0]])
    assert drop_small(labels, 2).tolist() == [[-1, 0, 2, 2, 0]]


@pytest.mark.parametrize(("model", "slow"), [("tiny", ".down."), ("solov2-tiny", "backbone.")])
def test_what_sees_the_pixels_first_learns_more_slowly(tmp_path, model, slow):
    from napari_leafseg.training.distributed import process_group_of
    from napari_leafseg.training.loop import _Run

    run = _Run(TrainingConfig(model=model, backbone_rate=0.25, crop=64), tmp_path, process_group_of("cpu"))
    fast_group, slow_group = run.optimizer.param_groups
    assert (fast_group["share"], slow_group["share"]) == (1.0, 0.25)
    names = {id(value): name for name, value in run.network.named_parameters()}
    assert all(slow in names[id(value)] for value in slow_group["params"])
    assert not any(slow in names[id(value)] for value in fast_group["params"])
    assert len(fast_group["params"]) + len(slow_group["params"]) == len(names)
