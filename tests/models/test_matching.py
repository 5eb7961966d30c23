"""Matching, and what is SparseInst's and K-Net's own, against plain loops."""

import numpy as np
import pytest
import torch

from napari_leafseg.losses.masks import dice_loss, focal_loss
from napari_leafseg.models.build import build_network
from napari_leafseg.models.query.base import gather_instances
from napari_leafseg.models.query.config import QUERY_SIZES
from napari_leafseg.models.query.knet import KernelUpdate, UpdateRound
from napari_leafseg.models.query.matching import (
    entropy_loss,
    match_pairs,
    pairwise_dice,
    pairwise_entropy,
    pairwise_focal,
    score_loss,
)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def test_costs_of_pairs_are_the_losses_of_pairs():
    torch.manual_seed(1)
    logits, masks = torch.randn(5, 6, 7) * 3, (torch.rand(3, 6, 7) > 0.6).float()
    known = (torch.rand(6, 7) > 0.3).float()
    dice, entropy = pairwise_dice(logits, masks, known), pairwise_entropy(logits, masks, known)
    scores, category = torch.randn(5, 4), torch.tensor([3, 0, 3])
    focal = pairwise_focal(scores, category)
    for query in range(5):
        for leaf in range(3):
            one, other = logits[query : query + 1], masks[leaf : leaf + 1]
            assert float(dice[query, leaf]) == pytest.approx(1 - float(dice_loss(one, other, known)), abs=1e-5)
            assert float(entropy[query, leaf]) == pytest.approx(float(entropy_loss(one, other, known[None])), abs=1e-5)
            said = scores[query, category[leaf]]
            wanted = focal_loss(said, torch.tensor(1.0)) - focal_loss(said, torch.tensor(0.0))
            assert float(focal[query, leaf]) == pytest.approx(float(wanted), abs=1e-6)


def test_pairs_are_numbered_through_the_batch():
    costs = [
        torch.tensor([[5.0, 1.0], [1.0, 5.0], [0.5, 0.9]]),
        torch.zeros(3, 0),
        torch.tensor([[9.0], [float("nan")], [2.0]]),
    ]
    pairs = match_pairs(costs, torch.device("cpu"))
    assert dict(zip(pairs.query.tolist(), pairs.instance.tolist(), strict=True)) == {2: 0, 0: 1, 8: 2}


def test_unmatched_queries_where_nobody_annotated_learn_nothing():
    masks = torch.full((1, 3, 4, 8), -9.0)
    masks[0, 0, :, 5:], masks[0, 1, :, :3], masks[0, 2, :, 5:] = 9.0, 9.0, 9.0
    known = torch.zeros(1, 4, 8)
    known[..., :4] = 1
    logits = torch.zeros(3, 2, requires_grad=True)
    pairs = match_pairs([torch.tensor([[1.0], [1.0], [0.0]])], torch.device("cpu"))
    score_loss(logits, torch.tensor([1]), pairs, masks, known).backward()
    assert logits.grad[0].abs().max() == 0  # unmatched, and where nothing is known
    assert (logits.grad[1] > 0).all()  # unmatched: nothing
    assert logits.grad[2, 1] < 0 < logits.grad[2, 0]  # matched: of the leaf's class


def linear(layer, values):
    return values @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def norm(layer, values):
    mean, deviation = values.mean(), np.sqrt(values.var() + layer.eps)
    return (values - mean) / deviation * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def test_the_kernel_update_is_the_papers():
    torch.manual_seed(2)
    update = KernelUpdate(6)
    found, kernels = torch.randn(1, 4, 6), torch.randn(1, 4, 6)
    result = update(found, kernels)[0].detach().numpy()
    for number in range(4):
        feature, kernel = found[0, number].numpy(), kernels[0, number].numpy()
        phi1, psi3 = np.split(linear(update.of_features, feature), 2)
        phi2, psi4 = np.split(linear(update.of_kernels, kernel), 2)
        both = phi1 * phi2
        gate_feature = sigmoid(norm(update.norms[0], linear(update.feature_gate, both)))
        gate_kernel = sigmoid(norm(update.norms[1], linear(update.kernel_gate, both)))
        mixed = gate_feature * norm(update.norms[2], psi3) + gate_kernel * norm(update.norms[3], psi4)
        wanted = np.maximum(norm(update.out[1], linear(update.out[0], mixed)), 0)
        np.testing.assert_allclose(result[number], wanted, atol=1e-5)


