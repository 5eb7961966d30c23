"""Processes that are begun at once, as what takes long to import is imported already."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_IMPORTED = (
    "napari_leafseg.pipelines.batch.run", "napari_leafseg.pipelines.evaluate", "napari_leafseg.inference.predictor",
    "napari_leafseg.finetuning.session", "napari_leafseg.models.query.solov2", "tests.reliability.mixed_kills",
    "tests.reliability.short_memory", "tests.reliability.full_disk",
)  # fmt: skip


def spawn(target: Callable[..., Any], *arguments: Any) -> BaseProcess:
    """Begin a process with a function and its arguments."""
    quick = "forkserver" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if quick else "spawn")
    if quick:
        context.set_forkserver_preload(list(_IMPORTED))
    process: BaseProcess = context.Process(target=target, args=arguments)
    process.start()
    return process


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
    process = spawn(_command, arguments, str(folder), str(said))
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
