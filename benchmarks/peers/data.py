"""The images that every method gets: plants of one size, so that finding their scale plays no part.

Run ``python -m benchmarks.peers.data FOLDER --real FOLDER`` (``images/`` and ``labels/`` of the real frames).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from napari_leafseg.inference.plants import typical_size
from napari_leafseg.io import find_pairs, label_path, read_image, read_labels, to_rgb8, write_image, write_labels
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.training.augment import resize_image, resize_labels, true_plants

DIAMETER = 144
SIDE = 192
SETS = {"train": (1200, 7_000_000), "validation": (40, 7_500_000), "synthetic": (100, 7_600_000)}


def at_working_size(image: np.ndarray, labels: np.ndarray, side: int | None) -> tuple[np.ndarray, np.ndarray] | None:
    """The image with its plants `DIAMETER` pixels wide, cut to a square around the largest; None without a plant."""
    plants = true_plants(labels)
    if not plants:
        return None
    factor = DIAMETER / typical_size(plants)
    shape = (round(labels.shape[0] * factor), round(labels.shape[1] * factor))
    image, labels = resize_image(image, shape), resize_labels(labels, shape)
    if side is None:
        return image, labels
    plant = max(plants, key=lambda item: item.area)
    window = []
    for middle, length in (((plant.top + plant.bottom) / 2, shape[0]), ((plant.left + plant.right) / 2, shape[1])):
        start = int(np.clip(round(middle * factor) - side // 2, 0, max(0, length - side)))
        window.append(slice(start, min(length, start + side)))
    image, labels = image[tuple(window)], labels[tuple(window)]
    missing = [(0, side - length) for length in labels.shape]
    return np.pad(image, [*missing, (0, 0)], mode="reflect"), np.pad(labels, missing)


def write_sets(output: Path, real: Path | None) -> None:
    """Write images and labels side by side, a folder for each set."""
    scene = SceneConfig(size=(256, 256), diameter=(120, 240))
    for name, (count, seed) in SETS.items():
        for number in range(count):
            target = label_path(output / name, f"plant{seed + number}")
            if target.exists():
                continue
            drawn = synthesize(seed + number, scene)
            pair = at_working_size(drawn.image, drawn.labels, SIDE)
            if pair is not None:
                write_image(output / name / f"plant{seed + number}.png", pair[0])
                write_labels(target, pair[1])
    for image, labels in find_pairs(real / "images") if real else ():
        pair = at_working_size(to_rgb8(read_image(image).array), read_labels(labels), None)
        assert pair is not None
        write_image(output / "real" / f"{image.stem}.png", pair[0])
        write_labels(label_path(output / "real", image.stem), pair[1])


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--real", type=Path)
    args = parser.parse_args()
    write_sets(args.folder, args.real)


if __name__ == "__main__":
    main()
