"""Files that are there whole or not at all, and the files that come with the package."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import logging
import os
import stat
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import platformdirs

from napari_leafseg.errors import InputFileError, plain_reason

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LOG = logging.getLogger(__name__)
UNFINISHED = ".leafseg-part"  # ends the name of a file that is being written
_LARGEST_JSON = 256 * 2**20  # bytes
_TRIES = 3  # to read a file that another program is writing


def write_atomically(path: Path, content: bytes, parents: bool = True) -> None:
    """Write a file so that it is there whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
    content : bytes
    parents : bool
        Make the folders above its own, too; without, a folder that was moved away is not made anew.

    Raises
    ------
    InputFileError
        When the folder cannot be written.
    """
    try:
        make_folder(path.parent, parents)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{_shortened(path.name)}.", suffix=UNFINISHED)
    except OSError as error:
        raise InputFileError(f"Cannot write {path}: {_reason(error)}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            _hold(handle)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is not None:  # while it is held
                _put(temporary, path)
        if fcntl is None:  # Windows renames no open file
            _put(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        _remove(Path(temporary))
        raise InputFileError(f"Cannot write {path}: {_reason(error)}") from error


def make_folder(folder: Path, parents: bool = True) -> None:
    """Make a folder where there is none, and wait until its name is on the disk.

    Parameters
    ----------
    folder : pathlib.Path
    parents : bool
        Make the folders above it, too.

    Raises
    ------
    OSError
        When it cannot be made.
    """
    if folder.is_dir():
        return
    if parents and not folder.parent.exists():
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    try:
        sync_folder(folder.parent)
    except OSError:
        folder.rmdir()
        raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; else a new or renamed file may be gone without power.

    Raises
    ------
    OSError
        When the disk fails or is full.
    """
    if os.name == "nt":  # which opens no folders
        return
    handle = -1
    try:
        handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))  # a pipe is not waited for
        os.fsync(handle)
    except OSError as error:
        if error.errno in (errno.EIO, errno.ENOSPC, errno.EDQUOT):
            raise
        _LOG.debug("The folder %s cannot be synced: %s", folder, error)  # as on some network disks
    finally:
        if handle >= 0:
            os.close(handle)


def _put(temporary: str, path: Path) -> None:
    os.chmod(temporary, 0o666 & ~_umask())
    os.replace(temporary, path)


def _shortened(name: str) -> str:
    """A file's name with room for what makes a temporary name of it: most disks take 255 bytes."""
    return name.encode()[:200].decode(errors="ignore")


def _reason(error: OSError) -> str:
    """Why a file cannot be written, and what to do."""
    if error.errno == errno.ENAMETOOLONG:
        return "the name is too long for this disk. Give the image a shorter name."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
        return f"{error.strerror}. Choose a folder that you may write to."
    return f"{error.strerror or error}."


def clear_unfinished(folder: Path, name: str = "") -> None:
    """Delete what `write_atomically` was writing into a folder when its process died; nothing else.

    Parameters
    ----------
    folder : pathlib.Path
    name : str
        Of the one file that is meant; all when empty.
    """
    beginning = f".{_shortened(name)}." if name else "."
    for left in folder.glob(f"{glob.escape(beginning)}*{UNFINISHED}"):
        if left.is_file() and not left.is_symlink() and not _is_open(left):
            _remove(left)


def _hold(handle: int) -> None:
    """Say, for as long as a file is open, that its writer lives; the system takes it back when that is killed."""
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:  # a disk that cannot lock files
            _LOG.debug("A file that is being written cannot be held: %s", error)


def _is_open(path: Path) -> bool:
    """Whether somebody still writes a file of `write_atomically`; on Windows such a file cannot be deleted anyway."""
    if fcntl is None:
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        _LOG.info("%s is being written: %s", path, error)
        return True
    except OSError as error:
        _LOG.debug("Nobody knows whether %s is being written: %s", path, error)
    return False


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _LOG.warning("%s cannot be deleted: %s", path, error)


class MissingFileError(InputFileError, FileNotFoundError):
    """A file that is not there."""


def check_regular(path: Path, most: int | None = None) -> os.stat_result:
    """Refuse what is no file: folders, pipes and devices, which may never end; and files of more than `most` bytes.

    Raises
    ------
    MissingFileError
    InputFileError
    """
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise MissingFileError(
                f"{path} is a link to {os.readlink(path)}, which is not there. Restore that file."
            ) from error
        raise MissingFileError(f"There is no file {path}. Check the path.") from error
    except (OSError, ValueError) as error:
        raise InputFileError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error
    _check(path, status, most)
    return status


