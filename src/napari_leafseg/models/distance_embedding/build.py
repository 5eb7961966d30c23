"""The two networks of the distance + embedding family."""

from __future__ import annotations

from napari_leafseg.models.distance_embedding.config import DistanceEmbeddingConfig
from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingNet


def build(config: DistanceEmbeddingConfig) -> DistanceEmbeddingNet:
    """Build the network with the encoder that the configuration names, with random weights."""
    if config.encoder == "unet":
        return DistanceEmbeddingNet(config)
    from napari_leafseg.models.distance_embedding.pretrained import PretrainedDistanceEmbeddingNet

    return PretrainedDistanceEmbeddingNet(config)
