"""One application at a time works on a project; a second one is told who does."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import psutil
from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from napari_leafseg._files import read_json, write_atomically
from napari_leafseg.errors import ProjectError, UserError
from napari_leafseg.project.document import annotator, now

_LOG = logging.getLogger(__name__)
GUARD = "lock.guard"
_PATIENCE = 10  # seconds in which another process decides who gets the lock
_SETTLE = 0.2  # seconds until a write is seen by others, where files cannot be locked
_HELD: set[str] = set()  # keys of the locks of this process
_GUARDING = threading.Lock()


def _boot() -> str:
    """Names this start of the computer; empty where the system does not tell."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


def _started(process: int) -> str:
    """When a process began, in a form that a change of the clock leaves alone; empty where there is none."""
    if sys.platform == "linux":
        try:
            text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
            return text.rpartition(")")[2].split()[19]
        except (OSError, IndexError) as error:
            _LOG.debug("Process %d has ended, or is not to be seen: %s", process, error)
            return ""
    try:
        return f"{psutil.Process(process).create_time():.2f}"
    except psutil.Error as error:
        _LOG.debug("Process %d has ended, or is not to be seen: %s", process, error)
        return ""


@dataclass(frozen=True)
class Owner:
    """Who has a project open.

    Attributes
    ----------
    user, host : str
    process : int
        Its number, which the system gives again to another one.
    since : str
    boot, started : str
        Which start of the computer and of the process it was; empty in locks of earlier versions.
    key : str
        Of this lock alone.
    """

    user: str
    host: str
    process: int
    since: str
    boot: str = ""
    started: str = ""
    key: str = ""

    @classmethod
    def me(cls) -> Owner:
        """Return this process."""
        process = os.getpid()
        return cls(annotator(), socket.gethostname(), process, now(), _boot(), _started(process), secrets.token_hex(8))

    @property
    def alive(self) -> bool:
        """Whether it still runs, as far as can be told; another computer's is taken to."""
        if self.host != socket.gethostname():
            return True
        if self.key in _HELD:
            return True
        if self.process == os.getpid() or not psutil.pid_exists(self.process):
            return False
        if self.boot and _boot() and self.boot != _boot():
            return False
        if self.started:
            return _started(self.process) in ("", self.started)
        return not _began_after(self.process, self.since)


def _began_after(process: int, since: str) -> bool:
    """Whether a process began after a lock was made that names its number: the owner is another one, and gone."""
    import datetime

    try:
        made = datetime.datetime.fromisoformat(since.replace("Z", "+00:00"))
        if made.tzinfo is None:
            made = made.replace(tzinfo=datetime.UTC)
        return psutil.Process(process).create_time() > made.timestamp() + 1
    except (psutil.Error, ValueError) as error:
        _LOG.debug("Nobody knows whether process %d began after %s: %s", process, since, error)
        return False


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
        self.key = ""

    def owner(self) -> Owner | None:
        """Return who has it; None when nobody has, or when the file is damaged.

        Raises
        ------
        OSError
            When the disk does not give the file.
        """
        try:
            return TypeAdapter(Owner).validate_python(read_json(self.path))
        except FileNotFoundError:
            _LOG.debug("There is no lock %s.", self.path)
        except (OSError, UserError, ValidationError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if isinstance(cause, OSError):
                raise OSError(cause.errno, cause.strerror, str(self.path)) from error
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
        me = Owner.me()
        try:
            with _guard(self.folder / GUARD) as guarded:
                owner = self.owner()
                if owner is not None and owner.alive and not force:
                    raise ProjectLocked(self.folder, owner)
                write_atomically(self.path, json.dumps(asdict(me)).encode(), parents=False)
                if not guarded:
                    time.sleep(_SETTLE)
                    owner = self.owner()
                    if owner is not None and owner.key != me.key:
                        raise ProjectLocked(self.folder, owner)
        except OSError as error:
            raise ProjectError(
                f"Cannot write to the project {self.folder}: {error.strerror or error}. Copy it to where you may write."
            ) from error
        self.key = me.key
        _HELD.add(me.key)

    def check(self) -> None:
        """Make sure that the folder is there and still ours.

        Raises
        ------
        ProjectError
            When it was moved or deleted, its disk was taken out or does not answer, or somebody else opened the
            project.
        """
        try:
            owner = self.owner()
            if owner is not None and owner.key == self.key != "":
                return
            gone = not (self.folder / "project.json").exists()
        except OSError as error:
            raise ProjectError(
                f"The project {self.folder} cannot be reached: {error.strerror or error}. What you do waits until it "
                "can."
            ) from error
        if gone:
            raise ProjectError(
                f"The project {self.folder} is no longer there: it was moved, renamed or deleted, or its disk was "
                "taken out. Put it back, or choose “Save elsewhere …”."
            )
        who = "" if owner is None else f" by {owner.user} on {owner.host}"
        raise ProjectError(
            f"The project {self.folder} was opened elsewhere{who} while it was open here, so nothing more is written "
            "to it from here. Choose “Save elsewhere …” to keep what you did since."
        )

    def release(self) -> None:
        """Give it up, when it is ours; a lock that cannot be deleted ends with its process."""
        try:
            owner = self.owner()
            if owner is not None and owner.key == self.key != "":
                self.path.unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("The lock %s stays: %s", self.path, error)
        _HELD.discard(self.key)
        self.key = ""


@contextmanager
def _guard(path: Path) -> Iterator[bool]:
    """While it lasts, no other process decides about the lock; False where the disk cannot lock files."""
    with _GUARDING:
        lock = FileLock(path, timeout=_PATIENCE)
        try:
            lock.acquire()
        except Timeout:
            raise ProjectError(
                f"Cannot lock the project {path.parent}: somebody else opens it at this very moment. Try again."
            ) from None
        except NotImplementedError as error:
            _LOG.warning("The disk of %s cannot lock files: %s", path, error)
            yield False
            return
        try:
            yield True
        finally:
            lock.release()
