"""How well models segment real images, set by set, with the embedding and by a watershed of the distance map alone.

Run ``python -m benchmarks.real_images MODEL … [--data ../shared/data] [--sets phenoleaf,frames] [--every 1]``. A model
is a name or a checkpoint; its own default parameters are used. Of fluorescence, the images that no model learned from
(``resources/training/fluorescence-kept-aside.txt``); of the strap leaves, every fourth Yucca. Which sets a model never
saw its card says. ``--json FILE`` keeps the figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from benchmarks.record import add_record_option, write_result
from napari_leafseg import load_model
from napari_leafseg._opencv import cv2
from napari_leafseg.inference.dense_output import DISTANCE_ONE
from napari_leafseg.inference.label_shapes import enlarge_labels
from napari_leafseg.inference.leaf_prediction import LeafPrediction
from napari_leafseg.metrics import score
from napari_leafseg.training.data import Pair, pair_stems, read_pairs

SETS = ("phenoleaf", "frames", "fluorescence", "yucca")
HIGH, DEEP = 0.35, 0.15  # of a watershed's maxima


def read_set(name: str, data: Path) -> list[Pair]:
    """Read images and labels of a set."""
    if name == "frames":
        return read_pairs(data / "arabidopsis" / "images")
    if name == "fluorescence":
        kept = Path("resources/training/fluorescence-kept-aside.txt").read_text(encoding="utf-8").split()
        return read_pairs(data / "fluorescence" / "images", tuple(kept))
    if name == "yucca":
        folder = data / "strap_leaves" / "images"
        return read_pairs(folder, tuple(stem for stem in pair_stems(folder) if stem.startswith("yucca"))[::4])
    return read_pairs(data / name / "images")


def watershed_labels(prediction: LeafPrediction) -> np.ndarray:
    """Labels by the distance map alone, int32 (H, W)."""
    full, count = np.zeros(prediction.shape, np.int32), 0
    for region in prediction.regions:
        distance = cv2.GaussianBlur(region.maps.distance.astype(np.float32) / DISTANCE_ONE, (0, 0), 1)
        seeds, _ = ndimage.label(h_maxima(distance, DEEP) & (distance > HIGH), np.ones((3, 3)))
        found = watershed(-distance, seeds, mask=region.grouped).astype(np.uint16)
        found = enlarge_labels(found, region.shape).astype(np.int32)
        full[region.rows, region.columns] = np.where(found > 0, found + count, 0)
        count += int(found.max())
    return full


def measure(model: str, pairs: list[Pair]) -> dict[str, float]:
    """Score a model on a set: mean SBD, |DiC| and FBD, and the watershed's SBD where there is a distance map."""
    predictor = load_model(model)
    found, plain = [], []
    for image, truth in pairs:
        prediction = predictor.predict(image)
        found.append(score(prediction.labels(), truth))
        if isinstance(prediction, LeafPrediction):
            plain.append(score(watershed_labels(prediction), truth))
    figures = {
        "sbd": float(np.mean([item.sbd for item in found])),
        "abs_dic": float(np.mean([abs(item.dic) for item in found])),
        "fbd": float(np.mean([item.fbd for item in found])),
    }
    if plain:
        figures["watershed_sbd"] = float(np.mean([item.sbd for item in plain]))
    return {key: round(value, 3) for key, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--every", type=int, default=1, help="take every so many-th image of a set")
    parser.add_argument("--json", type=Path)
    add_record_option(parser, "real-images")
    options, rows = parser.parse_args(), []
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for name in options.sets.split(","):
        pairs = read_set(name, options.data)[:: options.every]
        for model in options.models:
            row = measure(model, pairs)
            figures.setdefault(model, {})[name] = row
            titles = {"sbd": "SBD", "abs_dic": "|DiC|", "fbd": "FBD", "watershed_sbd": "SBD of a watershed"}
            head = {"images": name, "count": len(pairs), "model": Path(model).stem}
            rows.append(head | {title: row.get(key) for key, title in titles.items()})
            print(f"{name:13s} {len(pairs):3d} images  {Path(model).stem:20s} {row}", flush=True)
    if options.record:
        write_result(options.record, rows)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
