"""Calibrated confidence: from what a prediction says of a leaf to the chance that the leaf is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from napari_leafseg.models.confidence import ConfidenceWeights, in_deviations

RIGHT = 0.75
"""A leaf is right when its Dice with the truth exceeds this."""

FOUND = 0.5
"""A leaf is found when its Dice with the truth exceeds this: what does not is better left out."""

_EDGE = 1e-3
_SHRINKAGE = 1e-2


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


def fit_confidence(
    evidence: Mapping[str, np.ndarray], dice: np.ndarray, count: np.ndarray | None = None
) -> tuple[ConfidenceWeights, float]:
    """Fit how evidence is weighed (proportional odds: the same weights for leaves that are found and that are right).

    Parameters
    ----------
    evidence : mapping of str to numpy.ndarray
        Float (N,) by name, from `napari_leafseg.inference.evidence.leaf_evidence`.
    dice : numpy.ndarray
        float (N,), best Dice of each leaf with the truth.
    count : numpy.ndarray, optional
        float (N,), how much each leaf counts.

    Returns
    -------
    weights : ConfidenceWeights
        Whose chance is that the Dice exceeds `RIGHT`.
    behind : float
        By how much its log odds lie below those that the Dice exceeds `FOUND`.
    """
    counted = np.ones(len(dice)) if count is None else count / count.mean()
    means = {name: (round(float(v.mean()), 4), round(float(v.std()) + 1e-4, 4)) for name, v in evidence.items()}
    table = np.stack([in_deviations(evidence[name], *place) for name, place in means.items()], 1)
    outcomes = [(dice > limit).astype(float) for limit in (FOUND, RIGHT)]

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        total, slopes = _SHRINKAGE * float((values[2:] ** 2).sum()), np.zeros(len(values))
        slopes[2:] = 2 * _SHRINKAGE * values[2:]
        for number, outcome in enumerate(outcomes):
            odds = table @ values[2:] + values[number]
            total += float((counted * (np.logaddexp(0, odds) - outcome * odds)).mean())
            error = counted * (1 / (1 + np.exp(-odds)) - outcome) / len(dice)
            slopes[number] += error.sum()
            slopes[2:] += table.T @ error
        return total, slopes

    found = minimize(loss, np.zeros(2 + table.shape[1]), jac=True, method="L-BFGS-B").x
    weights = {
        name: (*place, round(float(value), 4)) for (name, place), value in zip(means.items(), found[2:], strict=True)
    }
    entries = {"offset": round(float(found[1]), 4), "evidence": weights}
    return ConfidenceWeights.model_validate(entries), float(found[0] - found[1])


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
