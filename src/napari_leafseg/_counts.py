"""Numbers of things as people write them."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Write a number of things: "1 image", "12 images", "1,200 leaves".

    Parameters
    ----------
    number : int
    noun : str
        In the singular, such as "leaf" or "reviewed image".
    """
    many = f"{noun.removesuffix('leaf')}leaves" if noun.endswith("leaf") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else many}"
