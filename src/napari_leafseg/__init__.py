"""napari-leafseg: every leaf of a plant outlined, counted and measured.

Importing the package loads neither torch nor napari; they are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_leafseg.errors import InputFileError, ModelError, ParameterError, ProjectError, UserError
from napari_leafseg.versions import __version__

if TYPE_CHECKING:
    from napari_leafseg.finetuning.session import finetune
    from napari_leafseg.inference.prediction import Prediction
    from napari_leafseg.inference.predictor import Predictor
    from napari_leafseg.inference.tta import TestTimeAugmentation
    from napari_leafseg.models.store.zoo import list_models
    from napari_leafseg.pipelines.evaluate import evaluate_folders as evaluate
    from napari_leafseg.project import Project
    from napari_leafseg.traits import measure


def load_model(
    name: str = "leaf", device: str = "auto", tta: TestTimeAugmentation | None = None, precision: str = "auto"
) -> Predictor:
    """Load a model.

    Parameters
    ----------
    name : str
        A name from `napari-leafseg models`, or the path of a ``.safetensors`` checkpoint.
    device : str
        "auto", "cpu", "cuda" or "mps".
    tta : TestTimeAugmentation, optional
        Test-time augmentation, see `napari_leafseg.inference.tta`.
    precision : str
        "auto" (what the device has), "float32", "bfloat16" or "float16".

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
    return Predictor(network, card, device, tta, precision)


_LAZY = {
    "Prediction": "inference.prediction:Prediction",
    "Predictor": "inference.predictor:Predictor",
    "Project": "project:Project",
    "evaluate": "pipelines.evaluate:evaluate_folders",
    "finetune": "finetuning.session:finetune",
    "list_models": "models.store.zoo:list_models",
    "measure": "traits:measure",
}
_SUBMODULES = (
    "editing", "errors", "finetuning", "inference", "io", "losses", "metrics", "models", "pipelines", "postprocessing",
    "project", "synthetic", "traits", "training",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"napari_leafseg.{name}")
    if name in _LAZY:
        module, _, attribute = _LAZY[name].partition(":")
        return getattr(import_module(f"napari_leafseg.{module}"), attribute)
    raise AttributeError(f"module 'napari_leafseg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_SUBMODULES})


__all__ = [
    "InputFileError",
    "ModelError",
    "ParameterError",
    "Prediction",
    "Predictor",
    "Project",
    "ProjectError",
    "UserError",
    "__version__",
    "evaluate",
    "finetune",
    "list_models",
    "load_model",
    "measure",
]
