"""What a checkpoint says of itself; read without torch and without the weights."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from napari_leafseg.errors import ModelError
from napari_leafseg.models.config import ModelConfig
from napari_leafseg.models.registry import ModelFamily, get_family, parse_config_json
from napari_leafseg.versions import with_new_names

FORMAT = "napari-leafseg 1"
_EARLIER = {"licence": "license", "diameter": "target_diameter", "views": "tta_views", "whole": "whole_image_size"}
EARLIER_DEFAULTS = {"smallest_working": "min_area_working", "piece_certainty": "min_component_confidence"}


@dataclass(frozen=True)
class ModelCard:
    """What a checkpoint says of itself.

    Attributes
    ----------
    name, version : str
        Name of the model and its version.
    config : ModelConfig
        Of its network; names the family.
    defaults : dict
        Default values of the prediction's tunables.
    metrics : dict
        Measured figures.
    provenance : dict
        Training configuration, steps, date, software versions.
    description, license : str
    target_diameter : float
        Diameter of a plant, in pixels, that the network sees best: the working scale aims at it.
    tta_views : int
        At how many flipped and turned images of an image the predictor looks: 1, 2, 4 or 8.
    whole_image_size : int
        Longer side, in pixels, to which the model wants whole images brought; 0 where it wants plants of
        `target_diameter`.
    least_leaf : float
        A typical leaf (the root of the mean area) is to have at least so many pixels at the working scale; 0 where only
        `target_diameter` counts.
    """

    name: str
    version: str
    config: ModelConfig
    defaults: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    description: str = ""
    license: str = "BSD-3-Clause"
    target_diameter: float = 160.0
    tta_views: int = 1
    whole_image_size: int = 0
    least_leaf: float = 0.0

    @property
    def source(self) -> str:
        """Where the weights come from, in a few words."""
        if "imported" in self.provenance:
            return f"the published file {self.provenance['imported']}"
        return str(self.provenance.get("source", ""))

    @property
    def quality(self) -> str:
        """Measured SBD in words, as the lists of models show it; a dash where nothing was measured."""
        places = (("sbd_real", "color"), ("sbd_fluorescence", "fluorescence"), ("sbd_synthetic", "synthetic"))
        found = [f"{self.metrics[key]:.2f} {place}" for key, place in places if key in self.metrics]
        return ", ".join(found) or (f"{self.metrics['sbd']:.2f}" if "sbd" in self.metrics else "–")

    @property
    def family(self) -> ModelFamily:
        """The family of models that it belongs to."""
        return get_family(self.config.kind)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The tunables whose values mean the same in every image."""
        return tuple(spec.name for spec in self.family.parameters if not spec.per_image)


def read_card(path: str | Path) -> ModelCard:
    """Read what a checkpoint says of itself, without its weights.

    Raises
    ------
    ModelError
        When the file is missing, is no checkpoint, or is of another kind of model.
    """
    path = Path(path)
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError as error:
        raise ModelError(
            f"There is no weights file {path}. Check the path, or choose a model from the list."
        ) from error
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is not a napari-leafseg checkpoint (no readable safetensors file: {error}). "
            "Choose a .safetensors file written by napari-leafseg."
        ) from error
    if metadata.get("format") != FORMAT:
        raise ModelError(
            f"{path} is a safetensors file of some other program: it has no napari-leafseg header. "
            "Choose a checkpoint written by napari-leafseg."
        )
    try:
        config = parse_config_json(metadata["config"])
        entries = json.loads(metadata["card"])
        if "mirror" in entries:  # until 0.1.0: the mirror image or not
            entries["tta_views"] = 2 if entries.pop("mirror") else 1
        entries = with_new_names(entries, _EARLIER)
        entries["defaults"] = with_new_names(entries.get("defaults", {}), EARLIER_DEFAULTS)
        entries["provenance"] = with_new_names(entries.get("provenance", {}), {"pictures": "images"})
        return ModelCard(config=config, **entries)
    except (ValidationError, AttributeError, TypeError, KeyError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} holds another kind of model than this version knows. "
            "Update napari-leafseg or choose another model."
        ) from error
