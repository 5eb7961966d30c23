"""Images that are taken from a project's list: their labels are put aside, and come back with the image."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from napari_leafseg._files import read_regular, write_atomically
from napari_leafseg.errors import ProjectError
from napari_leafseg.project.files import ImageRef

if TYPE_CHECKING:
    from napari_leafseg.project.image_list import ImageList
    from napari_leafseg.project.store import Project

_LOG = logging.getLogger(__name__)
_ASIDE = "removed"
_NOTE = ".image.json"


def put_aside(project: Project, refs: Iterable[ImageRef]) -> int:
    """Move what the project has of images into its folder ``removed``; nobody has them open.

    Returns
    -------
    int
        Images that had labels.

    Raises
    ------
    ProjectError
        When that cannot be done; what was moved before is named as such.
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
                (project.folder / _ASIDE).mkdir(exist_ok=True)
                note = project.folder / _ASIDE / f"{ref.id}{_NOTE}"
                write_atomically(note, ref.model_dump_json().encode(), parents=False)
                for source, target in present:
                    source.replace(target)
            except OSError as error:
                raise ProjectError(f"The labels of “{ref.id}” cannot be put aside: {error.strerror}.") from error
            moved += 1
    return moved


def removed_images(project: ImageList) -> dict[Path, ImageRef]:
    """List the images whose labels were put aside, by their files."""
    found = {}
    for note in (project.folder / _ASIDE).glob(f"*{_NOTE}"):
        try:
            ref = ImageRef.model_validate_json(read_regular(note))
        except (OSError, ValidationError) as error:
            _LOG.warning("%s cannot be read: %s", note, error)
            continue
        found[project.path_of(ref)] = ref
    return found


def bring_back(project: ImageList, ref: ImageRef, taken: Collection[str]) -> bool:
    """Move the labels of an image that was removed back; False where another image has its name now."""
    if ref.id.lower() in taken:
        return False
    for target, source in _files(project.folder, ref):
        if source.exists() and not target.exists():
            target.parent.mkdir(exist_ok=True)
            source.replace(target)
    (project.folder / _ASIDE / f"{ref.id}{_NOTE}").unlink()
    return True


def _files(folder: Path, ref: ImageRef) -> list[tuple[Path, Path]]:
    """Where files of an image lie, and where they are put aside."""
    places = (("labels", ".tif"), ("records", ".json"), ("journal", ".journal"))
    return [(folder / kind / f"{ref.id}{end}", folder / _ASIDE / f"{ref.id}{end}") for kind, end in places]
