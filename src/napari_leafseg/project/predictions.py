"""What networks said of the images of a project, kept so that leaves can be tuned after a restart.

Nothing here is a person's work: what cannot be written or read is told once, and the image needs *Run* again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from napari_leafseg._files import read_regular, write_atomically
from napari_leafseg.errors import UserError
from napari_leafseg.project.writer import Writer

FOLDER = "predictions"
_LOG = logging.getLogger(__name__)


class PredictionFolder:
    """Write and read the predictions of a project, in a thread of its own.

    Parameters
    ----------
    folder : pathlib.Path
        The project's.
    check : callable
        Raises when the project's folder is gone or no longer ours.
    told : callable
        Takes a sentence when predictions cannot be kept.
    """

    def __init__(self, folder: Path, check: Callable[[], None], told: Callable[[str], None]) -> None:
        self.folder, self._check, self._told = folder / FOLDER, check, told
        self.limit = 2 * 2**30  # bytes
        self._writer: Writer | None = None
        self._failing = False

    def path(self, name: str) -> Path:
        """Return the file of an image's prediction."""
        return self.folder / f"{name}.npz"

    def put(self, name: str, pack: Callable[[], bytes]) -> None:
        """Ask for a prediction to be written; returns at once.

        Parameters
        ----------
        name : str
            The image's.
        pack : callable
            Gives the file's content; called in the writer's thread.
        """
        if self._writer is None:
            self._writer = Writer()
        self._writer.put(lambda: self._write(name, pack), key=name)

    def read(self, name: str) -> bytes | None:
        """Read an image's prediction; None where none is kept.

        Raises
        ------
        InputFileError
            When it cannot be read.
        """
        self.flush()
        try:
            return read_regular(self.path(name), self.limit)
        except FileNotFoundError:
            _LOG.debug("No prediction of %s is kept.", name)
            return None

    def discard(self, name: str) -> None:
        """Delete an image's prediction, as one that is damaged."""
        try:
            self.path(name).unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("%s cannot be deleted: %s", self.path(name), error)

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until all is written."""
        return self._writer is None or self._writer.flush(timeout)

    def close(self) -> None:
        """Write what waits, and stop."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _write(self, name: str, pack: Callable[[], bytes]) -> None:
        try:
            self._check()
            content = pack()
            if len(content) > self.limit:
                self.path(name).unlink(missing_ok=True)
                self._fail(f"it has {len(content):,} bytes, and all together may have {self.limit:,}", name)
                return
            self._make_room(name, len(content))
            self.folder.mkdir(exist_ok=True)
            write_atomically(self.path(name), content, parents=False)
            self._failing = False
        except (UserError, OSError, MemoryError) as error:
            _LOG.warning("The prediction of %s is not kept.", name, exc_info=error)
            self._fail("there is no memory left" if isinstance(error, MemoryError) else str(error), name)

    def _fail(self, reason: str, name: str) -> None:
        if not self._failing:  # once, not for every image
            self._failing = True
            self._told(
                f"What the model said of “{name}” cannot be kept for tuning after a restart: {reason.rstrip('.')}. Its "
                "leaves are kept; to tune them later, press Run again."
            )

    def _make_room(self, name: str, size: int) -> None:
        """Delete the oldest predictions until there is room for another one."""
        files = []
        for path in self.folder.glob("*.npz"):
            if path != self.path(name) and path.is_file() and not path.is_symlink():
                status = path.stat()
                files.append((status.st_mtime_ns, status.st_size, path))
        files.sort()
        total = size + sum(length for _, length, _ in files)
        for _, length, path in files:
            if total <= self.limit:
                return
            path.unlink(missing_ok=True)
            total -= length
