"""Backbones of the query-based models: the leaf network, and ResNet and Swin from transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from napari_leafseg._extras import require
from napari_leafseg.errors import ModelError
from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingNet, DistanceEmbeddingOutput
from napari_leafseg.models.query.config import BackboneConfig

_SHAPES: dict[tuple[str, str], dict[str, Any]] = {
    ("resnet", "18"): {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"},
    ("resnet", "50"): {"depths": [3, 4, 6, 3], "hidden_sizes": [256, 512, 1024, 2048], "layer_type": "bottleneck"},
    ("resnet", "101"): {"depths": [3, 4, 23, 3], "hidden_sizes": [256, 512, 1024, 2048], "layer_type": "bottleneck"},
    ("swin", "tiny"): {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7},
    ("swin", "small"): {"embed_dim": 96, "depths": [2, 2, 18, 2], "num_heads": [3, 6, 12, 24], "window_size": 7},
    ("swin", "base"): {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "window_size": 7},
    ("swin", "large"): {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48], "window_size": 12},
}


class Backbone(nn.Module):
    """Makes feature maps, finest first, each half as large as the one before.

    Attributes
    ----------
    channels, strides : tuple of int
        Of the maps.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Compute the maps of standardized images (N, 3, H, W)."""
        raise NotImplementedError

    def plants(self, images: torch.Tensor) -> DistanceEmbeddingOutput | None:
        """Return distance map and foreground, where the backbone knows them: quicker than masks to find plants."""
        return None


class LeafBackbone(Backbone):
    """The distance + embedding network: maps of its second U-Net's decoder at strides 2 to 16.

    What it says of each pixel (its last features, embedding, distance and foreground) joins the finest map.

    Parameters
    ----------
    config : BackboneConfig
    """

    def __init__(self, config: BackboneConfig) -> None:
        from napari_leafseg.models.build import build_network

        super().__init__()
        network = build_network(config.trunk)
        assert isinstance(network, DistanceEmbeddingNet)
        self.net = network
        finest, *coarser = network.level_channels
        said = finest + network.first_channels + config.trunk.embedding + 2
        self.channels = (coarser[0] + said, *coarser[1:])
        self.strides = tuple(2**level for level in range(1, len(coarser) + 1))

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        levels, output, first = self.net.forward_levels(images)
        foreground = torch.zeros_like(output.distance) if output.foreground is None else output.foreground.tanh()
        said = torch.cat([levels[0], first, output.embedding.to(first.dtype), output.distance, foreground], 1)
        return [torch.cat([levels[1], functional.avg_pool2d(said, 2)], 1), *levels[2:]]

    def plants(self, images: torch.Tensor) -> DistanceEmbeddingOutput | None:
        return self.net.distances(images)


class TransformersBackbone(Backbone):
    """ResNet or Swin of ``transformers``, all four stages.

    Parameters
    ----------
    config : BackboneConfig
    """

    def __init__(self, config: BackboneConfig) -> None:
        transformers = require("transformers", f"A model on {config.kind.capitalize()}", kind=ModelError)
        super().__init__()
        shape = {**_SHAPES.get((config.kind, config.size), {}), **config.shape}
        stages = [f"stage{number}" for number in range(1, 5)]
        self.net = transformers.AutoBackbone.from_config(
            transformers.AutoConfig.for_model(config.kind, out_features=stages, **shape)
        )
        self.channels, self.strides = tuple(self.net.channels), (4, 8, 16, 32)
        self.frozen_norm = config.frozen_norm
        if config.frozen_norm:
            for module in self.net.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.requires_grad_(False)

    def train(self, mode: bool = True) -> TransformersBackbone:
        """Switch the mode as usual, but let frozen batch norms keep their statistics."""
        super().train(mode)
        if self.frozen_norm:
            for module in self.net.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return list(self.net(images).feature_maps)

    def load_pretrained(self, source: str) -> None:
        """Take over weights of the Hugging Face hub or of a local folder.

        Raises
        ------
        ModelError
            When they are not there, or of another shape.
        """
        where = f"The folder {source}" if Path(source).is_dir() else f"“{source}” on the Hugging Face hub"
        try:
            found, about = type(self.net).from_pretrained(
                source, out_features=list(self.net.out_features), output_loading_info=True, ignore_mismatched_sizes=True
            )
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{where} gives no weights for the backbone. Without a network connection, download the model "
                "elsewhere and set backbone.pretrained to its folder, or set it to null and train from scratch."
            ) from error
        own = self.net.state_dict()
        same = {key: value.shape for key, value in found.state_dict().items()} == {k: v.shape for k, v in own.items()}
        if not same or about["missing_keys"] or about["mismatched_keys"]:
            raise ModelError(f"{where} is a backbone of another shape than the configuration's.")
        self.net.load_state_dict(found.state_dict())


def build_backbone(config: BackboneConfig) -> Backbone:
    """Build the backbone of a configuration, without pretrained weights."""
    return LeafBackbone(config) if config.kind == "leaf" else TransformersBackbone(config)
