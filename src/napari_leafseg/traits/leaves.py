"""Measurements of single leaves."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.measure import regionprops_table

from napari_leafseg._opencv import cv2
from napari_leafseg.traits.color import ColorClasses, measure_color_classes, measure_colors
from napari_leafseg.traits.extra import TraitFunction, measure_extra
from napari_leafseg.traits.midrib import Midrib, trace_midrib

_PROPERTIES = ("label", "area", "perimeter_crofton", "solidity", "centroid", "image")


def measure_leaves(
    labels: np.ndarray,
    image: np.ndarray | None = None,
    centers: Mapping[int, tuple[float, float]] | None = None,
    confidence: Mapping[int, float] | None = None,
    verified: Collection[int] | None = None,
    midribs: Mapping[int, Midrib] | None = None,
    extra: Collection[TraitFunction] = (),
    classes: ColorClasses | None = None,
) -> pd.DataFrame:
    """Measure each leaf of a label image, in pixels.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (H, W), 0 = background.
    image : numpy.ndarray, optional
        uint8 (H, W, 3) RGB; adds color, see `napari_leafseg.traits.color`.
    centers : mapping, optional
        From leaf to the middle (y, x) of its plant: tells base from tip, and adds ``azimuth_deg``.
    confidence : mapping, optional
        From leaf to 0 … 1; adds the column.
    verified : collection of int, optional
        Leaves that somebody verified; adds the column.
    midribs : mapping, optional
        From `trace_leaves`, where they were traced already.
    extra : collection of callable
        Further traits, see `napari_leafseg.traits.extra`.
    classes : ColorClasses, optional
        Which colors are green, yellow and brown.

    Returns
    -------
    pandas.DataFrame
        A row a leaf; `docs/traits.md` has each column's formula. Lengths end in ``_px``, areas in ``_px2``.
    """
    table = pd.DataFrame(regionprops_table(labels.astype(np.int32), properties=_PROPERTIES))
    leaves = table["label"].to_numpy(dtype=int)
    midribs = trace_leaves(labels) if midribs is None else midribs
    if centers is not None:
        midribs = {leaf: line.from_center(centers[leaf]) if leaf in centers else line for leaf, line in midribs.items()}
    measured = _shapes(table, [midribs[leaf] for leaf in leaves])
    if centers is not None:
        measured["azimuth_deg"] = _azimuths(measured, centers)
    if confidence is not None:
        measured["confidence"] = [confidence.get(leaf, np.nan) for leaf in leaves]
    if verified is not None:
        measured["verified"] = [leaf in verified for leaf in leaves]
    if image is not None:
        inside = labels > 0
        index = np.searchsorted(leaves, labels[inside])
        pixels = image[inside][:, :3]
        areas = measure_color_classes(index, len(leaves), pixels, classes)
        measured = pd.concat([measured, areas, measure_colors(index, len(leaves), pixels)], axis=1)
    if extra:
        measured = pd.concat([measured, measure_extra(labels, image, leaves.tolist(), extra)], axis=1)
    return measured


def _shapes(table: pd.DataFrame, midribs: list[Midrib]) -> pd.DataFrame:
    """Sizes and shapes, of region properties and midribs in the same order."""
    area, perimeter = table["area"].to_numpy(float), table["perimeter_crofton"].to_numpy(float)
    length = np.array([line.length for line in midribs])
    width = np.array([line.width for line in midribs])
    petiole = np.array([line.petiole for line in midribs])
    bend = np.array([line.bend for line in midribs])
    columns = {
        "leaf": table["label"].to_numpy(dtype=int),
        "area_px2": area,
        "perimeter_px": perimeter,
        "length_px": length,
        "width_px": width,
        "aspect_ratio": length / np.maximum(width, 1e-9),
        "roundness": np.minimum(4 * np.pi * area / np.maximum(perimeter, 1e-9) ** 2, 1),
        "solidity": table["solidity"].to_numpy(float),
        "convexity": np.minimum(_hull_perimeters(table) / np.maximum(perimeter, 1e-9), 1),
        "petiole_px": petiole,
        "blade_px": length - petiole,
        "straight_length_px": np.array([np.hypot(*(line.tip - line.base)) for line in midribs]),
        "bend_deg": bend,
        "curvature_per_px": np.deg2rad(bend) / np.maximum(length, 1e-9),
        "centroid_y_px": table["centroid-0"].to_numpy(float),
        "centroid_x_px": table["centroid-1"].to_numpy(float),
    }
    for name in ("tip", "base", "blade_base"):
        points = np.array([getattr(line, name) for line in midribs]).reshape(-1, 2)
        columns |= {f"{name}_y_px": points[:, 0], f"{name}_x_px": points[:, 1]}
    return pd.DataFrame(columns)


def _hull_perimeters(table: pd.DataFrame) -> np.ndarray:
    """Perimeters of the leaves' convex hulls, whose pixels reach half a pixel beyond their middles."""
    hulls = (cv2.convexHull(np.argwhere(mask).astype(np.float32)) for mask in table["image"])
    return np.array([cv2.arcLength(hull, True) + np.pi for hull in hulls])


def _azimuths(measured: pd.DataFrame, centers: Mapping[int, tuple[float, float]]) -> np.ndarray:
    """Directions from the plants' middles to the leaves, degrees; not a number where a leaf has no plant."""
    middle = np.array([centers.get(leaf, (np.nan, np.nan)) for leaf in measured["leaf"]]).reshape(-1, 2)
    up = middle[:, 0] - measured["centroid_y_px"].to_numpy()
    right = measured["centroid_x_px"].to_numpy() - middle[:, 1]
    return np.rad2deg(np.arctan2(up, right)) % 360


def trace_leaves(labels: np.ndarray) -> dict[int, Midrib]:
    """Return the midrib of each leaf, in the image's coordinates; see `napari_leafseg.traits.midrib`."""
    found = {}
    for number, box in enumerate(ndimage.find_objects(labels.astype(np.int32)), start=1):
        if box is not None:
            midrib = trace_midrib(labels[box] == number)
            found[number] = replace(midrib, points=midrib.points + np.array([box[0].start, box[1].start]))
    return found
