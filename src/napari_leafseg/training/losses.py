"""What a training minimizes: each family's own losses, and what instance-unique training adds."""

from __future__ import annotations

import torch

from napari_leafseg.errors import UserError
from napari_leafseg.losses.distance_embedding import (
    EmbeddingLoss,
    center_loss,
    contacts,
    distance_loss,
    embedding_loss,
    foreground_loss,
)
from napari_leafseg.models.build import Network
from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingNet, DistanceEmbeddingOutput
from napari_leafseg.models.query.base import QueryModel
from napari_leafseg.models.registry import get_family, resolve
from napari_leafseg.training.config import LossConfig
from napari_leafseg.training.instance_unique import InstanceUniqueLoss


def compute_losses(
    network: Network, batch: dict[str, torch.Tensor], config: LossConfig, first_only: bool = False
) -> dict[str, torch.Tensor]:
    """Compute all weighted losses of a batch, and their sum under "total".

    Pixels with a negative label are not annotated and count in none of them.

    Parameters
    ----------
    network : LeafNetwork
    batch : dict of torch.Tensor
        From `napari_leafseg.training.data.draw_batch`.
    config : LossConfig
    first_only : bool
        Run the first network alone: the first stage of a staged training.
    """
    own = get_family(network.config.kind).losses
    if own is not None:
        losses: dict[str, torch.Tensor] = resolve(own)(network, batch, config, first_only)
        return losses
    found = network.losses(batch["image"], batch["labels"])
    return {**found, "total": torch.stack(list(found.values())).sum()}


def dense_losses(
    network: DistanceEmbeddingNet, batch: dict[str, torch.Tensor], config: LossConfig, first_only: bool = False
) -> dict[str, torch.Tensor]:
    """Run a distance + embedding network and compute its losses (Wu et al. 2020: D-loss + E-loss)."""
    output = network.distances(batch["image"]) if first_only else network(batch["image"])
    return leaf_losses(output, batch, config, first_only)


def instance_unique_losses(
    network: Network, batch: dict[str, torch.Tensor], config: LossConfig, instance_unique: InstanceUniqueLoss,
    step: int, first_only: bool = False,
) -> dict[str, torch.Tensor]:  # fmt: skip
    """Compute all losses of instance-unique training, and their "total".

    Parameters
    ----------
    network : LeafNetwork
    batch, config, first_only
        As in `compute_losses`.
    instance_unique : InstanceUniqueLoss
    step : int
        Of the training.
    """
    own = get_family(network.config.kind).unique_losses
    if own is None:
        raise UserError(f"A model of the kind “{network.config.kind}” has no queries to train instance-uniquely.")
    found: dict[str, torch.Tensor] = resolve(own)(instance_unique, network, batch, config, step, first_only)
    return {**found, "total": torch.stack(list(found.values())).sum()}


def query_unique_losses(
    instance_unique: InstanceUniqueLoss, network: QueryModel, batch: dict[str, torch.Tensor], _config: LossConfig,
    step: int, _first_only: bool,
) -> dict[str, torch.Tensor]:  # fmt: skip
    """Compute a query-based model's losses of instance-unique training."""
    return instance_unique.losses(network, batch, step)


def dense_unique_losses(
    instance_unique: InstanceUniqueLoss, network: DistanceEmbeddingNet, batch: dict[str, torch.Tensor],
    config: LossConfig, step: int, first_only: bool,
) -> dict[str, torch.Tensor]:  # fmt: skip
    """Compute a distance + embedding network's own losses and that of equivariance."""
    output = network.distances(batch["image"]) if first_only else network(batch["image"])
    found = leaf_losses(output, batch, config, first_only)
    found.pop("total")
    # the first stage's output has no embedding to compare: there the whole network runs for it
    return found | instance_unique.dense_losses(network, batch, step, None if first_only else output)


def leaf_losses(
    output: DistanceEmbeddingOutput, batch: dict[str, torch.Tensor], config: LossConfig, first_only: bool = False
) -> dict[str, torch.Tensor]:
    """Compute the losses of what a distance + embedding network said."""
    labels = batch["labels"]
    known = (labels >= 0).float()
    weight = known * (1 + config.contact_weight * contacts(labels).float())
    maps = [item for item in (output.distance, output.first_distance) if item is not None]
    distances = [distance_loss(item, batch["distance"], config.balanced_distance, weight[:, None]) for item in maps]
    losses = {"distance": config.distance * torch.stack(distances).mean()}
    if not first_only:
        terms = _embedding_terms(output.embedding, labels, weight, config)
        losses |= {"within": config.within * terms.within, "between": config.between * terms.between}
    if output.foreground is not None:
        losses["foreground"] = config.foreground * foreground_loss(output.foreground, labels)
    if output.center is not None and not first_only:
        losses["center"] = config.center * center_loss(output.center, labels)
    if output.auxiliary is not None:
        extra = _embedding_terms(output.auxiliary, labels, weight, config)
        losses["auxiliary"] = config.auxiliary * (config.within * extra.within + config.between * extra.between)
    losses["total"] = torch.stack(list(losses.values())).sum()
    return losses


def _embedding_terms(
    embedding: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor, config: LossConfig
) -> EmbeddingLoss:
    """The embedding's loss on every `embedding_stride`-th pixel."""
    step = config.embedding_stride
    radius = max(1, round(config.neighbor_radius / step)) if config.neighbors == "local" else None
    thin = (slice(None, None, step), slice(None, None, step))
    return embedding_loss(
        embedding[(..., *thin)], labels[(..., *thin)], radius, config.per_leaf, config.background, weight[(..., *thin)]
    )
