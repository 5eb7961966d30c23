"""Which device computes, and in which precision."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from filelock import FileLock
from torch import nn

from napari_leafseg._files import data_folder
from napari_leafseg.errors import ModelError


def available_devices() -> list[str]:
    """Return devices of this machine, the preferred first; always ends with "cpu"."""
    found = []
    if torch.cuda.is_available():
        found.extend(["cuda", *(f"cuda:{index}" for index in range(1, torch.cuda.device_count()))])
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def choose_device(name: str = "auto") -> torch.device:
    """Turn a name into a device.

    Parameters
    ----------
    name : str
        "auto" (CUDA, else Apple MPS, else CPU), or a device's name.

    Raises
    ------
    ModelError
        When this machine has no such device.
    """
    found = available_devices()
    if name == "auto":
        return torch.device(found[0])
    if name not in found and name != "cuda:0":
        raise ModelError(f"This machine has no device “{name}”. Choose one of: auto, {', '.join(found)}.")
    return torch.device(name)


@functools.lru_cache(maxsize=1)
def fast_bfloat16() -> bool:
    """Tell whether this CPU is faster in bfloat16 than in float32 and agrees; measured once a process (0.1 s)."""
    with torch.inference_mode():
        layer = nn.Conv2d(32, 32, 3, padding=1)
        layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
        image = torch.randn(1, 32, 128, 128).contiguous(memory_format=torch.channels_last)

        def seconds(enabled: bool) -> tuple[float, torch.Tensor]:
            best = float("inf")
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                for _ in range(4):
                    start = time.perf_counter()
                    result = layer(image)
                    best = min(best, time.perf_counter() - start)
            return best, result.float()

        (plain, expected), (half, result) = seconds(False), seconds(True)
    return half < 0.8 * plain and float((expected - result).abs().max()) < 0.1


@functools.cache
def _lock(name: str) -> FileLock:
    """The lock of a device, for all threads and processes of a user; the system opens it when its holder is killed."""
    path = data_folder() / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, poll_interval=0.005)


@contextmanager
def device_lock(device: torch.device) -> Iterator[None]:
    """Allow one computation at a time on a graphics card: a prediction waits for the training step being computed.

    So the memory that one of them was measured to need is there. Processor cores are shared at once.
    """
    if device.type == "cpu":
        yield
        return
    with _lock(f"{device.type}-{device.index or 0}"):
        yield


@contextmanager
def inference_context(device: torch.device) -> Iterator[None]:
    """Take a turn on a device, in the precision that is fast there."""
    with device_lock(device), autocast_for(device):
        yield


def autocast_for(device: torch.device) -> torch.autocast:
    """Return the mixed precision where it is faster: float16 on CUDA, bfloat16 on CPUs that are fast in it."""
    if device.type == "cuda":
        return torch.autocast("cuda", torch.float16)
    return torch.autocast("cpu", torch.bfloat16, enabled=device.type == "cpu" and fast_bfloat16())


def training_autocast(device: torch.device) -> torch.autocast:
    """Return mixed precision for training: bfloat16, which needs no scaling of losses, where the device is fast.

    A processor or card without it emulates it, ten times slower than float32.
    """
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and fast_bfloat16()
    return torch.autocast(device.type if fast else "cpu", torch.bfloat16, enabled=fast)
