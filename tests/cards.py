"""Images of a color card under light whose color is known."""

import numpy as np

from napari_leafseg._opencv import cv2
from napari_leafseg.experiment.color_correction import from_linear, to_linear

# sRGB of the ColorChecker Classic (BabelColor's averages, rounded as X-Rite prints them)
PATCHES = np.array(
    [
        (115, 82, 68), (194, 150, 130), (98, 122, 157), (87, 108, 67), (133, 128, 177), (103, 189, 170),
        (214, 126, 44), (80, 91, 166), (193, 90, 99), (94, 60, 108), (157, 188, 64), (224, 163, 46),
        (56, 61, 150), (70, 148, 73), (175, 54, 60), (231, 199, 31), (187, 86, 149), (8, 133, 161),
        (243, 243, 242), (200, 200, 200), (160, 160, 160), (122, 122, 121), (85, 85, 85), (52, 52, 52),
    ], np.uint8,
)  # fmt: skip
WARM = np.array([(0.85, 0.05, 0.02), (0.03, 0.7, 0.02), (0.0, 0.06, 0.5)])
LEAF = (60, 120, 45)


def scene(light=WARM, angle=8.0, exposure=1.0, seed=0):
    """Return a card and a green leaf (rows 300 to 480, columns 450 to 650) as a camera sees them; uint8."""
    side, gap, top, left = 30, 6, 90, 150
    image = np.full((500, 700, 3), 90, np.uint8)
    cv2.rectangle(image, (left - 12, top - 12), (left + 222, top + 150), (20, 20, 20), -1)
    for number, color in enumerate(PATCHES):
        y, x = top + (number // 6) * (side + gap), left + (number % 6) * (side + gap)
        image[y : y + side, x : x + side] = color
    turn = cv2.getRotationMatrix2D((260.0, 160.0), angle, 1.0)
    image = cv2.warpAffine(image, turn, (700, 500), borderValue=(90, 90, 90))
    image[300:480, 450:650] = LEAF
    image = 255 * from_linear(exposure * to_linear(image / 255) @ light.T)
    image = cv2.GaussianBlur(image, (0, 0), 0.8) + np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)
