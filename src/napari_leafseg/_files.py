"""Files that are there whole or not at all, and the files that come with the package."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import platformdirs

from napari_leafseg.errors import InputFileError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Raises
    ------
    InputFileError
        When the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputFileError(
            f"Cannot write {path}: {error.strerror or error}. Choose a folder that you may write to."
        ) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InputFileError(f"Cannot write {path}: {error.strerror or error}.") from error


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


_RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10))}


def safe_name(name: str, longest: int = 200) -> str:
    """Make a name that a file may have on any system, and that leads to no other folder.

    A name that is fine already stays as it is.
    """
    clean = "".join("_" if c in '<>:"/\\|?*' or not c.isprintable() else c for c in name).strip(" .")
    clean = f"_{clean}" if clean.split(".")[0].casefold() in _RESERVED else clean
    if len(clean.encode()) > longest:
        digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:8]
        clean = f"{clean.encode()[: longest - 9].decode(errors='ignore')}_{digest}"
    return clean or "image"
