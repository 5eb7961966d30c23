"""What the models cost: prediction at 512 x 512, a moved slider, a training step, memory.

Run ``python -m benchmarks.query_speed [NAME …]``. Each model is measured in a process of its own, so that its peak
memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from statistics import median

import numpy as np
import torch

from benchmarks.record import add_record_option, write_result
from benchmarks.training_step import batch as usual_batch
from napari_leafseg import load_model
from napari_leafseg.inference.device import choose_device
from napari_leafseg.models.build import build_network
from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.training.config import LossConfig
from napari_leafseg.training.losses import compute_losses

NAMES = ("leaf", "condinst", "solov2", "sotr", "mask2former")


def predicting(name: str, device: str) -> tuple[float, float]:
    """Seconds for a 512 x 512 region at the working scale, and for new labels of other values."""
    scene = synthesize(105, SceneConfig(size=(512, 512), diameter=(400, 440), blank=0.0))
    predictor = load_model(name, device)
    predictor.predict(scene.image, scale=1.0)
    times, changes = [], []
    for _ in range(5):
        start = time.perf_counter()
        prediction = predictor.predict(scene.image, scale=1.0)
        times.append(time.perf_counter() - start)
    first = prediction.tunables[0]
    for value in np.linspace(0.2, 0.6, 20):
        start = time.perf_counter()
        prediction.labels(**{first.name: float(value)})
        changes.append(time.perf_counter() - start)
    return median(times), median(changes)


def training(name: str, device: str) -> float:
    """Seconds for a step of batch 8 at 176 x 176, everything trained."""
    card = describe_model(name)
    network = build_network(card.config).place(device).train()
    batch = {name: value.to(device) for name, value in usual_batch(176, 8, "usual").items()}
    optimizer = torch.optim.AdamW(network.parameters())
    times = []
    for _ in range(5):
        start = time.perf_counter()
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            loss = compute_losses(network, batch, LossConfig())["total"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    add_record_option(parser, "query-speed")
    options = parser.parse_args()
    if not options.one:
        rows = []
        for name in options.names:
            command = [sys.executable, "-m", "benchmarks.query_speed", name, "--one"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(rows[-1], flush=True)
        if options.record:
            write_result(options.record, rows)
        return
    (name,) = options.names
    device = str(choose_device())
    seconds, change = predicting(name, device)
    first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    step = training(name, device)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    row = {
        "model": f"`{name}`",
        "prediction": f"{seconds:.2f} s",
        "slider": f"{1000 * change:.1f} ms",
        "training step": f"{step:.2f} s",
        "memory predicting / training": f"{first:.2f} / {memory:.2f} GiB",
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
