"""The U-Net of the distance + embedding model."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from napari_leafseg.models.distance_embedding.config import UNetConfig


def place_channels_last(network: nn.Module, device: torch.device | str) -> None:
    """Move a network to a device, channels last: the layout in which convolutions are fast."""
    network.to(device)
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def conv_block(inputs: int, outputs: int, norm: str, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers.append(nn.Conv2d(channels, outputs, 3, padding=1, bias=norm == "none"))
        if norm == "batch":
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU(inplace=True))
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def enlarge(features: torch.Tensor, layer: nn.Module) -> torch.Tensor:
    """Enlarge by nearest upsampling by 2 and a 2 x 2 convolution, computed before the upsampling.

    Each of the four pixels that one becomes sees sums of the layer's weights on at most 2 x 2 small pixels, so that one
    convolution gives all four. The large map is never made: at the finest level a third less time in training.

    Parameters
    ----------
    features : torch.Tensor
        (N, I, H, W).
    layer : torch.nn.Conv2d
        2 x 2, I to O channels; what lies beyond the lower and the right border is 0.

    Returns
    -------
    torch.Tensor
        (N, O, 2 H, 2 W).
    """
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    sums = features.new_tensor([[[1, 1], [0, 0]], [[1, 0], [0, 1]]], dtype=layer.weight.dtype)
    weights = torch.einsum("pra,qsb,oiab->opqirs", sums, sums, layer.weight).flatten(0, 2)
    weights = weights.contiguous(memory_format=torch.channels_last)
    small = functional.conv2d(functional.pad(features, (0, 1, 0, 1)), weights, layer.bias.repeat_interleave(4))
    return functional.pixel_shuffle(small, 2)


class Decoder(nn.Module):
    """The rising half of a U-Net.

    Parameters
    ----------
    config : UNetConfig

    Notes
    -----
    ``decode`` takes the features of every level, finest first, and returns (N, config.filters, H, W).
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        widths = [config.filters * 2**level for level in range(config.depth + 1)]
        self.rise = nn.ModuleList(nn.Conv2d(widths[level + 1], widths[level], 2) for level in range(config.depth))
        self.up = nn.ModuleList(
            conv_block(2 * widths[level], widths[level], config.norm, 0.0) for level in range(config.depth)
        )
        self.apply(he_initialize)

    def decode(self, levels: list[torch.Tensor]) -> torch.Tensor:
        """Compute the last feature map."""
        return self.decode_levels(levels)[0]

    def decode_levels(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Compute the feature maps of every level, finest first; the coarsest is the encoder's own."""
        features = levels[-1]
        found = [features]
        for level in reversed(range(len(self.rise))):
            raised = functional.relu(enlarge(features, self.rise[level]))
            features = self.up[level](torch.cat([levels[level], raised], 1))
            found.insert(0, features)
        return found


class UNet(Decoder):
    """U-Net with nearest upsampling followed by a 2 x 2 convolution (Wu et al. 2020, Fig. 2; their code).

    Parameters
    ----------
    channels : int
        Input channels.
    config : UNetConfig

    Notes
    -----
    ``forward`` takes (N, channels, H, W), H and W multiples of ``2 ** config.depth``, and returns the last feature
    map, (N, config.filters, H, W).
    """

    def __init__(self, channels: int, config: UNetConfig) -> None:
        super().__init__(config)
        widths = [config.filters * 2**level for level in range(config.depth + 1)]
        drop = [config.dropout if level >= config.depth - 1 else 0.0 for level in range(config.depth + 1)]
        self.down = nn.ModuleList(
            conv_block(channels if level == 0 else widths[level - 1], widths[level], config.norm, drop[level])
            for level in range(config.depth + 1)
        )
        self.stride = 2**config.depth
        self.down.apply(he_initialize)

    def encode(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Compute the features of every level, finest first."""
        levels: list[torch.Tensor] = []
        for block in self.down:
            levels.append(block(functional.max_pool2d(levels[-1], 2) if levels else images))
        return levels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Compute the last feature map."""
        return self.decode(self.encode(images))


def he_initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
