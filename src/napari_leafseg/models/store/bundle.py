"""Give a bundled model other weights.

``python -m napari_leafseg.models.store.bundle CHECKPOINT NAME``
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from safetensors import safe_open
from safetensors.numpy import save

from napari_leafseg._files import resource_folder, write_atomically
from napari_leafseg.models.store.card_document import card_document
from napari_leafseg.models.store.model_card import FORMAT, card_path, read_card


def bundle(checkpoint: Path, weights: Path) -> None:
    """Write a checkpoint's weights, the card beside them, and the card to read.

    What the card says already (name, description, license, defaults, figures, words) stays; the network, what it is
    to see, its provenance, the weights' hash and the version, the day of the training's end, are the checkpoint's.

    Parameters
    ----------
    checkpoint : path
        One file with its card inside.
    weights : path
        ``NAME.safetensors``, beside ``NAME.json``.
    """
    card = read_card(checkpoint)
    content = json.loads(card_path(weights).read_text(encoding="utf-8"))
    with safe_open(str(checkpoint), framework="numpy") as file:
        data = save({key: file.get_tensor(key) for key in file.keys()}, {"format": FORMAT})  # noqa: SIM118 (not a dict)
    training = {**card.provenance["training"], "name": content["name"], "description": content["description"]}
    content |= {
        "version": card.provenance["date"][:10].replace("-", "."),
        "target_diameter": card.target_diameter,
        "least_leaf": card.least_leaf,
        "tta_views": card.tta_views,
        "whole_image_size": card.whole_image_size,
        "weights": {"sha256": hashlib.sha256(data).hexdigest()},
        "config": card.config.model_dump(mode="json"),
        "provenance": {**card.provenance, "training": training},
    }
    write_atomically(weights, data)
    write_atomically(card_path(weights), (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    write_atomically(weights.with_suffix(".md"), card_document(content).encode())


if __name__ == "__main__":
    bundle(Path(sys.argv[1]), resource_folder() / "models" / f"{sys.argv[2]}.safetensors")
