"""Images of printed markers, seen by a camera whose place is known."""

import numpy as np

from napari_leafseg._opencv import cv2

FOCAL, BITS, QUIET = 1100.0, 40, 2  # pixels; pixels of a module, modules around a marker


class Camera:
    """A camera over a plane with markers on it; millimeters on the plane, its origin in the middle of the image.

    Parameters
    ----------
    px_per_mm : float
        In the middle.
    tilt : float
        Degrees by which the plane is turned, around an axis in it.
    axis : float
        Degrees, its direction.
    """

    def __init__(self, px_per_mm, tilt=0.0, axis=30.0, shape=(600, 800)):
        self.shape = shape
        along = np.array([np.cos(np.deg2rad(axis)), np.sin(np.deg2rad(axis)), 0])
        turn, _ = cv2.Rodrigues(along * np.deg2rad(tilt))
        lens = np.array([[FOCAL, 0, shape[1] / 2 - 0.5], [0, FOCAL, shape[0] / 2 - 0.5], [0, 0, 1]])
        self.matrix = lens @ np.column_stack([turn[:, 0], turn[:, 1], (0, 0, FOCAL / px_per_mm)])

    def scale_at(self, y, x):
        """Return the true scale, the root of pixels² a mm², at a point of the image."""
        back = np.linalg.inv(self.matrix) @ (x, y, 1)
        depth = self.matrix[2] @ (back / back[2])
        return float(np.sqrt(abs(np.linalg.det(self.matrix)) / abs(depth) ** 3))

    def photograph(self, markers, size_mm=20.0, seed=0, background=120):
        """Return an image of markers, each (x, y in mm, degrees, dictionary, number), with blur and noise; uint8."""
        image = np.full(self.shape, background, np.float32)
        for x, y, angle, name, number in markers:
            dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))
            modules = dictionary.markerSize + 2
            texture = cv2.aruco.generateImageMarker(dictionary, number, modules * BITS)
            texture = cv2.copyMakeBorder(texture, *[QUIET * BITS] * 4, cv2.BORDER_CONSTANT, value=255)
            self._paste(image, texture, size_mm / (modules * BITS), (x, y, np.deg2rad(angle)))
        image = cv2.GaussianBlur(image, (0, 0), 0.7) + np.random.default_rng(seed).normal(0, 3, self.shape)
        return np.clip(image, 0, 255).astype(np.uint8)

    def _paste(self, image, texture, mm, place):
        x, y, turn = place
        half = texture.shape[0] / 2 - 0.5
        flat = np.array([[mm, 0, -mm * half], [0, mm, -mm * half], [0, 0, 1]])
        put = np.array([[np.cos(turn), -np.sin(turn), x], [np.sin(turn), np.cos(turn), y], [0, 0, 1]])
        matrix = self.matrix @ put @ flat
        fine = np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])  # twice as many pixels, then their means
        size = (image.shape[1] * 2, image.shape[0] * 2)
        texture = cv2.GaussianBlur(texture.astype(np.float32), (0, 0), 0.4 / mm / 6)
        drawn = cv2.warpPerspective(texture, fine @ matrix, size, borderValue=-1000)
        drawn = cv2.resize(drawn, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_AREA)
        inside = drawn >= 0
        image[inside] = 30 + 195 * drawn[inside] / 255
