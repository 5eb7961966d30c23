"""Colors brought to those that a color card says: a matrix on linear light, kept and applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_leafseg.errors import ParameterError, plain_reason

_Row = tuple[float, float, float]


def to_linear(values: np.ndarray) -> np.ndarray:
    """Return the light that sRGB values (0 to 1) stand for (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def from_linear(light: np.ndarray) -> np.ndarray:
    """Return the sRGB values (0 to 1) of light."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


_LINEAR = to_linear(np.arange(256) / 255).astype(np.float32)
_STEPS = 4096  # of light, for the way back
_BACK = np.round(255 * from_linear(np.arange(_STEPS) / (_STEPS - 1))).astype(np.uint8)


@dataclass(frozen=True)
class ColorCorrection:
    """What makes true colors of an image's.

    Attributes
    ----------
    matrix : tuple
        Four rows of three: what one of red, green and blue light adds to each, and what is added to all.
    source : str
        Who says it, in words.
    """

    matrix: tuple[_Row, _Row, _Row, _Row]
    source: str

    def __post_init__(self) -> None:
        values = np.array(self.matrix, float)
        if values.shape != (4, 3) or not np.isfinite(values).all() or np.linalg.det(values[:3]) <= 0:
            raise ParameterError("A color correction is four rows of three numbers that keep colors apart.")

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return an image (uint8, RGB as its last axis) with true colors."""
        matrix = np.array(self.matrix, np.float32)
        light = _LINEAR[image[..., :3]] @ matrix[:3] + matrix[3]
        found: np.ndarray = _BACK[(np.clip(light, 0, 1) * (_STEPS - 1) + 0.5).astype(np.uint16)]
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return what a JSON file keeps."""
        return {"matrix": [list(row) for row in self.matrix], "source": self.source}

    @classmethod
    def from_dict(cls, content: Any) -> ColorCorrection:
        """Read what a JSON file keeps.

        Raises
        ------
        ParameterError
            When it is no color correction.
        """
        try:
            rows = tuple((float(red), float(green), float(blue)) for red, green, blue in content["matrix"])
            return cls(rows, str(content.get("source", "")))  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ParameterError(f"A color correction has a matrix; this has none ({plain_reason(error)}).") from error
