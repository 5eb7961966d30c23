"""Checkpoints: a safetensors file that holds weights and card, or weights alone with the card beside them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import ModelError
from napari_leafseg.models.build import Network, build_network
from napari_leafseg.models.store.model_card import ModelCard, check_weights, embed, read_card

_HALF = 65504.0  # float16's largest


def save_checkpoint(path: str | Path, network: Network, card: ModelCard, half: bool = False) -> None:
    """Write a checkpoint, weights and card in one file, whole or not at all.

    Parameters
    ----------
    path : path
        A ``.safetensors`` file.
    network : DistanceEmbeddingNet or QueryModel
    card : Card
    half : bool
        Store float16 weights (half the size; loading makes them float32 again), but for tensors that hold larger
        values than float16 can (the variances of a batch norm may).
    """
    tensors = {}
    for key, value in network.state_dict().items():
        value = value.detach().cpu().contiguous()
        fits = value.is_floating_point() and bool(value.abs().max() < _HALF if value.numel() else True)
        tensors[key] = value.half() if half and fits else value.clone()
    write_atomically(Path(path), save(tensors, embed(card)))


def load_checkpoint(path: str | Path) -> tuple[Network, ModelCard]:
    """Rebuild the network of a checkpoint, in evaluation mode, float32, on the CPU.

    Raises
    ------
    ModelError
        As `read_card`; also when weights and configuration do not belong together.
    """
    card = read_card(path)
    check_weights(path)
    tensors = _read_tensors(path)
    network = build_network(card.config)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(
            f"{path}: the weights do not fit the model that the file describes. Get the file again."
        ) from error
    return network.eval().place("cpu"), card


def load_partial(network: Network, path: str | Path) -> int:
    """Take over another model's weights, as far as they fit; how many tensors did.

    A distance + embedding model's weights also fit the backbone of a query-based model that stands on one.

    Raises
    ------
    ModelError
        As `read_card`; also when no tensor fits.
    """
    read_card(path)
    own = network.state_dict()
    taken = {}
    for key, value in _read_tensors(path).items():
        for name in (key, f"backbone.net.{key}"):
            if name in own and own[name].shape == value.shape:
                taken[name] = value
                break
    if not taken:
        raise ModelError(f"{path} has no weights in common with this model. Begin with another one, or from scratch.")
    network.load_state_dict({**own, **taken})
    return len(taken)


def _read_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint, float32 where they are of floating point."""
    with safe_open(str(path), framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    return {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
