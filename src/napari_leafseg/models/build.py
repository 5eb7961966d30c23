"""Networks from their configurations."""

from __future__ import annotations

from napari_leafseg.errors import UserError
from napari_leafseg.models.base import LeafNetwork
from napari_leafseg.models.config import ModelConfig
from napari_leafseg.models.registry import get_family

Network = LeafNetwork


def build_network(config: ModelConfig) -> Network:
    """Build the network of a configuration, with random weights."""
    return get_family(config.kind).build(config)


def load_imagenet(network: Network) -> None:
    """Take over ImageNet weights for the encoder of a distance + embedding model.

    Raises
    ------
    ModelError
        When the model has no such encoder, or the package with the weights is not installed.
    """
    load = getattr(getattr(network, "encoder", None), "load_imagenet", None)
    if load is None:
        raise UserError("ImageNet weights fit only a model with the encoder efficientnet-lite0 (model: pretrained).")
    load()
