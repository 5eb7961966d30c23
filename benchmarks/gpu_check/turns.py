"""One of the processes that take turns on a device: ``python -m benchmarks.gpu_check.turns DEVICE SIDE TIMES``."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator

import torch

from napari_leafseg import load_model
from napari_leafseg.inference import device as devices
from napari_leafseg.synthetic import Scene, SceneConfig, synthesize


def scene_of(side: int, seed: int = 105) -> Scene:
    """Draw one plant that nearly fills the image."""
    return synthesize(seed, SceneConfig(size=(side, side), diameter=(0.78 * side, 0.86 * side), blank=0.0))


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextlib.contextmanager
def noted_turns(held: list[tuple[float, float]]) -> Iterator[None]:
    """Note when this process computes on a device; the clock is that of all processes."""
    locked = devices.device_lock

    @contextlib.contextmanager
    def turn(device: torch.device) -> Iterator[None]:
        with locked(device):
            began = time.monotonic()
            yield
            synchronize(device)
            held.append((began, time.monotonic()))

    devices.device_lock = turn
    try:
        yield
    finally:
        devices.device_lock = locked


def main() -> None:
    """Predict; print the number of leaves of each prediction, and when the device was held."""
    device, side, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    held: list[tuple[float, float]] = []
    predictor = load_model("leaf", device)
    image = scene_of(side).image
    with noted_turns(held):
        leaves = [int(predictor.predict(image, scale=1.0).labels().max()) for _ in range(times)]
    print(json.dumps({"leaves": leaves, "held": held}))


if __name__ == "__main__":
    main()
