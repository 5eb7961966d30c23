"""Queries on grids: what SOLOv2 and SOTR have in common (Wang et al. 2020; Guo et al. 2021)."""

from __future__ import annotations

import torch
from torch.nn import functional

from napari_leafseg.losses.masks import focal_loss
from napari_leafseg.models.query.base import (
    Features,
    Instances,
    Matched,
    Queries,
    QueryModel,
    annotated_cells,
    best_first,
    category_targets,
    join_queries,
    split_categories,
)
from napari_leafseg.models.query.config import GridConfig
from napari_leafseg.models.query.layers import FeaturePyramid, UnifiedMaskBranch

_MASK_LEVELS = 4


def assign_cells(
    instances: Instances, number: int, shape: tuple[int, int], size: tuple[int, int], bounds: tuple[float, float],
    sigma: float,
) -> torch.Tensor:  # fmt: skip
    """Tell which leaf each cell of a grid stands for.

    A leaf takes the cells that the middle `sigma` of its box, put around its center of mass, touches: at most one cell
    to each side of the center's (Wang et al. 2020, Sec. 3.3). Where two leaves want a cell, the smaller has it.

    Parameters
    ----------
    instances : Instances
    number : int
        Images in the batch.
    shape : tuple of int
        Cells along y and x.
    size : tuple of int
        Height and width of the images.
    bounds : tuple of float
        Square roots of the box areas that the grid is responsible for.
    sigma : float

    Returns
    -------
    torch.Tensor
        int64 (number, cells along y, cells along x), -1 where none.
    """
    device = instances.boxes.device
    found = torch.full((number, *shape), -1, dtype=torch.int64, device=device)
    extent = instances.boxes[:, 2:] - instances.boxes[:, :2]
    wide = (extent[:, 0] * extent[:, 1]).sqrt()
    chosen = torch.nonzero((wide >= bounds[0]) & (wide <= bounds[1]))[:, 0]
    chosen = chosen[wide[chosen].argsort(descending=True, stable=True)]  # the smaller are written last
    cells = torch.tensor([shape[1], shape[0]], device=device)
    per_pixel = cells / torch.tensor([size[1], size[0]], device=device)
    center, half = instances.centers[chosen], 0.5 * sigma * extent[chosen]
    middle = (center * per_pixel).floor()
    first = torch.maximum(((center - half) * per_pixel).floor(), middle - 1).clamp(min=0).long()
    last = torch.minimum(torch.minimum(((center + half) * per_pixel).floor(), middle + 1), cells - 1).long()
    for leaf, (left, top), (right, bottom) in zip(chosen.tolist(), first.tolist(), last.tolist(), strict=True):
        found[int(instances.image[leaf]), top : bottom + 1, left : right + 1] = leaf
    return found


def point_nms(scores: torch.Tensor) -> torch.Tensor:
    """Keep scores (N, C, h, w) that are the largest of the 2 x 2 cells up and left of them (SOLOv2)."""
    largest = functional.max_pool2d(scores, 2, stride=1, padding=1)[:, :, :-1, :-1]
    return scores * (largest == scores)


class GridQueryModel(QueryModel):
    """SOLOv2 or SOTR: each cell has a score and the weights of a 1 x 1 convolution.

    Parameters
    ----------
    config : GridConfig
    with_coordinates : bool
        The mask features' coarsest level sees coordinates.
    """

    config: GridConfig
    mask_weight = 3.0

    def __init__(self, config: GridConfig, with_coordinates: bool) -> None:
        super().__init__(config)
        channels = self.backbone.channels
        self.pyramid = FeaturePyramid(channels, config.width, max(0, 1 + max(config.levels) - len(channels)))
        self.mask_branch = UnifiedMaskBranch(
            _MASK_LEVELS, config.width, config.mask_width, config.mask_channels, config.groups, with_coordinates,
            config.span,
        )  # fmt: skip

    def split_levels(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the maps that the grids stand on; with fixed grids the finest is halved, the coarsest doubled."""
        chosen = [levels[number] for number in self.config.levels]
        if self.config.grids is None:
            return chosen
        first = functional.interpolate(chosen[0], scale_factor=0.5, mode="bilinear")
        last = functional.interpolate(chosen[-1], size=chosen[-2].shape[-2:], mode="bilinear")
        return [first, *chosen[1:-1], last]

    def grids(self, features: Features) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return for each level score logits (N, classes, y, x) and queries (N, D, y, x)."""
        raise NotImplementedError

    def query(self, features: Features) -> Queries:
        parts = []
        for logits, weights in self.grids(features):
            scores = logits.float().sigmoid()
            scores = point_nms(scores) if self.config.point_nms else scores
            flat = scores.permute(0, 2, 3, 1).reshape(-1, scores.shape[1])
            parts.append(split_categories(_as_queries(scores.amax(1), weights), flat, self.config.score_floor))
        return best_first(join_queries(parts), self.config.score_floor, 2 * self.config.candidates)

    def match(self, features: Features, instances: Instances) -> Matched:
        parts, leaves, wanted, given, counted = [], [], [], [], []
        for (logits, weights), bounds in zip(self.grids(features), self.config.ranges, strict=True):
            number, _, rows, columns = logits.shape
            target = assign_cells(instances, number, (rows, columns), features.size, bounds, self.config.sigma)
            positive = target.flatten() >= 0
            parts.append(_as_queries(logits.float().sigmoid().amax(1), weights).select(positive))
            leaves.append(target.flatten()[positive])
            flat = logits.flatten(2).transpose(1, 2)
            kinds = category_targets(flat.flatten(0, 1), target.flatten(), instances)
            wanted.append(kinds.reshape(flat.shape).transpose(1, 2))
            given.append(logits.flatten(2))
            counted.append(annotated_cells(instances.known, (rows, columns)) | (target.flatten(1) >= 0))
        queries = join_queries(parts)
        errors = focal_loss(torch.cat(given, 2), torch.cat(wanted, 2)) * torch.cat(counted, 1)[:, None]
        instance = torch.cat(leaves)
        return Matched(queries, instance, {"score": errors.sum() / (len(instance) + 1)})


def _as_queries(scores: torch.Tensor, weights: torch.Tensor) -> Queries:
    number, channels = weights.shape[:2]
    cells = scores[0].numel()
    image = torch.arange(number, device=scores.device).repeat_interleave(cells)
    flat = weights.permute(0, 2, 3, 1).reshape(-1, channels)
    return Queries(image, flat, scores.flatten(), scores.new_zeros(len(image), 2), scores.new_ones(len(image)))
