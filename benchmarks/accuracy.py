"""How well a model segments images with its default parameters: the three labeled frames, or synthetic plants.

Run ``python -m benchmarks.accuracy frames|synthetic [--model leaf] [--count 200] [--seed 500000]
[--data ../shared/data]``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.query_models import FRAMES, frames
from benchmarks.record import add_record_option, write_result
from napari_leafseg import load_model
from napari_leafseg.metrics import score
from napari_leafseg.synthetic import synthesize


def frame_rows(model: str, data: Path) -> list[dict[str, str | int | float | None]]:
    """Score each frame, and their mean."""
    predictor, rows = load_model(model), []
    for day, (image, truth) in zip(FRAMES, frames(data), strict=True):
        found = score(predictor.predict(image).labels(), truth)
        figures = {"SBD": found.sbd, "BestDice": found.best_dice, "FBD": found.fbd, "DiC": int(found.dic)}
        rows.append({"frame": f"2019-10-{day}", "leaves": len(np.unique(truth)) - 1} | figures)
    mean = {key: float(np.mean([row[key] for row in rows])) for key in ("SBD", "BestDice", "FBD")}
    rows.append(
        {"frame": "mean", "leaves": None}
        | mean
        | {"DiC": f"{np.mean([abs(row['DiC']) for row in rows]):.2f} (absolute)"}
    )
    return [{key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()} for row in rows]


def synthetic_row(model: str, count: int, seed: int) -> dict[str, str | int | float]:
    """Score synthetic plants, all together."""
    predictor, found = load_model(model), []
    for number in range(count):
        scene = synthesize(seed + number)
        if scene.labels.any():
            found.append(score(predictor.predict(scene.image).labels(), scene.labels))
    sbd = [item.sbd for item in found]
    return {
        "seeds": f"{seed} to {seed + count - 1}",
        "plants": len(found),
        "SBD": round(float(np.mean(sbd)), 3),
        "median": round(float(np.median(sbd)), 3),
        "BestDice": round(float(np.mean([item.best_dice for item in found])), 3),
        "FBD": round(float(np.mean([item.fbd for item in found])), 3),
        "|DiC|": round(float(np.mean([item.abs_dic for item in found])), 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("frames", "synthetic"))
    parser.add_argument("--model", default="leaf")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=500_000)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    add_record_option(parser, "")
    options = parser.parse_args()
    if options.what == "frames":
        rows = frame_rows(options.model, options.data)
    else:
        rows = [synthetic_row(options.model, options.count, options.seed)]
    print(*rows, sep="\n")
    if options.record is not None:
        write_result(options.record or options.what, rows)


if __name__ == "__main__":
    main()
