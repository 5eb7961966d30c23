"""Configurations of the models; knows no torch, so that models can be listed without loading it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class UNetConfig(BaseModel):
    """Shape of a U-Net.

    Attributes
    ----------
    filters : int
        Channels of the first level; doubled at each pooling.
    depth : int
        Number of poolings.
    norm : {"none", "batch"}
        Normalization after each convolution; the published network has none.
    dropout : float
        Dropout at the two deepest levels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    filters: int = Field(16, ge=1)
    depth: int = Field(4, ge=1, le=6)
    norm: Literal["none", "batch"] = "batch"
    dropout: float = Field(0.0, ge=0, lt=1)


class DistanceEmbeddingConfig(BaseModel):
    """Configuration of the model; saved in each checkpoint, which alone rebuilds the network.

    Attributes
    ----------
    kind : str
        Always "distance_embedding".
    unet : UNetConfig
        Both U-Nets.
    layout : {"cascaded", "parallel", "shared"}
        How the second network hangs on the first. "cascaded": it sees the image and the first one's last features
        (Wu et al. 2020). "parallel": it sees the image alone, the same set-up without the concatenation. "shared":
        one encoder with two decoders (Chen et al. 2019).
    embedding : int
        Dimensions E of a pixel's embedding; 4, 8, 16, 32 and 64 are the paper's.
    auxiliary_embedding : bool
        Give the first network a second decoder with an embedding of its own, which only its E-loss uses (Wu's code).
    distance_scale : float
        The distance head's output is divided by this; Wu's code trains on ten times the distance.
    foreground_head : bool
        Predict leaf / no leaf beside the distance. The published model has no such head; a pixel is then leaf where
        the distance exceeds 2 % of its maximum.
    head_dropout : float
        Dropout before the heads.
    stop_gradient : bool
        Keep the embedding loss from reaching the first U-Net through the concatenation (a later version of Wu's code).
    refine_distance : bool
        Let the second U-Net predict the distance map once more; it is this map that seeds are taken from. The published
        model takes the first network's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["distance_embedding"] = "distance_embedding"
    unet: UNetConfig = UNetConfig()
    layout: Literal["cascaded", "parallel", "shared"] = "cascaded"
    embedding: int = Field(8, ge=2, le=64)
    auxiliary_embedding: bool = False
    distance_scale: float = Field(1.0, gt=0)
    foreground_head: bool = True
    head_dropout: float = Field(0.0, ge=0, lt=1)
    stop_gradient: bool = False
    refine_distance: bool = False


SIZES: dict[str, DistanceEmbeddingConfig] = {
    "tiny": DistanceEmbeddingConfig(unet=UNetConfig(filters=4, depth=3), embedding=4, refine_distance=True),
    "small": DistanceEmbeddingConfig(refine_distance=True),
    "medium": DistanceEmbeddingConfig(unet=UNetConfig(filters=32), embedding=16, refine_distance=True),
    "paper": DistanceEmbeddingConfig(
        unet=UNetConfig(filters=32, depth=4, norm="none", dropout=0.5),
        embedding=16,
        auxiliary_embedding=True,
        distance_scale=10.0,
        foreground_head=False,
        head_dropout=0.5,
    ),
}
"""Presets: `tiny` for tests, `small` is bundled, `medium` for a graphics card; `paper` is the published network."""
