"""Folders in which the commands of a page can be typed as they stand there: small files of the names that it uses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
import yaml

from napari_leafseg.experiment.tray import Tray
from napari_leafseg.io import write_image, write_labels
from napari_leafseg.io.exchange.coco import labels_to_coco
from napari_leafseg.project import Project
from napari_leafseg.synthetic import SceneConfig, synthesize
from tests import cards
from tests.conftest import save_tiny
from tests.markers import Camera
from tests.models.published import published_mask2former
from tests.models.test_pretrained import original, published_file

SMALL = SceneConfig(size=(96, 96), diameter=(60, 80), blank=0.0, border=0.0)
RECIPE = {
    "name": "leaf-small", "model": "tiny", "steps": 2, "batch": 1, "crop": 64,
    "data": {"count": 2, "scenes": [{"share": 1.0, "scene": {"size": [96, 96], "diameter": [60, 80]}}]},
}  # fmt: skip


def plant(path: Path, number: int = 0) -> np.ndarray:
    """Write an image of a plant; returns its labels."""
    scene = synthesize(4_000 + number, SMALL)
    write_image(path, scene.image)
    return scene.labels


def truth(folder: Path, stems: list[str]) -> None:
    """Write true labels of the images that `plant` wrote in this order."""
    for number, stem in enumerate(stems):
        write_labels(folder / f"{stem}_label.tif", synthesize(4_000 + number, SMALL).labels)


def project(folder: Path, corrected: int = 2) -> None:
    """Make a project of corrected images, beside which they lie, and of one that is new."""
    with Project.create(folder) as made:
        paths = [folder.parent / f"{folder.name}_{number}.png" for number in range(corrected + 1)]
        labels = [plant(path, number) for number, path in enumerate(paths)]
        for number, ref in enumerate(made.add_images(paths)):
            if number < corrected:
                document = made.open_document(ref, labels[number].shape)
                document.labels[:] = labels[number]
                made.save(ref, document)
                ref.state = "done"
        made.save_list()


def recipe(path: Path) -> None:
    """Write a training of two steps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(RECIPE))


def challenge(path: Path, subsets: tuple[str, ...] = ("A1", "A4"), labels: bool = True) -> None:
    """Write images, plant masks and leaves as the challenge's HDF5 files hold them."""
    with h5py.File(path, "w") as file:
        for number in range(4):
            scene, name = synthesize(4_000 + number, SMALL), f"{subsets[number % len(subsets)]}/plant00{number}"
            file[f"{name}/rgb"] = np.dstack([scene.image, np.full(scene.labels.shape, 255, np.uint8)])
            file[f"{name}/rgb_filename"] = f"plant00{number}_rgb.png"
            file[f"{name}/fg"] = (scene.labels > 0).astype(np.uint8)
            if labels:
                file[f"{name}/label"] = scene.labels.astype(np.uint8)
                file[f"{name}/label_filename"] = f"plant00{number}_label.png"


def command_line(folder: Path) -> None:
    """Make what docs/command-line.md speaks of."""
    stems = ["plant", "other"]
    for number, stem in enumerate(stems):
        plant(folder / "plants" / f"{stem}.jpg", number)
    plant(folder / "one.jpg", 2)
    truth(folder / "truth", [*stems, "one"])
    for number in range(2):
        plant(folder / "project_or_folder" / f"p{number}.png", number)
    truth(folder / "labels", ["p0", "p1"])
    recipe(folder / "resources/training/leaf-small.yaml")
    project(folder / "project")
    truth(folder / "labels", ["project_0", "project_1"])
    challenge(folder / "CVPPP2017_training_images.h5")


def experiment(folder: Path) -> None:
    """Make what docs/experiments.md speaks of: two days of plants in a tray, with marker and color card."""
    marker = Camera(4.0, shape=(160, 160)).photograph([(0, 0, 5.0, "DICT_4X4_50", 1)], 20.0)
    for day in (1, 2):
        image = cards.scene()
        image[320:480, 20:180] = marker[..., None]
        write_image(folder / f"day{day}/a/p1_2026-05-0{day}.jpg", image)
    corners = ((0.55, 0.6), (0.55, 0.98), (0.98, 0.98), (0.98, 0.6))
    (folder / "tray.json").write_text(json.dumps(Tray(1, 1, corners).as_dict()))
    pd.DataFrame({"plant": ["p1"], "genotype": ["wt"]}).to_csv(folder / "plants.csv", index=False)


def measuring(folder: Path) -> None:
    """Make what docs/measuring.md speaks of."""
    for day in (1, 2):
        plant(folder / f"plants/p1_2026-05-0{day}.png", day)


def training(folder: Path) -> None:
    """Make what docs/training.md speaks of."""
    challenge(folder / "CVPPP2017_training_images.h5")
    challenge(folder / "CVPPP2017_testing_images.h5", ("A5",), labels=False)
    recipe(folder / "resources/training/leaf-small.yaml")
    for place in ("labels", "truth"):
        truth(folder / place, ["plant"])
    labels = synthesize(4_000, SMALL).labels
    content = labels_to_coco([("plant.png", labels)])
    (folder / "annotations.json").write_text(json.dumps(content))
    found = [{**item, "score": 0.9} for item in content["annotations"]]
    (folder / "results.json").write_text(json.dumps(found))
    categories = [{**item, "frequency": "c", "synset": "leaf.n.01"} for item in content["categories"]]
    images = [{**item, "neg_category_ids": [], "not_exhaustive_category_ids": []} for item in content["images"]]
    (folder / "lvis_val.json").write_text(json.dumps({**content, "categories": categories, "images": images}))


def published(folder: Path) -> None:
    """Make what docs/published-models.md speaks of, as far as it lies on this computer."""
    published_mask2former("resnet").save_pretrained(folder / "downloaded")


def query_models(folder: Path) -> None:
    """Make what docs/query-models.md speaks of."""
    torch.save(published_file("condinst", original("condinst")), folder / "CondInst_MS_R_50_1x.pth")
    published_mask2former("resnet").save_pretrained(folder / "facebook-mask2former-swin-tiny-coco-instance")


def adding(folder: Path) -> None:
    """Make what docs/adding-models.md speaks of."""
    shutil.move(save_tiny(folder), folder / "mine.safetensors")


def nothing(_folder: Path) -> None:
    """Make nothing: the page's own commands begin with nothing, or fetch it."""


FOLDERS: dict[str, Callable[[Path], None]] = {
    "adding-models": adding, "command-line": command_line, "data-sets": nothing, "experiments": experiment,
    "measuring": measuring, "published-models": published, "query-models": query_models,
    "training": training, "troubleshooting": nothing, "tutorial": nothing,
}  # fmt: skip
"""By page: what makes the folder."""
