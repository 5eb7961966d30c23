"""SOTR (Guo, Niu, Qu, Li 2021): twin attention makes the queries of each grid cell."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from napari_leafseg.models.query.base import Features
from napari_leafseg.models.query.config import SotrConfig
from napari_leafseg.models.query.grid import GridQueryModel
from napari_leafseg.models.query.solov2 import initialize_heads


class LineAttention(nn.Module):
    """Self-attention along the columns or along the rows of a map, with a learned gain that begins at 0.

    Parameters
    ----------
    width, heads : int
    axis : {2, 3}
        2: along the columns (y), 3: along the rows (x).
    """

    def __init__(self, width: int, heads: int, axis: int) -> None:
        super().__init__()
        self.heads, self.axis = heads, axis
        self.to_query = nn.Linear(width, width, bias=False)
        self.to_key_value = nn.Linear(width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width)
        self.gain = nn.Parameter(torch.tensor(0.0))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Compute (N, C, h, w)."""
        lines = maps.permute(0, 3, 2, 1) if self.axis == 2 else maps.permute(0, 2, 3, 1)
        number, count, length, width = lines.shape
        flat = lines.reshape(number * count, length, width)
        query = self.to_query(flat)
        key, value = self.to_key_value(flat).chunk(2, -1)
        shape = (number * count, length, self.heads, width // self.heads)
        heads = [item.reshape(shape).transpose(1, 2) for item in (query, key, value)]
        seen = functional.scaled_dot_product_attention(*heads).transpose(1, 2).reshape(flat.shape)
        result = (self.to_out(seen) * self.gain).reshape(lines.shape)
        return result.permute(0, 3, 2, 1) if self.axis == 2 else result.permute(0, 3, 1, 2)


class _Mixing(nn.Module):
    """Two 3 x 3 convolutions with a learned gain that begins at 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(), nn.Conv2d(width, width, 3, padding=1)
        )
        self.gain = nn.Parameter(torch.tensor(0.0))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.layers(maps) * self.gain


class TwinTransformer(nn.Module):
    """Column attention and row attention side by side, then convolutions, with residual sums (Guo et al., Sec. 3.2).

    Parameters
    ----------
    width, heads, depth : int
    doubled : bool
        See `SotrConfig`.
    """

    def __init__(self, width: int, heads: int, depth: int, doubled: bool) -> None:
        super().__init__()
        self.doubled = doubled
        self.attention = nn.ModuleList(
            nn.ModuleList([LineAttention(width, heads, 2), LineAttention(width, heads, 3)]) for _ in range(depth)
        )
        self.mixing = nn.ModuleList(nn.ModuleList([_Mixing(width), _Mixing(width)]) for _ in range(depth))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Compute (N, C, h, w)."""
        if self.doubled:
            maps = torch.cat([maps, maps], -1)
        for attention, mixing in zip(self.attention, self.mixing, strict=True):
            for pair in (attention, mixing):
                first, second = list(pair)  # type: ignore[call-overload]
                maps = maps + first(maps) + second(maps)
        return torch.stack(maps.chunk(2, -1)).mean(0) if self.doubled else maps


class Sotr(GridQueryModel):
    """SOTR.

    Parameters
    ----------
    config : SotrConfig
    """

    config: SotrConfig

    def __init__(self, config: SotrConfig) -> None:
        super().__init__(config, with_coordinates=False)
        width = config.width
        self.transformer = TwinTransformer(width, config.heads, config.depth, config.doubled)
        self.score_head = nn.Linear(width, config.classes)
        self.query_head = nn.Linear(width, config.mask_channels)
        initialize_heads(self.score_head, self.query_head)

    def encode(self, images: torch.Tensor) -> Features:
        levels = self.pyramid(self.backbone(images))
        # the mask features see what the transformer makes of the coarsest of their levels
        seen = self.transformer(levels[3])
        mask = self.mask_branch([*levels[:3], seen], self.backbone.strides)
        return Features(mask, levels, (images.shape[-2], images.shape[-1]))

    def grids(self, features: Features) -> list[tuple[torch.Tensor, torch.Tensor]]:
        found = []
        for place, level in enumerate(self.split_levels(features.levels)):
            if self.config.grids is not None:
                side = self.config.grids[place]
                level = functional.interpolate(level, size=(side, side), mode="bilinear")
            cells = self.transformer(level).permute(0, 2, 3, 1)
            found.append((self.score_head(cells).permute(0, 3, 1, 2), self.query_head(cells).permute(0, 3, 1, 2)))
        return found
