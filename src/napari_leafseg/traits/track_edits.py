"""What people decided about tracks: which leaves of different images are one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from napari_leafseg.editing.edit import LeafKey

Edge = tuple[LeafKey, LeafKey]


@dataclass
class TrackEdits:
    """What somebody decided about tracks; it holds whenever leaves are tracked again.

    Attributes
    ----------
    links : list of tuple
        Pairs of (frame, leaf) that are one leaf.
    cuts : list of tuple
        Pairs that are not.
    moved : list of (frame, leaf)
        Leaves whose plant somebody decided.
    """

    links: list[Edge] = field(default_factory=list)
    cuts: list[Edge] = field(default_factory=list)
    moved: list[LeafKey] = field(default_factory=list)

    def link(self, before: LeafKey, after: LeafKey) -> None:
        """Say that two are one leaf; takes back what was said of either before."""
        self.links = [edge for edge in self.links if edge[0] != before and edge[1] != after] + [(before, after)]
        self.cuts = [edge for edge in self.cuts if edge != (before, after)]

    def cut(self, before: LeafKey, after: LeafKey) -> None:
        """Say that two are not one leaf."""
        self.links = [edge for edge in self.links if edge != (before, after)]
        self.cuts = [edge for edge in self.cuts if edge != (before, after)] + [(before, after)]

    def as_dict(self) -> dict[str, Any]:
        """Return what a JSON file keeps."""
        return {"links": self.links, "cuts": self.cuts}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> TrackEdits:
        """Read what a JSON file keeps."""

        def edges(name: str) -> list[Edge]:
            return [((int(a[0]), int(a[1])), (int(b[0]), int(b[1]))) for a, b in content.get(name, [])]

        return cls(edges("links"), edges("cuts"))

    def move(self, leaf: LeafKey, source: Sequence[LeafKey], target: Sequence[LeafKey], order: Sequence[int]) -> None:
        """Say that a leaf, and what follows it, is of another track.

        Where that track goes on at the same time, the two exchange what follows; where it begins later, what follows
        the leaf until then stays before it.

        Parameters
        ----------
        leaf : (frame, leaf)
        source : sequence of (frame, leaf)
            Its own track, in order of time.
        target : sequence of (frame, leaf)
            The other one, in order of time; empty: a track of its own.
        order : sequence of int
            The frames of the plant, in order of time.
        """
        time = {frame: number for number, frame in enumerate(order)}
        earlier = list(source[: list(source).index(leaf)])
        before = [node for node in target if time[node[0]] < time[leaf[0]]]
        rest = [node for node in target if time[node[0]] >= time[leaf[0]]]
        if not before and rest and time[leaf[0]] < time[rest[0][0]]:
            whole = time[source[-1][0]] < time[rest[0][0]]  # what follows the leaf ends before the other begins
            self.link(source[-1] if whole else leaf, rest[0])
            rest = []
        if before:
            self.link(before[-1], leaf)
        if earlier and rest:
            self.link(earlier[-1], rest[0])
        elif earlier and not before:
            self.cut(earlier[-1], leaf)


def apply_edits(edges: Iterable[Edge], track_edits: TrackEdits) -> set[Edge]:
    """Return links without those that were cut, and with those that were made: these replace what they contradict."""
    kept = set(edges) - set(track_edits.cuts)
    for before, after in track_edits.links:
        kept = {edge for edge in kept if edge[0] != before and edge[1] != after}
        kept.add((before, after))
    return kept
