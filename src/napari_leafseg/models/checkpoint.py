"""Checkpoints: one safetensors file that holds weights, configuration, metrics and provenance."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import UserError
from napari_leafseg.models.card import FORMAT, Card, read_card
from napari_leafseg.models.distance_embedding import DistanceEmbeddingNet


def save_checkpoint(path: str | Path, network: DistanceEmbeddingNet, card: Card, half: bool = False) -> None:
    """Write a checkpoint, whole or not at all.

    Parameters
    ----------
    path : path
        A ``.safetensors`` file.
    network : DistanceEmbeddingNet
    card : Card
    half : bool
        Store float16 weights (half the size; loading makes them float32 again).
    """
    tensors = {}
    for key, value in network.state_dict().items():
        value = value.detach().cpu().contiguous()
        tensors[key] = value.half() if half and value.is_floating_point() else value.clone()
    about = {name: value for name, value in card.__dict__.items() if name != "config"}
    metadata = {
        "format": FORMAT,
        "config": card.config.model_dump_json(),
        "card": json.dumps(about, sort_keys=True),
    }
    write_atomically(Path(path), save(tensors, metadata))


def load_checkpoint(path: str | Path) -> tuple[DistanceEmbeddingNet, Card]:
    """Rebuild the network of a checkpoint, in evaluation mode, float32, on the CPU.

    Raises
    ------
    UserError
        As `read_card`; also when weights and configuration do not belong together.
    """
    card = read_card(path)
    with safe_open(str(path), framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    network = DistanceEmbeddingNet(card.config)
    tensors = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(
            f"{path}: the weights do not fit the model that the file describes. Get the file again."
        ) from error
    return network.eval().place("cpu"), card
