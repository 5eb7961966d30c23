"""Which device computes, and in which precision."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from filelock import FileLock

from napari_leafseg._files import data_folder
from napari_leafseg.errors import ModelError, ParameterError

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


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


@functools.cache
def fast_bfloat16() -> bool:
    """Tell whether this CPU computes in bfloat16 itself: what it is decides, not how fast it is at the moment."""
    if not torch.backends.mkldnn.is_available():
        return False
    if hasattr(torch.cpu, "get_capabilities"):
        return any(able for name, able in torch.cpu.get_capabilities().items() if name.endswith("bf16"))
    return any(getattr(torch.cpu, f"_is_{name}_supported", bool)() for name in ("avx512_bf16", "amx_tile"))


def choose_precision(device: torch.device) -> str:
    """Choose the precision for a device: "float16" on CUDA, "bfloat16" on CPUs that have it, else "float32"."""
    if device.type == "cuda":
        return "float16"
    return "bfloat16" if device.type == "cpu" and fast_bfloat16() else "float32"


def usable_precision(device: torch.device, wanted: str = "auto") -> str:
    """Give the precision that is wanted where a device can compute in it, else the device's own.

    Raises
    ------
    ParameterError
        When there is no such precision.
    """
    if wanted not in PRECISIONS:
        raise ParameterError(f"There is no precision “{wanted}”. Choose one of: {', '.join(PRECISIONS)}.")
    able = {"cuda": ("float32", "bfloat16", "float16"), "cpu": ("float32", "bfloat16")}.get(device.type, ("float32",))
    return wanted if wanted in able else choose_precision(device)


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
def inference_context(device: torch.device, precision: str = "auto", plain: bool = False) -> Iterator[None]:
    """Take a turn on a device, in a precision; where `plain`, without oneDNN, which may not recover of short memory."""
    with device_lock(device), autocast_for(device, precision):
        if not plain:
            yield
            return
        torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
        try:
            yield
        finally:
            torch.backends.mkldnn.enabled = True  # type: ignore[assignment]


def autocast_for(device: torch.device, precision: str = "auto") -> torch.autocast:
    """Return the mixed precision of a device; see `usable_precision`."""
    chosen = usable_precision(device, precision)
    if chosen == "float32":
        return torch.autocast("cpu", torch.bfloat16, enabled=False)
    return torch.autocast(device.type, torch.float16 if chosen == "float16" else torch.bfloat16)


def training_autocast(device: torch.device) -> torch.autocast:
    """Return mixed precision for training: bfloat16, which needs no scaling of losses, where the device is fast.

    A processor or card without it emulates it, ten times slower than float32.
    """
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and fast_bfloat16()
    return torch.autocast(device.type if fast else "cpu", torch.bfloat16, enabled=fast)
