"""What every network is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from napari_leafseg.models.config import ModelConfig
from napari_leafseg.models.distance_embedding.unet import place_channels_last

if TYPE_CHECKING:
    from napari_leafseg.models.distance_embedding.network import DistanceEmbeddingOutput


class LeafNetwork(nn.Module):
    """A network that finds leaves; `config` is its configuration."""

    config: Any

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__()
        if config is not None:
            self.config = config

    @property
    def stride(self) -> int:
        """Heights and widths must be multiples of this."""
        return 1

    @property
    def slow_prefix(self) -> str:
        """What the names of slowly trained parameters begin with; empty: those of contracting paths."""
        return "backbone."

    def place(self, device: torch.device | str) -> Self:
        """Move to a device, channels last: the layout in which convolutions are fast."""
        place_channels_last(self, device)
        return self

    def distances(self, images: torch.Tensor) -> DistanceEmbeddingOutput:
        """Predict what the search for plants goes by: a distance map and a foreground; the embedding is empty."""
        raise NotImplementedError

    def losses(self, images: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute all losses of a batch, weighted; pixels with negative labels are not annotated and carry none."""
        raise NotImplementedError

    def set_stage(self, first: bool) -> None:
        """Begin the first or the second stage of a staged training; nothing where there are no stages."""
