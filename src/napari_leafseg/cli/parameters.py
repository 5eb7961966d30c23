"""Options of the command line for the parameters of models and for test-time augmentation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_leafseg.errors import ParameterError, UserError
from napari_leafseg.inference.tta import describe_presets
from napari_leafseg.io import ReadOptions
from napari_leafseg.io.resolution import parse_number
from napari_leafseg.models.parameters import MIN_AREA, ParameterSpec, check_values, parse_values
from napari_leafseg.models.registry import get_family
from napari_leafseg.models.store.zoo import describe_model

Tta = Annotated[str, typer.Option(help=f"Test-time augmentation: {describe_presets()}.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "-p", "--param", metavar="NAME=VALUE",
        help="A parameter of the model, as often as you like; “models parameters MODEL” lists them.",
    ),
]  # fmt: skip


def _number(text: str | float) -> float:
    value = parse_number(text)
    if value is None:
        raise typer.BadParameter(f"“{text}” is no number.")
    return value


PxPerMm = Annotated[
    float | None,
    typer.Option(
        parser=_number,
        metavar="NUMBER",
        help="Pixels a millimeter of images of which no other scale is known; traits are in pixels without any.",
    ),
]
MarkerSize = Annotated[
    float | None,
    typer.Option(
        parser=_number,
        metavar="MM",
        help="Side of the ArUco markers or AprilTags in the images, in millimeters: they say the scale.",
    ),
]
ColorCard = Annotated[bool, typer.Option(help="Correct each image's colors by the color card of 24 patches in it.")]
ColorLimits = Annotated[
    str | None,
    typer.Option(
        help="Hues where yellow and green begin and green ends, 42,65,180; then least saturation and value, 0.15,0.1."
    ),
]
OwnTraits = Annotated[
    list[str] | None,
    typer.Option("--trait", help="Also measure this function of yours, FILE.py:FUNCTION or MODULE:FUNCTION."),
]
TrayFile = Annotated[
    Path | None,
    typer.Option(
        "--tray",
        help="A tray saved from Measure, a project's folder (its trays and scales), or “none”; as before if left out.",
    ),
]
Channels = Annotated[
    str | None,
    typer.Option(
        metavar="R,G,B",
        help="Files of several channels: those that are red, green and blue (3,2,1), or one (4); counted from 1.",
    ),
]
ZPlane = Annotated[
    str, typer.Option("--z", metavar="PLANE", help="z-stacks: a plane, counted from 1, or max for the maximum of all.")
]
LEFT_OUT_CODE = 3
"""Exit code where all that was taken is done, but folders held files that were not taken."""


def read_options(channels: str | None, z: str) -> ReadOptions:
    """Make the options for reading images of what was given."""
    try:
        chosen = None if channels is None else tuple(int(one) for one in channels.replace(" ", "").split(","))
    except ValueError as error:
        raise ParameterError(f"--channels are numbers like 3,2,1 or a single one, not “{channels}”.") from error
    if z != "max" and not z.isdigit():
        raise ParameterError(f"--z is a number counted from 1, or max, not “{z}”.")
    return ReadOptions(chosen, "max" if z == "max" else int(z))


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


def write_value(name: str, value: float, specs: Iterable[ParameterSpec] = ()) -> str:
    """Write a parameter as it is given on the command line; choices by their names where the parameters are given."""
    own = next((spec for spec in specs if spec.name == name and spec.choices), None)
    if own is not None:
        return f"-p {name}={own.text(value)}"
    return f"--{name.replace('_', '-')} {value:g}" if name in _OWN_OPTIONS else f"-p {name}={value:g}"


def given_limits(text: str | None) -> tuple[float, ...] | None:
    """Return limits of colors as numbers.

    Raises
    ------
    ParameterError
        When they are none.
    """
    from napari_leafseg.traits.color import ColorClasses

    if text is None:
        return None
    try:
        limits = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ParameterError(f"“{text}” are no limits of colors. Write numbers, like 42,65,180.") from error
    return ColorClasses.of_limits(*limits).limits


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
