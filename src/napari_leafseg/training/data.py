"""Where training images come from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch

from napari_leafseg._opencv import cv2
from napari_leafseg.errors import InputFileError, ParameterError
from napari_leafseg.inference.plants import Plant, working_scale
from napari_leafseg.models.normalize import standardize
from napari_leafseg.synthetic import synthesize
from napari_leafseg.training.augment import (
    change_colors,
    degrade,
    expose_for_plants,
    random_crop,
    resize_image,
    resize_labels,
    true_plants,
    turn_and_mirror,
)
from napari_leafseg.training.config import TrainingConfig
from napari_leafseg.training.data_config import DataConfig, LabeledFolder, PasteConfig
from napari_leafseg.training.paste import BackgroundBank, LeafBank, paste_leaves, real_background, textured_leaves
from napari_leafseg.training.targets import distance_target

Pair = tuple[np.ndarray, np.ndarray]


class TrainingImage(NamedTuple):
    """An image uint8 (H, W, 3), its labels (H, W), its plants, and a number that only images of one plant share."""

    image: np.ndarray
    labels: np.ndarray
    plants: list[Plant]
    source: int = 0


class SyntheticDataset:
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
        scenes = config.scenes if config.count else ()
        self.counts = [max(1, round(config.count * item.share / total)) for item in scenes]
        self._maps: list[tuple[np.ndarray, np.ndarray]] = []
        self._own: list[_Folder] = []
        self._paster: _Paster | None = None
        self._plants: dict[int, list[Plant]] = {}

    def fill(self) -> Iterator[tuple[int, int]]:
        """Draw what is missing; yields (images done, images in all)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        total, done, seed = sum(self.counts), 0, self.config.seed
        for index, (item, count) in enumerate(zip(self.config.scenes, self.counts, strict=False)):
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
        first = 0
        for source in self.config.folders():
            self._own.append(_Folder(source, first))
            first += len(self._own[-1].pairs)
        if self.config.paste is not None:
            self._paster = _Paster(self.config.paste, [folder.pairs for folder in self._own])

    def sample(self, rng: np.random.Generator) -> TrainingImage:
        """Return one image, its labels and its plants."""
        drawn = self._choose(rng)
        return drawn if self._paster is None else self._paster.paste(rng, drawn)

    def _choose(self, rng: np.random.Generator) -> TrainingImage:
        chance = rng.random() if self._own else 1.0
        for folder in self._own:
            if chance < folder.share or (folder is self._own[-1] and not self.counts):
                number = folder.choose(rng)
                key = -1 - folder.first - number
                image, labels = folder.pairs[number]
                plant = -1 - folder.first - folder.plant[number]
                return TrainingImage(image, labels, self._plants_of(key, labels), plant)
            chance -= folder.share
        number = rest = int(rng.integers(sum(self.counts)))
        for images, labels in self._maps:
            if rest < len(images):
                return TrainingImage(images[rest], labels[rest], self._plants_of(number, labels[rest]), number)
            rest -= len(images)
        raise IndexError("the pool is empty: call fill() first")

    def _plants_of(self, key: int, labels: np.ndarray) -> list[Plant]:
        if key not in self._plants:
            self._plants[key] = true_plants(labels)
        return self._plants[key]


class _Folder:
    """A labeled folder in memory; each plant is drawn equally often."""

    def __init__(self, source: LabeledFolder, first: int) -> None:
        folder = Path(source.folder)
        folder = folder / "images" if (folder / "images").is_dir() else folder
        left_out = set(source.exclude) | _names_in(source.exclude_file)
        stems = tuple(stem for stem in pair_stems(folder, source.stems) if stem not in left_out)
        self.share, self.first = source.share, first
        self.pairs = read_pairs(folder, stems)
        if source.unlabeled != "background":
            mark = unlabeled_vegetation if source.unlabeled == "green" else unlabeled_neighbors
            self.pairs = [(image, mark(image, labels)) for image, labels in self.pairs]
        self.plant = plant_numbers(list(stems), source.same_plant)
        self._of_plant = [np.flatnonzero(np.array(self.plant) == number) for number in range(max(self.plant) + 1)]

    def choose(self, rng: np.random.Generator) -> int:
        """Return the number of an image."""
        images = self._of_plant[int(rng.integers(len(self._of_plant)))]
        return int(images[rng.integers(len(images))])


