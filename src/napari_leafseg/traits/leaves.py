"""Measurements of single leaves, in pixels."""

from __future__ import annotations

import numpy as np
import pandas as pd
from skimage.measure import regionprops_table

_COLUMNS = {
    "label": "leaf",
    "area": "area_px2",
    "perimeter_crofton": "perimeter_px",
    "axis_major_length": "major_axis_px",
    "axis_minor_length": "minor_axis_px",
    "solidity": "solidity",
    "centroid-0": "centroid_y_px",
    "centroid-1": "centroid_x_px",
}


def measure_leaves(labels: np.ndarray, image: np.ndarray | None = None) -> pd.DataFrame:
    """Measure each leaf of a label image.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (H, W), 0 = background.
    image : numpy.ndarray, optional
        (H, W, 3) RGB; adds the mean colour.

    Returns
    -------
    pandas.DataFrame
        One row a leaf: number, area (pixels), Crofton perimeter, axes of the ellipse with the same second moments,
        solidity (area / area of the convex hull), centroid, and mean red, green and blue.
    """
    wanted = ("label", "area", "perimeter_crofton", "axis_major_length", "axis_minor_length", "solidity", "centroid")
    table = pd.DataFrame(regionprops_table(labels.astype(np.int32), properties=wanted)).rename(columns=_COLUMNS)
    if image is not None:
        for channel, name in enumerate(("red", "green", "blue")):
            sums = np.bincount(labels.ravel(), image[..., channel].ravel().astype(float))
            table[f"mean_{name}"] = sums[table["leaf"]] / table["area_px2"].to_numpy()
    return table
