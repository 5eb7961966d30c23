"""napari-leafseg: every leaf of a plant outlined, counted and measured.

Importing the package loads neither torch nor napari; they are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_leafseg.inference.predictor import Predictor
    from napari_leafseg.inference.tta import TestTimeAugmentation

try:
    __version__ = version("napari-leafseg")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0.0.0"


def load_model(name: str = "leaf", device: str = "auto", tta: TestTimeAugmentation | None = None) -> Predictor:
    """Load a model.

    Parameters
    ----------
    name : str
        A name from `napari-leafseg models`, or the path of a ``.safetensors`` checkpoint.
    device : str
        "auto", "cpu", "cuda" or "mps".
    tta : TestTimeAugmentation, optional
        Test-time augmentation, see `napari_leafseg.inference.tta`.

    Returns
    -------
    Predictor

    Raises
    ------
    UserError
        When there is no such model or device, or the file is no checkpoint.
    """
    from napari_leafseg.inference.predictor import Predictor
    from napari_leafseg.models.store.zoo import load_network

    network, card = load_network(name)
    return Predictor(network, card, device, tta)


def __getattr__(name: str) -> Any:
    if name in {"io", "metrics", "synthetic", "postprocessing", "models", "traits", "training", "inference"}:
        return import_module(f"napari_leafseg.{name}")
    raise AttributeError(f"module 'napari_leafseg' has no attribute {name!r}")


__all__ = ["__version__", "load_model"]
