"""Instance-unique, equivariant training of any query-based model (Wang, Liang, Liu 2022); prediction is untouched."""

from __future__ import annotations

import numpy as np
import torch

from napari_leafseg.losses.unique import angle_consistency, consistency_loss, uniqueness_loss
from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingNet, DistanceEmbeddingOutput
from napari_leafseg.models.query.base import Matched, QueryModel
from napari_leafseg.training.config import InstanceUniqueConfig
from napari_leafseg.training.memory_bank import MemoryBank
from napari_leafseg.training.transforms import Transform, draw_transform


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
        self.memory = MemoryBank(config.memory_images, config.per_instance)

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
        share, transform = self._share(step), self._transform(step)
        features = network.encode(batch["image"])
        matched, found = network.matched_losses(features, batch["labels"])
        if self.config.uniqueness:
            self.memory.add(features.mask, batch["labels"], batch["source"])
            inter = self.uniqueness(network, matched, batch["source"])
            found["inter"] = share * self.config.uniqueness * inter
        if self.config.equivariance:
            equi = query_equivariance(network, batch, features.mask, transform, self.config.features)
            found["equi"] = share * self.config.equivariance * equi
        return found

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
        equi = leaf_equivariance(network, batch, self._transform(step), before)
        return {"equi": self._share(step) * self.config.equivariance * equi}

    def _share(self, step: int) -> float:
        """How much of the weights counts in the warm-up."""
        return min(1.0, (step + 1) / self.config.warm_up) if self.config.warm_up else 1.0

    def _transform(self, step: int) -> Transform:
        return draw_transform(np.random.default_rng([self.seed, step, 6]), self.config.free)

    def uniqueness(self, network: QueryModel, matched: Matched, source: torch.Tensor) -> torch.Tensor:
        """Return the l_inter_mask: the positive queries of a batch on the pixels of the memory."""
        queries = matched.queries
        kept = self.memory.sample()
        if kept is None or not len(queries.image):
            return queries.weights.sum() * 0
        pixels, positions, keys = kept
        if len(queries.image) > self.config.queries:
            chosen = torch.randperm(len(queries.image), device=queries.image.device)[: self.config.queries]
            queries = queries.select(chosen)
        foreign = source.to(keys.device)[queries.image][:, None] != keys[None]
        return uniqueness_loss(network.retrieve_pixels(queries, pixels, positions), foreign)


def query_equivariance(
    network: QueryModel, batch: dict[str, torch.Tensor], mask: torch.Tensor, transform: Transform, weight: float
) -> torch.Tensor:
    """Return the l_equi: f(g(I)) against g(f(I)), and g(I)'s own queries and features against g(M).

    Everything that has a direction (boxes, centers, grid cells, coordinates) is taken from the transformed image and
    labels, so that each model's own conventions hold.

    Parameters
    ----------
    network : QueryModel
    batch : dict of torch.Tensor
    mask : torch.Tensor
        (N, D, h, w) mask features of the images as they are.
    transform : Transform
    weight : float
        Of the features' part.
    """
    images = transform.maps(batch["image"]).contiguous(memory_format=torch.channels_last)
    features = network.encode(images)
    own = network.losses_of(features, transform.labels(batch["labels"]))
    gap = consistency_loss(features.mask, transform.maps(mask), transform.valid(mask))
    return torch.stack(list(own.values())).sum() + weight * gap


def leaf_equivariance(
    network: DistanceEmbeddingNet,
    batch: dict[str, torch.Tensor],
    transform: Transform,
    before: DistanceEmbeddingOutput | None = None,
) -> torch.Tensor:
    """Compare the distance map of g(I) with g of I's, and the angles between embeddings (beyond the paper).

    What must be preserved is the angle between two pixels' embeddings, not their directions. `before` is what the
    network said of the images as they are, where that is there already.
    """
    before = network(batch["image"]) if before is None else before
    after = network(transform.maps(batch["image"]).contiguous(memory_format=torch.channels_last))
    valid = transform.valid(before.distance)
    gap = (after.distance.float() - transform.maps(before.distance.float())).square()
    distance = gap.mean() if valid is None else (gap * valid).sum() / valid.sum().clamp(min=1)
    moved = transform.labels(batch["labels"])
    inside = torch.nonzero((moved > 0).flatten(1).any(0))[:, 0]
    if not len(inside):
        return distance
    points = inside[torch.randperm(len(inside), device=inside.device)[:256]]
    return distance + angle_consistency(after.embedding, transform.maps(before.embedding), points)
