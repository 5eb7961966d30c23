"""Predictions on a device: precisions, short memory, two processes in turn, times, a batch."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.gpu_check.networks import open_network
from benchmarks.gpu_check.report import Figures, Report, SkipCheck
from benchmarks.gpu_check.sizes import Size
from benchmarks.gpu_check.turns import scene_of, synchronize
from benchmarks.record import REPOSITORY
from benchmarks.training_step import batch as usual_batch
from napari_leafseg import load_model
from napari_leafseg.errors import UserError
from napari_leafseg.inference.device import training_autocast, usable_precision
from napari_leafseg.inference.prediction import Prediction
from napari_leafseg.inference.predictor import Predictor
from napari_leafseg.inference.tiling import SMALLEST_TILE
from napari_leafseg.io.images import write_image
from napari_leafseg.metrics import score
from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.training.config import LossConfig
from napari_leafseg.training.losses import compute_losses

ALIKE = 0.9
"""SBD of the labels of a device with those of the processor, at least."""
MIB = 2**20


def timed(action: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Measure the median of a call's times in milliseconds, after one that is not counted."""
    times = []
    for _ in range(rounds + 1):
        synchronize(device)
        began = time.perf_counter()
        action()
        synchronize(device)
        times.append(1000 * (time.perf_counter() - began))
    return median(times[1:])


def check_precisions(name: str, device: torch.device, size: Size, figures: Figures) -> None:
    """Compare the labels of each precision with those in float32 on the processor."""
    open_network(name)  # skips a model whose package is missing
    image = scene_of(size.image).image
    wanted = load_model(name, "cpu", precision="float32").predict(image, scale=1.0).labels()
    figures["leaves"] = int(wanted.max())
    for precision in ("float32", "bfloat16", "float16"):
        if usable_precision(device, precision) != precision or (precision == "float32" and device.type == "cpu"):
            continue
        labels = load_model(name, str(device), precision=precision).predict(image, scale=1.0).labels()
        figures[precision] = sbd = score(labels, wanted).sbd
        if not sbd >= ALIKE:
            raise AssertionError(f"labels in {precision} are others: SBD {sbd:.3f}, less than {ALIKE}")


def check_prediction_time(name: str, device: torch.device, size: Size, figures: Figures) -> None:
    """Measure a prediction, new labels of kept predictions, and the memory that it takes."""
    open_network(name)
    image = scene_of(size.image).image
    predictor = load_model(name, str(device))
    figures["precision"] = predictor.precision
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    figures[f"ms at {size.image} px"] = timed(lambda: predictor.predict(image, scale=1.0), device, size.rounds)
    if device.type == "cuda":
        figures["peak MiB"] = torch.cuda.max_memory_allocated(device) / MIB
    prediction = predictor.predict(image, scale=1.0)
    figures["ms for new labels"] = timed(prediction.labels, torch.device("cpu"), size.rounds)


