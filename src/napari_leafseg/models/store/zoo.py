"""The models that there are: bundled ones and the user's own."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_leafseg._files import data_folder, resource_folder
from napari_leafseg.errors import ModelError, UserError
from napari_leafseg.models.registry import families
from napari_leafseg.models.store.model_card import ModelCard, read_card

if TYPE_CHECKING:
    from napari_leafseg.models.build import Network

_LOG = logging.getLogger(__name__)

ENDING = ".safetensors"
_RENAMED = {("leaf", "2026.11.25"): "leaf-small"}  # the same weights under a new name


def user_folder() -> Path:
    """Tell where the user's own models lie."""
    return data_folder() / "models"


def list_models() -> dict[str, Path]:
    """Return names and weights files: bundled models first, then the user's; needs no torch."""
    found: dict[str, Path] = {}
    for folder in (resource_folder() / "models", user_folder()):
        if folder.is_dir():
            for path in sorted(folder.glob(f"*{ENDING}"), key=_place):
                found.setdefault(path.stem, path)
    return found


def _place(path: Path) -> tuple[int, str]:
    """Order models by their families, then by name; files that cannot be read come last."""
    order = list(families())
    try:
        status = path.stat()
    except OSError as error:
        _LOG.warning("The model %s is listed last: %s", path, error)
        return len(order), path.stem
    kind = _kind(path, status.st_size, status.st_mtime_ns)
    return order.index(kind) if kind in order else len(order), path.stem


@lru_cache(maxsize=256)
def _kind(path: Path, size: int, changed: int) -> str | None:
    """The kind of a model's file, of this size and time of change."""
    try:
        return read_card(path).config.kind
    except UserError as error:
        _LOG.warning("%s", error)
        return None


def find_model(name: str) -> Path:
    """Return the weights file of a model's name, or the path itself when `name` is one.

    Raises
    ------
    ModelError
        When there is no such model.
    """
    found = list_models()
    if name in found:
        return found[name]
    path = Path(name)
    if path.suffix or path.exists():
        return path
    raise ModelError(
        f"There is no model “{name}”. There are: {', '.join(found) or 'none'}; or give the path of a {ENDING} file."
    )


def present_name(name: str, version: str) -> str:
    """Return the name that a version of a bundled model has today: its own, unless other weights took it over."""
    return _RENAMED.get((name, version), name)


def describe_model(name: str) -> ModelCard:
    """Return a model's card, without loading its weights or torch."""
    return read_card(find_model(name))


def load_network(name: str) -> tuple[Network, ModelCard]:
    """Load a model's network and card.

    Raises
    ------
    ModelError
        When there is no such model or the file is no checkpoint.
    """
    from napari_leafseg.models.store.checkpoint import load_checkpoint

    return load_checkpoint(find_model(name))
