"""Trains the default model for the time that is left, and judges it."""

from __future__ import annotations

import contextlib
import itertools
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import torch

from benchmarks.gpu_check.report import Figures, Report
from benchmarks.gpu_check.sizes import Size
from benchmarks.record import REPOSITORY
from napari_leafseg import load_model
from napari_leafseg.metrics import score
from napari_leafseg.synthetic import Scene, SceneConfig, synthesize
from napari_leafseg.training.config import TrainingConfig, read_training_config
from napari_leafseg.training.data_config import DataConfig, SceneShare
from napari_leafseg.training.loop import read_curves, train

RECIPE = REPOSITORY / "resources" / "training" / "leaf-pretrained-fourth.yaml"
ENDING = 25
"""Seconds that are kept for saving and judging."""
_PROBED = 8  # steps that tell how long one takes
_DRAWING = 0.15  # share of the time that synthetic images may be drawn in
_LEAST = 20  # synthetic images


def seconds_of_a_scene(scenes: Sequence[SceneConfig]) -> float:
    """Measure how long it takes to draw one image of each kind, in the mean."""
    began = time.perf_counter()
    for number, scene in enumerate(scenes):
        synthesize(7_000_000 + number, scene)
    return (time.perf_counter() - began) / len(scenes)


def recipe_for(size: Size, data: Path, seconds: float) -> tuple[TrainingConfig, str]:
    """Read the recipe of `leaf`, to go on from the bundled weights; says which images it trains on.

    Parameters
    ----------
    size : Size
    data : pathlib.Path
        Folder of the labeled data sets that the recipe names; where one is not there, synthetic images alone are taken.
    seconds : float
        For all of the training.
    """
    config = read_training_config(RECIPE)
    sources = [
        item.model_copy(update={"folder": str(data / Path(item.folder).name), "exclude_file": _file(item.exclude_file)})
        for item in config.data.sources
    ]
    labeled = all(Path(item.folder).is_dir() for item in sources)
    scenes = [item.scene for item in config.data.scenes]
    if size.scenes < len(scenes):
        scene = scenes[0].model_copy(update={"size": (4 * size.crop, 4 * size.crop)})
        images = DataConfig(count=size.scenes, scenes=(SceneShare(share=1.0, scene=scene),))
    else:
        count = int(_DRAWING * seconds / seconds_of_a_scene(scenes))
        update = {"count": max(_LEAST, min(count, size.scenes))}
        images = config.data.model_copy(update=update if labeled else {**update, "sources": (), "paste": None})
    images = images if not labeled else images.model_copy(update={"sources": tuple(sources)})
    steps = {"steps": size.steps, "batch": min(config.batch, size.batch), "crop": min(config.crop, size.crop)}
    config = config.model_copy(update={"init_from": "leaf", "warm_up": 20, "data": images, **steps})
    return config, "labeled folders and synthetic images" if labeled else "synthetic images alone"


def _file(name: str | None) -> str | None:
    return None if name is None else str(REPOSITORY / name)


def judge(weights: str, device: torch.device, scenes: Sequence[Scene]) -> float:
    """Measure a model's mean SBD on synthetic plants."""
    predictor = load_model(weights, str(device))
    return mean(
        score(predictor.predict(scene.image, scale=1.0).labels(), scene.labels).sbd
        for scene in scenes
        if scene.labels.any()
    )


def check_training(report: Report, device: torch.device, size: Size, data: Path, figures: Figures) -> None:
    """Train, write ``leaf.safetensors`` and ``curves.jsonl`` into the report's folder, and judge the model."""
    config, images = recipe_for(size, data, report.left - ENDING)
    figures["images"], side = images, min(448, 2 * size.crop)
    scenes = [
        synthesize(910_000_000 + number, SceneConfig(size=(side, side), diameter=(0.5 * side, 0.9 * side), blank=0.0))
        for number in range(size.judged)
    ]
    figures["SBD before"] = judge("leaf", device, scenes)
    with tempfile.TemporaryDirectory() as place:
        config = _paced(config, Path(place) / "probe", device, report.left - ENDING)
        folder = Path(place) / "run"
        (Path(place) / "probe" / "pool").rename(_made(folder) / "pool")
        began = time.perf_counter()
        with contextlib.closing(train(config, folder, str(device))) as events:
            for event in events:
                if event.kind == "step" and report.left < ENDING:
                    break
        seconds = time.perf_counter() - began
        curves = read_curves(folder)
        for name in (f"{config.name}.safetensors", "curves.jsonl"):
            shutil.copyfile(folder / name, report.folder / name)
    losses = [line["total"] for line in curves if "total" in line]
    tenth = max(1, len(losses) // 10)
    figures |= {
        "scenes": config.data.count, "steps": len(losses), "planned": config.steps,
        "ms a step": 1000 * seconds / len(losses),
        "loss at first": mean(losses[:tenth]), "loss at last": mean(losses[-tenth:]),
        "SBD after": judge(str(report.folder / f"{config.name}.safetensors"), device, scenes),
    }  # fmt: skip
    if not all(map(math.isfinite, losses)):
        raise AssertionError("losses are not finite")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _paced(config: TrainingConfig, folder: Path, device: torch.device, seconds: float) -> TrainingConfig:
    """Choose the number of steps by how long the first ones take, so that the learning rate falls in time."""
    end = time.perf_counter() + seconds
    few = config.model_copy(update={"steps": min(config.steps, _PROBED)})
    times = []
    for event in train(few, folder, str(device)):
        if event.kind == "step":
            times.append(time.perf_counter())
    last = [later - earlier for earlier, later in itertools.pairwise(times)][len(times) // 2 :]
    step = mean(last or [1.0])
    steps = int(0.95 * (end - time.perf_counter()) / step)
    return config.model_copy(update={"steps": max(2, min(config.steps, steps))})
