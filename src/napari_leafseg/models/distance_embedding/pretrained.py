"""The distance + embedding model on an encoder that knows ImageNet."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from napari_leafseg.models.distance_embedding.config import DistanceEmbeddingConfig
from napari_leafseg.models.distance_embedding.efficientnet import EfficientNetLite0
from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingNet, DistanceEmbeddingOutput
from napari_leafseg.models.distance_embedding.unet import UNet, conv_block, enlarge, he_initialize

_REACH = 16.0  # pixels that the center head's output of 1 means
_RATIO = 1.9  # of the lengths of two neighboring rings of frequencies


class _Rise(nn.Module):
    """One level of a decoder: enlarge by two, join what the encoder saw there, mix."""

    def __init__(self, below: int, beside: int, outputs: int) -> None:
        super().__init__()
        self.rise = nn.Conv2d(below, outputs, 2)
        self.mix = conv_block(beside + outputs, outputs, "batch", 0.0)
        self.apply(he_initialize)

    def forward(self, features: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
        return self.mix(torch.cat([beside, functional.relu(enlarge(features, self.rise))], 1))


def center_frequencies(dimensions: int, length: float) -> torch.Tensor:
    """Return frequencies whose Fourier features tell centers apart, alike in all directions.

    Parameters
    ----------
    dimensions : int
        Of the embedding: a cosine and a sine for each frequency. Up to 16 frequencies lie on one ring; more on two, the
        second one turned by half a step. Each ring is the same after a quarter turn and in a mirror.
    length : float
        1 / frequency of the first ring, pixels.

    Returns
    -------
    torch.Tensor
        float32 (dimensions / 2, 2), radians a pixel along y and x.
    """
    count = dimensions // 2
    rings = 2 if count % 4 == 0 and count >= 8 else 1
    each = count // rings
    found = []
    for ring in range(rings):
        for step in range(each):
            angle = math.pi * (step + 0.5 * ring) / each
            rate = _RATIO**ring / length
            found.append((rate * math.sin(angle), rate * math.cos(angle)))
    return torch.tensor(found)


def center_embedding(center: torch.Tensor, frequencies: torch.Tensor, origin: tuple[int, int] = (0, 0)) -> torch.Tensor:
    """Make unit embeddings of predicted centers.

    Parameters
    ----------
    center : torch.Tensor
        float32 (N, 2, H, W), from each pixel to its leaf's center, pixels down and right.
    frequencies : torch.Tensor
        (F, 2) from `center_frequencies`.
    origin : tuple of int
        Row and column of the first pixel, so that tiles of one image agree.

    Returns
    -------
    torch.Tensor
        float32 (N, 2 F, H, W), of length 1.
    """
    height, width = center.shape[-2:]
    rows = torch.arange(origin[0], origin[0] + height, device=center.device, dtype=torch.float32)[:, None]
    columns = torch.arange(origin[1], origin[1] + width, device=center.device, dtype=torch.float32)[None]
    y, x = center[:, 0] + rows, center[:, 1] + columns
    weights = frequencies.to(center.device)
    phase = y[:, None] * weights[None, :, :1, None] + x[:, None] * weights[None, :, 1:, None]
    return torch.cat([phase.cos(), phase.sin()], 1) / len(weights) ** 0.5


class PretrainedDistanceEmbeddingNet(DistanceEmbeddingNet):
    """The cascade on EfficientNet-Lite0.

    The first network regresses the distance at full size. Its features at half size, the encoder's, and the image at
    half size go into a second U-Net, which embeds and refines the distance (Wu et al. 2020, at half the size).

    Parameters
    ----------
    config : DistanceEmbeddingConfig
        With ``encoder="efficientnet-lite0"``.
    """

    def __init__(self, config: DistanceEmbeddingConfig) -> None:
        nn.Module.__init__(self)
        self.config = config
        self.encoder = EfficientNetLite0()
        beside = (config.detail, *self.encoder.channels)
        widths = (*config.decoder, self.encoder.channels[-1])
        self.detail = conv_block(3, config.detail, "batch", 0.0)
        self.detail.apply(he_initialize)
        self.rises = nn.ModuleList(_Rise(widths[k + 1], beside[k], widths[k]) for k in reversed(range(5)))
        width, half = config.decoder[0], config.decoder[1]
        self.distance_feature = None
        self.distance_head = nn.Conv2d(width, 1, 3, padding=1)
        self.foreground_head = nn.Conv2d(width, 1, 3, padding=1)
        self.link = nn.Conv2d(half, config.unet.filters, 3, padding=1)
        self.embedding_net = UNet(config.unet.filters + beside[1] + 3, config.unet)
        self.embedding_rise = _Rise(config.unet.filters, config.detail + width, width)
        outputs = 2 if config.embed_from == "center" else config.embedding
        self.embedding_head = nn.Conv2d(width, outputs, 3, padding=1)
        self.refined_head = nn.Conv2d(width, 1, 3, padding=1) if config.refine_distance else None
        self.dropout = nn.Dropout(config.head_dropout)
        self.auxiliary_net = self.auxiliary_head = None
        if config.embed_from == "center":
            nn.init.zeros_(self.embedding_head.weight)
            nn.init.zeros_(self.embedding_head.bias)  # type: ignore[arg-type]
            self.frequencies = center_frequencies(config.embedding, config.center_length)

    @property
    def stride(self) -> int:
        """Heights and widths must be multiples of this."""
        return 32

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels of the second network's feature maps that `forward_levels` gives, finest first."""
        return (self.config.decoder[0], *super().level_channels)

    @property
    def first_channels(self) -> int:
        """Channels of the first network's last features."""
        return self.config.decoder[0]

    @property
    def slow_prefix(self) -> str:
        """What the names of slowly trained parameters begin with."""
        return "encoder."

    def first_parts(self) -> list[nn.Module]:
        """Tell what belongs to the first network: what the first stage of a staged training trains."""
        parts = [self.encoder, self.detail, self.rises, self.distance_head, self.foreground_head]
        return [part for part in parts if part is not None]

    def embed(self, center: torch.Tensor, origin: tuple[int, int] = (0, 0)) -> torch.Tensor:
        """Make the embedding of predicted centers (N, 2, H, W); see `center_embedding`."""
        return center_embedding(center, self.frequencies, origin)

    def _first(self, images: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor, list[torch.Tensor]]:
        """The encoder's features, the full-size ones, and the decoder's, coarsest first."""
        levels, detail = self.encoder(images), self.detail(images)
        found = [levels[-1]]
        for rise, beside in zip(self.rises, (*levels[-2::-1], detail), strict=True):
            found.append(rise(found[-1], beside))
        return levels, detail, found[1:]

    def distances(self, images: torch.Tensor) -> DistanceEmbeddingOutput:
        """Run the first network only; the embedding is (N, 0, H, W)."""
        _, _, found = self._first(images)
        distance, foreground = self._distances(self.dropout(found[-1]))
        return DistanceEmbeddingOutput(distance, foreground, distance[:, :0])

    def forward_levels(self, images: torch.Tensor) -> tuple[list[torch.Tensor], DistanceEmbeddingOutput, torch.Tensor]:
        """Predict, and give the second network's features at every level, finest first, and the first one's last."""
        levels, detail, found = self._first(images)
        features, halved = self.dropout(found[-1]), found[-2]
        distance, foreground = self._distances(features)
        if self.config.stop_gradient:
            halved = halved.detach()
        assert self.link is not None
        link = functional.normalize(self.link(halved).float(), dim=1).to(halved.dtype)
        small = functional.avg_pool2d(images, 2).to(halved.dtype)
        assert isinstance(self.embedding_net, UNet)
        seen = self.embedding_net.decode_levels(self.embedding_net.encode(torch.cat([link, levels[0], small], 1)))
        second = self.dropout(self.embedding_rise(seen[0], torch.cat([detail, features], 1)))
        raw, center = self.embedding_head(second).float(), None
        if self.config.embed_from == "center":
            center = raw * _REACH
            embedding = self.embed(center)
        else:
            embedding = functional.normalize(raw, dim=1)
        output = DistanceEmbeddingOutput(distance, foreground, embedding, center=center)
        if self.refined_head is not None:
            output = output._replace(distance=functional.relu(self.refined_head(second)), first_distance=distance)
        return [second, *seen], output, features
