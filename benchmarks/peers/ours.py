"""Ours in the comparison: ``python -m benchmarks.peers.ours FOLDER --minutes N [--threads N]``."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.peers.data import DIAMETER
from napari_leafseg.inference.distance_embedding_runner import DistanceEmbeddingRunner
from napari_leafseg.inference.leaf_prediction import FOREGROUND
from napari_leafseg.inference.plants import plant_statistics
from napari_leafseg.io import find_pairs, label_path, read_image, read_labels, write_labels
from napari_leafseg.metrics import score
from napari_leafseg.models.store.checkpoint import load_checkpoint
from napari_leafseg.postprocessing import AngularGrouping
from napari_leafseg.training.augment import true_plants
from napari_leafseg.training.config import LossConfig, TrainingConfig
from napari_leafseg.training.data_config import DataConfig
from napari_leafseg.training.loop import train

NAME = "ours"


def timed(folder: Path, run: Path, minutes: float) -> None:
    """Train for a time: a first short run measures how many steps fit."""
    config = TrainingConfig(
        name=NAME, data=DataConfig(count=0, folder=str(folder / "train")), loss=LossConfig(distance=20.0),
        target_diameter=DIAMETER, crop=176, steps=20, validation_count=0, save_every=20, decay=0.7,
    )  # fmt: skip
    began = time.perf_counter()
    marks = [time.perf_counter() for event in train(config, run / "probe") if event.kind == "step"]
    each = (marks[-1] - marks[4]) / (len(marks) - 5)
    steps = int((60 * minutes - (time.perf_counter() - began)) / each)
    print(f"{each:.2f} s a step: {steps} steps", flush=True)
    shutil.rmtree(run / "probe")
    for _ in train(config.model_copy(update={"steps": steps, "save_every": 50}), run):
        pass
    print(f"trained for {(time.perf_counter() - began) / 60:.1f} min", flush=True)


def predictor(run: Path) -> Callable[[np.ndarray, np.ndarray], AngularGrouping]:
    """Maps of an image, which already has the working size."""
    network, _ = load_checkpoint(run / f"{NAME}.safetensors")
    tiled = DistanceEmbeddingRunner(network, torch.device("cpu"), print, 1)

    def predict(image: np.ndarray, labels: np.ndarray) -> AngularGrouping:
        everywhere = (slice(0, image.shape[0]), slice(0, image.shape[1]))
        maps = tiled.maps(image, plant_statistics(image, true_plants(labels), everywhere))
        return AngularGrouping(maps.distance, maps.foreground >= FOREGROUND, maps.embedding)

    return predict


def main() -> None:
    """Train, tune on the validation set, predict the test sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    run = args.folder / "runs" / NAME
    timed(args.folder, run, args.minutes)
    predict = predictor(run)
    pairs = {
        name: [
            (image.stem, read_image(image).array, read_labels(labels))
            for image, labels in find_pairs(args.folder / name)
        ]
        for name in ("validation", "synthetic", "real")
    }
    grid = [(threshold, angle) for threshold in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7) for angle in (30, 45, 60, 70)]
    totals = np.zeros(len(grid))
    for _, image, labels in pairs["validation"]:
        grouping = predict(image, labels)
        totals += [score(grouping.labels(*values, 16), labels).sbd for values in grid]
    best = grid[int(totals.argmax())]
    print(f"tuned: seed threshold {best[0]}, angle {best[1]}", flush=True)
    for name in ("synthetic", "real"):
        for stem, image, labels in pairs[name]:
            found = predict(image, labels).labels(*best, 16)
            write_labels(label_path(args.folder / "predicted" / NAME / name, stem), found)


if __name__ == "__main__":
    main()
