"""What fine-tuning brings: each of three real frames held out in turn, and what is forgotten of synthetic plants.

Run ``python -m benchmarks.finetune FOLDER [--base leaf] [--effort quick] [--seeds 3] [--plants 100]``; called again, it
goes on. The session is the one of the window and the command line; FOLDER takes the place of the user's folder.
``--only-folds`` leaves out the last run, on all frames, which makes the model: held-out scores need none.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.query_models import FRAMES, frames, measure, synthetic
from benchmarks.record import add_record_option, write_result
from napari_leafseg.finetuning import config
from napari_leafseg.finetuning import session as engine
from napari_leafseg.finetuning.config import FinetuneSettings
from napari_leafseg.finetuning.dataset import CorrectedImage
from napari_leafseg.models.store import zoo
from napari_leafseg.models.store.model_card import read_card
from napari_leafseg.training.unique_config import InstanceUniqueConfig


def use_folder(folder: Path) -> Path:
    """Let the user's models lie in a folder of the benchmark."""
    models = folder / "models"
    for place in (zoo, engine, config):
        place.user_folder = lambda: models  # type: ignore[attr-defined]
    return models


def corrected_frames(data: Path) -> list[CorrectedImage]:
    """The three labeled frames as if somebody had corrected them."""
    return [
        CorrectedImage(f"day {day}", str(day), image, labels.astype(np.int32), True)
        for day, (image, labels) in zip(FRAMES, frames(data), strict=True)
    ]


def held_out(session: Path, images: list[CorrectedImage], seed: int) -> dict[str, str]:
    """Score each image before training, with its fold's best weights, and with its last, chosen by nothing."""
    row, gains = {}, []
    for number, (_, held) in enumerate(engine.split(len(images), seed)):
        looks = json.loads((session / f"run{number}" / "looks.json").read_text())
        best = max(looks, key=lambda look: look["mean"])
        for at, index in enumerate(held):
            before, after, last = (look["scores"][at][0] for look in (looks[0], best, looks[-1]))
            gains.append((before, after, last))
            row[images[index].name] = f"{before:.3f} → {after:.3f} ({last:.3f})"
    before, after, last = np.mean(gains, axis=0)
    return row | {"mean": f"{before:.3f} → {after:.3f} ({last:.3f})"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base", default="leaf")
    parser.add_argument("--effort", default="quick", choices=("quick", "thorough"))
    parser.add_argument("--steps", type=int, help="of each run, instead of the effort's")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--plants", type=int, default=100)
    parser.add_argument("--framework", action="store_true", help="with uniqueness and equivariance")
    parser.add_argument("--only-folds", action="store_true")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--device", default="cpu")
    add_record_option(parser, "finetune")
    options, rows = parser.parse_args(), []
    models = use_folder(options.folder)
    images = corrected_frames(options.data)
    folds = len(engine.split(len(images), 0))
    before, framework = None, InstanceUniqueConfig(warm_up=30) if options.framework else None
    for seed in options.seeds:
        name = f"{Path(options.base).stem}-{options.effort}-{seed}{'-framework' * options.framework}"
        settings = FinetuneSettings(
            base=options.base,
            name=name,
            effort=options.effort,
            seed=seed,
            instance_unique=framework,
            steps=options.steps,
        )
        path, start, first = models / f"{name}.safetensors", time.perf_counter(), float("nan")
        if not path.exists():
            for event in engine.finetune(settings, images, options.folder / name, options.device):
                if np.isnan(first) and event.kind in {"step", "held_out"}:
                    first = time.perf_counter() - start
                if options.only_folds and event.fold == folds:
                    break
        minutes = (time.perf_counter() - start) / 60
        rows.append({"base": options.base, "seed": seed, **held_out(options.folder / name, images, seed)})
        rows[-1][f"{options.plants} synthetic plants"] = None
        print(f"{name}: {rows[-1]}; {minutes:.1f} min, ", end="")
        print(f"first point after {first:.1f} s", flush=True)
        if path.exists() and options.plants:
            before = before or measure(options.base, synthetic(options.plants))["sbd"]
            after = measure(str(path), synthetic(options.plants))["sbd"]
            print(f"{name}: {read_card(path).provenance['verdict_in_words']}", end=" ")
            rows[-1][f"{options.plants} synthetic plants"] = f"{before:.3f} → {after:.3f}"
            print(rows[-1][f"{options.plants} synthetic plants"], flush=True)
    if options.record:
        write_result(options.record, rows)


if __name__ == "__main__":
    main()