def test_a_round_gathers_what_lies_under_the_masks():
    torch.manual_seed(3)
    step = UpdateRound(8, 2, 16, 1).eval()
    features, kernels = torch.randn(1, 8, 5, 6), torch.randn(1, 3, 8)
    masks = torch.full((1, 3, 5, 6), -30.0)
    masks[0, 0, :2, :2], masks[0, 1, 3:, 4:], masks[0, 2] = 30.0, 30.0, 30.0
    seen = []
    hook = step.update.register_forward_hook(lambda _module, given, _result: seen.append(given[0]))
    step(masks, features, kernels)
    hook.remove()
    for number, part in enumerate((features[0, :, :2, :2], features[0, :, 3:, 4:], features[0])):
        torch.testing.assert_close(seen[0][0, number], part.flatten(1).mean(1), atol=1e-5, rtol=1e-5)


def test_sparse_maps_gather_features_in_groups():
    config = QUERY_SIZES["sparseinst-tiny"]
    torch.manual_seed(4)
    network = build_network(config).eval()
    features = network.encode(torch.randn(2, 3, 32, 48))
    seen = []
    hook = network.gather.register_forward_hook(lambda _module, given, _result: seen.append(given[0]))
    with torch.no_grad():
        _, _, queries = network._heads(features)
    hook.remove()
    lit = sigmoid(network.activation(features.levels[0]).detach().numpy())
    level = features.levels[0].detach().numpy()
    for image, query in ((0, 0), (1, 7), (1, 39)):
        parts = []
        for group in range(config.activation_groups):
            weight = lit[image, group * config.queries + query]
            parts.append((level[image] * weight).sum((1, 2)) / weight.sum())
        np.testing.assert_allclose(
            seen[0][image * config.queries + query].numpy(), np.concatenate(parts), rtol=1e-3, atol=1e-5
        )
    assert queries.image.tolist() == [0] * 40 + [1] * 40


@pytest.mark.parametrize("name", ["sparseinst", "knet"])
def test_the_losses_are_least_where_the_masks_are_right(name):
    torch.manual_seed(5)
    network = build_network(QUERY_SIZES[f"{name}-tiny"]).eval()
    labels = torch.zeros(1, 32, 32, dtype=torch.int64)
    labels[0, 4:14, 4:20], labels[0, 18:30, 10:30] = 1, 2
    with torch.no_grad():
        features = network.encode(torch.randn(1, 3, 32, 32))
        instances = gather_instances(labels, 2)
        matched = network.match(features, instances)
        assert sorted(matched.instance.tolist()) == [0, 1]
        right = features._replace(mask=torch.zeros_like(features.mask))
        for channel, mask in enumerate(instances.masks):
            right.mask[0, channel] = 40 * mask - 20
        weights = torch.zeros_like(matched.queries.weights)
        weights[torch.arange(2), matched.instance] = 1.0
        good, bad = (
            network.mask_losses(matched._replace(queries=matched.queries._replace(weights=said)), right, instances)
            for said in (weights, weights.flip(0))
        )
    assert float(sum(good.values())) < 0.02
    assert float(sum(bad.values())) > 1


@pytest.mark.parametrize("name", ["sparseinst-coco", "knet-coco"])
def test_the_published_sizes_have_masks_at_the_published_stride(name):
    config = QUERY_SIZES[name]
    small = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 8, 16, 16], "embedding_size": 8, "layer_type": "basic"}
    backbone = config.backbone.model_copy(update={"size": "custom", "shape": small})
    network = build_network(config.model_copy(update={"backbone": backbone, "width": 32, "groups": 4})).eval()
    (found,) = network.candidates(torch.randn(1, 3, 64, 96))
    assert network.mask_stride == 4
    assert found.masks.shape[1:] == (16, 24)
