"""What the originals' code does and the equations do not say: heads, scores, units, beginnings."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from napari_leafseg.models.build import build_network
from napari_leafseg.models.distance_embedding.config import SIZES, DistanceEmbeddingConfig
from napari_leafseg.models.query.condinst import CondInst
from napari_leafseg.models.query.config import QUERY_SIZES
from napari_leafseg.models.registry import parse_config
from napari_leafseg.training.config import read_training_config
from tests.conftest import REPOSITORY
from tests.models import plain
from tests.models.test_query_models import one_thread, plants, tiny

__all__ = ["one_thread"]


# -- the first system ----------------------------------------------------------------------------------------------


def test_the_first_authors_head_has_two_layers_and_its_feature_goes_on():
    torch.manual_seed(0)
    small = {"unet": SIZES["wu-code"].unet.model_copy(update={"filters": 4, "depth": 2}), "embedding": 6}
    config = SIZES["wu-code"].model_copy(update={**small, "distance_hidden": 6})
    network = build_network(config).eval()
    assert network.embedding_net.down[0][0].in_channels == 3 + 6
    images = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        features = network.distance_net(images)
        feature = network.distance_feature(features)  # linear
        distance = functional.conv2d(feature, network.distance_head.weight, network.distance_head.bias, padding=1)
        link = functional.normalize(network.link(feature), dim=1)
        embedding = network.embedding_head(network.embedding_net(torch.cat([images, link], 1)))
        found = network(images)
    torch.testing.assert_close(found.distance, distance.clamp(min=0) / 10)
    torch.testing.assert_close(found.embedding, functional.normalize(embedding, dim=1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.distances(images).distance, found.distance)
    network.set_stage(False)
    assert not network.distance_feature.weight.requires_grad


def test_the_widths_of_both_letters():
    assert SIZES["wu-code"].distance_hidden == SIZES["wu-code"].embedding == 16
    assert SIZES["paper"].distance_hidden is None
    with pytest.raises(ValueError, match="no hidden layer"):
        DistanceEmbeddingConfig(encoder="efficientnet-lite0", distance_hidden=8)


def test_the_recipe_named_for_the_code_is_the_codes():
    config = read_training_config(REPOSITORY / "resources" / "training" / "wu-code.yaml")
    assert config.network() == SIZES["wu-code"]
    assert not config.loss.per_leaf
    assert config.loss.background
    assert config.defaults["grouping"] == 1
    assert np.cos(np.deg2rad(config.defaults["angle"])) == pytest.approx(0.7, abs=1e-4)


# -- CondInst ------------------------------------------------------------------------------------------------------


def test_condinst_scores_are_as_published_and_those_of_earlier_files_as_they_were():
    torch.manual_seed(0)
    network = tiny("condinst").eval()
    images, _ = plants((11,))
    with torch.no_grad():
        features = network.encode(images)
        queries = network.query(features)
        probability = network.retrieve(queries, features.mask).sigmoid()
        inside = probability > 0.5
        kept = inside.flatten(1).any(1)
        maskness = torch.stack([p[i].mean() for p, i in zip(probability[kept], inside[kept], strict=True)])
        (found,) = network.candidates(images)
        torch.testing.assert_close(found.scores, queries.score[kept].sort(descending=True).values[: len(found.scores)])
        network.config = network.config.model_copy(update={"mask_score": True})
        (earlier,) = network.candidates(images)
    wanted = (queries.score[kept] * maskness).sort(descending=True).values
    torch.testing.assert_close(earlier.scores, wanted[: len(earlier.scores)])
    assert all(not QUERY_SIZES[f"condinst{size}"].mask_score for size in ("", "-tiny", "-coco"))
    assert QUERY_SIZES["solov2"].mask_score
    assert parse_config({"kind": "condinst"}).mask_score  # a file that does not say so is of an earlier version


def test_condinst_boxes_are_compared_in_strides():
    network = tiny("condinst").eval()
    images, labels = plants((11, 12))
    with torch.no_grad():
        features = network.encode(images)
        found = float(network.match(features, network.instances(features, labels)).losses["box"])
        said = network._heads(features)
    errors, weights, at = [], [], 0
    for level, stride in zip(network.config.levels, network.strides, strict=True):
        place = network.config.levels.index(level)
        bounds = [-1.0, *network.config.sizes, 1e8][place : place + 2]
        for image in range(2):
            masks = [labels[image].numpy() == leaf for leaf in np.unique(labels[image]) if leaf > 0]
            count = features.levels[level][0, 0].numel()
            for x, y in said["points"][at : at + count].tolist():
                leaf = plain.location_leaf(masks, x, y, stride, bounds, network.config.radius)
                if leaf >= 0:
                    ys, xs = np.nonzero(masks[leaf])
                    sides = np.array([x - xs.min(), y - ys.min(), xs.max() + 1 - x, ys.max() + 1 - y]) / stride
                    own = said["sides"][at].double().numpy() / stride
                    boxes = [np.concatenate([-item[:2], item[2:]]) for item in (own, sides)]
                    left, top, right, bottom = sides
                    weight = np.sqrt(min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom))
                    errors.append(weight * plain.giou(*boxes))
                    weights.append(weight)
                at += 1
    assert len(errors) > 5
    assert found == pytest.approx(sum(errors) / sum(weights), rel=1e-4)


@pytest.mark.parametrize("update", [{}, {"mask_levels": (1, 2), "upsample": 2}], ids=["stride 2", "enlarged"])
def test_the_semantic_loss_agrees_with_plain_loops(update):
    network = tiny("condinst", semantic=True, **update).eval()
    images, labels = plants((11, 12))
    labels[0, :, 50:] = -1
    with torch.no_grad():
        features = network.encode(images)
        instances = network.instances(features, labels)
        found = network.match(features, instances).losses["semantic"]
        said = network.semantic["head"](network.semantic["tower"](features.levels[network.config.mask_levels[0]]))
    stride = network._branch_stride
    errors, inside = [], 0
    for image in range(2):
        for y in range(said.shape[-2]):
            for x in range(said.shape[-1]):
                row, column = y * stride + stride // 2, x * stride + stride // 2
                if labels[image, row, column] < 0:
                    continue
                step = network.mask_stride
                top, left = row // step * step, column // step * step
                block = labels[image, top : top + step, left : left + step].numpy()
                leaf = any((block == number).mean() >= 0.5 for number in np.unique(block) if number > 0)
                errors.append(plain.focal(float(said[image, 0, y, x]), leaf))
                inside += leaf
    assert inside > 10
    assert float(found) == pytest.approx(sum(errors) / inside, rel=1e-4)
    assert "semantic" not in network_losses(tiny("condinst"), images, labels)
    network.train()
    network.losses(images, labels)["semantic"].backward()
    assert float(network.semantic["head"].weight.grad.abs().max()) > 0


def network_losses(network, images, labels):
    with torch.no_grad():
        return network.losses(images, labels)


@pytest.mark.parametrize("name", ["condinst", "solov2"])
def test_heads_and_towers_begin_as_in_the_originals(name):
    config = QUERY_SIZES[name]
    update = {"box_start": 0.0} if name == "condinst" else {}
    network = build_network(config.model_copy(update=update))
    towers = [network.score_tower, network.box_tower if isinstance(network, CondInst) else network.query_tower]
    heads = [network.score_head]
    heads += [network.box_head, network.centre_head, network.controller] if name == "condinst" else [network.query_head]
    layers = [layer for part in [*towers, *heads] for layer in part.modules() if isinstance(layer, nn.Conv2d)]
    assert len(layers) >= 8
    for layer in layers:
        assert float(layer.weight.detach().std()) == pytest.approx(0.01, rel=0.2)
        if layer.bias is not None:
            wanted = -np.log(99) if layer is network.score_head else 0
            assert torch.allclose(layer.bias, torch.full_like(layer.bias, wanted))
    if name == "solov2":
        convolutions = [layer for layer in network.mask_branch.modules() if isinstance(layer, nn.Conv2d)]
        assert all(float(layer.weight.detach().std()) == pytest.approx(0.01, rel=0.2) for layer in convolutions)
