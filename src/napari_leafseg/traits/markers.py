"""The scale from printed markers (ArUco, AprilTag) whose side is known: found, measured, and refused in words.

On a plane that a camera sees at a slant, the scale (the root of pixels² a mm²) to the power of 2/3 changes linearly
over the image, whatever the lens's focal length is. So one marker that is large enough, or several small ones, tell
the scale where the plants stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_leafseg._counts import counted
from napari_leafseg._opencv import cv2
from napari_leafseg.errors import UserError

FAMILIES = {
    "DICT_4X4_50": "ArUco 4×4", "DICT_5X5_100": "ArUco 5×5", "DICT_6X6_250": "ArUco 6×6",
    "DICT_7X7_250": "ArUco 7×7", "DICT_ARUCO_ORIGINAL": "ArUco original", "DICT_ARUCO_MIP_36h12": "ArUco MIP 36h12",
    "DICT_APRILTAG_25h9": "AprilTag 25h9", "DICT_APRILTAG_36h10": "AprilTag 36h10",
    "DICT_APRILTAG_36h11": "AprilTag 36h11",
}  # fmt: skip
"""The kinds that are looked for; those with few bits, which leaves and gravel imitate, are not."""
SMALLEST = 25  # pixels of a side: under it, the scale is off by more than 1 %
_FIRST_LOOK = 2400  # pixels of the longer side
_STEEPEST = 20.0  # degrees
_FOCAL = 1.2  # of the image's longer side, where the lens is not known
_TOLERANCE = 0.03  # of the scale
_PIXEL_ERROR = 0.22  # pixels: how far a scale is off at a distance d from a marker of side s is this times d / s²
_SURE = 0.07  # the tangent of the slant that a marker's own gradient may pretend
_ROUND_ERROR = 0.5  # pixels: how far the ratio of a marker's two sides is off, times its side


class ScaleRefused(UserError):
    """A scale that cannot be found, or not be trusted."""


@dataclass(frozen=True)
class Marker:
    """A marker in an image.

    Attributes
    ----------
    family : str
        Such as "ArUco 4×4".
    number : int
    corners : numpy.ndarray
        (4, 2), y and x.
    """

    family: str
    number: int
    corners: np.ndarray

    @property
    def title(self) -> str:
        """What it is called in words."""
        return f"{self.family} no. {self.number}"

    @property
    def side(self) -> float:
        """The root of its area, pixels."""
        points = self.corners[:, ::-1].astype(np.float32)
        return float(np.sqrt(abs(cv2.contourArea(points))))


@dataclass(frozen=True)
class MarkerScale:
    """What markers say of the scale.

    Attributes
    ----------
    px_per_mm : float
        Where the plants are.
    slant : float
        Degrees by which the camera looks at the markers' plane otherwise than straight, as far as it can be told.
    markers : tuple of Marker
    size_mm : float
        Of their sides.
    note : str
        What a person should know, as a sentence; empty where there is nothing.
    """

    px_per_mm: float
    slant: float
    markers: tuple[Marker, ...]
    size_mm: float
    note: str = ""

    @property
    def source(self) -> str:
        """Who says the scale, in words."""
        first = self.markers[0].title
        what = first if len(self.markers) == 1 else f"{first} and {len(self.markers) - 1} more"
        return f"{what}, {self.size_mm:g} mm"

    @property
    def sentence(self) -> str:
        """All of it in words."""
        return (
            f"{self.source}: {1 / self.px_per_mm:.4g} mm/px ({self.px_per_mm:.4g} px/mm), slant {self.slant:.0f}°."
            f"{' ' + self.note if self.note else ''}"
        )


def find_markers(image: np.ndarray) -> list[Marker]:
    """Find all markers of the usual kinds, the largest first.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (H, W) or (H, W, 3) RGB.
    """
    gray = np.ascontiguousarray(image if image.ndim == 2 else cv2.cvtColor(image[..., :3], cv2.COLOR_RGB2GRAY))
    factor = min(1.0, _FIRST_LOOK / max(gray.shape))
    small = gray if factor == 1 else cv2.resize(gray, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    found: dict[tuple[str, int, tuple[int, ...]], Marker] = {}
    for name, number, corners in _detect(small, list(FAMILIES), cv2.aruco.CORNER_REFINE_NONE):
        corners = (corners + 0.5) / factor - 0.5
        exact = _again(gray, name, number, corners)
        if exact is None:
            continue
        marker = Marker(FAMILIES[name], number, exact[:, ::-1].astype(float))
        place = tuple(int(value) for value in marker.corners.mean(0) / max(marker.side, 1))
        found.setdefault((name, number, place), marker)
    return sorted(_apart(list(found.values())), key=lambda marker: -marker.side)


def _detect(gray: np.ndarray, names: Sequence[str], refinement: int) -> list[tuple[str, int, np.ndarray]]:
    """Markers of some dictionaries: name, number, corners (4, 2), x and y."""
    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = refinement
    parameters.minMarkerDistanceRate = 0.02  # a marker on a white card just larger than it is one, not the card
    parameters.minMarkerPerimeterRate = min(0.03, 3 * SMALLEST / max(gray.shape))
    found = []
    for name in names:
        dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))
        corners, numbers, _ = cv2.aruco.ArucoDetector(dictionary, parameters).detectMarkers(gray)
        for one, number in zip(corners, [] if numbers is None else numbers.ravel(), strict=True):
            found.append((name, int(number), one.reshape(4, 2).astype(float)))
    return found


def _again(gray: np.ndarray, name: str, number: int, corners: np.ndarray) -> np.ndarray | None:
    """The corners of a marker as exactly as its edges tell, as AprilTag's library fits them; None where it is none.

    The corners that the search itself gives lie inside of the marker, and a scale from them is off by percents.
    """
    side = np.ptp(corners, 0).max()
    low = np.clip(np.floor(corners.min(0) - 0.6 * side), 0, None).astype(int)
    high = np.ceil(corners.max(0) + 0.6 * side).astype(int) + 1
    part = np.ascontiguousarray(gray[low[1] : high[1], low[0] : high[0]])
    near = [
        exact + low
        for _, other, exact in _detect(part, [name], cv2.aruco.CORNER_REFINE_APRILTAG)
        if other == number and np.hypot(*(exact + low - corners).mean(0)) < side / 2
    ]
    return near[0] if near else None


def _apart(markers: list[Marker]) -> list[Marker]:
    """Markers without those that lie on another one, as where two dictionaries share a pattern."""
    kept: list[Marker] = []
    for marker in markers:
        middle = marker.corners.mean(0)
        if all(np.hypot(*(middle - other.corners.mean(0))) > other.side / 2 for other in kept):
            kept.append(marker)
    return kept


def scale_from_markers(
    markers: Sequence[Marker], size_mm: float, shape: tuple[int, ...], at: tuple[float, float] | None = None
) -> MarkerScale:
    """Return the scale that markers of a known size say, where the plants are.

    Parameters
    ----------
    markers : sequence of Marker
        All of one size, in one plane with the plants.
    size_mm : float
        Side of the black square.
    shape : tuple of int
        Of the image.
    at : tuple of float, optional
        Where the plants are, y and x; the middle of the image when None.

    Raises
    ------
    ScaleRefused
        When there is none, or it cannot be trusted; the message says why and what to do.
    """
    if not markers:
        raise ScaleRefused(
            "No marker is found. It must be an ArUco marker or AprilTag that is seen whole, with a white edge around "
            f"it and at least {SMALLEST} pixels wide. Draw a line along a ruler instead."
        )
    if not (np.isfinite(size_mm) and size_mm > 0):
        raise ScaleRefused("Give the side of the marker's black square in millimeters.")
    large = [marker for marker in markers if marker.side >= SMALLEST]
    if not large:
        first = markers[0]
        raise ScaleRefused(
            f"{first.title} is only {first.side:.0f} pixels wide; under {SMALLEST} the scale would be off by more than "
            "1 %. Use a larger marker, or a sharper image."
        )
    place = np.array((shape[0] / 2, shape[1] / 2) if at is None else at, float)
    return _of_one(large[0], size_mm, shape, place) if len(large) == 1 else _of_several(large, size_mm, shape, place)


def _local(marker: Marker, size_mm: float) -> tuple[np.ndarray, float, np.ndarray, float]:
    """A marker's middle, the scale there to the power of 2/3, its gradient, and the ratio of its shorter axis."""
    square = np.array([(0, 0), (0, 1), (1, 1), (1, 0)], np.float32) * np.float32(size_mm)
    matrix = cv2.getPerspectiveTransform(square, marker.corners.astype(np.float32)).astype(float)
    middle = matrix @ (size_mm / 2, size_mm / 2, 1)
    point = middle[:2] / middle[2]
    jacobian = (matrix[:2, :2] - np.outer(point, matrix[2, :2])) / middle[2]
    axes = np.linalg.svd(jacobian, compute_uv=False)
    back = np.linalg.inv(matrix)[2]
    value = float(np.prod(axes)) ** (1 / 3)  # the root, to the power of 2/3
    gradient = value * back[:2] / (back @ (*point, 1))
    return point, value, gradient, float(axes[1] / axes[0])


