"""Leaves given to the pots of a tray."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import ndimage

from napari_leafseg.experiment.tray import Pot, Tray
from napari_leafseg.traits.midrib import Midrib
from napari_leafseg.traits.plants import gather_leaves

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
    for leaf, box in enumerate(ndimage.find_objects(labels.astype(np.int32)), start=1):
        if box is None:
            continue
        points = np.argwhere(labels[box] == leaf) + np.array([box[0].start, box[1].start])
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


def plants_of_tray(
    labels: np.ndarray,
    tray: Tray,
    midribs: Mapping[int, Midrib],
    gap: float | None = None,
    plant_overrides: Mapping[int, int] | None = None,
) -> dict[int, int]:
    """Tell which plant each leaf belongs to: the number of its pot, the same in all images of the tray.

    Leaves outside of the tray are gathered as without one, and are numbered after the pots.

    Parameters
    ----------
    labels, tray, midribs
        See `pots_of_leaves`.
    gap, plant_overrides
        See `napari_leafseg.traits.plants.gather_leaves`.
    """
    found = {leaf: tray.number_of(pot) for leaf, pot in pots_of_leaves(labels, tray, midribs).items()}
    outside = np.setdiff1d(list(midribs), list(found))
    if len(outside):
        rest = gather_leaves(np.where(np.isin(labels, outside), labels, 0), gap)
        found.update({leaf: plant + tray.rows * tray.columns for leaf, plant in rest.items()})
    found.update({leaf: plant for leaf, plant in (plant_overrides or {}).items() if leaf in found})
    return found


def add_pots(
    leaves: pd.DataFrame, plants: pd.DataFrame, tray: Tray, shape: tuple[int, ...]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add the names of the pots to tables of leaves and plants, and the pots that show no leaf to that of plants.

    A pot that is not marked as empty and shows no leaf has a row with no leaves and no area; outside of the tray the
    name is empty.
    """
    names = {tray.number_of(pot): name for pot, name in tray.name_of.items()}
    there, rows = set(plants["plant"]), []
    for pot in tray.pots:
        number = tray.number_of(pot)
        if number not in there and pot not in tray.empty:
            y, x = tray.middle(pot, shape)
            rows.append({"plant": number, "leaves": 0, "area_px2": 0.0, "hull_area_px2": 0.0, "compactness": np.nan,
                         "diameter_px": 0.0, "center_y_px": y, "center_x_px": x})  # fmt: skip
    if rows:
        more = pd.DataFrame(rows)
        plants = pd.concat([plants, more], ignore_index=True)[list(plants.columns)] if len(plants) else more
    plants = plants.sort_values("plant").reset_index(drop=True)
    plants["name"] = [names.get(plant, str(plant)) for plant in plants["plant"]]
    named = []
    for table in (leaves, plants.drop(columns="name")):
        table = table.copy()
        table.insert(1, "pot", [names.get(plant, "") for plant in table["plant"]])
        named.append(table)
    named[1].insert(2, "name", plants["name"])
    return named[0], named[1]
