"""Which overlays of an experiment are inside of the report, and which are files beside it."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from napari_leafseg.pipelines.report.views import OVERLAYS, view_path

_MOST_INSIDE = {"": 300, "closer": 100}  # images
_LARGEST_INSIDE = {"": 8 * 2**20, "closer": 12 * 2**20}  # bytes of all of them together

View = str | int
"""A data URL; or 1 where it is a file beside the report, 0 where there is none."""


class Views(NamedTuple):
    """The overlays of all images, in their order.

    Attributes
    ----------
    small, closer : list of str or int
        See `View`.
    """

    small: list[View]
    closer: list[View]

    @property
    def beside(self) -> bool:
        """Whether any of them is a file beside the report."""
        return 1 in self.small or 1 in self.closer


def gather_views(place: Path, names: Sequence[str]) -> Views:
    """Take few overlays into the report, and name the files of many.

    Parameters
    ----------
    place : path
        The experiment's folder.
    names : sequence of str
        Of the images.
    """
    return Views(_gather(place, names, ""), _gather(place, names, "closer"))


def _gather(place: Path, names: Sequence[str], kind: str) -> list[View]:
    folder = place / OVERLAYS / kind
    sizes = {}
    if folder.is_dir():
        with os.scandir(folder) as entries:
            sizes = {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
    files = [view_path(place, name, kind) for name in names]
    whole = sum(sizes.get(path.name, 0) for path in files)
    inside = len(names) <= _MOST_INSIDE[kind] and whole <= _LARGEST_INSIDE[kind]
    return [0 if path.name not in sizes else _data_url(path) if inside else 1 for path in files]


def _data_url(path: Path) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"
