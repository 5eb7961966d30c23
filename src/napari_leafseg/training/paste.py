"""Training images put together: real leaves, real backgrounds and real leaf textures in other images.

All functions take an image, uint8 (H, W, 3), and its labels, integer (H, W), where 0 is background and negative is not
annotated; they return new arrays and draw everything from the generator that they are given.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_leafseg._opencv import cv2
from napari_leafseg.training.banks import BackgroundBank, LeafBank, LeafCut, cut_leaf, is_gray, principal_axes

__all__ = ["BackgroundBank", "LeafBank", "paste_leaves", "real_background", "textured_leaves"]

VISIBLE_SHARE, VISIBLE_PIXELS = 0.25, 20  # a leaf that shows less is no leaf any more
MOST_TEXTURED = 40  # leaves of an image, about: a stand has hundreds, and each takes its time


def paste_leaves(
    rng: np.random.Generator, image: np.ndarray, labels: np.ndarray, bank: LeafBank, most: int = 6
) -> tuple[np.ndarray, np.ndarray]:
    """Paste real leaves, and copies of the image's own, onto, under and beside its plant.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : numpy.ndarray
        uint8 (H, W, 3).
    labels : numpy.ndarray
        Integer (H, W).
    bank : LeafBank
    most : int
        At most so many leaves.

    Returns
    -------
    image : numpy.ndarray
        uint8 (H, W, 3).
    labels : numpy.ndarray
        int32 (H, W). Pasted leaves have new numbers; leaves that are now hidden but for a sliver have none: the sliver
        is not annotated (-1).
    """
    result, truth = image.astype(np.float32), np.array(labels, np.int32)
    gray = is_gray(image)
    areas = np.bincount(np.maximum(truth, 0).ravel(), minlength=1)
    areas[0] = 0
    leaves = np.flatnonzero(areas >= VISIBLE_PIXELS)
    typical = float(np.quantile(areas[leaves], 0.6)) if leaves.size else (0.12 * min(truth.shape)) ** 2
    tone = image[truth > 0].mean(0) if leaves.size else None
    slender = _slenderness(rng, truth, leaves)
    sun, depth = rng.uniform(0, 2 * np.pi), 0.0 if gray else rng.uniform(0.05, 0.5)
    before = dict(enumerate(areas.tolist()))
    for _ in range(int(rng.integers(1, most + 1))):
        cut = _own_leaf(rng, image, labels, leaves) if leaves.size and rng.random() < 0.4 else None
        cut = cut or bank.sample(rng, gray, typical, None if rng.random() < 0.2 else slender)
        if cut is None:
            break
        placed = _place(rng, cut, truth, typical)
        if placed is None:
            continue
        number = max(before) + 1
        colors, alpha, corner = placed
        below = leaves.size > 0 and rng.random() < 0.25
        area = _lay(rng, result, truth, colors, alpha, corner, number, tone, below, (sun, depth))
        if area:
            before[number] = area
    _drop_hidden(truth, before)
    return cv2.convertScaleAbs(result), truth


def _slenderness(rng: np.random.Generator, labels: np.ndarray, leaves: np.ndarray) -> float | None:
    """Length over width of one of the leaves."""
    if not leaves.size:
        return None
    _, _, reach = principal_axes(labels[::2, ::2] == leaves[rng.integers(len(leaves))])
    return float(reach[0] / reach[1])


def _own_leaf(rng: np.random.Generator, image: np.ndarray, labels: np.ndarray, leaves: np.ndarray) -> LeafCut | None:
    label = int(leaves[rng.integers(len(leaves))])
    left, top, width, height = cv2.boundingRect((labels == label).astype(np.uint8))
    return cut_leaf(image, labels, label, (slice(top, top + height), slice(left, left + width)))


def _place(
    rng: np.random.Generator, cut: LeafCut, labels: np.ndarray, typical: float
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]] | None:
    """Turn, mirror and scale a leaf to where it goes; its colors, its cover (0 to 1) and its corner (y, x)."""
    scale = float(rng.uniform(0.6, 1.6) * np.sqrt(typical / cut.area))
    scale = min(scale, 3.0, 0.7 * min(labels.shape) / float(cut.reach[0]))
    length = 2 * cut.reach[0] * scale
    turn = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(turn), np.sin(turn)])
    if (labels > 0).any():
        ys, xs = np.nonzero(labels[::4, ::4] > 0)
        if len(ys) == 0:
            return None
        pick = int(rng.integers(len(ys)))
        middle = 4.0 * np.array([xs[pick], ys[pick]])
        if rng.random() < 0.5:  # as if it grew out of the plant's middle
            middle = 4.0 * np.array([np.median(xs), np.median(ys)]) + direction * length * rng.uniform(0.35, 0.75)
        middle = middle + rng.normal(0, 0.2, 2) * length
    else:
        middle = rng.uniform(0, 1, 2) * np.array(labels.shape[::-1])
    axes = cut.axes * np.array([[rng.choice([-1.0, 1.0])], [rng.choice([-1.0, 1.0])]])
    goal = np.stack([direction, [-direction[1], direction[0]]])
    matrix = scale * goal.T @ axes  # from the cut (x, y) to the image, both relative to the leaf's middle
    height, width = cut.mask.shape
    corners = (np.array([[0, 0], [width, 0], [0, height], [width, height]]) - cut.center) @ matrix.T + middle
    low = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(0)).astype(int) + 2, labels.shape[::-1])
    if np.any(high - low < 4):
        return None
    offset = middle - matrix @ cut.center - low
    affine = np.concatenate([matrix, offset[:, None]], 1)
    box = (int(high[0] - low[0]), int(high[1] - low[1]))
    colors = cv2.warpAffine(cut.image, affine, box, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(cut.mask, affine, box, flags=cv2.INTER_LINEAR).astype(np.float32) / 255
    alpha = cv2.GaussianBlur(alpha, (0, 0), max(0.6, 0.45 * scale))
    return colors, np.clip(alpha * 1.4 - 0.2, 0, 1), (int(low[1]), int(low[0]))


def _lay(
    rng: np.random.Generator,
    result: np.ndarray,
    labels: np.ndarray,
    colors: np.ndarray,
    alpha: np.ndarray,
    corner: tuple[int, int],
    number: int,
    tone: np.ndarray | None,
    below: bool,
    light: tuple[float, float],
) -> int:
    """Lay one leaf and its shadow into an image and its labels, in place; the number of pixels that show."""
    window = (slice(corner[0], corner[0] + alpha.shape[0]), slice(corner[1], corner[1] + alpha.shape[1]))
    ground = labels[window]
    whole = int(np.count_nonzero(alpha >= 0.5))
    if below:
        free = (ground == 0).astype(np.float32)
        alpha = np.minimum(alpha, cv2.GaussianBlur(free, (0, 0), 0.6) * free)
    covered = alpha >= 0.5
    area = int(np.count_nonzero(covered))
    if area < max(VISIBLE_PIXELS, VISIBLE_SHARE * whole):
        return 0
    leaf = colors.astype(np.float32)
    if tone is not None:
        share = rng.uniform(0.3, 1.0)
        leaf = leaf * np.clip((tone + 8) / (leaf[alpha >= 0.5].mean(0) + 8), 0.35, 2.8) ** share
    leaf = leaf * (rng.uniform(0.85, 1.15) * (1 if _same(colors) else 1 + rng.normal(0, 0.03, 3)))
    if not below and light[1] > 0:
        _shade(rng, result, alpha, corner, light)
    part = result[window]
    part += alpha[..., None] * (np.clip(leaf, 0, 255) - part)
    ground[covered] = number
    return area


def _same(colors: np.ndarray) -> bool:
    return bool((colors[..., 0] == colors[..., 1]).all())


def _shade(
    rng: np.random.Generator,
    result: np.ndarray,
    alpha: np.ndarray,
    corner: tuple[int, int],
    light: tuple[float, float],
) -> None:
    """Darken what lies under and beside a leaf."""
    reach = float(np.sqrt(alpha.sum())) * rng.uniform(0.02, 0.1)
    pad = int(np.ceil(2.5 * reach)) + 2
    soft = cv2.GaussianBlur(np.pad(alpha, pad), (0, 0), max(0.7, 0.5 * reach))
    top, left = corner[0] - pad + round(np.sin(light[0]) * reach), corner[1] - pad + round(np.cos(light[0]) * reach)
    low_y, low_x = max(0, top), max(0, left)
    high_y, high_x = min(result.shape[0], top + soft.shape[0]), min(result.shape[1], left + soft.shape[1])
    if high_y > low_y and high_x > low_x:
        part = soft[low_y - top : high_y - top, low_x - left : high_x - left]
        result[low_y:high_y, low_x:high_x] *= 1 - light[1] * part[..., None]


def _drop_hidden(labels: np.ndarray, before: dict[int, int]) -> None:
    """Take the labels of leaves that are hidden but for a sliver; the sliver is a leaf all the same: not annotated."""
    now = np.bincount(np.maximum(labels, 0).ravel(), minlength=max(before) + 1)
    lookup = np.arange(max(before) + 1)
    for label, area in before.items():
        if label and now[label] < area and now[label] < max(VISIBLE_PIXELS, VISIBLE_SHARE * area):
            lookup[label] = -1
    if (lookup < 0).any():
        labels[:] = np.where(labels > 0, lookup[np.maximum(labels, 0)], labels)


def real_background(
    rng: np.random.Generator, image: np.ndarray, labels: np.ndarray, bank: BackgroundBank
) -> tuple[np.ndarray, np.ndarray]:
    """Replace the background of a synthetic scene by a real one.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : numpy.ndarray
        uint8 (H, W, 3).
    labels : numpy.ndarray
        Integer (H, W).
    bank : BackgroundBank

    Returns
    -------
    image : numpy.ndarray
        uint8 (H, W, 3); what is labeled or not annotated looks as before.
    labels : numpy.ndarray
        int32 (H, W), as before.
    """
    truth = np.array(labels, np.int32)
    patch = bank.sample(rng, is_gray(image))
    if patch is None:
        return image.copy(), truth
    under = truth == 0
    if not under.any():
        return image.copy(), truth
    ground = _spread(rng, patch, truth.shape)
    old, new = float(image[::3, ::3][under[::3, ::3]].mean()), float(ground[::3, ::3].mean())
    gain = float(np.clip((old + 4) / (new + 4), 0.3, 3.0) ** rng.uniform(0.2, 1.0))
    plant = (~under).astype(np.float32)
    shade = gain * (1 - rng.uniform(0.1, 0.6) * _soft_shadow(rng, plant))
    keep = np.maximum(cv2.GaussianBlur(plant, (5, 5), 0.8), plant)
    mixed = cv2.multiply(ground, cv2.merge([(1 - keep) * shade] * 3), dtype=cv2.CV_32F)
    mixed += cv2.multiply(image, cv2.merge([keep] * 3), dtype=cv2.CV_32F)
    return cv2.convertScaleAbs(mixed), truth


def _soft_shadow(rng: np.random.Generator, plant: np.ndarray) -> np.ndarray:
    """Move a cover (0 to 1) away from the light and blur it."""
    height, width = plant.shape
    turn, reach = rng.uniform(0, 2 * np.pi), max(height, width) * rng.uniform(0.003, 0.02)
    small = cv2.resize(plant, (-(-width // 4), -(-height // 4)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(0.5, max(height, width) * rng.uniform(0.001, 0.005)))
    move = np.array([[1, 0, np.cos(turn) * reach / 4], [0, 1, np.sin(turn) * reach / 4]], np.float32)
    small = cv2.warpAffine(small, move, small.shape[::-1])
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _spread(rng: np.random.Generator, patch: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Turn, enlarge and continue a patch by reflection until it fills an image."""
    patch = np.rot90(patch, int(rng.integers(4)))
    patch = patch[:, ::-1] if rng.random() < 0.5 else patch
    fit = max(shape[0] / patch.shape[0], shape[1] / patch.shape[1])
    factor = float(np.clip(fit * rng.uniform(0.6, 1.3), 0.5, 3.5))
    patch = cv2.resize(np.ascontiguousarray(patch), None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    top = int(rng.integers(0, max(1, patch.shape[0] - shape[0] + 1)))
    left = int(rng.integers(0, max(1, patch.shape[1] - shape[1] + 1)))
    patch = patch[top : top + shape[0], left : left + shape[1]]
    lack = max(0, shape[0] - patch.shape[0]), max(0, shape[1] - patch.shape[1])
    before = int(rng.integers(lack[0] + 1)), int(rng.integers(lack[1] + 1))
    pad = ((before[0], lack[0] - before[0]), (before[1], lack[1] - before[1]))
    return cv2.copyMakeBorder(patch, *pad[0], *pad[1], cv2.BORDER_REFLECT) if any(lack) else patch


def textured_leaves(
    rng: np.random.Generator, image: np.ndarray, labels: np.ndarray, bank: LeafBank
) -> tuple[np.ndarray, np.ndarray]:
    """Give leaves of a synthetic scene the texture of real ones.

    Parameters
    ----------
    rng : numpy.random.Generator
    image : numpy.ndarray
        uint8 (H, W, 3).
    labels : numpy.ndarray
        Integer (H, W).
    bank : LeafBank

    Returns
    -------
    image : numpy.ndarray
        uint8 (H, W, 3); only what is labeled has changed.
    labels : numpy.ndarray
        int32 (H, W), as before.
    """
    truth = np.array(labels, np.int32)
    result, gray = image.copy(), is_gray(image)
    boxes = [(label, box) for label, box in enumerate(ndimage.find_objects(np.maximum(truth, 0)), 1) if box is not None]
    typical = max((truth.size / max(1, 12 * len(boxes))), 100.0)
    slender = _slenderness(rng, truth, np.array([label for label, _ in boxes]))
    drawn = [bank.sample(rng, gray, typical, slender) for _ in range(int(rng.integers(1, 5)))]
    kinds = [cut for cut in drawn if cut is not None]
    if not kinds:
        return result, truth
    share = 1.0 if rng.random() < 0.5 else rng.uniform(0.3, 0.9)
    share = min(share, MOST_TEXTURED / max(1, len(boxes)))
    toward = rng.uniform(0.0, 1.0)  # how far the real color is drawn to the synthetic one
    for label, box in boxes:
        if rng.random() >= share:
            continue
        mask = truth[box] == label
        if np.count_nonzero(mask) < 60:
            continue
        cut = kinds[int(rng.integers(len(kinds)))]
        result[box] = _retexture(rng, result[box], mask, cut, toward)
    return result, truth


def _retexture(
    rng: np.random.Generator, piece: np.ndarray, mask: np.ndarray, cut: LeafCut, toward: float
) -> np.ndarray:
    """Paint a leaf with another's texture, axis on axis, under its own coarse light."""
    center, axes, reach = principal_axes(mask)
    mirror = np.array([[rng.choice([-1.0, 1.0])], [rng.choice([-1.0, 1.0])]])
    stretch = 0.9 * np.minimum(cut.reach / reach, 4.0)  # a little less than the real leaf fills the mask
    back = (cut.axes * mirror).T @ (stretch[:, None] * axes)  # from the image to the cut
    affine = np.concatenate([back, (cut.center - back @ center)[:, None]], 1)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    texture = cv2.warpAffine(cut.image, affine, mask.shape[::-1], flags=how, borderMode=cv2.BORDER_REFLECT)
    texture = texture.astype(np.float32)
    old, weight = piece.astype(np.float32), mask.astype(np.float32)
    level = old.mean(2) * weight
    sigma = max(1.5, 0.12 * float(reach[1]) + 0.03 * float(reach[0]))
    coarse = cv2.GaussianBlur(level, (0, 0), sigma) / np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)
    mean = float(level.sum() / weight.sum())
    gain = np.clip((old[mask].mean(0) + 6) / (texture[mask].mean(0) + 6), 0.3, 3.5)
    bright = np.clip((mean + 6) / (float(texture[mask].mean()) + 6), 0.3, 3.5)
    gain = gain**toward * bright ** ((1 - toward) * 0.8)
    texture = texture * gain * np.clip((coarse + 3) / (mean + 3), 0.4, 1.8)[..., None]
    alpha = cv2.GaussianBlur(weight, (0, 0), 0.8) * weight
    return np.clip(np.round(old + alpha[..., None] * (texture - old)), 0, 255).astype(np.uint8)
