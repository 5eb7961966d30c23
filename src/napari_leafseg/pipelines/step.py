"""Progress within one item of a long run."""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """How much of an item is done, 0 to 1, and what is going on."""

    share: float
    message: str
