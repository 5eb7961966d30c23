"""What a person corrected, as training images: whole images, or only the leaves that were verified."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.inference.plants import Plant, typical_size
from napari_leafseg.io import read_image, to_rgb8
from napari_leafseg.project import Project
from napari_leafseg.synthetic import SceneConfig, synthesize
from napari_leafseg.training.augment import resize_image, resize_labels, true_plants
from napari_leafseg.training.data import TrainingImage

_RING = 4  # pixels around a verified leaf whose background is verified with it
_SCENE = SceneConfig(size=(288, 288), diameter=(110, 280))
_FIRST_SEED = 7_000_000


@dataclass(frozen=True)
class CorrectedImage:
    """An image, or a frame of a series, with what is known of its leaves.

    Attributes
    ----------
    name : str
    sha256 : str
        Of the image's file.
    image : numpy.ndarray
        uint8 (H, W, 3).
    labels : numpy.ndarray
        int32 (H, W), -1 where nobody said what it is.
    complete : bool
        Everything in it was reviewed.
    """

    name: str
    sha256: str
    image: np.ndarray
    labels: np.ndarray
    complete: bool

    @property
    def leaves(self) -> int:
        """Leaves to learn from."""
        return int(np.count_nonzero(np.bincount(np.maximum(self.labels, 0).ravel())[1:]))


def partial_labels(labels: np.ndarray, verified: Iterable[int]) -> np.ndarray:
    """Return labels of an image of which only some leaves were verified; -1 elsewhere.

    To verify a leaf is to verify its outline: background close around it is known as well. Other leaves are neither
    leaf nor background.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (H, W).
    verified : iterable of int

    Returns
    -------
    numpy.ndarray
        int32 (H, W).
    """
    inside = np.isin(labels, list(verified)) & (labels > 0)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _RING + 1, 2 * _RING + 1))
    around = cv2.dilate(inside.astype(np.uint8), disc) > 0
    return np.where(inside, labels, np.where(around & (labels == 0), 0, -1)).astype(np.int32)


def load_corrections(project: Project) -> tuple[list[CorrectedImage], list[str]]:
    """Load what a project holds to learn from, and tell what is left out and why.

    Returns
    -------
    images : list of CorrectedImage
    notes : list of str
        A sentence for each image that cannot be used: missing, or not the image that was corrected.
    """
    images: list[CorrectedImage] = []
    notes: list[str] = []
    for ref in project.images:
        if ref.state == "new":
            continue
        path = project.path_of(ref)
        if not path.exists():
            notes.append(f"{path} is missing. Link it again in the project's menu; it is left out.")
            continue
        loaded = read_image(path, project.read_options)
        if ref.sha256 and loaded.sha256 and ref.sha256 != loaded.sha256:
            notes.append(f"{path} was changed since it was corrected; it is left out.")
            continue
        array = loaded.array
        series = array.ndim == 4
        document = project.read_latest(ref, array.shape[:3] if series else array.shape[:2])
        for frame in range(len(array) if series else 1):
            plane = document.labels[frame] if series else document.labels
            verified = document.locked(frame)
            whole = ref.state == "done"
            if not whole and not verified:
                continue
            name = f"{ref.id}, frame {frame}" if series else ref.id
            image = to_rgb8(np.asarray(array[frame] if series else array), name)
            labels = plane.astype(np.int32) if whole else partial_labels(plane, verified)
            images.append(CorrectedImage(name, loaded.sha256 or digest(image), image, labels, whole))
    return images, notes


def digest(array: np.ndarray) -> str:
    """Return SHA-256 of an array's values."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@lru_cache(maxsize=256)
def _scene(number: int) -> TrainingImage:
    scene = synthesize(_FIRST_SEED + number, _SCENE)
    return TrainingImage(scene.image, scene.labels.astype(np.int32), true_plants(scene.labels), number)


class CorrectionDataset:
    """Draws crops' images: corrected ones, with verified leaves pasted into some, and a share of synthetic plants.

    Parameters
    ----------
    images : list of CorrectedImage
    synthetic_share : float
        Share of synthetic plants, so that nothing is forgotten.
    paste : float
        Share of the corrected images into which leaves of others are pasted.
    diameter : float
        Of a plant as the network sees it, pixels; much larger images are kept smaller.
    scenes : int
        How many synthetic plants there are; each is drawn when it is first needed.
    """

    def __init__(
        self,
        images: list[CorrectedImage],
        synthetic_share: float,
        paste: float,
        diameter: float = 144.0,
        scenes: int = 96,
    ) -> None:
        self.images = [_smaller(item, 2 * diameter) for item in images]
        self.share, self.paste, self.scenes = synthetic_share, paste, scenes
        self._plants: list[list[Plant]] = [true_plants(np.maximum(item.labels, 0)) for item in self.images]

    def sample(self, rng: np.random.Generator) -> TrainingImage:
        """Return one image, its labels, plants and source."""
        if rng.random() < self.share:
            return _scene(int(rng.integers(self.scenes)))
        number = int(rng.integers(len(self.images)))
        chosen = self.images[number]
        if rng.random() < self.paste:
            donor = self.images[int(rng.integers(len(self.images)))]
            image, labels = paste_leaf(rng, chosen, donor)
            return TrainingImage(image, labels, self._plants[number], -1 - number)
        return TrainingImage(chosen.image, chosen.labels, self._plants[number], -1 - number)


def _smaller(corrected: CorrectedImage, most: float) -> CorrectedImage:
    """The image, made smaller where its plants are larger than `most` pixels."""
    plants = true_plants(np.maximum(corrected.labels, 0))
    factor = most / typical_size(plants) if plants else 1.0
    if factor >= 1:
        return corrected
    height, width = (max(16, round(length * factor)) for length in corrected.labels.shape)
    image = resize_image(corrected.image, (height, width))
    return replace(corrected, image=image, labels=resize_labels(corrected.labels, (height, width)))


def paste_leaf(
    rng: np.random.Generator, target: CorrectedImage, donor: CorrectedImage
) -> tuple[np.ndarray, np.ndarray]:
    """Lay a verified leaf of one image, turned, over the plant of another.

    Returns
    -------
    tuple of numpy.ndarray
        uint8 (H, W, 3) and int32 (H, W), copies.
    """
    image, labels = target.image.copy(), target.labels.copy()
    leaves = np.unique(donor.labels[donor.labels > 0])
    there = np.flatnonzero(labels > 0)
    if not len(leaves) or not len(there):
        return image, labels
    own = donor.labels == leaves[int(rng.integers(len(leaves)))]
    rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    turns = int(rng.integers(4))
    mask, leaf = np.rot90(own[box], turns), np.rot90(donor.image[box], turns)
    y, x = divmod(int(there[rng.integers(len(there))]), labels.shape[1])
    top, left = y - mask.shape[0] // 2, x - mask.shape[1] // 2
    first = max(0, top), max(0, left)
    last = min(labels.shape[0], top + mask.shape[0]), min(labels.shape[1], left + mask.shape[1])
    cut = slice(first[0] - top, last[0] - top), slice(first[1] - left, last[1] - left)
    place = slice(first[0], last[0]), slice(first[1], last[1])
    image[place][mask[cut]] = leaf[cut][mask[cut]]
    labels[place][mask[cut]] = int(labels.max()) + 1
    return image, labels
