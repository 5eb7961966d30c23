"""What every query-based model is: encode, query, retrieve, and the losses that it is trained with.

A dense extractor makes features, a query creator makes instance-aware queries from them, and a mask is a query's answer
from features (Wang, Liang, Liu 2022, Sec. 3.1).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional

from napari_leafseg.losses.masks import dice_loss
from napari_leafseg.models.base import LeafNetwork
from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingOutput
from napari_leafseg.models.query.backbones import build_backbone
from napari_leafseg.models.query.config import QueryConfig

CATEGORY_STEP = 4096
"""In labels of several layers a pixel holds its leaf's number plus its class times this: exact also as float32."""


class Features(NamedTuple):
    """What `encode` makes.

    Attributes
    ----------
    mask : torch.Tensor
        (N, D, h, w) mask features, which queries are put to.
    levels : list of torch.Tensor
        What queries are made from.
    size : tuple of int
        Height and width of the images.
    """

    mask: torch.Tensor
    levels: list[torch.Tensor]
    size: tuple[int, int]


class Queries(NamedTuple):
    """Queries of a batch, Q in all.

    Attributes
    ----------
    image : torch.Tensor
        int64 (Q,), of which image of the batch.
    weights : torch.Tensor
        (Q, K), what is put to the mask features.
    score : torch.Tensor
        (Q,), 0 to 1.
    position, reach : torch.Tensor
        (Q, 2) x and y in pixels, and (Q,) size in pixels that relative coordinates are measured by; 0 and 1 where a
        model knows none.
    category : torch.Tensor, optional
        int64 (Q,), class; 0 for all where it is None.
    """

    image: torch.Tensor
    weights: torch.Tensor
    score: torch.Tensor
    position: torch.Tensor
    reach: torch.Tensor
    category: torch.Tensor | None = None

    def select(self, chosen: torch.Tensor) -> Queries:
        """Return some of them, by index or mask."""
        return Queries(
            self.image[chosen],
            self.weights[chosen],
            self.score[chosen],
            self.position[chosen],
            self.reach[chosen],
            None if self.category is None else self.category[chosen],
        )

    @property
    def categories(self) -> torch.Tensor:
        """Class of each, int64 (Q,)."""
        return torch.zeros_like(self.image) if self.category is None else self.category


class Instances(NamedTuple):
    """True leaves of a batch, M in all.

    Attributes
    ----------
    image : torch.Tensor
        int64 (M,), of which image of the batch.
    masks : torch.Tensor
        float (M, h, w), share of each pixel at the mask features' stride that belongs to the leaf.
    boxes : torch.Tensor
        float (M, 4), x0, y0, x1, y1 in pixels.
    centers : torch.Tensor
        float (M, 2), x and y of the leaf's pixels' mean.
    known : torch.Tensor
        float (N, H, W), 0 where a pixel is not annotated.
    category : torch.Tensor
        int64 (M,), class.
    """

    image: torch.Tensor
    masks: torch.Tensor
    boxes: torch.Tensor
    centers: torch.Tensor
    known: torch.Tensor
    category: torch.Tensor


class Matched(NamedTuple):
    """What the assignment of queries to leaves gives: positive queries, their leaves, the losses that need no mask."""

    queries: Queries
    instance: torch.Tensor
    losses: dict[str, torch.Tensor]


class Candidates(NamedTuple):
    """Masks of one image, best first.

    Attributes
    ----------
    scores : torch.Tensor
        float32 (Q,), 0 to 1: the query's score, where the configuration says so times its mask's confidence in its own
        pixels.
    masks : torch.Tensor
        float32 (Q, h, w), probabilities at the mask features' size.
    category : torch.Tensor, optional
        int64 (Q,), class; 0 for all where it is None.
    """

    scores: torch.Tensor
    masks: torch.Tensor
    category: torch.Tensor | None = None


