"""SOLOv2 (Wang, Zhang, Kong, Li, Shen 2020): grids of queries and one unified mask feature."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from napari_leafseg.models.query.base import Features
from napari_leafseg.models.query.config import Solov2Config
from napari_leafseg.models.query.grid import GridQueryModel
from napari_leafseg.models.query.layers import coordinates, tower


def initialize_heads(scores: nn.Conv2d | nn.Linear, *others: nn.Conv2d | nn.Linear) -> None:
    """Initialize with small weights; scores begin at a probability of 0.01 (Lin et al. 2017, Sec. 4.1)."""
    for head in (scores, *others):
        nn.init.normal_(head.weight, std=0.01)
        assert head.bias is not None
        head.bias.data.zero_()
    nn.init.constant_(scores.bias, -math.log(99))  # type: ignore[arg-type]


class Solov2(GridQueryModel):
    """SOLOv2.

    Parameters
    ----------
    config : Solov2Config
    """

    config: Solov2Config

    def __init__(self, config: Solov2Config) -> None:
        super().__init__(config, with_coordinates=True)
        width = config.width
        self.score_tower = tower(width, config.tower_width, config.towers, config.groups)
        self.query_tower = tower(width + 2, config.tower_width, config.towers, config.groups)
        self.score_head = nn.Conv2d(config.tower_width, config.classes, 3, padding=1)
        self.query_head = nn.Conv2d(config.tower_width, config.mask_channels, 3, padding=1)
        initialize_heads(self.score_head, self.query_head)

    def encode(self, images: torch.Tensor) -> Features:
        levels = self.pyramid(self.backbone(images))
        mask = self.mask_branch(levels[:4], self.backbone.strides)
        return Features(mask, levels, (images.shape[-2], images.shape[-1]))

    def grids(self, features: Features) -> list[tuple[torch.Tensor, torch.Tensor]]:
        found = []
        for place, level in enumerate(self.split_levels(features.levels)):
            stride = features.size[1] / level.shape[-1]
            placed = torch.cat([level, coordinates(level, stride, self.config.span)], 1)
            if self.config.grids is not None:
                side = self.config.grids[place]
                placed = functional.interpolate(placed, size=(side, side), mode="bilinear")
            scores = self.score_head(self.score_tower(placed[:, :-2]))
            found.append((scores, self.query_head(self.query_tower(placed))))
        return found
