"""Instance-unique, equivariant training of any query-based model (Wang, Liang, Liu 2022); prediction is untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from napari_leafseg.errors import UserError
from napari_leafseg.losses.unique import (
    angle_consistency,
    consistency_loss,
    direction_loss,
    masked_mean,
    uniqueness_loss,
)
from napari_leafseg.models.query.base import Features, Matched, Queries, QueryModel
from napari_leafseg.training.memory_bank import MemoryBank
from napari_leafseg.training.transforms import Transform, draw_transform

if TYPE_CHECKING:
    from napari_leafseg.models.base import LeafNetwork
    from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingNet, DistanceEmbeddingOutput
    from napari_leafseg.training.unique_config import InstanceUniqueConfig

_AT_ONCE = 2**14  # pixels of the memory that are asked at a time


class InstanceUniqueLoss:
    """Compute uniqueness and equivariance, and keep the memory that one of them needs.

    Parameters
    ----------
    config : InstanceUniqueConfig
    seed : int
        Of the transforms.
    """

    def __init__(self, config: InstanceUniqueConfig, seed: int = 0) -> None:
        self.config, self.seed = config, seed
        self.memory = MemoryBank(
            config.memory_images, config.per_instance, config.memory_pixels, config.memory_background
        )

    def losses(
        self,
        network: QueryModel,
        batch: dict[str, torch.Tensor],
        step: int,
    ) -> dict[str, torch.Tensor]:
        """Return a query-based model's base losses (L_intra among them) with "inter" and "equi", weighted.

        Parameters
        ----------
        network : QueryModel
        batch : dict of torch.Tensor
            ``image``, ``labels`` and ``source`` (what each image is of).
        step : int
            For the warm-up and the transform.
        """
        share, config = self._share(step), self.config
        features = network.encode(batch["image"])
        instances = network.instances(features, batch["labels"])
        matched = network.match(features, instances)
        found = {**matched.losses, **network.mask_losses(matched, features, instances)}
        if config.uniqueness:
            places = network.places(matched, instances)
            self.memory.add(features.mask, batch["labels"], batch["source"], places)
            found["inter"] = share * config.uniqueness * self.uniqueness(network, matched, batch["source"])
        if config.equivariance:
            transform = self._transform(step, network, batch["image"])
            found["equi"] = share * config.equivariance * self.equivariance(network, batch, features, transform)
        return found

    def equivariance(
        self, network: QueryModel, batch: dict[str, torch.Tensor], features: Features, transform: Transform
    ) -> torch.Tensor:
        """Return the l_equi of a query-based model in the configured form."""
        form, weight = self.config.equivariance_form, self.config.features
        if form == "crossed":
            return crossed_equivariance(network, batch, features.mask, transform, weight)
        if form == "augmentation":
            return augmentation_loss(network, batch, features.mask, transform, weight)
        raise UserError(
            f"instance_unique: equivariance_form {form} is for distance + embedding models; a query-based model has "
            "crossed or augmentation."
        )

    def dense_losses(
        self,
        network: DistanceEmbeddingNet,
        batch: dict[str, torch.Tensor],
        step: int,
        before: DistanceEmbeddingOutput | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return what equivariance adds to the losses of a distance + embedding network, weighted.

        Parameters
        ----------
        network : DistanceEmbeddingNet
        batch, step
            As in `losses`.
        before : DistanceEmbeddingOutput, optional
            What the network said of the batch already.
        """
        if not self.config.equivariance:
            return {}
        form = self.config.equivariance_form
        if form == "augmentation":
            raise UserError(
                "instance_unique: equivariance_form augmentation is for query-based models; a distance + embedding "
                "model has crossed or angles."
            )
        transform = self._transform(step, network, batch["image"])
        equi = leaf_equivariance(network, batch, transform, before, angles=form == "angles")
        return {"equi": self._share(step) * self.config.equivariance * equi}

    def _share(self, step: int) -> float:
        """Lambda, and how much of it counts in the warm-up."""
        return self.config.weight * (min(1.0, (step + 1) / self.config.warm_up) if self.config.warm_up else 1.0)

    def _transform(self, step: int, network: LeafNetwork, images: torch.Tensor) -> Transform:
        rng = np.random.default_rng([self.seed, step, 6])
        size = (images.shape[-2], images.shape[-1])
        return draw_transform(rng, self.config.free, self.config.crop, size, network.stride)

    def uniqueness(self, network: QueryModel, matched: Matched, source: torch.Tensor) -> torch.Tensor:
        """Return the l_inter_mask: the positive queries of a batch on the pixels of the memory."""
        queries = matched.queries
        kept = self.memory.sample()
        if kept is None or not len(queries.image):
            return queries.weights.sum() * 0
        pixels, relative, keys = kept
        if len(queries.image) > self.config.queries:
            chosen = torch.randperm(len(queries.image), device=queries.image.device)[: self.config.queries]
            queries = queries.select(chosen)
        foreign = source.to(keys.device)[queries.image][:, None] != keys[None]
        if len(pixels) <= _AT_ONCE:
            return uniqueness_loss(network.retrieve_pixels(queries, pixels, relative), foreign)
        parts = [
            checkpoint(_errors, network, queries, *values, use_reentrant=False)
            for values in zip(*(item.split(_AT_ONCE) for item in (pixels, relative)), foreign.split(_AT_ONCE, 1),
                              strict=True)
        ]  # fmt: skip
        return torch.stack(parts).sum() / foreign.sum().clamp(min=1)


