"""What a checkpoint says of itself; read without torch and without the weights."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from napari_leafseg._extras import missing
from napari_leafseg._files import parse_json, write_atomically
from napari_leafseg.errors import ModelError, entry_reason, plain_reason
from napari_leafseg.models.confidence import ConfidenceWeights
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
    calibration : tuple of float or None
        Slope and offset that turn a leaf's raw confidence into the chance that it is right; None where not measured.
    confidence : ConfidenceWeights or None
        How what the maps tell of a leaf is weighed into its confidence; None where that was not fitted.
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
    calibration: tuple[float, float] | None = None
    confidence: ConfidenceWeights | None = None

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
    def lacks(self) -> str:
        """What has to be installed before the model can be used, as a sentence; "" where nothing has."""
        command = missing(self.config.package) if self.config.package else ""
        return f"It needs the package {self.config.package}, which is not installed: {command}." if command else ""

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The tunables whose values mean the same in every image."""
        return tuple(spec.name for spec in self.family.parameters if not spec.per_image)


def card_path(weights: Path) -> Path:
    """Return the path of the card beside a file that holds weights alone, as the bundled models have it."""
    return weights.with_suffix(".json")


def holds_card(path: str | Path) -> bool:
    """Tell whether a checkpoint holds its card, so that it can be sent to somebody as it is."""
    return "card" in _metadata(Path(path))


def check_weights(path: str | Path) -> None:
    """See that weights with a card beside them are those that the card was written for.

    Raises
    ------
    ModelError
        When they are others.
    """
    path = Path(path)
    if holds_card(path):
        return
    wanted = json.loads(card_path(path).read_text(encoding="utf-8")).get("weights", {}).get("sha256")
    if wanted is not None and wanted != hashlib.sha256(path.read_bytes()).hexdigest():
        raise ModelError(
            f"{path} holds other weights than those that its card {card_path(path).name} describes. "
            "Get both files again."
        )


def embed(card: ModelCard) -> dict[str, str]:
    """Write a card as the header of a checkpoint that holds it."""
    about = {name: value for name, value in card.__dict__.items() if name != "config"}
    if card.confidence is None:  # versions before know no such entry
        del about["confidence"]
    else:
        about["confidence"] = card.confidence.model_dump()
    return {"format": FORMAT, "config": card.config.model_dump_json(), "card": json.dumps(about, sort_keys=True)}


def read_card(path: str | Path) -> ModelCard:
    """Read what a checkpoint says of itself, without its weights: in its header, else in the card beside it.

    Raises
    ------
    ModelError
        When the file is missing, is no checkpoint, has no card, is of another kind of model, or its calibration is no
        pair of finite numbers.
    """
    path = Path(path)
    metadata = _metadata(path)
    beside = card_path(path)
    source = path if "card" in metadata else beside
    try:
        if source is path:
            config, entries = metadata["config"], _parsed(metadata["card"], source)
        else:
            entries = _parsed(beside.read_text(encoding="utf-8"), source)
            for document in ("format", "weights", "document"):
                entries.pop(document, None)
            config = json.dumps(entries.pop("config"))
        if "mirror" in entries:  # until 0.1.0: the mirror image or not
            entries["tta_views"] = 2 if entries.pop("mirror") else 1
        entries = with_new_names(entries, _EARLIER)
        entries["defaults"] = with_new_names(entries.get("defaults", {}), EARLIER_DEFAULTS)
        entries["provenance"] = with_new_names(entries.get("provenance", {}), {"pictures": "images"})
        entries["calibration"] = _checked_calibration(entries.get("calibration"), source)
        checked = _check_entries(entries, source)
        return ModelCard(config=parse_config_json(config), **{**entries, "confidence": checked.confidence})
    except OSError as error:
        raise ModelError(
            f"{path} holds weights alone, and its card {beside.name} is not beside it. Put both files into one folder."
        ) from error
    except (ValidationError, AttributeError, TypeError, KeyError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{source} holds another kind of model than this version knows. "
            "Update napari-leafseg or choose another model."
        ) from error


