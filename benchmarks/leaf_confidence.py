"""How a model weighs what its maps tell of a leaf into the leaf's confidence: fits the weights and measures them.

Run ``python -m benchmarks.leaf_confidence MODEL [--data ../shared/data] [--every 1] [--write] [--record]``. Leaves of
labeled images that a model learns from (fluorescence, strap leaves, PhenoLeaf, frames) and of synthetic scenes of each
kind in the training's recipe are compared with the truth; each set counts by the root of its leaves. Then labels of the
sets that are kept aside are scored without a least confidence, with that of the fit, and with that of a fit which saw
none of the same plants (“without its kind”). The least confidence is where the chance that a leaf is found (Dice over
0.5) is `FOUND_LEAST`. ``--write`` brings the chance to
the share of right leaves in fluorescence and synthetic plants, and changes the model's card.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from benchmarks.real_images import read_set
from benchmarks.record import add_record_option, write_result
from napari_leafseg import load_model
from napari_leafseg.inference.calibration import RIGHT, calibrate, calibration_error, fit_calibration, fit_confidence
from napari_leafseg.inference.evidence import leaf_evidence
from napari_leafseg.inference.leaf_prediction import LeafPrediction
from napari_leafseg.metrics import score
from napari_leafseg.metrics.leaves import dice_table
from napari_leafseg.models.confidence import ConfidenceWeights
from napari_leafseg.models.store.model_card import write_confidence
from napari_leafseg.models.store.zoo import find_model
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.training.data import Pair, pair_stems, read_pairs

RECIPE = Path("resources/training/leaf-pretrained-fourth.yaml")
FIRST_SEED, SCENES = 880_000, 90
FOUND_LEAST = 0.15
LEARNED = ("phenoleaf", "frames", "fluorescence-learned", "strap-learned", "scenes")
MEASURED = ("fluorescence", "seedlings", "synthetic", "phenoleaf", "frames", "yucca", "grounds")
MIXED = ("fluorescence", "synthetic")  # whose mixture the chance is brought to
KIN = {"fluorescence": "fluorescence-learned", "yucca": "strap-learned", "phenoleaf": "phenoleaf", "frames": "frames"}
Seen = list[tuple[LeafPrediction, np.ndarray]]


def read_learned(name: str, data: Path) -> list[Pair]:
    """Read images and labels that the weights are fitted on."""
    if name == "scenes":
        found = []
        for item in yaml.safe_load(RECIPE.read_text(encoding="utf-8"))["data"]["scenes"]:
            for _ in range(max(2, round(item["share"] * SCENES))):
                scene = synthesize(FIRST_SEED + 1 + len(found), SceneConfig(**item["scene"]))
                found.append((scene.image, scene.labels))
        return found
    if name == "fluorescence-learned":
        folder = data / "fluorescence" / "images"
        kept = Path("resources/training/fluorescence-kept-aside.txt").read_text(encoding="utf-8").split()
        return read_pairs(folder, tuple(stem for stem in pair_stems(folder) if stem not in kept)[::2])
    if name == "strap-learned":
        folder = data / "strap_leaves" / "images"
        stems = pair_stems(folder)
        kept = [stem for stem in stems if stem.startswith("yucca")][::4]
        return read_pairs(folder, tuple(stem for stem in stems if stem not in kept)[::3])
    return read_set(name, data)


def look(model: str, pairs: list[Pair]) -> Seen:
    """Predict images; what is left out of low confidence by the model's own defaults is there as well."""
    predictor = load_model(model)
    predictions = [(predictor.predict(image), truth) for image, truth in pairs]
    return [(found, truth) for found, truth in predictions if isinstance(found, LeafPrediction)]


