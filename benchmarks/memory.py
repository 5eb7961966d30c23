"""Peak memory of predicting an 8000 x 8000 image full of plants; prints GiB. Run with ``make benchmark``."""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from napari_leafseg import load_model
from napari_leafseg.synthetic import SceneConfig, synthesize


def main(size: int = 8000, scale: float | None = None) -> None:
    """Predict and report."""
    tile = synthesize(103, SceneConfig(size=(1000, 1000), diameter=(160, 240), plants=(12, 12), border=0.0, blank=0.0))
    image = np.tile(tile.image, (size // 1000, size // 1000, 1))
    start = time.perf_counter()
    prediction = load_model("leaf", "cpu").predict(image, scale=scale)
    labels = prediction.labels()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    worked = sum(region.maps.distance.size for region in prediction.regions) / 1e6
    print(
        f"{size} x {size}: {labels.max()} leaves at scale {prediction.scale:.2f}, {worked:.0f} megapixels worked on, "
        f"peak memory {peak:.2f} GiB, {time.perf_counter() - start:.0f} s"
    )


if __name__ == "__main__":
    main(*(float(item) if "." in item else int(item) for item in sys.argv[1:]))
