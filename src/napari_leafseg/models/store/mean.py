"""Take the mean of the weights of several trainings.

``python -m napari_leafseg.models.store.mean OUTPUT CHECKPOINT CHECKPOINT …``
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import ModelError
from napari_leafseg.models.store.model_card import embed, read_card


def mean_of_checkpoints(checkpoints: Sequence[Path], output: Path) -> None:
    """Write the mean of the weights of trainings of one network, of which each went on from the one before.

    Such a mean keeps what the earlier weights knew while it takes most of what the later ones learned (Wortsman et al.
    2022, "Robust fine-tuning of zero-shot models").

    Parameters
    ----------
    checkpoints : sequence of path
        At least two, the newest last: the card is its card.
    output : path
        One file, with its card inside; ``mean_of`` of its provenance names version and hash of each checkpoint.

    Raises
    ------
    ModelError
        When there are fewer than two, or they are not of one network.
    """
    if len(checkpoints) < 2:
        raise ModelError("A mean takes two checkpoints or more. Name them, the newest last.")
    cards = [read_card(path) for path in checkpoints]
    weights = [_tensors(path) for path in checkpoints]
    for path, card, own in zip(checkpoints, cards, weights, strict=True):
        if card.config != cards[-1].config or {k: v.shape for k, v in own.items()} != {
            k: v.shape for k, v in weights[-1].items()
        }:
            raise ModelError(f"{path} is of another network than {checkpoints[-1]}. Choose trainings of one network.")
    mean = {
        key: np.mean([own[key].astype(np.float64) for own in weights], axis=0).astype(last.dtype)
        if np.issubdtype(last.dtype, np.floating)
        else last
        for key, last in weights[-1].items()
    }
    parts = [
        {
            "version": card.version or card.provenance.get("date", ""),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path, card in zip(checkpoints, cards, strict=True)
    ]
    card = replace(cards[-1], provenance={**cards[-1].provenance, "mean_of": parts})
    write_atomically(output, save(mean, embed(card)))


def _tensors(path: Path) -> dict[str, np.ndarray]:
    with safe_open(str(path), framework="numpy") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)


if __name__ == "__main__":
    mean_of_checkpoints([Path(path) for path in sys.argv[2:]], Path(sys.argv[1]))
