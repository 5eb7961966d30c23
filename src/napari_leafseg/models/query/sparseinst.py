"""SparseInst (Cheng et al. 2022): sparse maps that light up where an instance is gather its features into a query."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from napari_leafseg.models.query.base import (
    Features,
    Instances,
    Matched,
    Queries,
    QueryModel,
    best_first,
    split_categories,
)
from napari_leafseg.models.query.config import SparseInstConfig
from napari_leafseg.models.query.layers import FeaturePyramid, coordinates
from napari_leafseg.models.query.matching import (
    known_pixels,
    match_pairs,
    matched_mask_losses,
    pairwise_dice,
    score_loss,
)

_SCORE, _PIXELS, _DICE, _OBJECT = 2.0, 5.0, 2.0, 1.0  # weights of the losses
_ALPHA = 0.8  # of the mask in the matching score, against the class


class PyramidPooling(nn.Module):
    """Pyramid pooling (Zhao et al. 2017) with a residual: what lies around at four sizes (Sec. 3.2).

    Parameters
    ----------
    width : int
    sizes : tuple of int
        Cells along each side.
    """

    def __init__(self, width: int, sizes: tuple[int, ...] = (1, 2, 3, 6)) -> None:
        super().__init__()
        self.sizes = sizes
        self.reduce = nn.ModuleList(nn.Conv2d(width, width // 4, 1) for _ in sizes)
        self.merge = nn.Conv2d(width + len(sizes) * (width // 4), width, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Compute (N, C, h, w)."""
        seen = [maps]
        for size, layer in zip(self.sizes, self.reduce, strict=True):
            pooled = functional.relu(layer(functional.adaptive_avg_pool2d(maps, size)))
            seen.append(functional.interpolate(pooled, size=maps.shape[-2:], mode="bilinear"))
        return functional.relu(self.merge(torch.cat(seen, 1)))


