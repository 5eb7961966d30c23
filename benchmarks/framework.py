"""What uniqueness and equivariance bring: each model with neither, either and both; resumable.

Run ``python -m benchmarks.framework FOLDER --fluorescence PAIRS --held NAMES.txt [--models solov2 …] [--steps 200]
[--seeds 3] [--jobs 2]``. All arms of a model see the same data, steps, batches and seeds and begin with the same
backbone, or with their bundled weights (``--start own --rate 4e-4``). With ``--longer`` the first model also has an arm
that trains twice as long without the framework, since equivariance makes a step twice as dear. Trained on rosettes and
fluorescence images; scored on crowded rosettes, on plants of other habits, on the fluorescence images kept aside and on
the three frames; and: how alike the queries of different images are (mean cosine), and on what share of each other's
pixels they answer. SBD is at the score threshold that is best on eight other plants, AP takes every mask.

``--models leaf --arms base equivariance`` is the distance + embedding model, for which the paper has no equivariance.
Further seeds are for the first model alone unless ``--all-seeds``; ``--sweep`` varies the memory's size, the pixels per
instance and the weight of uniqueness for it. Finished runs are kept in FOLDER and not trained again. On a machine with
a graphics card, add ``--device cuda --steps 12000 --crop 176``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.query_models import fluorescence, frames, measure
from benchmarks.record import add_record_option, write_result
from napari_leafseg import load_model
from napari_leafseg.metrics import score
from napari_leafseg.models.query.base import QueryModel
from napari_leafseg.models.store.checkpoint import load_checkpoint
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.training.config import InstanceUniqueConfig, TrainingConfig
from napari_leafseg.training.data import SyntheticDataset, draw_batch
from napari_leafseg.training.data_config import DataConfig, SceneShare
from napari_leafseg.training.loop import train
from napari_leafseg.training.memory_bank import MemoryBank

SINGLE = SceneConfig(size=(288, 288), diameter=(110, 280), habit="rosette")
CROWDED = SceneConfig(size=(288, 288), diameter=(70, 170), plants=(3, 6), blank=0.0, habit="rosette")
OTHERS = [SINGLE.model_copy(update={"habit": "opposite"}), SINGLE.model_copy(update={"habit": "compound"})]
ARMS: dict[str, dict[str, Any] | None] = {
    "base": None,
    "uniqueness": {"equivariance": 0.0},
    "equivariance": {"uniqueness": 0.0},
    "both": {},
}
LONGER = "base, twice the steps"
SWEEP: dict[str, dict[str, Any] | None] = {
    f"memory {images}, {pixels} per leaf": {"equivariance": 0.0, "memory_images": images, "per_instance": pixels}
    for images, pixels in ((8, 16), (128, 16), (32, 4), (32, 64))
} | {
    "weight 5": {"equivariance": 0.0, "uniqueness": 5.0},
    "the paper's memory": {"equivariance": 0.0, "memory_pixels": 100_000, "per_instance": 50},
    "background": {"equivariance": 0.0, "memory_background": True},
    **{f"lambda {weight}": {"weight": weight} for weight in (0.3, 3.0)},
}
REMEDIES: dict[str, dict[str, Any] | None] = {
    "both, uniqueness 0.25": {"uniqueness": 0.25},
    "both, features' agreement": {"features": 1.0},
    "both, augmentation": {"equivariance_form": "augmentation", "features": 1.0, "crop": 1.0},
    "both, free transforms": {"free": 0.5},
}
SETS = ("crowded", "other habits", "fluorescence", "frames")


def config_of(
    options: argparse.Namespace, model: str, arm: dict[str, Any] | None, seed: int, steps: int
) -> TrainingConfig:
    """A run: the bundled recipe, shortened."""
    held = set(options.held.read_text().split())
    names = sorted(path.stem for path in options.fluorescence.glob("*.png") if not path.stem.endswith("_label"))
    scenes = (SceneShare(share=0.7, scene=SINGLE), SceneShare(share=0.3, scene=CROWDED))
    data = DataConfig(
        count=options.count, seed=6_000_000, scenes=scenes, folder=str(options.fluorescence), folder_share=0.35,
        stems=tuple(stem for stem in names if stem not in held),
    )  # fmt: skip
    framework = None if arm is None else InstanceUniqueConfig(warm_up=options.steps // 5, **arm)
    start = model if options.start == "own" else options.start
    return TrainingConfig(
        name=model, model="small" if model == "leaf" else model, init_from=start, data=data, instance_unique=framework,
        seed=seed, steps=steps, batch=8, crop=options.crop, target_diameter=144, zoom=(0.5, 1.2),
        learning_rate=options.rate,
        warm_up=steps // 10, decay=0.6, average=0.98 if steps < 1000 else 0.995, backbone_rate=0.2,
        staged=0.0 if model == "leaf" else 0.8, validation_count=0, save_every=50,
        defaults={} if model == "leaf" else {"score_threshold": 0.3, "mask_threshold": 0.4, "overlap": 1.0},
    )  # fmt: skip


def probe(path: Path, pool: SyntheticDataset, config: TrainingConfig) -> dict[str, float]:
    """Of the positive queries of different images: mean cosine, and on what share of each other's pixels they answer.

    The second is what uniqueness is to lower. nan for a model without queries.
    """
    network, _ = load_checkpoint(path)
    if not isinstance(network, QueryModel):
        return {"likeness": float("nan"), "foreign": float("nan")}
    batch = draw_batch(pool, config, 10**6)
    torch.manual_seed(0)
    with torch.no_grad():
        features = network.encode(batch["image"])
        instances = network.instances(features, batch["labels"])
        matched = network.match(features, instances)
        queries = matched.queries
        memory = MemoryBank(config.batch, 16)
        places = network.places(matched, instances)
        memory.add(features.mask, batch["labels"], torch.arange(config.batch), places)
        kept = memory.sample()
        assert kept is not None
        pixels, relative, keys = kept
        answers = network.retrieve_pixels(queries, pixels, relative) > 0
    foreign = queries.image[:, None] != keys[None]
    weights = torch.nn.functional.normalize(queries.weights.float(), dim=1)
    apart = queries.image[:, None] != queries.image[None]
    return {
        "likeness": float((weights @ weights.T)[apart].mean()),
        "foreign": float(answers[foreign].float().mean()),
    }


def filled_pool(folder: Path, data: DataConfig) -> SyntheticDataset:
    """The training plants, drawn once for all arms."""
    pool = SyntheticDataset(folder / "pool", data)
    for _ in pool.fill():
        pass
    return pool


def run(options: argparse.Namespace, model: str, name: str, arm: dict[str, Any] | None, seed: int) -> dict[str, Any]:
    """Train one arm, or go on with it, and score it."""
    torch.set_num_threads(options.threads)
    folder = options.folder / f"{model} {name} {seed}"
    result = folder / "result.json"
    folder.mkdir(parents=True, exist_ok=True)
    config = config_of(options, model, arm, seed, options.steps * (2 if name == LONGER else 1))
    pool = filled_pool(options.folder, config.data)
    path = folder / f"{model}.safetensors"
    if result.exists():
        return {**json.loads(result.read_text()), **probe(path, pool, config)}
    start = time.perf_counter()
    for _ in train(config, folder, options.device, pool):
        pass
    seconds = time.perf_counter() - start
    cuda = options.device.startswith("cuda")
    peak = torch.cuda.max_memory_allocated() if cuda else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    few = range(options.plants)
    scenes = {
        "crowded": (synthesize(640_000 + k, CROWDED) for k in few),
        "other habits": (synthesize(650_000 + k, OTHERS[k % 2]) for k in few),
    }
    pairs = {where: ((scene.image, scene.labels) for scene in drawn) for where, drawn in scenes.items()}
    pairs["fluorescence"] = fluorescence(options.data, options.held.read_text().split())
    pairs["frames"] = frames(options.data)
    values = {} if model == "leaf" else {"score_threshold": best_threshold(path)}
    found = {
        "model": model, "arm": name, "seed": seed, "seconds": seconds, "memory": peak, "values": values,
        **{where: measure(str(path), pairs[where], **values) for where in SETS},
        **probe(path, pool, config),
    }  # fmt: skip
    result.write_text(json.dumps(found, indent=1))
    (folder / "state.pt").unlink(missing_ok=True)
    return found


def best_threshold(path: Path) -> float:
    """The score threshold that gives the best SBD on plants for nothing else."""
    predictor = load_model(str(path))
    drawn = [synthesize(660_000 + number, SINGLE) for number in range(8)]
    seen = [(predictor.predict(scene.image), scene.labels) for scene in drawn if scene.labels.any()]
    thresholds = [round(0.1 + 0.05 * step, 2) for step in range(9)]
    scores = [
        np.mean([score(kept.labels(score_threshold=value), truth).sbd for kept, truth in seen]) for value in thresholds
    ]
    return thresholds[int(np.argmax(scores))]


def cell(values: list[float], places: int = 3) -> str:
    """Mean, ± spread over seeds."""
    spread = f" ± {np.std(values, ddof=1):.{places}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{places}f}{spread}"


def tables(results: list[dict[str, Any]]) -> str:
    """Mean ± spread over seeds, as Markdown; one table for each set of images, one of what it costs."""
    lines, groups = [], grouped(results)
    for where in SETS:
        keys = ("ap", "ap50", "ap75", "small", "medium", "large", "sbd", "abs_dic")
        lines += [f"\n**{where}**\n", "| model | arm | AP | AP50 | AP75 | AP_S | AP_M | AP_L | SBD | DiC |"]
        lines.append("|---" * 10 + "|")
        for (model, arm), own in groups.items():
            lines.append(
                f"| {model} | {arm} | {' | '.join(cell([item[where][key] for item in own]) for key in keys)} |"
            )
    lines += ["\n**cost and queries**\n", "| model | arm | likeness | foreign | time | memory |", "|---" * 6 + "|"]
    for (model, arm), own in groups.items():
        bases = groups.get((model, "base"), own)
        ratios = [np.mean([x[key] for x in own]) / np.mean([x[key] for x in bases]) for key in ("seconds", "memory")]
        probed = [cell([item[key] for item in own]) for key in ("likeness", "foreign")]
        lines.append(f"| {model} | {arm} | {' | '.join(probed)} | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    return "\n".join(lines)


def grouped(results: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Bring the seeds of each model and arm together."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for item in sorted(results, key=lambda item: item["seed"]):
        groups.setdefault((item["model"], item["arm"]), []).append(item)
    return groups


def recorded(results: list[dict[str, Any]]) -> dict[str, list[dict[str, str]]]:
    """Bring the figures into two tables: fluorescence, and all others with what the training costs; AP in percent."""
    groups, tables = grouped(results), {"fluorescence": [], "others": []}
    percent = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "small": "AP small", "medium": "AP medium"}

    def figures(own: list[dict[str, Any]], where: str, keys: dict[str, str]) -> dict[str, str]:
        scaled = {key: [item[where][key] * (100 if key in percent else 1) for item in own] for key in keys}
        return {title: cell(scaled[key], 1 if key in percent else 3) for key, title in keys.items()}

    for (model, arm), own in groups.items():
        head = {"model": model, "arm": arm}
        tables["fluorescence"].append(head | figures(own, "fluorescence", percent | {"sbd": "SBD", "abs_dic": "|DiC|"}))
        bases = groups.get((model, "base"), own)
        ratios = {
            name: f"{np.mean([item[key] for item in own]) / np.mean([item[key] for item in bases]):.2f}"
            for key, name in (("seconds", "time"), ("memory", "memory"))
        }
        others = {
            f"{where}: {title}": value
            for where in SETS
            if where != "fluorescence"
            for title, value in figures(own, where, {"ap": "AP", "sbd": "SBD"}).items()
        }
        probed = {
            key: cell([item[key] for item in own], 2 if key == "likeness" else 3) for key in ("likeness", "foreign")
        }
        tables["others"].append(head | others | probed | ratios)
    return tables


def wanted(options: argparse.Namespace) -> list[tuple[str, str, dict[str, Any] | None, int]]:
    """All runs: every model once before any seed is repeated."""
    first = options.models[0]
    arms = [(name, ARMS[name]) for name in options.arms]
    runs = [(model, name, arm, 0) for model in options.models for name, arm in arms]
    again = options.models if options.all_seeds else [first]
    runs += [(model, name, arm, seed) for seed in range(1, options.seeds) for model in again for name, arm in arms]
    if options.longer:
        runs += [(first, LONGER, None, seed) for seed in range(options.seeds)]
    if options.sweep:
        runs += [(first, name, arm, 0) for name, arm in SWEEP.items()]
    if options.remedies:
        runs += [(model, name, arm, 0) for model in options.models for name, arm in REMEDIES.items()]
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fluorescence", type=Path, required=True, help="folder of NAME.png with NAME_label.png")
    parser.add_argument("--held", type=Path, required=True, help="names kept aside, one a line")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", nargs="+", default=["solov2", "condinst", "sotr", "mask2former"])
    parser.add_argument("--start", default="leaf-small", help="a model; “own”: each model's bundled weights")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--longer", action="store_true", help="also the first model's base for twice the steps")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--count", type=int, default=1500, help="training plants that are drawn")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--all-seeds", action="store_true", help="of every model, not of the first alone")
    parser.add_argument("--plants", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="of each run")
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--remedies", action="store_true", help="for models that gain nothing")
    add_record_option(parser, "framework")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print(f"{options.steps} steps of 8 x {options.crop} x {options.crop}, {options.plants} plants a set", flush=True)
    filled_pool(options.folder, config_of(options, options.models[0], None, 0, options.steps).data)
    context = multiprocessing.get_context("spawn")  # a process for each run: its peak of memory is its own
    results = []
    with ProcessPoolExecutor(options.jobs, context, max_tasks_per_child=1) as pool:
        for done in as_completed([pool.submit(run, options, *item) for item in wanted(options)]):
            results.append(done.result())
            print(tables(results), flush=True)
    if options.record:
        for where, rows in recorded(results).items():
            write_result(f"{options.record}-{where}", rows)


if __name__ == "__main__":
    main()
