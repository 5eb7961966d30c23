"""How far few corrected images go: fine-tuned, against the same network trained on the same images from scratch.

Run ``python -m benchmarks.learning_curve FOLDER frames [--scratch-steps 600]``: from one frame (three times) and from
two (each held out in turn: `benchmarks.finetune` has these), scored on the frames that were not used. ``… fluorescence
--counts 3 10 30``: from `leaf`, which knows synthetic plants only, to fluorescence images, scored on all the others.
Called again, it goes on.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np

from benchmarks.finetune import corrected_frames, use_folder
from benchmarks.record import add_record_option, write_result
from napari_leafseg import load_model
from napari_leafseg.finetuning import session as engine
from napari_leafseg.finetuning.config import FinetuneSettings
from napari_leafseg.finetuning.dataset import CorrectedImage, CorrectionDataset
from napari_leafseg.io import read_image, read_labels, to_rgb8
from napari_leafseg.metrics import score
from napari_leafseg.models.store.model_card import read_card
from napari_leafseg.models.store.zoo import describe_model
from napari_leafseg.training.config import TrainingConfig
from napari_leafseg.training.data_config import DataConfig
from napari_leafseg.training.loop import train


def sbd_of(model: str | Path, images: list[CorrectedImage]) -> float:
    """Mean SBD of a model on images, with its own defaults."""
    predictor = load_model(str(model))
    return float(np.mean([score(predictor.predict(item.image).labels(), item.labels).sbd for item in images]))


def tuned(name: str, images: list[CorrectedImage], options: argparse.Namespace, models: Path) -> Path:
    """The model that a session makes of `leaf` and some images."""
    path = models / f"{name}.safetensors"
    if not path.exists():
        settings = FinetuneSettings(base="leaf", name=name, steps=options.steps)
        for _ in engine.finetune(settings, images, options.folder / name):
            pass
    return path


def from_scratch(name: str, images: list[CorrectedImage], folder: Path, steps: int) -> Path:
    """The base's network without its weights, trained on the images alone, as fine-tuning draws them."""
    path = folder / name / "scratch.safetensors"
    card = describe_model("leaf")
    config = TrainingConfig(
        name="scratch", model=card.config, target_diameter=card.target_diameter, defaults=card.defaults,
        data=DataConfig(count=1),
        steps=steps, crop=144, batch=FinetuneSettings(name=name).crops, average=0.98, warm_up=20, decay=0.7,
        validation_count=0, save_every=steps,
    )  # fmt: skip
    pool = CorrectionDataset(images, 0.0, 0.3, card.target_diameter)
    for _ in train(config, folder / name, "cpu", pool):
        pass
    return path


def frames_curve(options: argparse.Namespace, models: Path) -> list[dict[str, str | None]]:
    """Score one and two frames, fine-tuned and from scratch."""
    lines: list[dict[str, str | None]] = []
    images = corrected_frames(options.data)
    for count in (1, 2):
        rows: dict[str, list[float]] = {"before": [], "fine-tuned": [], "from scratch": []}
        for chosen in itertools.combinations(range(len(images)), count):
            own = [images[index] for index in chosen]
            others = [images[index] for index in range(len(images)) if index not in chosen]
            name = "frames-" + "-".join(map(str, chosen))
            rows["before"].append(sbd_of("leaf", others))
            rows["from scratch"].append(
                sbd_of(from_scratch(f"scratch-{name}", own, options.folder, options.scratch_steps), others)
            )
            if count == 1:  # with two, the folds of the three frames' session are this
                rows["fine-tuned"].append(sbd_of(tuned(name, own, options, models), others))
            print(count, name, {key: [round(value, 3) for value in found] for key, found in rows.items()}, flush=True)
        means = {
            key: f"{np.mean(found):.3f} ({', '.join(f'{value:.3f}' for value in found)})" if found else None
            for key, found in rows.items()
        }
        lines.append({"corrected frames": str(count)} | means)
        print(lines[-1], flush=True)
    return lines


def fluorescence_curve(options: argparse.Namespace, models: Path) -> list[dict[str, int | float | str]]:
    """Score models of some fluorescence images corrected, scored on all the others."""
    folder = options.data / "fluorescence"
    names = sorted(path.stem for path in (folder / "images").glob("*.png"))
    order = [names[index] for index in np.random.default_rng(0).permutation(len(names))]
    images = []
    for name in order:
        image = to_rgb8(read_image(folder / "images" / f"{name}.png").array, name)
        labels = read_labels(folder / "labels" / f"{name}_label.png").astype(np.int32)
        images.append(CorrectedImage(name, name, image, labels, True))
    rest = [item for item in images[max(options.counts) :] if item.leaves]
    lines: list[dict[str, int | float | str]] = []
    before = sbd_of("leaf", rest)
    print(f"leaf: {before:.3f} on {len(rest)} images", flush=True)
    for count in options.counts:
        path = tuned(f"fluorescence-{count}", images[:count], options, models)
        words = read_card(path).provenance["verdict_in_words"]
        lines.append({"corrected images": count, "SBD of `leaf`": round(before, 3),
                      "SBD, fine-tuned": round(sbd_of(path, rest), 3), "the session's verdict": words})  # fmt: skip
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("what", choices=("frames", "fluorescence"))
    parser.add_argument("--steps", type=int, help="of each run, instead of the quick session's")
    parser.add_argument("--scratch-steps", type=int, default=600)
    parser.add_argument("--counts", type=int, nargs="+", default=[3, 10, 30])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    add_record_option(parser, "learning")
    options = parser.parse_args()
    models = use_folder(options.folder)
    rows = (frames_curve if options.what == "frames" else fluorescence_curve)(options, models)
    if options.record:
        write_result(f"{options.record}-{options.what}", rows)


if __name__ == "__main__":
    main()
