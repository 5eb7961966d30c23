"""Traits that others bring: functions of a leaf's mask and its colors, like scikit-image's `extra_properties`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from skimage.measure import regionprops

from napari_leafseg._log import log_error
from napari_leafseg.errors import ParameterError, UserError, plain_reason
from napari_leafseg.traits.dictionary import MEANINGS

_LOG = logging.getLogger(__name__)
GROUP = "napari_leafseg.traits"
TraitFunction = Callable[[np.ndarray, np.ndarray], Any]
"""Takes a leaf's mask, bool (h, w), and its colors, uint8 (h, w, 3), both cut to the leaf; returns a number.

Its name is that of the column; one that ends in ``_px`` or ``_px2`` becomes millimeters with the scale. The first line
of its docstring goes into the data dictionary.
"""
_OF_TABLES = ("trait", "unit", "series", "pot_of_image")  # columns that some tables have
_REGISTERED: dict[str, TraitFunction] = {}


def register_trait(function: TraitFunction) -> TraitFunction:
    """Add a trait that is measured wherever leaves are, in this process; returns the function, as decorators do.

    A package names its functions in the entry points of the group ``napari_leafseg.traits`` instead.

    Raises
    ------
    ParameterError
        When the function's name is that of another column.
    """
    _REGISTERED[_checked(function.__name__)] = function
    return function


def all_traits(named: Iterable[str] = ()) -> dict[str, TraitFunction]:
    """Return the traits of packages, those that were registered, and those that are named, by the columns' names.

    Parameters
    ----------
    named : iterable of str
        See `load_trait`.

    Raises
    ------
    ParameterError
        When one that is named cannot be loaded.
    """
    chosen = {function.__name__: function for function in map(load_trait, named)}
    return {**_of_packages(), **_REGISTERED, **chosen}


@lru_cache(maxsize=1)
def _of_packages() -> dict[str, TraitFunction]:
    found = {}
    for entry in entry_points(group=GROUP):
        try:
            function = entry.load()
            found[_checked(function.__name__)] = function
        except Exception as error:  # another package's code does anything at all
            _LOG.warning("The trait %s cannot be used: %s", entry.value, error)
    return found


def load_trait(text: str) -> TraitFunction:
    """Load a function from ``file.py:function`` or ``package.module:function``.

    Raises
    ------
    ParameterError
        When there is no such file, module or function, or its name is that of another column.
    """
    place, separator, name = text.rpartition(":")
    if not separator or not place:
        raise ParameterError(f"“{text}” names no trait. Write FILE.py:FUNCTION or MODULE:FUNCTION.")
    try:
        module = _module_of(place)
        function = getattr(module, name)
    except Exception as error:  # somebody's code does anything at all
        log_error(error)  # where in somebody's code it is
        raise ParameterError(f"The trait “{text}” cannot be loaded: {plain_reason(error)}.") from error
    if not callable(function):
        raise ParameterError(f"“{name}” in {place} is no function.")
    _checked(name)
    return function if getattr(function, "__name__", None) == name else _called(function, name)


def _called(function: Callable[..., Any], name: str) -> TraitFunction:
    """Something that can be called and has another name or none, as a function of this name."""

    def named(mask: np.ndarray, image: np.ndarray) -> Any:
        return function(mask, image)

    named.__name__, named.__doc__ = name, function.__doc__ if hasattr(function, "__name__") else None
    return named


def whole_place(text: str) -> str:
    """Return how a trait is named from any folder: a file by its whole path."""
    place, separator, name = text.rpartition(":")
    return f"{Path(place).absolute()}:{name}" if separator and place.endswith(".py") else text


def trait_digest(text: str) -> str:
    """Return what changes once a trait's file does, wherever the file lies."""
    place, _, name = text.rpartition(":")
    try:
        if place.endswith(".py"):
            path = Path(place)
        else:
            spec = importlib.util.find_spec(place)
            path = Path("" if spec is None or spec.origin is None else spec.origin)
        return f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    except Exception as error:  # a module that is no file, or one that cannot be loaded, which is told there
        _LOG.debug("No file of the trait %s is known: %s", text, error)
        return text


def _module_of(place: str) -> Any:
    path = Path(place)
    if path.suffix != ".py":
        return importlib.import_module(place)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"leafseg_traits_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _checked(name: str) -> str:
    """The name of a column that is free."""
    short = re.sub(r"_(px2?|mm2?)$", "", name)
    if {name, short} & {*MEANINGS, *_OF_TABLES} or re.match(r"(mean|sd)_", name):
        raise ParameterError(f"A trait cannot be called “{name}”: there is a column of that name. Rename the function.")
    return name


def meaning_of_trait(function: TraitFunction) -> str:
    """Return the first line of a function's docstring."""
    return (function.__doc__ or "").strip().partition("\n")[0] or f"{function.__name__}, a trait of yours"


def measure_extra(
    labels: np.ndarray, image: np.ndarray | None, leaves: Sequence[int], functions: Iterable[TraitFunction]
) -> pd.DataFrame:
    """Measure leaves with others' functions.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (H, W).
    image : numpy.ndarray or None
        uint8 (H, W, 3); black where there is none.
    leaves : sequence of int
        The rows.
    functions : iterable of TraitFunction

    Raises
    ------
    UserError
        When a function fails, or returns what is no number: it names function and leaf.
    """
    colors = np.zeros((*labels.shape, 3), np.uint8) if image is None else image[..., :3]
    columns: dict[str, list[float]] = {function.__name__: [] for function in functions}
    regions = {region.label: region for region in regionprops(labels.astype(np.int32))}
    for function in functions:
        for leaf in leaves:
            region = regions[leaf]
            try:
                value = float(function(region.image.copy(), colors[region.slice].copy()))  # it may write into them
            except Exception as error:  # somebody's code does anything at all
                log_error(error)
                why = plain_reason(error)
                raise UserError(f"The trait “{function.__name__}” cannot be measured on leaf {leaf}: {why}.") from error
            columns[function.__name__].append(value)
    return pd.DataFrame(columns)