class _Paster:
    """Puts real leaves, backgrounds and textures into images; their plants, and so their scale, stay."""

    def __init__(self, config: PasteConfig, sources: list[list[Pair]]) -> None:
        self.config = config
        self.leaves, self.backgrounds = LeafBank(*sources), BackgroundBank(*sources)

    def paste(self, rng: np.random.Generator, drawn: TrainingImage) -> TrainingImage:
        image, labels = drawn.image, drawn.labels
        if drawn.source >= 0:
            if rng.random() < self.config.textures:
                image, labels = textured_leaves(rng, image, labels, self.leaves)
            if rng.random() < self.config.backgrounds:
                image, labels = real_background(rng, image, labels, self.backgrounds)
        if rng.random() < self.config.leaves:
            image, labels = paste_leaves(rng, image, labels, self.leaves)
        return drawn._replace(image=image, labels=labels)


def _names_in(path: str | None) -> set[str]:
    if path is None:
        return set()
    try:
        return {line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()}
    except OSError as error:
        raise InputFileError(f"Cannot read the list of images to leave out, {path}: {error.strerror}.") from error


def unlabeled_vegetation(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mark vegetation without a label as not annotated.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (H, W, 3).
    labels : numpy.ndarray
        Integer (H, W).

    Returns
    -------
    numpy.ndarray
        int32 (H, W); -1 where a pixel is greener than gray and has no label, and one pixel around.
    """
    red, green, blue = (image[..., channel].astype(np.int16) for channel in range(3))
    excess = 2 * green - red - blue
    plant = (excess > 0.07 * (red + green + blue)) & (green > 30)
    plant = cv2.morphologyEx(plant.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    plant = cv2.dilate(plant, np.ones((3, 3), np.uint8)) > 0
    return np.where(plant & (labels == 0), -1, labels).astype(np.int32)


def unlabeled_neighbors(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mark what is as bright as the labeled leaves, has no label and touches the border as not annotated.

    For images in which leaves are bright on dark; parameters and result as of `unlabeled_vegetation`.
    """
    if not (labels > 0).any():
        return labels.astype(np.int32)
    bright = image.max(2).astype(np.float32)
    leaf, rest = np.median(bright[labels > 0]), np.median(bright[labels == 0])
    other = ((bright > (leaf + rest) / 2) & (labels == 0)).astype(np.uint8)
    other = cv2.morphologyEx(other, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, pieces = cv2.connectedComponents(other, connectivity=8)
    edge = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    mark = cv2.dilate(np.isin(pieces, edge[edge > 0]).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return np.where(mark & (labels == 0), -1, labels).astype(np.int32)


def _open(path: Path, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    if path.exists():
        existing = np.lib.format.open_memmap(path, mode="r+")
        if existing.shape == shape and existing.dtype == dtype:
            return existing
    return np.lib.format.open_memmap(path, mode="w+", shape=shape, dtype=dtype)


def read_pairs(folder: Path, stems: tuple[str, ...] | None = None) -> list[Pair]:
    """Read ``<stem>.<ending>`` with ``<stem>_label.<ending>`` from one folder, as RGB uint8 and labels.

    Parameters
    ----------
    folder : path
    stems : tuple of str, optional
        Read only these.

    Raises
    ------
    UserError
        When there is no such pair, or one of the stems has none.
    """
    from napari_leafseg.io import find_pairs, read_image, read_labels, to_rgb8

    wanted = set(pair_stems(folder, stems))
    found = [pair for pair in find_pairs(folder) if pair[0].stem in wanted]
    pairs = [(to_rgb8(read_image(image).array), read_labels(label)) for image, label in found]
    if not pairs:
        raise InputFileError(f"{folder} holds no image with a label file beside it (plant.png and plant_label.png).")
    return pairs


def pair_stems(folder: Path, stems: tuple[str, ...] | None = None) -> list[str]:
    """Return names of the images of a folder that have labels, without their endings; see `read_pairs`."""
    from napari_leafseg.io import find_pairs

    found = [image.stem for image, _ in find_pairs(folder)]
    if stems is None:
        return found
    missing = sorted(set(stems) - set(found))
    if missing:
        raise InputFileError(f"{folder} holds no image with labels called {missing[0]}.")
    return [stem for stem in found if stem in set(stems)]


def plant_numbers(stems: list[str], same_plant: str | None) -> list[int]:
    """Return a number for each image; images whose names agree in the expression's first group have the same one.

    Raises
    ------
    UserError
        When it is no regular expression with a group, or an image's name does not fit.
    """
    if same_plant is None:
        return list(range(len(stems)))
    try:
        pattern = re.compile(same_plant)
    except re.error as error:
        raise ParameterError(f"data.same_plant: “{same_plant}” is no regular expression ({error}).") from error
    if pattern.groups < 1:
        raise ParameterError(f"data.same_plant: “{same_plant}” has no group in parentheses that names the plant.")
    numbers: dict[str, int] = {}
    found = []
    for stem in stems:
        match = pattern.search(stem)
        if match is None:
            raise ParameterError(f"data.same_plant: “{same_plant}” does not fit the image {stem}.")
        found.append(numbers.setdefault(str(match.group(1)), len(numbers)))
    return found


class SampleSource(Protocol):
    """Anything that training images are drawn from."""

    def sample(self, rng: np.random.Generator) -> TrainingImage:
        """Return one image, its labels and plants."""


def drop_small(labels: np.ndarray, smallest: int) -> np.ndarray:
    """Return labels without leaves of fewer than `smallest` pixels; what is not annotated (negative) stays so."""
    known = np.maximum(labels, 0)
    areas = np.bincount(known.ravel())
    return np.where((areas[known] >= smallest) | (labels < 0), labels, 0)


def draw_batch(pool: SampleSource, config: TrainingConfig, step: int) -> dict[str, torch.Tensor]:
    """Return the batch of a step; the same for the same seed and step, so that a resumed run goes on as it would have.

    Returns
    -------
    dict of torch.Tensor
        ``image`` (N, 3, H, W) float32 standardized, ``labels`` (N, H, W) int64 (negative = not annotated),
        ``distance`` (N, 1, H, W) float32, ``source`` (N,) int64: what only images of one plant share.
    """
    rng = np.random.default_rng([config.seed, step])
    images, labels, distances, sources = [], [], [], []
    for _ in range(config.batch):
        drawn = pool.sample(rng)
        sources.append(drawn.source)
        image, truth = draw_whole(rng, drawn, config) if config.whole_images else _draw_view(rng, drawn, config)
        images.append(image)
        truth = drop_small(truth, config.smallest_leaf)
        labels.append(truth)
        distances.append(distance_target(truth))
    return {
        "image": torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2),
        "labels": torch.from_numpy(np.stack(labels).astype(np.int64)),
        "distance": torch.from_numpy(np.stack(distances))[:, None],
        "source": torch.tensor(sources),
    }


def draw_whole(rng: np.random.Generator, drawn: TrainingImage, config: TrainingConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return a whole image in a square of `config.crop` pixels, standardized by itself; labels are -1 beside it."""
    source, truth = drawn.image, drawn.labels
    if config.augment:
        source, truth = turn_and_mirror(rng, change_colors(rng, source, config.grays), truth)
    side = config.crop
    factor = side / max(truth.shape)
    height, width = (max(1, round(length * factor)) for length in truth.shape)
    source = resize_image(source, (height, width))
    labels = np.full((side, side), -1, np.int32)
    labels[:height, :width] = resize_labels(truth, (height, width))
    image = np.zeros((side, side, 3), np.float32)
    image[:height, :width] = standardize(source)
    return image, labels


def _draw_view(rng: np.random.Generator, drawn: TrainingImage, config: TrainingConfig) -> tuple[np.ndarray, np.ndarray]:
    """A crop as the network gets it: of a plant, as for its leaves, or of anything, as for the search for plants."""
    image = change_colors(rng, drawn.image, config.grays) if config.augment else drawn.image
    statistics, center = None, None
    if not drawn.plants or rng.random() >= config.plant_views:
        factor = float(np.exp(rng.uniform(*np.log(config.zoom))))
    else:
        leaves = len(np.unique(drawn.labels[drawn.labels > 0]))
        factor = working_scale(drawn.plants, config.target_diameter, config.least_leaf, leaves)
        factor *= float(np.exp(rng.normal(0, config.plant_view_spread)))
        plant = drawn.plants[int(rng.integers(len(drawn.plants)))]
        center = round((plant.top + plant.bottom) / 2), round((plant.left + plant.right) / 2)
        if max(plant.bottom - plant.top, plant.right - plant.left) * factor > 1.3 * config.crop:
            center = None  # larger than a crop: any of its leaves
        elif rng.random() < config.elsewhere:  # what is taken for a plant elsewhere is seen in the plants' light
            center = int(rng.integers(drawn.labels.shape[0])), int(rng.integers(drawn.labels.shape[1]))
        image, statistics = expose_for_plants(rng, image, drawn.labels, drawn.plants)
    image, truth = random_crop(rng, image, drawn.labels, config.crop, factor, center, config.augment, config.aspect)
    if config.augment and config.degrade:
        image = degrade(rng, image, config.degrade)
    return standardize(image, statistics), truth
