"""The distance + embedding model (Wu, Chen, Merhof 2020)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from napari_leafseg.models.base import LeafNetwork
from napari_leafseg.models.distance_embedding.config import DistanceEmbeddingConfig
from napari_leafseg.models.distance_embedding.unet import Decoder, UNet


class DistanceEmbeddingOutput(NamedTuple):
    """What the network says of each pixel.

    Attributes
    ----------
    distance : torch.Tensor
        (N, 1, H, W), at least 0, about 1 in the middle of a leaf and 0 at its border and outside.
    foreground : torch.Tensor or None
        (N, 1, H, W) logits of being leaf; None without a foreground head.
    embedding : torch.Tensor
        (N, E, H, W), unit length along E.
    first_distance : torch.Tensor or None
        The first network's distance map where the second refines it; trained alike.
    auxiliary : torch.Tensor or None
        (N, E, H, W) the first network's own embedding; in training only.
    center : torch.Tensor or None
        (N, 2, H, W) how far the pixel's leaf's center lies down and right of it, pixels, where the embedding is made of
        centers.
    """

    distance: torch.Tensor
    foreground: torch.Tensor | None
    embedding: torch.Tensor
    first_distance: torch.Tensor | None = None
    auxiliary: torch.Tensor | None = None
    center: torch.Tensor | None = None


class DistanceEmbeddingNet(LeafNetwork):
    """Two U-Nets in a row: the first regresses the distance map, the second embeds.

    The first network's last features (D-feat) go through a convolution and an L2 normalization and are concatenated
    with the image as input of the second (Wu et al. 2020, Sec. 3 and Fig. 2). With `distance_hidden` they go through a
    linear convolution first, and the distance and the D-feature are made of what it gives (Wu's code). The
    configuration's `layout` names the variants that do without.

    Parameters
    ----------
    config : DistanceEmbeddingConfig
    """

    def __init__(self, config: DistanceEmbeddingConfig) -> None:
        super().__init__()
        self.config = config
        width = config.unet.filters
        self.distance_net = UNet(3, config.unet)
        hidden = config.distance_hidden
        self.distance_feature = nn.Conv2d(width, hidden, 3, padding=1) if hidden else None
        linked = hidden or width
        self.distance_head = nn.Conv2d(linked, 1, 3, padding=1)
        self.foreground_head = nn.Conv2d(width, 1, 3, padding=1) if config.foreground_head else None
        self.link = nn.Conv2d(linked, linked, 3, padding=1) if config.layout == "cascaded" else None
        self.embedding_net: Decoder = (
            Decoder(config.unet)
            if config.layout == "shared"
            else UNet(3 + (linked if config.layout == "cascaded" else 0), config.unet)
        )
        self.embedding_head = nn.Conv2d(width, config.embedding, 3, padding=1)
        self.dropout = nn.Dropout(config.head_dropout)
        self.refined_head = nn.Conv2d(width, 1, 3, padding=1) if config.refine_distance else None
        self.auxiliary_net = Decoder(config.unet) if config.auxiliary_embedding else None
        self.auxiliary_head = nn.Conv2d(width, config.embedding, 3, padding=1) if config.auxiliary_embedding else None

    @property
    def stride(self) -> int:
        """Heights and widths must be multiples of this."""
        return self.distance_net.stride

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels of the second network's feature maps that `forward_levels` gives, finest first."""
        return tuple(self.config.unet.filters * 2**level for level in range(self.config.unet.depth + 1))

    @property
    def first_channels(self) -> int:
        """Channels of the first network's last features."""
        return self.config.unet.filters

    @property
    def slow_prefix(self) -> str:
        """What the names of slowly trained parameters begin with; empty: those of the contracting paths."""
        return ""

    def set_stage(self, first: bool) -> None:
        """Train the first network alone, then, with the first one frozen, the second."""
        for part in self.first_parts():
            part.requires_grad_(first)
            part.train(first)

    def first_parts(self) -> list[nn.Module]:
        """Tell what belongs to the first network: what the first stage of a staged training trains."""
        parts = [
            self.distance_net, self.distance_feature, self.distance_head, self.foreground_head, self.auxiliary_net,
            self.auxiliary_head,
        ]  # fmt: skip
        return [part for part in parts if part is not None]

    def embed(self, center: torch.Tensor, origin: tuple[int, int] = (0, 0)) -> torch.Tensor:
        """Make the embedding of predicted centers; of networks that predict them."""
        raise NotImplementedError

    def _distances(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        seen = features if self.distance_feature is None else self.distance_feature(features)
        distance = functional.relu(self.distance_head(seen)) / self.config.distance_scale
        return distance, None if self.foreground_head is None else self.foreground_head(features)

    def _auxiliary(self, levels: list[torch.Tensor]) -> torch.Tensor | None:
        if not self.training or self.auxiliary_net is None or self.auxiliary_head is None:
            return None
        raw = self.auxiliary_head(self.dropout(self.auxiliary_net.decode(levels)))
        return functional.normalize(raw.float(), dim=1)

    def distances(self, images: torch.Tensor) -> DistanceEmbeddingOutput:
        """Run the first U-Net only; the embedding is (N, 0, H, W). Half the time: for the search for plants."""
        levels = self.distance_net.encode(images)
        distance, foreground = self._distances(self.dropout(self.distance_net.decode(levels)))
        return DistanceEmbeddingOutput(distance, foreground, distance[:, :0], auxiliary=self._auxiliary(levels))

    def forward(self, images: torch.Tensor) -> DistanceEmbeddingOutput:
        """Predict for standardized RGB images (N, 3, H, W), H and W multiples of `stride`."""
        return self.forward_levels(images)[1]

    def forward_levels(self, images: torch.Tensor) -> tuple[list[torch.Tensor], DistanceEmbeddingOutput, torch.Tensor]:
        """Predict, and give the second network's features at every level, finest first, and the first one's last."""
        levels = self.distance_net.encode(images)
        features = self.dropout(self.distance_net.decode(levels))
        distance, foreground = self._distances(features)
        seen = self._second(images, levels, features)
        second = self.dropout(seen[0])
        embedding = functional.normalize(self.embedding_head(second).float(), dim=1)
        output = DistanceEmbeddingOutput(distance, foreground, embedding, auxiliary=self._auxiliary(levels))
        if self.refined_head is not None:
            refined = functional.relu(self.refined_head(second)) / self.config.distance_scale
            output = output._replace(distance=refined, first_distance=distance)
        return seen, output, features

    def _second(self, images: torch.Tensor, levels: list[torch.Tensor], features: torch.Tensor) -> list[torch.Tensor]:
        """The second network's features at every level, finest first."""
        if not isinstance(self.embedding_net, UNet):
            return self.embedding_net.decode_levels(
                [item.detach() for item in levels] if self.config.stop_gradient else levels
            )
        if self.link is None:
            return self.embedding_net.decode_levels(self.embedding_net.encode(images))
        features = features.detach() if self.config.stop_gradient else features
        if self.distance_feature is not None:
            features = self.dropout(self.distance_feature(features))
        link = self.link(features)
        link = functional.normalize(link.float(), dim=1).to(images.dtype)
        return self.embedding_net.decode_levels(self.embedding_net.encode(torch.cat([images, link], 1)))
