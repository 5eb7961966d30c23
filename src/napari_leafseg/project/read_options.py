"""How a project's images are read that hold several channels or planes; one file in the project."""

from __future__ import annotations

import json
from pathlib import Path

from napari_leafseg._files import read_json, write_atomically
from napari_leafseg.io import ReadOptions
from napari_leafseg.project.files import read_settings

FILE = "channels.json"


def load_read_options(folder: Path) -> ReadOptions:
    """Read what was chosen for a project's images; the defaults where nothing was.

    Raises
    ------
    ProjectError
        When the file is damaged.
    """
    again = "channels and planes have to be chosen"
    return read_settings(folder / FILE, _read, ReadOptions(), again)


def _read(path: Path) -> ReadOptions:
    content = read_json(path)
    chosen = {int(count): tuple(channels) for count, channels in content["channels"].items()}
    return ReadOptions(z=content["z"], by_count=chosen)


def save_read_options(folder: Path, options: ReadOptions) -> None:
    """Write what was chosen into a project's folder, whole or not at all."""
    channels = {str(count): list(chosen) for count, chosen in options.by_count.items()}
    write_atomically(folder / FILE, (json.dumps({"channels": channels, "z": options.z}) + "\n").encode())
