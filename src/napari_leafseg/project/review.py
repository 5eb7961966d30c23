"""How far the review is, and its order: the least certain first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from napari_leafseg.errors import UserError
from napari_leafseg.project.files import read_labels_file
from napari_leafseg.project.store import Project

Filter = Literal["unverified", "verified", "all"]


@dataclass(frozen=True)
class Progress:
    """How far the review is: leaves verified of all, images done of all."""

    leaves: int
    leaves_total: int
    images: int
    images_total: int

    def __str__(self) -> str:
        return f"{self.leaves} of {self.leaves_total} leaves, {self.images} of {self.images_total} images"


@dataclass(frozen=True)
class Tally:
    """What a project holds to learn from.

    Attributes
    ----------
    whole, whole_leaves : int
        Images that were reviewed as a whole, and the leaves in them.
    partly, partly_leaves : int
        Images of which only some leaves were verified, and these leaves.
    """

    whole: int = 0
    whole_leaves: int = 0
    partly: int = 0
    partly_leaves: int = 0

    def __str__(self) -> str:
        parts = [
            f"{images} {kind} image{'' if images == 1 else 's'} ({leaves} {what}{'' if leaves == 1 else 's'})"
            for images, kind, leaves, what in (
                (self.whole, "reviewed", self.whole_leaves, "leaf"),
                (self.partly, "partly corrected", self.partly_leaves, "verified leaf"),
            )
            if images
        ]
        return " and ".join(parts).replace("leafs", "leaves")


def tally(project: Project, marks: Mapping[str, int]) -> Tally:
    """Count what a project holds to learn from, as saved last.

    Parameters
    ----------
    project : Project
    marks : mapping of str to int
        Verified leaves of the images that are open, by the images' names: newer than what is saved.
    """
    project.writer.flush()
    counts = dict.fromkeys(("whole", "whole_leaves", "partly", "partly_leaves"), 0)
    for ref in list(project.images):
        path = project.labels_path(ref)
        try:
            if ref.state == "done":
                counts["whole_leaves"] += _leaves_in(path, path.stat().st_mtime_ns)
                counts["whole"] += 1
            elif found := marks[ref.id] if ref.id in marks else _marks_in(path):
                counts["partly"] += 1
                counts["partly_leaves"] += found
        except (UserError, OSError):  # training will name it
            continue
    return Tally(**counts)


@lru_cache(maxsize=10_000)
def _leaves_in(path: Path, _changed: int) -> int:
    """Leaves of all frames; read once for each state of the file."""
    labels, _ = read_labels_file(path)
    return sum(len(np.unique(plane[plane > 0])) for plane in labels.reshape(-1, *labels.shape[-2:]))


def _marks_in(path: Path) -> int:
    return len(read_labels_file(path, pixels=False)[1]["verified"]) if path.exists() else 0


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


def image_order(confidence: Mapping[str, float]) -> list[str]:
    """Images in the order of review.

    Parameters
    ----------
    confidence : mapping of str to float
        Confidence of each image's least certain leaf that nobody verified; 1 where all are verified.
    """
    return sorted(confidence, key=lambda name: (confidence[name], name))
