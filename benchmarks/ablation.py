"""The paper's ablation: concatenation, dimensions of the embedding, local or global loss, angle, seed threshold.

Run ``python -m benchmarks.ablation RUNS [--fluorescence FOLDER] [--steps N] [--jobs N]``; called again, it goes on.
``--report`` only writes the table and the plots of what is finished.

Every arm has the same images, steps, seeds and batches. It is trained and scored on synthetic plants, and on real
labeled fluorescence images (``images/NAME.png``, ``labels/NAME_label.png``), whose folds keep the images of one plant
together: seed k is scored on fold k. Images are scored at the scale of their true plants, so that the search for
plants plays no part.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.record import add_record_option, write_result
from napari_leafseg._files import write_atomically

SEED_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
ANGLES = (15, 30, 45, 60, 75)
AT = (0.4, 60)
SEEDS = 3
FOLDS = 5
TESTED = 60
ARMS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "cascaded, E = 8, local": ({}, {}),
    "without concatenation": ({"layout": "parallel"}, {}),
    "one encoder, two decoders": ({"layout": "shared"}, {}),
    "E = 4": ({"embedding": 4}, {}),
    "E = 16": ({"embedding": 16}, {}),
    "E = 32": ({"embedding": 32}, {}),
    "E = 64": ({"embedding": 64}, {}),
    "global": ({}, {"neighbors": "global"}),
}
DATA = ("synthetic", "fluorescence")
Pair = tuple[np.ndarray, np.ndarray]


def plant_folds(folder: Path) -> list[list[str]]:
    """Names of the labeled images in five folds; images of one plant share a fold."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in sorted((folder / "images").glob("*.png")):
        plant = re.search(r"tray\d+_plant\d+", path.stem)
        groups[plant[0] if plant else path.stem].append(path.stem)
    folds: list[list[str]] = [[] for _ in range(FOLDS)]
    for number, plant_name in enumerate(sorted(groups)):
        folds[number % FOLDS].extend(groups[plant_name])
    return folds


def labeled_folder(source: Path, target: Path) -> Path:
    """Images and labels side by side, as training reads them."""
    target.mkdir(parents=True, exist_ok=True)
    for path in [*(source / "images").glob("*.png"), *(source / "labels").glob("*.png")]:
        link = target / path.name
        if not link.exists():
            link.symlink_to(path.resolve())
    return target


def run_name(arm: str, data: str, seed: int) -> str:
    """Folder of a run."""
    return re.sub(r"[^a-z0-9]+", "-", f"{data} {arm} {seed}".lower())


def run(task: tuple[str, str, int, Path, Path | None, int]) -> str:
    """Train one arm on one data set with one seed, sweep it on the test images, write ``result.json``."""
    import torch

    from napari_leafseg.training.loop import train

    torch.set_num_threads(1)
    arm, data, seed, output, fluorescence, steps = task
    folder = output / run_name(arm, data, seed)
    result = folder / "result.json"
    if result.exists() and json.loads(result.read_text())["steps"] == steps:
        return f"{folder.name}: done before"
    config, tested = _configuration(arm, data, seed, output, fluorescence, steps)
    folder.mkdir(parents=True, exist_ok=True)
    if data == "synthetic" and not (folder / "pool").exists():
        (folder / "pool").symlink_to((output / "pool").resolve())
    began = time.perf_counter()
    for _ in train(config, folder):
        pass
    seconds = time.perf_counter() - began
    sbd, count = _sweep(folder / f"{config.name}.safetensors", tested)
    entry = {"arm": arm, "data": data, "seed": seed, "steps": steps, "seconds": round(seconds), "images": len(tested),
             "sbd": sbd.tolist(), "abs_dic": count.tolist()}  # fmt: skip
    write_atomically(result, json.dumps(entry).encode())
    (folder / "state.pt").unlink()
    here = SEED_THRESHOLDS.index(AT[0]), ANGLES.index(AT[1])
    return f"{folder.name}: SBD {sbd[here]:.3f}, |DiC| {count[here]:.2f}, {seconds:.0f} s"


def _configuration(arm, data, seed, output, fluorescence, steps):
    from napari_leafseg.models.distance_embedding.config import DistanceEmbeddingConfig, UNetConfig
    from napari_leafseg.synthetic import SceneConfig, synthesize
    from napari_leafseg.training.config import LossConfig, TrainingConfig
    from napari_leafseg.training.data import read_pairs
    from napari_leafseg.training.data_config import DataConfig, SceneShare

    network, loss = ARMS[arm]
    scene = SceneConfig(size=(160, 160), diameter=(80, 150))
    source = DataConfig(count=1500, seed=3_000_000, scenes=(SceneShare(share=1, scene=scene),))
    if data == "synthetic":
        scenes = (synthesize(3_900_000 + number, scene) for number in range(2 * TESTED))
        tested = [(item.image, item.labels) for item in scenes if item.labels.any()][:TESTED]
    else:
        folder = labeled_folder(fluorescence, output / "fluorescence")
        folds = plant_folds(fluorescence)
        learned = tuple(name for number, fold in enumerate(folds) if number != seed for name in fold)
        source = DataConfig(count=0, folder=str(folder), stems=learned)
        tested = read_pairs(folder, tuple(folds[seed]))
    config = TrainingConfig(
        name="ablation",
        model=DistanceEmbeddingConfig(unet=UNetConfig(filters=8), **network),
        loss=LossConfig(distance=20.0, **loss),
        data=source,
        target_diameter=88.0,
        crop=96,
        batch=8,
        steps=steps,
        seed=seed,
        validation_count=0,
        save_every=100,
    )
    return config, tested


