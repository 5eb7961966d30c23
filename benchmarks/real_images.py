"""How well models segment real images, set by set, with the embedding and by a watershed of the distance map alone.

Run ``python -m benchmarks.real_images MODEL … [--data ../shared/data] [--sets phenoleaf,frames] [--every 1]``. A model
is a name or a checkpoint; its own default parameters are used. Of fluorescence, the images that no model learned from
(``resources/training/fluorescence-kept-aside.txt``); of the strap leaves, every fourth Yucca; 40 “synthetic” plants.
“seedlings” are 40 synthetic ones on
moss and coarse or fine mesh, “grounds” 20 such grounds without a plant (``|DiC|`` counts the leaves that are none).
Which sets a model never saw its card says. ``--json FILE`` keeps the figures.
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
from napari_leafseg.metrics import LeafScore, score
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.training.data import Pair, pair_stems, read_pairs

SETS = ("phenoleaf", "frames", "fluorescence", "yucca")
MOSSY = SceneConfig(size=(384, 384), diameter=(40, 240), kind="seedlings", plants=(1, 4), moss=0.5, grain=0.8)
SCENES = {
    "synthetic": (530_000, 40, SceneConfig()),
    "seedlings": (540_000, 40, MOSSY),
    "grounds": (541_000, 20, MOSSY.model_copy(update={"plants": (0, 0), "moss": 0.7})),
}  # first seed, count, what is drawn
HIGH, DEEP = 0.35, 0.15  # of a watershed's maxima


def read_set(name: str, data: Path) -> list[Pair]:
    """Read images and labels of a set."""
    if name == "frames":
        return read_pairs(data / "arabidopsis" / "images")
    if name == "fluorescence":
        kept = Path("resources/training/fluorescence-kept-aside.txt").read_text(encoding="utf-8").split()
        return read_pairs(data / "fluorescence" / "images", tuple(kept))
    if name in SCENES:
        first, count, config = SCENES[name]
        return [(scene.image, scene.labels) for scene in (synthesize(first + n, config) for n in range(count))]
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


def measure(model: str, pairs: list[Pair], groupings: bool = False) -> dict[str, dict[str, float]]:
    """Score a model on a set: mean SBD, |DiC| and FBD with its own grouping, or with each that there is.

    Where there is a distance map, a watershed of it alone is scored, too.
    """
    predictor = load_model(model)
    results: dict[str, list[LeafScore]] = {}
    for image, truth in pairs:
        prediction = predictor.predict(image)
        spec = next((spec for spec in prediction.tunables if spec.name == "grouping"), None)
        if spec is None or not groupings:
            results.setdefault("own", []).append(score(prediction.labels(), truth))
        else:
            for number, name in enumerate(spec.choices):
                results.setdefault(name, []).append(score(prediction.labels(grouping=float(number)), truth))
        if isinstance(prediction, LeafPrediction):
            results.setdefault("distance map alone", []).append(score(watershed_labels(prediction), truth))
    return {
        name: {
            "SBD": round(float(np.mean([item.sbd for item in found])), 3),
            "|DiC|": round(float(np.mean([abs(item.dic) for item in found])), 2),
            "FBD": round(float(np.mean([item.fbd for item in found])), 3),
        }
        for name, found in results.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--every", type=int, default=1, help="take every so many-th image of a set")
    parser.add_argument("--groupings", action="store_true", help="with each grouping instead of the model's own")
    parser.add_argument("--json", type=Path)
    add_record_option(parser, "real-images")
    options, rows = parser.parse_args(), []
    for name in options.sets.split(","):
        pairs = read_set(name, options.data)[:: options.every]
        for model in options.models:
            for grouping, figures in measure(model, pairs, options.groupings).items():
                row = {"images": name, "count": len(pairs), "model": Path(model).stem, "grouping": grouping, **figures}
                rows.append(row)
                print(" ".join(map(str, row.values())), flush=True)
    if options.record:
        write_result(options.record, rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
