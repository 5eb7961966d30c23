"""What is known of a project's plants: pattern, tables, EXIF, what was typed; one file in the project."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from napari_leafseg._files import read_json, write_atomically
from napari_leafseg.errors import UserError
from napari_leafseg.experiment import Experiment, ImageMetadata, Pattern
from napari_leafseg.experiment.metadata import check_field
from napari_leafseg.project.files import ImageRef, copy_aside

FILE = "experiment.json"
FORMAT = 1
_LAYERS = {"table": "from a table", "exif": "from EXIF", "hand": "typed"}
_LOG = logging.getLogger(__name__)


class Images(Protocol):
    """The images of a project, and where it lies."""

    @property
    def folder(self) -> Path:
        """The project's folder."""

    @property
    def images(self) -> list[ImageRef]:
        """The images."""

    def path_of(self, ref: ImageRef) -> Path:
        """Return where an image is."""


@dataclass
class KeptExperiment:
    """What a project's file says of its images.

    Attributes
    ----------
    experiment : Experiment
    others : dict
        What is known of images that are not in the list, by their names; they may come back.
    problem : str
        What of the file cannot be used, as a sentence; empty where all can.
    writable : bool
        False for the file of a later version, which must stay as it is.
    """

    experiment: Experiment = field(default_factory=Experiment)
    others: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    writable: bool = True


def load_experiment(images: Images) -> KeptExperiment:
    """Read what is known of a project's images; of a damaged file, what can be used.

    A damaged file is kept beside it as it was.
    """
    path = images.folder / FILE
    if not path.exists():
        return KeptExperiment()
    try:
        content = read_json(path)
    except (OSError, UserError) as error:
        copy_aside(path)
        return KeptExperiment(problem=f"{path} is damaged: plants and dates have to be set again. {error}")
    if isinstance(content, dict) and isinstance(content.get("format"), int) and content["format"] > FORMAT:
        return KeptExperiment(
            problem=f"{path} was made by a newer version of napari-leafseg. Plants and dates are neither shown nor "
            "changed; update napari-leafseg to use them.",
            writable=False,
        )
    kept, faults = _understood(content, images)
    if faults:
        copy_aside(path)
        kept.problem = (
            f"{path} has {len(faults)} damaged entries, for example {faults[0]}. They are left out; the file as it was "
            f"is kept as {path.name}.damaged. See whether plants and dates are right."
        )
    return kept


def _understood(content: Any, images: Images) -> tuple[KeptExperiment, list[str]]:
    kept, faults = KeptExperiment(), list[str]()
    if not isinstance(content, dict):
        return kept, ["all of it"]
    pattern = content.get("pattern")
    try:
        kept.experiment.pattern = Pattern.parse(pattern).text if pattern else pattern if pattern in ("", None) else None
    except (UserError, TypeError, AttributeError) as error:
        faults.append(f"the pattern ({error})")
    entries = content.get("images", {})
    if not isinstance(entries, dict):
        return kept, [*faults, "the images"]
    listed = {ref.id: images.path_of(ref) for ref in images.images}
    for name, layers in entries.items():
        if name not in listed:
            kept.others[name] = layers
            continue
        for layer, values in layers.items() if isinstance(layers, dict) else [("", layers)]:
            if layer not in _LAYERS or not isinstance(values, dict):
                faults.append(f"“{name}”")
                continue
            good = {key: text for key, text in values.items() if _usable(key, text)}
            if len(good) < len(values):
                faults.append(f"{sorted(values.keys() - good.keys())[0]!r} of “{name}”")
            if good:
                kept.experiment.layers[layer][listed[name]] = good
    return kept, faults


def _usable(key: Any, text: Any) -> bool:
    try:
        ImageMetadata.from_values({check_field(key): text})
    except (ValueError, TypeError, AttributeError) as error:
        _LOG.debug("%r: %r cannot be used: %s", key, text, error)
        return False
    return isinstance(text, str)


def experiment_content(kept: KeptExperiment, images: Images) -> bytes:
    """Return what the file of a project says of its images."""
    entries = dict(kept.others)
    for ref in images.images:
        path = images.path_of(ref)
        said = {name: layer[path] for name, layer in kept.experiment.layers.items() if layer.get(path)}
        if said:
            entries[ref.id] = said
    content = {"format": FORMAT, "pattern": kept.experiment.pattern, "images": entries}
    return (json.dumps(content, indent=1) + "\n").encode()


def write_experiment(folder: Path, content: bytes) -> None:
    """Write it into a project's folder, whole or not at all."""
    write_atomically(folder / FILE, content)
