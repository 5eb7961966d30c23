"""One application at a time works on a project; a second one is told who does."""

from __future__ import annotations

import json
import logging
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from napari_leafseg.errors import ProjectError
from napari_leafseg.project.document import annotator, now

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Owner:
    """Who has a project open."""

    user: str
    host: str
    process: int
    since: str

    @classmethod
    def me(cls) -> Owner:
        """Return this process."""
        return cls(annotator(), socket.gethostname(), os.getpid(), now())

    @property
    def alive(self) -> bool:
        """Whether it still runs, as far as can be told; another computer's is taken to."""
        if self.host != socket.gethostname():
            return True
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    @property
    def is_me(self) -> bool:
        """Whether it is this process."""
        return (self.host, self.process) == (socket.gethostname(), os.getpid())


class ProjectLocked(ProjectError):
    """Somebody else has the project open."""

    def __init__(self, folder: Path, owner: Owner) -> None:
        self.owner = owner
        super().__init__(
            f"The project {folder} is open already: {owner.user} on {owner.host} (process {owner.process}) since "
            f"{owner.since[:16].replace('T', ' ')} UTC. Close it there first."
        )


class Lock:
    """A file that names the owner of a project.

    Parameters
    ----------
    folder : pathlib.Path
        The project's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "lock.json"

    def owner(self) -> Owner | None:
        """Tell who has it; None when nobody has, or when the file is not readable."""
        if not self.path.exists():
            return None
        try:
            return Owner(**json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            _LOG.warning("%s cannot be read, and is taken to be nobody's: %s", self.path, error)
            return None

    def take(self, force: bool = False) -> None:
        """Take the lock.

        Parameters
        ----------
        force : bool
            Also from an owner on another computer, of whom nobody can tell whether it still runs.

        Raises
        ------
        ProjectLocked
            When another process has it.
        ProjectError
            When the folder cannot be written.
        """
        for _ in range(3):
            try:
                handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                owner = self.owner()
                if owner is not None and owner.alive and not force:
                    raise ProjectLocked(self.folder, owner) from None
                self.path.unlink(missing_ok=True)
                continue
            except OSError as error:
                raise ProjectError(
                    f"Cannot write to the project {self.folder}: {error.strerror}. Copy it to where you may write."
                ) from error
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(asdict(Owner.me()), file)
            return
        raise ProjectError(f"Cannot lock the project {self.folder}: somebody else opens it at this very moment.")

    def release(self) -> None:
        """Give it up, when it is ours."""
        owner = self.owner()
        if owner is not None and owner.is_me:
            self.path.unlink(missing_ok=True)
