"""What the columns of tables mean: a data dictionary that goes with every table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pandas as pd

_UNITS = {
    "_per_px2": "1/px²", "_per_mm2": "1/mm²", "_per_px": "1/px", "_per_mm": "1/mm", "_px2": "px²", "_mm2": "mm²",
    "_px": "px", "_mm": "mm", "_deg": "°",
}  # fmt: skip
_RATE = "1/day, or 1/image where no date is known"
_DAYS = "days, or the number of the image where no date is known"


class Meaning(NamedTuple):
    """What a column means.

    Attributes
    ----------
    meaning : str
    unit : str
        Empty for names and numbers without one.
    """

    meaning: str
    unit: str = ""


MEANINGS: Mapping[str, Meaning] = {
    "image": Meaning("name of the image"),
    "frame": Meaning("number of the image in a series, from 0"),
    "plant": Meaning("number of the plant in the image, as one reads: rows from the top"),
    "name": Meaning("name of the plant’s pot"),
    "leaf": Meaning("number of the leaf in the label image"),
    "track": Meaning("number of the leaf over time"),
    "plant_track": Meaning("number of the plant over time"),
    "plant_id": Meaning("the plant, as the file name, a table or somebody says"),
    "genotype": Meaning("genotype of the plant"),
    "treatment": Meaning("treatment of the plant"),
    "replicate": Meaning("replicate"),
    "date": Meaning("when the image was taken"),
    "day": Meaning("day of the experiment"),
    "pot": Meaning("place of the plant’s pot"),
    "camera": Meaning("camera position"),
    "timepoint": Meaning("place of the image in its series"),
    "area": Meaning("number of pixels of the leaf; of a plant, of all its leaves"),
    "perimeter": Meaning("Crofton’s formula in four directions"),
    "length": Meaning("arc length of the midrib, petiole included"),
    "width": Meaning("largest mean of three slices across the midrib"),
    "aspect_ratio": Meaning("length / width"),
    "roundness": Meaning("4π · area / perimeter², at most 1"),
    "solidity": Meaning("area / area of the convex hull"),
    "petiole": Meaning("length of the narrow part at the base; 0 where there is none"),
    "blade": Meaning("length without the petiole"),
    "convexity": Meaning("perimeter of the convex hull / perimeter, at most 1"),
    "straight_length": Meaning("from the base straight to the tip"),
    "bend": Meaning("how far the midrib turns from base to tip, left and right counted alike"),
    "curvature": Meaning("mean curvature of the midrib: its bend in radians / length"),
    "tip_y": Meaning("row of the leaf’s tip, down"),
    "tip_x": Meaning("column of the leaf’s tip, to the right"),
    "base_y": Meaning("row of the leaf’s base, down"),
    "base_x": Meaning("column of the leaf’s base, to the right"),
    "blade_base_y": Meaning("row of the place where the petiole ends, down"),
    "blade_base_x": Meaning("column of the place where the petiole ends, to the right"),
    "green_area": Meaning("area whose hue is green, 65° to 180° unless other limits were chosen"),
    "yellow_area": Meaning("area whose hue is yellow, 42° to 65° unless other limits were chosen"),
    "brown_area": Meaning("area whose hue is red to brown, 0° to 42° unless other limits were chosen"),
    "symmetry": Meaning("1 − length of the mean of the leaves’ directions, weighted by their areas; 1 = even"),
    "centroid_y": Meaning("row of the middle of the leaf, down"),
    "centroid_x": Meaning("column of the middle of the leaf, to the right"),
    "azimuth": Meaning("direction from the rosette’s middle, 0 = right, 90 = up"),
    "excess_green": Meaning("mean of 2g − r − b of the chromatic coordinates"),
    "green_leaf_index": Meaning("mean of (2G − R − B) / (2G + R + B)"),
    "ngrdi": Meaning("mean of (G − R) / (G + R)"),
    "red": Meaning("red, 0 to 255"),
    "green": Meaning("green, 0 to 255"),
    "blue": Meaning("blue, 0 to 255"),
    "hue": Meaning("hue, circular", "°"),
    "saturation": Meaning("saturation, 0 to 1"),
    "value": Meaning("value (brightness), 0 to 1"),
    "confidence": Meaning("the model’s confidence in the leaf, 0 to 1; empty where no model told"),
    "verified": Meaning("whether somebody verified or corrected the leaf"),
    "leaves": Meaning("number of leaves"),
    "hull_area": Meaning("area of the plant’s convex hull"),
    "compactness": Meaning("area / hull area"),
    "diameter": Meaning("largest distance of two points of the plant"),
    "center_y": Meaning("row of the point where the leaves come from, down"),
    "center_x": Meaning("column of the point where the leaves come from, to the right"),
    "time": Meaning("when", _DAYS),
    "age": Meaning("time since the leaf was seen first", _DAYS),
    "absolute_growth_rate": Meaning("growth of the area since the leaf was seen before", "areas a day"),
    "relative_growth_rate": Meaning("growth of ln(area) since the leaf was seen before", _RATE),
    "lasts": Meaning("whether the leaf was seen more than once, or in the last image"),
    "emerged": Meaning("time of the first image that shows the leaf; empty where that is its plant’s first", _DAYS),
    "last_seen": Meaning("time of the last image that shows the leaf", _DAYS),
    "images": Meaning("number of images that show the leaf"),
    "largest_area": Meaning("largest area of the leaf"),
    "group": Meaning("genotype and treatment"),
    "trait": Meaning("what was measured: the column’s name in the other tables; of leaves, the mean of a plant’s"),
    "mean": Meaning("mean of the plants of the group at this time", "that of the trait"),
    "sd": Meaning("standard deviation of these plants (n − 1)", "that of the trait"),
    "plants": Meaning("number of plants"),
    "growth_rate": Meaning("slope of ln(area) over time, by least squares", _RATE),
}
"""By the columns' names without their unit."""
_OF_PIXELS = {"mean": "mean over the leaf’s pixels: ", "sd": "standard deviation over the leaf’s pixels: "}


def split_unit(column: str) -> tuple[str, str]:
    """Return a column's name without its unit, and the unit; empty where the name says none."""
    ending = next((ending for ending in _UNITS if column.endswith(ending)), "")
    return (column.removesuffix(ending), _UNITS[ending]) if ending else (column, "")


def meaning_of(column: str) -> Meaning | None:
    """Return what a column means; None for one that somebody else made."""
    if column in MEANINGS:
        return MEANINGS[column]
    name, unit = split_unit(column)
    if name in MEANINGS:
        return MEANINGS[name]._replace(unit=unit)
    of_pixels = re.fullmatch(r"(mean|sd)_(\w+)", name)
    if of_pixels and of_pixels[2] in MEANINGS:
        found = MEANINGS[of_pixels[2]]
        return Meaning(_OF_PIXELS[of_pixels[1]] + found.meaning.removeprefix("mean of "), found.unit)
    return None


def data_dictionary(tables: Mapping[str, Iterable[str]]) -> pd.DataFrame:
    """Return a row for each column of each table: ``table``, ``column``, ``meaning``, ``unit``.

    Parameters
    ----------
    tables : mapping
        From a table's name to its columns.
    """
    rows = []
    for table, columns in tables.items():
        for column in columns:
            found = meaning_of(str(column)) or Meaning("as the file name or a table of yours says")
            rows.append({"table": table, "column": column, "meaning": found.meaning, "unit": found.unit})
    return pd.DataFrame(rows, columns=["table", "column", "meaning", "unit"])
