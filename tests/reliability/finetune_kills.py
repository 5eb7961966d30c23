"""A fine-tuning in a process of its own, as the window runs it; both may be killed at any moment."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_leafseg import _subprocess
from napari_leafseg.errors import UserError
from napari_leafseg.finetuning.config import FinetuneSettings
from napari_leafseg.finetuning.dataset import CorrectedImage
from napari_leafseg.finetuning.session import finetune_and_clean_up
from napari_leafseg.models.store.checkpoint import load_checkpoint
from napari_leafseg.synthetic import SceneConfig, synthesize

STEPS = 12
_SCENE = SceneConfig(size=(96, 96), diameter=(60, 80), blank=0.0, border=0.0)


def corrected(count: int) -> list[CorrectedImage]:
    """Return images that were corrected."""
    scenes = [synthesize(4_000 + number, _SCENE) for number in range(count)]
    return [
        CorrectedImage(f"p{number}", f"{number:064d}", scene.image, scene.labels.astype(np.int32), True)
        for number, scene in enumerate(scenes)
    ]


def settings_of(base: str) -> FinetuneSettings:
    """Return settings of a fine-tuning that takes seconds."""
    return FinetuneSettings(base=base, name="mine", steps=STEPS, batch=2, crop=64, synthetic_share=0.0)


class _Forked:
    """A child as `subprocess.Popen` gives it; forked, so that nothing is imported again."""

    def __init__(self) -> None:
        questions, ask = os.pipe()
        listen, answers = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            for handle in (ask, listen):
                os.close(handle)
            os.dup2(questions, 0)
            os.dup2(answers, 1)
            import sys

            sys.stdin = open(0, closefd=False)  # noqa: SIM115
            _subprocess._child_main()
        os.close(questions)
        os.close(answers)
        self.stdin, self.stdout = open(ask, "wb"), open(listen, "rb")  # noqa: SIM115
        self._code: int | None = None

    def wait(self, timeout: float = 3600) -> int:
        """Wait for its end."""
        end = time.monotonic() + timeout
        while self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                raise subprocess.TimeoutExpired("child", timeout)
            else:
                time.sleep(0.005)
        return self._code

    def kill(self) -> None:
        """End it."""
        os.kill(self.pid, 9)


def work(base: str, data: str, told: str, forks: bool) -> None:
    """Fine-tune, or go on; tells the child's number, each event, and what went wrong in words."""
    os.environ["XDG_DATA_HOME"] = data
    torch.set_num_threads(1)
    file = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(*words: Any) -> None:
        os.write(file, (json.dumps(words) + "\n").encode())

    start = _Forked if forks else _subprocess._start

    def started() -> Any:
        child = start()
        say("child", child.pid)
        return child

    _subprocess._start = started
    try:
        for event in _subprocess.run_in_subprocess(finetune_and_clean_up, settings_of(base), corrected(2), "cpu"):
            if event is not None:
                say(event.kind, event.done, event.fold)
    except UserError as error:
        say("failed", str(error))


def state_steps(session: Path) -> dict[int, int]:
    """Return at which step each run was saved last."""
    found = {}
    for file in session.glob("run*/state.pt"):
        found[int(file.parent.name[3:])] = int(torch.load(file, weights_only=True)["step"])
    return found


def check_whole(data: Path) -> None:
    """Every file that is there is whole."""
    for path in data.rglob("*"):
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.suffix == ".safetensors":
            load_checkpoint(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                assert [arrays[name] for name in arrays.files]
