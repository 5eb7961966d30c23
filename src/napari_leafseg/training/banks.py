"""Real leaves and real backgrounds, cut out of photographs, that training images are put together from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from scipy import ndimage

from napari_leafseg._opencv import cv2

Pair = tuple[np.ndarray, np.ndarray]

SMALLEST = 150  # pixels of a leaf that is worth cutting out
LARGEST_SIDE, LARGEST_PATCH = 300, 450  # cuts and patches are stored no larger
SMALLEST_PATCH = 56

Item = TypeVar("Item")


def is_gray(image: np.ndarray) -> bool:
    """Tell whether an RGB image (H, W, 3) has no colors; a black surrounding does not count."""
    sample = image[::3, ::3].astype(np.int16)
    brightest = sample.max(2)
    lit = brightest > 12
    if not lit.any():
        return True
    return bool((brightest - sample.min(2))[lit].mean() < 5)


def find_green(image: np.ndarray) -> np.ndarray:
    """Mark what may be a plant in an RGB image: by excess green, or by a saturated yellow-green hue."""
    values = image.astype(np.float32)
    total = values.sum(2) + 1
    excess = (2 * values[..., 1] - values[..., 0] - values[..., 2]) / total
    hsv = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2HSV)
    hued = (hsv[..., 0] >= 22) & (hsv[..., 0] <= 90) & (hsv[..., 1] > 60) & (hsv[..., 2] > 40)
    return (excess > 0.08) & (total > 60) | hued


def fill_around(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Continue the colors inside a mask to the outside, so that resampling mixes in nothing of the background."""
    weight = (mask > 0).astype(np.float32)
    result = image.astype(np.float32)
    inside = cv2.erode(weight, np.ones((3, 3), np.uint8))
    inside = inside if inside.sum() > 30 else weight
    result = np.where(inside[..., None] > 0, image, 0)
    known = inside.copy()
    for sigma in (1.5, 6.0, 30.0):
        spread = cv2.GaussianBlur(inside, (0, 0), sigma)
        colors = cv2.GaussianBlur(result * inside[..., None], (0, 0), sigma) / np.maximum(spread, 1e-6)[..., None]
        new = (known == 0) & (spread > 0.01)
        result[new] = colors[new]
        known[new] = 1
    mean = result[inside > 0].mean(0) if inside.any() else np.zeros(3)
    result[known == 0] = mean
    return np.clip(np.round(result), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class LeafCut:
    """One real leaf.

    Attributes
    ----------
    image : numpy.ndarray
        uint8 (h, w, 3), RGB; the leaf's colors continue outside its mask.
    mask : numpy.ndarray
        uint8 (h, w), 255 on the leaf.
    center : numpy.ndarray
        Middle (x, y) of the leaf along its axes.
    axes : numpy.ndarray
        (2, 2), the unit vectors (x, y) along and across the leaf as rows.
    reach : numpy.ndarray
        Half the leaf's length and half its width, pixels.
    area : float
        Number of pixels of the leaf.
    """

    image: np.ndarray
    mask: np.ndarray
    center: np.ndarray
    axes: np.ndarray
    reach: np.ndarray

    area: float

    @property
    def slender(self) -> float:
        """Length over width."""
        return float(self.reach[0] / self.reach[1])

    def grayed(self) -> LeafCut:
        """Return the same leaf without its colors."""
        return replace(self, image=cv2.cvtColor(cv2.cvtColor(self.image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))


def principal_axes(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measure a mask: its middle (x, y), axes as rows, and half its length and width."""
    ys, xs = np.nonzero(mask)
    points = np.stack([xs, ys], 1).astype(np.float32)
    mean = points.mean(0)
    moments = np.cov((points - mean).T) if len(points) > 2 else np.eye(2)
    _, vectors = np.linalg.eigh(moments)
    axes = vectors.T[::-1].astype(np.float32)
    along = (points - mean) @ axes.T
    low, high = along.min(0), along.max(0)
    return mean + ((low + high) / 2) @ axes, axes, np.maximum((high - low) / 2, 1.0)


def cut_leaf(image: np.ndarray, labels: np.ndarray, label: int, box: tuple[slice, slice]) -> LeafCut | None:
    """Cut one leaf out of a labeled image; None where it is no good.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (H, W, 3).
    labels : numpy.ndarray
        Integer (H, W).
    label : int
    box : tuple of slice
        The leaf's bounding box.

    Returns
    -------
    LeafCut or None
        None for leaves that are small, cut by the border, in several parts, touched by others along much of their
        outline, or surrounded mostly by what is not annotated.
    """
    rows, columns = box
    height, width = labels.shape
    if rows.start < 2 or columns.start < 2 or rows.stop > height - 2 or columns.stop > width - 2:
        return None
    window = (slice(rows.start - 2, rows.stop + 2), slice(columns.start - 2, columns.stop + 2))
    around = labels[window]
    mask = (around == label).astype(np.uint8)
    area = int(mask.sum())
    if area < SMALLEST:
        return None
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(mask)
    if count > 2:
        largest = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
        if statistics[largest, cv2.CC_STAT_AREA] < 0.85 * area:
            return None
        mask = (parts == largest).astype(np.uint8)
    ring = around[(cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0) & (around != label)]
    if ring.size == 0 or np.mean(ring < 0) > 0.5 or np.mean(ring > 0) > 0.3:
        return None
    piece = image[window]
    factor = LARGEST_SIDE / max(mask.shape)
    if factor < 1:
        shape = (max(4, round(mask.shape[1] * factor)), max(4, round(mask.shape[0] * factor)))
        piece = cv2.resize(np.ascontiguousarray(piece), shape, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask, shape, interpolation=cv2.INTER_NEAREST)
        if mask.sum() < SMALLEST:
            return None
    return LeafCut(fill_around(piece, mask), mask * np.uint8(255), *principal_axes(mask), float(mask.sum()))


def cut_leaves(image: np.ndarray, labels: np.ndarray) -> list[LeafCut]:
    """Cut all good leaves out of a labeled image, the largest first; see `cut_leaf`."""
    known = np.maximum(np.asarray(labels), 0).astype(np.int32)
    boxes = [(label, box) for label, box in enumerate(ndimage.find_objects(known), 1) if box is not None]
    cuts = [cut for label, box in boxes if (cut := cut_leaf(image, labels, label, box)) is not None]
    return sorted(cuts, key=lambda cut: -cut.area)


class _Kinds(Generic[Item]):
    """Lists of things from several data sets; a large data set is drawn from more often than a small one, but less so
    than by its number."""

    def __init__(self) -> None:
        self.lists: list[list[Item]] = []

    def add(self, items: list[Item]) -> None:
        if items:
            self.lists.append(items)

    def sample(self, rng: np.random.Generator) -> Item:
        weights = np.sqrt([len(items) for items in self.lists])
        items = self.lists[int(rng.choice(len(self.lists), p=weights / weights.sum()))]
        return items[int(rng.integers(len(items)))]

    def __len__(self) -> int:
        return sum(len(items) for items in self.lists)


class LeafBank:
    """Real leaves, those of colored and of gray images apart.

    Parameters
    ----------
    *sources : iterable of tuple
        One for each data set: images uint8 (H, W, 3) with their labels (H, W); 0 is background, negative is not
        annotated.
    most : int
        At most so many leaves of one image, the largest.
    """

    def __init__(self, *sources: Iterable[Pair], most: int = 60) -> None:
        self.colored: _Kinds[LeafCut] = _Kinds()
        self.gray: _Kinds[LeafCut] = _Kinds()
        for pairs in sources:
            colored: list[LeafCut] = []
            gray: list[LeafCut] = []
            for image, labels in pairs:
                (gray if is_gray(image) else colored).extend(cut_leaves(image, labels)[:most])
            self.colored.add(colored)
            self.gray.add(gray)

    def __len__(self) -> int:
        return len(self.colored) + len(self.gray)

    def sample(
        self, rng: np.random.Generator, gray: bool, area: float = 0.0, slender: float | None = None
    ) -> LeafCut | None:
        """Draw a leaf that may lie in an image with or without colors.

        Parameters
        ----------
        rng : numpy.random.Generator
        gray : bool
            For an image without colors: a gray leaf, or a colored one grayed. Else colored leaves only.
        area : float
            Leaves much smaller than this are avoided: they would be blurred.
        slender : float, optional
            Length over width that the leaf is to have, about.

        Returns
        -------
        LeafCut or None
            None when the bank has no such leaf.
        """
        mine = self.colored
        if gray and len(self.gray) and (not len(self.colored) or rng.random() < 0.75):
            mine = self.gray
        if not len(mine):
            return None
        best, misfit = None, np.inf
        for _ in range(8):
            cut = mine.sample(rng)
            miss = max(0.0, float(np.log(max(area, 1.0) * 0.35 / cut.area)))
            miss += 0.0 if slender is None else max(0.0, abs(float(np.log(cut.slender / slender))) - 0.4)
            if miss < misfit:
                best, misfit = cut, miss
            if miss == 0:
                break
        return best.grayed() if best is not None and gray and mine is self.colored else best


class BackgroundBank:
    """Patches of real images in which there is no plant.

    Parameters
    ----------
    *sources : iterable of tuple
        One for each data set: images uint8 (H, W, 3) with their labels (H, W). What is labeled or not annotated is
        left out with a margin; green that is background by its label (moss, algae) stays.
    unlabeled : iterable of numpy.ndarray
        Images without labels: all that is green is left out.
    most : int
        At most so many patches of one image.
    """

    def __init__(self, *sources: Iterable[Pair], unlabeled: Iterable[np.ndarray] = (), most: int = 4) -> None:
        self.colored: _Kinds[np.ndarray] = _Kinds()
        self.gray: _Kinds[np.ndarray] = _Kinds()
        for pairs in sources:
            self._add(((image, np.asarray(labels)) for image, labels in pairs), most)
        self._add(((image, np.where(find_green(image), -1, 0)) for image in unlabeled), most)

    def __len__(self) -> int:
        return len(self.colored) + len(self.gray)

    def sample(self, rng: np.random.Generator, gray: bool) -> np.ndarray | None:
        """Draw a patch for an image with or without colors; None when there is none. A colored one may be grayed."""
        if gray and len(self.gray) and (not len(self.colored) or rng.random() < 0.75):
            return self.gray.sample(rng)
        if not len(self.colored):
            return None
        patch = self.colored.sample(rng)
        return cv2.cvtColor(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) if gray else patch

    def _add(self, pairs: Iterable[Pair], most: int) -> None:
        colored: list[np.ndarray] = []
        gray: list[np.ndarray] = []
        for image, labels in pairs:
            (gray if is_gray(image) else colored).extend(cut_patches(image, labels, most))
        self.colored.add(colored)
        self.gray.add(gray)


def cut_patches(image: np.ndarray, labels: np.ndarray, most: int) -> list[np.ndarray]:
    """Cut patches without plants out of an image; an image with a small plant is also taken whole, the plant mended.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (H, W, 3).
    labels : numpy.ndarray
        Integer (H, W); negative is not annotated.
    most : int
        At most so many squares.
    """
    blocked, partly = labels != 0, bool((labels < 0).any())
    if is_gray(image):
        if blocked.any():  # petioles and edges that glow without a label
            glow = image[..., 0] > 0.2 * float(image[..., 0][blocked].mean())
            blocked = blocked | (cv2.medianBlur(glow.astype(np.uint8), 5) > 0)
    else:
        if partly:  # what looks like a plant may be one
            blocked = blocked | find_green(image)
        black = (image.max(2) <= 4).astype(np.uint8)
        blocked = blocked | (cv2.erode(black, np.ones((9, 9), np.uint8)) > 0)
    grown = max(3, round(0.012 * max(image.shape[:2]))) * 2 + 1
    blocked = cv2.dilate(blocked.astype(np.uint8), np.ones((grown, grown), np.uint8)) > 0
    patches = plant_free_squares(image, blocked, most)
    whole = None if partly else mend_holes(image, blocked)
    if whole is not None:
        patches.append(whole)
    return [_shrink(patch, LARGEST_PATCH) for patch in patches]


def _shrink(image: np.ndarray, side: int) -> np.ndarray:
    factor = side / max(image.shape[:2])
    if factor >= 1:
        return np.ascontiguousarray(image)
    return cv2.resize(np.ascontiguousarray(image), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def plant_free_squares(image: np.ndarray, blocked: np.ndarray, most: int) -> list[np.ndarray]:
    """Cut the largest squares of an image in which nothing is blocked."""
    free = (~blocked).astype(np.uint8)
    patches: list[np.ndarray] = []
    while len(patches) < most:
        distance = cv2.distanceTransform(np.pad(free, 1), cv2.DIST_C, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(int(distance.argmax()), distance.shape)
        half = int(distance[y, x]) - 1
        if 2 * half + 1 < SMALLEST_PATCH:
            break
        square = (slice(int(y) - half, int(y) + half + 1), slice(int(x) - half, int(x) + half + 1))
        patches.append(image[square].copy())
        free[square] = 0
    return patches


def mend_holes(image: np.ndarray, blocked: np.ndarray) -> np.ndarray | None:
    """Fill the plants of an image with what lies opposite, the rest by inpainting; None where too much is blocked."""
    if not 0 < blocked.mean() < 0.3:
        return None
    result, open_ = image.copy(), blocked.copy()
    for rows, columns in ((-1, -1), (1, -1), (-1, 1)):
        usable = open_ & ~blocked[::rows, ::columns]
        result[usable] = image[::rows, ::columns][usable]
        open_ &= ~usable
    if open_.mean() > 0.04:
        return None
    holes = open_.astype(np.uint8)
    return cv2.inpaint(result, holes, 3, cv2.INPAINT_TELEA) if holes.any() else result
