"""Trays and scales of the images of an experiment: which holds for each, from a file, a project or markers."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_leafseg._files import read_json
from napari_leafseg.errors import InputFileError, UserError
from napari_leafseg.experiment import Described
from napari_leafseg.experiment.positions import KnownScale, Positions, Setup, camera_position
from napari_leafseg.experiment.tray import Tray
from napari_leafseg.io import read_image, to_rgb8
from napari_leafseg.pipelines.batch.config import BatchSettings
from napari_leafseg.pipelines.batch.find import Task
from napari_leafseg.project.positions_file import read_positions
from napari_leafseg.traits.markers import MarkerScale, find_markers, scale_from_markers

_LOG = logging.getLogger(__name__)
_FIRST = 5  # images of a camera position in which a marker for those without one is looked for


def read_tray(source: Path) -> Tray | Positions:
    """Read the tray of a file that was saved from the window, or the trays and scales of a project's folder.

    Raises
    ------
    InputFileError
        When it holds neither.
    """
    if source.is_dir():
        found = read_positions(source)
        if not found.trays and not found.scales:
            raise InputFileError(f"The project {source} has no tray and no confirmed scale. Set them in Measure.")
        return found
    try:
        return Tray.from_dict(read_json(source))
    except FileNotFoundError as error:
        raise InputFileError(f"Cannot read the tray {source}: there is no such file.") from error
    except (OSError, UserError) as error:
        raise InputFileError(f"{source} is no tray that was saved from Measure ▸ Tray: {error}") from error


def set_up(
    tasks: Sequence[Task], known: Mapping[Path, Described], settings: BatchSettings, given: Tray | Positions | None
) -> list[Task]:
    """Tell each task which tray and scale hold for its image.

    A tray that is given by itself is that of all images. Where markers are looked for, an image without one takes the
    scale of the first of its camera position that has one.
    """
    paths = [Path(task.path) for task in tasks]
    own = {path: known.get(path, Described()) for path in paths}
    setups = dict.fromkeys(paths, Setup(given)) if isinstance(given, Tray) else (given or Positions()).setups(own)
    if settings.marker_mm is not None and settings.px_per_mm is None:
        setups = _with_markers(setups, own, settings)
    metric = settings.px_per_mm is None and any(
        setup.scale is not None or (setup.tray is not None and setup.tray.width_mm) for setup in setups.values()
    )
    return [task._replace(setup=_written(setups[path], metric)) for task, path in zip(tasks, paths, strict=True)]


def _with_markers(
    setups: Mapping[Path, Setup], known: Mapping[Path, Described], settings: BatchSettings
) -> dict[Path, Setup]:
    """Setups with the scale of the first image of each camera position that shows a marker."""
    found = dict(setups)
    positions: dict[tuple[str, ...], list[Path]] = {}
    for path, described in known.items():
        positions.setdefault(camera_position(described), []).append(path)
    for paths in positions.values():
        scale = _first_scale(paths[:_FIRST], settings)
        for path in paths if scale is not None else ():
            found[path] = Setup(setups[path].tray, scale)
    return found


def _first_scale(paths: Sequence[Path], settings: BatchSettings) -> KnownScale | None:
    for path in paths:
        try:
            image = to_rgb8(_first_frame(read_image(path, settings.reading).array), str(path))
            found = scale_from_markers(find_markers(image), settings.marker_mm or 0, image.shape)
        except UserError as error:  # told where the image is done
            _LOG.info("%s says no scale: %s", path, error)
            continue
        return KnownScale(found.px_per_mm, f"{found.source} in {path.name}", (image.shape[0], image.shape[1]))
    return None


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
    if metric:
        content["metric"] = True
    return json.dumps(content, sort_keys=True) if content else ""


def setup_of(task: Task) -> tuple[Setup, bool]:
    """Return what holds for a task's image, and whether it must have a scale, as others have one."""
    content = json.loads(task.setup) if task.setup else {}
    tray, scale = content.get("tray"), content.get("scale")
    return Setup(
        None if tray is None else Tray.from_dict(tray), None if scale is None else KnownScale.from_dict(scale)
    ), bool(content.get("metric"))


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