class SparseInst(QueryModel):
    """SparseInst, with the activation maps in groups.

    Parameters
    ----------
    config : SparseInstConfig
    """

    config: SparseInstConfig

    def __init__(self, config: SparseInstConfig) -> None:
        super().__init__(config)
        width, channels = config.width, self.backbone.channels[config.first_level :]
        self.pooling = PyramidPooling(width)
        self.coarsest = nn.Conv2d(channels[-1], width, 1)
        self.pyramid = FeaturePyramid((*channels[:-1], width), width)
        self.fuse = nn.Conv2d(len(channels) * width, width, 1)
        self.instance_tower = _tower(width + 2, width, config.towers)
        self.mask_tower = _tower(width + 2, width, config.towers)
        self.activation = nn.Conv2d(width, config.queries * config.activation_groups, 3, padding=1)
        self.gather = nn.Linear(width * config.activation_groups, width * config.activation_groups)
        self.score_head = nn.Linear(width * config.activation_groups, config.classes)
        self.object_head = nn.Linear(width * config.activation_groups, 1)
        self.query_head = nn.Linear(width * config.activation_groups, config.mask_channels)
        self.mask_head = nn.Conv2d(width, config.mask_channels, 1)
        for head in (self.activation, self.score_head):
            nn.init.normal_(head.weight, std=0.01)
            assert head.bias is not None
            nn.init.constant_(head.bias, -math.log(99))

    @property
    def mask_stride(self) -> int:
        return self.backbone.strides[self.config.first_level] // self.config.upsample

    def encode(self, images: torch.Tensor) -> Features:
        maps = self.backbone(images)[self.config.first_level :]
        levels = self.pyramid([*maps[:-1], self.pooling(self.coarsest(maps[-1]))])
        size = levels[0].shape[-2:]
        raised = [levels[0], *(functional.interpolate(level, size=size, mode="bilinear") for level in levels[1:])]
        fused = self.fuse(torch.cat(raised, 1))
        stride = images.shape[-1] / fused.shape[-1]
        placed = torch.cat([fused, coordinates(fused, stride, self.config.span)], 1)
        mask = self.mask_head(self.mask_tower(placed))
        return Features(mask, [self.instance_tower(placed)], (images.shape[-2], images.shape[-1]))

    def mask_size(self, features: Features) -> tuple[int, int]:
        height, width = features.mask.shape[-2:]
        return height * self.config.upsample, width * self.config.upsample

    def _heads(self, features: Features) -> tuple[torch.Tensor, torch.Tensor, Queries]:
        """Class logits (N * Q, classes), object logits (N * Q,), and the queries."""
        level = features.levels[0]
        number, width = level.shape[:2]
        groups, count = self.config.activation_groups, self.config.queries
        lit = self.activation(level).float().sigmoid().flatten(2)
        lit = lit / lit.sum(2, keepdim=True).clamp(min=1e-6)
        seen = lit @ level.float().flatten(2).transpose(1, 2)  # what each map gathers: (N, groups * Q, C)
        seen = seen.reshape(number, groups, count, width).transpose(1, 2).reshape(number * count, groups * width)
        seen = functional.relu(self.gather(seen.to(level.dtype)))
        scores, objects = self.score_head(seen), self.object_head(seen)[:, 0]
        sure = (scores.float().sigmoid().amax(1) * objects.float().sigmoid()).sqrt()
        image = torch.arange(number, device=level.device).repeat_interleave(count)
        places, reach = sure.new_zeros(len(sure), 2), sure.new_ones(len(sure))
        return scores, objects, Queries(image, self.query_head(seen), sure, places, reach)

    def query(self, features: Features) -> Queries:
        scores, objects, queries = self._heads(features)
        sure = (scores.float().sigmoid() * objects.float().sigmoid()[:, None]).sqrt()
        found = split_categories(queries, sure, self.config.score_floor)
        return best_first(found, self.config.score_floor, self.config.candidates)

    def retrieve(self, queries: Queries, masks: torch.Tensor) -> torch.Tensor:
        found = super().retrieve(queries, masks)
        if self.config.upsample == 1 or not len(found):
            size = (masks.shape[-2] * self.config.upsample, masks.shape[-1] * self.config.upsample)
            return found.reshape(len(found), *size)
        return functional.interpolate(found[:, None], scale_factor=self.config.upsample, mode="bilinear")[:, 0]

    def match(self, features: Features, instances: Instances) -> Matched:
        scores, objects, queries = self._heads(features)
        number = len(features.mask)
        logits = self.retrieve(queries, features.mask)
        known = known_pixels(instances, (logits.shape[-2], logits.shape[-1]))
        planes = logits.reshape(number, -1, *logits.shape[-2:])
        with torch.no_grad():
            sure = scores.float().sigmoid().reshape(number, -1, self.config.classes)
            costs = []
            for image in range(number):
                own = instances.image == image
                dice = pairwise_dice(planes[image], instances.masks[own], known[image])
                costs.append(-(sure[image][:, instances.category[own]] ** (1 - _ALPHA)) * dice**_ALPHA)
            pairs = match_pairs(costs, logits.device)
        losses = {"score": _SCORE * score_loss(scores, instances.category, pairs, planes, known)}
        found, wanted = logits.detach()[pairs.query] > 0, instances.masks[pairs.instance] > 0.5
        seen = known[queries.image[pairs.query]] > 0
        common, union = (found & wanted & seen).flatten(1).sum(1), ((found | wanted) & seen).flatten(1).sum(1)
        overlap = common / union.clamp(min=1)
        errors = functional.binary_cross_entropy_with_logits(objects[pairs.query].float(), overlap, reduction="sum")
        losses["object"] = _OBJECT * errors / max(1, len(overlap)) + objects.sum() * 0
        return Matched(queries.select(pairs.query), pairs.instance, losses)

    def retrieval_losses(self, matched: Matched, masks: torch.Tensor, instances: Instances) -> dict[str, torch.Tensor]:
        """Return the mask losses of queries put to any mask features."""
        logits = self.retrieve(matched.queries, masks)
        known = known_pixels(instances, (logits.shape[-2], logits.shape[-1]))[matched.queries.image]
        found = matched_mask_losses(logits, instances.masks[matched.instance], known, (_PIXELS, _DICE))
        found["mask"] = found["mask"] + masks.sum() * 0
        return found


def _tower(inputs: int, width: int, count: int) -> nn.Sequential:
    """Build `count` times 3 x 3 convolution, ReLU."""
    layers: list[nn.Module] = []
    for number in range(count):
        convolution = nn.Conv2d(inputs if number == 0 else width, width, 3, padding=1)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        assert convolution.bias is not None
        nn.init.zeros_(convolution.bias)
        layers += [convolution, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
