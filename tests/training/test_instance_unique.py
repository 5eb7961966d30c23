"""Uniqueness and equivariance: memory, transforms, losses, gradients; and that inference knows nothing of them."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from napari_leafseg.errors import UserError
from napari_leafseg.losses.unique import angle_consistency, consistency_loss, uniqueness_loss
from napari_leafseg.models.build import build_network
from napari_leafseg.models.distance_embedding.config import SIZES
from napari_leafseg.models.query.backbones import Backbone
from napari_leafseg.models.query.base import gather_instances
from napari_leafseg.models.query.config import QUERY_SIZES
from napari_leafseg.models.store.checkpoint import load_checkpoint
from napari_leafseg.training.data import plant_numbers
from napari_leafseg.training.instance_unique import (
    InstanceUniqueLoss,
    augmentation_loss,
    crossed_equivariance,
    leaf_equivariance,
)
from napari_leafseg.training.loop import train
from napari_leafseg.training.memory_bank import MemoryBank
from napari_leafseg.training.transforms import GROUP, FreeTransform, GridTransform, draw_transform
from napari_leafseg.training.unique_config import InstanceUniqueConfig
from tests.models import plain
from tests.models.test_query_models import one_thread, plants, tiny
from tests.programs import begin_source
from tests.training.test_query_training import config_of

NAMES = ("condinst", "solov2", "sotr", "mask2former", "sparseinst", "knet")
__all__ = ["one_thread"]


def batch_of(seeds, sources=None):
    images, labels = plants(seeds)
    return {"image": images, "labels": labels, "source": torch.tensor(sources or list(range(len(seeds))))}


# -- losses --------------------------------------------------------------------------------------------------------


def test_uniqueness_is_the_focal_loss_against_nothing_on_foreign_pixels():
    rng = np.random.default_rng(0)
    logits, foreign = rng.normal(size=(3, 7)), rng.random((3, 7)) > 0.4
    wanted = np.mean([plain.focal(value, 0) for value in logits[foreign]])
    found = uniqueness_loss(torch.tensor(logits), torch.tensor(foreign))
    assert float(found) == pytest.approx(wanted, rel=1e-5)
    assert float(uniqueness_loss(torch.tensor(logits), torch.zeros(3, 7, dtype=torch.bool))) == 0
    assert float(uniqueness_loss(torch.full((3, 7), -20.0), torch.tensor(foreign))) < 1e-12


def test_consistency_is_0_for_equal_1_for_orthogonal_features_and_ignores_what_is_not_valid():
    first = torch.zeros(1, 2, 3, 3)
    first[:, 0] = 2.0
    second = torch.zeros(1, 2, 3, 3)
    second[:, 1] = 2.0
    assert float(consistency_loss(first, first)) == 0
    assert float(consistency_loss(first, second)) == pytest.approx(1, abs=1e-5)
    valid = torch.zeros(1, 1, 3, 3)
    valid[..., 0] = 1
    mixed = torch.where(valid > 0, first, second)
    assert float(consistency_loss(first, mixed, valid)) == 0


def test_angles_between_embeddings_may_turn_together():
    torch.manual_seed(0)
    embedding = functional.normalize(torch.randn(1, 4, 5, 5), dim=1)
    turn = torch.linalg.qr(torch.randn(4, 4))[0]
    turned = torch.einsum("ij,njhw->nihw", turn, embedding)
    points = torch.arange(25)
    assert float(angle_consistency(embedding, turned, points)) < 1e-12
    other = functional.normalize(torch.randn(1, 4, 5, 5), dim=1)
    assert float(angle_consistency(embedding, other, points)) > 0.1


# -- transforms ----------------------------------------------------------------------------------------------------


def test_the_group_has_eight_and_each_can_be_undone():
    values = torch.arange(36.0).reshape(1, 1, 6, 6)
    seen = {tuple(transform.maps(values).flatten().tolist()) for transform in GROUP}
    assert len(seen) == 8
    for transform in GROUP:
        back = torch.rot90(transform.maps(values), -transform.turns, (-2, -1))
        assert torch.equal(back.flip(-1) if transform.mirror else back, values)


def test_maps_at_a_stride_move_like_the_image():
    image = torch.randn(1, 1, 16, 16)
    for transform in GROUP:
        pooled = functional.avg_pool2d(transform.maps(image), 4)
        torch.testing.assert_close(pooled, transform.maps(functional.avg_pool2d(image, 4)))


def test_free_transforms_move_images_labels_and_maps_alike():
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    labels = (((y - 20) ** 2 + (x - 40) ** 2) < 80).long()[None]
    image = labels[:, None].float()
    transform = FreeTransform(30.0, 1.2, (0.1, -0.05))
    moved = transform.labels(labels)
    assert (moved == -1).any()  # from beyond
    inside = moved >= 0
    agree = ((transform.maps(image)[:, 0] > 0.5) == (moved > 0))[inside].float().mean()
    assert float(agree) > 0.99
    small = functional.interpolate(transform.maps(image), scale_factor=0.25, mode="area")
    direct = transform.maps(functional.interpolate(image, scale_factor=0.25, mode="area"))
    valid = transform.valid(direct)
    assert float(((small - direct).abs() * valid).max()) < 0.3
    assert float(((small - direct).abs() * valid).mean()) < 0.02


def test_transforms_are_drawn_from_the_seven_that_change_something():
    rng = np.random.default_rng(1)
    drawn = [draw_transform(rng, 0.3) for _ in range(200)]
    exact = [item for item in drawn if isinstance(item, GridTransform)]
    assert 120 < len(exact) < 160
    assert len(set(exact)) == 7
    assert GridTransform(0, False) not in exact


# -- memory --------------------------------------------------------------------------------------------------------


def test_memory_samples_each_leaf_and_the_background_alike_and_forgets_the_oldest():
    labels = torch.zeros(2, 32, 32, dtype=torch.int64)
    labels[0, :4, :4], labels[0, 8:30, 8:30] = 1, 2
    labels[1, :, 16:] = -1
    features = torch.arange(2 * 16 * 16.0).reshape(2, 1, 16, 16).requires_grad_(True)
    memory = MemoryBank(images=3, per_instance=3, background=True)
    places = torch.zeros(2, 2), -torch.ones(2)  # so that the relative coordinates are the pixels' own
    memory.add(features, labels, torch.tensor([7, 8]), places)
    pixels, positions, keys = memory.sample()
    assert not pixels.requires_grad
    assert (keys == 7).sum() == 9  # two leaves and the background
    assert (keys == 8).sum() == 3
    own = keys == 7
    assert not positions[~own].any()  # an image without a leaf shows its background from nowhere
    for value, (x, y), key in zip(pixels[own, 0].tolist(), positions[own].tolist(), keys[own].tolist(), strict=True):
        number = key - 7
        assert value == float(features[number, 0, int(y // 2), int(x // 2)])
        assert labels[number, int(y), int(x)] >= 0
    memory.add(features, labels, torch.tensor([9, 10]), places)
    assert [entry.key for entry in memory.entries] == [8, 9, 10]


def test_memory_is_saved_and_restored_exactly():
    memory = MemoryBank(4, 2)
    places = torch.rand(2, 2), torch.ones(2)
    memory.add(torch.randn(2, 3, 8, 8), torch.ones(2, 16, 16, dtype=torch.int64), torch.tensor([1, 2]), places)
    again = MemoryBank(4, 2)
    again.load_state_dict(memory.state_dict(), torch.device("cpu"))
    for first, second in zip(memory.sample(), again.sample(), strict=True):
        assert torch.equal(first, second)
    assert MemoryBank(4, 2).sample() is None
    again.load_state_dict({"entries": memory.state_dict()["entries"]}, torch.device("cpu"))
    assert len(again) == 0  # positions of an earlier version are none that queries can be shown


def test_the_papers_memory_is_a_queue_of_instance_pixels():
    labels = torch.zeros(1, 16, 16, dtype=torch.int64)
    labels[0, :, 2:8], labels[0, :4, 10:] = 1, 2
    memory = MemoryBank(None, 50, pixels=120)
    places, kept = (torch.zeros(2, 2), torch.ones(2)), []
    for step in range(3):
        features = torch.full((1, 2, 16, 16), float(step))
        features[0, 1] = labels[0]
        memory.add(features, labels, torch.tensor([step]), places)
        kept += [step] * (50 + 24)  # fifty of the large leaf, all of the small one, no background
        pixels, _, keys = memory.sample()
        assert keys.tolist() == pixels[:, 0].tolist() == kept[-120:]
        assert (pixels[:, 1] > 0).all()


def test_without_background_an_image_without_leaves_is_not_kept():
    memory = MemoryBank(2, 4)
    memory.add(torch.randn(1, 2, 8, 8), torch.zeros(1, 8, 8, dtype=torch.int64), torch.tensor([1]),
               (torch.zeros(0, 2), torch.zeros(0)))  # fmt: skip
    assert memory.sample() is None


def test_a_memory_asked_in_parts_gives_the_loss_and_gradient_of_the_whole(monkeypatch):
    network, batch = tiny("condinst").eval(), batch_of((11, 12))
    values = []
    for most in (2**14, 37):
        monkeypatch.setattr("napari_leafseg.training.instance_unique._AT_ONCE", most)
        torch.manual_seed(1)
        network.zero_grad()
        framework = InstanceUniqueLoss(InstanceUniqueConfig(warm_up=0, equivariance=0))
        loss = framework.losses(network, batch, 0)["inter"]
        loss.backward()
        values.append((float(loss.detach()), network.controller.weight.grad.clone()))
    assert values[0][0] == pytest.approx(values[1][0], rel=1e-5)
    torch.testing.assert_close(values[0][1], values[1][1], rtol=1e-4, atol=1e-8)


def test_foreign_pixels_are_shown_from_their_own_instance():
    """L_inter of CondInst in plain loops: the coordinates are those of the foreign leaf's own query."""
    network, batch = tiny("condinst").eval(), batch_of((11, 12))
    framework = InstanceUniqueLoss(InstanceUniqueConfig(warm_up=0, equivariance=0, queries=6, per_instance=5))
    features = network.encode(batch["image"])
    instances = network.instances(features, batch["labels"])
    matched = network.match(features, instances)
    place, reach = network.places(matched, instances)
    framework.memory.add(features.mask, batch["labels"], batch["source"], (place, reach))
    torch.manual_seed(4)
    found = framework.uniqueness(network, matched, batch["source"])
    torch.manual_seed(4)
    queries = matched.queries.select(torch.randperm(len(matched.queries.image))[:6])
    maps, labels = features.mask.detach().double().numpy(), batch["labels"].numpy()
    leaves = [(n, int(leaf)) for n in range(2) for leaf in np.unique(labels[n]) if leaf]
    errors = []
    for entry in framework.memory.entries:
        for pixel, relative in zip(entry.features.numpy(), entry.relative.numpy(), strict=True):
            gaps = ((maps[entry.key] - pixel[:, None, None]) ** 2).sum(0)
            y, x = np.unravel_index(gaps.argmin(), gaps.shape)
            leaf = leaves.index((entry.key, labels[entry.key][2 * y, 2 * x]))
            wanted = (place[leaf].detach().numpy() - [2 * x + 1, 2 * y + 1]) / float(reach[leaf])
            np.testing.assert_allclose(relative, wanted, atol=1e-5)
            for image, weights in zip(queries.image.tolist(), queries.weights.detach().double().numpy(), strict=True):
                if image != entry.key:
                    seen = np.concatenate([relative, pixel])[None, :, None]
                    answer = plain.dynamic_convolution(seen, weights[None], network.config.mask_channels, 3)
                    errors.append(plain.focal(answer[0, 0], 0))
    assert float(found.detach()) == pytest.approx(np.mean(errors), rel=1e-4)
    own = torch.stack([matched.queries.position, matched.queries.reach[:, None].expand(-1, 2)], 1)
    for number in torch.unique(matched.instance).tolist():  # a leaf's place is one of its positive locations
        mine = own[matched.instance == number]
        assert (mine == torch.stack([place[number], reach[number].expand(2)])).flatten(1).all(1).any()


