"""Families of models: all that the program knows of a kind of network, in one object for each.

The built-in families (in the module ``family`` of each package beside this one), those that installed packages bring
(entry point group ``napari_leafseg.models``), and those that were registered with `register_family`. Listing them loads
no torch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from napari_leafseg._files import parse_json
from napari_leafseg.errors import UserError, plain_reason
from napari_leafseg.models.config import ModelConfig
from napari_leafseg.models.parameters import MIN_AREA, MIN_AREA_WORKING, ParameterSpec

if TYPE_CHECKING:
    from napari_leafseg.models.base import LeafNetwork

GROUP = "napari_leafseg.models"
_FIRST = "distance_embedding"  # checkpoints that name no kind are of this one

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelFamily:
    """A kind of network and all that belongs to it.

    What needs torch is named as ``"module:attribute"`` and loaded when it is first used.

    Attributes
    ----------
    kind : str
        Name in configurations and checkpoints.
    title : str
        In lists.
    config : type of ModelConfig
    builder : str
        Takes a configuration, gives a `napari_leafseg.models.base.LeafNetwork`.
    runner : str
        A `napari_leafseg.inference.tiling.TiledNetwork`: makes regions and predictions of what the network says.
    parameters : tuple of ParameterSpec
        What predictions can be tuned by, the smallest leaf apart, which all have.
    prediction : str, optional
        The `napari_leafseg.inference.prediction.Prediction` that the runner makes; with it, predictions are kept on the
        disk by the ``arrays`` of their regions, and tuned after a restart. None where they are not.
    presets : dict
        Configurations by name, for training.
    overlays : tuple of str
        Names of the layers that explain a prediction, as the window offers them.
    overlapping_masks : bool
        Whether predictions hold masks that overlap.
    instance_unique : bool
        Whether fine-tuning offers instance-unique, equivariant training.
    losses : str, optional
        Takes (network, batch, config, first_only) and gives the weighted losses with their "total"; the network's own
        ``losses(images, labels)`` when None.
    unique_losses : str, optional
        Takes (instance_unique, network, batch, config, step, first_only), gives the weighted losses of training with an
        `napari_leafseg.training.instance_unique.InstanceUniqueLoss`; None where the network cannot be trained so.
    importer : str, optional
        Takes (path, kind, leaf_head, name), gives the network and the card of a published checkpoint.
    """

    kind: str
    title: str
    config: type[ModelConfig]
    builder: str
    runner: str
    parameters: tuple[ParameterSpec, ...] = ()
    prediction: str | None = None
    presets: Mapping[str, ModelConfig] = field(default_factory=dict)
    overlays: tuple[str, ...] = ()
    overlapping_masks: bool = False
    instance_unique: bool = False
    losses: str | None = None
    unique_losses: str | None = None
    importer: str | None = None

    @property
    def settable(self) -> tuple[ParameterSpec, ...]:
        """Everything that may be set by name, the smallest leaf in both ways."""
        return (*self.parameters, MIN_AREA, MIN_AREA_WORKING)

    @property
    def searched(self) -> tuple[ParameterSpec, ...]:
        """What the parameter search varies, beside the smallest leaf."""
        return tuple(spec for spec in self.parameters if spec.search)[:2]

    def tuned(self, defaults: Mapping[str, float]) -> tuple[ParameterSpec, ...]:
        """Give everything that may be set, with a card's defaults."""
        return tuple(replace(spec, default=defaults.get(spec.name, spec.default)) for spec in self.settable)

    def tunables(self, defaults: Mapping[str, float], scale: float) -> tuple[ParameterSpec, ...]:
        """Resolve the parameters for one image.

        Parameters
        ----------
        defaults : dict
            The model's card's.
        scale : float
            Working scale of the image.
        """
        smallest = max(1.0, round(defaults.get(MIN_AREA_WORKING.name, MIN_AREA_WORKING.default) / scale**2))
        own = tuple(replace(spec, default=defaults.get(spec.name, spec.default)) for spec in self.parameters)
        return (*own, replace(MIN_AREA, default=smallest, maximum=max(MIN_AREA.maximum, 40 * smallest)))

    def build(self, config: ModelConfig) -> LeafNetwork:
        """Build the network of a configuration, with random weights."""
        network: LeafNetwork = resolve(self.builder)(config)
        return network


