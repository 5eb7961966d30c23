"""Where training images come from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from napari_leafseg.errors import UserError
from napari_leafseg.inference.plants import typical_size
from napari_leafseg.models.normalise import standardise
from napari_leafseg.synthetic import synthesize
from napari_leafseg.training.augment import change_colours, random_crop, standardise_plants, true_plants
from napari_leafseg.training.config import DataConfig, TrainingConfig
from napari_leafseg.training.targets import distance_target

Pair = tuple[np.ndarray, np.ndarray]


class TrainingImage(NamedTuple):
    """An image uint8 (H, W, 3), its labels (H, W), and the typical size of its plants in pixels, 0 without plants."""

    image: np.ndarray
    labels: np.ndarray
    plant_size: float


class ImagePool:
    """Training images in one memory-mapped file a kind, filled once and used again after a restart.

    Parameters
    ----------
    folder : pathlib.Path
        Where the pool lies (in the run's folder).
    config : DataConfig
    """

    def __init__(self, folder: Path, config: DataConfig) -> None:
        self.folder, self.config = folder, config
        total = sum(item.share for item in config.scenes)
        self.counts = [max(1, round(config.count * item.share / total)) for item in config.scenes]
        self._maps: list[tuple[np.ndarray, np.ndarray]] = []
        self._own: list[Pair] = []
        self._sizes: dict[int, float] = {}

    def fill(self) -> Iterator[tuple[int, int]]:
        """Draw what is missing; yields (images done, images in all)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        total, done, seed = sum(self.counts), 0, self.config.seed
        for index, (item, count) in enumerate(zip(self.config.scenes, self.counts, strict=True)):
            shape = (count, *item.scene.size)
            images = _open(self.folder / f"images{index}.npy", (*shape, 3), np.uint8)
            labels = _open(self.folder / f"labels{index}.npy", shape, np.uint16)
            marks = _open(self.folder / f"done{index}.npy", (count,), np.uint8)
            for number in range(count):
                if not marks[number]:
                    scene = synthesize(seed + number, item.scene)
                    images[number], labels[number] = scene.image, scene.labels
                    marks[number] = 1
                done += 1
                if done % 20 == 0 or done == total:
                    yield done, total
            seed += count
            self._maps.append((images, labels))
        if self.config.folder:
            self._own = read_pairs(Path(self.config.folder))

    def draw(self, rng: np.random.Generator) -> TrainingImage:
        """One image, its labels and how large its plants are."""
        if self._own and rng.random() < self.config.folder_share:
            number = int(rng.integers(len(self._own)))
            return TrainingImage(*self._own[number], self._size(-1 - number, self._own[number][1]))
        number = rest = int(rng.integers(sum(self.counts)))
        for images, labels in self._maps:
            if rest < len(images):
                return TrainingImage(images[rest], labels[rest], self._size(number, labels[rest]))
            rest -= len(images)
        raise IndexError("the pool is empty: call fill() first")

    def _size(self, key: int, labels: np.ndarray) -> float:
        if key not in self._sizes:
            plants = true_plants(labels)
            self._sizes[key] = typical_size(plants) if plants else 0.0
        return self._sizes[key]


def _open(path: Path, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    if path.exists():
        existing = np.lib.format.open_memmap(path, mode="r+")
        if existing.shape == shape and existing.dtype == dtype:
            return existing
    return np.lib.format.open_memmap(path, mode="w+", shape=shape, dtype=dtype)


def read_pairs(folder: Path) -> list[Pair]:
    """Read ``<stem>.<ending>`` with ``<stem>_label.<ending>`` from one folder, as RGB uint8 and labels.

    Raises
    ------
    UserError
        When there is no such pair.
    """
    from napari_leafseg.io import find_pairs, read_image, read_labels, to_rgb8

    pairs = [(to_rgb8(read_image(image).array), read_labels(label)) for image, label in find_pairs(folder)]
    if not pairs:
        raise UserError(f"{folder} holds no image with a label file beside it (plant.png and plant_label.png).")
    return pairs


def drop_small(labels: np.ndarray, smallest: int) -> np.ndarray:
    """Labels without leaves of fewer than `smallest` pixels."""
    areas = np.bincount(labels.ravel())
    return np.where(areas[labels] >= smallest, labels, 0)


def draw_batch(pool: ImagePool, config: TrainingConfig, step: int) -> dict[str, torch.Tensor]:
    """The batch of a step; the same for the same seed and step, so that a resumed run goes on as it would have.

    Returns
    -------
    dict of torch.Tensor
        ``image`` (N, 3, H, W) float32 standardised, ``labels`` (N, H, W) int64, ``distance`` (N, 1, H, W) float32.
    """
    rng = np.random.default_rng([config.seed, step])
    images, labels, distances = [], [], []
    for _ in range(config.batch):
        drawn = pool.draw(rng)
        as_predicted = rng.random() < config.plant_views and drawn.plant_size > 0
        if as_predicted:
            factor = config.diameter / drawn.plant_size * np.exp(rng.normal(0, config.plant_view_spread))
        else:
            factor = np.exp(rng.uniform(*np.log(config.zoom)))
        image, truth = random_crop(rng, drawn.image, drawn.labels, config.crop, factor, as_predicted)
        image = change_colours(rng, image)
        images.append(standardise_plants(rng, image, truth) if as_predicted else standardise(image))
        truth = drop_small(truth, config.smallest_leaf)
        labels.append(truth)
        distances.append(distance_target(truth))
    return {
        "image": torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2),
        "labels": torch.from_numpy(np.stack(labels).astype(np.int64)),
        "distance": torch.from_numpy(np.stack(distances))[:, None],
    }
