"""K-Net (Zhang et al. 2021): learned kernels, which what they find updates round by round."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn

from napari_leafseg.models.query.base import (
    Features,
    Instances,
    Matched,
    Queries,
    QueryModel,
    best_first,
    split_categories,
)
from napari_leafseg.models.query.config import KNetConfig
from napari_leafseg.models.query.layers import FeaturePyramid, UnifiedMaskBranch
from napari_leafseg.models.query.matching import (
    Pairs,
    known_pixels,
    match_pairs,
    matched_mask_losses,
    pairwise_dice,
    pairwise_entropy,
    pairwise_focal,
    score_loss,
)

_SCORE, _PIXELS, _DICE = 2.0, 1.0, 4.0  # weights of the losses, and of the matching cost
_LEVELS = 4


class KernelUpdate(nn.Module):
    """Adaptive kernel update (Sec. 3.2): gates decide how much of what a kernel found replaces it.

    Parameters
    ----------
    width : int
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of_features, self.of_kernels = nn.Linear(width, 2 * width), nn.Linear(width, 2 * width)
        self.feature_gate, self.kernel_gate = nn.Linear(width, width), nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.out = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(inplace=True))

    def forward(self, found: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        """Compute new kernels of the features that the kernels found; (N, Q, C) all."""
        found_in, found_out = self.of_features(found).chunk(2, -1)
        kernel_in, kernel_out = self.of_kernels(kernels).chunk(2, -1)
        both = found_in * kernel_in
        of_found = self.norms[0](self.feature_gate(both)).sigmoid()
        of_kernel = self.norms[1](self.kernel_gate(both)).sigmoid()
        return self.out(of_found * self.norms[2](found_out) + of_kernel * self.norms[3](kernel_out))


class UpdateRound(nn.Module):
    """One round: gather features, update the kernels, let them see each other, predict (Sec. 3.2).

    Parameters
    ----------
    width, heads, feedforward, classes : int
    """

    def __init__(self, width: int, heads: int, feedforward: int, classes: int) -> None:
        super().__init__()
        self.update = KernelUpdate(width)
        self.interaction = nn.MultiheadAttention(width, heads, batch_first=True)
        self.forward_layers = nn.Sequential(
            nn.Linear(width, feedforward), nn.ReLU(inplace=True), nn.Linear(feedforward, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.score_layers, self.mask_layers = _hidden(width), _hidden(width)
        self.score_head, self.mask_head = nn.Linear(width, classes), nn.Linear(width, width)
        nn.init.constant_(self.score_head.bias, -math.log(99))

    def forward(
        self, masks: torch.Tensor, features: torch.Tensor, kernels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute class logits, mask kernels and the next kernels.

        Parameters
        ----------
        masks : torch.Tensor
            (N, Q, h, w), mask logits of the round before.
        features : torch.Tensor
            (N, C, h, w).
        kernels : torch.Tensor
            (N, Q, C).
        """
        inside = masks.float().sigmoid().flatten(2)
        # the norms take any factor out: the mean over a mask does what the sum does, for masks of any size
        found = inside @ features.float().flatten(2).transpose(1, 2) / inside.sum(2, keepdim=True).clamp(min=1.0)
        updated = self.update(found.to(kernels.dtype), kernels)
        updated = self.norms[0](updated + self.interaction(updated, updated, updated, need_weights=False)[0])
        updated = self.norms[1](updated + self.forward_layers(updated))
        return self.score_head(self.score_layers(updated)), self.mask_head(self.mask_layers(updated)), updated


class _Said(NamedTuple):
    """What a round says: class logits (None before the first), mask kernels (N, Q, C), mask logits (N, Q, h, w)."""

    scores: torch.Tensor | None
    kernels: torch.Tensor
    masks: torch.Tensor


class KNet(QueryModel):
    """K-Net for instances.

    Parameters
    ----------
    config : KNetConfig
    """

    config: KNetConfig

    def __init__(self, config: KNetConfig) -> None:
        super().__init__(config)
        width = config.mask_channels
        self.pyramid = FeaturePyramid(self.backbone.channels, config.width)
        self.mask_branch = UnifiedMaskBranch(
            _LEVELS, config.width, config.width, width, config.groups, True, config.span
        )
        self.kernels = nn.Parameter(torch.randn(config.queries, width) * 0.1)
        self.rounds = nn.ModuleList(
            UpdateRound(width, config.heads, config.feedforward, config.classes) for _ in range(config.rounds)
        )

    def encode(self, images: torch.Tensor) -> Features:
        levels = self.pyramid(self.backbone(images))
        mask = self.mask_branch(levels[:_LEVELS], self.backbone.strides)
        return Features(mask, levels, (images.shape[-2], images.shape[-1]))

    def _rounds(self, features: Features) -> list[_Said]:
        kernels = self.kernels.expand(len(features.mask), -1, -1)
        said = [_Said(None, kernels, _masks(kernels, features.mask))]
        for step in self.rounds:
            scores, mask_kernels, kernels = step(said[-1].masks, features.mask, kernels)
            said.append(_Said(scores, mask_kernels, _masks(mask_kernels, features.mask)))
        return said

    def _queries(self, said: _Said) -> tuple[torch.Tensor, Queries]:
        """Scores (N * Q, classes) and the queries."""
        assert said.scores is not None
        number, count = said.kernels.shape[:2]
        scores = said.scores.float().sigmoid().flatten(0, 1)
        image = torch.arange(number, device=scores.device).repeat_interleave(count)
        places, reach = scores.new_zeros(len(scores), 2), scores.new_ones(len(scores))
        return scores, Queries(image, said.kernels.flatten(0, 1), scores.amax(1), places, reach)

    def query(self, features: Features) -> Queries:
        scores, queries = self._queries(self._rounds(features)[-1])
        found = split_categories(queries, scores, self.config.score_floor)
        return best_first(found, self.config.score_floor, self.config.candidates)

    def match(self, features: Features, instances: Instances) -> Matched:
        said = self._rounds(features)
        known = known_pixels(instances, (said[0].masks.shape[-2], said[0].masks.shape[-1]))
        scores, earlier = [], []
        for place, item in enumerate(said):
            pairs = _match(item, instances, known)
            if item.scores is not None:
                flat = item.scores.flatten(0, 1)
                scores.append(score_loss(flat, instances.category, pairs, item.masks, known))
            if place < len(said) - 1:
                image = pairs.query // item.masks.shape[1]
                logits = item.masks.flatten(0, 1)[pairs.query]
                parts = matched_mask_losses(logits, instances.masks[pairs.instance], known[image], (_PIXELS, _DICE))
                earlier += list(parts.values())
        losses = {"score": _SCORE * torch.stack(scores).sum(), "rounds": torch.stack(earlier).sum()}
        return Matched(self._queries(said[-1])[1].select(pairs.query), pairs.instance, losses)

    def retrieval_losses(self, matched: Matched, masks: torch.Tensor, instances: Instances) -> dict[str, torch.Tensor]:
        """Return the mask losses of queries put to any mask features."""
        logits = self.retrieve(matched.queries, masks)
        known = known_pixels(instances, (logits.shape[-2], logits.shape[-1]))[matched.queries.image]
        found = matched_mask_losses(logits, instances.masks[matched.instance], known, (_PIXELS, _DICE))
        found["mask"] = found["mask"] + masks.sum() * 0
        return found


@torch.no_grad()
def _match(said: _Said, instances: Instances, known: torch.Tensor) -> Pairs:
    """Match a round's kernels to the leaves."""
    costs = []
    for image, masks in enumerate(said.masks):
        own = instances.image == image
        wanted = instances.masks[own]
        cost = _PIXELS * pairwise_entropy(masks, wanted, known[image])
        cost = cost + _DICE * (1 - pairwise_dice(masks, wanted, known[image]))
        if said.scores is not None:
            cost = cost + _SCORE * pairwise_focal(said.scores[image], instances.category[own])
        costs.append(cost)
    return match_pairs(costs, said.masks.device)


def _masks(kernels: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    return torch.einsum("nqc,nchw->nqhw", kernels.to(features.dtype), features)


def _hidden(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(inplace=True))
