"""Files that are there whole or not at all, and the files that come with the package."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from pathlib import Path

import platformdirs

from napari_leafseg.errors import InputFileError

_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10))}


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Raises
    ------
    InputFileError
        When the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{_shortened(path.name)}.")
    except OSError as error:
        raise InputFileError(f"Cannot write {path}: {_reason(error)}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InputFileError(f"Cannot write {path}: {_reason(error)}") from error


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


def file_name(name: str) -> str:
    """The name of a layer or image as that of a file, on any system: never a path.

    Parameters
    ----------
    name : str
        What people and readers call it, like "../x", "Image:0 :: plant" or "pl/ant 1?".
    """
    clean = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]+', "_", name).strip(" .")
    if clean.split(".")[0].upper() in _RESERVED:
        clean = f"_{clean}"
    return clean.encode()[:200].decode(errors="ignore").strip(" .") or "image"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def data_folder() -> Path:
    """Where the program keeps what is the user's: models, fine-tunings, the list of projects."""
    return Path(platformdirs.user_data_dir("napari-leafseg", appauthor=False))


def resource_folder() -> Path:
    """Folder of icons, bundled weights and recipes: inside an installed package, or beside ``src`` in a checkout."""
    installed = Path(__file__).parent / "resources"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "resources"


def sample_folder() -> Path:
    """Folder of the sample plants, found like `resource_folder`."""
    installed = Path(__file__).parent / "sample_data"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "sample_data"
