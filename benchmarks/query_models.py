"""How well the models segment: SBD, |DiC| and COCO's AP on synthetic plants, frames and fluorescence images.

Run ``python -m benchmarks.query_models NAME … [--plants 100] [--data ../shared/data] [--held NAMES.txt]``. Parameters
are the models' own defaults; AP takes every mask that the model keeps, with its score. The leaf models' masks are their
leaves, scored by confidence. ``--json FILE`` keeps the figures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.record import add_record_option, write_result
from napari_leafseg import load_model
from napari_leafseg.inference.confidence import scored_masks
from napari_leafseg.io import read_image, read_labels
from napari_leafseg.metrics import average_precision, score
from napari_leafseg.synthetic import synthesize

FIRST_SEED = 530_000  # never trained on, never tuned on
FRAMES = (24, 28, 30)


def synthetic(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images and labels of plants that nothing was trained on."""
    for number in range(count):
        scene = synthesize(FIRST_SEED + number)
        yield scene.image, scene.labels


def frames(data: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The three labeled frames of a real Arabidopsis."""
    for day in FRAMES:
        stem = f"2019-10-{day}-11-05_11"
        folder = data / "arabidopsis"
        yield read_image(folder / "images" / f"{stem}.jpg").array, read_labels(folder / "labels" / f"{stem}_label.png")


def fluorescence(data: Path, names: list[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The fluorescence images that were kept aside."""
    for name in names:
        folder = data / "fluorescence"
        yield read_image(folder / "images" / f"{name}.png").array, read_labels(folder / "labels" / f"{name}_label.png")


def measure(name: str, pairs: Iterator[tuple[np.ndarray, np.ndarray]], **values: float) -> dict[str, float]:
    """Figures of a model on one set of images; its own defaults unless other values are given."""
    predictor = load_model(name)
    scores, scored = [], []
    for image, truth in pairs:
        prediction = predictor.predict(image)
        labels = prediction.labels(**values)
        if truth.any():
            scores.append(score(labels, truth))
            scored.append((truth, scored_masks(prediction)))
    figures = average_precision(scored)
    return {
        "sbd": float(np.mean([item.sbd for item in scores])),
        "abs_dic": float(np.mean([abs(item.dic) for item in scores])),
        **{key: float(value) for key, value in figures._asdict().items()},
    }


def rows_of(everything: dict[str, dict[str, dict[str, float]]]) -> list[dict[str, str | float]]:
    """Bring the figures into a row for each model."""
    names = {"sbd": "SBD", "abs_dic": "|DiC|", "ap": "AP", "ap50": "AP50", "ap75": "AP75", "small": "AP small",
             "medium": "AP medium", "large": "AP large"}  # fmt: skip
    return [
        {"model": f"`{model}`"}
        | {
            f"{where}: {title}": round(figures[key], 2 if key == "abs_dic" else 3)
            for where, figures in sets.items()
            for key, title in names.items()
        }
        for model, sets in everything.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--plants", type=int, default=100)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--held", type=Path, help="names of the fluorescence images kept aside, one a line")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path)
    add_record_option(parser, "query-models")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    held = options.held.read_text().split() if options.held else []
    everything: dict[str, dict[str, dict[str, float]]] = {}
    for name in options.names:
        sets = {"synthetic": synthetic(options.plants), "frames": frames(options.data)}
        if held:
            sets["fluorescence"] = fluorescence(options.data, held)
        everything[name] = {}
        for where, pairs in sets.items():
            found = everything[name][where] = measure(name, pairs)
            print(f"{name:18} {where:13}", *(f"{key} {value:.3f}" for key, value in found.items()), flush=True)
    if options.record:
        write_result(options.record, rows_of(everything))
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    main()
