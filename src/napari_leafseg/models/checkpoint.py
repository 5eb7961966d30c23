"""Checkpoints: one safetensors file that holds weights, configuration, metrics and provenance."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from napari_leafseg.errors import UserError
from napari_leafseg.models.distance_embedding import DistanceEmbeddingConfig, DistanceEmbeddingNet

FORMAT = "napari-leafseg 1"


@dataclass(frozen=True)
class Card:
    """What a checkpoint says of itself.

    Attributes
    ----------
    name, version : str
        Name of the model and its version.
    config : DistanceEmbeddingConfig
    defaults : dict
        Default values of the prediction's tunables.
    metrics : dict
        Measured figures.
    provenance : dict
        Training configuration, steps, date, software versions.
    description, licence : str
    diameter : float
        Diameter of a plant, in pixels, that the network sees best: the working scale aims at it.
    """

    name: str
    version: str
    config: DistanceEmbeddingConfig
    defaults: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    description: str = ""
    licence: str = "BSD-3-Clause"
    diameter: float = 160.0


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


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Raises
    ------
    UserError
        When the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror or error}. Choose a folder that you may write to.") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise UserError(f"Cannot write {path}: {error.strerror or error}.") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_card(path: str | Path) -> Card:
    """Read what a checkpoint says of itself, without its weights.

    Raises
    ------
    UserError
        When the file is missing, is no checkpoint, or is of another kind of model.
    """
    path = Path(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError as error:
        raise UserError(f"There is no weights file {path}. Check the path, or choose a model from the list.") from error
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} is not a napari-leafseg checkpoint (no readable safetensors file: {error}). "
            "Choose a .safetensors file written by napari-leafseg."
        ) from error
    if metadata.get("format") != FORMAT:
        raise UserError(
            f"{path} is a safetensors file of some other program: it has no napari-leafseg header. "
            "Choose a checkpoint written by napari-leafseg."
        )
    try:
        config = DistanceEmbeddingConfig.model_validate_json(metadata["config"])
        return Card(config=config, **json.loads(metadata["card"]))
    except (ValidationError, TypeError, KeyError, ValueError) as error:
        raise UserError(
            f"{path} holds another kind of model than this version knows. Update napari-leafseg or choose another model."
        ) from error


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
        raise UserError(f"{path}: the weights do not fit the model that the file describes. Get the file again.") from error
    return network.eval().to(memory_format=torch.channels_last), card
