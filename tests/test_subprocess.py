"""Work in a process of its own: what it yields, its errors, its end in every way."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from napari_leafseg._subprocess import run_in_subprocess
from napari_leafseg.errors import UserError


def numbers(count):
    """Says who it is, then counts."""
    yield os.getpid(), os.nice(0)
    print("what a library prints")
    for number in range(count):
        yield np.full(3, number)


def fails(error):
    yield 1
    raise error


def sleeps(file):
    """Says who it is, then computes for a long time."""
    yield os.getpid()
    time.sleep(60)
    Path(file).touch()


def saves_at_its_end(file, seconds):
    """Computes for some time after each value; closed, it saves."""
    try:
        while True:
            yield os.getpid()
            time.sleep(seconds)
    except GeneratorExit:
        Path(file).touch()
        raise


def counts_in(file):
    for number in range(100):
        Path(file).write_text(str(number))
        yield number


def holds_a_card():
    """Computes on a graphics card for a long time."""
    import torch

    from napari_leafseg.inference.device import device_lock

    with device_lock(torch.device("cuda:0")):
        yield 1
        time.sleep(60)


def said(generator):
    return (value for value in generator if value is not None)


def gone(pid, seconds=60.0):
    """Whether a process ends; waits for it, on a busy machine for long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def test_it_yields_what_the_generator_yields_from_another_process_of_low_priority(capfd):
    (pid, nice), *values = said(run_in_subprocess(numbers, 4))
    assert pid != os.getpid()
    assert nice > os.nice(0)
    assert [list(value) for value in values] == [[number] * 3 for number in range(4)]
    assert "what a library prints" in capfd.readouterr().err
    assert gone(pid)


def test_errors_for_a_person_come_as_they_are_and_others_with_their_traceback():
    with pytest.raises(UserError, match="mend it"):
        list(run_in_subprocess(fails, UserError("mend it")))
    with pytest.raises(MemoryError):
        list(run_in_subprocess(fails, MemoryError()))
    with pytest.raises(RuntimeError, match=r"in fails\n.*\nKeyError: 'what'"):
        list(run_in_subprocess(fails, KeyError("what")))


def test_closing_it_ends_the_process_at_once_whatever_it_computes(tmp_path):
    work = run_in_subprocess(sleeps, tmp_path / "done")
    pid = next(said(work))
    start = time.monotonic()
    assert next(work) is None  # a chance to stop while nothing comes
    work.close()
    assert time.monotonic() - start < 30  # of 60
    assert gone(pid)
    assert not (tmp_path / "done").exists()


def test_with_a_time_of_grace_what_was_computed_is_saved_and_what_takes_longer_is_not_waited_for(tmp_path):
    work = run_in_subprocess(saves_at_its_end, tmp_path / "saved", 0.5, grace=60.0)
    pid = next(said(work))
    work.close()
    assert gone(pid)
    assert (tmp_path / "saved").exists()
    work = run_in_subprocess(saves_at_its_end, tmp_path / "late", 60, grace=0.5)
    pid = next(said(work))
    start = time.monotonic()
    work.close()
    assert time.monotonic() - start < 30
    assert gone(pid)
    assert not (tmp_path / "late").exists()


def test_a_process_that_is_killed_is_told_in_words(tmp_path):
    work = said(run_in_subprocess(sleeps, tmp_path / "done"))
    os.kill(next(work), signal.SIGKILL)
    with pytest.raises(UserError, match=r"signal 9.*memory"):
        next(work)


def test_it_computes_one_thing_ahead_and_then_waits(tmp_path):
    file = tmp_path / "number"
    work = said(run_in_subprocess(counts_in, file))
    assert next(work) == 0
    time.sleep(0.5)
    assert file.read_text() in {"0", "1"}
    assert next(work) == 1
    end = time.monotonic() + 60
    while file.read_text() != "2" and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.5)
    assert file.read_text() == "2"
    work.close()


def test_a_program_that_is_killed_leaves_nobody_behind(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(
        "from tests.test_subprocess import run_in_subprocess, said, sleeps\n"
        f"for pid in said(run_in_subprocess(sleeps, {str(tmp_path / 'done')!r})):\n"
        "    print(pid, flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=Path(__file__).parents[1]) as program:
        pid = int(program.stdout.readline())
        program.kill()
    assert gone(pid)


def test_a_graphics_card_is_taken_in_turns_by_processes_and_free_when_one_is_killed():
    import torch  # not above: each process of these tests reads this file

    from napari_leafseg.inference.device import device_lock

    seen = []

    def predict():
        with device_lock(torch.device("cuda:0")):
            seen.append("predicted")

    work = said(run_in_subprocess(holds_a_card))
    next(work)
    thread = threading.Thread(target=predict)
    thread.start()
    thread.join(0.5)
    assert seen == []
    work.close()  # the end of the generator is that of the process
    thread.join(60)
    assert seen == ["predicted"]
