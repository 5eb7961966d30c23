"""Parts that the query-based models share: pyramid, mask branches, coordinates, dynamic convolution."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional


def coordinates(like: torch.Tensor, stride: float, span: float | None) -> torch.Tensor:
    """Return coordinates (x, y) of the pixels of a feature map, from its middle.

    Parameters
    ----------
    like : torch.Tensor
        (N, C, h, w).
    stride : float
        Image pixels per pixel of the map.
    span : float, optional
        Image pixels that make one unit; None: -1 to 1 from the first to the last pixel (CoordConv, as published).

    Returns
    -------
    torch.Tensor
        (N, 2, h, w).
    """
    height, width = like.shape[-2:]
    axes = []
    for length in (width, height):
        if span is None:
            axes.append(torch.linspace(-1, 1, length, device=like.device))
        else:
            steps = torch.arange(length, device=like.device, dtype=torch.float32)
            axes.append((steps - (length - 1) / 2) * (stride / span))
    x = axes[0][None, :].expand(height, width)
    y = axes[1][:, None].expand(height, width)
    return torch.stack([x, y]).to(like.dtype).expand(like.shape[0], -1, -1, -1)


def locations(shape: tuple[int, int], stride: int, device: torch.device) -> torch.Tensor:
    """Return the image coordinates (x, y) of the pixels' middles, float32 (h * w, 2) row by row (FCOS)."""
    y, x = torch.meshgrid(torch.arange(shape[0], device=device), torch.arange(shape[1], device=device), indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2) * stride + stride // 2


