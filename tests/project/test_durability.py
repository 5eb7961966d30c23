"""Edits, saves and SIGKILL in any order: nothing that was promised is lost, nothing is half-written."""

import json
import os
import time

import numpy as np
import pytest
import tifffile

from napari_leafseg.io import write_image
from napari_leafseg.project import Project
from tests.programs import begin_source

SHAPE = (48, 64)
ROUNDS = 15  # LEAFSEG_DURABILITY_ROUNDS=200 for the figure in docs/results.md

# The child edits at random until it is killed. It makes each edit on a second document first, which is not written, and
# says what state it leads to; then it makes it on the project's. "on disk" is said when the writer has confirmed
# everything so far. So whatever is found after a kill was told.
CHILD = """
import sys, hashlib, numpy as np
from napari_leafseg.editing import operations as ops
from napari_leafseg.project import Project
folder, seed = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(seed)
project = Project.open(folder)
ref = project.images[0]
document, ahead = (project.open_document(ref, (48, 64)) for _ in range(2))
ahead.write = None
def state(which):
    return hashlib.sha256(which.labels.tobytes() + repr(sorted(which.verified)).encode()).hexdigest()
print("state", state(document), flush=True)
while True:
    what, points = rng.integers(10), rng.uniform(0, 64, (4, 2))
    leaf, mark = int(rng.integers(1, 30)), bool(rng.integers(2))
    for which in (ahead, document):
        if what < 5:
            which.commit(ops.draw_polygon(which.labels, points, leaf))
        elif what == 5:
            which.undo()
        elif what == 6:
            which.redo()
        elif what == 7:
            which.set_verified([(0, leaf) for leaf in which.leaves()[:2]], mark)
        if which is ahead:
            print("state", state(ahead), flush=True)
    assert state(document) == state(ahead)
    if what == 8:
        project.save(ref, document)
    elif what == 9 and project.writer.flush():
        print("on disk", state(document), flush=True)
"""


def hashed(document):
    import hashlib

    return hashlib.sha256(document.labels.tobytes() + repr(sorted(document.verified)).encode()).hexdigest()


def check_files(folder):
    for path in folder.rglob("*"):
        if path.suffix == ".json" and not path.name.startswith("."):
            json.loads(path.read_text())
        elif path.suffix == ".tif" and not path.name.startswith("."):
            assert tifffile.imread(path).shape == SHAPE


@pytest.mark.timeout(900)  # a busy machine needs seconds to begin each round
def test_a_killed_application_loses_nothing_that_was_on_the_disk(tmp_path):
    rounds = int(os.environ.get("LEAFSEG_DURABILITY_ROUNDS", ROUNDS))
    write_image(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8))
    folder = tmp_path / "project"
    with Project.create(folder) as project:
        project.add_images([tmp_path / "a.png"])
    rng = np.random.default_rng(1)
    kept = 0
    for number in range(rounds):
        child = begin_source(CHILD, str(folder), str(number))
        first = child.stdout.readline().decode()
        assert first.startswith("state"), first
        time.sleep(float(rng.uniform(0, 0.25)))
        child.kill()
        lines = [first, *child.stdout.read().decode().splitlines()]
        child.wait()
        said = [line.split()[-1] for line in lines if line.strip()]
        promised = max((index for index, line in enumerate(lines) if line.startswith("on disk")), default=0)
        check_files(folder)
        with Project.open(folder) as project:  # the dead owner's lock does not keep us out
            assert not [path for path in folder.rglob(".*") if path.is_file()]  # what was being written is cleared
            found = hashed(project.open_document(project.images[0], SHAPE))
        # the state is one that the child was in or was about to be in, and no older than promised
        later = said[promised:]
        if found in later:
            kept += 1
        else:
            assert found not in said[:promised], "an older state came back"
    assert kept == rounds


@pytest.mark.parametrize("when", range(6))
def test_a_write_that_fails_anywhere_leaves_whole_files(tmp_path, monkeypatch, when):
    """The disk fails at the n-th flush, once; afterwards everything is there."""
    monkeypatch.setattr("napari_leafseg.project.writer.RETRY", 0.01)
    from napari_leafseg.editing import operations as ops

    write_image(tmp_path / "a.png", np.zeros((*SHAPE, 3), np.uint8) + np.arange(64, dtype=np.uint8)[None, :, None])
    project = Project.create(tmp_path / "project")
    (ref,) = project.add_images([tmp_path / "a.png"])
    real, calls = os.fsync, []

    def fsync(handle):
        calls.append(1)
        if len(calls) == when + 1:
            raise OSError(5, "Input/output error")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    document = project.open_document(ref, SHAPE)
    for leaf in range(1, 5):
        corners = np.array([[5.0, 10 * leaf], [5, 10 * leaf + 8], [30, 10 * leaf + 8], [30, 10 * leaf]])
        document.commit(ops.draw_polygon(document.labels, corners, leaf))
        project.save(ref, document)
    deadline = time.monotonic() + 120
    while not project.writer.flush() and time.monotonic() < deadline:
        time.sleep(0.01)
    check_files(tmp_path / "project")
    project.close()
    assert not [path for path in (tmp_path / "project").rglob(".*") if path.is_file()]
    with Project.open(tmp_path / "project") as again:
        found = again.open_document(again.images[0], SHAPE)
        assert np.array_equal(found.labels, document.labels)
        assert found.verified == document.verified
        assert len(found.history) == 4