def _check(path: Path, status: os.stat_result, most: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
        raise InputFileError(f"{path} is {what}, not a file. Choose a file.")
    if most is not None and status.st_size > most:
        raise InputFileError(
            f"{path} has {status.st_size / 2**20:,.1f} MB, more than the {most / 2**20:,.1f} MB that are read."
        )


def read_regular(path: Path, most: int | None = None, whole: bool = False) -> bytes:
    """Read a file; pipes and devices, which may never end, are not opened.

    Parameters
    ----------
    path : pathlib.Path
    most : int, optional
        Bytes that it may have.
    whole : bool
        Whether another program may be writing it: then it is read again where it changed meanwhile.

    Raises
    ------
    MissingFileError
    InputFileError
        When it is no file, is too large, cannot be read, or does not stop changing.
    """
    check_regular(path, most)
    for number in range(_TRIES if whole else 1):
        if number:
            time.sleep(0.3)
        try:
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
            with os.fdopen(handle, "rb") as file:
                before = os.fstat(handle)
                _check(path, before, most)
                content = _content(file)
                after = os.fstat(handle)
            now = os.stat(path) if whole else after
        except FileNotFoundError as error:
            raise MissingFileError(f"There is no file {path}. Check the path.") from error
        except (OSError, ValueError) as error:
            raise InputFileError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error
        if not whole or (_state(before) == _state(after) == _state(now) and len(content) == now.st_size):
            return content
    raise InputFileError(f"{path} changes while it is read. Wait until the other program has written it.")


def _content(file: BinaryIO) -> bytes:
    return file.read()


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    MissingFileError
    InputFileError
        When it is no JSON file or cannot be read.
    """
    try:
        return parse_json(read_regular(path, _LARGEST_JSON).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputFileError(f"{path} is damaged: it is no JSON file ({plain_reason(error, path)}).") from error


def parse_json(text: str) -> Any:
    """Read a JSON text in which nothing is there twice.

    Raises
    ------
    ValueError
    RecursionError
    """
    return json.loads(text, object_pairs_hook=_without_doubles)


def refuse_doubles(names: Sequence[Any]) -> None:
    """Refuse names of which one is there twice: only the last would count.

    Raises
    ------
    ValueError
    """
    double = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if double is not None:
        raise ValueError(f"“{double}” is there twice")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        refuse_doubles([name for name, _ in pairs])
    return content


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def data_folder() -> Path:
    """Tell where the program keeps what is the user's: models, fine-tunings, the list of projects."""
    return Path(platformdirs.user_data_dir("napari-leafseg", appauthor=False))


def resource_folder() -> Path:
    """Return the folder of icons, weights and recipes: in an installed package, or beside ``src`` in a checkout."""
    installed = Path(__file__).parent / "resources"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "resources"


def sample_folder() -> Path:
    """Return the folder of the sample plants, found like `resource_folder`."""
    installed = Path(__file__).parent / "sample_data"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "sample_data"


class RealPlaces:
    """Says where links lead to, folder by folder: many files lie in few folders."""

    def __init__(self) -> None:
        self._folders: dict[Path, Path] = {}

    def of(self, path: Path) -> Path:
        """Return a path without links in its folders; the same where that cannot be told."""
        folder = path.parent
        if folder not in self._folders:
            self._folders[folder] = Path(os.path.realpath(folder))
        return self._folders[folder] / path.name


_RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10))}


def unreserved(name: str) -> str:
    """Put an underscore before a name that Windows keeps for a device."""
    return f"_{name}" if name.partition(".")[0].casefold() in _RESERVED else name


def safe_name(name: str, longest: int = 200) -> str:
    """Make a name that a file may have on any system, and that leads to no other folder.

    A name that is fine already stays as it is.
    """
    clean = "".join("_" if c in '<>:"/\\|?*' or not c.isprintable() else c for c in name).strip(" .")
    clean = unreserved(clean)
    if len(clean.encode()) > longest:
        digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:8]
        clean = f"{clean.encode()[: longest - 9].decode(errors='ignore')}_{digest}"
    return clean or "image"
