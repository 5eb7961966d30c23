"""L_equi with the crossed pair, against plain loops, and what it must be and must not be."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from napari_leafseg.errors import UserError
from napari_leafseg.models.build import build_network
from napari_leafseg.models.distance_embedding.config import SIZES
from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingOutput
from napari_leafseg.models.query.base import Features, Matched, Queries, QueryModel, gather_instances
from napari_leafseg.training.config import LossConfig
from napari_leafseg.training.instance_unique import (
    InstanceUniqueLoss,
    augmentation_loss,
    crossed_equivariance,
    leaf_equivariance,
)
from napari_leafseg.training.losses import leaf_losses
from napari_leafseg.training.transforms import GROUP, CropTransform, FreeTransform, GridTransform, draw_transform
from napari_leafseg.training.unique_config import InstanceUniqueConfig
from tests.models import plain
from tests.models.test_query_models import one_thread, tiny
from tests.training.test_instance_unique import BRANCH, NAMES, batch_of

__all__ = ["one_thread"]
MIRROR = GridTransform(0, True)
TURN = GridTransform(1, True)
WINDOW = CropTransform(TURN, (16, 0, 48, 48), 64)


def network_of(name):
    network = tiny(name).eval()
    for key, value in network.named_parameters():
        if key.endswith("gain"):
            value.data.fill_(0.5)
        if "query_head" in key or "controller" in key:
            value.data.mul_(20)
    return network


# -- the loss itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", [MIRROR, TURN, WINDOW], ids=["mirror", "turn", "window"])
@pytest.mark.parametrize("name", ["condinst", "solov2", "sotr"])
def test_the_crossed_pair_agrees_with_plain_loops(name, transform):
    network, batch = network_of(name), batch_of((11, 12))
    with torch.no_grad():
        mask = network.encode(batch["image"]).mask
        found = float(crossed_equivariance(network, batch, mask, transform))
        # the queries of g(I), from g(I)'s own features
        after = network.encode(transform.maps(batch["image"]))
        labels = transform.labels(batch["labels"])
        matched = network.match(after, gather_instances(labels, 2))
    numbers = [(n, int(leaf)) for n in range(2) for leaf in np.unique(labels[n]) if leaf > 0]
    crossed, truth = transform.maps(mask).double().numpy(), labels.numpy()
    height, width = crossed.shape[-2:]
    blocks = truth[:, : 2 * height, : 2 * width].reshape(-1, height, 2, width, 2)  # of the four pixels of each query's
    errors = []
    for query, instance in zip(range(len(matched.instance)), matched.instance.tolist(), strict=True):
        image, leaf = numbers[instance]
        assert image == int(matched.queries.image[query])
        weights = matched.queries.weights[query].double().numpy()
        wanted, known = (blocks[image] == leaf).mean((1, 3)), (blocks[image] >= 0).any((1, 3))
        logits = np.zeros((height, width))
        for y in range(height):
            for x in range(width):
                pixel = crossed[image, :, y, x]
                if name == "condinst":
                    place, reach = matched.queries.position[query].numpy(), float(matched.queries.reach[query])
                    seen = np.concatenate([(place - [2 * x + 1, 2 * y + 1]) / reach, pixel])
                    logits[y, x] = plain.dynamic_convolution(
                        seen[None, :, None], weights[None], network.config.mask_channels, 3
                    )[0, 0]
                else:
                    logits[y, x] = weights @ pixel
        errors.append(plain.dice(np.where(known > 0, logits, -1e3), wanted * known))
    assert found == pytest.approx((1 if name == "condinst" else 3) * np.mean(errors), rel=1e-4)


def test_the_crossed_pair_of_mask2former_agrees_with_plain_loops(monkeypatch):
    network, batch = network_of("mask2former"), batch_of((11, 12))
    with torch.no_grad():
        mask = network.encode(batch["image"]).mask
        after = network.encode(MIRROR.maps(batch["image"]))
        instances = network.instances(after, MIRROR.labels(batch["labels"]))
        height, width = mask.shape[-2:]
        y, x = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
        grid = torch.stack([x, y], -1).reshape(1, -1, 2)  # every pixel instead of sampled ones
        monkeypatch.setattr(
            network.criterion, "sample_points_using_uncertainty", lambda logits, *_: grid.expand(len(logits), -1, -1)
        )
        torch.manual_seed(0)
        found = float(crossed_equivariance(network, batch, mask, MIRROR))
        torch.manual_seed(0)
        matched = network.assign(after, instances)
    crossed, errors = MIRROR.maps(mask).double().numpy(), []
    assert len(matched.instance) == len(instances.image)
    for image, weights, instance in zip(
        matched.queries.image.tolist(), matched.queries.weights.double().numpy(), matched.instance.tolist(), strict=True
    ):
        wanted = instances.masks[instance].double().numpy()
        p = plain.sigmoid(np.einsum("d,dhw->hw", weights, crossed[image]))
        entropy = -(wanted * np.log(p) + (1 - wanted) * np.log(1 - p)).mean()
        errors.append(5 * entropy + 5 * (1 - (2 * (p * wanted).sum() + 1) / (p.sum() + wanted.sum() + 1)))
    assert found == pytest.approx(np.mean(errors), rel=1e-4)


def test_mask2formers_matching_alone_is_the_one_of_its_losses():
    network, batch = network_of("mask2former"), batch_of((11, 12))
    with torch.no_grad():
        features = network.encode(batch["image"])
        instances = network.instances(features, batch["labels"])
        pairs = []
        for way in (network.match, network.assign):
            torch.manual_seed(3)
            matched = way(features, instances)
            order = matched.instance.argsort()
            pairs.append((matched.instance[order], matched.queries.weights[order]))
    assert len(pairs[0][0]) == len(pairs[1][0])
    assert torch.equal(pairs[0][0], pairs[1][0])


@pytest.mark.parametrize("name", NAMES)
def test_it_is_not_the_base_losses_of_the_transformed_image(name):
    network, batch = network_of(name), batch_of((11, 12))
    with torch.no_grad():
        mask = network.encode(batch["image"]).mask
        after = network.encode(MIRROR.maps(batch["image"]))
        torch.manual_seed(0)
        base = network.losses_of(after, MIRROR.labels(batch["labels"]))
        own = network.retrieval_losses(
            network.assign(after, network.instances(after, MIRROR.labels(batch["labels"]))), after.mask,
            network.instances(after, MIRROR.labels(batch["labels"])),
        )  # fmt: skip
        crossed = crossed_equivariance(network, batch, mask, MIRROR)
        torch.manual_seed(0)
        augmented = augmentation_loss(network, batch, mask, MIRROR)
    assert float(augmented) == pytest.approx(float(sum(base.values())), rel=1e-3)  # what it is named for
    assert abs(float(crossed) - float(sum(own.values()))) > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_its_gradient_reaches_the_images_own_features_and_the_queries(name):
    network, batch = network_of(name).train(), batch_of((11, 12))
    mask = network.encode(batch["image"]).mask.detach().requires_grad_(True)
    crossed_equivariance(network, batch, mask, WINDOW).backward()
    assert float(mask.grad.abs().max()) > 0
    values = dict(network.named_parameters())
    for key in BRANCH[name]:
        assert float(values[key].grad.abs().max()) > 0, key
    mask.grad = None
    if name != "mask2former":
        augmentation_loss(network, batch, mask, WINDOW).backward()
        assert mask.grad is None


class Equivariant(QueryModel):
    """Features that say which leaf a pixel is of, and a query for each leaf: exactly equivariant, without an error."""

    def __init__(self, drift=0.0):
        nn.Module.__init__(self)
        self.drift = drift  # how much features depend on where they are

    def encode(self, images):
        there = torch.linspace(0, 1, images.shape[-1]).expand_as(images[:, :1])
        leaf = (images[:, :1].round() == torch.arange(1, 9)[None, :, None, None]).float()
        mask = torch.cat([leaf * (1 - self.drift * there), torch.ones_like(there)], 1)
        return Features(mask, [], (images.shape[-2], images.shape[-1]))

    def match(self, features, instances):
        numbers = torch.stack([
            features.mask[image, :8].mul(mask).flatten(1).sum(1).argmax()
            for image, mask in zip(instances.image, instances.masks, strict=True)
        ])  # fmt: skip
        weights = 40 * functional.one_hot(numbers, 8).float()
        weights = torch.cat([weights, torch.full((len(weights), 1), -20.0)], 1)
        score = torch.ones(len(weights))
        queries = Queries(instances.image, weights, score, torch.zeros(len(weights), 2), score)
        return Matched(queries, torch.arange(len(weights)), {})


@pytest.mark.parametrize("transform", [*GROUP[1:], WINDOW], ids=str)
def test_it_vanishes_for_an_exactly_equivariant_model_and_not_for_another(transform):
    labels = torch.zeros(2, 64, 64, dtype=torch.int64)
    labels[0, 8:30, 20:50], labels[0, 34:60, 4:28], labels[1, 20:44, 6:60] = 1, 2, 3
    batch = {"image": labels[:, None].float().expand(-1, 3, -1, -1), "labels": labels}
    losses = []
    for drift in (0.0, 0.9):
        network = Equivariant(drift)
        mask = network.encode(batch["image"]).mask
        losses.append(float(crossed_equivariance(network, batch, mask, transform, weight=1.0)))
    assert losses[0] < 1e-5
    assert losses[1] > 1e-3


# -- the distance + embedding model --------------------------------------------------------------------------------


def test_of_the_leaf_model_it_agrees_with_plain_loops():
    torch.manual_seed(0)
    network, batch = build_network(SIZES["tiny"]).eval(), batch_of((11, 12))
    with torch.no_grad():
        before, after = network(batch["image"]), network(TURN.maps(batch["image"]))
        found = float(leaf_equivariance(network, batch, TURN))
    truth = TURN.labels(batch["labels"]).numpy()
    moved = [TURN.maps(item).double().numpy() for item in (before.distance, before.embedding)]
    gaps, angles = [], []
    for image in range(2):
        for y in range(64):
            for x in range(64):
                gaps.append((float(after.distance[image, 0, y, x]) - moved[0][image, 0, y, x]) ** 2)
                if truth[image, y, x] > 0:
                    angles.append(1 - after.embedding[image, :, y, x].double().numpy() @ moved[1][image, :, y, x])
    assert found == pytest.approx(np.mean(gaps) + np.mean(angles), rel=1e-4)


class EquivariantLeaf:
    """Says of each pixel what its colors are."""

    def __call__(self, images):
        embedding = functional.normalize(images + 2, dim=1)
        return DistanceEmbeddingOutput(images[:, :1].abs(), None, embedding)


@pytest.mark.parametrize("transform", [*GROUP[1:], WINDOW], ids=str)
@pytest.mark.parametrize("angles", [False, True])
def test_of_the_leaf_model_it_vanishes_where_the_network_is_equivariant(transform, angles):
    loss = leaf_equivariance(EquivariantLeaf(), batch_of((11, 12)), transform, angles=angles)
    assert float(loss) < 1e-6


def test_of_the_leaf_model_it_is_no_base_loss_and_its_gradient_reaches_both_images():
    torch.manual_seed(0)
    network, batch = build_network(SIZES["tiny"]).train(), batch_of((11, 12))
    before = network(batch["image"])
    before = before._replace(**{
        name: getattr(before, name).detach().requires_grad_(True) for name in ("distance", "embedding")
    })  # fmt: skip
    loss = leaf_equivariance(network, batch, WINDOW, before)
    loss.backward()
    for item in (before.distance, before.embedding):
        assert float(item.grad.abs().max()) > 0
    assert float(network.embedding_head.weight.grad.abs().max()) > 0
    with torch.no_grad():
        after = network(WINDOW.maps(batch["image"]))
        labels = WINDOW.labels(batch["labels"])
        base = leaf_losses(after, {"labels": labels, "distance": (labels > 0).float()[:, None]}, LossConfig())
    assert abs(float(loss.detach()) - float(base["total"])) > 1e-2


@pytest.mark.parametrize("transform", [*GROUP[1:], WINDOW, FreeTransform(90.0, 1.0, (0.0, 0.0))], ids=str)
def test_centers_move_with_their_leaf(transform):
    """Vectors to the leaf's center, transformed, are those of the transformed leaf."""
    labels = torch.zeros(1, 64, 64, dtype=torch.int64)
    labels[0, 22:30, 20:40], labels[0, 34:60, 8:28] = 1, 2

    def vectors(plane):
        found = torch.zeros(2, *plane.shape)
        for leaf in (1, 2):
            points = torch.nonzero(plane == leaf).float()
            found[:, plane == leaf] = (points.mean(0) - points).T
        return found[None]

    moved = transform.labels(labels)
    whole = transform.whole.labels(labels) if isinstance(transform, CropTransform) else moved
    wanted = vectors(whole[0])
    if isinstance(transform, CropTransform):
        wanted = wanted[..., 16:64, 0:48]
    inside = moved[0] > 0
    assert inside.sum() > 100
    torch.testing.assert_close(transform.vectors(vectors(labels[0]))[0][:, inside], wanted[0][:, inside], atol=1e-3,
                               rtol=0)  # fmt: skip


