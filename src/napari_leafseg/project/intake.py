"""Labels that come from elsewhere: to which image they belong, and whether they may take the place of what it has."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace as replaced
from pathlib import Path, PurePosixPath

import numpy as np
import tifffile
from PIL import Image

from napari_leafseg._counts import counted
from napari_leafseg.editing.edit import LARGEST_NUMBER, difference
from napari_leafseg.errors import InputFileError, ProjectError, UserError
from napari_leafseg.io import ReadOptions, read_image
from napari_leafseg.io.exchange.label_images import upright_shape
from napari_leafseg.io.exchange.names import ImageIndex, Unclear, agreeing_folders, bare_names, labeled_path
from napari_leafseg.io.exchange.reading import Reading
from napari_leafseg.io.label_arrays import renumbered
from napari_leafseg.project.document import Document
from napari_leafseg.project.store import ImageRef, Project

_LOG = logging.getLogger(__name__)

_TOLD = 10  # sentences of a kind in a message
_LESS = 0.25  # of the area: below it, as many leaves count as less than those before


class ImportIncomplete(ProjectError):
    """Something was not taken in; all else was.

    Attributes
    ----------
    failed : list of str
        What cannot be taken in, and why.
    fewer : list of str
        Images that keep their labels, as the new ones would be less.
    unmatched : list of pathlib.Path
        Files that are named after no image of the project.
    notes : tuple of str
        What was left out of the files that were taken in last.
    """

    def __init__(
        self, failed: list[str], fewer: list[str], unmatched: list[Path], taken: int, notes: tuple[str, ...] = ()
    ) -> None:
        self.failed, self.fewer, self.unmatched, self.notes = failed, fewer, unmatched, notes
        parts = [*_some(failed)]
        if fewer:
            parts += [*_some(fewer), "They keep what they have, unless you choose to replace it (--replace)."]
        if taken:
            parts.append(f"The labels of {counted(taken, 'image')} were taken in.")
        super().__init__("\n".join(parts))


def _some(sentences: list[str]) -> list[str]:
    more = [f"… and {len(sentences) - _TOLD} more of the kind."] if len(sentences) > _TOLD else []
    return sentences[:_TOLD] + more


class Intake:
    """Takes labels into a project, image by image, and remembers what it did not take.

    Parameters
    ----------
    project : Project
    verified, replace, image
        See `import_labels`.

    Attributes
    ----------
    known : dict
        The images that names in the file at hand stand for.
    failed, fewer : list of str
        See `ImportIncomplete`.
    """

    def __init__(self, project: Project, verified: bool, replace: bool, image: str = "") -> None:
        self.project, self.verified, self.replace = project, verified, replace
        self._image = project.ref(image) if image else None
        self._refs = {ref.id: ref for ref in project.images}
        self._index = ImageIndex({ref.id: project.path_of(ref) for ref in project.images})
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._names: dict[str, str] = {}
        self._elsewhere: set[str] = set()
        self.known: dict[str, ImageRef] = {}
        self.failed: list[str] = []
        self.fewer: list[str] = []
        self.unmatched: list[Path] = []
        self._notes: list[str] = []
        self._taken: set[str] = set()

    def foresee(self, files: Sequence[Path]) -> None:
        """Look at the names of all files: where those of two folders may be of one image, only the nearest is."""
        claims: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for path in files:
            name = labeled_path(path)
            try:
                key = self._find(name, path)
            except Unclear:
                _LOG.debug("%s may be of several images.", path, exc_info=True)
                continue
            if key is not None:
                claims[key, PurePosixPath(name).name].append(name)
        for (key, _), names in claims.items():
            nearest = self._nearest(key, list(dict.fromkeys(names)))
            self._elsewhere |= {name for name in names if nearest is not None and name != nearest}

    # -- which image -------------------------------------------------------------------------------------------------

    def sizes(self, path: Path, reading: Reading, names: list[str]) -> dict[str, tuple[int, ...]]:
        """Find the images that names in a file stand for; returns their shapes."""
        claims: defaultdict[str, list[str]] = defaultdict(list)
        for name in names:
            try:
                key = self._find(name, path)
            except Unclear as error:
                reading.refuse([name], str(error))
                continue
            if key is not None and name not in self._elsewhere:
                claims[key].append(name)
        self.known = {}
        found = {}
        for key, claiming in claims.items():
            nearest = self._nearest(key, claiming)
            if nearest is None:
                reading.refuse(claiming, f"“{claiming[0]}” and “{claiming[1]}” may both be the project’s “{key}”")
                continue
            earlier = self._names.setdefault(key, nearest)
            if _folders_differ(earlier, nearest):
                reading.refused.append(
                    f"“{nearest}” is not in the project, only “{earlier}”, which has its labels already"
                )
                continue
            try:
                found[nearest] = self._shape(self._refs[key])
                self.known[nearest] = self._refs[key]
            except UserError as error:
                reading.refuse([nearest], str(error).rstrip("."))
        return found

    def _find(self, name: str, path: Path) -> str | None:
        plain = name.replace("\\", "/")
        key = self._index.find(plain, path.parent)
        if key is None:
            last = PurePosixPath(plain).name
            stems = [last] if plain == str(path.with_name(last)).replace("\\", "/") else [PurePosixPath(plain).stem]
            for bare in bare_names(stems[0])[1:]:
                key = key or self._index.find(str(PurePosixPath(plain).with_name(bare)))
        return key or (self._image.id if self._image is not None else None)

    def _nearest(self, key: str, names: list[str]) -> str | None:
        """Of names that all may be one image's, the one that agrees with its path in most parts."""
        path = self.project.path_of(self._refs[key])
        scores = [_agreement(name, path) for name in names]
        best = [name for name, score in zip(names, scores, strict=True) if score == max(scores)]
        return best[0] if len(best) == 1 else None

    def _shape(self, ref: ImageRef) -> tuple[int, ...]:
        """Shape of an image's labels: (H, W) or (T, H, W)."""
        if ref.id not in self._shapes:
            self._shapes[ref.id] = _shape_of_labels(self.project.labels_path(ref)) or _shape_of_image(
                self.project.path_of(ref), self.project.read_options
            )
        return self._shapes[ref.id]

    # -- taking them in ----------------------------------------------------------------------------------------------

    def take(self, ref: ImageRef, labels: np.ndarray, path: Path) -> None:
        """Make these the labels of an image, as one step; a second one says that they are right.

        Raises
        ------
        UserError
            For more leaves than a project holds, or labels that cannot be read.
        """
        largest = int(labels.max(initial=0))
        if largest > LARGEST_NUMBER:
            labels = renumbered(labels)
            if labels.max(initial=0) > LARGEST_NUMBER:
                raise InputFileError(
                    f"{path} holds {counted(labels.max(), 'leaf')}; an image has {LARGEST_NUMBER:,} at most."
                )
            self._notes.append(
                f"{path.name}: the leaves of “{ref.id}” are numbered anew, as their numbers go up to {largest:,}."
            )
        labels = labels.astype(np.uint16)
        shown = self.project.live_document(ref)
        if shown is not None and shown.labels.shape == labels.shape:
            self._put(ref, shown, labels, path)
        else:
            with self.project.opened_document(ref, labels.shape) as document:
                self._put(ref, document, labels, path)

    def _put(self, ref: ImageRef, document: Document, labels: np.ndarray, path: Path) -> None:
        """Take labels into a document, unless they are less than it has."""
        changed = _verified_that_change(document, labels)
        less = _less(document, labels, len(changed))
        if less and not self.replace:
            self.fewer.append(f"{path.name}: “{ref.id}” {less}.")
            return
        document.set_verified(changed, False)
        frames = [None] if labels.ndim == 2 else range(len(labels))
        edits = []
        for frame in frames:
            after = labels if frame is None else labels[frame]
            edit = difference(document.plane(frame or 0), None, after, "import")
            edits += [] if edit is None else [replaced(edit, frame=frame)]
        draft = {"draft": True} if edits and not self.verified else None
        document.commit_all("import", edits, verify=False, info=draft)
        if self.verified:
            every = [(frame or 0, leaf) for frame in frames for leaf in document.leaves(frame or 0)]
            document.set_verified(every, True)
        self.project.save(ref, document)
        self._taken.add(ref.id)

    def tell(self, path: Path, reading: Reading) -> None:
        """Note what a file held that was not taken."""
        unknown = ", ".join(f"“{_shown(name, path)}”" for name in reading.unknown[:_TOLD])
        if reading.unknown and not self.known:
            self.unmatched.append(path)
            self.failed.append(
                f"{path} is of an image {unknown}, which the project does not have. Add the image first, or name the "
                "file after its image."
            )
        elif reading.unknown:
            count = counted(len(reading.unknown), "image")
            self._notes.append(f"{path.name}: {count} left out that the project does not have: {unknown}.")
        self.failed += [f"{path}: {sentence}." for sentence in reading.refused]
        if reading.left_out:
            self._notes.append(f"{path.name}: not taken in: {'; '.join(reading.notes())}.")

    def notes(self) -> tuple[str, ...]:
        """Return what is to be told since the last call."""
        notes, self._notes = tuple(self._notes), []
        return notes

    def finish(self) -> None:
        """Tell what was not taken in.

        Raises
        ------
        ImportIncomplete
        """
        if self.failed or self.fewer:
            raise ImportIncomplete(self.failed, self.fewer, self.unmatched, len(self._taken), self.notes())


