"""Projects that go on in another folder: for when the disk is full or gone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari_leafseg._files import read_regular, write_atomically
from napari_leafseg.errors import ProjectError, UserError, plain_reason
from napari_leafseg.project.document import Document
from napari_leafseg.project.experiment_file import FILE as EXPERIMENT_FILE
from napari_leafseg.project.files import ASIDE, OWN_FOLDERS, ImageRef, clear_begun
from napari_leafseg.project.measurement_settings import FILE as MEASUREMENT_FILE
from napari_leafseg.project.positions_file import FILE as POSITIONS_FILE
from napari_leafseg.project.read_options import FILE as READ_OPTIONS_FILE
from napari_leafseg.project.recent_projects import remember_project
from napari_leafseg.project.write_job import Job
from napari_leafseg.project.writer import Item

if TYPE_CHECKING:
    from napari_leafseg.project.store import Project


class CopyEvent(NamedTuple):
    """Progress: images done and in all, the one at hand, and at the end the new project, open."""

    done: int
    total: int
    name: str
    project: Project | None = None


def copy_elsewhere(
    project: Project, folder: str | Path, documents: Mapping[str, Document], name: str = "", predictions: bool = True
) -> Iterator[CopyEvent]:
    """Write a whole project to another folder, with what is in memory.

    It may be stopped after any event but the last: nothing is left in the folder then. Nobody may edit meanwhile.

    Parameters
    ----------
    project : Project
        Stays as it is.
    folder : path
        New or empty.
    documents : dict
        Open documents by the images' names: at the end they are written there. The others are copied as they are on
        the disk, with what still waits to be written.
    name : str
        The new project's; the same when empty.
    predictions : bool
        Whether what networks said is copied too.

    Raises
    ------
    ProjectError
        When the folder is not empty or cannot be written.
    """
    folder = Path(folder).absolute()
    if folder.is_relative_to(project.folder):
        raise ProjectError(f"{folder} is inside of the project {project.folder}. Choose a folder outside of it.")
    new, other = not folder.exists(), type(project).begin(folder, name or project.file.name)
    before = [(document, document.write, document.number) for document in documents.values()]
    whole = False
    try:
        with project.writer.held() as waiting:
            if project.writer.stalled:  # nothing can be read there
                _list_unwritten(project, other, documents, waiting)
            else:
                yield from _copy_files(project, other, documents, predictions)
            yield CopyEvent(len(project.images), len(project.images), "")
            for item in waiting:
                if isinstance(item.job, Job) and item.job.name not in documents:
                    other.writer.put(Job(item.job.work, other, item.job.name), item.key, item.group)
        for ref in other.images:
            if ref.id in documents:
                other.adopt(ref, documents[ref.id])
        if not other.writer.flush():
            raise ProjectError(other.writer.error or f"Cannot write to {folder} in time.")
        other.save_list()  # last: a copy that was cut short is no project
        whole = True
    except (OSError, UserError) as error:
        raise ProjectError(f"The project cannot be saved in {folder}: {plain_reason(error)}.") from error
    finally:
        if not whole:
            for document, write, number in before:
                document.go_on(write, number)
            other.writer.drop()
            other.close()
            clear_begun(folder, new)
    remember_project(folder)
    yield CopyEvent(len(project.images), len(project.images), "", other)


def _list_unwritten(project: Project, other: Project, documents: Collection[str], waiting: Collection[Item]) -> None:
    """List the images of which something is in memory alone, and touch no file of the project."""
    names = {*documents, *(item.job.name for item in waiting if isinstance(item.job, Job))}
    other.images.extend(
        ref.model_copy(update={"path": str(project.path_of(ref))}) for ref in project.images if ref.id in names
    )


def _copy_files(project: Project, other: Project, documents: Collection[str], predictions: bool) -> Iterator[CopyEvent]:
    """Copy a project into a new one, but for the labels of the images named."""
    lost, total = 0, len(project.images)
    for number, ref in enumerate(project.images):
        yield CopyEvent(number, total, ref.id)
        path = project.path_of(ref)
        moved = ref.model_copy(update={"path": str(path)})
        if path.is_relative_to(project.folder):
            moved.path = path.relative_to(project.folder).as_posix()
            if path.is_file():
                write_atomically(other.path_of(moved), read_regular(path))
        other.images.append(moved)
        kept = project.predictions.path(ref.id)
        if predictions and kept.is_file():
            write_atomically(other.predictions.path(moved.id), read_regular(kept))
        if ref.id not in documents:
            found = _copy_labels(project, other, ref)
            lost += ref.state != "new" and not found
    _copy_aside(project.folder, other.folder)
    for name in (MEASUREMENT_FILE, READ_OPTIONS_FILE, EXPERIMENT_FILE, POSITIONS_FILE):
        if (project.folder / name).is_file():
            write_atomically(other.folder / name, read_regular(project.folder / name))
    if lost:
        project.notice(
            f"The labels of {lost} images that are not open could not be copied from {project.folder}: they are no "
            "longer there."
        )


def _copy_aside(folder: Path, target: Path) -> None:
    """Copy what belongs to no image of the list, or was put aside: it may be all there is of somebody's work."""
    for path in sorted((folder / ASIDE).glob("*")):
        if path.is_file() and not path.is_symlink():
            write_atomically(target / ASIDE / path.name, read_regular(path))
    for place in OWN_FOLDERS:
        for ending in ("damaged", "replaced"):
            for path in sorted((folder / place).glob(f"*.{ending}*")):
                if path.is_file() and not path.is_symlink():
                    write_atomically(target / place / path.name, read_regular(path))


def _copy_labels(project: Project, other: Project, ref: ImageRef) -> bool:
    """Copy labels, record and journal of an image; False where there is none of them."""
    found = False
    for place in (type(project).labels_path, type(project).record_path, type(project).journal_path):
        source = place(project, ref)
        if source.is_file():
            write_atomically(place(other, ref), read_regular(source))
            found = True
    return found
