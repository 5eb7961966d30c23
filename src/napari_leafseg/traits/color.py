"""Color of leaves: RGB, HSV and greenness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from skimage.color import rgb2hsv

from napari_leafseg.errors import ParameterError

COLORS = ("red", "green", "blue", "hue", "saturation", "value", "excess_green", "green_leaf_index", "ngrdi")


def color_planes(image: np.ndarray) -> dict[str, np.ndarray]:
    """Return planes whose means over a leaf are its color traits.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (N, 3), RGB pixels.

    Returns
    -------
    dict of numpy.ndarray
        float (N,): ``red``, ``green``, ``blue`` 0 to 255; ``hue`` 0 to 360 degrees; ``saturation``, ``value`` 0 to 1;
        ``excess_green`` 2g - r - b of the chromatic coordinates (Woebbecke et al. 1995), -1 to 2;
        ``green_leaf_index`` (2G - R - B) / (2G + R + B) (Louhaichi et al. 2001); ``ngrdi`` (G - R) / (G + R)
        (Tucker 1979), both -1 to 1.
    """
    red, green, blue = image.astype(float).T
    hue, saturation, value = rgb2hsv(image[None])[0].T
    total = np.maximum(red + green + blue, 1e-9)
    return {
        "red": red, "green": green, "blue": blue,
        "hue": 360 * hue, "saturation": saturation, "value": value,
        "excess_green": (2 * green - red - blue) / total,
        "green_leaf_index": (2 * green - red - blue) / np.maximum(2 * green + red + blue, 1e-9),
        "ngrdi": (green - red) / np.maximum(green + red, 1e-9),
    }  # fmt: skip


@dataclass(frozen=True)
class ColorClasses:
    """Which hues are green, yellow and brown; what is too pale or too dark is none of them.

    Attributes
    ----------
    green, yellow, brown : tuple of float
        From and to (exclusive) in degrees of hue.
    least_saturation, least_value : float
        0 to 1; below, a pixel is glare, gray or shade.
    """

    green: tuple[float, float] = (65.0, 180.0)
    yellow: tuple[float, float] = (42.0, 65.0)
    brown: tuple[float, float] = (0.0, 42.0)
    least_saturation: float = 0.15
    least_value: float = 0.1

    @classmethod
    def of_limits(cls, *limits: float) -> ColorClasses:
        """Make them of the hues at which yellow and green begin and green ends, and the least saturation and value.

        Raises
        ------
        ParameterError
            When these are no limits.
        """
        standard = cls().limits
        if not 3 <= len(limits) <= 5:
            raise ParameterError(
                "Limits of colors are the hues where yellow and green begin and green ends: 42,65,180."
            )
        yellow, green, end, saturation, value = (*limits, *standard[len(limits) :])
        if not 0 <= yellow <= green <= end <= 360:
            raise ParameterError(f"Hues rise from 0 to 360 degrees; {yellow:g}, {green:g}, {end:g} do not.")
        if not (0 <= saturation <= 1 and 0 <= value <= 1):
            raise ParameterError("The least saturation and the least value are from 0 to 1.")
        return cls((green, end), (yellow, green), (0.0, yellow), saturation, value)

    @property
    def limits(self) -> tuple[float, ...]:
        """Return what `of_limits` takes."""
        return self.yellow[0], self.green[0], self.green[1], self.least_saturation, self.least_value


def measure_color_classes(
    index: np.ndarray, count: int, pixels: np.ndarray, classes: ColorClasses | None = None
) -> pd.DataFrame:
    """Return the green, yellow and brown area of groups of pixels: what is healthy, yellowed and dead or diseased.

    Parameters
    ----------
    index, count, pixels
        See `measure_colors`.
    classes : ColorClasses, optional

    Returns
    -------
    pandas.DataFrame
        A row a group: ``green_area_px2``, ``yellow_area_px2``, ``brown_area_px2``.
    """
    chosen = classes or ColorClasses()
    hue, saturation, value = rgb2hsv(pixels[None])[0].T
    colored = (saturation >= chosen.least_saturation) & (value >= chosen.least_value)
    columns = {}
    for name in ("green", "yellow", "brown"):
        low, high = getattr(chosen, name)
        inside = colored & (360 * hue >= low) & (360 * hue < high)
        columns[f"{name}_area_px2"] = np.bincount(index[inside], minlength=count).astype(float)
    return pd.DataFrame(columns)


def measure_colors(index: np.ndarray, count: int, pixels: np.ndarray) -> pd.DataFrame:
    """Return the mean and standard deviation of every plane over groups of pixels.

    The mean hue is the direction of the mean vector, its deviation the circular one, both in degrees.

    Parameters
    ----------
    index : numpy.ndarray
        int (N,), group of each pixel, 0 … count - 1.
    count : int
    pixels : numpy.ndarray
        uint8 (N, 3), RGB.

    Returns
    -------
    pandas.DataFrame
        A row a group: ``mean_red``, ``sd_red`` and so on.
    """
    sizes = np.maximum(np.bincount(index, minlength=count), 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(index, values, count) / sizes

    columns = {}
    for name, values in color_planes(pixels).items():
        if name == "hue":
            angle = np.deg2rad(values)
            x, y = mean(np.cos(angle)), mean(np.sin(angle))
            columns["mean_hue"] = np.rad2deg(np.arctan2(y, x)) % 360
            columns["sd_hue"] = np.rad2deg(np.sqrt(-2 * np.log(np.clip(np.hypot(x, y), 1e-9, 1))))
            continue
        middle = mean(values)
        columns[f"mean_{name}"] = middle
        columns[f"sd_{name}"] = np.sqrt(np.maximum(mean(values**2) - middle**2, 0))
    return pd.DataFrame(columns)
