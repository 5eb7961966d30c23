"""SIGKILL of an experiment's workers: every image is right or said, going on completes it, nothing differs."""

import contextlib
import json
import os
import signal
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import UserError
from napari_leafseg.io import read_labels, write_image
from napari_leafseg.pipelines import processes
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.run import run_batch
from napari_leafseg.pipelines.engine import run_over
from napari_leafseg.pipelines.processes import open_pool
from napari_leafseg.synthetic import SceneConfig, synthesize

KILLS = int(os.environ.get("LEAFSEG_KILLS", "20"))
IMAGES = 10
_SCENE = SceneConfig(size=(96, 96), diameter=(60, 80), blank=0.0, border=0.0)


@pytest.fixture
def quick_workers(spawn, monkeypatch):
    """A new worker is there at once: it is forked from a process that has all imported already."""
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD", "forkserver")
    spawn(os.getpid).join()


@pytest.fixture
def experiment(tmp_path, quick_workers):
    """The images, the settings, and what comes out where nobody is killed."""
    for number in range(IMAGES):
        write_image(tmp_path / "in" / f"p{number}.png", synthesize(700 + number, _SCENE).image)
    settings = BatchSettings(model="leaf-small", device="cpu", scale=1.0, threads=1)
    list(run_batch([tmp_path / "in"], tmp_path / "undisturbed", settings, workers=0))
    return tmp_path / "in", settings, tmp_path / "undisturbed"


def same_labels(one, other, name):
    return np.array_equal(*(read_labels(place / "labels" / f"{name}_label.tif") for place in (one, other)))


def workers():
    """The programs that hold workers, and the workers."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("dask_worker" in word for word in child.cmdline()):
                below = [each for each in child.children(recursive=True) if is_worker(each)]
                found += [each.pid for each in (child, *below)]
    return found


def is_worker(process):
    try:
        return "resource_tracker" not in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kills", [2, pytest.param(KILLS, marks=pytest.mark.night)])
def test_workers_that_are_killed_cost_no_image(experiment, tmp_path, kills):
    images, settings, undisturbed = experiment
    rng, killed, rounds, said, ended = np.random.default_rng(kills), 0, 0, 0, 0
    while killed < kills:
        out, results, goes_on, rounds = tmp_path / f"out{rounds}", {}, 0, rounds + 1
        next_kill = time.monotonic() + float(rng.uniform(0, 1))
        try:
            for event in run_batch([images], out, settings, workers=2):
                if event.result is not None:
                    results[event.result["name"]] = event.result
                pids = workers()
                if killed < kills and pids and time.monotonic() > next_kill:
                    os.kill(pids[int(rng.integers(len(pids)))], signal.SIGKILL)
                    killed, next_kill = killed + 1, time.monotonic() + float(rng.uniform(0.1, 1.5))
            assert len(results) == IMAGES
            assert not list(out.rglob(".*")), "something half-written stays"
        except UserError as error:  # on a busy machine all of them may be killed before they can begin
            if "end as soon as they begin" not in str(error):
                raise
            ended += 1
        wrong = {name for name, result in results.items() if "error" in result}
        said += len(wrong)
        assert all(same_labels(undisturbed, out, name) for name in set(results) - wrong)
        left = wrong | ({f"p{number}" for number in range(IMAGES)} - set(results))
        for goes_on in range(3):
            events = [event for event in run_batch([images], out, settings, workers=0) if event.result is not None]
            if goes_on == 0:
                assert {event.result["name"] for event in events if not event.skipped} == left
            if not any("error" in event.result for event in events):
                break
        for table in ("leaves.csv", "plants.csv"):
            pd.testing.assert_frame_equal(pd.read_csv(undisturbed / table), pd.read_csv(out / table))
        assert all(same_labels(undisturbed, out, f"p{number}") for number in range(IMAGES))
        assert not list(out.rglob(".*")), "something half-written stays"
    print(json.dumps({"kills": killed, "experiments": rounds, "images": rounds * IMAGES, "said": said, "ended": ended}))


def slow(item):
    time.sleep(0.2)
    return item


@pytest.mark.slow
def test_workers_that_die_while_they_begin_are_begun_again(quick_workers):
    found, killed = [], set()
    for event in run_over(list(range(20)), slow, workers=2):
        if event.item is not None:
            found.append(event.result)
        if len(killed) < 4:  # two that work, then those that take their places, before they can
            new = set(workers()) - killed
            for pid in new:
                os.kill(pid, signal.SIGKILL)
            killed |= new
    assert sorted(found) == list(range(20))
    assert len(killed) >= 4


class NoClient:
    def scheduler_info(self, n_workers):
        return {"workers": {}}


def test_workers_that_die_again_and_again_are_said(monkeypatch):
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    monkeypatch.setattr(processes.WorkerPrograms, "command", lambda _self: command)
    programs = processes.WorkerPrograms(2, "tcp://127.0.0.1:1")
    with programs, pytest.raises(UserError, match="end as soon as they begin"):
        programs.wait(NoClient())
    assert 5 <= programs.replaced <= 6


def who():
    return os.getpid(), os.environ["NAPARI_LEAFSEG_WORKER"]


@pytest.mark.slow
def test_a_worker_that_takes_a_dead_one_s_place_takes_its_graphics_card(quick_workers):
    with open_pool(2, None) as pool:
        before = dict(pool.client.run(who).values())
        assert sorted(before.values()) == ["0", "1"]
        killed = next(pid for pid, number in before.items() if number == "1")
        os.kill(killed, signal.SIGKILL)
        end = time.monotonic() + 120
        while killed in (after := dict(pool.client.run(who, on_error="ignore").values())) or len(after) < 2:
            assert time.monotonic() < end, after
            time.sleep(0.1)
        assert sorted(after.values()) == ["0", "1"]


@pytest.mark.slow
def test_what_a_killed_process_was_writing_goes_and_what_another_one_writes_stays(experiment):
    images, settings, undisturbed = experiment
    left = undisturbed / "labels" / ".p0_label.tif.x.leafseg-part"
    left.write_bytes(b"half")
    seen = []
    real = os.replace

    def replace(source, target):
        if not seen:  # an experiment begins in the same folder while this file is written
            seen.append(source)
            events = list(run_batch([images], undisturbed, settings, workers=0))
            assert events[-1].report is not None
        real(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replace)
        write_atomically(undisturbed / "labels" / "new.tif", b"whole")
    assert seen
    assert (undisturbed / "labels" / "new.tif").read_bytes() == b"whole"
    assert not left.exists()