def _parsed(text: str, source: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = parse_json(text)
    except ValueError as error:
        why = plain_reason(error)
        raise ModelError(f"{source} is damaged: its card is no JSON ({why}). Get the file again.") from error
    return found


def write_with_card(source: Path, target: Path, card: ModelCard) -> None:
    """Write a checkpoint's weights, as they are, with a card in one file."""
    with safe_open(str(source), framework="numpy") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    write_atomically(target, save(tensors, embed(card)))


def write_calibration(path: Path, calibration: tuple[float, float]) -> Path:
    """Write a calibration into a model's card, beside the weights or in their header; the weights stay as they are.

    Returns
    -------
    path
        The file that was written.

    Raises
    ------
    ModelError
        As `read_card`; also when the calibration is no pair of finite numbers.
    """
    return _rewrite(path, replace(read_card(path), calibration=_checked_calibration(calibration, path)))


def write_confidence(path: Path, weights: ConfidenceWeights, least: float) -> Path:
    """Write how a model weighs evidence into its card, as `write_calibration`.

    Parameters
    ----------
    path : pathlib.Path
        Of the model's weights.
    weights : ConfidenceWeights
    least : float
        Default of the parameter ``min_confidence``, 0 to 0.95.
    """
    card = read_card(path)
    return _rewrite(path, replace(card, confidence=weights, defaults={**card.defaults, "min_confidence": least}))


def _rewrite(path: Path, card: ModelCard) -> Path:
    """Write what was fitted into a card; everything else in it stays as it is written."""
    if holds_card(path):
        write_with_card(path, path, card)
        return path
    beside = card_path(path)
    entries = json.loads(beside.read_text(encoding="utf-8"))
    words = {name: entries.pop(name) for name in ("weights", "document") if name in entries}
    entries |= {"defaults": card.defaults, "calibration": card.calibration}
    if card.confidence is not None:
        entries["confidence"] = card.confidence.model_dump()
    text = json.dumps({**entries, **words}, indent=1, ensure_ascii=False)
    write_atomically(beside, (text + "\n").encode())
    return beside


class _Entries(BaseModel):
    """What a card holds apart from its configuration and calibration, see `ModelCard`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    version: str
    defaults: dict[str, FiniteFloat] = {}
    metrics: dict[str, FiniteFloat] = {}
    provenance: dict[str, Any] = {}
    description: str = ""
    license: str = ""
    target_diameter: FiniteFloat = Field(160.0, gt=0)
    tta_views: Literal[1, 2, 4, 8] = 1
    whole_image_size: int = Field(0, ge=0)
    least_leaf: FiniteFloat = Field(0.0, ge=0)
    calibration: Any = None
    confidence: ConfidenceWeights | None = None


def _check_entries(entries: dict[str, Any], source: Path) -> _Entries:
    """Refuse a card with entries of a wrong type or range, by name; unknown ones are another version's."""
    try:
        return _Entries.model_validate(entries)
    except ValidationError as error:
        others = ("extra_forbidden", "missing")
        wrong = [entry_reason(item) for item in error.errors() if item["type"] not in others or len(item["loc"]) > 1]
        if not wrong:
            raise
        raise ModelError(f"{source}: an entry of its card does not fit: {wrong[0]}. Get the file again.") from error


def _checked_calibration(value: Any, source: Path) -> tuple[float, float] | None:
    """A card's calibration, as read from JSON."""
    if value is None:
        return None
    numbers = list(value) if isinstance(value, list | tuple) else []
    finite = [number for number in numbers if type(number) in (int, float) and abs(number) <= sys.float_info.max]
    if len(numbers) == len(finite) == 2:
        return float(finite[0]), float(finite[1])
    raise ModelError(
        f"{source}: the calibration in its card must be two finite numbers, slope and offset, not “{value}”. "
        "Get the file again, or fit the calibration anew."
    )


def _metadata(path: Path) -> dict[str, str]:
    """The header of a checkpoint."""
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except FileNotFoundError as error:
        raise ModelError(
            f"There is no weights file {path}. Check the path, or choose a model from the list."
        ) from error
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is not a napari-leafseg checkpoint (no readable safetensors file: {plain_reason(error, path)}). "
            "Choose a .safetensors file written by napari-leafseg."
        ) from error
    if metadata.get("format") != FORMAT:
        raise ModelError(
            f"{path} is a safetensors file of some other program: it has no napari-leafseg header. "
            "Choose a checkpoint written by napari-leafseg."
        )
    return metadata
