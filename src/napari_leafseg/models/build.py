"""Networks from their configurations."""

from __future__ import annotations

from napari_leafseg.errors import ModelError
from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingNet
from napari_leafseg.models.query.base import QueryModel
from napari_leafseg.models.query.config import (
    CondInstConfig,
    Mask2FormerConfig,
    ModelConfig,
    Solov2Config,
    SotrConfig,
)

Network = DistanceEmbeddingNet | QueryModel


def build_network(config: ModelConfig) -> Network:
    """The network of a configuration, with random weights."""
    if isinstance(config, CondInstConfig):
        from napari_leafseg.models.query.condinst import CondInst

        return CondInst(config)
    if isinstance(config, Solov2Config):
        from napari_leafseg.models.query.solov2 import Solov2

        return Solov2(config)
    if isinstance(config, SotrConfig):
        from napari_leafseg.models.query.sotr import Sotr

        return Sotr(config)
    if isinstance(config, Mask2FormerConfig):
        from napari_leafseg.models.query.mask2former import Mask2Former

        return Mask2Former(config)
    if config.encoder != "unet":
        from napari_leafseg.models.distance_embedding.pretrained import PretrainedDistanceEmbeddingNet

        return PretrainedDistanceEmbeddingNet(config)
    return DistanceEmbeddingNet(config)


def load_imagenet(network: Network) -> None:
    """Take over ImageNet weights for the encoder of a distance + embedding model.

    Raises
    ------
    ModelError
        When the model has no such encoder, or the package with the weights is not installed.
    """
    from napari_leafseg.models.distance_embedding.pretrained import PretrainedDistanceEmbeddingNet

    if not isinstance(network, PretrainedDistanceEmbeddingNet):
        raise ModelError("ImageNet weights fit only a model with the encoder efficientnet-lite0 (model: pretrained).")
    network.encoder.load_imagenet()