def _slant(gradient: np.ndarray, value: float, shape: tuple[int, ...]) -> float:
    """Degrees of slant that a change of the scale over the image tells, with a usual lens."""
    return float(np.rad2deg(np.arctan(np.hypot(*gradient) / value * _FOCAL * max(shape[:2]))))


def _of_one(marker: Marker, size_mm: float, shape: tuple[int, ...], place: np.ndarray) -> MarkerScale:
    point, value, gradient, ratio = _local(marker, size_mm)
    distance = float(np.hypot(*(place - point)))
    error = _PIXEL_ERROR * distance / marker.side**2
    bent = _ROUND_ERROR / marker.side  # a square whose sides differ by less may be seen straight
    slant = 0.0 if ratio > 1 - bent else float(np.rad2deg(np.arccos(min(ratio, 1.0))))
    if _PIXEL_ERROR / marker.side**2 * _FOCAL * max(shape[:2]) < _SURE:  # how the scale changes tells it better
        slant = _slant(gradient, value, shape)
    if slant > _STEEPEST:
        raise ScaleRefused(
            f"The camera looks at {marker.title} at a slant of about {slant:.0f}°. Over {_STEEPEST:.0f}° no scale "
            "holds for a whole plant: lay the marker flat beside the plant, and look straight down."
        )
    there = value + float(gradient @ (place - point))
    change = (max(there, 0.0) / value) ** 1.5 - 1
    if error <= _TOLERANCE / 2:
        if not 1 / 1.6 < 1 + change < 1.6:
            raise ScaleRefused(_too_far(marker, change))
        return MarkerScale(there**1.5, slant, (marker,), size_mm)
    if slant and abs(change) > _TOLERANCE:
        raise ScaleRefused(_too_far(marker, change))
    note = (
        f"The marker is too small, or too far from the plants, to tell a slant of the camera: trust it where the "
        f"camera looks straight down, or use one of at least {np.sqrt(2 * _PIXEL_ERROR * distance / _TOLERANCE):.0f} "
        "pixels."
    )
    return MarkerScale(value**1.5, slant, (marker,), size_mm, note)


