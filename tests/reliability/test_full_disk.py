"""A disk that is full: it is said, nothing is half-written, and with room everything goes on."""

import sys

import pytest

from tests.reliability import full_disk


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="limits of the size of files")
@pytest.mark.parametrize("what", list(full_disk.ALL))
def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path, tiny_checkpoint, spawn, what):
    answer = tmp_path / "answer"
    child = spawn(full_disk.run, what, str(tmp_path / "work"), str(tiny_checkpoint), str(answer))
    child.join()
    assert answer.exists(), f"the process ended with {child.exitcode}"
    assert answer.read_text() == "ok", answer.read_text()
