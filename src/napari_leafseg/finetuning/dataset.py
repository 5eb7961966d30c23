"""What a person corrected, as training images: whole pictures, or only the leaves that were verified."""

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
from napari_leafseg.training.augment import resize_labels, resize_picture, true_plants
from napari_leafseg.training.data import TrainingImage

_RING = 4  # pixels around a verified leaf whose background is verified with it
_SCENE = SceneConfig(size=(288, 288), diameter=(110, 280))
_FIRST_SEED = 7_000_000


@dataclass(frozen=True)
class CorrectedPicture:
    """A picture, or a frame of a series, with what is known of its leaves.

    Attributes
    ----------
    name : str
    sha256 : str
        Of the picture's file.
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
    """Labels of a picture of which only some leaves were verified; -1 elsewhere.

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


def load_corrections(project: Project) -> tuple[list[CorrectedPicture], list[str]]:
    """What a project holds to learn from, and what is left out and why.

    Returns
    -------
    pictures : list of CorrectedPicture
    notes : list of str
        A sentence for each picture that cannot be used: missing, or not the picture that was corrected.
    """
    pictures: list[CorrectedPicture] = []
    notes: list[str] = []
    for ref in project.images:
        if ref.state == "new":
            continue
        path = project.path_of(ref)
        if not path.exists():
            notes.append(f"{path} is missing. Link it again in the project's menu; it is left out.")
            continue
        loaded = read_image(path)
        if ref.sha256 and loaded.sha256 and ref.sha256 != loaded.sha256:
            notes.append(f"{path} was changed since it was corrected; it is left out.")
            continue
        array = loaded.array
        series = array.ndim == 4
        document = project.open_document(ref, array.shape[:3] if series else array.shape[:2])
        for frame in range(len(array) if series else 1):
            plane = document.labels[frame] if series else document.labels
            verified = document.locked(frame)
            whole = ref.state == "done"
            if not whole and not verified:
                continue
            name = f"{ref.id}, frame {frame}" if series else ref.id
            picture = to_rgb8(np.asarray(array[frame] if series else array), name)
            labels = plane.astype(np.int32) if whole else partial_labels(plane, verified)
            pictures.append(CorrectedPicture(name, loaded.sha256 or digest(picture), picture, labels, whole))
    return pictures, notes


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's values."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@lru_cache(maxsize=256)
def _scene(number: int) -> TrainingImage:
    scene = synthesize(_FIRST_SEED + number, _SCENE)
    return TrainingImage(scene.image, scene.labels.astype(np.int32), true_plants(scene.labels), number)


class CorrectionDataset:
    """Draws crops' pictures: corrected ones, with verified leaves pasted into some, and a share of synthetic plants.

    Parameters
    ----------
    pictures : list of CorrectedPicture
    synthetic_share : float
        Share of synthetic plants, so that nothing is forgotten.
    paste : float
        Share of the corrected pictures into which leaves of others are pasted.
    diameter : float
        Of a plant as the network sees it, pixels; much larger pictures are kept smaller.
    scenes : int
        How many synthetic plants there are; each is drawn when it is first needed.
    """

    def __init__(
        self,
        pictures: list[CorrectedPicture],
        synthetic_share: float,
        paste: float,
        diameter: float = 144.0,
        scenes: int = 96,
    ) -> None:
        self.pictures = [_smaller(item, 2 * diameter) for item in pictures]
        self.share, self.paste, self.scenes = synthetic_share, paste, scenes
        self._plants: list[list[Plant]] = [true_plants(np.maximum(item.labels, 0)) for item in self.pictures]

    def sample(self, rng: np.random.Generator) -> TrainingImage:
        """One picture, its labels, plants and source."""
        if rng.random() < self.share:
            return _scene(int(rng.integers(self.scenes)))
        number = int(rng.integers(len(self.pictures)))
        picture = self.pictures[number]
        if rng.random() < self.paste:
            donor = self.pictures[int(rng.integers(len(self.pictures)))]
            image, labels = paste_leaf(rng, picture, donor)
            return TrainingImage(image, labels, self._plants[number], -1 - number)
        return TrainingImage(picture.image, picture.labels, self._plants[number], -1 - number)


def _smaller(picture: CorrectedPicture, most: float) -> CorrectedPicture:
    """The picture, made smaller where its plants are larger than `most` pixels."""
    plants = true_plants(np.maximum(picture.labels, 0))
    factor = most / typical_size(plants) if plants else 1.0
    if factor >= 1:
        return picture
    height, width = (max(16, round(length * factor)) for length in picture.labels.shape)
    image = resize_picture(picture.image, (height, width))
    return replace(picture, image=image, labels=resize_labels(picture.labels, (height, width)))


def paste_leaf(
    rng: np.random.Generator, picture: CorrectedPicture, donor: CorrectedPicture
) -> tuple[np.ndarray, np.ndarray]:
    """Lay a verified leaf of one picture, turned, over the plant of another.

    Returns
    -------
    tuple of numpy.ndarray
        uint8 (H, W, 3) and int32 (H, W), copies.
    """
    image, labels = picture.image.copy(), picture.labels.copy()
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