def check_training_step(name: str, device: torch.device, size: Size, figures: Figures) -> None:
    """Measure a step of training, everything trained; losses and gradients must be finite."""
    network = open_network(name).place(device).train()
    data = {key: value.to(device) for key, value in usual_batch(size.crop, 2 * size.batch, "usual").items()}
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    losses: list[float] = []

    def step() -> None:
        with training_autocast(device):
            loss = compute_losses(network, data, LossConfig())["total"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    figures[f"ms for {2 * size.batch} × {size.crop} px"] = timed(step, device, size.rounds)
    if device.type == "cuda":
        figures["peak MiB"] = torch.cuda.max_memory_allocated(device) / MIB
    figures["loss"] = losses[-1]
    gradients = [value.grad for value in network.parameters() if value.grad is not None]
    if not all(map(math.isfinite, losses)) or not all(bool(torch.isfinite(value).all()) for value in gradients):
        raise AssertionError("losses or gradients are not finite")


def check_short_memory(device: torch.device, size: Size, figures: Figures) -> None:
    """Let memory run out: smaller tiles must be tried, and give the same leaves."""
    image = scene_of(size.large).image
    predictor = load_model("leaf", str(device))
    wanted = predictor.predict(image, scale=1.0)
    if device.type == "cuda":
        prediction = _with_less_memory(predictor, image, device, figures)
    else:
        prediction = _with_short_memory(predictor, image)
    notes = " ".join(prediction.notes)
    figures["tile"] = predictor._tiled.tile
    figures["SBD with enough memory"] = sbd = score(prediction.labels(), wanted.labels()).sbd
    if "out of memory" not in notes:
        raise AssertionError(f"nothing was said of short memory: {notes or 'no notes'}")
    if not sbd >= ALIKE:
        raise AssertionError(f"labels in smaller tiles are others: SBD {sbd:.3f}, less than {ALIKE}")


def _with_less_memory(predictor: Predictor, image: np.ndarray, device: torch.device, figures: Figures) -> Prediction:
    """Predict with less and less of the card's memory, until it is said to be short."""
    whole = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.empty_cache()
    base = torch.cuda.memory_reserved(device)
    torch.cuda.reset_peak_memory_stats(device)
    predictor.predict(image, scale=1.0)
    need = torch.cuda.max_memory_reserved(device) - base
    figures["needs MiB"] = need / MIB
    try:
        for share in (0.5, 0.25, 0.1):
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction((base + share * need) / whole, device)
            prediction = predictor.predict(image, scale=1.0)
            figures["given MiB"] = share * need / MIB
            if any("out of memory" in note for note in prediction.notes):
                break
        return prediction
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
        torch.cuda.empty_cache()


def _with_short_memory(predictor: Predictor, image: np.ndarray) -> Prediction:
    """Predict with a network for which memory is short above a number of pixels."""
    predictor._tiled.tile = 3 * SMALLEST_TILE // 2
    most = SMALLEST_TILE**2

    def refuse(_network: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].shape[-2] * inputs[0].shape[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = predictor._tiled.network.register_forward_pre_hook(refuse)
    try:
        return predictor.predict(image, scale=1.0)
    finally:
        hook.remove()


def check_two_processes(device: torch.device, size: Size, figures: Figures) -> None:
    """Let two processes predict on one device: the same leaves, and on a card never at the same time."""
    labels = load_model("leaf", str(device)).predict(scene_of(size.image).image, scale=1.0).labels()
    command = [sys.executable, "-m", "benchmarks.gpu_check.turns", str(device), str(size.image), str(size.turns)]
    began = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment) for _ in range(2)
    ]
    try:
        said = [json.loads(program.communicate(timeout=600)[0].splitlines()[-1]) for program in running]
    finally:
        for program in running:
            program.kill()
    figures["s with their start"] = time.perf_counter() - began
    figures["predictions"] = sum(len(item["leaves"]) for item in said)
    for item in said:
        if len(item["leaves"]) != size.turns or set(item["leaves"]) != {int(labels.max())}:
            raise AssertionError(f"leaves {item['leaves']} instead of {labels.max()} each time")
    spans = sorted(tuple(span) for item in said for span in item["held"])
    overlaps = sum(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans))
    figures["turns"] = len(spans)
    if device.type != "cpu" and overlaps:
        raise AssertionError(f"{overlaps} of {len(spans)} turns began before the one before had ended")


def check_batch(device: torch.device, size: Size, figures: Figures) -> None:
    """Measure how many images a minute a batch segments, measures and reports, in this process."""
    from napari_leafseg.pipelines.batch.config import BatchSettings
    from napari_leafseg.pipelines.batch.run import run_batch

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for number in range(size.images):
            write_image(folder / f"plant{number:03}.png", scene_of(size.image, 200 + number).image)
        settings = BatchSettings(device=str(device))
        began = time.perf_counter()
        try:
            events = list(run_batch([folder], folder / "out", settings, workers=0))
        except UserError as error:
            if "not installed" in str(error):
                raise SkipCheck(str(error)) from error
            raise
        seconds = time.perf_counter() - began
        wrong = [event.result["error"] for event in events if event.result is not None and "error" in event.result]
        if wrong or not (folder / "out" / "report.html").is_file():
            raise AssertionError(f"{len(wrong)} images could not be done: {wrong[:1]}")
    figures["images"], figures["model"] = size.images, describe_model(settings.model).name
    figures["images a minute"] = 60 * size.images / seconds


def check_runs(report: Report, device: torch.device, size: Size) -> None:
    """Make all checks of predictions and of a training step."""
    reserve = 100 if size.rounds > 1 else 0
    for name in size.models:
        report.run(f"labels {name}", partial(check_precisions, name, device, size), reserve)
    report.run("short memory", partial(check_short_memory, device, size), reserve)
    report.run("two processes", partial(check_two_processes, device, size), reserve)
    for name in size.models:
        report.run(f"prediction {name}", partial(check_prediction_time, name, device, size), reserve)
        report.run(f"training step {name}", partial(check_training_step, name, device, size), reserve)
    report.run("batch", partial(check_batch, device, size), reserve)
