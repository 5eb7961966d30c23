"""Processes that are begun at once, as what takes long to import is imported already."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

FORKS = "forkserver" in multiprocessing.get_all_start_methods()

_IMPORTED = (
    "napari_leafseg.pipelines.batch.run", "napari_leafseg.pipelines.evaluate", "napari_leafseg.inference.predictor",
    "napari_leafseg.finetuning.session", "napari_leafseg.models.query.solov2", "tests.reliability.mixed_kills",
    "tests.reliability.short_memory", "tests.reliability.full_disk", "tests.fuzz.exchange_runner",
)  # fmt: skip


def spawn(target: Callable[..., Any], *arguments: Any) -> BaseProcess:
    """Begin a process with a function and its arguments."""
    context: Any = multiprocessing.get_context("forkserver" if FORKS else "spawn")
    if FORKS:
        context.set_forkserver_preload(list(_IMPORTED))
    process: BaseProcess = context.Process(target=target, args=arguments)
    process.start()
    return process


class Forked:
    """A process begun at once, as `subprocess.Popen` gives one whose input and output are pipes.

    Parameters
    ----------
    target : callable
        What it does; it has this process's environment.
    *arguments
        For `target`.
    """

    def __init__(self, target: Callable[..., Any], *arguments: Any) -> None:
        (questions, ask), (listen, answers) = os.pipe(), os.pipe()
        with Connection(questions, writable=False) as asked, Connection(answers, readable=False) as said:
            self._process = spawn(_talk, asked, said, dict(os.environ), target, arguments)
        assert self._process.pid is not None
        self.pid = self._process.pid
        self.stdin, self.stdout = open(ask, "wb"), open(listen, "rb")  # noqa: SIM115

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; returns its exit code."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0)
        return self._process.exitcode

    def kill(self) -> None:
        """End it."""
        self._process.kill()


def begin_source(source: str, *arguments: str) -> Any:
    """Begin a process that runs a program's text, as ``python -c`` does; its output is a pipe of bytes."""
    if FORKS:
        return Forked(_source, source, arguments)
    return subprocess.Popen([sys.executable, "-c", source, *arguments], stdout=subprocess.PIPE)


def begin_command(arguments: list[str], folder: str | Path, said: str | Path) -> BaseProcess:
    """Begin the command line in a process of its own, in a folder; the file `said` takes what it prints."""
    return spawn(_command, arguments, str(folder), str(said))


def run_command(arguments: list[str], folder: Path, said: Path, limit: float = 200) -> int | None:
    """Run the command line in a process of its own, as ``python -m napari_leafseg.cli`` does; returns its exit code.

    Parameters
    ----------
    arguments : list of str
    folder : pathlib.Path
        In which it runs.
    said : pathlib.Path
        Takes what it prints.
    limit : float
        Seconds after which it is ended.
    """
    process = begin_command(arguments, folder, said)
    process.join(limit)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode


def _command(arguments: list[str], folder: str, said: str) -> None:
    with open(said, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    sys.argv = ["napari_leafseg.cli", *arguments]
    runpy.run_module("napari_leafseg.cli", run_name="__main__", alter_sys=True)


def _talk(asked: Connection, said: Connection, environment: dict[str, str], target: Any, arguments: Any) -> None:
    os.dup2(asked.fileno(), 0)
    os.dup2(said.fileno(), 1)
    asked.close()
    said.close()
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    target(*arguments)


def _source(source: str, arguments: tuple[str, ...]) -> None:
    sys.argv = ["-c", *arguments]
    exec(compile(source, "<string>", "exec"), {"__name__": "__main__"})
