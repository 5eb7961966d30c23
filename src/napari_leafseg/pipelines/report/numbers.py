"""Numbers as people write them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

_DIGITS = 3


def decimals_for(values: Iterable[float]) -> int:
    """Return how many digits after the point numbers of this size need: the middle one has three digits in all."""
    sizes = np.abs(np.asarray(list(values), float))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    if not len(sizes):
        return 0
    return max(0, _DIGITS - 1 - math.floor(math.log10(float(np.median(sizes)))))


def number(value: float, unit: str = "", decimals: int | None = None) -> str:
    """Write a number: "10,930 mm²", "523 mm²", "5.23 mm²"; a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:,.{decimals_for([value]) if decimals is None else decimals}f}".replace("-", "−")
    return f"{text}\u00a0{unit}" if unit else text


def percent(share: float) -> str:
    """Write a share: "12 %"; "under 1 %" where it rounds to nothing and is something."""
    if not math.isfinite(share):
        return "–"
    return "under 1\u00a0%" if 0 < share < 0.005 else f"{100 * share:.0f}\u00a0%"