# -- windows -------------------------------------------------------------------------------------------------------


def test_a_window_moves_images_labels_and_maps_alike_and_leaves_out_slivers():
    labels = torch.zeros(1, 64, 64, dtype=torch.int64)
    labels[0, 10:40, 10:62], labels[0, 50:53, 20:23], labels[0, 60:64, 15:20] = 1, 2, 3
    window = CropTransform(GridTransform(0, False), (16, 16, 48, 32), 64)
    assert torch.equal(window.maps(labels[:, None])[:, 0], labels[:, 16:64, 16:48])
    pooled = functional.avg_pool2d(labels[:, None].float(), 4)
    torch.testing.assert_close(window.maps(pooled), functional.avg_pool2d(window.maps(labels[:, None]).float(), 4))
    found = window.labels(labels)
    assert (found == 1).sum() == 24 * 32
    assert (found == 2).sum() == 9  # small, but whole
    assert (found == 3).sum() == 16  # cut, but large enough
    labels[0, 60:64, 19:20] = 0
    assert (window.labels(labels) == 3).sum() == 0
    assert (window.labels(labels)[0, 44:48, 0:3] == -1).all()
    assert window.valid(labels) is None
    free = CropTransform(FreeTransform(30.0, 0.8, (0.0, 0.0)), (0, 0, 32, 32), 64)
    assert free.valid(pooled).shape == (1, 1, 8, 8)
    assert (free.labels(labels) == -1).any()


