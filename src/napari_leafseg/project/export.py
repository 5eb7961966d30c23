"""Labels of chosen images in several formats at once, with a count of what was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from napari_leafseg._counts import counted
from napari_leafseg.errors import ParameterError, UserError
from napari_leafseg.io import ReadOptions
from napari_leafseg.io.exchange.formats import Labeled, find_format, write_format
from napari_leafseg.io.exchange.names import file_names, relative_names
from napari_leafseg.project.store import Project

Scope = Literal["all", "reviewed", "this"]


class Exportable(NamedTuple):
    """An image that may be exported.

    Attributes
    ----------
    name : str
        Unique.
    path : pathlib.Path
        The image's file; its name alone where it has none.
    labels : callable, optional
        Reads the labels; None where there are none.
    reviewed : bool
    """

    name: str
    path: Path
    labels: Callable[[], np.ndarray] | None
    reviewed: bool = False


@dataclass(frozen=True)
class ExportEvent:
    """Progress; the last event tells what was written and left out.

    Attributes
    ----------
    done, total : int
        Images, in each format.
    name : str
        The one at hand.
    written : int
        Images that were written in one format at least.
    left_out : tuple of str
        Sentences.
    """

    done: int
    total: int
    name: str = ""
    written: int = 0
    left_out: tuple[str, ...] = ()


def exportables(project: Project) -> list[Exportable]:
    """Return the images of a project; what waits to be written is written first."""
    project.catch_up()
    return [
        Exportable(ref.id, project.path_of(ref), partial(project.read_labels, ref) if has_labels else None,
                   ref.state == "done")
        for ref in project.images for has_labels in (project.labels_path(ref).exists(),)
    ]  # fmt: skip


def labeled(images: Sequence[Exportable], reading: ReadOptions) -> list[Labeled]:
    """Return images with labels as formats take them, under unique names."""
    names = relative_names([item.path for item in images])
    files = file_names(names, [item.name for item in images])
    return [
        Labeled(file, name, item.labels, item.path, reading)
        for file, name, item in zip(files, names, images, strict=True)
        if item.labels is not None
    ]


def export_images(
    images: Sequence[Exportable], folder: Path, formats: Sequence[str], reviewed_only: bool, reading: ReadOptions
) -> Iterator[ExportEvent]:
    """Write labels in one format or several; of several, each has a folder of its own.

    It may be stopped after any event; files that were written stay.

    Parameters
    ----------
    images : sequence of Exportable
    folder : pathlib.Path
        Made where it does not exist.
    formats : sequence of str
        Names of `FORMATS`.
    reviewed_only : bool
    reading : ReadOptions

    Raises
    ------
    UserError
        For an unknown format, no image to export, or a folder that cannot be written. An image that cannot be read, or
        that a format cannot hold, is left out and told of at the end.
    """
    wanted = [item for item in images if item.labels is not None and (item.reviewed or not reviewed_only)]
    bare = sum(item.labels is None for item in images)
    reasons = [
        f"{counted(count, 'image')} {why}"
        for count, why in ((bare, "without leaves"), (len(images) - bare - len(wanted), "not reviewed yet"))
        if count
    ]
    if not wanted:
        raise ParameterError(f"There is nothing to export: {', '.join(reasons) or 'no images'}.")
    items, total, written = labeled(wanted, reading), len(wanted) * len(formats), set[str]()
    for turn, name in enumerate(formats):
        failed: dict[str, UserError] = {}
        place = folder / find_format(name).name if len(formats) > 1 else folder
        for number, image in enumerate(write_format(place, items, name, failed)):
            yield ExportEvent(turn * len(wanted) + number, total, image)
        written |= {item.name for item in items} - set(failed)
        reasons += [f"“{image}” as {find_format(name).title}: {error}" for image, error in failed.items()]
    yield ExportEvent(total, total, "", len(written), tuple(reasons))
