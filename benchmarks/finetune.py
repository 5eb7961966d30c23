"""What fine-tuning brings: each of three real frames held out in turn, and what is forgotten of synthetic plants.

Run ``python -m benchmarks.finetune FOLDER [--base leaf] [--effort quick] [--seeds 3] [--plants 100]``; called again, it
goes on. The session is the one of the window and the command line; FOLDER takes the place of the user's folder.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from benchmarks.query_models import FRAMES, frames, measure, synthetic
from napari_leafseg.models import zoo
from napari_leafseg.models.card import read_card
from napari_leafseg.training import finetune as engine
from napari_leafseg.training import sessions
from napari_leafseg.training.corrections import CorrectedPicture
from napari_leafseg.training.sessions import FinetuneSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base", default="leaf")
    parser.add_argument("--effort", default="quick", choices=("quick", "thorough"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plants", type=int, default=100)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    models = options.folder / "models"
    for place in (zoo, engine, sessions):
        place.user_folder = lambda: models  # type: ignore[attr-defined]
    pictures = [
        CorrectedPicture(f"day {day}", str(day), image, labels.astype(np.int32), True)
        for day, (image, labels) in zip(FRAMES, frames(options.data), strict=True)
    ]
    before = measure(options.base, synthetic(options.plants))["sbd"] if options.plants else float("nan")
    for seed in range(options.seeds):
        name = f"{Path(options.base).stem}-{options.effort}-{seed}"
        settings = FinetuneSettings(base=options.base, name=name, effort=options.effort, seed=seed)
        path, start, first = models / f"{name}.safetensors", time.perf_counter(), float("nan")
        if not path.exists():
            for event in engine.finetune(settings, pictures, options.folder / name, options.device):
                if np.isnan(first) and event.kind in {"step", "held_out"}:
                    first = time.perf_counter() - start
        minutes = (time.perf_counter() - start) / 60
        about = read_card(path).provenance
        rows = "  ".join(f"{item['name']} {item['before']:.3f} → {item['after']:.3f}" for item in about["held_out"])
        after = measure(str(path), synthetic(options.plants))["sbd"] if options.plants else float("nan")
        print(
            f"{name}: {about['verdict_in_words']} {rows}; synthetic {before:.3f} → {after:.3f}; "
            f"{minutes:.1f} min, first point after {first:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
