"""The published grouping of the distance + embedding model (Wu, Chen, Merhof 2020, after the authors' code)."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.measure import label
from skimage.morphology import disk

from napari_leafseg._opencv import cv2
from napari_leafseg.postprocessing.seeds import Seeds

SIGMA = 3.0  # of the blur that seeds are looked for in
SPACING = 10  # pixels between two seeds, and from a seed to the border
RADIUS = 3  # of the disc that embeddings are averaged over
NOISE = 0.1  # share of the distance map's maximum that a leaf's mean must reach
_LOWEST = 0.05  # seeds below this share of the maximum are never asked for
_SQUARE = np.ones((3, 3), np.uint8)


class PublishedGrouping:
    """Group pixels as the authors do: seeds after a wide blur, growing with overwriting, a rule for noise.

    Leaves grow by 3 x 3 dilations: a pixel takes the highest number beside it when its embedding lies within the angle
    of that seed's, also where it had a lower number before. Pieces that are cut off become leaves of their own.

    Parameters
    ----------
    distance : numpy.ndarray
        (H, W) float or uint8.
    embedding : numpy.ndarray
        int8 (E, H, W) from `napari_leafseg.postprocessing.quantize`.
    foreground : numpy.ndarray, optional
        bool (H, W); leaves do not leave it. The published model has none.
    """

    def __init__(self, distance: np.ndarray, embedding: np.ndarray, foreground: np.ndarray | None = None) -> None:
        self._distance, self._foreground = distance.astype(np.float32), foreground
        smooth = ndimage.gaussian_filter(distance.astype(np.float64), SIGMA)
        self._top = float(smooth.max(initial=0.0))
        points = peak_local_max(smooth, min_distance=SPACING, threshold_abs=max(_LOWEST * self._top, 1e-9))
        points = points[np.lexsort((points[:, 1], points[:, 0]))].astype(int)  # numbered from the top
        if foreground is not None:
            points = points[foreground[tuple(points.T)]]
        self._points = points
        self._heights = (smooth[tuple(points.T)] / max(self._top, 1e-9)).astype(np.float32)
        kernel = disk(RADIUS).astype(np.float32)
        kernel /= kernel.sum()
        planes = [cv2.filter2D(plane, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT)
                  for plane in embedding.astype(np.float32)]  # fmt: skip
        vectors = np.stack(planes, -1).reshape(-1, len(planes))
        self._vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)

    def seeds(self, seed_threshold: float, angle: float = 45.0) -> Seeds:
        """Return the seeds at a threshold, a share of the blurred map's maximum, from the top down, at any angle."""
        chosen = self._heights > seed_threshold
        return Seeds(self._points[chosen], self._heights[chosen])

    def labels(self, seed_threshold: float = 0.7, angle: float = 45.0, smallest: float = 10) -> np.ndarray:
        """Return leaves, uint16 (H, W), numbered 1 … N without gaps, 0 = background; see `AngularGrouping.labels`."""
        grown = self._grow(self.seeds(seed_threshold).points, float(np.cos(np.deg2rad(angle))))
        count = int(grown.max(initial=0)) + 1
        sizes = np.bincount(grown.ravel(), minlength=count)
        means = np.bincount(grown.ravel(), self._distance.ravel(), count) / np.maximum(sizes, 1)
        stays = (sizes >= smallest) & (means >= NOISE * float(self._distance.max(initial=0.0)))
        stays[0] = False
        return label(np.where(stays[grown], grown, 0)).astype(np.uint16)

    def _grow(self, points: np.ndarray, cosine: float) -> np.ndarray:
        """Let seeds grow until no pixel changes; only beside what has changed can anything change."""
        labels = np.zeros(self._distance.shape, np.uint16)
        numbers = np.arange(1, len(points) + 1, dtype=np.uint16)
        labels[tuple(points.T)] = numbers
        changed = (labels > 0).astype(np.uint8)
        directions = np.zeros((len(points) + 1, self._vectors.shape[1]), np.float32)
        directions[1:] = self._vectors[np.ravel_multi_index(tuple(points.T), labels.shape)]
        while changed.any():
            dilated = cv2.dilate(labels, _SQUARE)
            front = (dilated != labels) & (cv2.dilate(changed, _SQUARE) > 0)
            if self._foreground is not None:
                front &= self._foreground
            places = np.flatnonzero(front)
            wanted = dilated.ravel()[places]
            near = np.einsum("pe,pe->p", self._vectors[places], directions[wanted]) > cosine
            changed[:] = 0
            changed.ravel()[places[near]] = 1
            labels.ravel()[places[near]] = wanted[near]
        return labels
