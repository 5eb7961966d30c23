"""What a model learned, to look at: up to three held-out images side by side, before and now."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_leafseg._opencv import cv2

_MOST = 3
_SIDE = 180  # pixels of an image's longer side; less where there are three
_NARROW = 116
_DRAWN = 240


class HeldOut(NamedTuple):
    """A held-out image with the outlines of the leaves that were found before and now, uint8 (h, w, 3)."""

    name: str
    before: np.ndarray
    after: np.ndarray


class HeldOutImages(QWidget):
    """Shows the images that were looked at last, one a column."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("held_out")
        self._images: dict[str, HeldOut] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        self.titles, self.before, self.after = ([QLabel() for _ in range(_MOST)] for _ in range(3))
        for row, words in ((0, "Held-out images, before"), (3, "Now")):
            grid.addWidget(QLabel(words), row, 0, 1, _MOST)
        for row, labels in ((1, self.titles), (2, self.before), (4, self.after)):
            for column, label in enumerate(labels):
                label.setAlignment(Qt.AlignmentFlag.AlignCenter)
                grid.addWidget(label, row, column)

    @property
    def drawn(self) -> bool:
        """Whether there is an image."""
        return bool(self._images)

    def clear(self) -> None:
        """Take all images away."""
        self._images = {}

    def add(self, images: list[HeldOut]) -> None:
        """Show images; those of earlier runs stay as far as there is room."""
        for item in images:
            self._images.pop(item.name, None)
            self._images[item.name] = item
        self._images = dict(list(self._images.items())[-_MOST:])
        shown = list(self._images.values())
        side = _SIDE if len(shown) < _MOST else _NARROW
        for column, (title, before, after) in enumerate(zip(self.titles, self.before, self.after, strict=True)):
            for label in (title, before, after):
                label.setVisible(column < len(shown))
            if column < len(shown):
                item = shown[column]
                title.setText(title.fontMetrics().elidedText(item.name, Qt.TextElideMode.ElideMiddle, side))
                title.setToolTip(item.name)
                _show(before, item.before, side)
                _show(after, item.after, side)


def _show(label: QLabel, image: np.ndarray, side: int) -> None:
    data = np.ascontiguousarray(image)
    height, width = data.shape[:2]
    pixels = QPixmap.fromImage(QImage(data.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888))
    label.setPixmap(
        pixels.scaled(side, side, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
    )


def outlined(image: np.ndarray, labels: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Draw leaves' outlines in a small image; no work for the window's thread.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (H, W, 3).
    labels : numpy.ndarray
        Integer (H, W).
    around : numpy.ndarray
        bool (H, W); cut to where it is not empty.

    Returns
    -------
    numpy.ndarray
        uint8, its longer side 240.
    """
    rows, columns = np.flatnonzero(around.any(1)), np.flatnonzero(around.any(0))
    if len(rows):
        pad = 4 + (rows[-1] - rows[0] + columns[-1] - columns[0]) // 20
        box = (
            slice(max(0, int(rows[0] - pad)), int(rows[-1] + pad + 1)),
            slice(max(0, int(columns[0] - pad)), int(columns[-1] + pad + 1)),
        )
        image, labels = image[box], labels[box]
    factor = _DRAWN / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    small = cv2.resize(
        np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    )
    plane = cv2.resize(labels.astype(np.uint16), size, interpolation=cv2.INTER_NEAREST)
    edge = np.zeros(plane.shape, bool)
    edge[:, 1:] |= plane[:, 1:] != plane[:, :-1]
    edge[1:] |= plane[1:] != plane[:-1]
    small[edge] = (255, 60, 200)
    return small
