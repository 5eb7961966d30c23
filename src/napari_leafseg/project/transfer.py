"""Labels into a project and out of it: a folder of masks, and other programs' formats."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from napari_leafseg.errors import InputFileError, ProjectError, UserError
from napari_leafseg.io import find_pairs, read_image, read_labels
from napari_leafseg.io.exchange.formats import (
    FORMATS,
    find_format,
    list_classes,
    read_format,
    readable_suffixes,
    write_format,
)
from napari_leafseg.io.exchange.reading import Reading, leaf_classes
from napari_leafseg.project.export import exportables, labeled
from napari_leafseg.project.intake import ImportIncomplete, Intake
from napari_leafseg.project.store import Project

__all__ = [
    "FORMATS",
    "ImportIncomplete",
    "TransferEvent",
    "export_labels",
    "import_labels",
    "import_masks",
    "label_files",
]


@dataclass(frozen=True)
class TransferEvent:
    """Progress.

    Attributes
    ----------
    done, total : int
        Images or files.
    name : str
        The one at hand.
    notes : tuple of str
        Sentences on the one before: what was not taken in.
    """

    done: int
    total: int
    name: str
    notes: tuple[str, ...] = ()


def import_masks(
    project: Project, folder: str | Path, verified: bool = False, replace: bool = False
) -> Iterator[TransferEvent]:
    """Take images with label images (``plant.png`` and ``plant_label.png``) into a project.

    Parameters
    ----------
    project : Project
    folder : path
        Label images lie beside the images, or in ``labels/`` beside their folder.
    verified : bool
        Whether these leaves are right and are not to be changed by any model.
    replace : bool
        See `import_labels`.

    Raises
    ------
    UserError
        When there is no such pair, or labels do not fit their image; all that fit are taken in.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputFileError(f"{folder} is no folder. Choose the folder that holds the images.")
    pairs = list(find_pairs(folder))
    if not pairs:
        raise InputFileError(
            f"{folder} holds no image with a label image (plant.png with plant_label.png beside it or in ../labels)."
        )
    intake = Intake(project, verified, replace)
    for number, (path, mask) in enumerate(pairs):
        yield TransferEvent(number, len(pairs), path.name, intake.notes())
        try:
            image, labels = read_image(path, project.read_options), read_labels(mask, series=True)
            shape = image.array.shape[: 3 if image.array.ndim == 4 else 2]
            if labels.shape != shape:
                raise InputFileError(f"{mask} is {labels.shape}, but its image {path} is {shape}.")
            intake.take(project.add_known(path, image.sha256), labels, mask)
        except UserError as error:
            intake.failed.append(str(error))
    intake.finish()
    yield TransferEvent(len(pairs), len(pairs), "", intake.notes())


def import_labels(
    project: Project,
    paths: Sequence[str | Path],
    verified: bool = False,
    classes: Collection[str] | None = None,
    replace: bool = False,
    image: str = "",
) -> Iterator[TransferEvent]:
    """Take labels of images that are in the project already, from any format that it writes.

    A COCO, CVAT or LabelMe file names its images; any other file belongs to the image whose name it begins with
    (``plant_label.tif``, ``plant_rois.zip``, ``plant.geojson``). What was there before can be had back by undo. A file
    or image that does not fit is left out, the others are taken in.

    Parameters
    ----------
    project : Project
    paths : sequence of path
        Files, or folders of them.
    verified : bool
        See `import_masks`.
    classes : collection of str, optional
        Names of the classes that are leaves, where a format has classes; chosen by name when left out, see
        `leaf_classes`.
    replace : bool
        Whether labels take the place of others also where there are fewer leaves, much less area, or where verified
        leaves change. Without it such images keep what they have.
    image : str
        Name, in the project, of the image whose labels these are, for files that are named after none.

    Raises
    ------
    ImportIncomplete
        At the end, when something was not taken in: files of another kind or size, images that the project does not
        have, or labels that need `replace`.
    """
    files = label_files(paths)
    if classes is None:
        classes = _leaf_classes(files)
    intake = Intake(project, verified, replace, image)
    intake.foresee(files)
    for number, path in enumerate(files):
        yield TransferEvent(number, len(files), path.name, intake.notes())
        reading = Reading(classes=classes)
        reading.ask(partial(intake.sizes, path, reading))
        try:
            for name, labels in read_format(path, reading):
                intake.take(intake.known[name], labels, path)
        except UserError as error:
            intake.failed.append(str(error))
        intake.tell(path, reading)
    intake.finish()
    yield TransferEvent(len(files), len(files), "", intake.notes())


def _leaf_classes(files: Sequence[Path]) -> set[str] | None:
    """The classes that are leaves, by their names in all files."""
    counts = list_classes(files)
    try:
        return leaf_classes(counts) if counts else None
    except InputFileError as error:
        raise InputFileError(f"{files[0].parent}: {error}.") from error


def label_files(paths: Sequence[str | Path]) -> list[Path]:
    """List files as they are given, folders as the files in and below them that may hold labels, by name; each once.

    Raises
    ------
    InputFileError
        When a folder holds none.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = [item for item in path.rglob("*") if item.suffix.lower() in readable_suffixes() and item.is_file()]
            inside = sorted(item for item in inside if not item.name.startswith("."))
            if any(item.suffix.lower() == ".txt" for item in inside):
                inside = [item for item in inside if item.suffix.lower() not in {".yaml", ".yml"}]
            if not inside:
                raise InputFileError(f"The folder {path} holds no labels ({', '.join(readable_suffixes())}).")
            found.update(dict.fromkeys(inside))
        else:
            found[path] = None
    return list(found)


def export_labels(project: Project, folder: str | Path, fmt: str) -> Iterator[TransferEvent]:
    """Write the labels of all images that have some.

    Parameters
    ----------
    project : Project
        What waits to be written is written first.
    folder : path
    fmt : str
        One of `FORMATS`.

    Raises
    ------
    UserError
        For an unknown format, a series (export its frames as TIFF), or a folder that cannot be written.
    """
    find_format(fmt)
    images = [item for item in exportables(project) if item.labels is not None]
    if not images:
        raise ProjectError(f"The project {project.folder} has no labels to export yet.")
    items = labeled(images, project.read_options)
    for number, name in enumerate(write_format(Path(folder), items, fmt)):
        yield TransferEvent(number, len(items), name)
    yield TransferEvent(len(items), len(items), "")