def all_leaves(seen: Seen) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Evidence and best Dice of all leaves, those of low confidence included."""
    found: list[dict[str, np.ndarray]] = []
    dice: list[np.ndarray] = []
    for prediction, truth in seen:
        values = prediction.complete({"min_confidence": 0.0})
        for region in prediction.regions:
            labels = region.working_labels(values)
            if labels.any():
                found.append(leaf_evidence(labels, region.maps.distance, region.maps.foreground))
                table = dice_table(labels, region.sample(truth[region.rows, region.columns]))
                dice.append(table.max(1) if table.size else np.zeros(int(labels.max())))
    return {name: np.concatenate([item[name] for item in found]) for name in found[0]}, np.concatenate(dice)


def fit(
    leaves: dict[str, tuple[dict[str, np.ndarray], np.ndarray]], without: str = ""
) -> tuple[ConfidenceWeights, float]:
    """Fit on all sets but one; returns the weights and the least confidence."""
    parts = [item for name, item in leaves.items() if name != without]
    evidence = {name: np.concatenate([part[name] for part, _ in parts]) for name in parts[0][0]}
    counts = np.concatenate([np.full(len(dice), len(dice) ** -0.5) for _, dice in parts])
    weights, behind = fit_confidence(evidence, np.concatenate([dice for _, dice in parts]), counts)
    return weights, round(calibrate(FOUND_LEAST, (1.0, -behind)), 2)


def brought(seen: Seen, weights: ConfidenceWeights, least: float) -> tuple[ConfidenceWeights, float]:
    """Bring the chance to the share of leaves that is right here; the least confidence leaves out the same."""
    sure, right = chances(seen, weights, 0.0)
    curve = fit_calibration(sure, right)
    return weights.calibrated(*curve), round(calibrate(least, curve), 2)


def chances(seen: Seen, weights: ConfidenceWeights, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Chance (N,) and whether right (N,) of all leaves."""
    sure: list[float] = []
    right: list[bool] = []
    for prediction, truth in seen:
        for region in prediction.regions:
            region.model = replace(prediction.model, confidence=weights)
        labels = prediction.labels(min_confidence=least)
        for region in prediction.regions:
            window = labels[region.rows, region.columns]
            found = region.chance(window)
            table = dice_table(window, truth[region.rows, region.columns])
            sure += found.values()
            right += list(table.max(1) > RIGHT) if table.size else [False] * len(found)
    return np.array(sure), np.array(right)


def measure(seen: Seen, weights: ConfidenceWeights, least: float) -> dict[str, float]:
    """Score labels with a least confidence, and how far the confidence is the chance that a leaf is right."""
    sure, right = chances(seen, weights, least)
    scores = [score(prediction.labels(min_confidence=least), truth) for prediction, truth in seen]
    return {
        "SBD": round(float(np.mean([item.sbd for item in scores])), 3),
        "|DiC|": round(float(np.mean([item.abs_dic for item in scores])), 2),
        "error": round(calibration_error(sure, right), 3) if len(sure) else 0.0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--every", type=int, default=1, help="take every so many-th image of a set")
    parser.add_argument("--write", action="store_true", help="put the weights into the model's card")
    add_record_option(parser, "leaf-confidence")
    options = parser.parse_args()
    leaves = {}
    for name in LEARNED:
        leaves[name] = all_leaves(look(options.model, read_learned(name, options.data)[:: options.every]))
        print(name, len(leaves[name][1]), flush=True)
    weights, least = fit(leaves)
    print(weights.model_dump_json(), least, flush=True)
    rows: list[dict[str, object]] = []
    mixed: Seen = []
    for name in MEASURED:
        seen = look(options.model, read_set(name, options.data)[:: options.every])
        mixed += seen if name in MIXED else []
        row: dict[str, object] = {"images": name, "count": len(seen)}
        for words, (its_weights, its_least) in {
            "all leaves": (weights, 0.0),
            f"least confidence {least:g}": (weights, least),
            "without its kind": fit(leaves, KIN.get(name, "")),
        }.items():
            row |= {f"{words}: {key}": value for key, value in measure(seen, its_weights, its_least).items()}
        rows.append(row)
        print(" ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if options.record:
        write_result(options.record, rows)
    if options.write:
        weights, least = brought(mixed, weights, least)
        print(f"written: {write_confidence(find_model(options.model), weights, least)}")


if __name__ == "__main__":
    main()
