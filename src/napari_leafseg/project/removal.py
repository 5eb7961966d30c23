"""Images that are taken from a project's list: their labels are put aside, and come back with the image."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from napari_leafseg._files import make_folder, read_regular, sync_folder, write_atomically
from napari_leafseg.errors import ProjectError, UserError
from napari_leafseg.project.files import ASIDE, OWN_FOLDERS, ImageRef, folded

if TYPE_CHECKING:
    from napari_leafseg.project.image_list import ImageList
    from napari_leafseg.project.store import Project

_LOG = logging.getLogger(__name__)
_NOTE = ".image.json"
_LARGEST_NOTE = 2**20  # bytes


def put_aside(project: Project, refs: Iterable[ImageRef]) -> int:
    """Move what the project has of images into its folder ``removed``; nobody has them open.

    Returns
    -------
    int
        Images that had labels.

    Raises
    ------
    ProjectError
        When that cannot be done; nothing is moved then.
    """
    moved = 0
    with project.opening:
        if not project.writer.flush():
            raise ProjectError(f"Nothing is removed while the project cannot be written. {project.writer.error}")
        for ref in refs:
            present = [(source, target) for source, target in _files(project.folder, ref) if source.exists()]
            if not present:
                continue
            project.forget_documents(ref)
            try:
                note = project.folder / ASIDE / f"{ref.id}{_NOTE}"
                write_atomically(note, ref.model_dump_json().encode(), parents=False)
                for source, target in present:
                    source.replace(target)
            except OSError as error:
                settle(project.folder, project.images)
                raise ProjectError(f"The labels of “{ref.id}” cannot be put aside: {error.strerror}.") from error
            moved += 1
        for name in (ASIDE, *OWN_FOLDERS) if moved else ():
            sync_folder(project.folder / name)
    return moved


def removed_images(project: ImageList) -> dict[Path, ImageRef]:
    """List the images whose labels were put aside, by their files."""
    return {project.path_of(ref): ref for ref in _notes(project.folder)}


def bring_back(project: ImageList, ref: ImageRef) -> bool:
    """Move the labels of an image that was removed back; False where another image has its name.

    That they were put aside stays noted until `forget_notes`.
    """
    if any(other.id.lower() == ref.id.lower() for other in project.images):
        return False
    for target, source in _files(project.folder, ref):
        _move(source, target)
    return True


def forget_notes(folder: Path, refs: Iterable[ImageRef]) -> None:
    """Forget that images were removed whose labels are back, and that the list on the disk names."""
    for name in (*OWN_FOLDERS, ASIDE):
        sync_folder(folder / name)
    for ref in refs:
        (folder / ASIDE / f"{ref.id}{_NOTE}").unlink(missing_ok=True)


def settle(folder: Path, images: Iterable[ImageRef]) -> None:
    """Move what was left half-moved by the end of a process: labels are aside where the list does not name their image.

    Raises
    ------
    OSError
        When they cannot be moved.
    """
    listed = {ref.id.lower(): ref for ref in images}
    for ref in _notes(folder):
        there = listed.get(ref.id.lower())
        if there is not None and there.path != ref.path:  # another image has the name, as in earlier versions
            continue
        for beside, aside in _files(folder, ref):
            if there is None:
                _move(beside, aside)
            else:
                _move(aside, beside)
        if there is not None:
            forget_notes(folder, [ref])


def used_names(folder: Path) -> set[str]:
    """List the names, `folded`, under which there is something of an image, listed or not, also aside."""
    found = set()
    for name in (*OWN_FOLDERS, ASIDE):
        for path in (folder / name).glob("*"):
            found.add(folded(path.name.removesuffix(_NOTE)))
            found.add(folded(path.stem))
    return found


def _notes(folder: Path) -> list[ImageRef]:
    """What was noted of images that were removed."""
    found = []
    for note in sorted((folder / ASIDE).glob(f"*{_NOTE}")):
        try:
            found.append(ImageRef.model_validate_json(read_regular(note, _LARGEST_NOTE)))
        except (OSError, UserError, ValidationError) as error:
            _LOG.warning("%s cannot be read: %s", note, error)
    return found


def _move(source: Path, target: Path) -> None:
    if source.exists() and not target.exists():
        make_folder(target.parent, parents=False)
        source.replace(target)


def _files(folder: Path, ref: ImageRef) -> list[tuple[Path, Path]]:
    """Where files of an image lie, and where they are put aside."""
    places = (("labels", ".tif"), ("records", ".json"), ("journal", ".journal"))
    return [(folder / kind / f"{ref.id}{end}", folder / ASIDE / f"{ref.id}{end}") for kind, end in places]