def _shape_of_labels(path: Path) -> tuple[int, ...] | None:
    try:
        with tifffile.TiffFile(path) as file:
            return tuple(file.series[0].shape)
    except Exception:  # none, or damaged, which is told when they are opened
        _LOG.debug("%s has no shape.", path, exc_info=True)
        return None


def _shape_of_image(path: Path, options: ReadOptions) -> tuple[int, ...]:
    """Shape of an image's labels, from the file's head where that is enough."""
    if path.suffix.lower() in {".png", ".jpg", ".jpeg", ".bmp"} and path.is_file():
        try:
            with Image.open(path) as image:
                if getattr(image, "n_frames", 1) == 1:
                    return upright_shape(image)
        except Exception:  # decoders raise anything at all for damaged files
            _LOG.debug("%s is left to the reader.", path, exc_info=True)
    array = read_image(path, options).array
    return tuple(array.shape[:3] if array.ndim == 4 else array.shape[:2])


def _verified_that_change(document: Document, labels: np.ndarray) -> list[tuple[int, int]]:
    found = []
    for frame in {frame for frame, _ in document.verified}:
        before = document.plane(frame)
        after = labels if labels.ndim == 2 else labels[frame]
        touched = np.union1d(before[before != after], after[before != after])
        found += [(frame, int(leaf)) for leaf in touched if (frame, int(leaf)) in document.verified]
    return found


