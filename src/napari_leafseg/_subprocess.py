"""A generator in a process of its own, at low priority: the window shares neither its interpreter nor its memory.

Not `multiprocessing`: what it starts reads the main program again, which is napari, or a script that opens a window.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import IO, Any

from napari_leafseg._log import log_error, start_log
from napari_leafseg.errors import UserError, in_words

_START = "from napari_leafseg._subprocess import _child_main; _child_main()"
_TURN = 0.1  # seconds between two chances to stop
_GOODBYE = 5.0  # seconds until a process that should have ended is killed
_LOG = logging.getLogger(__name__)


def run_in_subprocess(job: Callable[..., Iterator[Any]], *arguments: Any, grace: float = 0.0) -> Iterator[Any]:
    """Run a generator in another process, which computes one thing ahead; closed, it ends the process.

    Parameters
    ----------
    job : callable
        A generator function of a module; what it takes and yields must be picklable.
    *arguments
        For `job`.
    grace : float
        Seconds in which `job`, when nobody wants its values any more, may come to its next one and is closed there, to
        save what it has; then the process ends, whatever it computes.

    Yields
    ------
    object
        What `job` yields; None ten times a second while it computes.

    Raises
    ------
    UserError
        When `job` raises one, or the process was killed, as the system does when memory runs out.
    MemoryError
        When `job` raises one.
    RuntimeError
        With the traceback of any other error in `job`.
    """
    child = _start()
    assert child.stdin is not None
    assert child.stdout is not None
    answers: queue.SimpleQueue[tuple[str, Any] | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(child.stdout, answers), daemon=True).start()
    try:
        _send(child.stdin, (job, arguments, grace))
        while True:
            try:
                answer = answers.get(timeout=_TURN)
            except queue.Empty:
                yield None
                continue
            if answer is None:
                how = _how(child.wait())
                _LOG.error("The background process %d ended by itself: %s", child.pid, how)
                raise UserError(
                    f"The process that computes in the background ended by itself ({how}), as when "
                    "memory runs out. What it had saved is kept: close other programs, and start again."
                )
            kind, value = answer
            if kind == "failed":
                raise value
            if kind == "ended":
                return
            yield value
            _send(child.stdin, "next")
    finally:
        _end(child, grace)


def _start() -> subprocess.Popen[bytes]:
    """A process that waits for its job."""
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
    options: dict[str, Any] = {}
    if sys.platform == "win32":
        options["creationflags"] = subprocess.BELOW_NORMAL_PRIORITY_CLASS | subprocess.CREATE_NO_WINDOW
    command = [sys.executable, "-c", _START]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, **options)


def _end(child: subprocess.Popen[bytes], grace: float) -> None:
    """End a process: it does so when nobody asks it any more."""
    assert child.stdin is not None
    try:
        child.stdin.close()
    except OSError as error:
        _LOG.debug("The background process %d was gone already, with something unsent: %s", child.pid, error)
    try:
        child.wait(grace + _GOODBYE)
    except subprocess.TimeoutExpired:
        _LOG.warning("The background process %d did not end in %.0f s and is killed.", child.pid, grace + _GOODBYE)
        child.kill()
        child.wait()


def _how(code: int) -> str:
    """How a process ended, in words."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _listen(stream: IO[bytes], answers: queue.SimpleQueue[tuple[str, Any] | None]) -> None:
    """Hand over what another process says; None when it is gone."""
    with stream:
        while True:
            answer = _receive(stream)
            answers.put(answer)
            if answer is None:
                return


def _send(stream: IO[bytes], value: Any) -> None:
    """Say something; a process that is gone is noticed by its silence."""
    content = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    try:
        stream.write(struct.pack("<Q", len(content)))
        stream.write(content)
        stream.flush()
    except OSError as error:
        _LOG.debug("Nobody listens any more: %s", error)


def _receive(stream: IO[bytes]) -> Any:
    """What is said next; None when nothing comes any more."""
    try:
        head = stream.read(8)
        if len(head) < 8:
            return None
        content = stream.read(struct.unpack("<Q", head)[0])
    except (OSError, ValueError) as error:  # ValueError: the stream was closed here
        _LOG.debug("Nobody speaks any more: %s", error)
        return None
    return pickle.loads(content) if len(content) == struct.unpack("<Q", head)[0] else None


def _child_main() -> None:
    """The other process: does what it is told, and ends when the first one does."""
    start_log("background")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C in a terminal is meant for the first process
    if hasattr(os, "nice"):
        os.nice(10)  # with SCHED_IDLE it would never get a turn beside another busy program
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    asked = threading.Semaphore(1)  # to be told the job is to be asked for its first thing
    alone = threading.Event()
    try:
        job, arguments, grace = _receive(questions)
        threading.Thread(target=_follow, args=(questions, asked, alone, grace), daemon=True).start()
        with contextlib.closing(job(*arguments)) as values:
            for value in values:
                asked.acquire()
                if alone.is_set():
                    break
                _send(answers, ("value", value))
        _send(answers, ("ended", None))
    except (UserError, MemoryError) as error:
        log_error(error)
        _send(answers, ("failed", error))
    except Exception as error:
        log_error(error)
        _send(answers, ("failed", in_words(error) or RuntimeError(traceback.format_exc())))
    os._exit(0)  # the interpreter's own end would wait for the thread that listens


def _follow(questions: IO[bytes], asked: threading.Semaphore, alone: threading.Event, grace: float) -> None:
    """Count what is asked for; nobody left to ask ends the process, after its time of grace whatever it computes."""
    while _receive(questions) is not None:
        asked.release()
    alone.set()
    asked.release()
    time.sleep(grace)
    os._exit(0)
