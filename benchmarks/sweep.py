"""Time of the parameter search's sweep: 10 x 10 values over 20 images of 512 x 512, on kept predictions.

Run ``python -m benchmarks.sweep [--images 20] [--size 512]``.
"""

from __future__ import annotations

import argparse
import time

from benchmarks.record import add_record_option, write_result
from napari_leafseg import load_model
from napari_leafseg.inference.parameter_search import search_parameters
from napari_leafseg.synthetic import SceneConfig, synthesize


def main() -> None:
    """Predict, sweep, print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--size", type=int, default=512)
    add_record_option(parser, "sweep")
    args = parser.parse_args()
    config = SceneConfig(size=(args.size, args.size), diameter=(0.6 * args.size, 0.9 * args.size), blank=0.0)
    scenes = [synthesize(6_000_000 + number, config) for number in range(args.images)]
    model = load_model("leaf")
    predictions = [model.predict(scene.image) for scene in scenes]
    began = time.perf_counter()
    search = None
    for event in search_parameters(predictions, [scene.labels for scene in scenes]):
        search = event.search
    assert search is not None
    seconds = time.perf_counter() - began
    grid = " x ".join(str(len(values)) for _, values in predictions[0].search) + f" x {len(search.smallest)}"
    print(f"{grid} values, {args.images} images: {seconds:.1f} s")
    print(f"SBD now {search.current_sbd:.3f}, best {search.best_sbd:.3f} at {search.best}")
    if args.record:
        row = {"values": grid.replace("x", "×"), "images": args.images, "seconds": round(seconds, 1)}
        write_result(args.record, [row])


if __name__ == "__main__":
    main()
