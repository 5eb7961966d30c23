"""External memory of mask features of other images, sparse and balanced over instances (Wang, Liang, Liu 2022)."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import torch
from torch import distributed
from torch.nn import functional


class Entry(NamedTuple):
    """Sampled pixels of one image.

    Attributes
    ----------
    key : int
        What they are of: never a negative of queries with the same key.
    features : torch.Tensor
        (P, D), detached.
    positions : torch.Tensor
        float32 (P, 2), x and y in the image.
    """

    key: int
    features: torch.Tensor
    positions: torch.Tensor


class MemoryBank:
    """The last images' features, as many pixels of each leaf and as many of the background.

    Parameters
    ----------
    images : int
        How many images are kept; the oldest go first.
    per_instance : int
        Pixels of each leaf, and of the background.
    """

    def __init__(self, images: int, per_instance: int) -> None:
        self.per_instance = per_instance
        self.entries: deque[Entry] = deque(maxlen=images)

    def __len__(self) -> int:
        return len(self.entries)

    @torch.no_grad()
    def add(self, features: torch.Tensor, labels: torch.Tensor, keys: torch.Tensor) -> None:
        """Sample a batch and keep it; with several processes, every process keeps what all sampled.

        Parameters
        ----------
        features : torch.Tensor
            (N, D, h, w) mask features.
        labels : torch.Tensor
            int64 (N, H, W), or layers (N, L, H, W); negative = not annotated: not sampled.
        keys : torch.Tensor
            int64 (N,), see `Entry`.
        """
        labels = labels if labels.dim() == 3 else labels.amax(1)
        stride = labels.shape[-1] / features.shape[-1]
        small = functional.interpolate(labels[:, None].float(), size=features.shape[-2:], mode="nearest")[:, 0].long()
        found = []
        for number, plane in enumerate(small.cpu()):
            flat = plane.flatten()
            chosen = []
            for leaf in torch.unique(flat[flat >= 0]):
                pixels = torch.nonzero(flat == leaf)[:, 0]
                chosen.append(pixels[torch.randperm(len(pixels))[: self.per_instance]])
            if not chosen:
                continue
            index = torch.cat(chosen)
            y, x = index // plane.shape[1], index % plane.shape[1]
            positions = (torch.stack([x, y], 1).float() + 0.5) * stride
            pixels = features[number].flatten(1).T[index.to(features.device)].float()
            found.append(Entry(int(keys[number]), pixels, positions.to(features.device)))
        for entry in _of_all(found, features.device):
            self.entries.append(entry)

    def sample(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
        """Return everything kept: features (P, D), positions (P, 2), keys (P,); None while empty."""
        if not self.entries:
            return None
        keys = [torch.full((len(entry.features),), entry.key, dtype=torch.int64) for entry in self.entries]
        features = torch.cat([entry.features for entry in self.entries])
        positions = torch.cat([entry.positions for entry in self.entries])
        return features, positions, torch.cat(keys).to(features.device)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"entries": [tuple(entry) for entry in self.entries]}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on exactly where a checkpoint was."""
        self.entries.clear()
        for key, features, positions in state["entries"]:
            self.entries.append(Entry(int(key), features.to(device), positions.to(device)))


def _of_all(found: list[Entry], device: torch.device) -> list[Entry]:
    """What all processes sampled, in the order of their ranks."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return found
    everyone: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(
        everyone, [(entry.key, entry.features.cpu(), entry.positions.cpu()) for entry in found]
    )
    return [Entry(key, a.to(device), b.to(device)) for part in everyone for key, a, b in part]
