"""Tiny data sets in the original layouts, of synthetic plants: two plants or more, a few images each."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import imageio.v3 as imageio
import numpy as np
import pandas as pd

from napari_leafseg.io.exchange.coco import labels_to_coco
from napari_leafseg.io.exchange.yolo import write_data_yaml, write_yolo
from napari_leafseg.synthetic import SceneConfig, synthesize

SCENE = SceneConfig(size=(96, 96), diameter=(60, 80), blank=0.0, border=0.0)
PALETTE = [(244, 64, 14), (48, 57, 249), (234, 250, 37), (24, 193, 65), (245, 130, 49), (231, 80, 219), (0, 182, 173),
           (115, 0, 218), (191, 239, 69), (255, 250, 200), (250, 190, 212), (66, 212, 244), (155, 99, 36),
           (220, 190, 255), (69, 158, 220), (255, 216, 177), (98, 2, 37), (227, 213, 12), (79, 159, 83)]  # fmt: skip


def plant(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and its labels, 1, 2, …"""
    scene = synthesize(4_000 + number, SCENE)
    return scene.image, np.unique(scene.labels, return_inverse=True)[1].reshape(scene.labels.shape)


def colored(labels: np.ndarray, palette: list[tuple[int, int, int]] = PALETTE) -> np.ndarray:
    """Return labels as colors, black = background."""
    return np.array([(0, 0, 0), *palette], np.uint8)[labels]


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(path, array)


def phenoleaf(root: Path, plants: int = 2, frames: int = 2) -> Path:
    """01_raw_dataset/GENOTYPE/REPLICATE/FRAME.png beside 02_leaf_labels, and the table of colors."""
    folder = root / "leaf_dataset_colour"
    for one in range(plants):
        for frame in range(frames):
            image, labels = plant(10 * one + frame)
            inner = f"Col-{one % 2}/rep_{one:02d}/100008{one}_2022_05_{11 + frame}_12_09_35-{frame}.png"
            save(folder / "01_raw_dataset" / inner, image)
            save(folder / "02_leaf_labels" / inner, colored(labels))
    rows = [{"Leaf": f"Leaf {n}", "R": r, "G": g, "B": b} for n, (r, g, b) in enumerate(PALETTE, start=1)]
    pd.DataFrame(rows).to_excel(folder / "leaves_unique_colours.xlsx", index=False)
    return root


def komatsuna(root: Path, plants: int = 2, days: int = 2) -> Path:
    """multi_plant/rgb_CC_PP_DDD_HH.png beside multi_label, and one rgbd image."""
    for one in range(plants):
        for day in range(days):
            image, labels = plant(10 * one + day)
            save(root / f"multi_plant/rgb_00_{one:02d}_{day:03d}_00.png", image)
            save(root / f"multi_label/label_00_{one:02d}_{day:03d}_00.png", colored(labels))
    image, labels = plant(77)
    save(root / "rgbd_plant/rgb_00_000_00.png", image)
    save(root / "rgbd_label/label_00_000_00.png", colored(labels))
    return root


def msu_pid(root: Path) -> Path:
    """Dataset/Arabidopsis/Images and Labels; plants 1 and 7, of which the protocol trains on the first six."""
    for one in (1, 7):
        for hour in (9, 12):
            image, labels = plant(one + hour)
            name = f"plant_{one}_day_1_hour_{hour}"
            save(root / f"Dataset/Arabidopsis/Images/{name}_rgb.png", image)
            save(root / f"Dataset/Arabidopsis/Images/{name}_fmp.png", image)
            save(root / f"Dataset/Arabidopsis/Images/{name}_depth.png", image[..., 0])
            save(root / f"Dataset/Arabidopsis/Labels/{name}_label_rgb.png", labels.astype(np.uint8))
    save(root / "Dataset/Arabidopsis/Images/plant_1_day_1_hour_10_rgb.png", image)  # only some hours have labels
    return root


def lsc(root: Path) -> Path:
    """A1/plant001_rgb.png, _label.png, _fg.png."""
    for number in range(1, 7):
        image, labels = plant(number)
        start = root / f"A{1 + number % 2}" / f"plant{number:03d}"
        save(start.with_name(f"{start.name}_rgb.png"), image)
        save(start.with_name(f"{start.name}_label.png"), labels.astype(np.uint8))
        save(start.with_name(f"{start.name}_fg.png"), np.uint8(255 * (labels > 0)))
    return root


def lsc_hdf5(root: Path) -> Path:
    """CVPPP2017_training_images.h5 and …_truth.h5."""
    root.mkdir(parents=True, exist_ok=True)
    with (
        h5py.File(root / "CVPPP2017_training_images.h5", "w") as images,
        h5py.File(root / "CVPPP2017_training_truth.h5", "w") as truth,
    ):
        for number in range(1, 4):
            image, labels = plant(number)
            images[f"A1/plant{number:03d}/rgb"] = image
            truth[f"A1/plant{number:03d}/label"] = labels.astype(np.uint8)
    return root / "CVPPP2017_training_images.h5"


def coco(root: Path) -> Path:
    """annotations/instances_train.json and instances_val.json, images in train and val."""
    for part, numbers in (("train", range(3)), ("val", range(3, 5))):
        labeled = {}
        for number in numbers:
            image, labels = plant(number)
            save(root / part / f"p{number}.png", image)
            labeled[f"p{number}.png"] = labels
        path = root / "annotations" / f"instances_{part}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(labels_to_coco(labeled.items())))
    return root


def yolo(root: Path) -> Path:
    """data.yaml, images/train, labels/train and val."""
    root.mkdir(parents=True, exist_ok=True)
    write_data_yaml(root)
    for part, numbers in (("train", range(3)), ("val", range(3, 5))):
        for number in numbers:
            image, labels = plant(number)
            save(root / "images" / part / f"p{number}.png", image)
            (root / "labels" / part).mkdir(parents=True, exist_ok=True)
            write_yolo(root / "labels" / part / f"p{number}.txt", labels)
    return root
