"""Small images of plants with their leaves outlined, kept on the disk for the next time."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import platformdirs

from napari_leafseg._files import write_atomically
from napari_leafseg._opencv import cv2
from napari_leafseg.errors import UserError
from napari_leafseg.io import ReadOptions, read_image, to_rgb8
from napari_leafseg.io.arrays import SMALLEST_SIDE
from napari_leafseg.pipelines.run_list import file_state
from napari_leafseg.project.labels_file import read_labels_file

_LOG = logging.getLogger(__name__)
SIZE = 192  # pixels
_MARGIN = 0.06  # of the plant's size
_MOST_FILES = 20_000
Paint = Callable[[np.ndarray], np.ndarray]
"""From labels to colors, uint8 (h, w, 3)."""


def draw_thumbnail(
    image: Any, labels: np.ndarray | None, paint: Paint, size: int = SIZE, name: str = "The image"
) -> np.ndarray:  # fmt: skip
    """Draw a plant with its leaves outlined, uint8 (h, w, 3), `size` pixels at most.

    Parameters
    ----------
    image : numpy.ndarray
        (H, W[, C]), or a series (T, H, W, C), of which the frame in the middle is drawn.
    labels : numpy.ndarray, optional
        Of the same shape; the whole image is drawn without any.
    paint : callable
    size : int
    name : str
        Of the file, for messages.
    """
    if image.ndim == 4:
        middle = len(image) // 2
        image, labels = np.asarray(image[middle]), None if labels is None else labels[middle]
    box = (slice(0, image.shape[0]), slice(0, image.shape[1]))
    if labels is not None and labels.any() and labels.shape == image.shape[:2]:
        box = (_span(labels.max(axis=1)), _span(labels.max(axis=0)))
        labels = labels[box]
    else:
        labels = None
    step = max(span.stop - span.start for span in box) // (3 * size)
    step = max(1, min(step, min(image.shape[:2]) // SMALLEST_SIDE))  # long images stay large enough
    small = to_rgb8(np.ascontiguousarray(image[::step, ::step]), name)
    small = np.ascontiguousarray(small[tuple(slice(span.start // step, -(-span.stop // step)) for span in box)])
    factor = size / max(small.shape[:2])
    shape = (max(1, round(small.shape[1] * factor)), max(1, round(small.shape[0] * factor)))
    if factor < 1 or labels is not None:
        small = cv2.resize(small, shape, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    if labels is None:
        return small
    numbers = cv2.resize(labels.astype(np.uint16), shape, interpolation=cv2.INTER_NEAREST_EXACT)
    edge = np.zeros(numbers.shape, bool)
    for shift in (1, 2):  # two pixels wide, inside the leaf
        for axis in (0, 1):
            for by in (shift, -shift):
                edge |= numbers != np.roll(numbers, by, axis)
    edge &= numbers > 0
    small[edge] = paint(numbers)[edge]
    return small


def _span(present: np.ndarray) -> slice:
    """From the first to the last one, with a margin."""
    along = np.flatnonzero(present)
    margin = max(2, round(_MARGIN * (along[-1] - along[0] + 1)))
    return slice(max(0, int(along[0]) - margin), int(along[-1]) + 1 + margin)


def thumbnail_of(path: Path, options: ReadOptions, labels: np.ndarray | Path | None, paint: Paint) -> np.ndarray:
    """Draw the thumbnail of an image file, or take it from the disk where it was drawn before.

    Parameters
    ----------
    path : pathlib.Path
    options : ReadOptions
    labels : numpy.ndarray or pathlib.Path, optional
        The labels, or the file in a project that holds them.
    paint : callable

    Raises
    ------
    UserError
        When the image cannot be read.
    """
    kept = None if isinstance(labels, np.ndarray) else kept_file(path, options, labels)
    if kept is not None and kept.exists():
        try:
            return np.asarray(imageio.imread(kept))
        except (OSError, ValueError) as error:
            _LOG.debug("The thumbnail %s is drawn again: %s", kept, error)
    image = read_image(path, options).array
    if isinstance(labels, Path):
        labels = read_labels_file(labels)[0] if labels.exists() else None
    small = draw_thumbnail(image, labels, paint, name=str(path))
    if kept is not None:
        keep_thumbnail(kept, small)
    return small


def kept_file(path: Path, options: ReadOptions, labels: Path | None) -> Path:
    """Return where the thumbnail of an image, as it is now with the labels in a file, is kept."""
    state = (str(path), file_state(path), repr(options), str(labels), [] if labels is None else file_state(labels))
    return _folder() / f"{hashlib.sha256(repr(state).encode()).hexdigest()[:32]}.jpg"


def keep_thumbnail(file: Path, small: np.ndarray) -> None:
    """Write a thumbnail; one that cannot be written is drawn again the next time."""
    try:
        write_atomically(file, imageio.imwrite("<bytes>", small, extension=".jpg", quality=88))
    except UserError as error:
        _LOG.debug("A thumbnail is not kept: %s", error)


def forget_old_thumbnails() -> None:
    """Delete the oldest thumbnails where there are too many."""
    try:
        files = sorted((file for file in _folder().glob("*.jpg")), key=lambda file: -file.stat().st_mtime)
        for file in files[_MOST_FILES:]:
            file.unlink()
    except OSError as error:
        _LOG.debug("Old thumbnails stay: %s", error)


def _folder() -> Path:
    return Path(platformdirs.user_cache_dir("napari-leafseg", appauthor=False)) / "thumbnails"
