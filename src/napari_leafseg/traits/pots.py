"""Leaves given to the pots of a tray."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import ndimage

from napari_leafseg.experiment.tray import Pot, Tray
from napari_leafseg.traits.midrib import Midrib

_CLEAR = 0.75  # of a leaf's pixels in one pot: it is that pot's
_SHARE = 0.05  # of a leaf's pixels: what a pot needs to be thought of


def pots_of_leaves(labels: np.ndarray, tray: Tray, midribs: Mapping[int, Midrib]) -> dict[int, Pot]:
    """Tell in which pot each leaf grows.

    A leaf of which three quarters lie in one pot belongs to that one. One that reaches over an edge belongs to the pot,
    of those that it lies in, to whose middle one of its two ends comes nearest: a leaf that hangs over into the
    neighbor's pot still begins at its own plant. Pots that are marked as empty have no leaf that reaches into another
    one. Distances are measured in pots, so that perspective does not matter.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (H, W), 0 = background.
    tray : Tray
    midribs : mapping
        From leaf to its midrib, in the image's coordinates.

    Returns
    -------
    dict
        From leaf to pot; a leaf that lies mostly outside of the tray is left out.
    """
    found = {}
    for leaf, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        points = np.argwhere(labels[box] == leaf) + [box[0].start, box[1].start]
        cells = np.floor(tray.to_grid(points, labels.shape)).astype(int)
        inside = ((cells >= 0) & (cells < (tray.rows, tray.columns))).all(1)
        if inside.mean() <= 0.5:
            continue
        pots, counts = np.unique(cells[inside], axis=0, return_counts=True)
        shares = {(int(row), int(column)): count / len(points)
                  for (row, column), count in zip(pots, counts, strict=True)}  # fmt: skip
        found[leaf] = _owner(shares, tray, midribs[leaf], labels.shape)
    return found


def _owner(shares: Mapping[Pot, float], tray: Tray, midrib: Midrib, shape: tuple[int, ...]) -> Pot:
    """The pot of a leaf, by the shares of its pixels."""
    largest = max(shares, key=lambda pot: shares[pot])
    candidates = [pot for pot, share in shares.items() if share >= _SHARE or pot == largest]
    planted = [pot for pot in candidates if pot not in tray.empty]
    if largest in planted and (shares[largest] >= _CLEAR or len(planted) == 1):
        return largest
    if not planted:
        return largest
    ends = tray.to_grid(midrib.points[[0, -1]], shape)
    nearest = {pot: np.hypot(*(ends - (pot[0] + 0.5, pot[1] + 0.5)).T).min() for pot in planted}
    return min(planted, key=lambda pot: (nearest[pot], -shares[pot]))


def plants_without_leaves(tray: Tray, plants: pd.DataFrame, shape: tuple[int, ...]) -> pd.DataFrame:
    """Return rows of plants for the pots that are not marked as empty and show no leaf: no leaves, no area."""
    there = set(plants["plant"])
    rows = []
    for pot in tray.pots:
        number = tray.number_of(pot)
        if number in there or pot in tray.empty:
            continue
        y, x = tray.middle(pot, shape)
        rows.append(
            {
                "plant": number, "name": tray.name_of[pot], "leaves": 0, "area_px2": 0.0, "hull_area_px2": 0.0,
                "compactness": np.nan, "diameter_px": 0.0, "center_y_px": y, "center_x_px": x,
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(plants.columns))
