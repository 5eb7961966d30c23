"""Configurations of the models; knows no torch, so that models can be listed without loading it."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from napari_leafseg._entries import Entries
from napari_leafseg.models.config import ModelConfig


class UNetConfig(Entries):
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

    model_config = ConfigDict(frozen=True)

    filters: int = Field(16, ge=1)
    depth: int = Field(4, ge=1, le=6)
    norm: Literal["none", "batch"] = "batch"
    dropout: float = Field(0.0, ge=0, lt=1)


class DistanceEmbeddingConfig(ModelConfig):
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
    distance_hidden : int, optional
        Channels of a linear convolution between the first network's last features and the distance head; the D-feature
        is made of what it gives, and is as wide (Wu's code: as many as `embedding`). None: there is none, and the
        D-feature has the U-Net's width (the paper's figure).
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
    encoder : {"unet", "efficientnet-lite0"}
        The contracting half of the first network: a U-Net's at full size, or EfficientNet-Lite0, which may begin with
        ImageNet weights. With the latter, `unet` is the second network, which works at half the size.
    decoder : tuple of int
        With EfficientNet-Lite0: channels of the first network's decoder at strides 1, 2, 4, 8 and 16.
    detail : int
        With EfficientNet-Lite0: channels of what sees the image at full size.
    embed_from : {"features", "center"}
        "features": the embedding is predicted as it is (Wu et al. 2020). "center": each pixel predicts its leaf's
        center, and the embedding is made of Fourier features of that center, so that the angle between two embeddings
        grows with the distance between two centers (kin to Neven et al. 2019). `embedding` is then a multiple of 4.
    center_length : float
        With centers: the longest of the features' wavelengths divided by 2 pi, pixels.
    """

    kind: Literal["distance_embedding"] = "distance_embedding"
    unet: UNetConfig = UNetConfig()
    layout: Literal["cascaded", "parallel", "shared"] = "cascaded"
    embedding: int = Field(8, ge=2, le=64)
    auxiliary_embedding: bool = False
    distance_scale: float = Field(1.0, gt=0)
    distance_hidden: int | None = Field(None, ge=1)
    foreground_head: bool = True
    head_dropout: float = Field(0.0, ge=0, lt=1)
    stop_gradient: bool = False
    refine_distance: bool = False
    encoder: Literal["unet", "efficientnet-lite0"] = "unet"
    decoder: tuple[int, int, int, int, int] = (16, 32, 48, 64, 96)
    detail: int = Field(12, ge=1)
    embed_from: Literal["features", "center"] = "features"
    center_length: float = Field(22.0, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> DistanceEmbeddingConfig:
        if self.embed_from == "center" and (self.embedding % 4 or self.encoder == "unet"):
            raise ValueError(
                "embed_from center needs the encoder efficientnet-lite0 and an embedding of a multiple of 4"
            )
        plain = self.layout == "cascaded" and self.foreground_head and not self.auxiliary_embedding
        if self.encoder != "unet" and not (plain and self.distance_hidden is None):
            raise ValueError(
                f"the encoder {self.encoder} has the cascaded layout, a foreground head, one embedding, no hidden layer"
            )
        return self


SIZES: dict[str, DistanceEmbeddingConfig] = {
    "tiny": DistanceEmbeddingConfig(unet=UNetConfig(filters=4, depth=3), embedding=4, refine_distance=True),
    "small": DistanceEmbeddingConfig(refine_distance=True),
    "medium": DistanceEmbeddingConfig(unet=UNetConfig(filters=32), embedding=16, refine_distance=True),
    "pretrained": DistanceEmbeddingConfig(
        unet=UNetConfig(filters=24, depth=3),
        embedding=32,
        refine_distance=True,
        encoder="efficientnet-lite0",
        embed_from="center",
    ),
    "paper": DistanceEmbeddingConfig(
        unet=UNetConfig(filters=32, depth=4, norm="none", dropout=0.5),
        embedding=16,
        auxiliary_embedding=True,
        distance_scale=10.0,
        foreground_head=False,
        head_dropout=0.5,
    ),
}
SIZES["wu-code"] = SIZES["paper"].model_copy(update={"distance_hidden": SIZES["paper"].embedding})
"""Presets: `tiny` for tests, `small` two plain U-Nets, `medium` for a graphics card, `pretrained` with an encoder that
knows ImageNet; `paper` is the network of the paper's figure, `wu-code` the one of its first author's code, whose second
U-Net sees 3 + E channels."""
