"""Options that several commands of the command line have, and those of earlier versions."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from napari_leafseg._console import err
from napari_leafseg.errors import UserError
from napari_leafseg.inference.tta import describe_presets
from napari_leafseg.models.parameters import MIN_AREA, check_values, parse_values
from napari_leafseg.models.registry import get_family
from napari_leafseg.models.store.zoo import describe_model

Model = Annotated[str, typer.Option(help="Name of a model (see “models”) or path of a .safetensors checkpoint.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Tta = Annotated[str, typer.Option(help=f"Test-time augmentation: {describe_presets()}.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "-p", "--param", metavar="NAME=VALUE",
        help="A parameter of the model, as often as you like; “models parameters MODEL” lists them.",
    ),
]  # fmt: skip


_OWN_OPTIONS = {"seed_threshold", "angle", "score_threshold", "mask_threshold", "overlap", "min_area"}


def _option(kind: str, name: str) -> Any:
    """Make the option of a parameter that has one of its own, beside --param."""
    family = get_family(kind)
    spec = next(spec for spec in family.settable if spec.name == name)
    if name == MIN_AREA.name:
        return typer.Option(help=f"{spec.label}, pixels of the image; the model's default if left out.")
    which = "query-based" if family.overlapping_masks else family.title
    words = f"{which} models: {spec.label}, {spec.range}; the model's default if left out."
    return typer.Option(help=words)


Seeds = Annotated[float | None, _option("distance_embedding", "seed_threshold")]
Angle = Annotated[float | None, _option("distance_embedding", "angle")]
Score = Annotated[float | None, _option("solov2", "score_threshold")]
MaskThreshold = Annotated[float | None, _option("solov2", "mask_threshold")]
Overlap = Annotated[float | None, _option("solov2", "overlap")]
MinArea = Annotated[float | None, _option("solov2", "min_area")]


def write_value(name: str, value: float) -> str:
    """Write a parameter as it is given on the command line."""
    return f"--{name.replace('_', '-')} {value:g}" if name in _OWN_OPTIONS else f"-p {name}={value:g}"


def given_values(model: str, parameters: list[str] | None, **values: float | None) -> dict[str, float]:
    """Collect the parameters that were given in both ways, checked against what the model has."""
    specs = describe_model(model).family.settable
    named = parse_values(specs, parameters or ())
    found = {name: value for name, value in values.items() if value is not None}
    twice = sorted(named.keys() & found.keys())
    if twice:
        raise UserError(f"The parameter {twice[0]} was given twice.")
    check_values(specs, found | named)
    return found | named


_RENAMED = {"--looks": "--tta", "--whole-masks": "--full-masks", "--framework": "--instance-unique"}


class Command(typer.core.TyperCommand):
    """A command that still understands the options of earlier versions."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        return super().parse_args(ctx, [_today(argument) for argument in args])

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Print the help, with the names of the exchange formats that there are."""
        options = [option for option in self.params if isinstance(option, typer.core.TyperOption)]
        texts = [(option, option.help) for option in options if option.help and "{formats}" in option.help]
        if texts:
            from napari_leafseg.io.exchange.formats import FORMATS

            for option, text in texts:
                option.help = text.replace("{formats}", ", ".join(FORMATS))
        try:
            super().format_help(ctx, formatter)
        finally:
            for option, text in texts:
                option.help = text


def _today(argument: str) -> str:
    """An option's name of today, with a notice."""
    name, equals, value = argument.partition("=")
    if name not in _RENAMED:
        return argument
    err.print(f"[yellow]{name} is called {_RENAMED[name]} now.[/]", highlight=False)
    return f"{_RENAMED[name]}{equals}{value}"
