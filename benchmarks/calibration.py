"""How far a leaf's confidence is the chance that the leaf is right: fits a model's calibration and measures it.

Run ``python -m benchmarks.calibration MODEL [--data ../shared/data] [--sets phenoleaf,frames,fluorescence]
[--plants 60] [--write] [--json FILE] [--record]``. Leaves of the labeled images and of so many synthetic plants are
compared with the truth; the curve is fitted and measured in five folds of images, and at last on all. ``--write``
changes the card alone; of a bundled model, ``make cards`` then writes the card to read.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.real_images import read_set
from benchmarks.record import add_record_option, write_result
from napari_leafseg import load_model
from napari_leafseg.inference.calibration import RIGHT, calibrate, calibration_error, fit_calibration, reliability
from napari_leafseg.inference.confidence import raw_confidence
from napari_leafseg.metrics.leaves import dice_table
from napari_leafseg.models.store.model_card import write_calibration
from napari_leafseg.models.store.zoo import find_model
from napari_leafseg.synthetic import synthesize
from napari_leafseg.training.data import Pair

FIRST_SEED, FOLDS = 560_000, 5  # plants that nothing else looks at


def read_leaves(model: str, pairs: list[Pair]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Raw confidence (N,) and whether right (N,) of the leaves of each image."""
    predictor, found = load_model(model), []
    for image, truth in pairs:
        prediction = predictor.predict(image)
        labels = prediction.labels()
        raw = raw_confidence(prediction, labels)
        table = dice_table(labels, truth)
        best = table.max(1) if table.size else np.zeros(len(raw))
        found.append((np.array([raw[leaf] for leaf in sorted(raw)]), best > RIGHT))
    return found


def _joined(images: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([raw for raw, _ in images]), np.concatenate([right for _, right in images])


def measure(images: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """Measure the calibration error before and after, each image by the curve of the other folds."""
    raw, right = _joined(images)
    held_out = np.zeros(len(raw))
    starts = np.cumsum([0, *(len(one) for one, _ in images)])
    for fold in range(FOLDS):
        others = [item for number, item in enumerate(images) if number % FOLDS != fold]
        curve = fit_calibration(*_joined(others))
        for number in range(fold, len(images), FOLDS):
            part = slice(starts[number], starts[number + 1])
            held_out[part] = [calibrate(float(value), curve) for value in raw[part]]
    return {
        "leaves": len(raw),
        "right": round(float(right.mean()), 3),
        "error_raw": round(calibration_error(raw, right), 3),
        "error_calibrated": round(calibration_error(held_out, right), 3),
        "diagram": [[count, round(sure, 3), round(share, 3)] for count, sure, share in reliability(held_out, right)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", default="phenoleaf,frames,fluorescence")
    parser.add_argument("--plants", type=int, default=60)
    parser.add_argument("--write", action="store_true", help="put the curve into the model's card")
    parser.add_argument("--json", type=Path)
    add_record_option(parser, "calibration")
    options = parser.parse_args()
    images = []
    for name in filter(None, options.sets.split(",")):
        images += read_leaves(options.model, read_set(name, options.data))
    scenes = [synthesize(FIRST_SEED + number) for number in range(options.plants)]
    images += read_leaves(options.model, [(scene.image, scene.labels) for scene in scenes])
    order = np.random.default_rng(0).permutation(len(images))
    images = [images[number] for number in order]
    curve = fit_calibration(*_joined(images))
    figures = {"calibration": list(curve), **measure(images)}
    print(json.dumps(figures), flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    if options.record:
        columns = {"leaves": "leaves", "right": "share right", "error_raw": "error, raw", "error_calibrated": "error"}
        row = {words: figures[key] for key, words in columns.items()}
        write_result(options.record, [{"model": options.model} | row])
    if options.write:
        print(f"written: {write_calibration(find_model(options.model), curve)}")


if __name__ == "__main__":
    main()
