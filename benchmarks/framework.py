"""What uniqueness and equivariance bring: each model with neither, either and both; resumable.

Run ``python -m benchmarks.framework FOLDER --fluorescence PAIRS --held NAMES.txt [--models solov2 …] [--steps 600]
[--seeds 3]``. All arms of a model see the same data, steps, batches and seeds and begin with the same backbone. Scored
on crowded synthetic plants, on the fluorescence images kept aside and on the three frames, and: how alike the queries
of different images are (mean cosine). Finished runs are kept in FOLDER and not trained again; ``--sweep`` also varies
the memory's size and the pixels per instance for the first model. On a machine with a graphics card, add ``--device
cuda --steps 12000``.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch

from benchmarks.query_models import FRAMES, fluorescence, frames, measure
from napari_leafseg.models.checkpoint import load_checkpoint
from napari_leafseg.models.query import QueryModel
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.training.config import DataConfig, FrameworkConfig, SceneShare, TrainingConfig
from napari_leafseg.training.data import ImagePool, draw_batch
from napari_leafseg.training.loop import train

CROWDED = SceneConfig(size=(288, 288), diameter=(70, 170), plants=(3, 6), blank=0.0)
ARMS: dict[str, FrameworkConfig | None] = {
    "base": None,
    "uniqueness": FrameworkConfig(equivariance=0.0),
    "equivariance": FrameworkConfig(uniqueness=0.0),
    "both": FrameworkConfig(),
}
SWEEP = {
    f"memory {images}, {pixels} per leaf": FrameworkConfig(equivariance=0.0, memory_images=images, per_instance=pixels)
    for images, pixels in product((8, 32, 128), (4, 16, 64))
}


def config_of(
    model: str, arm: FrameworkConfig | None, seed: int, steps: int, start: str, folder: str, stems: tuple[str, ...]
) -> TrainingConfig:
    """A run: the bundled recipe, shortened."""
    scenes = (
        SceneShare(share=0.7, scene=SceneConfig(size=(288, 288), diameter=(110, 280))),
        SceneShare(share=0.3, scene=CROWDED),
    )
    data = DataConfig(count=1500, seed=6_000_000, scenes=scenes, folder=folder, folder_share=0.35, stems=stems)
    return TrainingConfig(
        name=model, model=model, begin_with=start, data=data, framework=arm, seed=seed, steps=steps, batch=8, crop=176,
        diameter=144, zoom=(0.5, 1.2), learning_rate=1e-3, warm_up=60, decay=0.6, average=0.995, staged=0.8,
        backbone_rate=0.2, validation_count=0, save_every=50,
        defaults={"score_threshold": 0.3, "mask_threshold": 0.4, "overlap": 1.0},
    )  # fmt: skip


def query_likeness(path: Path, pool: ImagePool, config: TrainingConfig) -> float:
    """Mean cosine between positive queries of different images: what uniqueness is to lower."""
    from napari_leafseg.models.query import gather_instances

    network, _ = load_checkpoint(path)
    assert isinstance(network, QueryModel)
    batch = draw_batch(pool, config, 10**6)
    with torch.no_grad():
        features = network.encode(batch["image"])
        labels = batch["labels"]
        matched = network.match(features, gather_instances(labels, labels.shape[-1] // network.mask_size(features)[1]))
    weights = torch.nn.functional.normalize(matched.queries.weights.float(), dim=1)
    apart = matched.queries.image[:, None] != matched.queries.image[None]
    return float((weights @ weights.T)[apart].mean())


def run(
    options: argparse.Namespace, model: str, name: str, arm: FrameworkConfig | None, seed: int
) -> dict[str, object]:
    """Train one arm, or go on with it, and score it."""
    held = options.held.read_text().split()
    names = sorted(path.stem for path in options.fluorescence.glob("*.png") if not path.stem.endswith("_label"))
    stems = tuple(stem for stem in names if stem not in set(held))
    config = config_of(model, arm, seed, options.steps, options.start, str(options.fluorescence), stems)
    folder = options.folder / f"{model} {name} {seed}"
    result = folder / "result.json"
    if result.exists():
        return dict(json.loads(result.read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    shared = options.folder / "pool"
    shared.mkdir(exist_ok=True)
    if not (folder / "pool").exists():
        (folder / "pool").symlink_to(shared.resolve())
    pool = ImagePool(folder / "pool", config.data)
    for _ in pool.fill():  # drawn once for all arms, and not counted
        pass
    start = time.perf_counter()
    for _ in train(config, folder, options.device):
        pass
    seconds = time.perf_counter() - start
    path = folder / f"{model}.safetensors"
    crowded = (
        (scene.image, scene.labels) for scene in (synthesize(640_000 + k, CROWDED) for k in range(options.plants))
    )
    found = {
        "model": model, "arm": name, "seed": seed, "seconds": seconds,
        "crowded": measure(str(path), crowded),
        "fluorescence": measure(str(path), fluorescence(options.data, held)),
        "frames": measure(str(path), frames(options.data)),
        "likeness": query_likeness(path, pool, config),
    }  # fmt: skip
    result.write_text(json.dumps(found, indent=1))
    return found


def table(results: list[dict[str, object]]) -> str:
    """Mean ± spread over seeds, as Markdown."""
    lines = [
        "| model | arm | crowded AP | AP50 | SBD | fluorescence AP | AP50 | SBD | frames SBD | likeness | time |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for model in dict.fromkeys(str(item["model"]) for item in results):
        base = [item["seconds"] for item in results if item["model"] == model and item["arm"] == "base"]
        for arm in dict.fromkeys(str(item["arm"]) for item in results if item["model"] == model):
            own = [item for item in results if item["model"] == model and item["arm"] == arm]
            cells = []
            for where, key in (
                ("crowded", "ap"), ("crowded", "ap50"), ("crowded", "sbd"), ("fluorescence", "ap"),
                ("fluorescence", "ap50"), ("fluorescence", "sbd"), ("frames", "sbd"),
            ):  # fmt: skip
                values = [item[where][key] for item in own]  # type: ignore[index]
                spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
                cells.append(f"{np.mean(values):.3f}{spread}")
            cells.append(f"{np.mean([float(item['likeness']) for item in own]):.2f}")  # type: ignore[arg-type]
            cells.append(f"{np.mean([item['seconds'] for item in own]) / np.mean(base):.2f}" if base else "–")
            lines.append(f"| {model} | {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fluorescence", type=Path, required=True, help="folder of NAME.png with NAME_label.png")
    parser.add_argument("--held", type=Path, required=True, help="names kept aside, one a line")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", nargs="+", default=["solov2", "condinst", "sotr", "mask2former"])
    parser.add_argument("--start", default="leaf")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--plants", type=int, default=40)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sweep", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print(f"{len(FRAMES)} frames, {options.plants} crowded plants, {options.steps} steps", flush=True)
    results = []
    for seed, model, (name, arm) in product(range(options.seeds), options.models, ARMS.items()):
        results.append(run(options, model, name, arm, seed))
        print(table(results), flush=True)
    if options.sweep:
        swept = [run(options, options.models[0], name, arm, 0) for name, arm in SWEEP.items()]
        print(table(swept), flush=True)


if __name__ == "__main__":
    main()