def resolve(name: str) -> Any:
    """Import what ``"module:attribute"`` names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


_registered: dict[str, ModelFamily] = {}


def register_family(family: ModelFamily) -> None:
    """Make a family known to this process; an installed package had better name it as an entry point.

    Raises
    ------
    ValueError
        When another family of this kind is known already.
    """
    if families().get(family.kind, family) != family:
        raise ValueError(f"There is a family of models “{family.kind}” already.")
    _registered[family.kind] = family


def unregister_family(kind: str) -> None:
    """Forget a family that was registered."""
    _registered.pop(kind, None)


def _built_in() -> Iterator[ModelFamily]:
    """Find every `ModelFamily` in ``napari_leafseg.models.*.family``, in the order in which they are written."""
    here = Path(__file__).parent
    for path in sorted(here.glob("*/family.py")):
        module = import_module(f"napari_leafseg.models.{path.parent.name}.family")
        yield from (item for item in vars(module).values() if isinstance(item, ModelFamily))


@cache
def _installed() -> tuple[dict[str, ModelFamily], dict[str, str]]:
    """The built-in families, then those of other packages; and why others are left out, by entry point."""
    found, broken = {family.kind: family for family in _built_in()}, {}
    for point in entry_points(group=GROUP):
        place = f"{point.name} ({point.value})"
        try:
            family = point.load()
        except Exception as error:  # whatever another package's code does, ours goes on
            logger.warning("The model family %s cannot be loaded.", place, exc_info=True)
            broken[place] = plain_reason(error)
            continue
        if not isinstance(family, ModelFamily):
            broken[place] = "it is no family of models"
        elif found.setdefault(family.kind, family) != family:
            broken[place] = f"the kind {family.kind} is taken"
        if place in broken:
            logger.warning("%s: %s.", place, broken[place])
    return found, broken


def families() -> dict[str, ModelFamily]:
    """List all families by kind: built-in, installed, registered."""
    return {**_installed()[0], **_registered}


def broken_families() -> dict[str, str]:
    """Tell why families of other packages are left out, by the name and value of their entry points."""
    return dict(_installed()[1])


def get_family(kind: str) -> ModelFamily:
    """Find a family by its kind.

    Raises
    ------
    UserError
        When there is none.
    """
    found = families()
    if kind not in found:
        raise UserError(
            f"No installed package knows the kind of model “{kind}”. There are: {', '.join(found)}. "
            "Install the package that brings it, or choose another model."
        )
    return found[kind]


def presets() -> dict[str, ModelConfig]:
    """List the configurations that have a name."""
    return {name: config for family in families().values() for name, config in family.presets.items()}


def importers() -> dict[str, ModelFamily]:
    """List the families whose published checkpoints can be imported."""
    return {kind: family for kind, family in families().items() if family.importer}


def load_importer(kind: str) -> Callable[..., Any]:
    """Load the importer of a family.

    Raises
    ------
    UserError
        When there is none.
    """
    found = importers()
    if kind not in found:
        raise UserError(f"Published checkpoints of “{kind}” cannot be imported. Choose one of: {', '.join(found)}.")
    importer: Callable[..., Any] = resolve(str(found[kind].importer))
    return importer


def parse_config(entries: Any) -> ModelConfig:
    """Make a configuration of its entries: of the family that they name.

    Raises
    ------
    ValueError
        When no family has this kind, or entries do not fit.
    """
    if isinstance(entries, ModelConfig):
        return entries
    if not isinstance(entries, Mapping):
        raise ValueError("a model's configuration has entries with names")
    kind = str(entries.get("kind", _FIRST))
    found = families()
    if kind not in found:
        raise ValueError(f"there is no kind of model “{kind}”; there are: {', '.join(found)}")
    return found[kind].config.model_validate(dict(entries))


def parse_config_json(text: str) -> ModelConfig:
    """Read a configuration as a checkpoint holds it; see `parse_config`."""
    return parse_config(parse_json(text))


AnyModelConfig = Annotated[SerializeAsAny[ModelConfig], BeforeValidator(parse_config)]
"""Any model's configuration, as a field of another one."""


def parameter_table() -> str:
    """Write the parameters of all families as a Markdown table, for the documentation."""
    rows: dict[tuple[ParameterSpec, ...], list[str]] = {}
    for family in families().values():
        rows.setdefault(family.parameters, []).append(family.title)
    lines = ["| parameter | models | range | default | what it does |", "|---|---|---|---|---|"]
    shared = [((MIN_AREA, MIN_AREA_WORKING), ["all"])]
    for specs, titles in [*rows.items(), *shared]:
        for spec in specs:
            default = "by the image" if spec.per_image else spec.text(spec.default)
            lines.append(f"| `{spec.name}` | {', '.join(titles)} | {spec.range} | {default} | {spec.help} |")
    return "\n".join(lines) + "\n"
