"""Edits, saves and SIGKILL in any order: nothing that was promised is lost, nothing is half-written."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile

from napari_leafseg.io import write_image
from napari_leafseg.project import Project

SHAPE = (48, 64)
ROUNDS = 15  # LEAFSEG_DURABILITY_ROUNDS=200 for the figure in docs/results.md

# The child edits at random until it is killed. It says each edit's hash after asking for it to be written, and "on
# disk" when the writer has confirmed everything so far. What it is about to do it says first: an undo, a redo or a mark
# can lead back to a state that was told long ago, and a kill may come before it is told again.
CHILD = """
import sys, hashlib, numpy as np
from napari_leafseg.editing import operations as ops
from napari_leafseg.project import Project
folder, seed = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(seed)
project = Project.open(folder)
ref = project.images[0]
document = project.open_document(ref, (48, 64))
def state():
    return hashlib.sha256(document.labels.tobytes() + repr(sorted(document.verified)).encode()).hexdigest()
print("state", state(), flush=True)
while True:
    what = rng.integers(10)
    print("going back" if what in (5, 6, 7) else "going on", flush=True)
    if what < 5:
        edit = ops.draw_polygon(document.labels, rng.uniform(0, 64, (4, 2)), int(rng.integers(1, 30)))
        document.commit(edit)
    elif what == 5:
        document.undo()
    elif what == 6:
        document.redo()
    elif what == 7:
        document.set_verified([(0, leaf) for leaf in document.leaves()[:2]], bool(rng.integers(2)))
    elif what == 8:
        project.save(ref, document)
    elif project.writer.flush():
        print("on disk", state(), flush=True)
        continue
    print("state", state(), flush=True)
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


def test_a_killed_application_loses_nothing_that_was_on_the_disk(tmp_path):
    rounds = int(os.environ.get("LEAFSEG_DURABILITY_ROUNDS", ROUNDS))
    write_image(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8))
    folder = tmp_path / "project"
    with Project.create(folder) as project:
        project.add_images([tmp_path / "a.png"])
    rng = np.random.default_rng(1)
    kept = 0
    for number in range(rounds):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder), str(number)], stdout=subprocess.PIPE, text=True
        )
        first = child.stdout.readline()
        assert first.startswith("state"), first
        time.sleep(float(rng.uniform(0, 0.25)))
        child.send_signal(signal.SIGKILL)
        told = [first, *child.stdout.read().splitlines()]
        child.wait()
        goes_back = [line for line in told if line.strip()][-1] == "going back"
        lines = [line for line in told if line.startswith(("state", "on disk"))]
        said = [line.split()[-1] for line in lines if line.strip()]
        promised = max((index for index, line in enumerate(lines) if line.startswith("on disk")), default=0)
        check_files(folder)
        with Project.open(folder) as project:  # the dead owner's lock does not keep us out
            assert not [path for path in folder.rglob(".*") if path.is_file()]  # what was being written is cleared
            found = hashed(project.open_document(project.images[0], SHAPE))
        # the state is one that the child was in, or the one that it was about to tell, and no older than promised
        later = said[promised:]
        if found in later:
            kept += 1
        else:
            assert goes_back or found not in said[:promised], "an older state came back"
    assert kept >= 0.8 * rounds


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
    deadline = time.monotonic() + 20
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
