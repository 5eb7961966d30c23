"""D-loss and E-loss of the distance + embedding model."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional


class EmbeddingLoss(NamedTuple):
    """The two terms of the E-loss, scalars."""

    within: torch.Tensor
    between: torch.Tensor


def distance_loss(
    predicted: torch.Tensor, target: torch.Tensor, balanced: bool = True, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the mean squared error of the distance map (D-loss).

    Parameters
    ----------
    predicted, target : torch.Tensor
        Same shape; the target is 0 outside leaves and up to 1 inside.
    balanced : bool
        Give leaves and background half of the weight each (Chen et al. 2019) instead of one weight per pixel
        (Wu et al. 2020).
    weight : torch.Tensor, optional
        Weight of each pixel, same shape; 1 when None. Pixels of weight 0 (not annotated) carry no gradient.
    """
    error = (_at_least_single(predicted) - target) ** 2
    counts = torch.ones_like(error) if weight is None else weight
    if not balanced:
        return (error * counts).sum() / counts.sum().clamp(min=1)
    inside, outside = counts * (target > 0), counts * (target <= 0)
    halves = [(error * half).sum() / half.sum().clamp(min=1) for half in (inside, outside)]
    return 0.5 * (halves[0] + halves[1])


def foreground_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the binary cross-entropy of leaf against background over the annotated pixels.

    Parameters
    ----------
    logits : torch.Tensor
        (N, 1, H, W).
    labels : torch.Tensor
        (N, H, W) integer, 0 = background, negative = not annotated.
    """
    known = (labels >= 0).float()
    error = functional.binary_cross_entropy_with_logits(
        _at_least_single(logits)[:, 0], (labels > 0).to(_at_least_single(logits).dtype), reduction="none"
    )
    return (error * known).sum() / known.sum().clamp(min=1)


def contacts(labels: torch.Tensor, radius: int = 2) -> torch.Tensor:
    """Return pixels where two leaves meet: both lie within `radius` pixels.

    Parameters
    ----------
    labels : torch.Tensor
        (N, H, W) integer, 0 = background, negative = not annotated.
    radius : int
        Pixels, of a square window.

    Returns
    -------
    torch.Tensor
        bool (N, H, W).
    """
    values = labels.clamp(min=0).float()[:, None]
    none = float(labels.max()) + 1
    size = 2 * radius + 1
    highest = functional.max_pool2d(values, size, 1, radius)
    lowest = -functional.max_pool2d(-torch.where(values > 0, values, none), size, 1, radius)
    return ((lowest < none) & (lowest != highest))[:, 0]


def neighbor_pairs(instances: torch.Tensor, radius: int) -> torch.Tensor:
    """Return all pairs of leaves that touch when one is dilated by an ellipse of `radius` pixels.

    Parameters
    ----------
    instances : torch.Tensor
        (N, H, W) int64; numbers are unique over the batch, 0 = background.
    radius : int
        Pixels.

    Returns
    -------
    torch.Tensor
        (P, 2) int64, each pair once, smaller number first.
    """
    # the two nearest pixels of two leaves lie on their borders, each within reach of another leaf
    near = contacts(instances, radius) & (instances > 0) & _borders(instances)
    image, y, x = torch.nonzero(near, as_tuple=True)
    own = instances[near]
    numbers = torch.unique(own)
    if len(numbers) < 2:
        return instances.new_zeros(0, 2)
    place = instances.new_full((int(instances.max()) + 1,), -1)
    place[numbers] = torch.arange(len(numbers), device=numbers.device)
    place[0] = -1
    width = instances.shape[-1] + 2 * radius
    seen = place[functional.pad(instances, (radius, radius, radius, radius))].flatten()
    start = (image * (instances.shape[-2] + 2 * radius) + y + radius) * width + x + radius
    first, count = place[own], len(numbers)
    found = torch.zeros(count * count + 1, dtype=torch.bool, device=instances.device)
    for dy, dx in half_ellipse(radius):
        other = seen[start + (dy * width + dx)]
        touching = (other >= 0) & (other != first)
        key = torch.minimum(first, other) * count + torch.maximum(first, other)
        found[torch.where(touching, key, count * count)] = True
    keys = torch.nonzero(found[:-1])[:, 0]
    return torch.stack([numbers[keys // count], numbers[keys % count]], 1)


def _borders(instances: torch.Tensor) -> torch.Tensor:
    """Pixels with another number right, left, above or below, bool (N, H, W)."""
    found = torch.zeros_like(instances, dtype=torch.bool)
    across, along = instances[:, :, 1:] != instances[:, :, :-1], instances[:, 1:] != instances[:, :-1]
    found[:, :, 1:] |= across
    found[:, :, :-1] |= across
    found[:, 1:] |= along
    found[:, :-1] |= along
    return found


def half_ellipse(radius: int) -> list[tuple[int, int]]:
    """Return half of the offsets (dy, dx) of OpenCV's ellipse; the other half gives the same pairs.

    The eight pixels next to the center always belong to it.
    """
    found = {(0, 1), (1, -1), (1, 0), (1, 1)}
    for dy in range(radius + 1):
        reach = round((radius * radius - dy * dy) ** 0.5)
        found |= {(dy, dx) for dx in range(-reach, reach + 1) if dy or dx > 0}
    return sorted(found)


def all_pairs(present: torch.Tensor, stride: int) -> torch.Tensor:
    """Return every pair of leaves of one image, the *global* loss.

    Parameters
    ----------
    present : torch.Tensor
        (K,) int64, sorted; leaf + stride * image, no background.
    stride : int

    Returns
    -------
    torch.Tensor
        (P, 2) int64, each pair once, smaller number first.
    """
    if present.numel() < 2:
        return present.new_zeros(0, 2)
    pairs = torch.combinations(present)
    return pairs[pairs[:, 0] // stride == pairs[:, 1] // stride]


def embedding_loss(
    embedding: torch.Tensor,
    labels: torch.Tensor,
    radius: int | None = 10,
    per_leaf: bool = True,
    background: bool = False,
    weight: torch.Tensor | None = None,
) -> EmbeddingLoss:
    """Return the cosine embedding loss with neighbors (E-loss; Wu et al. 2020, Sec. 3.2).

    *Within*: the mean of ``1 - cos(e_i, mu)`` of pixels to the normalized mean embedding of their leaf.
    *Between*: the mean of ``|cos(mu_a, mu_b)|`` over neighboring leaves; zero when they are orthogonal.
    Both are means over the images of a batch.

    Parameters
    ----------
    embedding : torch.Tensor
        (N, E, H, W), unit length along E.
    labels : torch.Tensor
        (N, H, W) integer, 0 = background, negative = not annotated: such pixels belong to nothing and carry no
        gradient.
    radius : int or None
        Leaves closer than this many pixels are neighbors (the *local* loss); all leaves of an image are when None (the
        *global* loss).
    per_leaf : bool
        Average each leaf first, so that small leaves count as much as large ones; else each pixel counts the same.
    background : bool
        Treat the background as one more instance, a neighbor of every leaf (Chen et al. 2019; Wu's code).
    weight : torch.Tensor, optional
        (N, H, W) weight of each pixel in *within*; 1 when None.

    Returns
    -------
    EmbeddingLoss
    """
    embedding = _at_least_single(embedding)
    batch, dimensions = embedding.shape[:2]
    labels = labels.long()
    stride = int(labels.max()) + 1
    counted = labels >= 0 if background else labels > 0
    numbers = labels + stride * torch.arange(batch, device=labels.device)[:, None, None]
    pixels = embedding.permute(0, 2, 3, 1)[counted]
    if pixels.shape[0] == 0:
        zero = embedding.sum() * 0
        return EmbeddingLoss(zero, zero)
    present, index = torch.unique(numbers[counted], return_inverse=True)
    counts = torch.ones_like(pixels[:, 0]) if weight is None else weight[counted].to(pixels.dtype)
    sizes = pixels.new_zeros(len(present)).index_add(0, index, counts)
    sums = pixels.new_zeros(len(present), dimensions).index_add(0, index, pixels)
    means = functional.normalize(sums, dim=1)
    # the sum of cosines of a leaf's pixels to its mean is the weighted sum of its pixels times the mean
    weighted = sums if weight is None else torch.zeros_like(sums).index_add(0, index, pixels * counts[:, None])
    within = _within(sizes - (weighted * means).sum(1), sizes, present // stride, batch, per_leaf)
    pairs = _pairs(present, stride, torch.where(labels > 0, numbers, 0), radius, background)
    if pairs.shape[0] == 0:
        return EmbeddingLoss(within, within * 0)
    first, second = (means[torch.searchsorted(present, pairs[:, side].contiguous())] for side in (0, 1))
    return EmbeddingLoss(within, _mean_by_image((first * second).sum(1).abs(), pairs[:, 0] // stride, batch))


def _within(away: torch.Tensor, sizes: torch.Tensor, image: torch.Tensor, count: int, per_leaf: bool) -> torch.Tensor:
    """The mean over images of what each one's leaves, or pixels, are away from their mean."""
    if per_leaf:
        return _mean_by_image(away / sizes.clamp(min=1e-6), image, count)
    total = sizes.new_zeros(count).index_add(0, image, sizes)
    return (away.new_zeros(count).index_add(0, image, away) / total.clamp(min=1e-6)).mean()


def _mean_by_image(values: torch.Tensor, image: torch.Tensor, count: int) -> torch.Tensor:
    """The mean over images of the mean of each one's values; 0 for an image without any."""
    sizes = torch.bincount(image, minlength=count).clamp(min=1)
    return (values.new_zeros(count).index_add(0, image, values) / sizes).mean()


def _pairs(
    present: torch.Tensor, stride: int, instances: torch.Tensor, radius: int | None, background: bool
) -> torch.Tensor:
    """Pairs of instances whose embeddings are to differ, (P, 2)."""
    leaves = present[present % stride > 0]
    pairs = all_pairs(leaves, stride) if radius is None else neighbor_pairs(instances, radius)
    if background:
        ground = leaves // stride * stride
        known = torch.isin(ground, present)
        pairs = torch.cat([pairs, torch.stack([ground, leaves], 1)[known]])
    return pairs


def center_loss(offset: torch.Tensor, labels: torch.Tensor, unit: float = 8.0) -> torch.Tensor:
    """Measure how far each leaf's pixels miss their leaf's center: the smooth L1 distance, each leaf alike.

    Parameters
    ----------
    offset : torch.Tensor
        (N, 2, H, W), from each pixel to the center, pixels down and right.
    labels : torch.Tensor
        (N, H, W) integer, 0 = background, negative = not annotated.
    unit : float
        Errors under this many pixels count by their square.
    """
    batch, height, width = labels.shape
    labels = labels.long()
    stride = int(labels.max()) + 1
    inside = labels > 0
    if stride <= 1:
        return offset.sum() * 0
    numbers = (labels + stride * torch.arange(batch, device=labels.device)[:, None, None])[inside]
    present, index = torch.unique(numbers, return_inverse=True)
    rows = torch.arange(height, device=labels.device, dtype=torch.float32)[None, :, None].expand_as(labels)[inside]
    columns = torch.arange(width, device=labels.device, dtype=torch.float32)[None, None].expand_as(labels)[inside]
    places = torch.stack([rows, columns], 1)
    sizes = torch.bincount(index, minlength=len(present)).float()
    centers = places.new_zeros(len(present), 2).index_add(0, index, places) / sizes[:, None]
    found = _at_least_single(offset).permute(0, 2, 3, 1)[inside]
    error = functional.smooth_l1_loss((places + found) / unit, centers[index] / unit, reduction="none").sum(1)
    return (error.new_zeros(len(present)).index_add(0, index, error) / sizes).mean()


def _at_least_single(values: torch.Tensor) -> torch.Tensor:
    """Leave mixed precision: losses are sums over many pixels."""
    return values if values.dtype == torch.float64 else values.float()
