"""Trays and scales of the images of an experiment: which holds for each, from a file, a project or markers."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg._counts import counted, first_few
from napari_leafseg._files import read_json
from napari_leafseg.errors import InputFileError, UserError, plain_reason
from napari_leafseg.experiment import Described, Experiment
from napari_leafseg.experiment.color_correction import ColorCorrection
from napari_leafseg.experiment.metadata import alike
from napari_leafseg.experiment.positions import KnownScale, Positions, Setup, camera_position
from napari_leafseg.experiment.tray import Tray
from napari_leafseg.io import read_image, to_rgb8
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.find import Task
from napari_leafseg.project.positions_file import read_positions
from napari_leafseg.traits.color_card import correct_by_card, find_card
from napari_leafseg.traits.markers import MarkerScale, find_markers, scale_from_markers

_LOG = logging.getLogger(__name__)
_FIRST = 5  # images of a camera position in which a marker for those without one is looked for


def read_tray(source: Path) -> Tray | Positions:
    """Read the tray of a file that was saved from the window, or the trays and scales of a project's folder.

    “none” is no tray and no scale.

    Raises
    ------
    InputFileError
        When it holds neither.
    """
    if str(source) == "none":
        return Positions()
    if source.is_dir():
        found = read_positions(source)
        if not found:
            raise InputFileError(f"The project {source} has no tray and no confirmed scale. Set them in Measure.")
        return found
    try:
        return Tray.from_dict(read_json(source))
    except FileNotFoundError as error:
        raise InputFileError(f"Cannot read the tray {source}: there is no such file.") from error
    except (OSError, UserError) as error:
        raise InputFileError(
            f"{source} is no tray that was saved from Measure ▸ Tray: {plain_reason(error, source)}."
        ) from error


def pots_of(given: Tray | Positions | None) -> list[str]:
    """Name the pots of what `read_tray` read that are not empty."""
    held = Positions({Path(): given}) if isinstance(given, Tray) else given or Positions()
    return held.pot_names()


def unknown_pots(experiment: Experiment, tasks: Sequence[Task]) -> list[str]:
    """Say which pots something is known of that no tray has."""
    if not experiment.pots:
        return []
    trays = {setup: read_setup(json.loads(setup)).tray for setup in {task.setup for task in tasks if task.setup}}
    there = {alike(name) for tray in trays.values() if tray is not None for name in tray.name_of.values()}
    lost = [pot for pot in experiment.pots if alike(pot).rpartition("/")[2] not in there]
    if not lost:
        return []
    are = "is" if len(lost) == 1 else "are"
    return [f"{counted(len(lost), 'pot')} of the table of pots {are} in no tray: {first_few(lost)}."]


def set_up(
    tasks: Sequence[Task], experiment: Experiment, settings: BatchSettings, given: Tray | Positions | None,
    typed: Mapping[str, float] | None = None,
) -> list[Task]:  # fmt: skip
    """Tell each task which tray and scale hold for its image.

    A tray that is given by itself is that of all images. Where markers are looked for, an image without one takes the
    scale of the first of its camera position that has one. A scale that was typed for an image, by the task's name,
    comes first.
    """
    paths = [Path(task.path) for task in tasks]
    own = experiment.describe(paths)
    setups = dict.fromkeys(paths, Setup(given)) if isinstance(given, Tray) else (given or Positions()).setups(own)
    if settings.marker_mm is not None and settings.px_per_mm is None:
        setups = _from_first(setups, own, settings, "scale", _scale_in)
    if settings.color_card:
        setups = _from_first(setups, own, settings, "color", _colors_in)
    typed = typed or {}
    for task, path in zip(tasks, paths, strict=True):
        if task.name in typed:
            setups[path] = replace(setups[path], typed=typed[task.name])
    metric = settings.px_per_mm is None and any(
        setup.typed or setup.scale is not None or (setup.tray is not None and setup.tray.width_mm)
        for setup in setups.values()
    )
    return [task._replace(setup=_written(setups[path], metric)) for task, path in zip(tasks, paths, strict=True)]


def _from_first(
    setups: Mapping[Path, Setup], known: Mapping[Path, Described], settings: BatchSettings, what: str,
    find: Callable[[np.ndarray, Path, BatchSettings], Any],
) -> dict[Path, Setup]:  # fmt: skip
    """Setups with what the first image of each camera position that shows a marker, or a card, says."""
    found = dict(setups)
    positions: dict[tuple[str, ...], list[Path]] = {}
    for path, described in known.items():
        positions.setdefault(camera_position(described), []).append(path)
    for paths in positions.values():
        for path in paths[:_FIRST]:
            try:
                said = find(to_rgb8(_first_frame(read_image(path, settings.reading).array), str(path)), path, settings)
            except UserError as error:  # told where the image is done
                _LOG.info("%s says no %s: %s", path, what, error)
                continue
            found |= {other: replace(found[other], **{what: said}) for other in paths}
            break
    return found


def _scale_in(image: np.ndarray, path: Path, settings: BatchSettings) -> KnownScale:
    found = scale_from_markers(find_markers(image), settings.marker_mm or 0, image.shape)
    return KnownScale(found.px_per_mm, f"{found.source} in {path.name}", (image.shape[0], image.shape[1]))


def _colors_in(image: np.ndarray, path: Path, _settings: BatchSettings) -> ColorCorrection:
    return replace(correct_by_card(find_card(image)).correction, source=f"color card in {path.name}")


def _first_frame(array: Any) -> np.ndarray:
    array = np.asarray(array[0] if array.ndim > 3 or (array.ndim == 3 and array.shape[-1] > 4) else array)
    return array


def _written(setup: Setup, metric: bool) -> str:
    """A setup as a task carries it; empty where nothing is set."""
    content: dict[str, Any] = {}
    if setup.tray is not None:
        content["tray"] = setup.tray.as_dict()
    if setup.scale is not None:
        content["scale"] = setup.scale.as_dict()
    if setup.color is not None:
        content["color"] = setup.color.as_dict()
    if setup.typed is not None:
        content["typed"] = setup.typed
    if metric:
        content["metric"] = True
    return json.dumps(content, sort_keys=True) if content else ""


def setup_of(task: Task) -> tuple[Setup, bool]:
    """Return what holds for a task's image, and whether it must have a scale, as others have one."""
    content = json.loads(task.setup) if task.setup else {}
    return read_setup(content), bool(content.get("metric"))


