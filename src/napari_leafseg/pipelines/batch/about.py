"""What an experiment's folder says of it: ``batch.json``, with which settings it was done, and what it knew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from napari_leafseg._entries import Entries
from napari_leafseg._files import read_json
from napari_leafseg.errors import InputFileError, plain_reason
from napari_leafseg.experiment import Experiment
from napari_leafseg.experiment.positions import Positions
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.setups import read_setup


class _Known(Entries):
    """What was known of an image, see `Experiment.layers`."""

    table: dict[str, str] = Field({})
    exif: dict[str, str] = Field({})
    hand: dict[str, str] = Field({})


class _OwnTraits(Entries):
    """What *Measure* said of traits."""

    traits: tuple[str, ...] = Field(())
    color_limits: tuple[float, ...] | None = None


class _About(Entries):
    """What ``batch.json`` has to look like; a later version may say more."""

    model_config = ConfigDict(extra="ignore")

    settings: BatchSettings
    digest: str = ""
    place: str = ""
    files: dict[str, str] = Field({})
    pattern: str | None = None
    known: dict[str, _Known] = Field({})
    pots: dict[str, dict[str, str]] = Field({})
    setups: dict[str, dict[str, Any]] = Field({})
    model: dict[str, Any] = Field({})
    own_traits: _OwnTraits | None = Field(None)


def read_about(place: Path) -> tuple[dict[str, Any], BatchSettings]:
    """Read what an experiment's folder says of it, and its settings.

    Raises
    ------
    InputFileError
        When it holds no experiment, or one that cannot be read.
    """
    if not (place / "batch.json").is_file():
        raise InputFileError(f"{place} holds no measured experiment (batch.json). Choose a batch's folder.")
    about = read_json(place / "batch.json")
    try:
        return about, _About.model_validate(about).settings
    except ValidationError as error:
        raise InputFileError(
            f"{place / 'batch.json'} cannot be used ({plain_reason(error)}). Run the batch again."
        ) from error


def known_before(about: Mapping[str, Any], files: Mapping[str, Path]) -> Experiment:
    """Return what the experiment knew of its plants; `files` by the images' names."""
    kept, said = Experiment(about.get("pattern"), pots=dict(about.get("pots", {}))), about.get("known", {})
    for name, path in files.items():
        for layer, values in said.get(name, {}).items():
            kept.layers[layer][path] = dict(values)
    return kept


def positions_before(about: Mapping[str, Any], files: Mapping[str, Path], known: Experiment) -> Positions:
    """Return which trays, scales and colors held; `files` by the images' names."""
    setups = about.get("setups", {})
    said = {path: read_setup(setups[name]) for name, path in files.items() if name in setups}
    return Positions.of_setups(said, known.describe(list(files.values())))
