"""The images of a project: which there are, and where their files lie."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from napari_leafseg._files import RealPlaces, write_atomically
from napari_leafseg.errors import ProjectError
from napari_leafseg.io import ReadOptions, list_images, read_image
from napari_leafseg.project.files import ImageRef, ProjectFile, file_name, folded, image_place
from napari_leafseg.project.read_options import load_read_options, save_read_options
from napari_leafseg.project.removal import bring_back, forget_notes, removed_images, used_names
from napari_leafseg.project.writer import Writer


def write_list(folder: Path, file: ProjectFile) -> None:
    """Write the list of images of a project."""
    write_atomically(folder / "project.json", (file.model_dump_json(indent=2) + "\n").encode(), parents=False)


class ImageList:
    """The images of a project.

    Parameters
    ----------
    folder : pathlib.Path
        The project's.
    file : ProjectFile
    writer : Writer
        Writes the list.
    """

    def __init__(self, folder: Path, file: ProjectFile, writer: Writer) -> None:
        self.folder, self.file, self.writer = folder, file, writer
        self._linked = folder.resolve() != folder
        self._index: dict[Path, ImageRef] = {}
        self._real: dict[Path, ImageRef] = {}  # the same by where links lead to; empty until somebody asks
        self._places = RealPlaces()
        self._names: set[str] = set()  # see `_taken`
        self._read_options: ReadOptions | None = None
        self._listed: set[str] | None = None  # images that the list on the disk names; None where there is none yet

    def check(self) -> None:
        """Make sure that the folder is there and the project ours."""
        raise NotImplementedError

    def save_list(self) -> None:
        """Write ``project.json``.

        Raises
        ------
        ProjectError
            When the folder is gone, or somebody else has the project now.
        """
        self.check()
        listed = {ref.id for ref in self.images}
        write_list(self.folder, self.file)
        self._listed = listed

    def list_first(self, name: str) -> None:
        """Write the list where it does not name an image yet of which something is about to be written.

        A process that ends behind it leaves nothing whose image nobody knows.
        """
        if name and self._listed is not None and name not in self._listed:
            self.save_list()

    @property
    def images(self) -> list[ImageRef]:
        """The images, in order."""
        return self.file.images

    @property
    def read_options(self) -> ReadOptions:
        """Which channels and which plane of the images are read; written where it is set."""
        if self._read_options is None:
            self._read_options = load_read_options(self.folder)
        return self._read_options

    @read_options.setter
    def read_options(self, options: ReadOptions) -> None:
        save_read_options(self.folder, options)
        self._read_options = options

    def add_images(self, paths: Iterable[str | Path], copy: bool = False) -> list[ImageRef]:
        """Add files, or the images of folders; those that are in it already are not added twice.

        Parameters
        ----------
        paths : iterable of path
        copy : bool
            Copy them into the project; else it remembers where they are.

        Returns
        -------
        list of ImageRef
            The new ones.
        """
        names = {Path(ref.path).name for ref in self.images} if copy else set()
        taken, new = self._taken(), []
        for path in list_images(paths):
            path = path.absolute()
            if self.find(path) is not None or path.name in names:
                continue
            image = read_image(path, self.read_options)
            identity = file_name(path.stem, taken)
            if copy:
                names.add(path.name)
                target = self.own_images() / f"{identity}{path.suffix.lower()}"
                write_atomically(target, path.read_bytes())
                path = target
            new.append(self._add(path, image.sha256, identity, taken))
        if new:
            self.save_list()
        return new

    def own_images(self) -> Path:
        """Return the folder of images that are written into the project.

        Raises
        ------
        ProjectError
            When it leads out of the project.
        """
        folder = self.folder / "images"
        if folder.is_symlink():
            raise ProjectError(
                f"{folder} is a link to another folder, so nothing is written to it. Take the link away."
            )
        return folder

    def add_known(self, path: str | Path, sha256: str = "", name: str = "") -> ImageRef:
        """Add an image that was read already, or that is about to be written; does not touch the file.

        Parameters
        ----------
        path : path
        sha256 : str
            Empty when not known.
        name : str
            For its files in the project; the image's own when empty.
        """
        (ref,) = self.add_all([(path, sha256)], name)
        return ref

    def add_all(self, known: Iterable[tuple[str | Path, str]], name: str = "") -> list[ImageRef]:
        """Add many images as `add_known` does, by path and hash; the list is written once, by the writer."""
        refs, taken, before = [], self._taken(), len(self.images)
        aside, back = removed_images(self), list[ImageRef]()
        for path, sha256 in known:
            path = Path(path).absolute()
            found = self.find(path)
            if found is None and path in aside and bring_back(self, aside[path]):
                found = self._take(aside[path], taken)
                back.append(found)
            refs.append(found or self._add(path, sha256, file_name(name or path.stem, taken), taken))
        if back:
            self.writer.put(lambda: self._save_back(back))
        elif len(self.images) > before:
            self.writer.put(self.save_list, key="list")
        return refs

    def _save_back(self, back: list[ImageRef]) -> None:
        """Write the list with images whose labels came back; only then nothing says that they were put aside."""
        self.save_list()
        forget_notes(self.folder, back)

    def forget(self, refs: Iterable[ImageRef]) -> None:
        """Take images from the list; see `removal.put_aside` for their labels."""
        gone = {ref.id for ref in refs}
        self.file.images[:] = [ref for ref in self.images if ref.id not in gone]
        self._index.clear()
        self.writer.put(self.save_list, key="list")

    def _add(self, path: Path, sha256: str, identity: str, taken: set[str]) -> ImageRef:
        return self._take(ImageRef(id=identity, path=self._relative(path), sha256=sha256), taken)

    def _take(self, ref: ImageRef, taken: set[str]) -> ImageRef:
        self.images.append(ref)
        path = self.path_of(ref)
        self._index[path] = ref
        if self._real:
            self._real[self._places.of(path)] = ref
        taken.add(folded(ref.id))
        return ref

    def _taken(self) -> set[str]:
        """Names that no other image may get, `folded`: also those of images that were removed."""
        if not self._names:
            self._names |= used_names(self.folder)
        self._names.update(folded(ref.id) for ref in self.images)
        return self._names

    def find(self, path: Path) -> ImageRef | None:
        """Return the image of a file, also where a link leads to it; None when the project has none."""
        if len(self._index) < len(self.images):
            self._index = {self.path_of(ref): ref for ref in reversed(self.images)}
            self._real, self._places = {}, RealPlaces()
        found = self._index.get(path)
        if found is None and self._index:
            if not self._real:
                self._real = {self._places.of(place): ref for place, ref in self._index.items()}
            found = self._real.get(self._places.of(path))
        return found

    def note_content(self, ref: ImageRef, sha256: str) -> bool:
        """Note what the file of an image holds; False where it was another image before."""
        before, ref.sha256 = ref.sha256, sha256 or ref.sha256
        if ref.sha256 != before:
            self.writer.put(self.save_list, key="list")
        return before in ("", ref.sha256)

    def _relative(self, path: Path) -> str:
        if path.is_relative_to(self.folder):
            return path.relative_to(self.folder).as_posix()
        beside = os.path.relpath(path, self.folder) if path.anchor == self.folder.anchor else str(path)
        return Path(beside).as_posix() if beside.count("..") <= 2 else str(path)

    def path_of(self, ref: ImageRef) -> Path:
        """Return where an image is, or was."""
        if self._linked:
            return image_place(self.folder, ref)
        return Path(os.path.normpath(self.folder / ref.path))

    def ref(self, identity: str) -> ImageRef:
        """Return the image of a name.

        Raises
        ------
        ProjectError
            When the project has none.
        """
        for ref in self.images:
            if ref.id == identity:
                return ref
        raise ProjectError(f"The project {self.folder} has no image “{identity}”.")

    def missing(self) -> list[ImageRef]:
        """List the images that are no longer where they were."""
        return [ref for ref in self.images if not self.path_of(ref).exists()]

    def relink(self, folder: str | Path) -> list[ImageRef]:
        """Look for missing images in a folder and below it: the same name, and the same content where that is known.

        Returns
        -------
        list of ImageRef
            Those that were found.
        """
        return self.relink_to(Path(folder).absolute().rglob("*"))

    def relink_to(self, files: Iterable[Path]) -> list[ImageRef]:
        """Look for missing images among files, see `relink`."""
        places: dict[str, list[Path]] = {}
        for path in files:
            places.setdefault(folded(path.name), []).append(path)
        found = []
        for ref in self.missing():
            named = [path for path in places.get(folded(Path(ref.path).name), []) if path.is_file()]
            if ref.sha256:
                named = [path for path in named if hashlib.sha256(path.read_bytes()).hexdigest() == ref.sha256]
            elif len(named) > 1:  # nobody knows which of them it is
                continue
            if named:
                ref.path = self._relative(named[0])
                found.append(ref)
        if found:
            self._index.clear()
            self.save_list()
        return found
