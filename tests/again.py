"""A folder that takes long to make is made once, and is for each test as it was made."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path


class Again:
    """A folder at one place, since what is written in it may name that.

    Parameters
    ----------
    folder : pathlib.Path
        Of nobody else.
    make : callable
        Takes the folder to be made.
    """

    def __init__(self, folder: Path, make: Callable[[Path], object]) -> None:
        self._now, self._first = folder / "now", folder / "first"
        self._now.mkdir()
        make(self._now)
        shutil.copytree(self._now, self._first)

    def folder(self) -> Path:
        """Return the folder as it was made, whatever became of it meanwhile."""
        shutil.rmtree(self._now)
        shutil.copytree(self._first, self._now)
        return self._now
