"""Leaves moved to another track: what is linked, what is cut, what exchanges."""

import itertools

import pytest

from napari_leafseg.traits.track_edits import TrackEdits, apply_edits

ORDER = (3, 0, 1, 2)  # frames in order of time
A = [(3, 1), (0, 1), (1, 1), (2, 1)]
B = [(3, 2), (0, 2), (1, 2), (2, 2)]


def chains(tracks, edits):
    """The tracks that follow, as sets."""
    edges = apply_edits({pair for track in tracks for pair in itertools.pairwise(track)}, edits)
    after, begun = dict(edges), {edge[1] for edge in edges}
    found = []
    for start in sorted({node for track in tracks for node in track} - begun):
        chain = [start]
        while chain[-1] in after:
            chain.append(after[chain[-1]])
        found.append(chain)
    return sorted(found)


@pytest.mark.parametrize(
    ("leaf", "source", "target", "expected"),
    [
        pytest.param(B[1], B, A, [[A[0], *B[1:]], [B[0], *A[1:]]], id="both exchange what follows"),
        pytest.param(B[2], B[2:], A[:2], [[*A[:2], *B[2:]]], id="it goes on where the other ended"),
        pytest.param(B[2], B, A[:2], [[*A[:2], *B[2:]], B[:2]], id="what was before stays"),
        pytest.param(B[2], B[2:], A, [[*A[:2], *B[2:]], A[2:]], id="it has no past: the rest is a leaf of its own"),
        pytest.param(B[1], B, [], [B[:1], B[1:]], id="a leaf of its own"),
        pytest.param(B[0], B, [], [B], id="the first is one already"),
        pytest.param(B[0], B[:2], A[2:], [[*B[:2], *A[2:]]], id="it comes before"),
        pytest.param(B[1], B[:2], A[2:], [B[:1], [B[1], *A[2:]]], id="it comes before, without its past"),
        pytest.param(B[0], B, A[2:], [[B[0], *A[2:]], B[1:]], id="it comes before, what is at the same time goes"),
        pytest.param(B[2], B, A[2:], [[*B[:2], *A[2:]], B[2:]], id="the other began at that time"),
        pytest.param(B[0], B, A, [A, B], id="both began at that time"),
    ],
)  # fmt: skip
def test_a_leaf_is_moved_to_another_track(leaf, source, target, expected):
    edits = TrackEdits()
    edits.move(leaf, source, target, ORDER)
    tracks = [track for track in (source, target) if track]
    assert chains(tracks, edits) == sorted(expected)


def test_moving_back_gives_what_was():
    edits = TrackEdits()
    edits.move(B[1], B, A, ORDER)
    first, second = [A[0], *B[1:]], [B[0], *A[1:]]
    edits.move(B[1], first, second, ORDER)
    assert chains([A, B], edits) == sorted([A, B])
