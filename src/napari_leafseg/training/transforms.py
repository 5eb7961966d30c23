"""Geometric transforms of images, labels, feature maps and vectors alike, for equivariance."""

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

    def vectors(self, values: torch.Tensor) -> torch.Tensor:
        """Transform a map (N, 2, H, W) of vectors, pixels down and right."""
        down, right = self.maps(values).unbind(1)
        if self.mirror:
            right = -right
        for _ in range(self.turns):
            down, right = -right, down
        return torch.stack([down, right], 1)

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

    def vectors(self, values: torch.Tensor) -> torch.Tensor:
        """Transform a map (N, 2, H, W) of vectors, pixels down and right."""
        down, right = self.maps(values).unbind(1)
        angle = float(np.deg2rad(self.angle))
        cosine, sine = self.factor * np.cos(angle), self.factor * np.sin(angle)
        return torch.stack([cosine * down - sine * right, sine * down + cosine * right], 1)

    def valid(self, like: torch.Tensor) -> torch.Tensor | None:
        """Return (N, 1, h, w), 1 where a pixel comes from the image."""
        return (self._grid(like).abs().amax(-1) <= 1).float()[:, None]


@dataclass(frozen=True)
class CropTransform:
    """Another transform, and a window of what it gives.

    Attributes
    ----------
    whole : GridTransform or FreeTransform
    window : tuple of int
        Top, left, height and width in pixels of the image; the strides of all maps must divide them.
    size : int
        Height of the whole image.
    """

    whole: GridTransform | FreeTransform
    window: tuple[int, int, int, int]
    size: int

    def _cut(self, values: torch.Tensor) -> torch.Tensor:
        stride = self.size // values.shape[-2]
        top, left, height, width = (side // stride for side in self.window)
        return values[..., top : top + height, left : left + width]

    def maps(self, values: torch.Tensor) -> torch.Tensor:
        """Transform (N, C, H, W)."""
        return self._cut(self.whole.maps(values))

    def labels(self, values: torch.Tensor) -> torch.Tensor:
        """Transform labels (N, H, W) or (N, L, H, W); where the window leaves a sliver of a leaf, that is -1 (not
        annotated)."""
        moved = self.whole.labels(values)
        cut = self._cut(moved)
        offset = int(moved.max().clamp(min=0)) + 1
        shift = offset * torch.arange(len(moved), device=moved.device).view(-1, *[1] * (moved.dim() - 1))
        before, after = (
            torch.bincount((part.clamp(min=0) + shift).flatten(), minlength=offset * len(moved))
            for part in (moved, cut)
        )
        sliver = (after < SLIVER) & (after < before)
        return torch.where((cut > 0) & sliver[cut.clamp(min=0) + shift], -1, cut)

    def vectors(self, values: torch.Tensor) -> torch.Tensor:
        """Transform a map (N, 2, H, W) of vectors, pixels down and right."""
        return self._cut(self.whole.vectors(values))

    def valid(self, like: torch.Tensor) -> torch.Tensor | None:
        """Return the whole one's `valid` in the window."""
        whole = self.whole.valid(like)
        return None if whole is None else self._cut(whole)


SLIVER = 16
"""A leaf that a window cuts to fewer pixels is not trained on."""

Transform = GridTransform | FreeTransform | CropTransform
GROUP = tuple(GridTransform(turns, mirror) for mirror in (False, True) for turns in range(4))
"""The eight ways to turn and mirror; the first leaves everything as it is."""


def draw_transform(
    rng: np.random.Generator, free: float, crop: float = 1.0, size: tuple[int, int] = (0, 0), stride: int = 1
) -> Transform:
    """Return one of the seven that change something, or, with probability `free`, a free rotation, scale and shift.

    Parameters
    ----------
    rng : numpy.random.Generator
    free : float
    crop : float
        Share of each side that a window anywhere in the transformed image keeps; 1 = no window.
    size : tuple of int
        Height and width of the images, for the window.
    stride : int
        What the window's place and sides are multiples of.
    """
    whole = _draw_whole(rng, free)
    if isinstance(whole, GridTransform) and whole.turns % 2:
        size = size[::-1]
    sides = [max(1, round(crop * length / stride)) * stride for length in size]
    if crop >= 1 or all(side >= length for side, length in zip(sides, size, strict=True)):
        return whole
    top, left = (
        stride * int(rng.integers(0, (length - side) // stride + 1)) for side, length in zip(sides, size, strict=True)
    )
    return CropTransform(whole, (top, left, sides[0], sides[1]), size[0])


def _draw_whole(rng: np.random.Generator, free: float) -> GridTransform | FreeTransform:
    if rng.random() < free:
        shift = rng.uniform(-0.15, 0.15, 2)
        angle, factor = rng.uniform(-180, 180), np.exp(rng.uniform(-0.3, 0.3))
        return FreeTransform(float(angle), float(factor), (float(shift[0]), float(shift[1])))
    return GROUP[int(rng.integers(1, len(GROUP)))]
