"""Instance-unique, equivariant querying (Wang, Liang, Liu 2022): the two losses beside a base model's own."""

from __future__ import annotations

import torch
from torch.nn import functional

from napari_leafseg.losses.masks import focal_loss


def uniqueness_loss(logits: torch.Tensor, foreign: torch.Tensor) -> torch.Tensor:
    """Penalize what queries find in other images: focal loss against an empty mask (L_inter_mask; Sec. 3.2).

    Parameters
    ----------
    logits : torch.Tensor
        (Q, P), the answer of each query from each sampled pixel.
    foreign : torch.Tensor
        bool (Q, P), whether the pixel is of another image than the query.

    Returns
    -------
    torch.Tensor
        Mean over foreign pixels; 0 where there are none.
    """
    errors = focal_loss(logits, torch.zeros_like(logits)) * foreign
    return errors.sum() / foreign.sum().clamp(min=1)


def consistency_loss(first: torch.Tensor, second: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
    """Compare features of a transformed image with the transformed features, f(g(I)) with g(f(I)) (Sec. 3.3).

    Per pixel |a - b|² / (|a|² + |b|²): 0 for equal features, 1 for orthogonal ones, whatever their size.

    Parameters
    ----------
    first, second : torch.Tensor
        (N, D, h, w).
    valid : torch.Tensor, optional
        (N, 1, h, w), 0 where a transform brought in pixels from beyond the image.
    """
    first, second = first.float(), second.float()
    gap = (first - second).square().sum(1, keepdim=True)
    size = first.square().sum(1, keepdim=True) + second.square().sum(1, keepdim=True)
    return masked_mean(gap / (size + 1e-6), valid)


def masked_mean(errors: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
    """Return the mean of errors (N, 1, h, w) where `valid`, likewise, is 1; of all where it is None."""
    return errors.mean() if valid is None else (errors * valid).sum() / valid.sum().clamp(min=1)


def direction_loss(first: torch.Tensor, second: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Return 1 - cosine between two embeddings of each pixel, in the mean over some pixels.

    Parameters
    ----------
    first, second : torch.Tensor
        (N, E, h, w).
    inside : torch.Tensor
        bool (N, h, w), the pixels that count.
    """
    cosine = functional.cosine_similarity(first.float(), second.float(), dim=1)
    return masked_mean((1 - cosine)[:, None], inside[:, None].float())


def angle_consistency(first: torch.Tensor, second: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Compare angles between embeddings before and after a transform; their directions may turn freely.

    Parameters
    ----------
    first, second : torch.Tensor
        (N, E, h, w), unit length along E.
    points : torch.Tensor
        int64 (P,), pixels (row by row) whose pairwise cosines are compared.

    Returns
    -------
    torch.Tensor
        Mean squared difference of the cosines.
    """
    tables = []
    for maps in (first, second):
        vectors = maps.float().flatten(2)[..., points]
        tables.append(vectors.transpose(1, 2) @ vectors)
    return (tables[0] - tables[1]).square().mean()