def gather_instances(labels: torch.Tensor, stride: int) -> Instances:
    """Return the leaves of label images, those of an image in the order of their numbers.

    Parameters
    ----------
    labels : torch.Tensor
        int (N, H, W), 0 = background, negative = not annotated; or (N, L, H, W), layers on which leaves that overlap
        lie apart, with numbers that hold the class as well (`CATEGORY_STEP`).
    stride : int
        Of the masks wanted.
    """
    images, masks, boxes, centers, categories = [], [], [], [], []
    height, width = labels.shape[-2:]
    x = torch.arange(width, device=labels.device, dtype=torch.float32)
    y = torch.arange(height, device=labels.device, dtype=torch.float32)
    layers = labels if labels.dim() == 4 else labels[:, None]
    for number, planes in enumerate(layers):
        numbers = [torch.unique(plane[plane > 0]) for plane in planes]
        own = torch.cat([plane[None] == some[:, None, None] for plane, some in zip(planes, numbers, strict=True)])
        leaves, order = torch.cat(numbers).sort()
        own = own[order]
        columns, rows = own.sum(1, dtype=torch.float32), own.sum(2, dtype=torch.float32)
        area = rows.sum(1).clamp(min=1)
        centers.append(torch.stack([(columns * x).sum(1) / area, (rows * y).sum(1) / area], 1) + 0.5)
        ends = []
        for line in (columns > 0, rows > 0):
            line = line.int()
            ends.append((line.argmax(1), line.shape[1] - line.flip(1).argmax(1)))
        boxes.append(torch.stack([ends[0][0], ends[1][0], ends[0][1], ends[1][1]], 1).float())
        masks.append(functional.avg_pool2d(own[:, None].float(), stride, ceil_mode=True)[:, 0])
        images.append(torch.full((len(leaves),), number, device=labels.device))
        categories.append((leaves // CATEGORY_STEP if labels.dim() == 4 else torch.zeros_like(leaves)).long())
    known = (layers >= 0).any(1).float()
    return Instances(
        torch.cat(images), torch.cat(masks), torch.cat(boxes), torch.cat(centers), known, torch.cat(categories)
    )


class QueryModel(LeafNetwork):
    """A query-based model; each overrides what is theirs.

    Parameters
    ----------
    config : QueryConfig
    """

    mask_weight = 1.0

    def __init__(self, config: QueryConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.backbone)

    @property
    def stride(self) -> int:
        """Heights and widths must be multiples of this."""
        return self.backbone.strides[-1]

    @property
    def mask_stride(self) -> int:
        """Image pixels per pixel of the masks."""
        return self.backbone.strides[0]

    def encode(self, images: torch.Tensor) -> Features:
        """Return features of standardized images (N, 3, H, W), H and W multiples of `stride`."""
        raise NotImplementedError

    def query(self, features: Features) -> Queries:
        """Return the queries that may stand for leaves, best first within each image, and with duplicates."""
        raise NotImplementedError

    def retrieve(self, queries: Queries, masks: torch.Tensor) -> torch.Tensor:
        """Return mask logits: each query as the weights of a 1 x 1 convolution of its image's mask features.

        Parameters
        ----------
        queries : Queries
        masks : torch.Tensor
            (N, D, h, w) mask features, of these images or of others.

        Returns
        -------
        torch.Tensor
            (Q, h, w).
        """
        found = masks.new_zeros((len(queries.image), *masks.shape[-2:]))
        for number in range(len(masks)):
            own = torch.nonzero(queries.image == number)[:, 0]
            if len(own):
                answers = torch.einsum("qd,dhw->qhw", queries.weights[own].to(masks.dtype), masks[number])
                found = found.index_copy(0, own, answers.to(found.dtype))
        return found

    def retrieve_pixels(self, queries: Queries, pixels: torch.Tensor, relative: torch.Tensor) -> torch.Tensor:
        """Return each query's answer from each of some pixels, of any image: logits (Q, P).

        Parameters
        ----------
        queries : Queries
        pixels : torch.Tensor
            (P, D), mask features.
        relative : torch.Tensor
            (P, 2), how far the pixel's own instance's place lies right and down of it, in that place's reach.
        """
        return queries.weights.float() @ pixels.float().T

    def places(self, matched: Matched, instances: Instances) -> tuple[torch.Tensor, torch.Tensor]:
        """Return where each leaf's own query stands: (M, 2) x and y in pixels, and (M,) its reach; see `Queries`."""
        return instances.centers, torch.ones_like(instances.centers[:, 0])

    def match(self, features: Features, instances: Instances) -> Matched:
        """Assign queries to true leaves; compute the losses of scores and boxes."""
        raise NotImplementedError

    def assign(self, features: Features, instances: Instances) -> Matched:
        """Assign queries to true leaves, where their masks alone are of interest."""
        return self.match(features, instances)

    def mask_losses(self, matched: Matched, features: Features, instances: Instances) -> dict[str, torch.Tensor]:
        """Return the base model's own mask losses (L_intra_mask), those that `match` did not compute."""
        return self.retrieval_losses(matched, features.mask, instances)

    def retrieval_losses(self, matched: Matched, masks: torch.Tensor, instances: Instances) -> dict[str, torch.Tensor]:
        """Return the mask losses of queries put to any mask features: dice, in the mean over the positive queries.

        Parameters
        ----------
        matched : Matched
        masks : torch.Tensor
            (N, D, h, w) mask features that show the leaves where `instances` has them.
        instances : Instances
        """
        if len(matched.instance) == 0:
            return {"mask": masks.sum() * 0 + matched.queries.weights.sum() * 0}
        logits = self.retrieve(matched.queries, masks)
        wanted = instances.masks[matched.instance]
        known = functional.adaptive_max_pool2d(instances.known[:, None], wanted.shape[-2:])[matched.queries.image, 0]
        return {"mask": self.mask_weight * dice_loss(logits, wanted, known).mean()}

    def losses(self, images: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return all losses of a batch, weighted as the original weights them.

        Parameters
        ----------
        images : torch.Tensor
            (N, 3, H, W).
        labels : torch.Tensor
            int64 (N, H, W), 0 = background, negative = not annotated: carries no loss; or layers (N, L, H, W), see
            `gather_instances`.
        """
        return self.losses_of(self.encode(images), labels)

    def losses_of(self, features: Features, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute `losses` of features that are there already."""
        return self.matched_losses(features, labels)[1]

    def matched_losses(self, features: Features, labels: torch.Tensor) -> tuple[Matched, dict[str, torch.Tensor]]:
        """Return the queries that stand for true leaves, and all losses."""
        instances = self.instances(features, labels)
        matched = self.match(features, instances)
        return matched, {**matched.losses, **self.mask_losses(matched, features, instances)}

    def instances(self, features: Features, labels: torch.Tensor) -> Instances:
        """Return the leaves of labels (N, H, W) at the size of the mask logits."""
        return gather_instances(labels, labels.shape[-1] // self.mask_size(features)[1])

    def mask_size(self, features: Features) -> tuple[int, int]:
        """Return the height and width of the mask logits."""
        height, width = features.mask.shape[-2:]
        return height, width

    @torch.no_grad()
    def candidates(self, images: torch.Tensor) -> list[Candidates]:
        """Return masks of each image, best first.

        With `mask_score` the score is multiplied by the mean probability inside the mask (Wang et al. 2020).
        """
        features = self.encode(images)
        queries = self.query(features)
        found = []
        for number in range(len(images)):
            own = queries.select(queries.image == number)
            probability = self.retrieve(own, features.mask).float().sigmoid()
            inside = (probability > 0.5).float()
            area = inside.flatten(1).sum(1)
            score = own.score.float()
            if self.config.mask_score:
                score = score * (probability * inside).flatten(1).sum(1) / area.clamp(min=1)
            kept = torch.nonzero((area > 0) & (score >= self.config.score_floor))[:, 0]
            kept = kept[score[kept].argsort(descending=True, stable=True)][: self.config.candidates]
            found.append(Candidates(score[kept], probability[kept], own.categories[kept]))
        return found

    def distances(self, images: torch.Tensor) -> DistanceEmbeddingOutput:
        """Return what the search for plants goes by: the backbone's distance map, or masks laid over each other."""
        known = self.backbone.plants(images)
        if known is not None:
            return known
        planes = []
        for found in self.candidates(images):
            blank = torch.zeros((1, *images.shape[-2:]), device=images.device)
            seen = (found.masks * found.scores[:, None, None]).amax(0, keepdim=True) if len(found.scores) else None
            planes.append(
                blank if seen is None else functional.interpolate(seen[None], blank.shape[-2:], mode="bilinear")[0]
            )
        seen_all = torch.stack(planes)
        return DistanceEmbeddingOutput(seen_all, torch.logit(seen_all.clamp(0, 0.5) * 1.9, 1e-4), seen_all[:, :0])

    def set_stage(self, first: bool) -> None:
        """Keep the backbone as it came in the first stage; train everything in the second."""
        self.backbone.requires_grad_(not first)
        self.backbone.train(not first)


def annotated_cells(known: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Tell which cells of a grid are annotated in the main: bool (N, h * w)."""
    return functional.interpolate(known[:, None], size=shape, mode="area").flatten(1) > 0.5


def join_queries(parts: list[Queries]) -> Queries:
    """Join queries of several levels."""
    return Queries(
        torch.cat([part.image for part in parts]),
        torch.cat([part.weights for part in parts]),
        torch.cat([part.score for part in parts]),
        torch.cat([part.position for part in parts]),
        torch.cat([part.reach for part in parts]),
        torch.cat([part.categories for part in parts]),
    )


def split_categories(queries: Queries, scores: torch.Tensor, floor: float) -> Queries:
    """Return each query once for every class that it is sure enough of.

    Parameters
    ----------
    queries : Queries
    scores : torch.Tensor
        (Q, classes), 0 to 1.
    floor : float
        The least score; of a model of one class, all stay.
    """
    if scores.shape[1] == 1:
        return queries._replace(score=scores[:, 0], category=torch.zeros_like(queries.image))
    query, category = torch.nonzero(scores >= floor, as_tuple=True)
    return queries.select(query)._replace(score=scores[query, category], category=category)


def category_targets(logits: torch.Tensor, leaf: torch.Tensor, instances: Instances) -> torch.Tensor:
    """Return which class is to be told: 1 for the leaf's, else 0; as `logits` (L, classes), `leaf` -1 for none."""
    wanted = torch.zeros_like(logits)
    positive = torch.nonzero(leaf >= 0)[:, 0]
    wanted[positive, instances.category[leaf[positive]]] = 1.0
    return wanted


def best_first(queries: Queries, floor: float, count: int) -> Queries:
    """Return queries above a score, at most `count` of each image, best first."""
    kept = []
    for number in range(int(queries.image.max()) + 1 if len(queries.image) else 0):
        own = torch.nonzero((queries.image == number) & (queries.score >= floor))[:, 0]
        kept.append(own[queries.score[own].argsort(descending=True, stable=True)][:count])
    return queries.select(torch.cat(kept)) if kept else queries
