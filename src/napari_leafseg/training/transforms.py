"""Geometric transforms of images, labels and feature maps alike, for equivariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional


@dataclass(frozen=True)
class GridTransform:
    """A flip and a quarter turn: exact on any grid of squares.

    Attributes
    ----------
    turns : int
        Quarter turns, 0 to 3.
    mirror : bool
        Mirror left and right, before the turns.
    """

    turns: int
    mirror: bool

    def maps(self, values: torch.Tensor) -> torch.Tensor:
        """Transform (..., H, W)."""
        if self.mirror:
            values = values.flip(-1)
        return torch.rot90(values, self.turns, (-2, -1))

    def labels(self, values: torch.Tensor) -> torch.Tensor:
        """Transform labels (N, H, W), or layers of them (N, L, H, W)."""
        return self.maps(values)

    def valid(self, like: torch.Tensor) -> torch.Tensor | None:
        """Return that all pixels come from the image."""
        return None


@dataclass(frozen=True)
class FreeTransform:
    """A rotation, a change of size and a shift; pixels from beyond the image are not valid.

    Attributes
    ----------
    angle : float
        Degrees.
    factor : float
        Magnification.
    shift : tuple of float
        Along x and y, in half image sides.
    """

    angle: float
    factor: float
    shift: tuple[float, float]

    def _grid(self, like: torch.Tensor) -> torch.Tensor:
        angle = float(np.deg2rad(self.angle))
        cosine, sine = np.cos(angle) / self.factor, np.sin(angle) / self.factor
        matrix = torch.tensor(
            [[cosine, -sine, self.shift[0]], [sine, cosine, self.shift[1]]], device=like.device, dtype=torch.float32
        )
        size = [like.shape[0], 1, like.shape[-2], like.shape[-1]]
        return functional.affine_grid(matrix.expand(like.shape[0], 2, 3), size, align_corners=False)

    def maps(self, values: torch.Tensor) -> torch.Tensor:
        """Transform (N, C, H, W) linearly; 0 from beyond."""
        return functional.grid_sample(values.float(), self._grid(values), align_corners=False)

    def labels(self, values: torch.Tensor) -> torch.Tensor:
        """Transform labels (N, H, W) or (N, L, H, W), nearest pixel; -1 (not annotated) from beyond."""
        grid = self._grid(values)
        layers = values if values.dim() == 4 else values[:, None]
        moved = functional.grid_sample(layers.float(), grid, mode="nearest", align_corners=False)
        moved = torch.where(grid.abs().amax(-1)[:, None] <= 1, moved.long(), -1)
        return moved if values.dim() == 4 else moved[:, 0]

    def valid(self, like: torch.Tensor) -> torch.Tensor | None:
        """Return (N, 1, h, w), 1 where a pixel comes from the image."""
        return (self._grid(like).abs().amax(-1) <= 1).float()[:, None]


Transform = GridTransform | FreeTransform
GROUP = tuple(GridTransform(turns, mirror) for mirror in (False, True) for turns in range(4))
"""The eight ways to turn and mirror; the first leaves everything as it is."""


def draw_transform(rng: np.random.Generator, free: float) -> Transform:
    """Return one of the seven that change something, or, with probability `free`, a free rotation, scale and shift."""
    if rng.random() < free:
        shift = rng.uniform(-0.15, 0.15, 2)
        angle, factor = rng.uniform(-180, 180), np.exp(rng.uniform(-0.3, 0.3))
        return FreeTransform(float(angle), float(factor), (float(shift[0]), float(shift[1])))
    return GROUP[int(rng.integers(1, len(GROUP)))]
