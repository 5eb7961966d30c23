"""Sample plants: how they are made, and how napari opens them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg._files import sample_folder
from napari_leafseg.io import label_path, read_image, write_image, write_labels

SERIES, SERIES_TITLE = "growth", "growth series"
_PLANTS: dict[str, tuple[int, dict[str, Any]]] = {
    "rosette_mesh": (
        107,
        {"size": (480, 480), "diameter": (380, 420), "background": "mesh", "habit": "rosette", "distractors": False},
    ),
    "rosette_soil": (108, {"size": (512, 512), "diameter": (420, 460), "background": "soil", "habit": "rosette"}),
    "seedling": (101, {"size": (128, 128), "diameter": (80, 100), "background": "soil", "habit": "rosette"}),
    "opposite": (109, {"size": (400, 400), "diameter": (320, 360), "background": "felt", "habit": "opposite"}),
    "compound": (100, {"size": (640, 640), "diameter": (380, 440), "background": "paper", "habit": "compound"}),
    "tray": (103, {"size": (720, 960), "diameter": (220, 260), "plants": (6, 6), "background": "soil"}),
}
_SERIES_SEED, _SERIES_DAYS, _SERIES_LEAVES = 318, 6, 8  # none of its leaves is covered as the others grow


def write_samples(folder: Path) -> Iterator[tuple[int, int]]:
    """Draw the sample plants: images as PNG, labels beside them, a growth series in a folder of its own.

    Yields
    ------
    tuple of int
        Files written, files in all.
    """
    from napari_leafseg.synthetic import SceneConfig, growth_series, synthesize

    total = len(_PLANTS) + _SERIES_DAYS
    for number, (name, (seed, options)) in enumerate(_PLANTS.items(), start=1):
        scene = synthesize(seed, SceneConfig(border=0.0, blank=0.0, **options))
        write_image(folder / f"{name}.png", scene.image)
        write_labels(label_path(folder, name), scene.labels)
        yield number, total
    config = SceneConfig(
        size=(360, 360), diameter=(300, 320), background="soil", border=0.0, blank=0.0, distractors=False
    )  # fmt: skip
    for day, scene in enumerate(growth_series(_SERIES_SEED, _SERIES_DAYS, config, _SERIES_LEAVES), start=1):
        write_image(folder / SERIES / f"day{day:02d}.png", scene.image)
        write_labels(label_path(folder / SERIES, f"day{day:02d}"), scene.labels)
        yield len(_PLANTS) + day, total


def sample_images() -> list[Path]:
    """Return the single sample images."""
    return [sample_folder() / f"{name}.png" for name in _PLANTS]


def open_rosette() -> list[tuple[np.ndarray, dict[str, Any], str]]:
    """Return one rosette, for *File ▸ Open Sample*."""
    return _open("rosette_mesh")


def open_tray() -> list[tuple[np.ndarray, dict[str, Any], str]]:
    """Return six plants in view, for *File ▸ Open Sample*."""
    return _open("tray")


def open_compound() -> list[tuple[np.ndarray, dict[str, Any], str]]:
    """Return a plant with compound leaves, for *File ▸ Open Sample*."""
    return _open("compound")


def series_files() -> list[Path]:
    """Return the images of the growth series, day by day."""
    return sorted((sample_folder() / SERIES).glob("day??.png"))


def open_series() -> list[tuple[np.ndarray, dict[str, Any], str]]:
    """Return six days of one plant, for *File ▸ Open Sample*."""
    stack = np.stack([read_image(path).array for path in series_files()])
    return [(stack, {"name": SERIES_TITLE, "rgb": True}, "image")]


def _open(name: str) -> list[tuple[np.ndarray, dict[str, Any], str]]:
    return [(read_image(sample_folder() / f"{name}.png").array, {"name": name, "rgb": True}, "image")]
