"""What is known of a project's plants: pattern, tables, EXIF, what was typed; one file in the project."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from napari_leafseg._files import write_atomically
from napari_leafseg.errors import UserError, plain_reason
from napari_leafseg.experiment import Experiment, ImageMetadata, Pattern
from napari_leafseg.experiment.metadata import check_field
from napari_leafseg.project.files import ImageRef, copy_aside
from napari_leafseg.project.kept_file import FORMAT, KeptFile, read_kept

FILE = "experiment.json"
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
class KeptExperiment(KeptFile):
    """What a project's file says of the plants in its images.

    Attributes
    ----------
    experiment : Experiment
    """

    experiment: Experiment = field(default_factory=Experiment)


def load_experiment(images: Images) -> KeptExperiment:
    """Read what is known of a project's images; of a damaged file, what can be used.

    A damaged file is kept beside it as it was.
    """
    path, listed = images.folder / FILE, {ref.id: images.path_of(ref) for ref in images.images}
    newer = "Plants and dates are neither shown nor changed"
    kept = read_kept(path, listed, KeptExperiment(), _understand, "plants and dates", newer)
    if kept.problem and kept.writable:
        copy_aside(path)
    return kept


def _understand(content: Any, listed: Mapping[str, Path], kept: KeptExperiment) -> list[str]:
    faults = list[str]()
    if not isinstance(content, dict):
        return ["all of it"]
    pattern = content.get("pattern")
    try:
        kept.experiment.pattern = Pattern.parse(pattern).text if pattern else pattern if pattern in ("", None) else None
    except (UserError, TypeError, AttributeError) as error:
        faults.append(f"the pattern ({plain_reason(error)})")
    entries = content.get("images", {})
    if not isinstance(entries, dict):
        return [*faults, "the images"]
    pots = content.get("pots", {})
    for pot, values in pots.items() if isinstance(pots, dict) else [("the pots", None)]:
        good = {key: text for key, text in values.items() if _usable(key, text)} if isinstance(values, dict) else {}
        if good != values:
            faults.append(f"“{pot}”")
        if good:
            kept.experiment.pots[str(pot)] = good
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
                faults.append(f"“{sorted(values.keys() - good.keys())[0]}” of “{name}”")
            if good:
                kept.experiment.layers[layer][listed[name]] = good
    return faults


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
    content: dict[str, Any] = {"format": FORMAT, "pattern": kept.experiment.pattern, "images": entries}
    if kept.experiment.pots:
        content["pots"] = kept.experiment.pots
    return (json.dumps(content, indent=1) + "\n").encode()


def write_experiment(folder: Path, content: bytes) -> None:
    """Write it into a project's folder, whole or not at all."""
    write_atomically(folder / FILE, content)