def test_windows_are_drawn_anywhere_at_the_networks_stride():
    rng = np.random.default_rng(0)
    drawn = [draw_transform(rng, 0.0, 0.7, (64, 96), 16) for _ in range(300)]
    for item in drawn:
        tall, wide = (64, 96)[:: -1 if item.whole.turns % 2 else 1]
        top, left, height, width = item.window
        assert item.size == tall
        assert (height, width) == tuple(round(0.7 * side / 16) * 16 for side in (tall, wide))
        assert top % 16 == left % 16 == 0
        assert top + height <= tall
        assert left + width <= wide
    assert len({item.window for item in drawn}) > 6
    assert all(isinstance(draw_transform(rng, 0.5, 1.0, (64, 64), 16), GridTransform | FreeTransform) for _ in range(9))


def test_each_form_is_for_its_own_models():
    batch = batch_of((11, 12))
    for form, words in (("angles", "crossed or augmentation"), ("augmentation", "crossed or angles")):
        framework = InstanceUniqueLoss(InstanceUniqueConfig(equivariance_form=form, uniqueness=0))
        network = tiny("solov2") if form == "angles" else build_network(SIZES["tiny"])
        way = framework.losses if form == "angles" else framework.dense_losses
        with pytest.raises(UserError, match=words):
            way(network, batch, 0)
    framework = InstanceUniqueLoss(InstanceUniqueConfig(equivariance_form="augmentation", uniqueness=0))
    assert float(framework.losses(tiny("solov2"), batch, 0)["equi"].detach()) > 0
