"""Plants followed from image to image: by their pots, by what people decided, by a vote of their leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

GAP = 2  # frames in which a leaf or a plant may be missing
EXACT = 6  # decimals: costs that differ by what computers round are no costs to the assignment
_NEAR = 0.25  # of the plants' diameter (geometric mean): farther apart, leaves of two frames are not the same
_AREA = 0.05  # what another size by the factor e counts, as a share of the diameter
_LEAST = 0.1  # share of two plants' leaves that have to be the same


def plant_tracks(plants: pd.DataFrame, leaves: pd.DataFrame) -> np.ndarray:
    """Link plants over the frames, and number them in their order in the first frame.

    Plants of one pot are one. Those outside of all pots, and all where there is no tray, are linked by their leaves:
    each leaf votes for the plant of the leaf that is nearest to it in the other frame, if it is that leaf's nearest as
    well. So a leaf that somebody gave to another plant in one frame does not take its rosette along, as the middles of
    plants would have it. These count only where no leaf has one near in the other frame. Leaves that somebody moved do
    not vote, and a plant that mostly consists of them is the plant of that number.

    Parameters
    ----------
    plants : pandas.DataFrame
        A row a plant and frame: ``frame``, ``plant``, ``center_y_px``, ``center_x_px``, ``diameter_px``, and
        where there is a tray ``pot``. With rows 0 … N as index.
    leaves : pandas.DataFrame
        A row a leaf: ``frame``, ``plant``, ``area_px2``, ``centroid_y_px``, ``centroid_x_px``,
        and ``moved``, whether somebody decided its plant.
    """
    if "pot" not in plants or not plants["pot"].fillna("").ne("").any():
        return _by_leaves(plants, leaves)
    pots = plants["pot"].fillna("")
    outside = (pots == "").to_numpy()
    numbers = {pot: number for number, pot in enumerate(dict.fromkeys(pots[~outside]), start=1)}
    found = np.array([numbers.get(pot, 0) for pot in pots])
    if outside.any():
        found[outside] = len(numbers) + _by_leaves(plants[outside].reset_index(drop=True), leaves)
    return found


def _by_leaves(plants: pd.DataFrame, leaves: pd.DataFrame) -> np.ndarray:
    from laptrack import LapTrack

    if plants["frame"].nunique() < 2:
        return np.arange(1, len(plants) + 1)
    costs = _Costs(plants, leaves)
    tracker = LapTrack(
        metric=costs.between, gap_closing_metric=costs.between, cutoff=1.0, gap_closing_cutoff=1.0,
        gap_closing_max_frame_count=GAP,
    )  # fmt: skip
    tracked, _, _ = tracker.predict_dataframe(
        plants[["frame"]].assign(row=np.arange(len(plants), dtype=float)), ["row"],
        frame_col="frame", only_coordinate_cols=False,
    )  # fmt: skip
    tracks = tracked.reset_index(drop=True).sort_values("row")["track_id"]
    return pd.factorize(tracks)[0] + 1


class _Costs:
    """How little two plants of different frames look like one: 0 to 1, more where they cannot be one."""

    def __init__(self, plants: pd.DataFrame, leaves: pd.DataFrame) -> None:
        self._frame, self._number = plants["frame"].to_numpy(int), plants["plant"].to_numpy(int)
        self._middle = plants[["center_y_px", "center_x_px"]].to_numpy(float)
        self._diameter = plants["diameter_px"].to_numpy(float)
        self._reach = max(float(np.median(self._diameter)) / 2, 1e-9)
        row_of = {key: row for row, key in enumerate(zip(self._frame, self._number, strict=True))}
        rows = [row_of.get(key, -1) for key in zip(leaves["frame"], leaves["plant"], strict=True)]
        own = leaves.assign(row=rows, weight=np.sqrt(leaves["area_px2"]))
        own = own[own["row"] >= 0]
        voting: Any = own[~own["moved"]].groupby("frame")
        self._leaves = {int(frame): table for frame, table in voting}
        self._weight, given = (
            part.groupby("row")["weight"].sum().reindex(range(len(plants)), fill_value=0.0).to_numpy()
            for part in (own[~own["moved"]], own[own["moved"]])
        )
        self._said = given > self._weight
        self._shares: dict[tuple[int, int], dict[tuple[int, int], float]] = {}

    def between(self, first: np.ndarray, second: np.ndarray) -> float:
        """Return the cost of two rows of the plants' table, as LapTrack asks for it."""
        one, other = sorted((round(float(first[0])), round(float(second[0]))), key=lambda row: self._frame[row])
        if self._said[one] or self._said[other]:
            return 0.0 if self._number[one] == self._number[other] else np.inf
        frames = int(self._frame[one]), int(self._frame[other])
        if frames not in self._shares:
            self._shares[frames] = self._votes(*frames)
        shares = self._shares[frames]
        if shares.get((one, -1)) or shares.get((-1, other)):
            share = shares.get((one, other), 0.0)
            return round(1 - share, EXACT) if share >= _LEAST else np.inf
        return round(float(((self._middle[one] - self._middle[other]) ** 2).sum()) / self._reach**2, EXACT)

    def _votes(self, frame: int, other: int) -> dict[tuple[int, int], float]:
        """Shares of two plants' leaves that are the same, by the roots of their areas; with -1 for any other plant."""
        one, two = self._leaves.get(frame), self._leaves.get(other)
        if one is None or two is None:
            return {}
        rows = [table["row"].to_numpy(int) for table in (one, two)]
        y, x = (np.subtract.outer(one[name].to_numpy(float), two[name].to_numpy(float))
                for name in ("centroid_y_px", "centroid_x_px"))  # fmt: skip
        larger = np.abs(np.subtract.outer(*(np.log(table["area_px2"].to_numpy(float)) for table in (one, two))))
        size = np.sqrt(np.multiply.outer(self._diameter[rows[0]], self._diameter[rows[1]]))
        far = np.round(np.hypot(y, x) / np.maximum(size, 1e-9) + _AREA * larger, EXACT)
        nearest = far.argmin(1)
        mutual = np.flatnonzero((far.argmin(0)[nearest] == np.arange(len(far))) & (far.min(1) <= _NEAR))
        votes = dict[tuple[int, int], float]()
        for leaf in mutual:
            a, b = rows[0][leaf], rows[1][nearest[leaf]]
            for key in ((a, b), (a, -1), (-1, b)):
                votes[key] = votes.get(key, 0.0) + one["weight"].iloc[leaf] + two["weight"].iloc[nearest[leaf]]
        total = np.append(self._weight, 0)  # of no plant, by -1
        return {(a, b): weight / (total[a] + total[b]) for (a, b), weight in votes.items()}