def test_lambda_weighs_both_losses():
    values = []
    for weight in (1.0, 3.0):
        torch.manual_seed(2)
        framework = InstanceUniqueLoss(InstanceUniqueConfig(warm_up=0, weight=weight))
        values.append(framework.losses(tiny("solov2").train(), batch_of((11, 12)), 0))
    for name in ("inter", "equi"):
        assert float(values[1][name]) == pytest.approx(3 * float(values[0][name]), rel=1e-4)
    assert float(values[1]["mask"]) == pytest.approx(float(values[0]["mask"]), rel=1e-4)


def test_no_image_is_its_own_negative_nor_the_same_plant_on_another_day():
    network = tiny("solov2").train()
    batch = batch_of((11, 12), [5, 5])
    framework = InstanceUniqueLoss(InstanceUniqueConfig(warm_up=0, equivariance=0))
    assert float(framework.losses(network, batch, 0)["inter"].detach()) == 0
    batch["source"] = torch.tensor([5, 6])
    assert float(framework.losses(network, batch, 1)["inter"].detach()) > 0


def test_plants_are_told_apart_by_their_names():
    stems = ["plant01_day2", "plant01_day9", "plant02_day2"]
    assert plant_numbers(stems, r"(plant\d+)_day") == [0, 0, 1]
    assert plant_numbers(stems, None) == [0, 1, 2]
    with pytest.raises(UserError, match="no group"):
        plant_numbers(stems, r"plant\d+")
    with pytest.raises(UserError, match="does not fit the image plant01_day2"):
        plant_numbers(stems, "(pot)")
    with pytest.raises(UserError, match="no regular expression"):
        plant_numbers(stems, "(")


