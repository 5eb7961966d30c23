"""How many of the leaves each bundled model finds, in color and in chlorophyll fluorescence.

Run ``python -m benchmarks.found_leaves [MODEL …] [--data ../shared/data] [--cards] [--record]``. Color: 40 synthetic
plants that no model learned from (seeds 530000 to 530039); fluorescence: the 34 images of
``resources/training/fluorescence-kept-aside.txt``. A leaf is found when one predicted leaf shares more than half of
what both cover. ``--record`` writes the shares into the cards (``found_synthetic``, ``found_fluorescence``), from
which the lists of models read them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from benchmarks.query_models import FIRST_SEED
from benchmarks.real_images import read_set
from benchmarks.record import add_record_option, write_result
from napari_leafseg import load_model
from napari_leafseg.metrics import count_found
from napari_leafseg.models.store.model_card import card_path
from napari_leafseg.models.store.zoo import find_model, list_models
from napari_leafseg.synthetic import synthesize
from napari_leafseg.training.data import Pair


def share(model: str, pairs: Iterable[Pair]) -> float:
    """Share of all leaves that a model finds."""
    predictor = load_model(model)
    counts = [count_found(predictor.predict(image).labels(), truth) for image, truth in pairs]
    return round(sum(found for found, _ in counts) / sum(all_of for _, all_of in counts), 3)


def main() -> None:
    """Measure, print, and record where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(list_models()))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--cards", action="store_true", help="write the shares into the models' cards")
    add_record_option(parser, "found-leaves")
    options = parser.parse_args()
    scenes = [synthesize(FIRST_SEED + number) for number in range(options.count)]
    sets = {
        "found_synthetic": [(scene.image, scene.labels) for scene in scenes if scene.labels.any()],
        "found_fluorescence": read_set("fluorescence", options.data),
    }
    rows = []
    for model in options.models:
        shares = {name: share(model, pairs) for name, pairs in sets.items()}
        print(f"{model:20s} {shares}", flush=True)
        rows.append({"model": model, **{name: round(value, 3) for name, value in shares.items()}})
        if options.cards:
            path = card_path(find_model(model))
            card = json.loads(path.read_text(encoding="utf-8"))
            card["metrics"] = dict(sorted((card["metrics"] | shares).items()))
            path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.record is not None:
        write_result(options.record, rows)


if __name__ == "__main__":
    main()
