"""CondInst (Tian, Shen, Chen 2020): each location of an FCOS head writes a small network that finds its leaf."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from napari_leafseg.losses.masks import focal_loss, giou_loss
from napari_leafseg.models.query.base import (
    Features,
    Instances,
    Matched,
    Queries,
    QueryModel,
    best_first,
    category_targets,
    split_categories,
)
from napari_leafseg.models.query.config import CondInstConfig
from napari_leafseg.models.query.layers import (
    FeaturePyramid,
    SummedMaskBranch,
    dynamic_convolution,
    dynamic_parameters,
    enlarge,
    locations,
    tower,
)
from napari_leafseg.models.query.solov2 import initialize_heads


def assign_locations(
    instances: Instances, image: torch.Tensor, points: torch.Tensor, stride: torch.Tensor, bounds: torch.Tensor,
    radius: float,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Tell which leaf each location stands for (Tian et al. 2020, Sec. 3.3).

    A location is positive for a leaf when it lies in its box, within `radius` strides of the mask's center of mass, and
    the farthest side of the box is within the level's range. Of several leaves, the one with the smallest box has it.

    Parameters
    ----------
    instances : Instances
    image : torch.Tensor
        int64 (L,), the image of each location.
    points : torch.Tensor
        (L, 2), x and y.
    stride : torch.Tensor
        (L,).
    bounds : torch.Tensor
        (L, 2), the range of the farthest side.
    radius : float

    Returns
    -------
    leaf : torch.Tensor
        int64 (L,), -1 where none.
    sides : torch.Tensor
        (L, 4), distances to the left, top, right and bottom of that leaf's box.
    """
    count = len(instances.boxes)
    if count == 0:
        return torch.full_like(image, -1), points.new_zeros((len(points), 4)).float()
    low, high = instances.boxes[:, :2], instances.boxes[:, 2:]
    place = points[:, None].float()
    sides = torch.cat([place - low, high - place], 2)  # (L, M, 4)
    middle = instances.centers
    reach = radius * stride[:, None, None]
    near = torch.cat([place - torch.maximum(middle - reach, low), torch.minimum(middle + reach, high) - place], 2)
    farthest = sides.amax(2)
    suits = (near.amin(2) > 0) & (farthest >= bounds[:, :1]) & (farthest <= bounds[:, 1:])
    suits &= image[:, None] == instances.image
    area = (high - low).prod(1).expand(len(points), count).masked_fill(~suits, torch.inf)
    smallest, leaf = area.min(1)
    return leaf.masked_fill(smallest.isinf(), -1), sides[torch.arange(len(points), device=leaf.device), leaf]


def centerness(sides: torch.Tensor) -> torch.Tensor:
    """Tell how central a location lies in its box, 0 to 1 (Tian et al. 2019, Eq. 3); `sides` (Q, 4)."""
    across, along = sides[:, [0, 2]], sides[:, [1, 3]]
    share = across.amin(1) / across.amax(1).clamp(min=1e-6) * along.amin(1) / along.amax(1).clamp(min=1e-6)
    return share.clamp(min=0).sqrt()


