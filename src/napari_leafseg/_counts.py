"""Numbers and lists of things as people write them."""

from __future__ import annotations

from collections.abc import Sequence


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


def first_few(names: Sequence[str], most: int = 4) -> str:
    """Write the first names of many: "a, b", "a, b, c, d and 12 more"."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def listed(words: Sequence[str], last: str) -> str:
    """Write words as a sentence has them, with `last` ("and", "or") before the last one: "a, b and c"."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
