"""Which image a file of labels belongs to, and names of files that keep images apart."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from napari_leafseg._files import safe_name
from napari_leafseg.io.images import LABEL_SUFFIX

_ADDED = re.compile(
    r"[ _.-]*(cp_masks|(rgb_)?(labels?|masks?|rois?|roiset|seg|instances?|leaf|leaves|annotations?|gt)|ome)$", re.I
)
_ROBOFLOW = re.compile(r"_(jpe?g|png|tiff?|bmp|webp)\.rf\.[0-9a-z]+$", re.I)
_BETWEEN = "__"  # of folders and name, where a file's name tells both


def image_name(path: Path) -> str:
    """Return the name of the image that a file of labels belongs to: ``plant`` for ``plant_label.tif``."""
    stem = path.stem.removesuffix(LABEL_SUFFIX)
    return stem.removesuffix("_rois") or path.stem


def labeled_path(path: Path) -> str:
    """Return the path that the image of a file of labels would have beside it, without ending: see `ImageIndex`."""
    return str(path.with_name(image_name(path)))


def bare_names(name: str) -> list[str]:
    """List what an image may be called of which a file has this name: without ``_label``, ``_cp_masks`` and so on."""
    found = [name]
    while len(found) < 5 and (shorter := _ROBOFLOW.sub("", _ADDED.sub("", found[-1]))) not in {"", found[-1]}:
        found.append(shorter)
    return found


def relative_names(paths: Sequence[Path]) -> list[str]:
    """Return the files' paths, relative to the folder that all have in common, with forward slashes."""
    folders = {os.path.dirname(os.path.abspath(path)) for path in paths}
    try:
        common = os.path.commonpath(folders) if folders else ""
        return [Path(os.path.relpath(os.path.abspath(path), common)).as_posix() for path in paths]
    except ValueError:  # on different drives
        return [Path(os.path.abspath(path)).as_posix() for path in paths]


def short_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return how images are called in tables: by their files' names, with folders where others have the same."""
    often = Counter(path.name for path in paths)
    doubled = [path for path in paths if often[path.name] > 1]
    return {path: path.name for path in paths} | dict(zip(doubled, relative_names(doubled), strict=True))


def file_names(images: Sequence[str], own: Sequence[str] | None = None) -> list[str]:
    """Name the files of each image, safe on any system: by its own name where no other has it, else with folders.

    Parameters
    ----------
    images : sequence of str
        See `relative_names`.
    own : sequence of str, optional
        Names to use where they are unique; the images' stems when left out.
    """
    parts = [PurePosixPath(image) for image in images]
    stems = Counter(part.stem.casefold() for part in parts)
    whole = Counter(str(part.with_suffix("")).casefold() for part in parts)
    taken: set[str] = set()
    found = []
    for number, part in enumerate(parts):
        name = own[number] if own else part.stem
        if stems[part.stem.casefold()] > 1:
            ending = f"_{part.suffix[1:]}" if whole[str(part.with_suffix("")).casefold()] > 1 else ""
            name = _BETWEEN.join([*part.parts[:-1], part.stem]) + ending
        name = unique = safe_name(name)
        again = 2
        while unique.casefold() in taken:
            unique, again = f"{name}_{again}", again + 1
        taken.add(unique.casefold())
        found.append(unique)
    return found


class Unclear(ValueError):
    """Several images may be meant by a name."""


class ImageIndex:
    """Finds images by the names that files have for them.

    Parameters
    ----------
    images : mapping of str to pathlib.Path
        By a key for each.
    """

    def __init__(self, images: Mapping[str, Path]) -> None:
        self._images = dict(images)
        self._exact = {_composed(os.path.normpath(path)): key for key, path in images.items()}
        self._files: defaultdict[str, list[str]] = defaultdict(list)
        self._stems: defaultdict[str, list[str]] = defaultdict(list)
        for key, path in images.items():
            self._files[_composed(path.name).casefold()].append(key)
            for stem in _stems(path):
                self._stems[stem].append(key)

    def find(self, name: str, beside: Path | None = None) -> str | None:
        """Find the image that is meant by a name: by its path, as far as it is told, else by its stem.

        Parameters
        ----------
        name : str
            A path of any system, a file's name, or what `file_names` makes of one.
        beside : pathlib.Path, optional
            The folder of the file that tells the name.

        Returns
        -------
        str or None
            The image's key.

        Raises
        ------
        Unclear
            Where several have the name, and nothing tells them apart.
        """
        plain = _composed(name.replace("\\", "/").strip())
        if beside is not None and plain and "\0" not in plain:
            exact = os.path.normpath(beside / plain)
            if _composed(exact) in self._exact:
                return self._exact[_composed(exact)]
            if _is_file(exact):
                return None  # an image of that name is there, and is another one
        parts = [part for part in PurePosixPath(plain).parts if part not in {"/", ".", ".."} and part[-1:] != ":"]
        if not parts:
            return None
        last = parts[-1].casefold()
        stem = os.path.splitext(last)[0]
        for keys in (self._files.get(last), self._stems.get(last), self._stems.get(stem)):
            if keys:
                return self._nearest(parts, keys)
        for key in (parts[-1], PurePosixPath(parts[-1]).stem):
            if key in self._images:
                return key
        folders = parts[-1].split(_BETWEEN)
        return self.find("/".join(folders)) if len(folders) > 1 and all(folders) else None

    def _nearest(self, parts: list[str], keys: list[str]) -> str:
        """Of several images, the one whose path agrees with most parts, from the end."""
        scores = {key: agreeing_folders(parts, self._images[key].parts) for key in keys}
        best = [key for key in keys if scores[key] == max(scores.values())]
        same = [key for key in best if parts[-1] in map(_composed, (self._images[key].name, self._images[key].stem))]
        if len(best) > 1 and len(same) != 1:
            raise Unclear(f"several images are called “{parts[-1]}”, and nothing tells which one is meant")
        return same[0] if len(best) > 1 else best[0]


def agreeing_folders(parts: Sequence[str], others: Sequence[str]) -> int:
    """Count in how many folders, from the end, two paths agree; their last parts are the files' names."""
    score = 0
    for one, other in zip(parts[-2::-1], others[-2::-1], strict=False):
        if _composed(one).casefold() != _composed(other).casefold():
            break
        score += 1
    return score


def _stems(path: Path) -> set[str]:
    """Names of an image without its ending, as files have them: ``plant``, ``plant_png``."""
    stem = _composed(path.stem).casefold()
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in stem)
    return {stem, plain, safe_name(path.stem).casefold(), f"{stem}_{path.suffix[1:].casefold()}"}


def _composed(name: str) -> str:
    """A name with its accents as one letter each: macOS writes them as two."""
    return unicodedata.normalize("NFC", name)


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)
    except (OSError, ValueError):
        return False
