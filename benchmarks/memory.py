"""Peak memory of predicting an 8000 x 8000 image full of plants; prints GiB. Run with ``make benchmark``."""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from benchmarks.record import add_record_option, write_result
from napari_leafseg import load_model
from napari_leafseg.synthetic import SceneConfig, synthesize


def main() -> None:
    """Predict and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", type=int, nargs="?", default=8000)
    parser.add_argument("scale", type=float, nargs="?")
    add_record_option(parser, "memory")
    options = parser.parse_args()
    size: int = options.size
    tile = synthesize(103, SceneConfig(size=(1000, 1000), diameter=(160, 240), plants=(12, 12), border=0.0, blank=0.0))
    image = np.tile(tile.image, (size // 1000, size // 1000, 1))
    start = time.perf_counter()
    prediction = load_model("leaf", "cpu").predict(image, scale=options.scale)
    labels = prediction.labels()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds = time.perf_counter() - start
    worked = sum(region.maps.distance.size for region in prediction.regions) / 1e6
    print(
        f"{size} x {size}: {labels.max()} leaves at scale {prediction.scale:.2f}, {worked:.0f} megapixels worked on, "
        f"peak memory {peak:.2f} GiB, {seconds:.0f} s"
    )
    if options.record:
        row = {"image": f"{size} × {size}", "leaves": int(labels.max()), "scale": round(prediction.scale, 2),
               "peak memory, GiB": round(peak, 2), "seconds": round(seconds)}  # fmt: skip
        write_result(options.record, [row])


if __name__ == "__main__":
    main()