def enlarge(maps: torch.Tensor, factor: int) -> torch.Tensor:
    """Enlarge (N, C, h, w) linearly, the first pixel staying in the first corner (CondInst's aligned upsampling)."""
    if factor == 1:
        return maps
    height, width = maps.shape[-2:]
    maps = functional.pad(maps, (0, 1, 0, 1), mode="replicate")
    size = (factor * height + 1, factor * width + 1)
    maps = functional.interpolate(maps, size=size, mode="bilinear", align_corners=True)
    maps = functional.pad(maps, (factor // 2, 0, factor // 2, 0), mode="replicate")
    return maps[..., : size[0] - 1, : size[1] - 1]


def dynamic_convolution(features: torch.Tensor, parameters: torch.Tensor, channels: int, layers: int) -> torch.Tensor:
    """Run each query's own little network of 1 x 1 convolutions, ReLU between them (Tian et al. 2020, Sec. 3.2).

    Parameters
    ----------
    features : torch.Tensor
        (Q, C, P): what each query sees of P pixels.
    parameters : torch.Tensor
        (Q, K): the weights of all layers, then their biases.
    channels, layers : int
        Width of the hidden layers, and their number with the last one, which has one output.

    Returns
    -------
    torch.Tensor
        (Q, P).
    """
    widths = [features.shape[1], *[channels] * (layers - 1), 1]
    sizes = [a * b for a, b in itertools.pairwise(widths)]
    pieces = parameters.split(sizes + widths[1:], 1)
    for layer in range(layers):
        weight = pieces[layer].reshape(-1, widths[layer + 1], widths[layer])
        bias = pieces[layers + layer]
        features = torch.baddbmm(bias[:, :, None].to(weight.dtype), weight, features.to(weight.dtype))
        if layer < layers - 1:
            features = functional.relu(features)
    return features[:, 0]


def dynamic_parameters(inputs: int, channels: int, layers: int) -> int:
    """Tell how many parameters `dynamic_convolution` takes."""
    widths = [inputs, *[channels] * (layers - 1), 1]
    return sum((a + 1) * b for a, b in itertools.pairwise(widths))


def tower(inputs: int, width: int, count: int, groups: int, bias: bool = False) -> nn.Sequential:
    """Build `count` times 3 x 3 convolution, group norm, ReLU; weights begin at N(0, 0.01), as the originals' do."""
    layers: list[nn.Module] = []
    for number in range(count):
        layer = nn.Conv2d(inputs if number == 0 else width, width, 3, padding=1, bias=bias)
        nn.init.normal_(layer.weight, std=0.01)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        layers.append(layer)
        layers += [nn.GroupNorm(groups, width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class FeaturePyramid(nn.Module):
    """Feature pyramid (Lin et al. 2017): lateral 1 x 1 and output 3 x 3 convolutions, summed from the top down.

    Parameters
    ----------
    channels : sequence of int
        Channels of the backbone's maps, finest first; each half as large as the one before.
    width : int
        Channels of the pyramid.
    pooled : int
        Coarser levels added by subsampling the last one (as SOLOv2 has them).
    strided : int
        Coarser levels added by strided convolutions (as FCOS and CondInst have them).
    """

    def __init__(self, channels: Sequence[int], width: int, pooled: int = 0, strided: int = 0) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(number, width, 1) for number in channels)
        self.output = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)
        self.strided = nn.ModuleList(nn.Conv2d(width, width, 3, stride=2, padding=1) for _ in range(strided))
        self.pooled = pooled
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        """Compute all levels, finest first."""
        found: list[torch.Tensor] = []
        above: torch.Tensor | None = None
        for level in reversed(range(len(maps))):
            here = self.lateral[level](maps[level])
            if above is not None:
                here = here + functional.interpolate(above, size=here.shape[-2:], mode="nearest")
            above = here
            found.insert(0, self.output[level](here))
        for number, layer in enumerate(self.strided):
            found.append(layer(functional.relu(found[-1]) if number else found[-1]))
        for _ in range(self.pooled):
            found.append(functional.max_pool2d(found[-1], 1, stride=2))
        return found


class SummedMaskBranch(nn.Module):
    """CondInst's mask branch: levels refined, enlarged to the finest, added, and a tower (Tian et al. 2020, Fig. 3).

    Parameters
    ----------
    levels : int
    inputs, width, outputs : int
        Channels.
    corner_aligned : bool
        See `CondInstConfig`.
    """

    def __init__(self, levels: int, inputs: int, width: int, outputs: int, corner_aligned: bool = True) -> None:
        super().__init__()
        self.corner_aligned = corner_aligned

        def block(channels: int) -> nn.Sequential:
            layers = nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
            nn.init.kaiming_uniform_(layers[0].weight, a=1)
            return nn.Sequential(*layers)

        self.refine = nn.ModuleList(block(inputs) for _ in range(levels))
        self.tower = nn.Sequential(*(block(width) for _ in range(4)), nn.Conv2d(width, outputs, 1))

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Compute (N, outputs, h, w) at the finest level's size."""
        total = self.refine[0](maps[0])
        for layer, level in zip(list(self.refine)[1:], maps[1:], strict=True):
            refined = layer(level)
            size = (total.shape[-2], total.shape[-1])
            if self.corner_aligned:
                raised = enlarge(refined, size[1] // refined.shape[-1])[..., : size[0], : size[1]]
            else:
                raised = functional.interpolate(refined, size=size, mode="bilinear", align_corners=False)
            total = total + raised
        return self.tower(total)


class UnifiedMaskBranch(nn.Module):
    """SOLOv2's and SOTR's mask branch: each level is convolved and doubled in turn up to the finest, then added.

    Parameters
    ----------
    levels : int
    inputs, width, outputs, groups : int
        Channels, and groups of the group norms.
    with_coordinates : bool
        The coarsest level gets coordinates (Wang et al. 2020, Sec. 3.2).
    span : float, optional
        See `coordinates`.
    """

    def __init__(
        self, levels: int, inputs: int, width: int, outputs: int, groups: int, with_coordinates: bool,
        span: float | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.span, self.with_coordinates = span, with_coordinates
        self.steps = nn.ModuleList()
        for level in range(levels):
            first = inputs + (2 if with_coordinates and level == levels - 1 else 0)
            self.steps.append(
                nn.ModuleList(tower(width if step else first, width, 1, groups) for step in range(max(1, level)))
            )
        self.merge = nn.Sequential(
            nn.Conv2d(width, outputs, 1, bias=False), nn.GroupNorm(groups, outputs), nn.ReLU(inplace=True)
        )
        nn.init.normal_(self.merge[0].weight, std=0.01)  # type: ignore[arg-type]

    def forward(self, maps: list[torch.Tensor], strides: Sequence[int]) -> torch.Tensor:
        """Compute (N, outputs, h, w) at the finest level's size; not negative."""
        total: torch.Tensor | None = None
        for level, (steps, value) in enumerate(zip(self.steps, maps, strict=True)):
            if self.with_coordinates and level == len(maps) - 1:
                value = torch.cat([value, coordinates(value, strides[level], self.span)], 1)
            for step in steps:  # type: ignore[attr-defined]
                value = step(value)
                if level:
                    value = functional.interpolate(value, scale_factor=2, mode="bilinear", align_corners=False)
            total = value if total is None else total + value
        return self.merge(total)