def read_setup(content: Mapping[str, Any]) -> Setup:
    """Read a setup as tasks and ``batch.json`` have it."""
    kinds: dict[str, Any] = {"tray": Tray, "scale": KnownScale, "color": ColorCorrection}
    found = {name: kind.from_dict(content[name]) for name, kind in kinds.items() if name in content}
    return Setup(**found, typed=content.get("typed"))


def card_colors(image: np.ndarray, path: Path) -> ColorCorrection | None:
    """Return the correction of an image's own color card; None where it has none.

    Raises
    ------
    InputFileError
        When there is a card that cannot be trusted.
    """
    try:
        card = find_card(image)
        return None if card is None else correct_by_card(card).correction
    except UserError as error:
        raise InputFileError(f"{path}: {error}") from error


def marker_scale(image: np.ndarray, labels: np.ndarray, size_mm: float, path: Path) -> MarkerScale | None:
    """Return the scale of an image's own markers where its plants are; None where it has none.

    Raises
    ------
    InputFileError
        When there are markers that cannot be trusted.
    """
    markers = find_markers(image)
    if not markers:
        return None
    places = np.argwhere(labels)
    at = tuple(places.mean(0)) if len(places) else None
    try:
        return scale_from_markers(markers, size_mm, image.shape, at)
    except UserError as error:
        raise InputFileError(f"{path}: {error}") from error