def _errors(
    network: QueryModel, queries: Queries, pixels: torch.Tensor, relative: torch.Tensor, foreign: torch.Tensor
) -> torch.Tensor:
    """Sum the uniqueness loss over a part of the memory."""
    answers = network.retrieve_pixels(queries, pixels, relative)
    return uniqueness_loss(answers, foreign) * foreign.sum().clamp(min=1)


def _moved(images: torch.Tensor, transform: Transform) -> torch.Tensor:
    return transform.maps(images).contiguous(memory_format=torch.channels_last)


def crossed_equivariance(
    network: QueryModel, batch: dict[str, torch.Tensor], mask: torch.Tensor, transform: Transform, weight: float = 0.0
) -> torch.Tensor:
    """Return the l_equi: the queries of g(I) put to g(f(I)), against g(M) (Sec. 3.3).

    Boxes, centers, cells and coordinates are all taken from the transformed labels, so that each model's own
    conventions hold.

    Parameters
    ----------
    network : QueryModel
    batch : dict of torch.Tensor
    mask : torch.Tensor
        (N, D, h, w), f(I): mask features of the images as they are.
    transform : Transform
    weight : float
        Of the agreement of f(g(I)) with g(f(I)), beyond the paper.
    """
    after = network.encode(_moved(batch["image"], transform))
    instances = network.instances(after, transform.labels(batch["labels"]))
    crossed = transform.maps(mask)
    losses = network.retrieval_losses(network.assign(after, instances), crossed, instances)
    total = torch.stack(list(losses.values())).sum()
    return total + weight * consistency_loss(after.mask, crossed, transform.valid(mask)) if weight else total


def augmentation_loss(
    network: QueryModel, batch: dict[str, torch.Tensor], mask: torch.Tensor, transform: Transform, weight: float = 0.0
) -> torch.Tensor:
    """Return the base losses of g(I) against g(M): no more than augmentation, unless features are to agree as well.

    Parameters
    ----------
    network, batch, mask, transform, weight
        As in `crossed_equivariance`.
    """
    after = network.encode(_moved(batch["image"], transform))
    total = torch.stack(list(network.losses_of(after, transform.labels(batch["labels"])).values())).sum()
    crossed = transform.maps(mask) if weight else mask
    return total + weight * consistency_loss(after.mask, crossed, transform.valid(mask)) if weight else total


def leaf_equivariance(
    network: DistanceEmbeddingNet,
    batch: dict[str, torch.Tensor],
    transform: Transform,
    before: DistanceEmbeddingOutput | None = None,
    angles: bool = False,
) -> torch.Tensor:
    """Compare distance map and embedding of g(I) with g of those of I, on the leaves of g(M).

    Where the embedding is made of predicted centers, g moves the centers, and the embedding follows from them.

    Parameters
    ----------
    network : DistanceEmbeddingNet
    batch : dict of torch.Tensor
    transform : Transform
    before : DistanceEmbeddingOutput, optional
        What the network said of the images as they are, where that is there already.
    angles : bool
        Compare the angles between embeddings instead; their directions may turn.
    """
    before = network(batch["image"]) if before is None else before
    after = network(_moved(batch["image"], transform))
    gap = (after.distance.float() - transform.maps(before.distance.float())).square()
    distance = masked_mean(gap, transform.valid(before.distance))
    inside = transform.labels(batch["labels"]) > 0
    if not inside.any():
        return distance
    if angles:
        points = torch.nonzero(inside.flatten(1).any(0))[:, 0]
        points = points[torch.randperm(len(points), device=points.device)[:256]]
        return distance + angle_consistency(after.embedding, transform.maps(before.embedding), points)
    if before.center is None:
        moved = transform.maps(before.embedding)
    else:
        moved = network.embed(transform.vectors(before.center))
    return distance + direction_loss(after.embedding, moved, inside)
