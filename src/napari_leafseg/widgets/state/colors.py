"""Colors of leaves: neighbors never alike, and a leaf keeps its own as long as its neighbors allow it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from napari.utils.colormaps import CyclicLabelColormap

_HEXES = (
    "#60DFFF", "#FF6040", "#9F40FF", "#FFBF00", "#00609F", "#DF809F", "#20FFBF", "#BF0060", "#809FFF", "#9F4000",
)  # fmt: skip
_NEAR = 3  # pixels of the reduced labels between leaves that are neighbors
_PIXELS = 500_000  # of the reduced labels
_ROOM = 64  # numbers for leaves to come, so that none of them has the color of the leaf under review


PALETTE = np.array([[int(code[k : k + 2], 16) / 255 for k in (1, 3, 5)] for code in _HEXES], np.float32)
"""Each as far from every other, from white and from the yellow of what is proposed as can be, with any color vision."""


def reduced(labels: np.ndarray) -> np.ndarray:
    """Copy labels (H, W) or (T, H, W) at a coarser grid: enough to see which leaves are neighbors."""
    step = max(1, int(np.ceil(np.sqrt(labels.size / _PIXELS))))
    return np.array(labels[..., ::step, ::step])


def find_neighbors(labels: np.ndarray) -> dict[int, set[int]]:
    """List, for each leaf, the leaves that it touches or nearly touches.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (H, W) or (T, H, W).
    """
    size = int(labels.max(initial=0)) + 1
    found: dict[int, set[int]] = {int(leaf): set() for leaf in np.unique(labels) if leaf}
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        for gap in range(1, _NEAR + 1):
            first = labels[..., : labels.shape[-2] - gap * down or None, :]
            second = labels[..., gap * down :, :]
            if right:
                left, other = slice(None, -gap), slice(gap, None)
                first, second = first[..., left if right > 0 else other], second[..., other if right > 0 else left]
            meet = (first != second) & (first > 0) & (second > 0)
            for pair in np.unique(first[meet].astype(np.int64) * size + second[meet]).tolist():
                a, b = divmod(pair, size)
                found[a].add(b)
                found[b].add(a)
    return found


def color_leaves(neighbors: Mapping[int, set[int]], before: Mapping[int, int] | None = None) -> dict[int, int]:
    """Choose a color of the palette for each leaf, such that no two neighbors have the same.

    Parameters
    ----------
    neighbors : mapping of int to set of int
    before : mapping of int to int, optional
        The colors so far: a leaf keeps its own where no neighbor that was there before it has the same.

    Returns
    -------
    dict of int to int
        Number in the palette, by leaf.
    """
    chosen: dict[int, int] = {}
    for leaf in sorted(set(before or {}) & set(neighbors)):
        color = (before or {})[leaf]
        if all(color != chosen.get(other) for other in neighbors[leaf]):
            chosen[leaf] = color
    for leaf in sorted(neighbors, key=lambda leaf: (-len(neighbors[leaf]), leaf)):
        if leaf in chosen:
            continue
        around = Counter(chosen[other] for other in neighbors[leaf] if other in chosen)
        start = (leaf - 1) % len(PALETTE)
        chosen[leaf] = min(range(len(PALETTE)), key=lambda color: (around[color], (color - start) % len(PALETTE)))
    return chosen


def leaf_colors(colors: Mapping[int, int] | None = None) -> CyclicLabelColormap:
    """Return a colormap of leaves with these colors of the palette; others by their number. Its last color is white."""
    largest = max(colors or (0,), default=0) + _ROOM
    length = max(256, 1 << int(largest).bit_length())
    rows = (np.arange(length) - 1) % len(PALETTE)
    for leaf, color in (colors or {}).items():
        rows[leaf] = color
    table = np.concatenate([PALETTE[rows], np.ones((length, 1), np.float32)], axis=1)
    table[0], table[-1] = 0, 1
    return CyclicLabelColormap(colors=table, seed=0.5)


def paint_leaves(labels: np.ndarray) -> np.ndarray:
    """Draw labels in the colors that their layer has at first, uint8 (H, W, 3)."""
    colors = color_leaves(find_neighbors(reduced(labels)))
    table = np.zeros((int(labels.max(initial=0)) + 1, 3), np.uint8)
    for leaf in range(1, len(table)):
        table[leaf] = np.round(255 * PALETTE[colors.get(leaf, (leaf - 1) % len(PALETTE))])
    return table[labels]
