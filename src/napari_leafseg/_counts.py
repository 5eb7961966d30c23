"""Numbers of things as people write them."""

from __future__ import annotations

_PLURALS = {"leaf": "leaves"}


def counted(number: int, noun: str) -> str:
    """Write a number of things: "1 image", "12 images", "1,200 leaves".

    Parameters
    ----------
    number : int
    noun : str
        In the singular.
    """
    return f"{number:,} {noun if number == 1 else _PLURALS.get(noun, noun + 's')}"
