"""Parameters of models: declared once, read by sliders, batch, command line, parameter search and documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_leafseg._counts import listed
from napari_leafseg.errors import UserError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ParameterSpec:
    """A value that turns a prediction into labels.

    Attributes
    ----------
    name, label, unit, help : str
        Python name; label and unit in the window; a sentence of explanation.
    minimum, maximum, step, default : float
        A model's card may give another default.
    decimals : int
        Digits after the point in the window.
    per_image : bool
        Whether the default depends on the image, so that a value is not to be carried to the next one.
    search : tuple of float
        Values that the parameter search compares. It varies the first two parameters that have any.
    open_ended : bool
        Whether values above `maximum`, the end of the slider, are good as well.
    choices : tuple of str
        What the values 0, 1, … stand for, where they are no measure but a choice.
    refine : callable, optional
        What the parameter does by itself, without the code that makes leaves: takes a leaf's mask, bool (h, w), the
        value, and the mask's pixels per pixel of the image; gives what stays of the mask, nothing where it is no leaf.
    """

    name: str
    label: str
    unit: str
    minimum: float
    maximum: float
    step: float
    default: float
    decimals: int
    help: str
    per_image: bool = False
    search: tuple[float, ...] = ()
    open_ended: bool = False
    choices: tuple[str, ...] = ()
    refine: Callable[[np.ndarray, float, float], np.ndarray] | None = None

    def fits(self, value: float) -> bool:
        """Tell whether a value lies in the range, or is one of the choices."""
        if self.choices:
            return value in range(len(self.choices))
        return self.minimum <= value and (self.open_ended or value <= self.maximum)

    @property
    def range(self) -> str:
        """The range in words, with the unit; or the choices."""
        if self.choices:
            return listed(self.choices, "or")
        unit = f" {self.unit}" if self.unit and self.unit != "°" else self.unit
        if self.open_ended:
            return f"{self.minimum:g}{unit} or more"
        return f"{self.minimum:g} to {self.maximum:g}{unit}"

    def text(self, value: float) -> str:
        """Write a value as people read it."""
        if self.choices and self.fits(value):
            return self.choices[int(value)]
        return f"{value:g}"

    def parse(self, text: str) -> float:
        """Read a value: a number, or the name of a choice.

        Raises
        ------
        ValueError
            For anything else.
        """
        return float(self.choices.index(text)) if text in self.choices else float(text)


MIN_AREA = ParameterSpec(
    "min_area", "Smallest leaf", "px", 0.0, 200.0, 1.0, 16.0, 0,
    "Leaves with fewer pixels of the image are left out.", per_image=True, open_ended=True,
)  # fmt: skip
"""Every family has it; its default depends on the working scale of the image."""

MIN_AREA_WORKING = ParameterSpec(
    "min_area_working", "Smallest leaf at the working scale", "px", 0.0, 200.0, 1.0, 16.0, 0,
    "As min_area, in pixels that the network sees, so that it means the same in every image.", open_ended=True,
)  # fmt: skip
"""The other way to give `MIN_AREA`, for many images."""


def check_values(specs: Iterable[ParameterSpec], values: Mapping[str, float]) -> None:
    """Check values against the parameters that there are.

    Raises
    ------
    UserError
        For an unknown name, a value out of range, or the smallest leaf given in both ways.
    """
    known = {spec.name: spec for spec in specs}
    for name, value in values.items():
        if name not in known:
            raise UserError(f"This model has no parameter “{name}”. It has: {', '.join(known)}.")
        spec = known[name]
        if not spec.fits(value):
            if spec.choices:
                raise UserError(f"{spec.label} must be {spec.range}, not {value:g}.")
            if spec.open_ended:
                raise UserError(f"{spec.label} must be at least {spec.minimum:g}{spec.unit}, not {value:g}.")
            raise UserError(
                f"{spec.label} must lie between {spec.minimum:g} and {spec.maximum:g}{spec.unit}, not {value:g}."
            )
    if MIN_AREA.name in values and MIN_AREA_WORKING.name in values:
        raise UserError("Give min_area (pixels of the image) or min_area_working (of the working scale), not both.")


def describe_parameters(specs: Iterable[ParameterSpec]) -> list[str]:
    """Say in a line each what there is: name, range, default, explanation."""
    return [f"{spec.name} ({spec.range}{_default(spec)}): {spec.help}" for spec in specs]


def _default(spec: ParameterSpec) -> str:
    return "" if spec.per_image else f", default {spec.text(spec.default)}"


def parse_values(specs: Iterable[ParameterSpec], texts: Iterable[str]) -> dict[str, float]:
    """Read values written as ``NAME=VALUE``.

    Raises
    ------
    UserError
        For a text of another form, no number, or what `check_values` refuses; the message lists what there is.
    """
    specs = tuple(specs)
    found: dict[str, float] = {}
    there_is = "\n".join(["This model has:", *describe_parameters(specs)])
    for text in texts:
        name, equals, number = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise UserError(f"“{text}” is no parameter: write NAME=VALUE, like angle=50. {there_is}")
        if name not in {spec.name for spec in specs}:
            raise UserError(f"This model has no parameter “{name}”. {there_is}")
        if name in found:
            raise UserError(f"The parameter {name} was given twice.")
        try:
            found[name] = next(spec for spec in specs if spec.name == name).parse(number)
        except ValueError as error:
            raise UserError(f"“{number}” is no number for the parameter {name}. {there_is}") from error
    check_values(specs, found)
    return found
