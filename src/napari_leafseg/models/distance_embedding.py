"""The cascaded distance + embedding model (Wu, Chen, Merhof 2020)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from napari_leafseg.models.config import DistanceEmbeddingConfig
from napari_leafseg.models.unet import UNet


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
    """

    distance: torch.Tensor
    foreground: torch.Tensor | None
    embedding: torch.Tensor
    first_distance: torch.Tensor | None = None


class DistanceEmbeddingNet(nn.Module):
    """Two U-Nets in a row: the first regresses the distance map, the second embeds.

    The first network's last features (D-feat) go through a convolution and an L2 normalisation and are concatenated
    with the image as input of the second (Wu et al. 2020, Sec. 3 and Fig. 2).

    Parameters
    ----------
    config : DistanceEmbeddingConfig
    """

    def __init__(self, config: DistanceEmbeddingConfig) -> None:
        super().__init__()
        self.config = config
        width = config.unet.filters
        self.distance_net = UNet(3, config.unet)
        self.distance_head = nn.Conv2d(width, 1, 3, padding=1)
        self.foreground_head = nn.Conv2d(width, 1, 3, padding=1) if config.foreground_head else None
        self.link = nn.Conv2d(width, width, 3, padding=1)
        self.embedding_net = UNet(3 + width, config.unet)
        self.embedding_head = nn.Conv2d(width, config.embedding, 3, padding=1)
        self.dropout = nn.Dropout(config.head_dropout)
        self.refined_head = nn.Conv2d(width, 1, 3, padding=1) if config.refine_distance else None

    def place(self, device: torch.device | str) -> DistanceEmbeddingNet:
        """Move to a device, channels last: the layout in which convolutions are fast."""
        self.to(device)
        for parameter in self.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return self

    @property
    def stride(self) -> int:
        """Heights and widths must be multiples of this."""
        return self.distance_net.stride

    def _distances(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        features = self.dropout(self.distance_net(images))
        distance = functional.relu(self.distance_head(features))
        return features, distance, None if self.foreground_head is None else self.foreground_head(features)

    def distances(self, images: torch.Tensor) -> DistanceEmbeddingOutput:
        """Run the first U-Net only; the embedding is (N, 0, H, W). Half the time: for the search for plants."""
        _, distance, foreground = self._distances(images)
        return DistanceEmbeddingOutput(distance, foreground, distance[:, :0])

    def forward(self, images: torch.Tensor) -> DistanceEmbeddingOutput:
        """Predict for standardised RGB images (N, 3, H, W), H and W multiples of `stride`."""
        features, distance, foreground = self._distances(images)
        passed = features.detach() if self.config.stop_gradient else features
        link = functional.normalize(self.link(passed).float(), dim=1)
        joined = torch.cat([images, link.to(images.dtype)], 1)
        second = self.dropout(self.embedding_net(joined))
        embedding = functional.normalize(self.embedding_head(second).float(), dim=1)
        if self.refined_head is None:
            return DistanceEmbeddingOutput(distance, foreground, embedding)
        return DistanceEmbeddingOutput(functional.relu(self.refined_head(second)), foreground, embedding, distance)
