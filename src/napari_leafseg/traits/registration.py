"""Where the middle of a plant is in each image of a series, told by all of its leaves."""

from __future__ import annotations

import numpy as np
import pandas as pd

_MIDDLE, _CENTROID = ["center_y_px", "center_x_px"], ["centroid_y_px", "centroid_x_px"]
_SHRINKS = 0.7  # a plant counts as moved where that brings its leaves together to this share of their distance
_AREA = 0.05  # what another size by the factor e counts, as a share of the plant's diameter
_KEPT = 0.75  # share of leaves that are compared, the nearest ones: others came, or were missed
_ROUNDS = 3


def plant_middles(plant: pd.DataFrame) -> pd.DataFrame:
    """Find the middle of a plant in each frame: the same point of the plant.

    The middle of a rosette is told from few leaves in some of the frames, and is wrong by a leaf's width then. So it is
    asked of all frames together: between two of them a plant counts as moved only where its leaves say so, by the
    distances of the nearest ones, and the middle is the median of those of all frames, moved along.

    Parameters
    ----------
    plant : pandas.DataFrame
        The leaves of a plant: ``frame``, ``area_px2``, ``centroid_y_px``, ``centroid_x_px``, and of the plant
        ``diameter_px``, ``center_y_px``, ``center_x_px``. Where there is a column ``moved``, of leaves that somebody
        gave to this plant: its middle in their frames is told by the others.

    Returns
    -------
    pandas.DataFrame
        ``center_y_px`` and ``center_x_px``, a row for each frame, by its number.
    """
    middles = plant.groupby("frame")[_MIDDLE].first().astype(float)
    size = float(plant["diameter_px"].median())
    leaves = [
        (rows[_CENTROID].to_numpy(float), np.log(rows["area_px2"].to_numpy(float)))
        for _, rows in plant.groupby("frame")
    ]
    offsets = np.zeros((len(middles), 2))
    places = middles.to_numpy()
    sound = np.ones(len(places), bool)
    if "moved" in plant and not plant["moved"].all():
        sound = ~plant.groupby("frame")["moved"].any().to_numpy()
        sound |= not sound.any()
    for number in range(1, len(leaves)):
        told = places[number] - places[number - 1] if sound[number - 1] and sound[number] else np.zeros(2)
        moved = _shift(leaves[number - 1], leaves[number], told, size)
        offsets[number] = offsets[number - 1] + moved
    middles[:] = np.median((places - offsets)[sound], 0) + offsets
    return middles


def _shift(
    before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], told: np.ndarray, size: float
) -> np.ndarray:
    """How far (y, x) a plant moved between two frames, pixels; nothing where its leaves do not say that it did."""
    far = _AREA * size * np.abs(before[1][:, None] - after[1][None])
    still = np.zeros(2)
    found = [told, _refined(told, before[0], after[0], far), _refined(still, before[0], after[0], far)]
    distance = [_distance(shift, before[0], after[0], far) for shift in found]
    best = int(np.argmin(distance))
    return found[best] if distance[best] < _SHRINKS * _distance(still, before[0], after[0], far) else still


def _each(shift: np.ndarray, before: np.ndarray, after: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Distance of each leaf to each one of the next frame, once it is moved."""
    return np.hypot(*(before[:, None] + shift - after[None]).transpose(2, 0, 1)) + far


def _distance(shift: np.ndarray, before: np.ndarray, after: np.ndarray, far: np.ndarray) -> float:
    """Mean distance of leaves to the nearest ones of the other frame, of those that have one near."""
    each = _each(shift, before, after, far)
    nearest = np.sort(np.concatenate([each.min(0), each.min(1)]))
    return float(nearest[: max(1, int(_KEPT * len(nearest)))].mean())


def _refined(shift: np.ndarray, before: np.ndarray, after: np.ndarray, far: np.ndarray) -> np.ndarray:
    """A shift that fits the leaves which are each other's nearest."""
    for _ in range(_ROUNDS):
        each = _each(shift, before, after, far)
        nearest = each.argmin(1)
        mutual = each.argmin(0)[nearest] == np.arange(len(before))
        if mutual.sum() < 3:
            break
        shift = np.median(after[nearest[mutual]] - before[mutual], 0)
    return shift