def box_nms(boxes: torch.Tensor, scores: torch.Tensor, most: float) -> torch.Tensor:
    """Return indices of the boxes that stay, best first: no box overlaps a better one by more than an IoU of `most`.

    Parameters
    ----------
    boxes : torch.Tensor
        (Q, 4), x0, y0, x1, y1.
    scores : torch.Tensor
        (Q,).
    most : float
    """
    order = scores.argsort(descending=True, stable=True)
    boxes = boxes[order]
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = (high - low).clamp(min=0).prod(2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    overlaps = (common / (area[:, None] + area[None] - common).clamp(min=1e-6) > most).cpu()
    stays = torch.ones(len(boxes), dtype=torch.bool)
    for number in range(len(boxes)):
        if stays[number]:
            stays[number + 1 :] &= ~overlaps[number, number + 1 :]
    return order[stays.to(order.device)]


class _Scale(nn.Module):
    """A learned factor."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * self.factor


class CondInst(QueryModel):
    """CondInst.

    Parameters
    ----------
    config : CondInstConfig
    """

    config: CondInstConfig

    def __init__(self, config: CondInstConfig) -> None:
        super().__init__(config)
        width = config.width
        channels = self.backbone.channels
        self.first = 0 if config.extra_levels == 0 else 1  # the published pyramid begins at a stride of 8
        self.pyramid = FeaturePyramid(channels[self.first :], width, strided=config.extra_levels)
        strides = [*self.backbone.strides[self.first :]]
        while len(strides) <= max(config.levels):
            strides.append(2 * strides[-1])
        self.strides = [strides[level] for level in config.levels]
        self.score_tower = tower(width, width, config.towers, config.groups, bias=True)
        self.box_tower = tower(width, width, config.towers, config.groups, bias=True)
        self.score_head = nn.Conv2d(width, config.classes, 3, padding=1)
        self.box_head = nn.Conv2d(width, 4, 3, padding=1)
        self.centre_head = nn.Conv2d(width, 1, 3, padding=1)
        self.scales = nn.ModuleList(_Scale() for _ in config.levels if config.scales)
        inputs = config.mask_channels + 2
        count = dynamic_parameters(inputs, config.mask_channels, config.layers)
        self.controller = nn.Conv2d(width, count, 3, padding=1)
        self.mask_branch = SummedMaskBranch(
            len(config.mask_levels), width, config.mask_width, config.mask_channels, config.corner_aligned
        )
        if config.semantic:
            self.semantic = nn.ModuleDict(
                {
                    "tower": nn.Sequential(*_semantic_tower(width, config.mask_width)),
                    "head": nn.Conv2d(config.mask_width, config.classes, 1),
                }
            )
            nn.init.constant_(self.semantic["head"].bias, -math.log(99))  # type: ignore[arg-type]
        initialize_heads(self.score_head, self.box_head, self.centre_head, self.controller)
        nn.init.constant_(self.box_head.bias, config.box_start)  # type: ignore[arg-type]

    @property
    def stride(self) -> int:
        return max(self.backbone.strides[-1], self.strides[-1])

    @property
    def mask_stride(self) -> int:
        return self._branch_stride // self.config.upsample

    @property
    def _branch_stride(self) -> int:
        return self.backbone.strides[self.first + self.config.mask_levels[0]]

    def encode(self, images: torch.Tensor) -> Features:
        levels = self.pyramid(self.backbone(images)[self.first :])
        mask = self.mask_branch([levels[level] for level in self.config.mask_levels])
        return Features(mask, levels, (images.shape[-2], images.shape[-1]))

    def mask_size(self, features: Features) -> tuple[int, int]:
        height, width = features.mask.shape[-2:]
        return height * self.config.upsample, width * self.config.upsample

    def _heads(self, features: Features) -> dict[str, torch.Tensor]:
        """What the heads say of every location, L in all."""
        found: dict[str, list[torch.Tensor]] = {}
        reaches = [*self.config.sizes, 2 * self.config.sizes[-1]]
        ends = [-1.0, *self.config.sizes, 1e8]
        for place, (number, stride) in enumerate(zip(self.config.levels, self.strides, strict=True)):
            level = features.levels[number]
            scores, boxes = self.score_tower(level), self.box_tower(level)
            raw = self.box_head(boxes)
            raw = functional.relu(self.scales[place](raw) if self.config.scales else raw)
            points = locations((level.shape[-2], level.shape[-1]), stride, level.device)
            count, images = len(points), len(level)
            parts = {
                "score": self.score_head(scores),
                "sides": raw * stride,
                "center": self.centre_head(boxes),
                "weights": self.controller(boxes),
            }
            for name, value in parts.items():
                found.setdefault(name, []).append(value.permute(0, 2, 3, 1).reshape(images * count, -1))
            bounds = torch.tensor(ends[place : place + 2], device=level.device)
            entries = {
                "image": torch.arange(images, device=level.device).repeat_interleave(count),
                "points": points.repeat(images, 1),
                "stride": torch.full((images * count,), float(stride), device=level.device),
                "bounds": bounds.expand(images * count, 2),
                "reach": torch.full((images * count,), float(reaches[place]), device=level.device),
            }
            for name, value in entries.items():
                found.setdefault(name, []).append(value)
        return {name: torch.cat(values) for name, values in found.items()}

    def query(self, features: Features) -> Queries:
        said = self._heads(features)
        sure = said["score"].float().sigmoid()
        score = (sure * said["center"].float().sigmoid()).sqrt() * (sure >= 0.05)
        order = torch.arange(len(score), device=score.device)
        queries = Queries(said["image"], order[:, None], score.amax(1), said["points"].float(), said["reach"])
        joined = split_categories(queries, score, self.config.score_floor)
        likely = best_first(joined, self.config.score_floor, 4 * self.config.candidates)
        index = likely.weights[:, 0]
        place, sides = said["points"].float(), said["sides"].float()
        boxes = torch.cat([place - sides[:, :2], place + sides[:, 2:]], 1)[index]
        boxes = boxes + 1e5 * likely.categories[:, None]  # boxes of two classes never overlap
        kept = []
        for number in range(len(features.mask)):
            own = torch.nonzero(likely.image == number)[:, 0]
            kept.append(own[box_nms(boxes[own], likely.score[own], self.config.box_overlap)])
        chosen = torch.cat(kept)
        return likely.select(chosen)._replace(weights=said["weights"][index[chosen]])

    def retrieve(self, queries: Queries, masks: torch.Tensor) -> torch.Tensor:
        height, width = masks.shape[-2:]
        points = locations((height, width), self._branch_stride, masks.device)
        relative = (queries.position[:, :, None] - points.T[None]) / queries.reach[:, None, None]
        seen = torch.cat([relative.to(masks.dtype), masks[queries.image].flatten(2)], 1)
        answers = dynamic_convolution(seen, queries.weights, self.config.mask_channels, self.config.layers)
        return enlarge(answers.reshape(-1, 1, height, width), self.config.upsample)[:, 0]

    def retrieve_pixels(self, queries: Queries, pixels: torch.Tensor, relative: torch.Tensor) -> torch.Tensor:
        seen = torch.cat([relative.float(), pixels.float()], 1).T.expand(len(queries.image), -1, -1)
        return dynamic_convolution(seen, queries.weights.float(), self.config.mask_channels, self.config.layers)

    def places(self, matched: Matched, instances: Instances) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a positive location of each leaf, and its level's reach; its center where it has none."""
        low, high = instances.boxes[:, :2], instances.boxes[:, 2:]
        farthest = torch.maximum(instances.centers - low, high - instances.centers).amax(1)
        ends = torch.tensor(self.config.sizes, device=farthest.device)
        reaches = torch.cat([ends, 2 * ends[-1:]])
        place, reach = instances.centers.clone(), reaches[torch.bucketize(farthest, ends)]
        order = torch.randperm(len(matched.instance), device=farthest.device)
        place[matched.instance[order]] = matched.queries.position[order].to(place.dtype)
        reach[matched.instance[order]] = matched.queries.reach[order].to(reach.dtype)
        return place, reach

    def match(self, features: Features, instances: Instances) -> Matched:
        said = self._heads(features)
        leaf, sides = assign_locations(
            instances, said["image"], said["points"], said["stride"], said["bounds"], self.config.radius
        )
        positive = leaf >= 0
        height, width = features.size
        x, y = said["points"][:, 0].clamp(max=width - 1), said["points"][:, 1].clamp(max=height - 1)
        counted = (instances.known[said["image"], y, x] > 0) | positive
        one_hot = category_targets(said["score"], leaf, instances)
        total = positive.sum().clamp(min=1)
        losses = {"score": (focal_loss(said["score"], one_hot) * counted[:, None]).sum() / total}
        wanted = centerness(sides[positive])
        unit = said["stride"][positive, None]
        errors = giou_loss(said["sides"][positive].float() / unit, sides[positive] / unit)
        losses["box"] = (errors * wanted).sum() / wanted.sum().clamp(min=1e-6)
        losses["center"] = (
            functional.binary_cross_entropy_with_logits(said["center"][positive, 0].float(), wanted, reduction="sum")
            / total
        )
        if self.config.semantic:
            losses["semantic"] = self._semantic_loss(features, instances)
        chosen = torch.nonzero(positive)[:, 0]
        if len(chosen) > self.config.queries:
            chosen = chosen[torch.randperm(len(chosen), device=chosen.device)[: self.config.queries]]
        queries = Queries(
            said["image"], said["weights"], said["score"].float().sigmoid().amax(1), said["points"].float(),
            said["reach"],
        ).select(chosen)  # fmt: skip
        return Matched(queries, leaf[chosen], losses)

    def _semantic_loss(self, features: Features, instances: Instances) -> torch.Tensor:
        """The focal loss of the classes at each place of the mask branch, over the number of leaf places."""
        said = self.semantic["head"](self.semantic["tower"](features.levels[self.config.mask_levels[0]])).float()
        shape = (said.shape[-2], said.shape[-1])
        x, y = locations(shape, self._branch_stride, said.device).T
        height, width = features.size
        target = torch.zeros_like(said)
        if len(instances.image):
            step = width // instances.masks.shape[-1]
            rows = (y // step).clamp(max=instances.masks.shape[-2] - 1)
            seen = instances.masks[:, rows, (x // step).clamp(max=instances.masks.shape[-1] - 1)] >= 0.5
            plane = instances.image * said.shape[1] + instances.category
            target = target.view(-1, seen.shape[1]).index_add(0, plane, seen.to(said.dtype)).clamp(max=1).view_as(said)
        known = instances.known[:, y.clamp(max=height - 1), x.clamp(max=width - 1)].view(len(said), 1, *shape)
        return (focal_loss(said, target) * known).sum() / target.sum().clamp(min=1)


def _semantic_tower(width: int, inner: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for channels in (width, inner):
        layers += [nn.Conv2d(channels, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(inplace=True)]
    return layers
