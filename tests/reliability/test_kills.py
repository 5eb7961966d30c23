"""SIGKILL at random moments of everything at once: what was told is on the disk, and every project opens."""

import json
import os
import time

import numpy as np
import pytest

from tests.reliability import ledger, mixed_kills

ROUNDS = int(os.environ.get("LEAFSEG_KILLS", "200"))
FORM = [6, pytest.param(ROUNDS, marks=[pytest.mark.slow, pytest.mark.night])]


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("rounds", FORM)
def test_a_process_that_does_everything_is_killed_and_the_disk_has_what_was_told(tmp_path, spawn, rounds):
    root, rng = tmp_path / "work", np.random.default_rng(rounds)
    root.mkdir()
    mixed_kills.make_images(root)
    told_so_far = ledger.Ledger(root)
    for number in range(rounds):
        told = tmp_path / f"told{number}"
        child = spawn(mixed_kills.work, str(root), str(told), number)
        while not told.exists() or not told.stat().st_size:
            assert child.is_alive(), "it ended by itself"
            time.sleep(0.01)
        time.sleep(float(rng.choice([rng.uniform(0, 0.3), rng.uniform(0, 2)])))
        assert child.is_alive(), "it ended by itself"
        child.kill()
        child.join()
        told_so_far.hear(ledger.read_told(told))
        told_so_far.check()
        ledger.forget(root, told_so_far, rng)
    print(json.dumps({"kills": rounds, **told_so_far.counts}))
    assert told_so_far.counts["state"]
