"""What a project's folder holds: the list of images, and where everything of an image lies."""

from __future__ import annotations

import logging
import os
import shutil
import unicodedata
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator

from napari_leafseg._entries import Entries
from napari_leafseg._files import UNFINISHED, clear_unfinished, make_folder, read_json, unreserved
from napari_leafseg.errors import InputFileError, ProjectError, UserError, plain_reason
from napari_leafseg.project.lock import GUARD, Lock, ProjectLocked
from napari_leafseg.project.migrate import FORMAT, migrate

_LOG = logging.getLogger(__name__)
Settings = TypeVar("Settings")
State = Literal["new", "in progress", "done"]
OWN_FOLDERS = ("labels", "records", "journal", "predictions")  # written by us alone
ASIDE = "removed"  # what lay in them of images that were taken from the list
_LONGEST = 150  # bytes of a name, so that its files' names are short enough for any disk


class ImageRef(Entries):
    """An image of a project.

    Attributes
    ----------
    id : str
        Name of its files in the project, unique.
    path : str
        Relative to the project where the image lies in it or beside it; else absolute.
    sha256 : str
    state : str
        "new", "in progress" or "done" (everything in it was reviewed).
    region : tuple of int, optional
        Top, left, bottom, right of what was reviewed of an image that is only partly corrected; None = go by leaves.
    """

    id: str
    path: str
    sha256: str = ""
    state: State = "new"
    region: tuple[int, int, int, int] | None = None

    @field_validator("id")
    @classmethod
    def _confined(cls, name: str) -> str:
        """A name, no path: whatever is written of an image stays in the project."""
        odd = any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name)
        if not name.strip() or odd or set(name) & set('/\\:*?"<>|') or name.startswith(".") or len(name.encode()) > 240:
            raise ValueError(f"“{name[:60]!a}” cannot be the name of an image's files")
        return name

    @field_validator("path")
    @classmethod
    def _readable(cls, path: str) -> str:
        if not path or "\0" in path:
            raise ValueError("no path")
        return path


class ProjectFile(Entries):
    """What ``project.json`` holds."""

    format: int = FORMAT
    name: str
    created: str
    software: str = ""
    images: list[ImageRef] = Field([])

    @field_validator("images")
    @classmethod
    def _apart(cls, images: list[ImageRef]) -> list[ImageRef]:
        seen: set[str] = set()
        for ref in images:
            if ref.id.lower() in seen:
                raise ValueError(f"“{ref.id}” is the name of two images")
            seen.add(ref.id.lower())
        return images


def image_place(folder: Path, ref: ImageRef) -> Path:
    """Return where an image of a project is, or was; also where a link leads to the project's folder."""
    place = Path(os.path.normpath(folder / ref.path))
    if ref.path.startswith("..") and not place.exists():
        real = Path(os.path.normpath(folder.resolve() / ref.path))
        return real if real.exists() else place
    return place


def read_project_file(folder: Path) -> tuple[ProjectFile, Any, bool]:
    """Read ``project.json``, of this or an earlier format.

    Returns
    -------
    file : ProjectFile
    entries : object
        As they were read.
    migrated : bool
        Whether they are of an earlier format.

    Raises
    ------
    ProjectError
        When there is none, or it is damaged, of a newer version, or names files outside of the project.
    """
    path = folder / "project.json"
    try:
        entries = read_json(path)
    except FileNotFoundError as error:
        raise ProjectError(f"{folder} holds no project (no project.json). Choose the project's own folder.") from error
    except InputFileError as error:
        raise ProjectError(f"{path} cannot be read: {plain_reason(error, path)}. Restore it from a backup.") from error
    for name in (*OWN_FOLDERS, ASIDE):
        if (folder / name).is_symlink():
            raise ProjectError(f"{folder / name} is a link to another folder. Put the folder itself there.")
    migrated = migrate(entries, folder)
    try:
        return ProjectFile.model_validate(migrated), entries, migrated != entries
    except ValidationError as error:
        raise ProjectError(f"{path} has an entry that does not fit: {plain_reason(error)}.") from error


def read_settings(path: Path, read: Callable[[Path], Settings], default: Settings, again: str) -> Settings:
    """Read a file of a project's folder that need not be there.

    Parameters
    ----------
    path : pathlib.Path
    read : callable
        Makes the settings of the file.
    default : object
        Where there is none.
    again : str
        What has to be done again when it is damaged.

    Raises
    ------
    ProjectError
        When it is damaged.
    """
    if not path.exists():
        return default
    try:
        return read(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError) as error:
        raise ProjectError(f"{path} is damaged. Move it away; {again} again.") from error


def clear_folder(folder: Path) -> None:
    """Delete what was being written when the application died; nothing else."""
    for place in (folder, *(folder / name for name in (*OWN_FOLDERS, ASIDE, "images"))):
        clear_unfinished(place)


def take_unused(folder: Path) -> Lock:
    """Make a folder for a project, or take an empty one, and lock it.

    What is left of a project whose making was cut short counts as empty.

    Raises
    ------
    ProjectError
        When there is something in the folder, or it cannot be written.
    """
    if (folder / "project.json").exists():
        raise ProjectError(f"{folder} holds a project already. Open it, or choose another folder.")
    new, lock = not folder.exists(), Lock(folder)
    if not new and not (folder.is_dir() and all(_is_left_over(path) for path in folder.iterdir())):
        raise ProjectError(f"{folder} is not an empty folder. Choose a new one for the project.")
    try:
        make_folder(folder)
    except OSError as error:
        raise ProjectError(f"Cannot make the folder {folder}: {error.strerror}. Choose another place.") from error
    try:
        lock.take()
    except ProjectLocked:
        raise
    except UserError:
        clear_begun(folder, new)
        raise
    clear_unfinished(folder)
    return lock


def _is_left_over(path: Path) -> bool:
    return path.name in (GUARD, "lock.json") or path.name.endswith(UNFINISHED)


def clear_begun(folder: Path, new: bool) -> None:
    """Leave an unused folder as it was before a project was begun in it that could not be made; none where `new`."""
    try:
        for name in (*OWN_FOLDERS, ASIDE, "images"):
            shutil.rmtree(folder / name, ignore_errors=True)
        clear_unfinished(folder)
        for path in folder.iterdir():
            if path.name == GUARD or path.suffix == ".json":
                path.unlink(missing_ok=True)
        if new:
            folder.rmdir()
    except OSError as error:
        _LOG.warning("Something of %s stays: %s", folder, error)


def folded(name: str) -> str:
    """Return what a name has in common with all that are the same one on some disk, in case or form of its letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def file_name(stem: str, taken: Collection[str] = ()) -> str:
    """Make a name for an image's files.

    Parameters
    ----------
    stem : str
        Anything at all.
    taken : collection of str
        Names that other images have, `folded`.
    """
    stem = unicodedata.normalize("NFC", stem)
    clean = "".join(c if c.isalnum() or c in "-_." else "_" for c in stem).strip(".")
    clean = clean.encode()[:_LONGEST].decode(errors="ignore") or "image"
    clean = unreserved(clean)
    name, number = clean, 2
    while folded(name) in taken:
        name, number = f"{clean}_{number}", number + 1
    return name


def copy_aside(path: Path) -> None:
    """Keep a damaged file as it was, beside it, before it is written anew."""
    try:
        shutil.copyfile(path, path.with_name(f"{path.name}.damaged"))
    except OSError as error:
        _LOG.warning("%s cannot be kept as it was: %s", path, error)
