"""Calibrated confidence: from what a prediction says of a leaf to the chance that the leaf is right."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

RIGHT = 0.75
"""A leaf is right when its Dice with the truth exceeds this."""

_EDGE = 1e-3


class Calibration(NamedTuple):
    """A logistic curve over the logit of the raw confidence (Platt 1999): slope (> 0) and offset."""

    slope: float
    offset: float


class ReliabilityBin(NamedTuple):
    """Leaves of about one confidence: how many, their mean confidence, and the share of them that is right."""

    leaves: int
    confidence: float
    right: float


def calibrate(raw: float, calibration: tuple[float, float] | None) -> float:
    """Turn a raw confidence, 0 to 1, into the chance that the leaf is right; unchanged without a calibration.

    A raw confidence of 0 (the prediction knows nothing of the leaf) stays 0.
    """
    if calibration is None or raw <= 0:
        return raw
    slope, offset = calibration
    return round(float(1 / (1 + np.exp(-(slope * _logit(np.array(raw)) + offset)))), 3)


def fit_calibration(raw: np.ndarray, right: np.ndarray) -> Calibration:
    """Fit the curve that makes the observed leaves most likely.

    Parameters
    ----------
    raw : numpy.ndarray
        float (N,), raw confidence of each leaf, 0 to 1.
    right : numpy.ndarray
        bool (N,), whether its Dice exceeds `RIGHT`.

    Returns
    -------
    Calibration
        With a slope of at least 0.05: more raw confidence never means less.
    """
    x, y = _logit(raw), right.astype(float)

    def loss(values: np.ndarray) -> float:
        score = values[0] * x + values[1]
        return float(np.mean(np.logaddexp(0, score) - y * score) + 1e-3 * float((values**2).sum()) / 2)

    found = minimize(loss, np.array([1.0, 0.0]), bounds=[(0.05, 20.0), (-20.0, 20.0)])
    return Calibration(round(float(found.x[0]), 3), round(float(found.x[1]), 3))


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> list[ReliabilityBin]:
    """Group leaves by confidence, in equal steps from 0 to 1; empty groups are left out."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    groups = [place == number for number in range(bins)]
    return [
        ReliabilityBin(int(group.sum()), float(confidence[group].mean()), float(right[group].mean()))
        for group in groups
        if group.any()
    ]


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Compute the expected calibration error: the mean gap of confidence and share right, weighted by leaves."""
    found = reliability(confidence, right, bins)
    return sum(item.leaves * abs(item.confidence - item.right) for item in found) / max(1, len(confidence))


def _logit(values: np.ndarray) -> np.ndarray:
    clipped = np.clip(values, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(clipped / (1 - clipped)))