def _too_far(marker: Marker, change: float) -> str:
    return (
        f"The camera looks at {marker.title} at a slant, so that the scale where the plants are may be another one by "
        f"{100 * abs(change):.0f} %. Put the marker beside the plants, use a larger one, or one at each corner."
    )


def _of_several(markers: Sequence[Marker], size_mm: float, shape: tuple[int, ...], place: np.ndarray) -> MarkerScale:
    """The scale from a plane through what each marker says, of least slope where they are two."""
    local = [_local(marker, size_mm) for marker in markers]
    points, values = np.array([item[0] for item in local]), np.array([item[1] for item in local])
    weights = np.sqrt([marker.side for marker in markers])
    middle = (points * weights[:, None] ** 2).sum(0) / (weights**2).sum()
    spread = max(float(np.hypot(*(points - middle).T).max()), 1.0)
    terms = np.column_stack([np.ones(len(points)), (points - middle) / spread]) * weights[:, None]
    solution: Any = np.linalg.lstsq(terms, values * weights, rcond=0.05)[0]
    gradient, value = solution[1:] / spread, float(solution[0] + solution[1:] @ (place - middle) / spread)
    misfit = np.abs((terms @ solution / weights / values) ** 1.5 - 1)
    slant = _slant(gradient, float(solution[0]), shape)
    if misfit.max() > _TOLERANCE or slant > _STEEPEST or value <= 0:
        scales = values**1.5
        raise ScaleRefused(
            f"{counted(len(markers), 'marker')} contradict each other: {scales.min():.4g} to {scales.max():.4g} px/mm. "
            "They must be of one size and lie in one plane. Cover those that do not, or draw a line along a ruler."
        )
    return MarkerScale(value**1.5, slant if slant >= 1 else 0.0, tuple(markers), size_mm)
