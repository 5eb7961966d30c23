"""Training on COCO data sets: images of any shape, classes, masks that overlap, and the published ways to resize."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from napari_leafseg._opencv import cv2
from napari_leafseg.errors import InputFileError, ParameterError
from napari_leafseg.io import read_image, to_rgb8
from napari_leafseg.io.exchange.coco_set import CocoImage, CocoSet, draw_annotation, read_coco_set
from napari_leafseg.models.normalize import standardize
from napari_leafseg.models.query.base import CATEGORY_STEP
from napari_leafseg.models.query.config import QueryConfig
from napari_leafseg.training.augment import change_colors, resize_image
from napari_leafseg.training.config import TrainingConfig
from napari_leafseg.training.data_config import CocoConfig


def load_coco_image(data: CocoSet, image: CocoImage) -> np.ndarray:
    """Read an image of a data set, uint8 (H, W, 3).

    Raises
    ------
    InputFileError
        When it cannot be read, or has another size than the annotations say.
    """
    path = data.image_path(image)
    found = to_rgb8(read_image(path).array, str(path))
    if found.shape[:2] != image.shape:
        raise InputFileError(
            f"{path} has {found.shape[1]} × {found.shape[0]} pixels; {data.path} says {image.shape[1]} × "
            f"{image.shape[0]}. Correct height and width there, or take the image that was annotated."
        )
    return found


def fit_size(shape: tuple[int, int], shorter: int | None, longest: int) -> tuple[int, int]:
    """Return height and width with the shorter side as wanted, but no side longer than `longest` (detectron2)."""
    factor = 1.0 if shorter is None else shorter / min(shape)
    factor = min(factor, longest / max(shape))
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


class CocoImages:
    """A COCO data set to train on.

    Parameters
    ----------
    config : CocoConfig

    Attributes
    ----------
    data : CocoSet
    held_out : CocoSet or None
    class_names : tuple of str
    notes : list of str
        What is not trained on, in sentences.
    """

    def __init__(self, config: CocoConfig) -> None:
        self.config = config
        self.data = read_coco_set(config.annotations, config.images)
        self.held_out = None
        if config.held_out is not None:
            self.held_out = read_coco_set(config.held_out.annotations, config.held_out.images)
            self._check_classes(self.held_out)
        names = tuple(category.name for category in self.data.categories)
        self.class_names = ("object" if len(names) > 1 else names[0],) if config.one_class else names
        if len(self.class_names) >= CATEGORY_STEP:
            raise InputFileError(f"{self.data.path} has more than {CATEGORY_STEP - 1} categories.")
        self.notes: list[str] = []
        whole = [any(not item.crowd for item in image.annotations) for image in self.data.images]
        self.chosen = [place for place, full in enumerate(whole) if full or config.without_annotations]
        if not any(whole):
            raise InputFileError(f"{self.data.path} has no annotation to learn from.")
        if len(self.chosen) < len(whole):
            self.notes.append(
                f"{len(whole) - len(self.chosen):,} images of {self.data.path} have no annotation and are not trained "
                "on (data.coco.without_annotations: true takes them)."
            )

    def _check_classes(self, held: CocoSet) -> None:
        ours, theirs = ({item.name for item in data.categories} for data in (self.data, held))
        if ours != theirs and not self.config.one_class:
            odd = sorted(ours ^ theirs)[0]
            where, other = (held.path, self.data.path) if odd in theirs else (self.data.path, held.path)
            raise InputFileError(f"{where} has a category “{odd}” that {other} lacks. Both must have the same.")

    def category_numbers(self) -> list[int]:
        """Return the held-out set's number of each class that is trained."""
        assert self.held_out is not None
        numbers = {category.name: category.number for category in self.held_out.categories}
        return [next(iter(numbers.values()))] if self.config.one_class else [numbers[name] for name in self.class_names]

    def fitted(self, config: TrainingConfig) -> TrainingConfig:
        """Return a configuration whose network has the data set's classes.

        Raises
        ------
        ParameterError
            When the network knows no classes, or others.
        """
        network = config.network()
        if not isinstance(network, QueryConfig):
            raise ParameterError(
                f"data.coco: a {network.kind} model knows neither classes nor leaves that overlap. "
                "Choose a query-based model, such as model: solov2."
            )
        count = len(self.class_names)
        given = not isinstance(config.model, str) and "classes" in network.model_fields_set
        if given and network.classes != count:
            raise ParameterError(
                f"model.classes is {network.classes}, but {self.data.path} has {count} "
                f"({'one_class' if self.config.one_class else 'categories'}). Leave model.classes out."
            )
        known = network.model_copy(update={"classes": count, "class_names": self.class_names})
        return config.model_copy(update={"model": known})

    def usual_side(self, config: TrainingConfig) -> int:
        """Return the longer side in pixels that the finished model is to see images at."""
        if self.config.jitter is not None:
            return config.crop
        shorter = self.config.sizes[-1] if self.config.sizes else None
        sides = [max(fit_size(image.shape, shorter, self.config.longest)) for image in self.data.images]
        return int(np.median(sides))

    def draw_batch(self, config: TrainingConfig, step: int, stride: int) -> dict[str, torch.Tensor]:
        """Return the batch of a step; the same for the same seed and step. Each image comes once in an epoch.

        Returns
        -------
        dict of torch.Tensor
            ``image`` (N, 3, H, W), padded to the largest and to multiples of `stride`; ``labels`` (N, L, H, W) int64 in
            layers, see `napari_leafseg.models.query.base.gather_instances`; ``source`` (N,).
        """
        rng = np.random.default_rng([config.seed, step])
        drawn = []
        for place in range(step * config.batch, (step + 1) * config.batch):
            epoch, number = divmod(place, len(self.chosen))
            order = np.random.default_rng([config.seed, epoch, 7]).permutation(len(self.chosen))
            chosen = self.chosen[int(order[number])]
            drawn.append((*self._draw(rng, self.data.images[chosen], config), -1 - chosen))
        height, width = (
            -(-max(image.shape[axis] for image, _, _ in drawn) // stride) * stride for axis in (0, 1)
        )  # fmt: skip
        depth = max(len(layers) for _, layers, _ in drawn)
        images = np.zeros((len(drawn), height, width, 3), np.float32)
        labels = np.full((len(drawn), depth, height, width), -1, np.int64)
        for number, (image, layers, _) in enumerate(drawn):
            rows, columns = image.shape[:2]
            images[number, :rows, :columns] = image
            labels[number, :, :rows, :columns] = np.minimum(layers[0], 0)  # background, or not annotated
            labels[number, : len(layers), :rows, :columns] = layers
        return {
            "image": torch.from_numpy(images).permute(0, 3, 1, 2),
            "labels": torch.from_numpy(labels),
            "source": torch.tensor([source for _, _, source in drawn]),
        }

    def _draw(
        self, rng: np.random.Generator, image: CocoImage, config: TrainingConfig
    ) -> tuple[np.ndarray, np.ndarray]:
        """A standardized image, mirrored and resized as published, and its layers."""
        pixels = load_coco_image(self.data, image)
        masks = [draw_annotation(item, image) for item in image.annotations]
        if config.augment:
            pixels = change_colors(rng, pixels, config.grays) if config.grays else pixels
            turns = int(rng.integers(4)) if self.config.turns else 0
            mirror = rng.random() < 0.5
            pixels, *masks = (_turned(plane, turns, mirror) for plane in (pixels, *masks))
        if self.config.jitter is not None:
            pixels, masks, inside = _jittered(rng, pixels, masks, config.crop, self.config.jitter)
        else:
            sizes = self.config.sizes
            shorter = int(sizes[int(rng.integers(len(sizes)))]) if sizes else None
            size = fit_size((pixels.shape[0], pixels.shape[1]), shorter, self.config.longest)
            pixels, masks = resize_image(pixels, size), [_resized(mask, size) for mask in masks]
            inside = np.ones(size, bool)
        numbers, crowds = [], np.zeros(inside.shape, bool)
        for item, mask in zip(image.annotations, masks, strict=True):
            if item.crowd:
                crowds |= mask
            elif np.count_nonzero(mask) >= max(1, config.smallest_leaf):
                numbers.append((0 if self.config.one_class else item.category, mask))
        if len(numbers) >= CATEGORY_STEP:
            raise InputFileError(f"{image.name} has more than {CATEGORY_STEP - 1} annotations.")
        seen = np.zeros((*inside.shape, 3), np.float32)
        seen[inside] = standardize(pixels[inside][:, None])[:, 0]
        return seen, stack_layers(numbers, crowds | ~inside)


def stack_layers(masks: Sequence[tuple[int, np.ndarray]], unknown: np.ndarray) -> np.ndarray:
    """Lay masks on as few layers as keep those apart that overlap.

    Parameters
    ----------
    masks : sequence of (int, numpy.ndarray)
        Class and bool mask (H, W).
    unknown : numpy.ndarray
        bool (H, W), what is not annotated.

    Returns
    -------
    numpy.ndarray
        int64 (L, H, W): a mask's number, from 1, plus its class times `CATEGORY_STEP`; 0, or -1 where unknown.
    """
    layers: list[np.ndarray] = [np.where(unknown, -1, 0).astype(np.int64)]
    for number, (category, mask) in enumerate(masks, start=1):
        layer = next((plane for plane in layers if not (plane[mask] > 0).any()), None)
        if layer is None:
            layer = np.where(unknown, -1, 0).astype(np.int64)
            layers.append(layer)
        layer[mask] = number + CATEGORY_STEP * category
    return np.stack(layers)


def _turned(plane: np.ndarray, turns: int, mirror: bool) -> np.ndarray:
    plane = np.rot90(plane, turns)
    return np.ascontiguousarray(plane[:, ::-1] if mirror else plane)


def _resized(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A bool mask at another size, nearest pixel."""
    small = cv2.resize(mask.astype(np.uint8), (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    return small.astype(bool)


def _jittered(
    rng: np.random.Generator, pixels: np.ndarray, masks: list[np.ndarray], side: int, factors: tuple[float, float]
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Large-scale jitter (Ghiasi et al. 2021): fit into a square, enlarge at random, cut or pad to the square."""
    factor = side / max(pixels.shape[:2]) * rng.uniform(*factors)
    high, wide = (max(1, round(length * factor)) for length in pixels.shape[:2])
    top, left = (int(rng.integers(0, max(0, length - side) + 1)) for length in (high, wide))
    cut = (slice(top, top + side), slice(left, left + side))

    def placed(plane: np.ndarray) -> np.ndarray:
        whole = np.zeros((side, side, *plane.shape[2:]), plane.dtype)
        part = plane[cut]
        whole[: part.shape[0], : part.shape[1]] = part
        return whole

    shown = [placed(_resized(mask, (high, wide))) for mask in masks]
    return placed(resize_image(pixels, (high, wide))), shown, placed(np.ones((high, wide), bool))