def _sweep(checkpoint: Path, tested: list[Pair]) -> tuple[np.ndarray, np.ndarray]:
    """Mean SBD and |DiC| for every seed threshold and angle, at the working scale of the true plants."""
    import torch

    from napari_leafseg.inference.distance_embedding_runner import DistanceEmbeddingRunner
    from napari_leafseg.inference.leaf_prediction import FOREGROUND
    from napari_leafseg.inference.plants import plant_statistics, typical_size
    from napari_leafseg.metrics import score
    from napari_leafseg.models.store.checkpoint import load_checkpoint
    from napari_leafseg.postprocessing import AngularGrouping
    from napari_leafseg.training.augment import resize_image, resize_labels, true_plants

    network, card = load_checkpoint(checkpoint)
    tiled = DistanceEmbeddingRunner(network, torch.device("cpu"), print, 1)
    sbd = np.zeros((len(tested), len(SEED_THRESHOLDS), len(ANGLES)))
    count = np.zeros_like(sbd)
    for number, (image, truth) in enumerate(tested):
        plants = true_plants(truth)
        factor = card.target_diameter / typical_size(plants) if plants else 1.0
        shape = (round(truth.shape[0] * factor), round(truth.shape[1] * factor))
        everywhere = (slice(0, truth.shape[0]), slice(0, truth.shape[1]))
        maps = tiled.maps(resize_image(image, shape), plant_statistics(image, plants, everywhere))
        grouping = AngularGrouping(maps.distance, maps.foreground >= FOREGROUND, maps.embedding)
        wanted = resize_labels(truth, shape)
        for row, threshold in enumerate(SEED_THRESHOLDS):
            for column, angle in enumerate(ANGLES):
                result = score(grouping.labels(threshold, angle, 16), wanted)
                sbd[number, row, column], count[number, row, column] = result.sbd, result.abs_dic
    return sbd.mean(0), count.mean(0)


def results(output: Path) -> Iterator[dict]:
    """What is finished."""
    for path in sorted(output.glob("*/result.json")):
        yield json.loads(path.read_text())


def table(output: Path) -> list[dict[str, str | None]]:
    """Mean ± standard deviation over the seeds, a row for each arm."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    here = SEED_THRESHOLDS.index(AT[0]), ANGLES.index(AT[1])
    for item in results(output):
        found[item["arm"], item["data"]].append((np.array(item["sbd"])[here], np.array(item["abs_dic"])[here]))
    rows = []
    for arm in ARMS:
        if not any((arm, data) in found for data in DATA):
            continue
        row: dict[str, str | None] = {"arm": arm}
        for data in DATA:
            values = np.array(found.get((arm, data), [])).reshape(-1, 2)
            for column, title in enumerate(("SBD", "|DiC|")):
                spread = f" ± {values[:, column].std(ddof=1):.3f}" if len(values) > 1 else ""
                row[f"{data}: {title}"] = f"{values[:, column].mean():.3f}{spread}" if len(values) else None
        rows.append(row)
    return rows


def plot(output: Path, path: Path) -> None:
    """SBD against angle and against seed threshold, a line for each arm, bars for the spread over the seeds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    found: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    for item in results(output):
        found[item["data"], item["arm"]].append(np.array(item["sbd"]))
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), sharey="row", layout="constrained")
    row_at, column_at = SEED_THRESHOLDS.index(AT[0]), ANGLES.index(AT[1])
    for row, data in enumerate(DATA):
        for number, arm in enumerate(ARMS):
            values = np.array(found.get((data, arm), []))
            if not len(values):
                continue
            for axis, x, y in (
                (axes[row, 0], ANGLES, values[:, row_at, :]),
                (axes[row, 1], SEED_THRESHOLDS, values[:, :, column_at]),
            ):
                axis.errorbar(
                    x, y.mean(0), y.std(0, ddof=1) if len(y) > 1 else None, label=arm, capsize=2, color=f"C{number}"
                )
        axes[row, 0].set(title=data, xlabel=f"clustering angle (°), seed threshold {AT[0]}", ylabel="SBD")
        axes[row, 1].set(title=data, xlabel=f"seed threshold, angle {AT[1]}°")
    axes[0, 1].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Train what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--fluorescence", type=Path)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--arms", nargs="*", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--plot", type=Path, default=Path("docs/images/ablation.png"))
    parser.add_argument("--report", action="store_true")
    add_record_option(parser, "ablation")
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    if not args.report:
        from napari_leafseg.training.data import SyntheticDataset

        config, _ = _configuration(next(iter(ARMS)), "synthetic", 0, args.runs, None, 1)
        for _ in SyntheticDataset(args.runs / "pool", config.data).fill():
            pass
        kinds = DATA if args.fluorescence else DATA[:1]
        tasks = [
            (arm, data, seed, args.runs, args.fluorescence, args.steps)
            for seed in range(args.seeds)
            for arm in args.arms
            for data in kinds
        ]
        with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
            for line in pool.imap(run, tasks):
                print(line, flush=True)
    rows = table(args.runs)
    print(*rows, sep="\n")
    if args.record:
        write_result(args.record, rows)
    plot(args.runs, args.plot)


if __name__ == "__main__":
    main()
