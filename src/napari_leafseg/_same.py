"""Keys by which an object is known as itself, whatever it is equal to."""

from __future__ import annotations


class Same:
    """A key for an object that has no hash of its own; it holds the object, so that no other one gets its address.

    Parameters
    ----------
    thing : object
    """

    __slots__ = ("thing",)

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return object.__hash__(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.thing is other.thing
