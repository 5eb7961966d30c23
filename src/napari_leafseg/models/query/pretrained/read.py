"""Reading other programs' weights without running any code of theirs."""

from __future__ import annotations

import collections
import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from napari_leafseg.errors import ModelError, plain_reason

_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): lambda text, coding: text.encode(coding),
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _ALLOWED[_module, "_reconstruct"] = np.empty((0,)).__reduce__()[0]
    _ALLOWED[_module, "scalar"] = np.float64(0).__reduce__()[0]


class NotWeights(ModelError):
    """A file that cannot be read as weights: damaged, or with more in it than arrays."""


class _ArraysOnly(pickle.Unpickler):
    """Reads numpy arrays in plain containers, and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it wants to run {module}.{name}")
        return _ALLOWED[module, name]


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return tensors by name, of a .pth, .pkl or .safetensors file.

    Raises
    ------
    ModelError
        When the file is missing, holds anything but weights, or is none of these.
    """
    if not path.is_file():
        raise ModelError(f"There is no file {path}.")
    try:
        if path.suffix == ".safetensors":
            with safe_open(str(path), framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        if path.suffix == ".pkl":
            content = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
        return _tensors(content, path)
    except ModelError:
        raise
    except Exception as error:  # damaged files have both readers raise anything at all
        raise NotWeights(
            f"{path} cannot be read as weights ({plain_reason(error, path)}). Only files that hold nothing but "
            "arrays are opened; ask for a file with the weights alone."
        ) from error


def _tensors(content: Any, path: Path) -> dict[str, torch.Tensor]:
    """The state dictionary within a training's checkpoint."""
    for name in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict):
        raise NotWeights(f"{path} holds no weights by name.")
    found = {}
    for name, value in content.items():
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(np.ascontiguousarray(value))
        if isinstance(value, torch.Tensor):
            found[str(name).removeprefix("module.")] = value
    if not found:
        raise NotWeights(f"{path} holds no weights by name.")
    return found


def read_folder_config(path: Path) -> dict[str, Any]:
    """Return the ``config.json`` of a Hugging Face folder.

    Raises
    ------
    ModelError
        When there is none.
    """
    try:
        return dict(json.loads((path / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is no Hugging Face folder: it has no readable config.json.") from error
