"""Which files of a folder are images, and what is said of the others."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_leafseg._counts import first_few
from napari_leafseg.errors import InputFileError
from napari_leafseg.io.image_formats import IMAGE_ENDINGS, is_image_inside, reason_left_out
from napari_leafseg.io.lazy import is_zarr

_LOG = logging.getLogger(__name__)

LABEL_SUFFIX = "_label"
_LONGEST = 150  # bytes of a name
_SYSTEM = {"thumbs.db", "desktop.ini", "ehthumbs.db"}


@dataclass
class FoundImages:
    """The images of files and folders.

    Attributes
    ----------
    paths : list of pathlib.Path
    left_out : dict
        From a reason to the files of folders that were not taken although they may be images.
    """

    paths: list[Path] = field(default_factory=list)
    left_out: dict[str, list[Path]] = field(default_factory=dict)

    def extend(self, other: FoundImages) -> None:
        """Take what others were found; each image once."""
        self.paths = list(dict.fromkeys([*self.paths, *other.paths]))
        for reason, files in other.left_out.items():
            known = self.left_out.setdefault(reason, [])
            known.extend(file for file in files if file not in known)

    def sentence(self) -> str:
        """Say what was left out and why, in one line; empty where nothing was."""
        parts = []
        for reason, files in self.left_out.items():
            parts.append(f"{first_few([_shown(file.name) for file in files])} ({reason})")
        return f"Not taken: {'; '.join(parts)}." if parts else ""


def is_image(path: Path) -> bool:
    """Tell whether a file's ending is one of an image's, and it is no label image of ours."""
    return (
        path.suffix.lower() in IMAGE_ENDINGS and not path.stem.endswith(LABEL_SUFFIX) and not path.name.startswith(".")
    )


def find_images(paths: Iterable[str | Path], without: Sequence[Path] = ()) -> FoundImages:
    """Find files as they are given, folders as the images in them, by name; each once.

    Parameters
    ----------
    paths : iterable of path
    without : sequence of path
        Folders of which nothing is taken: where results are written.

    Raises
    ------
    InputFileError
        When a path does not exist, is a pipe or device, or a folder holds no image.
    """
    found = FoundImages()
    taken: dict[Path, None] = {}
    for path in map(Path, paths):
        kind = _kind(path)
        if kind == "file" or is_zarr(path):
            taken[path] = None
        elif kind == "folder":
            taken.update(dict.fromkeys(_look_into(path, found, without)))
        else:
            raise InputFileError(f"{_shown(path)} is {kind}. Choose an image file or a folder.")
    found.paths = list(taken)
    return found


def list_images(paths: Iterable[str | Path]) -> list[Path]:
    """Return what `find_images` finds, the paths alone."""
    return find_images(paths).paths


def _shown(name: str | Path) -> str:
    """A name that can be printed: one that is not in UTF-8 has letters that cannot."""
    return str(name).encode(errors="replace").decode()


def _kind(path: Path) -> str:
    """What a path is: "file", "folder", or words for what cannot be read."""
    if _shown(path) != str(path):
        return "a file whose name is not in UTF-8, rename it"
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        if path.is_symlink():
            return f"a link to {os.readlink(path)}, which is not there"
        raise InputFileError(f"There is no file {path}. Check the path.") from error
    except (OSError, ValueError) as error:
        raise InputFileError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error
    if stat.S_ISREG(mode):
        return "file"
    return "folder" if stat.S_ISDIR(mode) else "a pipe or device, not a file"


def _look_into(folder: Path, found: FoundImages, without: Sequence[Path]) -> list[Path]:
    try:
        items = sorted(folder.iterdir())
    except OSError as error:
        raise InputFileError(f"Cannot look into the folder {folder}: {error.strerror}.") from error
    images = []
    for item in items:
        if item.name.startswith(".") or item.name.lower() in _SYSTEM:
            continue
        if is_zarr(item):
            images.append(item)
            continue
        try:
            kind = _kind(item)
        except InputFileError:
            _LOG.debug("%s cannot be read.", item, exc_info=True)
            kind = "it cannot be read"
        if kind == "folder":
            reason = None if item in without else _reason_of_folder(item)
        elif kind == "file":
            if is_image(item):
                images.append(item)
                continue
            reason = reason_left_out(item)
            if reason is None and item.suffix.lower() not in IMAGE_ENDINGS and is_image_inside(item):
                reason = "images by their content, give them the ending of one"
        else:
            reason = kind
        if reason is not None:
            found.left_out.setdefault(reason, []).append(item)
    if not images:
        more = found.sentence()
        raise InputFileError(
            f"The folder {folder} holds no image ({', '.join(IMAGE_ENDINGS)}).{' ' if more else ''}{more}"
        )
    return images


def _reason_of_folder(folder: Path) -> str | None:
    """Tell why a folder in a folder is not taken; None where it holds no images, or results of ours."""
    try:
        if any((folder / name).exists() for name in ("batch.json", "project.json")):
            return None
        holds = any(is_zarr(item) or (item.is_file() and is_image(item)) for item in folder.iterdir())
    except OSError:
        _LOG.debug("%s cannot be looked into.", folder, exc_info=True)
        return "a folder that cannot be looked into"
    return "a folder in the folder, give it as well" if holds else None


def unique_names(files: Sequence[Path]) -> dict[Path, str]:
    """Give each file a name for all that is written of it, which no other one has on any disk.

    It is the file's stem; with its folders and its ending where others have the same; with a hash of its path where
    that is not enough, or where it is long.
    """
    places = {path: Path(os.path.abspath(path)) for path in files}
    common = Path(os.path.commonpath([place.parent for place in places.values()]))
    names = {path: path.stem for path in files}
    for path in _doubled(names):
        names[path] = "__".join(places[path].relative_to(common).with_suffix("").parts)
    for path in _doubled(names):
        names[path] += path.suffix.replace(".", "_")
    for path in {*_doubled(names), *(path for path, name in names.items() if len(name.encode()) > _LONGEST)}:
        start = names[path].encode()[:_LONGEST].decode(errors="ignore")
        names[path] = f"{start}_{hashlib.sha256(str(places[path]).encode(errors='surrogateescape')).hexdigest()[:8]}"
    return names


def _doubled(names: dict[Path, str]) -> list[Path]:
    often = Counter(name.lower() for name in names.values())
    return [path for path, name in names.items() if often[name.lower()] > 1]
