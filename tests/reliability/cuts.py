"""The folder of a project as a kill, or the end of the power, would leave it at each of its file operations.

`recorded` runs something and looks at the folder before each operation that changes what is on the disk. What a process
that is killed there leaves is the folder as it is, or with the file that is being written cut anywhere. What the end of
the power leaves may be less: of each file what was synced, under the names that its folder had when that was synced.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

Content = dict[str, bytes | None]  # by path, relative to the folder; None where it is a folder itself
_CHANGING = ("fsync", "replace", "rename", "unlink", "remove", "mkdir", "rmdir", "link")


@dataclass
class Cut:
    """A moment at which the process may end.

    Attributes
    ----------
    operation : str
    told : int
        How many things had been told before it.
    killed, unpowered : dict
        What a kill leaves, and the end of the power at the least.
    growing : str
        The file that is being written; empty where none is.
    before : bytes
        What was in it for sure.
    """

    operation: str
    told: int
    killed: Content
    unpowered: Content
    growing: str = ""
    before: bytes = b""

    def contents(self) -> Iterator[tuple[str, Content]]:
        """All that may be found afterwards, with a word for it."""
        yield "killed", self.killed
        yield "unpowered", self.unpowered
        whole = self.killed.get(self.growing)
        if whole and len(whole) > len(self.before):
            for size in (len(self.before) + 1, (len(self.before) + len(whole)) // 2, len(whole) - 1):
                yield f"cut at {size} of {len(whole)}", {**self.killed, self.growing: whole[:size]}


@dataclass
class _Disk:
    """What is on the disk for sure: contents by file, and names by folder."""

    folder: Path
    files: dict[int, bytes] = field(default_factory=dict)
    names: dict[int, dict[str, int]] = field(default_factory=dict)
    open: dict[int, int] = field(default_factory=dict)  # so that no other file gets the number of one that is gone

    def sync(self, handle: int) -> None:
        """Note what a file or folder holds that was just synced."""
        status = os.fstat(handle)
        if status.st_ino not in self.open:
            self.open[status.st_ino] = os.dup(handle)
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(handle) as entries:
                self.names[status.st_ino] = {entry.name: entry.inode() for entry in entries}
        else:
            self.files[status.st_ino] = os.pread(handle, status.st_size, 0)

    def sync_all(self) -> None:
        """Note all there is."""
        for path in (self.folder, *self.folder.rglob("*")):
            handle = os.open(path, os.O_RDONLY)
            self.sync(handle)
            os.close(handle)

    def close(self) -> None:
        """Let go of all files."""
        for handle in self.open.values():
            os.close(handle)

    def content(self) -> Content:
        """What would be found without power."""
        found: Content = {}
        self._collect(os.stat(self.folder).st_ino, "", found)
        return found

    def _collect(self, folder: int, before: str, found: Content) -> None:
        for name, inode in self.names.get(folder, {}).items():
            place = f"{before}{name}"
            if inode in self.files:
                found[place] = self.files[inode]
            elif inode in self.names or before == "":
                found[place] = None
                self._collect(inode, f"{place}/", found)
            else:
                found[place] = b""


def recorded(folder: Path, work: Callable[[], None], told: list[object], monkeypatch: pytest.MonkeyPatch) -> list[Cut]:
    """Do some work on a folder; returns the moments at which it could have been cut short.

    Parameters
    ----------
    folder : pathlib.Path
    work : callable
    told : list
        Grows while the work goes on.
    monkeypatch : pytest.MonkeyPatch
    """
    cuts: list[Cut] = []
    disk, one_at_a_time = _Disk(folder), threading.RLock()
    disk.sync_all()

    def growing(handle: object) -> str:
        path = Path(os.readlink(f"/proc/self/fd/{handle}")) if isinstance(handle, int) else folder
        return path.relative_to(folder).as_posix() if path != folder and path.is_relative_to(folder) else ""

    def watched(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def operation(*arguments: object, **options: object) -> object:
            with one_at_a_time:
                place = growing(arguments[0]) if name == "fsync" else ""
                before = disk.files.get(os.fstat(arguments[0]).st_ino, b"") if place else b""
                cuts.append(Cut(f"{name} {place or arguments}", len(told), read(folder), disk.content(), place, before))
                result = real(*arguments, **options)
                if name == "fsync":
                    assert isinstance(arguments[0], int)
                    disk.sync(arguments[0])
                return result

        return operation

    with monkeypatch.context() as patched:
        for name in _CHANGING:
            patched.setattr(os, name, watched(name))
        work()
    cuts.append(Cut("the end", len(told), read(folder), disk.content()))
    disk.close()
    return cuts


def read(folder: Path) -> Content:
    """Read all of a folder."""
    found: Content = {}
    for path in sorted(folder.rglob("*")):
        found[path.relative_to(folder).as_posix()] = path.read_bytes() if path.is_file() else None
    return found


def rebuild(folder: Path, content: Content) -> Path:
    """Write a folder as it was found."""
    folder.mkdir(parents=True)
    for name, inside in content.items():
        path = folder / name
        if inside is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(inside)
    return folder
