"""What a training step costs with uniqueness and equivariance, as a ratio to the base step of the same model.

Run ``python -m benchmarks.framework_step [--models solov2 …] [--rounds 5] [--crop 176]``. Base steps and steps with the
framework take turns in one process, forward and backward, on one thread; what counts is the median processor time, so
that other programs do not. The memory is full.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np
import torch

from benchmarks.record import add_record_option, write_result
from napari_leafseg.models.build import build_network
from napari_leafseg.models.registry import presets
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.training.config import LossConfig
from napari_leafseg.training.instance_unique import InstanceUniqueLoss
from napari_leafseg.training.losses import compute_losses, instance_unique_losses
from napari_leafseg.training.targets import distance_target
from napari_leafseg.training.unique_config import InstanceUniqueConfig

ARMS = {
    "inter": {"equivariance": 0.0},
    "equi": {"uniqueness": 0.0},
    "both": {},
    "both, whole images": {"crop": 1.0},
    "both, augmentation": {"crop": 1.0, "equivariance_form": "augmentation", "features": 1.0},
}
"""The last is the form that the program had first."""


def batch(size: int, count: int) -> dict[str, torch.Tensor]:
    """Synthetic plants that fill their images."""
    config = SceneConfig(size=(size, size), diameter=(0.7 * size, 0.95 * size), blank=0.0, border=0.0)
    scenes = [synthesize(8_100_000 + number, config) for number in range(count)]
    images = np.stack([scene.image for scene in scenes]).astype(np.float32) / 128 - 1
    labels = np.stack([scene.labels for scene in scenes]).astype(np.int64)
    return {
        "image": torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last),
        "labels": torch.from_numpy(labels),
        "distance": torch.from_numpy(np.stack([distance_target(item) for item in labels]))[:, None],
        "source": torch.arange(count),
    }


def measure(model: str, data: dict[str, torch.Tensor], rounds: int) -> dict[str, float]:
    """Seconds of a base step, and the ratio of each arm to it."""
    torch.manual_seed(0)
    network = build_network(presets()[model]).place("cpu").train()
    dense = not hasattr(network, "retrieve")
    arms = {
        name: InstanceUniqueLoss(InstanceUniqueConfig(warm_up=0, memory_images=16, **entries))
        for name, entries in ARMS.items()
        if not dense or (name != "inter" and "augmentation" not in name)
    }
    times: dict[str, list[float]] = {name: [] for name in ("base", *arms)}
    for number in range(rounds + 1):
        for name in times:
            network.zero_grad(set_to_none=True)
            data["source"] = torch.arange(len(data["source"])) + 100 * number
            began = time.process_time()
            found = (
                compute_losses(network, data, LossConfig())
                if name == "base"
                else instance_unique_losses(network, data, LossConfig(), arms[name], number)
            )
            found["total"].backward()
            if number:
                times[name].append(time.process_time() - began)
    base = median(times["base"])
    return {"base, s": base, **{name: median(own) / base for name, own in times.items() if name != "base"}}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["solov2", "condinst", "sotr", "mask2former", "small"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--crop", type=int, default=176)
    parser.add_argument("--batch", type=int, default=8)
    add_record_option(parser, "framework-step")
    options, rows = parser.parse_args(), []
    torch.set_num_threads(1)
    data = batch(options.crop, options.batch)
    for model in options.models:
        found = measure(model, data, options.rounds)
        print(model, {name: round(value, 2) for name, value in found.items()}, flush=True)
        rows.append({"model": model, "base, s": round(found["base, s"], 2)}
                    | {name: round(found[name], 2) if name in found else None for name in ARMS})  # fmt: skip
    if options.record:
        write_result(options.record, rows)


if __name__ == "__main__":
    main()
