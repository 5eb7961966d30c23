"""Compute the confidence in each leaf, with the lowest of which the review begins."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from napari_leafseg.inference.calibration import calibrate
from napari_leafseg.inference.prediction import Prediction
from napari_leafseg.metrics import ScoredMask


def leaf_confidence(prediction: Prediction, labels: np.ndarray) -> dict[int, float]:
    """Estimate the chance that each leaf is right (its Dice with the truth exceeds 0.75), 0 to 1.

    That is `raw_confidence` on the curve that was fitted for the model (the raw one where none was), or what the card
    makes of the evidence in the maps, whichever is less: a leaf that holds two has a poor raw confidence, what is no
    leaf has poor evidence.

    Parameters
    ----------
    prediction : Prediction
    labels : numpy.ndarray
        Integer (H, W), the prediction's own or corrected.

    Returns
    -------
    dict of int to float
        Leaves of which the prediction knows nothing have 0.
    """
    curve = prediction.model.calibration
    found = {leaf: calibrate(value, curve) for leaf, value in raw_confidence(prediction, labels).items()}
    chances = _highest(region.chance(labels[region.rows, region.columns]) for region in prediction.regions)
    return {leaf: min(value, chances.get(leaf, value)) for leaf, value in found.items()}


def raw_confidence(prediction: Prediction, labels: np.ndarray) -> dict[int, float]:
    """Compute a prediction's confidence in each leaf, 0 to 1, in the model's own measure.

    Of the distance + embedding model, the product of three shares: how high its seed rises in the distance map, how
    tight its embedding lies around its mean, and how far the runner-up is: how deep the distance map dips towards the
    leaves that it touches. Of a query-based model, the score of the mask that agrees best with it, times their Dice.

    Parameters
    ----------
    prediction : Prediction
    labels : numpy.ndarray
        Integer (H, W), the prediction's own or corrected.

    Returns
    -------
    dict of int to float
        Leaves of which the prediction knows nothing have 0.
    """
    found: dict[int, float] = {int(leaf): 0.0 for leaf in np.flatnonzero(np.bincount(labels.ravel())) if leaf}
    return found | _highest(region.confidence(labels[region.rows, region.columns]) for region in prediction.regions)


def _highest(regions: Iterable[dict[int, float]]) -> dict[int, float]:
    """Of each leaf the highest value that any region has: a region may see a sliver of another plant's leaf."""
    found: dict[int, float] = {}
    for values in regions:
        for leaf, value in values.items():
            found[leaf] = max(found.get(leaf, 0.0), value)
    return found


def scored_masks(prediction: Prediction) -> list[ScoredMask]:
    """Return everything that a prediction holds for a leaf, for average precision: best first, low scores included.

    The distance + embedding model's are its leaves with their confidence.
    """
    if prediction.overlapping:
        return prediction.every_mask()
    labels = prediction.labels()
    everywhere = (slice(0, labels.shape[0]), slice(0, labels.shape[1]))
    found = [(value, everywhere, labels == leaf) for leaf, value in leaf_confidence(prediction, labels).items()]
    return sorted(found, key=lambda item: -item[0])
