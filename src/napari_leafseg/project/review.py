"""The order of review: the least certain first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

Filter = Literal["unverified", "verified", "all"]


@dataclass(frozen=True)
class Progress:
    """How far the review is: leaves verified of all, pictures done of all."""

    leaves: int
    leaves_total: int
    images: int
    images_total: int

    def __str__(self) -> str:
        return f"{self.leaves} of {self.leaves_total} leaves, {self.images} of {self.images_total} images"


def leaf_queue(
    confidence: Mapping[int, float], leaves: Collection[int], verified: Collection[int], show: Filter = "unverified"
) -> list[int]:
    """Leaves in the order of review.

    Parameters
    ----------
    confidence : mapping of int to float
        0 to 1; leaves without one come first.
    leaves, verified : collection of int
    show : {"unverified", "verified", "all"}
    """
    chosen = [leaf for leaf in leaves if show == "all" or (leaf in verified) == (show == "verified")]
    return sorted(chosen, key=lambda leaf: (confidence.get(leaf, 0.0), leaf))


def image_order(certainty: Mapping[str, float]) -> list[str]:
    """Pictures in the order of review.

    Parameters
    ----------
    certainty : mapping of str to float
        Confidence of each picture's least certain leaf that nobody verified; 1 where all are verified.
    """
    return sorted(certainty, key=lambda name: (certainty[name], name))
