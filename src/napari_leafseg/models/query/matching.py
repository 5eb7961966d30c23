"""One-to-one matching of queries to true leaves, and the losses of matched masks (Carion et al. 2020)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch.nn import functional

from napari_leafseg.losses.masks import dice_loss, focal_loss
from napari_leafseg.models.query.base import Instances


class Pairs(NamedTuple):
    """Matched queries, numbered through the batch, and the leaves that they are matched to; int64 (P,) each."""

    query: torch.Tensor
    instance: torch.Tensor


def match_pairs(costs: list[torch.Tensor], device: torch.device) -> Pairs:
    """Assign each leaf one query of its image, at the least cost in all.

    Parameters
    ----------
    costs : list of torch.Tensor
        (Q, M) for each image; leaves are numbered through the batch in this order.
    device : torch.device
    """
    queries, leaves, first = [], [], 0
    for number, cost in enumerate(costs):
        rows, columns = linear_sum_assignment(torch.nan_to_num(cost, 1e6, 1e6, -1e6).float().cpu().numpy())
        queries.append(torch.as_tensor(rows, device=device) + number * len(cost))
        leaves.append(torch.as_tensor(columns, device=device) + first)
        first += cost.shape[1]
    return Pairs(torch.cat(queries), torch.cat(leaves))


def known_pixels(instances: Instances, size: tuple[int, int]) -> torch.Tensor:
    """Return 1 where something of a mask's pixel is annotated, float (N, h, w)."""
    return functional.adaptive_max_pool2d(instances.known[:, None], size)[:, 0]


def pairwise_dice(logits: torch.Tensor, masks: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Return the Dice (squared terms below, as in `dice_loss`) of each query (Q, h, w) with each leaf (M, h, w)."""
    probability = (logits.float().sigmoid() * known).flatten(1)
    wanted = (masks * known).flatten(1)
    sizes = probability.square().sum(1)[:, None] + wanted.square().sum(1)[None]
    return 2 * (probability @ wanted.T) / (sizes + 1e-5)


def pairwise_entropy(logits: torch.Tensor, masks: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Return the mean binary cross-entropy of each query (Q, h, w) with each leaf (M, h, w), over annotated pixels."""
    flat, wanted = (logits.float() * known).flatten(1), (masks * known).flatten(1)
    nothing = (functional.softplus(logits.float()) * known).flatten(1).sum(1)
    return (nothing[:, None] - flat @ wanted.T) / known.sum().clamp(min=1)


def pairwise_focal(logits: torch.Tensor, category: torch.Tensor) -> torch.Tensor:
    """Return what it costs each query (Q, classes) to be of each leaf's class (M,): focal loss of yes less of no."""
    cost = focal_loss(logits, torch.ones_like(logits)) - focal_loss(logits, torch.zeros_like(logits))
    return cost[:, category]


def entropy_loss(logits: torch.Tensor, masks: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Return the mean binary cross-entropy of masks (P, h, w) over annotated pixels."""
    errors = functional.binary_cross_entropy_with_logits(logits.float(), masks, reduction="none") * known
    return errors.sum() / known.sum().clamp(min=1)


def matched_mask_losses(
    logits: torch.Tensor, masks: torch.Tensor, known: torch.Tensor, weights: tuple[float, float]
) -> dict[str, torch.Tensor]:
    """Return weighted cross-entropy ("mask") and Dice loss ("dice") of masks that are matched, in the mean over them.

    Parameters
    ----------
    logits, masks, known : torch.Tensor
        (P, h, w).
    weights : tuple of float
    """
    if len(logits) == 0:
        return {"mask": logits.sum() * 0, "dice": logits.sum() * 0}
    return {
        "mask": weights[0] * entropy_loss(logits, masks, known),
        "dice": weights[1] * dice_loss(logits, masks, known).mean(),
    }


def score_loss(
    logits: torch.Tensor, category: torch.Tensor, pairs: Pairs, masks: torch.Tensor, known: torch.Tensor
) -> torch.Tensor:
    """Return the focal loss of the classes of all queries, per matched one.

    Unmatched queries whose mask lies mostly where nothing is annotated are neither right nor wrong.

    Parameters
    ----------
    logits : torch.Tensor
        (N * Q, classes).
    category : torch.Tensor
        int64 (M,), the leaves' classes.
    pairs : Pairs
    masks : torch.Tensor
        (N, Q, h, w), mask logits.
    known : torch.Tensor
        (N, h, w).
    """
    inside = masks.detach().float().sigmoid()
    share = (inside * known[:, None]).flatten(2).sum(2) / inside.flatten(2).sum(2).clamp(min=1e-6)
    counted = (share >= 0.5).flatten()
    counted[pairs.query] = True
    wanted = torch.zeros_like(logits)
    wanted[pairs.query, category[pairs.instance]] = 1.0
    return (focal_loss(logits, wanted) * counted[:, None]).sum() / max(1, len(pairs.query))
