"""A color card of 24 patches (ColorChecker Classic) in an image: found, and what it says of the image's colors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.errors import UserError
from napari_leafseg.experiment.color_correction import ColorCorrection, to_linear

_LARGEST = 1600  # pixels of the longer side in which the card is looked for
_WORST = 6.0  # mean color difference (CIEDE2000) of the patches after the correction
_BRIGHT = 253.0  # a white patch over it is overexposed
_NEUTRAL = range(18, 24)  # the patches from white to black


class CardRefused(UserError):
    """A color card that is not there, or cannot be trusted."""


@dataclass(frozen=True)
class Card:
    """A color card in an image.

    Attributes
    ----------
    patches : numpy.ndarray
        (24, 3), the mean red, green and blue of each, 0 to 255, row by row from dark skin to black.
    corners : numpy.ndarray
        (4, 2), y and x.
    """

    patches: np.ndarray
    corners: np.ndarray


@dataclass(frozen=True)
class CardCorrection:
    """What a card says.

    Attributes
    ----------
    correction : ColorCorrection
    before, after : float
        Mean color difference of the patches from what they are, CIEDE2000.
    """

    correction: ColorCorrection
    before: float
    after: float

    @property
    def sentence(self) -> str:
        """All of it in words."""
        return (
            f"Color card: its patches are off by {self.before:.1f} (ΔE 2000), after the correction by {self.after:.1f}."
        )


def find_card(image: np.ndarray) -> Card | None:
    """Find a card of 24 patches, in any turn; None where there is none.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (H, W, 3) RGB.

    Raises
    ------
    CardRefused
        When the OpenCV that is installed cannot look for it.
    """
    if not hasattr(cv2, "mcc") or not hasattr(cv2, "ccm") or not hasattr(cv2.mcc_CCheckerDetector, "setUseDnnModel"):
        raise CardRefused("Color cards need OpenCV 5. Update the package opencv-python-headless.")
    factor = min(1.0, _LARGEST / max(image.shape[:2]))
    small = image if factor == 1 else cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    detector = cv2.mcc.CCheckerDetector_create()
    detector.setColorChartType(cv2.mcc.MCC24)
    detector.setUseDnnModel(False)  # it has no weights
    if not detector.process(np.ascontiguousarray(small[..., 2::-1]), 1):
        return None
    found = detector.getBestColorChecker()
    patches = np.array(found.getChartsRGB(False), float).reshape(-1, 3)
    if patches.shape != (24, 3):
        return None
    corners = (np.array(found.getBox(), float).reshape(4, 2)[:, ::-1] + 0.5) / factor - 0.5
    return Card(patches, corners)


def correct_by_card(card: Card | None) -> CardCorrection:
    """Return the correction that makes of a card's patches what they are.

    An affine matrix on linear light, by the least color difference (OpenCV's `ColorCorrectionModel`, CIEDE2000).

    Raises
    ------
    CardRefused
        When there is no card, or it cannot be trusted; the message says why and what to do.
    """
    if card is None:
        raise CardRefused(
            "No color card is found. It must have 24 patches (ColorChecker Classic), be seen whole, flat and evenly "
            "lit, with patches of at least 20 pixels."
        )
    white, grays = card.patches[18], card.patches[list(_NEUTRAL)].mean(1)
    if white.max() >= _BRIGHT:
        raise CardRefused("The color card's white patch is overexposed: its color is lost. Use a shorter exposure.")
    if (np.diff(grays) >= 0).any():
        raise CardRefused(
            "The color card's patches from white to black do not get darker one by one: it is shaded, shines, or is no "
            "ColorChecker Classic."
        )
    light = to_linear(card.patches / 255)
    same = _model(light)
    matrix = np.array(same.compute(), float)
    after = float(same.getLoss())
    before = _difference(light, same)
    if after > _WORST or np.linalg.det(matrix[:3]) <= 0:
        raise CardRefused(
            f"The color card's patches are still off by {after:.0f} (ΔE 2000) after the correction; {_WORST:.0f} is "
            "allowed. It is shaded, shines, has faded, or is no ColorChecker Classic."
        )
    rows: Any = tuple(tuple(float(value) for value in row) for row in matrix)
    return CardCorrection(ColorCorrection(rows, "color card"), before, after)


def _model(light: np.ndarray) -> Any:
    model = cv2.ccm.ColorCorrectionModel(light.reshape(24, 1, 3), cv2.ccm.COLORCHECKER_MACBETH)
    model.setColorSpace(cv2.ccm.COLOR_SPACE_SRGB)
    model.setLinearization(cv2.ccm.LINEARIZATION_IDENTITY)  # it is linear
    model.setCcmType(cv2.ccm.CCM_AFFINE)
    model.setDistance(cv2.ccm.DISTANCE_CIE2000)
    return model


def _difference(light: np.ndarray, model: Any) -> float:
    """The mean color difference of patches as they are in the image."""
    from skimage.color import deltaE_ciede2000, rgb2lab

    from napari_leafseg.experiment.color_correction import from_linear

    true = from_linear(np.array(model.getRefLinearRGB(), float).reshape(-1, 3))
    return float(deltaE_ciede2000(rgb2lab(from_linear(light)[None]), rgb2lab(true[None])).mean())
