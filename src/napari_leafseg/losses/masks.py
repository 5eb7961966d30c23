"""Losses of masks, scores and boxes."""

from __future__ import annotations

import torch
from torch.nn import functional


def dice_loss(logits: torch.Tensor, masks: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
    """Return 1 - Dice of each mask, with squared terms in the denominator (Milletari et al. 2016; as SOLO does).

    Parameters
    ----------
    logits : torch.Tensor
        (Q, ...).
    masks : torch.Tensor
        As `logits`, 0 to 1.
    known : torch.Tensor, optional
        Broadcastable to `logits`; 0 where a pixel is not annotated and carries no loss.

    Returns
    -------
    torch.Tensor
        (Q,), 0 to 1.
    """
    probability = logits.float().sigmoid()
    masks = masks.float()
    if known is not None:
        probability, masks = probability * known, masks * known
    probability, masks = probability.flatten(1), masks.flatten(1)
    overlap = 2 * (probability * masks).sum(1)
    return 1 - overlap / (probability.square().sum(1) + masks.square().sum(1) + 1e-5)


def focal_loss(logits: torch.Tensor, targets: torch.Tensor, alpha: float = 0.25, gamma: float = 2.0) -> torch.Tensor:
    """Return the focal loss of each element (Lin et al. 2017, Eq. 5).

    Parameters
    ----------
    logits : torch.Tensor
    targets : torch.Tensor
        As `logits`, 0 or 1.
    alpha, gamma : float
        Weight of the positives, and focus.
    """
    logits, targets = logits.float(), targets.float()
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    probability = logits.sigmoid()
    missed = probability + targets - 2 * probability * targets
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return weight * missed.pow(gamma) * entropy


def giou_loss(predicted: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the generalized IoU loss of boxes given by their distances from one point (Rezatofighi et al. 2019; FCOS).

    Parameters
    ----------
    predicted, wanted : torch.Tensor
        (Q, 4), at least 0: left, top, right, bottom.

    Returns
    -------
    torch.Tensor
        (Q,), 0 to 2.
    """

    def area(sides: torch.Tensor) -> torch.Tensor:
        return (sides[:, 0] + sides[:, 2]) * (sides[:, 1] + sides[:, 3])

    common = area(torch.minimum(predicted, wanted))
    hull = area(torch.maximum(predicted, wanted))
    union = area(predicted) + area(wanted) - common
    iou = (common + 1) / (union + 1)
    return 1 - iou + (hull - union) / hull.clamp(min=1e-6)
