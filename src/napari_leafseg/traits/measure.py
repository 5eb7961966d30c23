"""An image's leaves and plants, measured together, in pixels or millimeters."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from napari_leafseg.experiment.tray import Tray
from napari_leafseg.traits.color import ColorClasses
from napari_leafseg.traits.extra import TraitFunction, all_traits
from napari_leafseg.traits.leaves import measure_leaves, trace_leaves
from napari_leafseg.traits.midrib import Midrib
from napari_leafseg.traits.plants import gather_leaves, measure_plants, rosette_center
from napari_leafseg.traits.pots import add_pots, plants_of_tray

_UNIT = re.compile(r"(?P<per>_per)?_(?P<px>px)(?P<power>\d*)$")
_POSITION = re.compile(r"_[xy]_px$")


class Measurements(NamedTuple):
    """What was measured in an image: a row a leaf, a row a plant, and the leaves' midribs."""

    leaves: pd.DataFrame
    plants: pd.DataFrame
    midribs: dict[int, Midrib]


def measure(
    labels: np.ndarray,
    image: np.ndarray | None = None,
    px_per_mm: float | None = None,
    plant_overrides: Mapping[int, int] | None = None,
    names: Mapping[int, str] | None = None,
    confidence: Mapping[int, float] | None = None,
    verified: Collection[int] | None = None,
    gap: float | None = None,
    extra: Collection[TraitFunction] | None = None,
    tray: Tray | None = None,
    classes: ColorClasses | None = None,
) -> Measurements:
    """Measure leaves and plants of a label image.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (H, W), 0 = background.
    image : numpy.ndarray, optional
        uint8 (H, W, 3) RGB, for colors.
    px_per_mm : float, optional
        Pixels a millimeter: lengths and areas are in mm then, and the columns' names say so.
    plant_overrides, gap
        See `napari_leafseg.traits.plants.gather_leaves`.
    names : mapping, optional
        From plant to the name of its pot.
    confidence, verified
        See `napari_leafseg.traits.leaves.measure_leaves`.
    extra : collection of callable, optional
        Further traits; those of packages, and those that were registered, when None: see `napari_leafseg.traits.extra`.
    tray : Tray, optional
        Leaves belong to its pots, see `napari_leafseg.traits.pots`, and plants have the pots' numbers and names.
    classes : ColorClasses, optional
        Which colors are green, yellow and brown.

    Returns
    -------
    Measurements
    """
    midribs = trace_leaves(labels)
    if tray is None:
        plants = gather_leaves(labels, gap, plant_overrides)
    else:
        plants = plants_of_tray(labels, tray, midribs, gap, plant_overrides)
    groups: dict[int, list[int]] = {}
    for leaf, plant in plants.items():
        groups.setdefault(plant, []).append(leaf)
    centers = {plant: rosette_center(labels, leaves, midribs) for plant, leaves in groups.items()}
    middle = {leaf: centers[plant] for leaf, plant in plants.items()}
    midribs = {leaf: line.from_center(middle[leaf]) for leaf, line in midribs.items()}
    extra = list(all_traits().values()) if extra is None else extra
    leaves = measure_leaves(labels, image, middle, confidence, verified, midribs, extra, classes)
    leaves.insert(0, "plant", [plants[leaf] for leaf in leaves["leaf"]])
    if names:
        leaves.insert(1, "name", [names.get(plant, str(plant)) for plant in leaves["plant"]])
    table = measure_plants(labels, plants, centers, names)
    if tray is not None:
        leaves, table = add_pots(leaves, table, tray, labels.shape)
    return Measurements(in_millimeters(leaves, px_per_mm), in_millimeters(table, px_per_mm), midribs)


def area_column(table: pd.DataFrame) -> str:
    """Return the name of a table's column of areas, in pixels or millimeters; "" where it has none."""
    return next((name for name in table.columns if name in {"area_px2", "area_mm2"}), "")


def in_millimeters(table: pd.DataFrame, px_per_mm: float | None) -> pd.DataFrame:
    """Return the table in millimeters, which its columns' names then say; positions stay in pixels.

    ``_px`` is a length, ``_px2`` an area, ``_px3`` and so on likewise; ``_per_px`` and ``_per_px2`` are their inverses.
    """
    if px_per_mm is None:
        return table
    result = table.copy()
    for name in table.columns:
        if _POSITION.search(name):
            continue
        unit = _UNIT.search(name)
        if unit is not None:
            power = int(unit["power"] or 1) * (-1 if unit["per"] else 1)
            result[name] = table[name] / px_per_mm**power
            result = result.rename(columns={name: f"{name[: unit.start('px')]}mm{unit['power']}"})
    return result
