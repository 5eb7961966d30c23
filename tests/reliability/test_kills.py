"""SIGKILL at random moments of everything at once: what was told is on the disk, and every project opens."""

import json
import multiprocessing
import os
import time

import numpy as np
import pytest

from tests.reliability import mixed_kills

ROUNDS = int(os.environ.get("LEAFSEG_KILLS", "200"))
FORM = [6, pytest.param(ROUNDS, marks=[pytest.mark.slow, pytest.mark.night])]


@pytest.fixture
def spawn():
    """Begins a process in which all is imported already, so that a round takes no longer than the work in it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.reliability.mixed_kills", "napari_leafseg.pipelines.predictors", "torch"])

    def start(target, *arguments):
        process = context.Process(target=target, args=arguments, daemon=True)
        process.start()
        return process

    return start


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("rounds", FORM)
def test_a_process_that_does_everything_is_killed_and_the_disk_has_what_was_told(tmp_path, spawn, rounds):
    root, rng = tmp_path / "work", np.random.default_rng(rounds)
    root.mkdir()
    mixed_kills.make_images(root)
    ledger = mixed_kills.Ledger(root)
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
        ledger.hear(mixed_kills.read_told(told))
        ledger.check()
        mixed_kills.forget(root, ledger, rng)
    print(json.dumps({"kills": rounds, **ledger.counts}))
    assert ledger.counts["state"]