def _less(document: Document, labels: np.ndarray, changed: int) -> str:
    """In what the labels are less than what there is; "" where they are not."""
    before = document.labels
    have, get = (len(np.unique(array[array != 0])) for array in (before, labels))
    if get < have:
        return f"has {counted(have, 'leaf')}, the file {get:,}"
    if changed:
        return f"has {changed:,} verified leaves that would change"
    if np.count_nonzero(labels) < _LESS * np.count_nonzero(before):
        share = np.count_nonzero(labels) / np.count_nonzero(before)
        return f"would keep {share:.0%} of its leaf area"
    return ""


def _folders_differ(one: str, other: str) -> bool:
    """Whether two names of an image name different folders."""
    first, second = (PurePosixPath(name.replace("\\", "/")) for name in (one, other))
    return first.name == second.name and first != second and len(first.parts) > 1 and len(second.parts) > 1


def _agreement(name: str, path: Path) -> tuple[int, bool]:
    """In how many folders, from the end, a name and an image's path agree; and whether in the file's name."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return agreeing_folders(parts, path.parts), parts[-1:] == path.parts[-1:]


def _shown(name: str, path: Path) -> str:
    """A name without the folder of the file that tells it."""
    folder = f"{path.parent}/".replace("\\", "/")
    short = name.replace("\\", "/").removeprefix(folder)
    return short if len(short) < 100 else f"{short[:99]}…"