TWO = """
import json, sys, torch
from torch import distributed
from napari_leafseg.training.memory_bank import MemoryBank
rank, store = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
memory = MemoryBank(8, 2)
labels = torch.ones(1, 8, 8, dtype=torch.int64)
for step in range(2):
    features, key = torch.full((1, 3, 4, 4), float(10 * rank + step)), torch.tensor([100 * rank + step])
    memory.add(features, labels, key, (torch.zeros(1, 2), torch.ones(1)))
pixels, _, keys = memory.sample()
print(json.dumps([keys.tolist(), pixels[:, 0].tolist()]))
"""


def test_every_process_keeps_what_all_sampled(tmp_path):
    running = [begin_source(TWO, str(rank), str(tmp_path / "store")) for rank in (0, 1)]
    said = [json.loads(process.stdout.read().splitlines()[-1]) for process in running]
    assert [process.wait(120) for process in running] == [0, 0]
    assert said[0] == said[1]
    assert said[0][0] == [0, 0, 100, 100, 1, 1, 101, 101]


# -- gradients -----------------------------------------------------------------------------------------------------

BRANCH = {
    "condinst": ("controller.weight", "box_tower.0.weight"),
    "solov2": ("query_head.weight", "query_tower.0.weight"),
    "sotr": ("query_head.weight", "transformer.mixing.0.0.layers.0.weight"),
    "mask2former": (
        "net.transformer_module.decoder.mask_predictor.mask_embedder.0.0.weight",
        "net.transformer_module.queries_features.weight",
    ),
    "sparseinst": ("query_head.weight", "activation.weight"),
    "knet": ("rounds.1.mask_head.weight", "kernels"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("loss", ["inter", "equi", "mask"])
def test_every_loss_reaches_the_query_branch_and_the_backbone(name, loss):
    network = tiny(name).train()
    for key, value in network.named_parameters():
        if key.endswith("gain"):
            value.data.fill_(0.5)  # SOTR's residuals begin at nothing
    framework = InstanceUniqueLoss(InstanceUniqueConfig(warm_up=0))
    found = framework.losses(network, batch_of((11, 12)), 0)
    found[loss].backward()
    values = dict(network.named_parameters())
    for key in (*BRANCH[name], "backbone.net.embedding_net.down.4.0.weight"):
        gradient = values[key].grad
        assert gradient is not None, key
        assert torch.isfinite(gradient).all()
        assert float(gradient.abs().max()) > 0, key
    assert all(not entry.features.requires_grad for entry in framework.memory.entries)


@pytest.mark.parametrize("name", NAMES)
def test_the_uniqueness_gradient_agrees_with_finite_differences(name):
    network = tiny(name).eval()
    batch = batch_of((11, 12))
    framework = InstanceUniqueLoss(InstanceUniqueConfig(warm_up=0, equivariance=0, queries=10_000, memory_images=2))
    features = network.encode(batch["image"])
    torch.manual_seed(0)
    instances = gather_instances(batch["labels"], 2)
    matched = network.match(features, instances)
    framework.memory.add(features.mask, batch["labels"], batch["source"], network.places(matched, instances))
    weights = matched.queries.weights.detach().double().clone().requires_grad_(True)

    def loss(values):
        return framework.uniqueness(
            network, matched._replace(queries=matched.queries._replace(weights=values)), batch["source"]
        ).double()

    (gradient,) = torch.autograd.grad(loss(weights), weights)
    direction = torch.randn_like(weights)
    step = 1e-3
    with torch.no_grad():
        slope = (loss(weights + step * direction) - loss(weights - step * direction)) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(float(slope), rel=0.02, abs=1e-7)


# -- equivariance of networks that are equivariant ----------------------------------------------------------------


class Pooled(Backbone):
    """Averages of the image: moves with it exactly."""

    channels, strides = (3, 3, 3, 3), (2, 4, 8, 16)

    def forward(self, images):
        return [functional.avg_pool2d(images, stride) for stride in self.strides]


def symmetric(network):
    """Make every convolution the same after any flip or turn, and take out what knows where it is."""
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            weight = part.weight.data
            part.weight.data = torch.stack([transform.maps(weight) for transform in GROUP]).mean(0)
    return network


def toy(name):
    torch.manual_seed(3)
    update = {"score_floor": 0.0, **({"corner_aligned": False} if name == "condinst" else {})}
    config = QUERY_SIZES[f"{name}-tiny"].model_copy(update=update)
    network = build_network(config)
    network.backbone = Pooled()
    for part in list(network.pyramid.lateral):
        part.weight = nn.Parameter(torch.randn(part.out_channels, 3, 1, 1) * 0.5)
        part.in_channels = 3
    symmetric(network)
    if name == "condinst":
        hidden = config.mask_channels
        weight = network.controller.weight.data[: hidden * (hidden + 2)].view(hidden, hidden + 2, -1)
        weight[:, :2] = 0  # of the relative coordinates
        network.controller.bias.data[: hidden * (hidden + 2)].view(hidden, hidden + 2)[:, :2] = 0
    if name == "solov2":
        network.query_tower[0].weight.data[:, -2:] = 0
        network.mask_branch.steps[3][0][0].weight.data[:, -2:] = 0
    if name == "sotr":  # a quarter turn makes rows of columns: only equal weights can follow it
        for columns, rows in network.transformer.attention:
            rows.load_state_dict(columns.state_dict())
    for key, value in network.named_parameters():
        if key.endswith("gain"):
            value.data.fill_(0.3)
    return network.eval()


@pytest.mark.parametrize("name", ["condinst", "solov2", "sotr"])
@pytest.mark.parametrize("transform", GROUP[1:], ids=lambda item: f"{item.turns}{'m' if item.mirror else ''}")
def test_an_equivariant_network_loses_nothing_by_a_transform(name, transform):
    network = toy(name)
    batch = batch_of((11, 13))
    with torch.no_grad():
        features = network.encode(batch["image"])
        moved = network.encode(transform.maps(batch["image"]))
        assert float(consistency_loss(moved.mask, transform.maps(features.mask))) < 1e-9
        before = network.losses_of(features, batch["labels"])
        after = network.losses_of(moved, transform.labels(batch["labels"]))
    names = {"score", "mask"} if name != "condinst" else {"score", "center", "mask"}
    for key in names:  # the boxes' four sides change places: they are compared with the truth, not with each other
        assert float(after[key]) == pytest.approx(float(before[key]), rel=2e-3, abs=1e-5), key
    with torch.no_grad():
        total = augmentation_loss(network, batch, features.mask, transform, 1.0)
        torch.manual_seed(0)
        crossed = crossed_equivariance(network, batch, features.mask, transform, 1.0)
    assert float(total) == pytest.approx(float(sum(after.values())), rel=1e-4)
    # f(g(I)) is g(f(I)) here, so the crossed pair is worth what the own one is
    assert float(crossed) == pytest.approx(float(after["mask"]), rel=1e-4)


def test_boxes_follow_a_flip():
    _, labels = plants((11,))
    mirror = GridTransform(0, True)
    first, second = gather_instances(labels, 2), gather_instances(mirror.labels(labels), 2)
    width = labels.shape[-1]
    wanted = torch.stack(
        [width - first.boxes[:, 2], first.boxes[:, 1], width - first.boxes[:, 0], first.boxes[:, 3]], 1
    )
    torch.testing.assert_close(second.boxes, wanted)
    torch.testing.assert_close(second.centers[:, 0], width - first.centers[:, 0])
    torch.testing.assert_close(second.masks, first.masks.flip(-1))


@pytest.mark.parametrize("angles", [False, True])
def test_the_leaf_model_can_be_trained_for_equivariance_as_well(angles):
    torch.manual_seed(0)
    network = build_network(SIZES["tiny"]).train()
    batch = batch_of((11, 12))
    loss = leaf_equivariance(network, batch, GridTransform(1, True), angles=angles)
    loss.backward()
    assert float(loss.detach()) > 0
    assert float(network.embedding_head.weight.grad.abs().max()) > 0
    assert float(network.distance_net.down[0][0].weight.grad.abs().max()) > 0
    found = InstanceUniqueLoss(InstanceUniqueConfig(warm_up=0)).dense_losses(network, batch, 0)
    assert set(found) == {"equi"}


# -- in training ---------------------------------------------------------------------------------------------------


def test_each_loss_can_be_switched_off_and_they_warm_up():
    batch = batch_of((11, 12))
    for update, names in (
        ({"uniqueness": 0}, {"score", "mask", "equi"}),
        ({"equivariance": 0}, {"score", "mask", "inter"}),
        ({"uniqueness": 0, "equivariance": 0}, {"score", "mask"}),
    ):
        framework = InstanceUniqueLoss(InstanceUniqueConfig(warm_up=10, **update))
        assert set(framework.losses(tiny("solov2").train(), batch, 3)) == names
    values = []
    for step in (0, 9):
        torch.manual_seed(5)
        framework = InstanceUniqueLoss(InstanceUniqueConfig(warm_up=10, equivariance=0))
        values.append(float(framework.losses(tiny("solov2").train(), batch, step)["inter"].detach()))
    assert values[1] == pytest.approx(10 * values[0], rel=1e-4)


def test_a_run_with_the_framework_logs_its_losses_and_goes_on_with_its_memory(tmp_path):
    config = config_of("solov2", instance_unique=InstanceUniqueConfig(warm_up=0, memory_images=3))
    run = train(config, tmp_path)
    for event in run:
        if event.kind == "saved":
            break
    run.close()
    kept = torch.load(tmp_path / "state.pt", weights_only=True)["memory"]["entries"]
    assert len(kept) == 3
    later = [event for event in train(config, tmp_path) if event.kind == "step"]
    assert [event.step for event in later] == [3, 4]
    assert {"inter", "equi", "mask", "score"} <= set(later[0].values)


def test_inference_is_untouched(tmp_path):
    plain_config = config_of("solov2")
    framed = config_of("solov2", instance_unique=InstanceUniqueConfig())
    for config, folder in ((plain_config, tmp_path / "a"), (framed, tmp_path / "b")):
        for _ in train(config, folder):
            pass
    first, _ = load_checkpoint(tmp_path / "a" / "solov2.safetensors")
    second, card = load_checkpoint(tmp_path / "b" / "solov2.safetensors")
    assert {key: value.shape for key, value in first.state_dict().items()} == {
        key: value.shape for key, value in second.state_dict().items()
    }
    assert "framework" not in card.config.model_dump()
    second.load_state_dict(first.state_dict())
    image = torch.randn(1, 3, 64, 64)
    (one,), (two,) = first.candidates(image), second.candidates(image)
    assert torch.equal(one.masks, two.masks)
