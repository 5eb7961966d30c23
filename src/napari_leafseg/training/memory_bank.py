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
    relative : torch.Tensor
        float32 (P, 2), how far the place of the pixel's own leaf lies right and down of it, in that place's reach: what
        a query that knows coordinates is to be shown, as from its own place it could refuse by distance alone.
    """

    key: int
    features: torch.Tensor
    relative: torch.Tensor


class MemoryBank:
    """The last images' features, as many pixels of each leaf.

    Parameters
    ----------
    images : int or None
        How many images are kept; the oldest go first.
    per_instance : int
        Pixels of each leaf.
    pixels : int, optional
        How many pixels are kept instead; the oldest go first.
    background : bool
        Sample the background like a leaf.
    """

    def __init__(
        self, images: int | None, per_instance: int, pixels: int | None = None, background: bool = False
    ) -> None:
        self.per_instance, self.pixels, self.background = per_instance, pixels, background
        self.entries: deque[Entry] = deque(maxlen=images if pixels is None else None)

    def __len__(self) -> int:
        return len(self.entries)

    @torch.no_grad()
    def add(
        self, features: torch.Tensor, labels: torch.Tensor, keys: torch.Tensor,
        places: tuple[torch.Tensor, torch.Tensor],
    ) -> None:  # fmt: skip
        """Sample a batch and keep it; with several processes, every process keeps what all sampled.

        Parameters
        ----------
        features : torch.Tensor
            (N, D, h, w) mask features.
        labels : torch.Tensor
            int64 (N, H, W), or layers (N, L, H, W); negative = not annotated: not sampled.
        keys : torch.Tensor
            int64 (N,), see `Entry`.
        places : tuple of torch.Tensor
            See `napari_leafseg.models.query.base.QueryModel.places`, of all leaves of the batch in their order.
        """
        positions, reaches = (item.detach().float().cpu() for item in places)
        first = 0
        flat = labels if labels.dim() == 3 else labels.amax(1)
        stride = labels.shape[-1] / features.shape[-1]
        small = functional.interpolate(flat[:, None].float(), size=features.shape[-2:], mode="nearest")[:, 0].long()
        found = []
        for number, (plane, whole) in enumerate(zip(small.cpu(), labels.cpu(), strict=True)):
            leaves = torch.unique(whole)
            leaves = leaves[leaves > 0]
            index, leaf = self._choose(plane.flatten())
            own = first + torch.searchsorted(leaves, leaf)
            if len(leaves):  # the background has no place of its own: it is seen from any leaf's
                own = torch.where(leaf > 0, own, first + torch.randint(len(leaves), leaf.shape))
            first += len(leaves)
            if not len(index):
                continue
            y, x = index // plane.shape[1], index % plane.shape[1]
            seen = (torch.stack([x, y], 1).float() + 0.5) * stride
            relative = (positions[own] - seen) / reaches[own, None] if len(leaves) else torch.zeros_like(seen)
            pixels = features[number].flatten(1).T[index.to(features.device)].float()
            found.append(Entry(int(keys[number]), pixels, relative.to(features.device)))
        for entry in _of_all(found, features.device):
            self.entries.append(entry)
        self._trim()

    def _choose(self, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Sample pixels of a plane, as many of each leaf; which they are, and of which leaf."""
        chosen = [flat.new_zeros(0)]
        for leaf in torch.unique(flat[flat >= (0 if self.background else 1)]):
            pixels = torch.nonzero(flat == leaf)[:, 0]
            chosen.append(pixels[torch.randperm(len(pixels))[: self.per_instance]])
        index = torch.cat(chosen)
        return index, flat[index]

    def _trim(self) -> None:
        """Let the oldest pixels go where there are too many."""
        if self.pixels is None:
            return
        excess = sum(len(entry.features) for entry in self.entries) - self.pixels
        while excess > 0:
            key, features, relative = self.entries.popleft()
            if len(features) > excess:
                self.entries.appendleft(Entry(key, features[excess:], relative[excess:]))
            excess -= len(features)

    def sample(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
        """Return everything kept: features (P, D), relative (P, 2), keys (P,); None while empty."""
        if not self.entries:
            return None
        keys = [torch.full((len(entry.features),), entry.key, dtype=torch.int64) for entry in self.entries]
        features = torch.cat([entry.features for entry in self.entries])
        relative = torch.cat([entry.relative for entry in self.entries])
        return features, relative, torch.cat(keys).to(features.device)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"entries": [tuple(entry) for entry in self.entries], "relative": True}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on exactly where a checkpoint was; with nothing where it kept absolute positions, as it did earlier."""
        self.entries.clear()
        for key, features, relative in state["entries"] if "relative" in state else ():
            self.entries.append(Entry(int(key), features.to(device), relative.to(device)))


def _of_all(found: list[Entry], device: torch.device) -> list[Entry]:
    """What all processes sampled, in the order of their ranks."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return found
    everyone: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(
        everyone, [(entry.key, entry.features.cpu(), entry.relative.cpu()) for entry in found]
    )
    return [Entry(key, a.to(device), b.to(device)) for part in everyone for key, a, b in part]
