"""Time of the parameter advisor's sweep: 10 x 10 values over 20 pictures of 512 x 512, on kept predictions.

Run ``python -m benchmarks.sweep [--images 20] [--size 512]``.
"""

from __future__ import annotations

import argparse
import time

from napari_leafseg import load_model
from napari_leafseg.inference.parameter_search import sweep_parameters
from napari_leafseg.synthetic import SceneConfig, synthesize


def main() -> None:
    """Predict, sweep, print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--size", type=int, default=512)
    args = parser.parse_args()
    config = SceneConfig(size=(args.size, args.size), diameter=(0.6 * args.size, 0.9 * args.size), blank=0.0)
    scenes = [synthesize(6_000_000 + number, config) for number in range(args.images)]
    model = load_model("leaf")
    predictions = [model.predict(scene.image) for scene in scenes]
    began = time.perf_counter()
    sweep = None
    for event in sweep_parameters(predictions, [scene.labels for scene in scenes]):
        sweep = event.sweep
    assert sweep is not None
    seconds = time.perf_counter() - began
    grid = " x ".join(str(len(values)) for _, values in predictions[0].sweep) + f" x {len(sweep.smallest)}"
    print(f"{grid} values, {args.images} pictures: {seconds:.1f} s")
    print(f"SBD now {sweep.current_sbd:.3f}, best {sweep.best_sbd:.3f} at {sweep.best}")


if __name__ == "__main__":
    main()
