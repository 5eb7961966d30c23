"""What the processes of `mixed_kills` told, and whether the disk has it."""

from __future__ import annotations

import contextlib
import json
import shutil
import zipfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile

from napari_leafseg.project import Project
from napari_leafseg.project.document import Document
from napari_leafseg.project.recent_projects import recent_projects
from tests.reliability.mixed_kills import EMPTY, PROJECTS, SHAPE, state_of


@dataclass
class Told:
    """What the children said of a project.

    Attributes
    ----------
    states : dict
        Of each image, from the last promise on.
    announced, promised : set of str
        Images that may be in the list, and that must be.
    must_open : bool
    """

    states: dict[str, list[str]] = field(default_factory=lambda: defaultdict(lambda: [NOTHING]))
    announced: set[str] = field(default_factory=set)
    promised: set[str] = field(default_factory=set)
    must_open: bool = False

    def promise(self) -> None:
        """What was said last is on the disk."""
        for states in self.states.values():
            del states[:-1]


NOTHING = state_of(Document(EMPTY.copy()))


class Ledger:
    """What was told of all projects, and whether the disk has it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.projects: dict[str, Told] = defaultdict(Told)
        self.counts: dict[str, int] = defaultdict(int)

    def hear(self, lines: list[list[str]]) -> None:
        """Take in what a child said."""
        for word, name, *rest in lines:
            self.counts[word] += 1
            told = self.projects[name]
            if word == "state":
                told.states[rest[0]].append(rest[1])
            elif word == "disk":
                told.promise()
            elif word == "made":
                told.must_open = True
            elif word == "adding":
                told.announced.add(rest[0])
            elif word == "added":
                told.promised.add(rest[0])
            elif word == "copying":
                self._copy(told, self.projects[rest[0]])
            elif word == "copied":
                copy = self.projects[rest[0]]
                copy.promise()
                copy.must_open, copy.promised = True, set(told.promised)
            elif word == "exported":
                self._check_export(rest[0])

    @staticmethod
    def _copy(told: Told, copy: Told) -> None:
        copy.announced = set(told.announced)
        for identity, states in told.states.items():
            copy.states[identity] = [NOTHING, *states]

    def check(self) -> None:
        """Open every project and compare it with what was told; then that is what is known."""
        for folder in sorted(self.root.glob("p*")):
            told = self.projects[folder.name]
            if not (folder / "project.json").exists():
                assert not told.must_open, f"{folder} is gone"
                if any((folder / part).exists() for part in ("images", "labels", "journal")):  # a copy cut short
                    shutil.rmtree(folder)
                    del self.projects[folder.name]
                    continue
                Project.create(folder).close()  # half made: it can be made again, and nothing is in it
                told.states.clear()
            self._check_project(folder, told)
            told.must_open = True
        for name, told in list(self.projects.items()):
            assert (self.root / name / "project.json").exists() or not told.must_open, f"{name} is gone"
        for path in (self.root / "exports").rglob("*"):
            _check_whole(path)
        recent_projects()

    def _check_project(self, folder: Path, told: Told) -> None:
        _check_files(folder)
        with Project.open(folder) as project:  # the dead owner's lock does not keep us out
            assert not [path for path in folder.rglob(".*") if path.is_file()]
            found = {ref.id for ref in project.images}
            assert told.promised <= found <= told.announced | told.promised, (folder, found, told)
            for ref in project.images:
                document = project.read_document(ref, SHAPE)
                state = state_of(document)
                assert state in told.states[ref.id], (
                    f"{folder.name}, {ref.id}: {state} is none of {told.states[ref.id]}"
                )
                told.states[ref.id] = [state]
                while document.undo() is not None:  # the history is whole: it leads back to empty labels
                    pass
                assert not document.labels.any(), f"{folder.name}, {ref.id}: the history does not begin with nothing"
            for identity in set(told.states) - found:  # of a copy that was cut short: the image may be added anew
                del told.states[identity]
            told.promised, told.announced = found, set(found)

    def _check_export(self, name: str) -> None:
        self.counts["export files"] += len(
            [path for path in (self.root / "exports" / name).rglob("*") if path.is_file()]
        )


def _check_files(folder: Path) -> None:
    for path in folder.rglob("*"):
        if not path.name.startswith("."):
            _check_whole(path)


def _check_whole(path: Path) -> None:
    """A file is whole, as far as its kind can be told."""
    if path.name.startswith(".") or not path.is_file():
        return
    if path.suffix in {".json", ".geojson"}:
        json.loads(path.read_text())
    elif path.suffix == ".tif":
        assert tifffile.imread(path).shape == SHAPE, path
    elif path.suffix == ".zip":
        assert zipfile.ZipFile(path).testzip() is None, path
    elif path.suffix == ".npy":
        assert np.load(path).shape == SHAPE, path
    elif path.suffix == ".png":
        from napari_leafseg.io import read_image

        assert read_image(path).array.shape[:2] == SHAPE, path
    elif path.suffix in {".xml", ".txt", ".yaml"}:
        assert path.stat().st_size or path.suffix == ".txt", path


def forget(root: Path, ledger: Ledger, rng: np.random.Generator) -> None:
    """Take some projects away where there are enough, so that new ones are made."""
    folders = sorted(root.glob("p*"))
    if len(folders) >= PROJECTS and rng.random() < 0.4:
        gone = folders[int(rng.integers(len(folders)))]
        shutil.rmtree(gone)
        ledger.projects.pop(gone.name, None)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(root / "exports")


def read_told(path: Path) -> list[list[str]]:
    """Read what a child said."""
    return [json.loads(line) for line in path.read_text().splitlines()]
