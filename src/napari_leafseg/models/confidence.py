"""How a model weighs what it says of a leaf into the chance that the leaf is right: a part of its card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import ConfigDict, Field, Strict

from napari_leafseg._entries import Entries

Evidence = Literal["log_share", "height", "plateau", "foreground", "compactness", "elongation", "passes", "outline"]
"""What `napari_leafseg.inference.evidence` tells of a leaf."""

_Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
_Scale = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
_FARTHEST = 4.0  # standard deviations from the mean: evidence beyond counts no more


def in_deviations(values: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    """Return how many standard deviations values lie from a mean, as far as that counts."""
    return np.clip((values - mean) / deviation, -_FARTHEST, _FARTHEST)


class ConfidenceWeights(Entries):
    """A logistic curve over the evidence.

    Attributes
    ----------
    offset : float
        Log odds of a leaf whose evidence is all at the mean.
    evidence : dict
        By name: mean and standard deviation over the leaves of the fit, and the weight of one deviation.
    """

    model_config = ConfigDict(frozen=True)

    offset: _Number
    evidence: dict[Evidence, tuple[_Number, _Scale, _Number]]

    def calibrated(self, slope: float, offset: float) -> ConfidenceWeights:
        """Return the weights whose log odds are `slope` times these ones' plus `offset`."""
        evidence = {
            name: (mean, scale, round(slope * weight, 4)) for name, (mean, scale, weight) in self.evidence.items()
        }
        return ConfidenceWeights(offset=round(slope * self.offset + offset, 4), evidence=evidence)

    def chance(self, evidence: Mapping[str, np.ndarray]) -> np.ndarray:
        """Compute the chance that leaves are right, 0 to 1.

        Parameters
        ----------
        evidence : mapping of str to numpy.ndarray
            Float (N,) by name, of N leaves.

        Returns
        -------
        numpy.ndarray
            float (N,).
        """
        odds = np.full(len(evidence["height"]), self.offset)
        for name, (mean, deviation, weight) in self.evidence.items():
            odds += weight * in_deviations(evidence[name], mean, deviation)
        return np.asarray(1 / (1 + np.exp(-odds)))
