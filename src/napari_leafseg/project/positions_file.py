"""Trays and scales of a project's camera positions; one file in the project."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import ProjectError, UserError
from napari_leafseg.experiment.color_correction import ColorCorrection
from napari_leafseg.experiment.positions import KnownScale, Positions
from napari_leafseg.experiment.tray import Tray
from napari_leafseg.project.corrections import read_list
from napari_leafseg.project.files import copy_aside
from napari_leafseg.project.image_list import ImageList
from napari_leafseg.project.kept_file import FORMAT, KeptFile, read_kept

FILE = "positions.json"
_READ: dict[str, Any] = {"tray": Tray.from_dict, "scale": KnownScale.from_dict, "color": ColorCorrection.from_dict}
_LOG = logging.getLogger(__name__)


@dataclass
class KeptPositions(KeptFile):
    """What a project's file says of its camera positions.

    Attributes
    ----------
    positions : Positions
    """

    positions: Positions = field(default_factory=Positions)


def load_positions(images: ImageList) -> KeptPositions:
    """Read the trays and scales of a project; of a damaged file, what can be used.

    A damaged file is kept beside it as it was.
    """
    path = images.folder / FILE
    kept = _load(path, {ref.id: images.path_of(ref) for ref in images.images})
    if kept.problem and kept.writable:
        copy_aside(path)
    return kept


def read_positions(folder: Path, files: Iterable[Path] = ()) -> Positions:
    """Read the trays and scales of a project that need not be open; for `files`, see `read_list`.

    Raises
    ------
    ProjectError
        When there is no project, or its file of positions is damaged or newer.
    """
    images = read_list(folder, files)
    kept = _load(images.folder / FILE, {ref.id: images.path_of(ref) for ref in images.images})
    if kept.problem:
        raise ProjectError(kept.problem)
    return kept.positions


def _load(path: Path, listed: Mapping[str, Path]) -> KeptPositions:
    """What a file says, given where the images of the list are, by their names."""
    newer = "Trays and confirmed scales are neither used nor changed"
    return read_kept(path, listed, KeptPositions(), _understand, "trays and scales", newer)


def _understand(content: Any, listed: Mapping[str, Path], kept: KeptPositions) -> list[str]:
    faults = list[str]()
    entries = content.get("images", {}) if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        return ["all of it"]
    layers = _layers(kept.positions)
    for name, entry in entries.items():
        if name not in listed:
            kept.others[name] = entry
            continue
        for kind, said in entry.items() if isinstance(entry, dict) else [("", entry)]:
            try:
                layers[kind][listed[name]] = _READ[kind](said)
            except (KeyError, UserError) as error:
                _LOG.info("%s of %s cannot be used: %s", kind, name, error)
                faults.append(f"{kind or 'what is said'} of “{name}”")
    return faults


def _layers(positions: Positions) -> dict[str, dict[Path, Any]]:
    """What is kept image by image, by the names that the file gives it."""
    return {"tray": positions.trays, "scale": positions.scales, "color": positions.colors}


def positions_content(kept: KeptPositions, images: ImageList) -> bytes:
    """Return what the file of a project says of its camera positions."""
    entries = dict(kept.others)
    for ref in images.images:
        path = images.path_of(ref)
        said = {name: layer[path].as_dict() for name, layer in _layers(kept.positions).items() if path in layer}
        if said:
            entries[ref.id] = said
    return (json.dumps({"format": FORMAT, "images": entries}, indent=1) + "\n").encode()


def write_positions(folder: Path, content: bytes) -> None:
    """Write it into a project's folder, whole or not at all."""
    write_atomically(folder / FILE, content)
