"""Networks from their configurations."""

from __future__ import annotations

from napari_leafseg.errors import UserError
from napari_leafseg.models.distance_embedding import DistanceEmbeddingNet
from napari_leafseg.models.query import QueryModel
from napari_leafseg.models.query_config import (
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
        from napari_leafseg.models.condinst import CondInst

        return CondInst(config)
    if isinstance(config, Solov2Config):
        from napari_leafseg.models.solov2 import Solov2

        return Solov2(config)
    if isinstance(config, SotrConfig):
        from napari_leafseg.models.sotr import Sotr

        return Sotr(config)
    if isinstance(config, Mask2FormerConfig):
        from napari_leafseg.models.mask2former import Mask2Former

        return Mask2Former(config)
    if config.encoder != "unet":
        from napari_leafseg.models.pretrained_net import PretrainedDistanceEmbeddingNet

        return PretrainedDistanceEmbeddingNet(config)
    return DistanceEmbeddingNet(config)


def load_imagenet(network: Network) -> None:
    """Take over ImageNet weights for the encoder of a distance + embedding model.

    Raises
    ------
    UserError
        When the model has no such encoder, or the package with the weights is not installed.
    """
    from napari_leafseg.models.pretrained_net import PretrainedDistanceEmbeddingNet

    if not isinstance(network, PretrainedDistanceEmbeddingNet):
        raise UserError("ImageNet weights fit only a model with the encoder efficientnet-lite0 (model: pretrained).")
    network.encoder.load_imagenet()
